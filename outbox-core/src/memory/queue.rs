//! One queue: visible, delayed, in flight, dead.

use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    time::Duration,
};

use tokio::time::Instant;

use crate::wire::Encoded;

/// How many messages a queue holds, by what they wait for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Depth {
    /// Ready to be received.
    pub ready: usize,
    /// Given back, not yet to be received again.
    pub delayed: usize,
    /// Received and not yet acknowledged.
    pub in_flight: usize,
    /// Received too often; kept aside.
    pub dead: usize,
}

impl Depth {
    /// All that a consumer has not done with: ready, delayed and in flight.
    #[must_use]
    pub fn total(&self) -> usize {
        self.ready + self.delayed + self.in_flight
    }
}

/// A stored message.
#[derive(Debug, Clone)]
pub(super) struct Stored {
    pub(super) encoded: Encoded,
    pub(super) attempts: u32,
}

/// The deadline of an entry; the number makes it unique.
type Deadline = (Instant, u64);

#[derive(Debug, Default)]
pub(super) struct Queue {
    ready: VecDeque<Stored>,
    delayed: BTreeMap<Deadline, Stored>,
    in_flight: HashMap<u64, (Deadline, Stored)>,
    deadlines: BTreeMap<Deadline, u64>,
    dead: Vec<Stored>,
    last_number: u64,
}

impl Queue {
    pub(super) fn depth(&self) -> Depth {
        Depth {
            ready: self.ready.len(),
            delayed: self.delayed.len(),
            in_flight: self.in_flight.len(),
            dead: self.dead.len(),
        }
    }

    pub(super) fn push(&mut self, encoded: Encoded) {
        self.ready.push_back(Stored { encoded, attempts: 0 });
    }

    /// Up to `max` visible messages, now invisible for `visibility`, with the number of each delivery.
    pub(super) fn receive(
        &mut self,
        max: usize,
        visibility: Duration,
        max_deliveries: Option<u32>,
        now: Instant,
    ) -> Vec<(u64, Stored)> {
        self.wake_up(now);
        let mut received = Vec::new();
        while received.len() < max {
            let Some(mut stored) = self.ready.pop_front() else { break };
            if max_deliveries.is_some_and(|max| stored.attempts >= max) {
                self.dead.push(stored);
                continue;
            }
            stored.attempts += 1;
            let number = self.number();
            let deadline = (now + visibility, number);
            self.deadlines.insert(deadline, number);
            self.in_flight.insert(number, (deadline, stored.clone()));
            received.push((number, stored));
        }
        received
    }

    /// Ends a delivery; `false` where it is not out any more.
    pub(super) fn ack(&mut self, number: u64) -> bool {
        self.take_back(number).is_some()
    }

    /// Makes a delivery's message visible again after `delay`.
    pub(super) fn nack(&mut self, number: u64, delay: Duration, now: Instant) {
        if let Some(stored) = self.take_back(number) {
            if delay.is_zero() {
                self.ready.push_back(stored);
            } else {
                self.delayed.insert((now + delay, number), stored);
            }
        }
    }

    /// Moves the end of a delivery's invisibility; `false` where it is not out any more.
    pub(super) fn extend(&mut self, number: u64, visibility: Duration, now: Instant) -> bool {
        let Some((deadline, _)) = self.in_flight.get_mut(&number) else { return false };
        self.deadlines.remove(deadline);
        *deadline = (now + visibility, number);
        self.deadlines.insert(*deadline, number);
        true
    }

    /// When the next invisible message becomes visible.
    pub(super) fn next_wake_up(&self) -> Option<Instant> {
        let first = |deadline: Option<&Deadline>| deadline.map(|(at, _)| *at);
        let delayed = first(self.delayed.keys().next());
        let in_flight = first(self.deadlines.keys().next());
        delayed.into_iter().chain(in_flight).min()
    }

    /// The messages that were received too often.
    pub(super) fn dead(&self) -> impl Iterator<Item = &Stored> {
        self.dead.iter()
    }

    fn wake_up(&mut self, now: Instant) {
        while let Some(entry) = self.delayed.first_entry().filter(|entry| entry.key().0 <= now) {
            self.ready.push_back(entry.remove());
        }
        while let Some(entry) = self.deadlines.first_entry().filter(|entry| entry.key().0 <= now) {
            if let Some((_, stored)) = self.in_flight.remove(&entry.remove()) {
                self.ready.push_back(stored);
            }
        }
    }

    fn take_back(&mut self, number: u64) -> Option<Stored> {
        let (deadline, stored) = self.in_flight.remove(&number)?;
        self.deadlines.remove(&deadline);
        Some(stored)
    }

    fn number(&mut self) -> u64 {
        self.last_number += 1;
        self.last_number
    }
}
