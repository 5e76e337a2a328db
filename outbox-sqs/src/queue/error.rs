//! Why a queue cannot be used.

use super::Queue;
use crate::{classify::Kind, fault::Fault};

/// What no waiting helps against: the configuration has to change.
#[derive(Debug, thiserror::Error)]
pub(crate) enum QueueError {
    #[error(
        "expected a queue's URL (as GetQueueUrl gives it), ARN or name, found {0:?}: a name is of 1 to 80 letters, \
         digits, hyphens and underscores, with `.fifo` at the end for a FIFO queue"
    )]
    NoAddress(String),
    #[error(
        "expected a queue in the client's own region {client}, found {queue} in its ARN: use a client of that region"
    )]
    OtherRegion { client: String, queue: String },
    #[error("the queue {queue} cannot be used: {reason}")]
    Refused { queue: String, reason: String },
    #[error(
        "the URL of the queue {queue} may not be asked for ({reason}): name the queue by its URL, or allow sqs:GetQueueUrl"
    )]
    NoPermission { queue: String, reason: String },
}

/// Why a question after a queue has no answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AskError {
    /// A clear no.
    #[error(transparent)]
    Refused(#[from] QueueError),
    /// The queue may be there, but these credentials may not ask.
    #[error("{0}")]
    Denied(String),
    /// Nobody answered, or not well: ask again later.
    #[error("{}", .0.reason)]
    Away(Fault),
}

impl AskError {
    /// As the failure of a request that could not be made.
    pub(super) fn into_fault(self, queue: &Queue) -> Fault {
        match self {
            Self::Away(fault) => fault,
            other => {
                let reason = format!("the queue {queue}: {other}");
                Fault { kind: Kind::Setup, reason, retry_after: None }
            }
        }
    }
}
