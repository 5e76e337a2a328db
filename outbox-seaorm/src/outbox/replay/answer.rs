//! What a replay came to.

use outbox_core::message::Seq;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// What one run of a replay came to. What it has taken is on hold for the subscription and is published from there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Replayed {
    /// The replay's id: under it, it goes on where it was interrupted.
    pub id: Uuid,
    /// Who publishes the events once more.
    pub subscription: String,
    /// How many events this run has put on hold to be published once more.
    pub events: u64,
    /// How many selected events this run has left alone, and why.
    pub skipped: Skipped,
    /// The last seq that the replay looks at.
    pub upto: Seq,
    /// Where an earlier run had got to; its events are not counted again.
    pub went_on_after: Option<Seq>,
    /// Set where the selection reaches below the log: events up to this seq were purged, and what the selection meant
    /// among them, if anything, was not replayed, also where it is in the archive.
    pub purged_upto: Option<Seq>,
}

/// Why selected events were left alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Skipped {
    /// They are on hold for the subscription already: scheduled, to be retried, blocked or dead.
    pub on_hold: u64,
    /// The subscription has not published them yet, and will by itself.
    pub not_settled: u64,
    /// The subscription does not take their topics.
    pub other_topics: u64,
    /// Purge took them while the replay was under way.
    pub purged: u64,
}

impl Skipped {
    /// All of them.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.on_hold + self.not_settled + self.other_topics + self.purged
    }

    pub(super) fn add(&mut self, other: Self) {
        self.on_hold += other.on_hold;
        self.not_settled += other.not_settled;
        self.other_topics += other.other_topics;
        self.purged += other.purged;
    }
}
