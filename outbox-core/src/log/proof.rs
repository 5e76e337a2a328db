//! How a hole is proved to stay empty for ever.

use std::{collections::BTreeSet, time::Duration};

use crate::message::Seq;

/// How the names begin that PostgreSQL gives to prepared transactions.
const PREPARED: &str = "-1/";

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
    /// Whether none of the barrier's writers is among those of now. Some minor versions of PostgreSQL (13.0 to 13.4,
    /// 14.0) rename a transaction when it is prepared: one that was not known by such a name may be any of them.
    #[must_use]
    pub fn is_cleared_by(&self, writers_now: &BTreeSet<String>) -> bool {
        self.writers.is_empty()
            || self.writers.is_disjoint(writers_now)
                && !writers_now.iter().any(|writer| writer.starts_with(PREPARED))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_writer_that_was_renamed_when_it_was_prepared_is_waited_for() {
        let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<BTreeSet<_>>();
        let barrier = Barrier { upto: 9, writers: names(&["3/55"]) };
        assert!(!barrier.is_cleared_by(&names(&["3/55", "4/1"])));
        assert!(!barrier.is_cleared_by(&names(&["-1/7001", "4/1"])), "it may be the one that was 3/55");
        assert!(barrier.is_cleared_by(&names(&["4/1"])));
        let nobody = Barrier { upto: 9, writers: names(&[]) };
        assert!(nobody.is_cleared_by(&names(&["-1/7001"])), "it began after the barrier");
    }
}
