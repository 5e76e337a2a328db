//! Proving from the list of writers that a hole will stay empty.
//!
//! ```text
//!           barrier read            a flush sent after that        its writers are
//!           (S, then V)             is stored                      gone (listed anew)
//!   Open ───────────────▶ Taken ───────────────────────▶ Durable ─────────────────────▶ Cleared
//!    ▲                      │                               │                              │
//!    └──────────────────────┴────── any error, reconnect ───┴──────────────────────────────┘
//!                                                            or no hole up to S is left
//! ```
//!
//! Only a read that is sent in `Cleared` proves anything: it sees all that the writers of `V` committed, so a
//! number up to `S` that it would have shown and did not belongs to nobody. The flush in between makes the
//! numbers up to `S` durable: without it a crash restart gives them out again, and the proof speaks of
//! another world.

use std::collections::BTreeSet;

use super::{Absence, SeqRanges};
use crate::log::Barrier;

/// The state of one proof.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HoleClosing {
    state: State,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
enum State {
    #[default]
    Open,
    Taken {
        barrier: Barrier,
        /// Whether a flush was sent since.
        flush_sent: bool,
    },
    Durable(Barrier),
    Cleared {
        upto: i64,
    },
}

/// What brings the proof forward.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NextStep {
    /// Nothing to prove.
    Nothing,
    /// Read a barrier.
    ReadBarrier,
    /// Send a flush, even where nothing has changed.
    Flush,
    /// List the writers.
    ListWriters,
    /// Read the log.
    Read,
}

impl HoleClosing {
    /// What to do next, with these holes.
    #[must_use]
    pub fn next_step(&self, unseen: &SeqRanges) -> NextStep {
        if unseen.is_empty() {
            return NextStep::Nothing;
        }
        match &self.state {
            State::Open => NextStep::ReadBarrier,
            State::Taken { .. } => NextStep::Flush,
            State::Durable(_) => NextStep::ListWriters,
            State::Cleared { .. } => NextStep::Read,
        }
    }

    /// A barrier was read.
    pub fn barrier_read(&mut self, barrier: Barrier) {
        self.state = State::Taken { barrier, flush_sent: false };
    }

    /// A flush is about to be sent. It counts only for a barrier that was read before.
    pub fn flush_sent(&mut self) {
        if let State::Taken { flush_sent, .. } = &mut self.state {
            *flush_sent = true;
        }
    }

    /// The flush that was sent last is stored.
    pub fn flush_stored(&mut self) {
        if let State::Taken { barrier, flush_sent: true } = &mut self.state {
            self.state = State::Durable(std::mem::take(barrier));
        }
    }

    /// These transactions may be writing now.
    pub fn writers_listed(&mut self, writers: &BTreeSet<String>) {
        if let State::Durable(barrier) = &self.state
            && barrier.is_cleared_by(writers)
        {
            self.state = State::Cleared { upto: barrier.upto };
        }
    }

    /// What a read that is sent now proves.
    #[must_use]
    pub fn absence(&self) -> Absence {
        match self.state {
            State::Cleared { upto } => Absence::ProvesUpTo(upto),
            _ => Absence::ProvesNothing,
        }
    }

    /// A page was absorbed and these holes are left. Where it was full, holes up to the barrier may be among
    /// them: the proof then goes on for the next read.
    pub fn absorbed(&mut self, unseen: &SeqRanges) {
        if let State::Cleared { upto } = self.state
            && unseen.first().is_none_or(|first| first > upto)
        {
            self.state = State::Open;
        }
    }

    /// A statement erred or a connection was made anew: the database may be another one than it was.
    pub fn reset(&mut self) {
        self.state = State::Open;
    }
}
