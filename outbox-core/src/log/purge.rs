//! Removing what every subscription is done with.

use std::time::Duration;

use crate::message::Seq;

/// What to do with events past their retention.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum AfterRetention {
    /// Delete them.
    #[default]
    Delete,
    /// Move them to the archive table.
    Archive,
}

/// One chunk of purge.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PurgeRequest {
    /// How long an event is kept after it was stored, by the database's clock.
    pub keep: Duration,
    /// What happens to it then.
    pub then: AfterRetention,
    /// The most rows to take at once.
    pub chunk: u32,
}

/// What a chunk of purge did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Purged {
    /// Rows removed or archived.
    pub removed: u64,
    /// The highest seq that is gone for good.
    pub floor: Seq,
    /// Whether there may be more to remove.
    pub more: bool,
}
