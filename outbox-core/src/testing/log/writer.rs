//! A transaction of a service.

use super::{MemoryLog, state::Row};
use crate::{event::NewEvent, message::Seq};

/// A transaction that stores events. Dropping it rolls back.
#[derive(Debug)]
#[must_use = "dropping a transaction rolls it back"]
pub struct MemoryWriter {
    log: MemoryLog,
    number: u64,
}

impl MemoryWriter {
    pub(super) fn new(log: MemoryLog, number: u64) -> Self {
        Self { log, number }
    }

    /// Draws a number and stores an event under it, for nobody else to see until the commit. After a crash of
    /// the database this gives 0 and stores nothing.
    pub fn append(&mut self, event: NewEvent) -> Seq {
        let mut state = self.log.state();
        if !state.open.contains_key(&self.number) {
            return 0;
        }
        let seq = state.draw();
        if let Some(rows) = state.open.get_mut(&self.number) {
            rows.push((seq, Row::new(event)));
        }
        seq
    }

    /// Commits; `false` where the database has crashed since it began.
    pub fn commit(self) -> bool {
        self.log.state().commit(self.number)
    }

    /// Rolls back: the numbers stay unused for ever.
    pub fn rollback(self) {
        drop(self);
    }
}

impl Drop for MemoryWriter {
    fn drop(&mut self) {
        let reissues = self.log.proof == crate::log::HoleProof::SingleWriter;
        self.log.state().roll_back(self.number, reissues);
    }
}
