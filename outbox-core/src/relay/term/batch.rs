//! Messages on their way, and what has to be known of them when they are back.

use super::lane::LaneId;
use crate::{
    log::{Hold, OrderKey},
    message::Message,
};

/// Where an event comes from, and so what its end changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::relay) enum Origin {
    /// Read from the log: its seq is unsettled.
    Log,
    /// It is on hold in the table: the hold is to be changed or ended.
    Hold,
}

/// An event that is read and not settled.
#[derive(Debug)]
pub(super) struct Item {
    pub(super) message: Message,
    pub(super) origin: Origin,
    /// `None` outside of every order.
    pub(super) lane: Option<LaneId>,
    /// The ordering key that its hold has in the table, where it has a hold.
    pub(super) held_as: Option<Box<OrderKey>>,
    /// How often it failed.
    pub(super) attempts: u32,
    /// How many events had been published when it was first sent without an answer that meant it.
    pub(super) silent_since: Option<u64>,
    /// Whether it has waited: behind its aggregate, on hold, or for a broker that was away.
    pub(super) has_waited: bool,
}

impl Item {
    /// An event of the log.
    pub(super) fn of_log(message: Message, lane: Option<LaneId>) -> Self {
        Self {
            message,
            origin: Origin::Log,
            lane,
            held_as: None,
            attempts: 0,
            silent_since: None,
            has_waited: false,
        }
    }

    /// An event on hold.
    pub(super) fn on_hold(message: Message, hold: Hold, lane: Option<LaneId>) -> Self {
        let held_as = hold.aggregate.map(Box::new);
        Self {
            message,
            origin: Origin::Hold,
            lane,
            held_as,
            attempts: hold.attempts,
            silent_since: None,
            has_waited: true,
        }
    }
}

/// What the plan keeps of an item while its message is out.
#[derive(Debug)]
pub(super) struct Tag {
    pub(super) origin: Origin,
    pub(super) lane: Option<LaneId>,
    pub(super) held_as: Option<Box<OrderKey>>,
    pub(super) attempts: u32,
    pub(super) silent_since: Option<u64>,
}

/// Messages that are published together.
#[derive(Debug)]
pub(in crate::relay) struct Batch {
    pub(in crate::relay) messages: Vec<Message>,
    pub(super) tags: Vec<Tag>,
    /// How many events had been published when it was made up.
    pub(super) published_before: u64,
    room: usize,
    bytes_left: usize,
}

impl Batch {
    pub(super) fn new(room: usize, max_bytes: usize, published_before: u64) -> Self {
        let (messages, tags) = (Vec::with_capacity(room), Vec::with_capacity(room));
        Self { messages, tags, published_before, room, bytes_left: max_bytes }
    }

    pub(super) fn has_room_for(&self, item: &Item) -> bool {
        self.messages.is_empty()
            || (self.messages.len() < self.room && item.message.payload.len() <= self.bytes_left)
    }

    pub(super) fn push(&mut self, item: Item) {
        let Item { message, origin, lane, held_as, attempts, silent_since, has_waited: _ } = item;
        self.bytes_left = self.bytes_left.saturating_sub(message.payload.len());
        self.messages.push(message);
        self.tags.push(Tag { origin, lane, held_as, attempts, silent_since });
    }

    /// Whether the event at this place comes straight from the log, and so has not waited on hold.
    pub(in crate::relay) fn is_from_log(&self, place: usize) -> bool {
        self.tags.get(place).is_some_and(|tag| tag.origin == Origin::Log)
    }

    /// Its events again, in order.
    pub(super) fn into_items(self) -> impl Iterator<Item = Item> {
        self.messages.into_iter().zip(self.tags).map(|(message, tag)| {
            let Tag { origin, lane, held_as, attempts, silent_since } = tag;
            Item { message, origin, lane, held_as, attempts, silent_since, has_waited: true }
        })
    }
}
