//! How a hole is proved to stay empty for ever.

use std::{collections::BTreeSet, time::Duration};

use crate::message::Seq;

/// By which proof a database lets a hole be forgotten.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HoleProof {
    /// The database lists the transactions that may be writing (PostgreSQL: the lock table).
    WriterList,
    /// The hole is filled, after a grace that spares slow writers (MySQL, MariaDB).
    Tombstones {
        /// How long a hole is left alone.
        grace: Duration,
    },
    /// One writer at a time: a number that is not there when a later one is will never be (SQLite).
    SingleWriter,
}

/// The first half of a [`HoleProof::WriterList`] proof: no number up to `upto` belongs to a transaction
/// outside of `writers`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Barrier {
    /// The last number that was given out, read first.
    pub upto: Seq,
    /// The transactions that may be writing, listed after that.
    pub writers: BTreeSet<String>,
}

impl Barrier {
    /// Whether none of the barrier's writers is among those of now.
    #[must_use]
    pub fn is_cleared_by(&self, writers_now: &BTreeSet<String>) -> bool {
        self.writers.is_disjoint(writers_now)
    }
}
