//! Why a queue for development was not made.

use std::error::Error;

use aws_sdk_sqs::error::{ProvideErrorMetadata, SdkError};

use super::guard::Refused;
use crate::fault::Fault;

/// Why a queue for development was not made, or not deleted.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DevError {
    /// The request would have gone to another machine. It was not sent.
    #[error(
        "expected a server on loopback (127.0.0.0/8, ::1, localhost), found the host {host:?}: set the client's \
         endpoint_url to a local server, or name a server of your own with .allow_host({host:?}); nothing was sent"
    )]
    NotLoopback {
        /// The host that the request was made for.
        host: String,
    },
    /// The request would have gone to AWS, which no setting allows. It was not sent.
    #[error(
        "expected a local server, found {host}, a host of AWS: set the client's endpoint_url to a local server; \
         queues of an account are made by whoever owns it; nothing was sent"
    )]
    Aws {
        /// The host that the request was made for.
        host: String,
    },
    /// A setting is out of range. Nothing was sent.
    #[error("{0}")]
    Invalid(String),
    /// A queue of that name is there, with other settings.
    #[error(
        "the queue {queue} is there already with other settings: {differences}; delete it, change its settings, or \
         take another name"
    )]
    Differs {
        /// The name of the queue.
        queue: String,
        /// Each setting that differs: what was expected and what was found.
        differences: String,
    },
    /// The server did not answer, or not well.
    #[error("no answer that helps of {operation} for the queue {queue}: {reason}")]
    Request {
        /// What was asked for.
        operation: &'static str,
        /// The name of the queue.
        queue: String,
        /// What went wrong.
        reason: String,
    },
}

impl DevError {
    /// Reads the SDK's error, in whose depths a refusal of ours may be.
    pub(super) fn of<E>(operation: &'static str, queue: &str, error: &SdkError<E>) -> Self
    where
        E: ProvideErrorMetadata + Error + 'static,
    {
        let mut cause: Option<&(dyn Error + 'static)> = error.source();
        while let Some(error) = cause {
            if let Some(refused) = error.downcast_ref::<Refused>() {
                return refused.clone().into();
            }
            cause = error.source();
        }
        Self::Request { operation, queue: queue.to_owned(), reason: Fault::of(error).reason }
    }
}
