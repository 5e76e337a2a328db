//! The failure of a whole request, as the SDK reports it.

use std::{error::Error, time::Duration};

use aws_sdk_sqs::{
    config::http::HttpResponse,
    error::{ProvideErrorMetadata, SdkError},
};

use crate::classify::Kind;

/// Why a request failed, in words for an operator and in a kind for the program.
#[derive(Debug)]
pub(crate) struct Fault {
    pub(crate) kind: Kind,
    pub(crate) reason: String,
    pub(crate) retry_after: Option<Duration>,
}

impl Fault {
    /// Reads the SDK's error. Connection failures and timeouts say nothing about what was sent, only
    /// that nobody confirmed it.
    pub(crate) fn of<E>(error: &SdkError<E>) -> Self
    where
        E: ProvideErrorMetadata + Error + 'static,
    {
        match error {
            SdkError::ServiceError(answer) => {
                let status = answer.raw().status().as_u16();
                let code = answer.err().code();
                let reason = match code {
                    Some(code) => describe(code, answer.err().message()),
                    None => {
                        format!("an answer with status {status} that cannot be read: {}", chain(answer.err()))
                    }
                };
                Self { kind: Kind::of_answer(status, code), reason, retry_after: retry_after(answer.raw()) }
            }
            other => Self { kind: Kind::Away, reason: chain(other), retry_after: None },
        }
    }
}

/// A code with its message.
pub(crate) fn describe(code: &str, message: Option<&str>) -> String {
    match message {
        Some(message) => format!("{code}: {message}"),
        None => code.to_owned(),
    }
}

/// An error with its causes, since the SDK's own text of one ends at "dispatch failure".
pub(crate) fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let next = error.to_string();
        // Some wrappers print their cause as well.
        if !text.ends_with(&next) {
            text = format!("{text}: {next}");
        }
        cause = error.source();
    }
    text
}

fn retry_after(response: &HttpResponse) -> Option<Duration> {
    let number = |name| response.headers().get(name)?.parse::<u64>().ok();
    number("x-amz-retry-after")
        .map(Duration::from_millis)
        .or_else(|| number("retry-after").map(Duration::from_secs))
}
