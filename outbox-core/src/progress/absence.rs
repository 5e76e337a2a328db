//! What it means that a row is not there.

use crate::message::Seq;

/// What a read proves of the seqs that it would have shown and did not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Absence {
    /// Nothing: a transaction may still be writing them.
    ProvesNothing,
    /// Those up to this one will never be written: see [`HoleClosing`](super::HoleClosing).
    ProvesUpTo(Seq),
    /// None of them will ever be written: one writer at a time, so a gap below a row stays a gap.
    Proves,
}

impl Absence {
    /// The highest seq whose absence is for good.
    pub(super) fn upto(self) -> Seq {
        match self {
            Self::ProvesNothing => Seq::MIN,
            Self::ProvesUpTo(upto) => upto,
            Self::Proves => Seq::MAX,
        }
    }
}
