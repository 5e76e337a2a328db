//! Faults at random, by a seed.

use std::time::Duration;

use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};

use super::fault::{EntryError, EntryFault, Fault, Operation, Refusal};

/// How often what goes wrong, and for how many requests. It always ends, so that a run does.
#[derive(Debug, Clone, Copy)]
pub struct Storm {
    pub seed: u64,
    /// How many requests it hits; then all goes well.
    pub requests: usize,
    /// How many of a hundred requests the server hears nothing of.
    pub refused: u32,
    /// How many of a hundred the server does without a proper answer.
    pub lost: u32,
    /// How many of a hundred come late, or are answered late.
    pub late: u32,
    /// By how much.
    pub lateness: Duration,
    /// How many of a hundred batches have entries that go wrong.
    pub partial: u32,
    /// How many of a hundred receives give what was given before.
    pub repeated: u32,
}

/// A storm under way.
#[derive(Debug)]
pub(super) struct Weather {
    storm: Storm,
    dice: StdRng,
    left: usize,
}

impl Weather {
    pub(super) fn new(storm: Storm) -> Self {
        Self { storm, dice: StdRng::seed_from_u64(storm.seed), left: storm.requests }
    }

    /// What goes wrong with the next request, which has so many entries.
    pub(super) fn next(&mut self, operation: Operation, entries: usize) -> Fault {
        if operation == Operation::Other || self.left == 0 {
            return Fault::None;
        }
        self.left -= 1;
        let Storm { refused, lost, late, lateness, partial, repeated, .. } = self.storm;
        let rolled = self.dice.random_range(0..100);
        let mut below = 0;
        // Each takes its share of the hundred, one after the other.
        let mut is_in = |share: u32| {
            below += share;
            rolled < below
        };
        if is_in(refused) {
            return self.refused();
        }
        if is_in(lost) {
            return self.lost();
        }
        if is_in(late) {
            return match self.dice.random_bool(0.5) {
                true => Fault::DelayAnswer(lateness),
                false => Fault::HoldRequest(lateness),
            };
        }
        match operation {
            Operation::Receive if is_in(repeated) => Fault::Repeat,
            Operation::Send | Operation::Delete | Operation::ChangeBatch if is_in(partial) => {
                Fault::Entries((0..entries).map(|_| self.entry()).collect())
            }
            _ => Fault::None,
        }
    }

    fn refused(&mut self) -> Fault {
        let soon = Some(Duration::from_millis(20));
        match self.dice.random_range(0..6) {
            0 => Fault::Reset,
            1 => Fault::Refuse(Refusal::Throttled(None)),
            2 => Fault::Refuse(Refusal::Throttled(soon)),
            3 => Fault::Refuse(Refusal::Internal),
            4 => Fault::Refuse(Refusal::Unavailable),
            _ => Fault::Refuse(Refusal::BadGateway),
        }
    }

    fn lost(&mut self) -> Fault {
        match self.dice.random_range(0..4) {
            0 => Fault::LoseAnswer,
            1 => Fault::CutAnswer,
            2 => Fault::BreakAnswer,
            _ => Fault::EmptyAnswer,
        }
    }

    /// Half of the entries go well.
    fn entry(&mut self) -> EntryFault {
        let codes = ["InternalError", "ServiceUnavailable", "RequestThrottled"];
        let error = EntryError {
            code: codes[self.dice.random_range(0..codes.len())],
            sender_fault: self.dice.random_bool(0.5),
        };
        match self.dice.random_range(0..8) {
            0 => EntryFault::Refuse(error),
            1 => EntryFault::Forget,
            2 => EntryFault::Deny(error),
            3 => EntryFault::Omit,
            _ => EntryFault::None,
        }
    }
}
