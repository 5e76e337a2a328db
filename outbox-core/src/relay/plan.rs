//! What to publish next: the order of aggregates, as pure code.
//!
//! Each aggregate is a lane, and at most one event of a lane is *out* (ready to go or in a batch); the others
//! queue behind it. So an aggregate is never in two batches at once, and never twice in one batch, unless the
//! publisher keeps the order within a batch: then its followers may join it there.

use std::{
    collections::{HashMap, VecDeque, hash_map::Entry},
    hash::{BuildHasher as _, RandomState},
};

use crate::message::Message;

/// Where an event comes from, and so what its end changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Origin {
    /// Read from the log: its seq is unsettled.
    Log,
    /// Its hold is due: the hold is to be ended.
    Hold,
}

/// Where messages that were not sent stand next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unsent {
    /// First, in their order.
    First,
    /// Behind the other aggregates, so that one that cannot be sent in time does not keep them from going.
    Last,
}

/// A lane is the hash of its aggregate. Two aggregates of one hash share a lane: more order than was promised.
type Lane = u64;

#[derive(Debug)]
struct Item {
    message: Message,
    origin: Origin,
    lane: Option<Lane>,
}

/// Messages on their way, and what the plan has to know of them when they are back.
#[derive(Debug)]
pub(super) struct Batch {
    pub(super) messages: Vec<Message>,
    tags: Vec<(Origin, Option<Lane>)>,
    room: usize,
    bytes_left: usize,
}

/// The events that are read and not published.
#[derive(Debug)]
pub(super) struct Plan {
    ready: VecDeque<Item>,
    /// The lanes that have an event out, with those that queue behind it.
    lanes: HashMap<Lane, VecDeque<Item>>,
    hasher: RandomState,
    keeps_order_in_batch: bool,
    len: usize,
}

impl Plan {
    pub(super) fn new(keeps_order_in_batch: bool) -> Self {
        Self {
            ready: VecDeque::new(),
            lanes: HashMap::new(),
            hasher: RandomState::new(),
            keeps_order_in_batch,
            len: 0,
        }
    }

    /// How many events are waiting or in batches.
    pub(super) fn len(&self) -> usize {
        self.len
    }

    pub(super) fn has_ready(&self) -> bool {
        !self.ready.is_empty()
    }

    /// Adds an event of the log behind those of its aggregate.
    pub(super) fn add(&mut self, message: Message) {
        self.len += 1;
        let lane = message.aggregate().map(|aggregate| self.hasher.hash_one(aggregate));
        let item = Item { message, origin: Origin::Log, lane };
        match lane.map(|lane| self.lanes.entry(lane)) {
            Some(Entry::Occupied(mut followers)) => followers.get_mut().push_back(item),
            Some(Entry::Vacant(free)) => {
                free.insert(VecDeque::new());
                self.ready.push_back(item);
            }
            None => self.ready.push_back(item),
        }
    }

    /// Adds a scheduled event whose time has come: it stands outside its aggregate's order.
    pub(super) fn add_due(&mut self, message: Message) {
        self.len += 1;
        self.ready.push_back(Item { message, origin: Origin::Hold, lane: None });
    }

    /// The next batch; `None` where nothing is ready. A message that is larger than `max_bytes` goes alone.
    pub(super) fn take_batch(&mut self, max: usize, max_bytes: usize) -> Option<Batch> {
        let room = max.max(1).min(self.len);
        let (messages, tags) = (Vec::with_capacity(room), Vec::with_capacity(room));
        let mut batch = Batch { messages, tags, room, bytes_left: max_bytes };
        while let Some(item) = self.ready.pop_front_if(|next| batch.has_room_for(next)) {
            let lane = item.lane;
            batch.push(item);
            if self.keeps_order_in_batch {
                self.join_followers(lane, &mut batch);
            }
        }
        (!batch.messages.is_empty()).then_some(batch)
    }

    /// Takes a batch back. `published` says of each message whether the broker has it; what it says nothing of
    /// was not sent. Events of one aggregate keep their order, wherever they stand next.
    pub(super) fn complete(
        &mut self,
        batch: Batch,
        published: &[bool],
        unsent: Unsent,
        mut settled: impl FnMut(Origin, &Message),
    ) {
        for (index, (message, (origin, _))) in batch.messages.iter().zip(&batch.tags).enumerate() {
            if published.get(index) == Some(&true) {
                settled(*origin, message);
            }
        }
        // From the last to the first, so that what goes back to the front ends up in order. The messages of
        // one lane stand side by side: the lane moves on after the first of them.
        let mut items = batch.messages.into_iter().zip(batch.tags).enumerate().rev().peekable();
        let mut lane_is_done = true;
        while let Some((index, (message, (origin, lane)))) = items.next() {
            let is_published = published.get(index) == Some(&true);
            if is_published {
                self.len -= 1;
            }
            let Some(key) = lane else {
                let item = Item { message, origin, lane };
                match unsent {
                    _ if is_published => {}
                    Unsent::First => self.ready.push_front(item),
                    Unsent::Last => self.ready.push_back(item),
                }
                continue;
            };
            if !is_published {
                lane_is_done = false;
                self.lanes.entry(key).or_default().push_front(Item { message, origin, lane });
            }
            if items.peek().is_none_or(|(_, (_, (_, before)))| *before != lane) {
                self.move_on(key, lane_is_done || unsent == Unsent::Last);
                lane_is_done = true;
            }
        }
    }

    /// Lets the next event of a lane out.
    fn move_on(&mut self, lane: Lane, at_the_back: bool) {
        let Entry::Occupied(mut followers) = self.lanes.entry(lane) else { return };
        match followers.get_mut().pop_front() {
            Some(next) if at_the_back => self.ready.push_back(next),
            Some(next) => self.ready.push_front(next),
            None => {
                followers.remove();
            }
        }
    }

    fn join_followers(&mut self, lane: Option<Lane>, batch: &mut Batch) {
        let Some(followers) = lane.and_then(|lane| self.lanes.get_mut(&lane)) else { return };
        while let Some(follower) = followers.pop_front_if(|next| batch.has_room_for(next)) {
            batch.push(follower);
        }
    }
}

impl Batch {
    fn has_room_for(&self, item: &Item) -> bool {
        self.messages.is_empty()
            || (self.messages.len() < self.room && item.message.payload.len() <= self.bytes_left)
    }

    fn push(&mut self, item: Item) {
        self.bytes_left = self.bytes_left.saturating_sub(item.message.payload.len());
        self.messages.push(item.message);
        self.tags.push((item.origin, item.lane));
    }
}
