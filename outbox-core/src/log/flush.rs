//! What one flush stores.

use uuid::Uuid;

use super::{HoldChange, Receipt};
use crate::{event::NewEvent, message::Seq, progress::SeqRanges};

/// Progress and everything that goes with it, stored together or not at all.
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
    /// What was published and is to be remembered, each seq at most once.
    pub receipts: Vec<Receipt>,
    /// Events of the relay's own, such as copies of dead letters for a topic of theirs: stored as capture stores one.
    pub captured: Vec<NewEvent>,
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
