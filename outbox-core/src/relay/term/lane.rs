//! One order of events, as its leader knows it.

use std::collections::VecDeque;

use super::batch::Item;
use crate::log::OrderKey;

/// A lane is the hash of an ordering key. Two keys of one hash share a lane: more order than was promised.
pub(super) type LaneId = u64;

/// An order that has an event out, or something that keeps its events from going.
///
/// ```text
///            ┌──────────── published, nothing behind ──────────▶ (no lane)
///            │
///   out ─────┼─ failed ──▶ retries ── due ──▶ out
///    ▲       └─ dies ────▶ dying ── its death is stored ──▶ next out (skip), or dead (block)
///    │                     dead ── an operator requeues or discards: a new term ──▶
///    └── released ◀── spilled: the followers are blocked in the table, in order
/// ```
#[derive(Debug, Default)]
pub(super) struct Lane {
    /// Whether an event of it is ready or in a batch.
    pub(super) is_out: bool,
    /// Those that come next, in order.
    pub(super) queue: VecDeque<Item>,
    /// One of its events is on hold for its next attempt.
    pub(super) retries: bool,
    /// One of its events has died, and its death is not stored.
    pub(super) is_dying: bool,
    /// One of its events is dead, and the others wait for an operator.
    pub(super) is_dead: bool,
    /// Whether there are blocked events of it in the table, or will be with the next flush.
    pub(super) is_spilled: bool,
    /// Its keys, once something of it was on hold: more than one only where two share the lane.
    pub(super) keys: Vec<OrderKey>,
    /// Whether the next flush stores something that the lane waits for.
    pub(super) is_unflushed: bool,
    /// Whether it is in the list of those whose blocked events are to be fetched.
    pub(super) is_listed: bool,
}

impl Lane {
    /// Whether none of its events may go out.
    pub(super) fn is_stopped(&self) -> bool {
        self.retries || self.is_dying || self.is_dead
    }

    /// Whether there is nothing to know of it.
    pub(super) fn is_idle(&self) -> bool {
        !self.is_out && self.queue.is_empty() && !self.is_stopped() && !self.is_spilled && !self.is_unflushed
    }

    /// Remembers under which key something of it is on hold.
    pub(super) fn remember(&mut self, key: OrderKey) {
        if !self.keys.contains(&key) {
            self.keys.push(key);
        }
    }
}
