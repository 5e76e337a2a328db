//! What the next flush stores beside the progress.

use crate::{
    event::NewEvent,
    log::{Due, Flush, Hold, HoldChange, HoldState, OrderKey, Receipt},
    message::{Message, Seq},
};

use super::batch::Origin;

/// What has changed since the last flush.
#[derive(Debug, Default)]
pub(super) struct Changes {
    pub(super) holds: Vec<HoldChange>,
    pub(super) receipts: Vec<Receipt>,
    pub(super) captured: Vec<NewEvent>,
    /// Events of the log that are settled by what is above, or published.
    pub(super) settled: Vec<Seq>,
    /// An aggregate waits for the flush.
    pub(super) is_urgent: bool,
}

impl Changes {
    pub(super) fn is_empty(&self) -> bool {
        self.holds.is_empty() && self.receipts.is_empty() && self.captured.is_empty()
    }

    /// An event goes on hold, or its hold changes.
    pub(super) fn hold(&mut self, origin: Origin, hold: Hold) {
        match origin {
            Origin::Log => {
                self.settled.push(hold.seq);
                self.holds.push(HoldChange::Insert(hold));
            }
            // Never re-created: an operator may have given it up.
            Origin::Hold => self.holds.push(HoldChange::Update(hold)),
        }
    }

    /// An event is published.
    pub(super) fn publish(&mut self, origin: Origin, seq: Seq) {
        match origin {
            Origin::Log => self.settled.push(seq),
            Origin::Hold => self.holds.push(HoldChange::Delete(seq)),
        }
    }

    /// Moves what is to be stored into a flush.
    pub(super) fn move_to(&mut self, flush: &mut Flush) {
        flush.holds = std::mem::take(&mut self.holds);
        flush.receipts = std::mem::take(&mut self.receipts);
        flush.captured = std::mem::take(&mut self.captured);
        self.is_urgent = false;
    }

    /// A flush was not stored: the same goes into the next one.
    pub(super) fn take_back(&mut self, flush: Flush) {
        debug_assert!(self.is_empty(), "nothing lands while a flush is under way");
        self.holds = flush.holds;
        self.receipts = flush.receipts;
        self.captured = flush.captured;
    }
}

/// A hold of an event as it is met: no attempt, no error.
pub(super) fn fresh_hold(message: &Message, aggregate: Option<OrderKey>, state: HoldState, due: Due) -> Hold {
    Hold { seq: message.seq, aggregate, state, attempts: 0, due, last_error: None, replay: message.replay }
}
