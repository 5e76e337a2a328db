//! What became of one message.

use std::{fmt, time::Duration};

/// What became of one message. It decides what the relay does next, so an adapter chooses it by the
/// broker's error code, never by matching text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// The broker has it for good.
    Published {
        /// The id that the broker gave it, where it gives one.
        broker_id: Option<String>,
    },
    /// The broker cannot be reached or takes nothing from us now. Not the message's fault: the
    /// subscription pauses, nothing moves and no attempt is counted.
    Unavailable {
        /// What was found, for the operator.
        reason: String,
    },
    /// The broker asks to slow down.
    Throttled {
        /// How long to wait, where the broker says. More than an hour counts as an hour.
        retry_after: Option<Duration>,
        /// What was found, for the operator.
        reason: String,
    },
    /// This message can never be sent: too large, ill-formed. Trying again is useless.
    Rejected {
        /// What was found, for the operator.
        reason: String,
    },
    /// This message was not sent this time.
    Failed {
        /// What was found, for the operator.
        reason: String,
    },
    /// This message was not tried, because an earlier one of its order was not sent: to send it would be to
    /// overtake. Or the earlier ones took the time that there was; then it may have been under way. Nobody's fault: no
    /// attempt is counted, and it goes again behind the earlier one.
    ///
    /// Only for a message behind another one of the same batch, which says why. A batch of which nothing else
    /// came back counts as [`Unavailable`](Self::Unavailable): it would be sent again at once, for ever.
    HeldBack {
        /// What it waits for, for the operator.
        reason: String,
    },
}

impl Outcome {
    /// The broker has the message; it gave no id.
    #[must_use]
    pub fn published() -> Self {
        Self::Published { broker_id: None }
    }

    /// The broker has the message and gave it an id.
    pub fn published_as(broker_id: impl Into<String>) -> Self {
        Self::Published { broker_id: Some(broker_id.into()) }
    }

    /// The broker is not there.
    pub fn unavailable(reason: impl fmt::Display) -> Self {
        Self::Unavailable { reason: reason.to_string() }
    }

    /// The broker asks to slow down.
    pub fn throttled(retry_after: Option<Duration>, reason: impl fmt::Display) -> Self {
        Self::Throttled { retry_after, reason: reason.to_string() }
    }

    /// The message can never be sent.
    pub fn rejected(reason: impl fmt::Display) -> Self {
        Self::Rejected { reason: reason.to_string() }
    }

    /// The message was not sent this time.
    pub fn failed(reason: impl fmt::Display) -> Self {
        Self::Failed { reason: reason.to_string() }
    }

    /// The message was not tried, because an earlier one of its order was not sent.
    pub fn held_back(reason: impl fmt::Display) -> Self {
        Self::HeldBack { reason: reason.to_string() }
    }

    /// What a metric or a span calls a message that was not sent; `None` where it was.
    pub(crate) fn failure(&self) -> Option<&'static str> {
        match self {
            Self::Published { .. } => None,
            Self::Unavailable { .. } => Some("unavailable"),
            Self::Throttled { .. } => Some("throttled"),
            Self::Rejected { .. } => Some("rejected"),
            Self::Failed { .. } => Some("failed"),
            Self::HeldBack { .. } => Some("held_back"),
        }
    }

    /// Whether the broker has it.
    #[must_use]
    pub fn is_published(&self) -> bool {
        matches!(self, Self::Published { .. })
    }
}
