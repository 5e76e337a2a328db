//! What a handler answers when it could not do it, and why a consumer does not run.

use std::{error::Error, fmt, time::Duration};

use crate::{settings::duration_text::text, source::SourceError};

type Cause = Box<dyn Error + Send + Sync>;

/// Why a handler did not do it, and what should become of the message. Whatever it is, everything the handler
/// wrote is rolled back.
///
/// `?` on any error means [`Retry`](Self::Retry). An error that is no [`std::error::Error`], such as
/// `anyhow::Error`, is wrapped by hand: `.map_err(HandlerError::retry)`.
#[non_exhaustive]
pub enum HandlerError {
    /// The message comes again, after the consumer's backoff.
    Retry(Cause),
    /// The message comes again after this delay, or after the longest that its broker takes (Amazon SQS: somewhat less than 12
    /// hours). Above 100 years it is taken for 100 years.
    RetryAfter(Duration, Cause),
    /// Trying again is useless. The message is given back to the broker, so that its own redrive policy moves it
    /// to a dead-letter queue; where the broker has none, it comes again after the consumer's backoff.
    Reject(Cause),
}

impl HandlerError {
    /// To be tried again, after the consumer's backoff.
    pub fn retry(cause: impl Into<Cause>) -> Self {
        Self::Retry(cause.into())
    }

    /// To be tried again after `delay`, within the bounds of [`RetryAfter`](Self::RetryAfter).
    pub fn retry_after(delay: Duration, cause: impl Into<Cause>) -> Self {
        Self::RetryAfter(delay, cause.into())
    }

    /// Never to be tried again.
    pub fn reject(cause: impl Into<Cause>) -> Self {
        Self::Reject(cause.into())
    }

    /// What went wrong.
    #[must_use]
    pub fn cause(&self) -> &(dyn Error + Send + Sync + 'static) {
        match self {
            Self::Retry(cause) | Self::RetryAfter(_, cause) | Self::Reject(cause) => &**cause,
        }
    }
}

// It cannot be a `std::error::Error` itself: then `From` any error would overlap with `From` itself.
impl<E: Error + Send + Sync + 'static> From<E> for HandlerError {
    fn from(cause: E) -> Self {
        Self::Retry(Box::new(cause))
    }
}

impl fmt::Display for HandlerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Retry(cause) => write!(f, "to be tried again: {cause}"),
            Self::RetryAfter(delay, cause) => write!(f, "to be tried again in {delay:?}: {cause}"),
            Self::Reject(cause) => write!(f, "rejected: {cause}"),
        }
    }
}

impl fmt::Debug for HandlerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Retry(cause) => f.debug_tuple("Retry").field(cause).finish(),
            Self::RetryAfter(delay, cause) => f.debug_tuple("RetryAfter").field(delay).field(cause).finish(),
            Self::Reject(cause) => f.debug_tuple("Reject").field(cause).finish(),
        }
    }
}

/// Why a consumer does not run.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConsumerError {
    /// It has nothing to do.
    #[error("expected at least one handler, found none: add one with `.on(handler)`")]
    NoHandler,
    /// Two handlers for the same event: only one of them could have the message's transaction.
    #[error("expected one handler for {event_type} version {version}, found two: do both things in one")]
    TwoHandlers {
        /// Name of the event type.
        event_type: &'static str,
        /// Version of the event type.
        version: u32,
    },
    /// Two handlers for the same event, one of which takes it as an older version of its own. There is no precedence:
    /// the other would lose its events without a word.
    #[error(
        "expected one handler for {event_type} version {version}, found two: that of version {into} takes it too, by \
         `upcast_from`; keep one, which finds the version that came in `delivery.message().event_version`"
    )]
    HandledAndUpcast {
        /// Name of the event type.
        event_type: &'static str,
        /// The older version.
        version: u32,
        /// The version that it is upcast to.
        into: u32,
    },
    /// A type of event is ignored that has a handler.
    #[error("expected {event_type} to be handled or ignored, found both")]
    HandledAndIgnored {
        /// Name of the event type.
        event_type: String,
    },
    /// A setting out of range.
    #[error("expected `{setting}` to be from {least} to {most}, found {found}")]
    Setting {
        /// Its name.
        setting: &'static str,
        /// The least that works.
        least: usize,
        /// The most that works.
        most: usize,
        /// What was given.
        found: usize,
    },
    /// More receivers than deliveries may be held: some would never have a place to ask for.
    #[error(
        "expected at most as many receivers as the concurrency ({concurrency}), found {receivers}: lower `receivers` \
         or raise `concurrency`"
    )]
    TooManyReceivers {
        /// How many receive calls were to be under way.
        receivers: usize,
        /// How many deliveries may be held.
        concurrency: usize,
    },
    /// Each handler would be rolled back at once.
    #[error("expected `handler_timeout` to be longer than nothing")]
    NoTimeToHandle,
    /// The inbox forgets a message while the broker may still deliver it again: it would be processed twice.
    #[error(
        "expected an inbox that remembers messages at least as long as the source may bring them again ({}, with what a \
         redrive adds), found one that remembers them for {}: let the inbox remember them longer, or the broker keep them \
         for less",
        text(*.retention), text(*.window)
    )]
    WindowTooShort {
        /// How long the inbox remembers.
        window: Duration,
        /// How long the source may bring a message again.
        retention: Duration,
    },
    /// The source cannot work as it is configured.
    #[error("the source cannot work as it is configured")]
    Source(#[source] SourceError),
}
