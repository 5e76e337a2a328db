//! Who leads a subscription, and from where it goes on.

use std::{fmt, sync::Arc, time::Duration};

use chrono::{DateTime, Utc};
use uuid::Uuid;

use crate::{message::Seq, progress::SeqRanges};

/// Longest accepted name of a subscription, in bytes.
pub const MAX_SUBSCRIPTION_NAME_LEN: usize = 100;

/// The name of a subscription: 1 to 100 bytes of `a-z A-Z 0-9 . _ -`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SubscriptionName(Arc<str>);

/// A name that a subscription cannot have.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("expected a subscription name of 1 to 100 letters, digits, `.`, `_` or `-`, found `{found}`")]
pub struct SubscriptionNameError {
    found: String,
}

impl SubscriptionName {
    /// Checks a name.
    ///
    /// # Errors
    /// Where it is empty, longer than 100 bytes, or has another character than a letter, digit, `.`, `_` or `-`.
    pub fn new(name: &str) -> Result<Self, SubscriptionNameError> {
        let fits = (1..=MAX_SUBSCRIPTION_NAME_LEN).contains(&name.len())
            && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte));
        if fits {
            Ok(Self(name.into()))
        } else {
            Err(SubscriptionNameError { found: name.chars().take(120).collect() })
        }
    }

    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for SubscriptionName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for SubscriptionName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

/// The random token of one acquisition of a lease. Random because a counter can come back after a failover
/// and a stale leader's flush would match.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Owner(Uuid);

impl Owner {
    /// Draws a token.
    #[must_use]
    pub fn random() -> Self {
        Self(Uuid::new_v4())
    }

    /// As stored.
    #[must_use]
    pub fn as_uuid(&self) -> Uuid {
        self.0
    }
}

/// Where a new subscription begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum StartPoint {
    /// With the oldest event that the log still has.
    #[default]
    Beginning,
    /// With the events that commit from now on.
    Now,
    /// With the events stored at or after this time, by the database's clock.
    At(DateTime<Utc>),
}

/// The progress of a subscription as stored.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct StoredProgress {
    /// The highest seq that was read.
    pub position: Seq,
    /// The id of the row at the position; `None` while the position is the purge floor.
    pub anchor: Option<Uuid>,
    /// Seqs at or below the position that are not settled: unseen and unsettled ones.
    pub holes: SeqRanges,
    /// Number of the last flush.
    pub flush_no: i64,
    /// How often an operator has changed something of the subscription: paused it, requeued or discarded a held
    /// event, asked for a replay. A leader that sees another number than it began with ends its term in good
    /// order, and the next begins from what is stored.
    pub interventions: i64,
}

/// The answer to an attempt to lead.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Acquired {
    /// The lease is ours.
    Leader(StoredProgress),
    /// Another relay leads.
    Held {
        /// How long its lease still runs, by the database's clock.
        expires_in: Duration,
    },
    /// An operator paused the subscription.
    Paused,
}

/// What a subscription's leader, or an operator, says of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum SubscriptionState {
    /// Publishing.
    Running,
    /// Stopped by an operator.
    Paused,
    /// Waiting for its broker.
    BrokerDown,
}

impl SubscriptionState {
    /// As stored.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Paused => "paused",
            Self::BrokerDown => "broker_down",
        }
    }

    /// The reverse of [`as_str`](Self::as_str).
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Running, Self::Paused, Self::BrokerDown].into_iter().find(|state| state.as_str() == text)
    }
}
