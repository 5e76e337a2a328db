//! Misbehaving on purpose.

use std::time::Duration;

use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};

/// How often the broker misbehaves, decided by a seed. Each share is between 0 and 1; the default is none.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Faults {
    /// Begins the sequence of random decisions.
    pub seed: u64,
    /// Share of messages that are stored twice.
    pub duplicate: f64,
    /// Share of batches that are refused as if the broker were away.
    pub unavailable: f64,
    /// Share of messages that fail by themselves, the rest of their batch being stored.
    pub fail: f64,
    /// Share of batches that are stored but whose answer is lost: the publisher says that they failed.
    pub lose_answer: f64,
    /// The longest delay before a batch is stored; each takes a random part of it.
    pub delay: Duration,
}

/// The faults with the state of their random numbers.
#[derive(Debug)]
pub(super) struct Dice {
    faults: Faults,
    rng: StdRng,
}

/// What will go wrong with one batch.
#[derive(Debug, Clone, Copy)]
pub(super) struct BatchFate {
    pub(super) unavailable: bool,
    pub(super) lose_answer: bool,
    pub(super) delay: Duration,
}

impl Dice {
    pub(super) fn new(faults: Faults) -> Self {
        let rng = StdRng::seed_from_u64(faults.seed);
        Self { faults, rng }
    }

    pub(super) fn batch(&mut self) -> BatchFate {
        BatchFate {
            unavailable: self.roll(self.faults.unavailable),
            lose_answer: self.roll(self.faults.lose_answer),
            delay: match self.faults.delay {
                Duration::ZERO => Duration::ZERO,
                longest => self.rng.random_range(Duration::ZERO..=longest),
            },
        }
    }

    pub(super) fn fails(&mut self) -> bool {
        self.roll(self.faults.fail)
    }

    pub(super) fn duplicates(&mut self) -> bool {
        self.roll(self.faults.duplicate)
    }

    fn roll(&mut self, share: f64) -> bool {
        share > 0.0 && self.rng.random_bool(share.clamp(0.0, 1.0))
    }
}
