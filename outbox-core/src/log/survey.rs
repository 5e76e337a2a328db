//! How far a subscription is behind, asked for now and then.

use std::time::Duration;

use chrono::{DateTime, Utc};

use crate::message::Seq;

/// How many events are on hold, by state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize)]
pub struct HoldCounts {
    /// Their time has not come.
    pub scheduled: u64,
    /// They failed and will be tried again.
    pub retry: u64,
    /// An earlier event of their aggregate is held.
    pub blocked: u64,
    /// They will not be tried again without an operator.
    pub dead: u64,
}

/// Where a subscription stands in its log.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Survey {
    /// The time by the database's clock, read in the same statement: what the lag of an event is measured by.
    pub now: DateTime<Utc>,
    /// The last number that the log gave out.
    pub last: Seq,
    /// The highest seq that the subscription has stored as read.
    pub position: Seq,
    /// How many seqs at or below the position are stored as not settled: unpublished events and numbers without a row.
    pub holes: u64,
    /// How long ago, by the database's clock, the oldest event was stored that is neither settled nor on hold. Behind very
    /// many events of topics that the subscription does not take, a log may tell the age of one of these instead: longer,
    /// never shorter.
    pub oldest_pending: Option<Duration>,
    /// What is on hold.
    pub holds: HoldCounts,
}

impl Survey {
    /// How many events there are to publish, at most: numbers that were rolled back and events of other topics are
    /// counted too, because telling them apart would mean reading them. Held events are not among them.
    #[must_use]
    pub fn backlog(&self) -> u64 {
        u64::try_from(self.last.saturating_sub(self.position)).unwrap_or(0).saturating_add(self.holes)
    }
}
