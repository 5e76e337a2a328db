//! What one flush stores.

use std::time::Duration;

use chrono::{DateTime, Utc};
use uuid::Uuid;

use crate::{message::Seq, progress::SeqRanges};

/// Progress and changes of holds, stored together or not at all.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Flush {
    /// The highest seq that was read.
    pub position: Seq,
    /// The id of the row at the position; where it is set, the row must be in the log for the flush to count.
    pub anchor: Option<Uuid>,
    /// Seqs at or below the position that are not settled.
    pub holes: SeqRanges,
    /// The number of the flush before; the stored one must be this.
    pub previous_flush_no: i64,
    /// Changes of holds, each seq at most once.
    pub holds: Vec<HoldChange>,
}

/// Whether a flush was stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flushed {
    /// It was.
    Stored,
    /// It was not, for certain: another session was in the way (a lock wait, a deadlock, a busy database). Keep
    /// everything and send the same again; nothing has to be acquired anew.
    Busy,
    /// It was not: another leader, another flush or another history. Drop all memory and acquire again.
    Fenced,
}

/// A change of one hold.
#[derive(Debug, Clone, PartialEq)]
pub enum HoldChange {
    /// Puts an event on hold.
    Insert(Hold),
    /// Changes a hold that exists; one that an operator removed stays removed.
    Update(Hold),
    /// Ends a hold.
    Delete(Seq),
}

/// An event that could not be published yet.
#[derive(Debug, Clone, PartialEq)]
pub struct Hold {
    /// The event.
    pub seq: Seq,
    /// Its ordering key, where it has one: type and id.
    pub aggregate: Option<(String, String)>,
    /// Why it is held.
    pub state: HoldState,
    /// Attempts so far.
    pub attempts: u32,
    /// When it may go.
    pub due: Due,
    /// What the last attempt said.
    pub last_error: Option<String>,
}

/// Why an event is held.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HoldState {
    /// Its time has not come.
    Scheduled,
    /// It failed and will be tried again.
    Retry,
    /// An earlier event of its aggregate is held.
    Blocked,
    /// It will not be tried again without an operator.
    Dead,
}

impl HoldState {
    /// As stored.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Scheduled => "scheduled",
            Self::Retry => "retry",
            Self::Blocked => "blocked",
            Self::Dead => "dead",
        }
    }

    /// The reverse of [`as_str`](Self::as_str).
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Scheduled, Self::Retry, Self::Blocked, Self::Dead]
            .into_iter()
            .find(|state| state.as_str() == text)
    }
}

/// When a held event may go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Due {
    /// At a time, by the database's clock.
    At(DateTime<Utc>),
    /// After a delay, added to the database's clock when it is stored.
    After(Duration),
    /// Not by itself.
    Never,
}
