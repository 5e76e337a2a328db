//! How the broker fails: at random, by a seed, and counted, so that a run in which nothing went wrong is no success.

use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use crate::dice::Dice;

/// What goes wrong with one request of a relay.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    None,
    /// An outage: nothing is taken.
    Away,
    Throttled(Duration),
    /// The connection is dropped before anything is taken.
    DroppedBefore,
    /// The connection is dropped after all of it is taken.
    AnswerLost,
    /// The messages at the set bits are not taken.
    SomeFailed(u64),
    /// No answer for longer than a relay waits; then it is taken after all, or not.
    Stalled {
        length: Duration,
        keeps: bool,
    },
}

impl Fault {
    fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Away => "unavailable",
            Self::Throttled(_) => "throttled",
            Self::DroppedBefore => "dropped before",
            Self::AnswerLost => "answer lost",
            Self::SomeFailed(_) => "some failed",
            Self::Stalled { .. } => "stalled",
        }
    }
}

/// The broker's faults.
#[derive(Debug)]
pub struct Faults(Mutex<State>);

#[derive(Debug)]
struct State {
    dice: Dice,
    /// In a hundred requests.
    chance: u64,
    away_until: Instant,
    counts: BTreeMap<&'static str, u64>,
}

impl Faults {
    pub(super) fn new(dice: Dice) -> Self {
        Self(Mutex::new(State { dice, chance: 0, away_until: Instant::now(), counts: BTreeMap::new() }))
    }

    /// How many of a hundred requests go wrong in some way.
    pub fn set_chance(&self, percent: u64) {
        self.state().chance = percent;
    }

    /// Takes nothing for so long.
    pub fn go_away(&self, length: Duration) {
        self.state().away_until = Instant::now() + length;
    }

    /// How often each fault happened.
    #[must_use]
    pub fn counts(&self) -> BTreeMap<&'static str, u64> {
        self.state().counts.clone()
    }

    pub(super) fn next(&self) -> Fault {
        let mut state = self.state();
        let fault = state.draw();
        if fault != Fault::None {
            *state.counts.entry(fault.name()).or_default() += 1;
        }
        fault
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn draw(&mut self) -> Fault {
        if Instant::now() < self.away_until {
            return Fault::Away;
        }
        if !self.dice.percent(self.chance) {
            return Fault::None;
        }
        let millis = Duration::from_millis;
        match self.dice.roll(12) {
            0 | 1 => Fault::Throttled(self.dice.between(millis(20), millis(200))),
            2 | 3 => Fault::DroppedBefore,
            4..=6 => Fault::AnswerLost,
            7..=10 => Fault::SomeFailed(self.dice.roll(u64::MAX) & self.dice.roll(u64::MAX)),
            _ => Fault::Stalled {
                length: self.dice.between(millis(300), millis(2_500)),
                keeps: self.dice.percent(50),
            },
        }
    }
}
