//! Whether somebody has to look at the outbox.
//!
//! It is [`Status`](super::Status) seen through thresholds, with what the publishers say of themselves. It is meant for alarms
//! and readiness, not for liveness: a process that is restarted because its broker is away does not bring the broker back.

mod judge;
mod thresholds;

use std::time::Duration;

use outbox_core::publisher::PublisherReport;
use serde::{Deserialize, Serialize};

pub use thresholds::{Limit, Thresholds};

use super::{Outbox, OutboxError};

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Level {
    /// Nothing to look at.
    #[default]
    Healthy,
    /// Worth a look in the hours of work.
    Warning,
    /// Events are late or stuck.
    Unhealthy,
}

/// Whether somebody has to look, and at what.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Health {
    /// The worst of the reasons; healthy without any.
    pub level: Level,
    /// What was found, the worst first.
    pub reasons: Vec<Reason>,
}

/// One thing to look at.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Reason {
    /// How bad it is.
    pub level: Level,
    /// What it is, for programs.
    pub code: Code,
    /// Which subscription, where it is about one.
    pub subscription: Option<String>,
    /// What was found.
    pub found: Amount,
    /// The threshold that was reached, where there is one.
    pub threshold: Option<Amount>,
    /// The same for people, with what to do.
    pub text: String,
}

/// What was found. Names are added and never changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Code {
    /// Events wait for too long.
    Lag,
    /// There are dead letters.
    DeadLetters,
    /// The broker is away.
    BrokerDown,
    /// Nobody leads.
    NoLeader,
    /// It is paused.
    Paused,
    /// Too many numbers are not settled.
    Holes,
    /// Consumers have not acknowledged in time.
    Unacknowledged,
    /// The log cannot be purged.
    PinnedLog,
    /// Nobody takes a topic.
    UnroutedTopic,
    /// A publisher says that it could not publish.
    Publisher,
}

/// A value of a reason.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(untagged)]
pub enum Amount {
    /// A number of something.
    Count(u64),
    /// A time, in seconds.
    Time(#[serde(serialize_with = "super::seconds::serialize")] Duration),
    /// Words.
    Text(String),
}

impl Outbox {
    /// Whether somebody has to look, by these thresholds. `publishers` is what the publishers of this process say of
    /// themselves, from `RelayHandle::publishers()`; without a relay in this process, nothing.
    ///
    /// ```
    /// # async fn ready(outbox: outbox_seaorm::Outbox, relay: outbox_seaorm::relay::RelayHandle)
    /// # -> Result<(), outbox_seaorm::outbox::OutboxError> {
    /// use outbox_seaorm::outbox::{Level, Thresholds};
    ///
    /// let publishers = relay.publishers().health(std::time::Duration::from_secs(2)).await;
    /// let health = outbox.health(&Thresholds::default(), &publishers).await?;
    /// let is_ready = health.level < Level::Unhealthy;
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// Where the database is away, which is unhealthy too.
    pub async fn health(
        &self,
        thresholds: &Thresholds,
        publishers: &[PublisherReport],
    ) -> Result<Health, OutboxError> {
        Ok(judge::judge(&self.status().await?, thresholds, publishers))
    }
}
