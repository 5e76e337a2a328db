//! One queue: visible, delayed, in flight, dead.
//!
//! At most one message of a group is *out*: visible, delayed or in flight. The others stand behind it in the order
//! of their arrival until it is acknowledged or dead. So a group is delivered one by one, and what is given back
//! is not overtaken.

use std::{
    collections::{BTreeMap, HashMap, VecDeque, hash_map::Entry},
    sync::Arc,
    time::Duration,
};

use tokio::{sync::oneshot, time::Instant};

use super::awaited::{Awaited, End, Key};
use crate::wire::Encoded;

/// How many messages a queue holds, by what they wait for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Depth {
    /// Ready to be received, now or once those of their group before them are done.
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
    /// The same at each delivery.
    pub(super) id: u64,
    pub(super) encoded: Encoded,
    pub(super) attempts: u32,
    pub(super) group: Option<Arc<str>>,
    /// Where its publisher wants to know of its end.
    awaited: Option<Key>,
}

/// The deadline of an entry; the number makes it unique.
type Deadline = (Instant, u64);

#[derive(Debug, Default)]
pub(super) struct Queue {
    ready: VecDeque<Stored>,
    /// The groups that have a message out, with those that stand behind it.
    groups: HashMap<Arc<str>, VecDeque<Stored>>,
    /// How many stand behind another.
    behind: usize,
    delayed: BTreeMap<Deadline, Stored>,
    in_flight: HashMap<u64, (Deadline, Stored)>,
    deadlines: BTreeMap<Deadline, u64>,
    dead: Vec<Stored>,
    awaited: Awaited,
    last_number: u64,
}

impl Queue {
    pub(super) fn depth(&self) -> Depth {
        Depth {
            ready: self.ready.len() + self.behind,
            delayed: self.delayed.len(),
            in_flight: self.in_flight.len(),
            dead: self.dead.len(),
        }
    }

    pub(super) fn push(&mut self, encoded: Encoded, group: Option<Arc<str>>) {
        let id = self.number();
        self.add(Stored { id, encoded, attempts: 0, group, awaited: None });
    }

    /// The same, to be told of the message's end.
    pub(super) fn push_awaited(
        &mut self,
        key: Key,
        encoded: Encoded,
        group: Option<Arc<str>>,
    ) -> oneshot::Receiver<End> {
        let id = self.number();
        self.add(Stored { id, encoded, attempts: 0, group, awaited: Some(key) });
        self.awaited.wait(key)
    }

    /// To be told of the end of a message that somebody sent already; `None` where there is none.
    pub(super) fn join_awaited(&mut self, key: Key) -> Option<oneshot::Receiver<End>> {
        self.awaited.contains(key).then(|| self.awaited.wait(key))
    }

    pub(super) fn has_ready(&self) -> bool {
        !self.ready.is_empty()
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
                self.ended(&stored, End::Dead);
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
        let Some(stored) = self.take_back(number) else { return false };
        self.ended(&stored, End::Acknowledged);
        true
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

    /// Takes them away.
    pub(super) fn take_dead(&mut self) -> Vec<Stored> {
        std::mem::take(&mut self.dead)
    }

    fn add(&mut self, stored: Stored) {
        match stored.group.clone().map(|group| self.groups.entry(group)) {
            Some(Entry::Occupied(mut behind)) => {
                behind.get_mut().push_back(stored);
                self.behind += 1;
            }
            Some(Entry::Vacant(free)) => {
                free.insert(VecDeque::new());
                self.ready.push_back(stored);
            }
            None => self.ready.push_back(stored),
        }
    }

    /// A message is out no more: the next of its group is.
    fn ended(&mut self, stored: &Stored, end: End) {
        if let Some(key) = stored.awaited {
            self.awaited.ended(key, end);
        }
        let Some(group) = &stored.group else { return };
        match self.groups.get_mut(group).and_then(VecDeque::pop_front) {
            Some(next) => {
                self.behind -= 1;
                self.ready.push_back(next);
            }
            None => drop(self.groups.remove(group)),
        }
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
