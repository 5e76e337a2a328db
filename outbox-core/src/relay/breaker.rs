//! The circuit breaker of a subscription, as pure code.
//!
//! It is ours because it is not what the crates for that have: they open at a rate of failures over a window, by a clock of
//! their own. Here the first word that the broker is away opens it, a word about a message never does, and a single
//! batch probes while nothing else is in flight.
//!
//! ```text
//!   Closed ──something was not published──▶ Open ──its pause is over, nothing in flight──▶ Probing
//!     ▲                                      ▲                                               │
//!     │                                      └────────── not all of it was published ────────┤
//!     └──────────────────────────── the probe was published ─────────────────────────────────┘
//! ```

use std::time::Duration;

use rand::Rng;
use tokio::time::Instant;

use super::backoff::Backoff;
use crate::telemetry::BreakerState;

/// Whether batches may be sent.
#[derive(Debug)]
pub(super) struct Breaker {
    state: State,
    backoff: Backoff,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Closed,
    Open { until: Instant },
    Probing,
}

/// What an answer of the publisher changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Change {
    /// Nothing.
    None,
    /// It opened, or stays open after a probe.
    Opened {
        /// For how long.
        pause: Duration,
    },
    /// It closed.
    Closed,
}

impl Breaker {
    pub(super) fn new(backoff: Backoff) -> Self {
        Self { state: State::Closed, backoff }
    }

    /// How many of the batches in flight may be joined by another one: asked before each is sent.
    pub(super) fn lets_through(&self, in_flight: usize, now: Instant) -> bool {
        match self.state {
            State::Closed => true,
            State::Open { until } => in_flight == 0 && now >= until,
            State::Probing => false,
        }
    }

    /// A batch is sent.
    pub(super) fn sent(&mut self) {
        if matches!(self.state, State::Open { .. }) {
            self.state = State::Probing;
        }
    }

    /// All of a batch was published.
    pub(super) fn published(&mut self) -> Change {
        match self.state {
            State::Closed => Change::None,
            // Sent before it opened: it says nothing of now.
            State::Open { .. } => Change::None,
            State::Probing => {
                self.state = State::Closed;
                self.backoff.reset();
                Change::Closed
            }
        }
    }

    /// Something of a batch was not published; the broker may ask for a pause.
    pub(super) fn failed(
        &mut self,
        at_least: Duration,
        now: Instant,
        rng: &mut (impl Rng + ?Sized),
    ) -> Change {
        match self.state {
            // Sent before it opened: one outage is one failure.
            State::Open { until } => {
                self.state = State::Open { until: until.max(now + at_least) };
                Change::None
            }
            State::Closed | State::Probing => {
                let pause = self.backoff.next(rng).max(at_least);
                self.state = State::Open { until: now + pause };
                Change::Opened { pause }
            }
        }
    }

    /// As a gauge shows it.
    pub(super) fn shown(&self) -> BreakerState {
        match self.state {
            State::Closed => BreakerState::Closed,
            State::Probing => BreakerState::Probing,
            State::Open { .. } => BreakerState::Open,
        }
    }

    /// Whether all is well.
    pub(super) fn is_closed(&self) -> bool {
        self.state == State::Closed
    }

    /// When the next probe may go.
    pub(super) fn reopens(&self) -> Option<Instant> {
        match self.state {
            State::Open { until } => Some(until),
            State::Closed | State::Probing => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use rand::{SeedableRng as _, rngs::StdRng};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn it_lets_one_probe_through_and_closes_when_that_is_published() {
        let (mut rng, now) = (StdRng::seed_from_u64(1), Instant::now());
        let second = Duration::from_secs(1);
        let mut breaker = Breaker::new(Backoff::new(second, 8 * second));
        assert!(breaker.lets_through(5, now));
        assert!(matches!(breaker.failed(Duration::ZERO, now, &mut rng), Change::Opened { .. }));
        assert_eq!(breaker.failed(Duration::ZERO, now, &mut rng), Change::None, "one outage, one failure");
        assert_eq!(breaker.published(), Change::None, "sent before it opened");
        assert!(!breaker.lets_through(0, now));
        let later = now + second;
        assert!(!breaker.lets_through(1, later), "a batch of before is still out");
        assert!(breaker.lets_through(0, later));
        breaker.sent();
        assert!(!breaker.lets_through(1, later) && !breaker.lets_through(0, later));
        let Change::Opened { pause } = breaker.failed(Duration::ZERO, later, &mut rng) else { panic!() };
        assert!(pause >= second, "the pause grows");
        breaker.sent();
        assert_eq!(breaker.published(), Change::Closed);
        assert!(breaker.lets_through(5, later));
        let asked = Duration::from_secs(100);
        assert_eq!(breaker.failed(asked, later, &mut rng), Change::Opened { pause: asked });
    }
}
