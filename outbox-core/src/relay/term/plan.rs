//! What to publish next: the lanes and the queue of what is ready.
//!
//! At most one event of a lane is *out* (ready to go or in a batch); the others queue behind it. So an aggregate is
//! never in two batches at once, and never twice in one batch, unless the publisher keeps the order within a batch:
//! then its followers may join it there.

use std::{
    collections::{HashMap, VecDeque, hash_map::Entry},
    hash::{BuildHasher as _, RandomState},
};

use super::{
    batch::{Batch, Item, Origin},
    lane::{Lane, LaneId},
};
use crate::{
    log::OrderKey,
    message::Message,
    relay::{linger::NextBatch, read_ahead::Load},
};

/// The events that are read and not settled.
#[derive(Debug)]
pub(super) struct Plan {
    ready: VecDeque<Item>,
    /// Those that have an event out, or are kept from going.
    lanes: HashMap<LaneId, Lane>,
    hasher: RandomState,
    keeps_order_in_batch: bool,
    /// Whether what is blocked in the table stands behind what queues here; else it stands before it.
    spills: bool,
    load: Load,
    /// Lanes whose blocked events are to be fetched.
    listed: VecDeque<LaneId>,
    /// Lanes that wait for the next flush.
    unflushed: Vec<LaneId>,
}

impl Plan {
    pub(super) fn new(keeps_order_in_batch: bool, spills: bool) -> Self {
        Self {
            ready: VecDeque::new(),
            lanes: HashMap::new(),
            hasher: RandomState::new(),
            keeps_order_in_batch,
            spills,
            load: Load::default(),
            listed: VecDeque::new(),
            unflushed: Vec::new(),
        }
    }

    /// The events that are waiting or in batches.
    pub(super) fn load(&self) -> Load {
        self.load
    }

    pub(super) fn has_ready(&self) -> bool {
        !self.ready.is_empty()
    }

    pub(super) fn lane_of(&self, key: (&str, &str)) -> LaneId {
        self.hasher.hash_one(key)
    }

    /// A lane, made where there is none: what is done with it ends in [`go_on`](Self::go_on), which drops idle ones.
    pub(super) fn lane(&mut self, id: LaneId) -> &mut Lane {
        self.lanes.entry(id).or_default()
    }

    /// Whether new events of a lane go to the table, behind those that are there.
    pub(super) fn is_held_up(&self, id: LaneId) -> bool {
        // A death keeps the others for one flush only: they queue.
        self.lanes.get(&id).is_some_and(|lane| lane.retries || lane.is_dead || lane.is_spilled)
    }

    /// Adds an event behind those of its lane.
    pub(super) fn add(&mut self, item: Item) {
        self.load.add(&item.message);
        match item.lane.map(|lane| self.lanes.entry(lane)) {
            Some(Entry::Occupied(mut lane)) => lane.get_mut().queue.push_back(item),
            Some(Entry::Vacant(free)) => {
                free.insert(Lane { is_out: true, ..Lane::default() });
                self.ready.push_back(item);
            }
            None => self.ready.push_back(item),
        }
    }

    /// Adds a held event whose time has come: in its lane it is the first.
    pub(super) fn add_due(&mut self, item: Item) {
        self.load.add(&item.message);
        if let Some(id) = item.lane {
            let lane = self.lane(id);
            if lane.is_out {
                lane.queue.push_front(item);
                return;
            }
            lane.is_out = true;
        }
        self.ready.push_back(item);
    }

    /// The next batch; `None` where nothing is ready. A message that is larger than `max_bytes` goes alone.
    pub(super) fn take_batch(&mut self, max: usize, max_bytes: usize, published: u64) -> Option<Batch> {
        let mut batch = Batch::new(max.max(1).min(self.load.events), max_bytes, published);
        while let Some(item) = self.ready.pop_front_if(|next| batch.has_room_for(next)) {
            let lane = item.lane;
            batch.push(item);
            if self.keeps_order_in_batch {
                self.join_followers(lane, &mut batch);
            }
        }
        (!batch.messages.is_empty()).then_some(batch)
    }

    /// What [`take_batch`](Self::take_batch) would take.
    pub(super) fn next_batch(&self, max: usize, max_bytes: usize) -> NextBatch {
        let (mut events, mut bytes_left, mut has_waited) = (0, max_bytes, false);
        for first in &self.ready {
            let lane = first.lane.filter(|_| self.keeps_order_in_batch).and_then(|id| self.lanes.get(&id));
            let followers = lane.into_iter().flat_map(|lane| &lane.queue);
            for item in std::iter::once(first).chain(followers) {
                let bytes = item.message.payload.len();
                if events > 0 && (events >= max || bytes > bytes_left) {
                    return NextBatch { events, is_full: true, has_waited };
                }
                events += 1;
                has_waited |= item.has_waited;
                bytes_left = bytes_left.saturating_sub(bytes);
            }
        }
        NextBatch { events, is_full: events >= max, has_waited }
    }

    fn join_followers(&mut self, lane: Option<LaneId>, batch: &mut Batch) {
        let Some(lane) = lane.and_then(|lane| self.lanes.get_mut(&lane)) else { return };
        while let Some(follower) = lane.queue.pop_front_if(|next| batch.has_room_for(next)) {
            batch.push(follower);
        }
    }

    /// An event is settled, or on hold in the table.
    pub(super) fn forget(&mut self, message: &Message) {
        self.load.remove(message);
    }

    /// Puts events that were not sent back, in their order: before the others or behind them.
    pub(super) fn put_back(&mut self, items: Vec<Item>, at_the_back: bool) {
        if at_the_back {
            self.ready.extend(items);
        } else {
            for item in items.into_iter().rev() {
                self.ready.push_front(item);
            }
        }
    }

    /// The next flush stores something that this lane waits for.
    pub(super) fn waits_for_flush(&mut self, id: LaneId) {
        let lane = self.lanes.entry(id).or_default();
        if !std::mem::replace(&mut lane.is_unflushed, true) {
            self.unflushed.push(id);
        }
    }

    /// A flush was stored: what waited for it goes on.
    pub(super) fn flushed(&mut self) {
        for id in std::mem::take(&mut self.unflushed) {
            if let Some(lane) = self.lanes.get_mut(&id) {
                lane.is_unflushed = false;
                lane.is_dying = false;
                self.go_on(id);
            }
        }
    }

    /// Lets the next event of a lane out, unless one is or something keeps it.
    pub(super) fn go_on(&mut self, id: LaneId) {
        let Entry::Occupied(mut entry) = self.lanes.entry(id) else { return };
        let lane = entry.get_mut();
        if lane.is_out || lane.is_stopped() {
            return;
        }
        // What is blocked in the table stands before events of the log that queue here, where these do not go there.
        let is_next_in_table =
            lane.queue.front().is_none_or(|next| !self.spills && next.origin == Origin::Log);
        if lane.is_spilled && is_next_in_table {
            // Before the flush it would be found there although it was published.
            if !lane.is_unflushed && !std::mem::replace(&mut lane.is_listed, true) {
                self.listed.push_back(id);
            }
            return;
        }
        if let Some(next) = lane.queue.pop_front() {
            lane.is_out = true;
            self.ready.push_back(Item { has_waited: true, ..next });
        } else if lane.is_idle() {
            entry.remove();
        }
    }

    /// How many lanes have blocked events to fetch.
    pub(super) fn lanes_to_release(&self) -> usize {
        self.listed.len()
    }

    /// Keys whose blocked events are to be fetched, of at most so many lanes. A lane that got more of them since it was
    /// listed waits for these to be stored: one of them may stand before those in the table.
    pub(super) fn releases(&mut self, lanes: usize) -> Vec<OrderKey> {
        let mut chosen = 0;
        while chosen < lanes.min(self.listed.len()) {
            match self.listed.get(chosen).and_then(|id| self.lanes.get_mut(id)) {
                Some(lane) if !lane.is_unflushed => chosen += 1,
                waiting => {
                    if let Some(lane) = waiting {
                        lane.is_listed = false;
                    }
                    self.listed.remove(chosen);
                }
            }
        }
        let chosen = self.listed.iter().take(lanes).filter_map(|id| self.lanes.get(id));
        chosen.flat_map(|lane| lane.keys.iter().cloned()).collect()
    }

    /// The blocked events of the first so many lanes were fetched: `found` in order of seq, and `is_all` says of a lane
    /// whether there are no more.
    pub(super) fn released(&mut self, lanes: usize, found: Vec<Item>, is_all: impl Fn(&Lane) -> bool) {
        let ids: Vec<LaneId> = self.listed.drain(..lanes.min(self.listed.len())).collect();
        for item in found.into_iter().rev() {
            let Some(id) = item.lane else { continue };
            self.load.add(&item.message);
            // Its queue is empty, or holds what stands behind.
            self.lane(id).queue.push_front(item);
        }
        for id in ids {
            let lane = self.lane(id);
            lane.is_listed = false;
            lane.is_spilled &= !is_all(lane);
            self.go_on(id);
        }
    }

    /// Takes what queues in a lane beyond its first `keep`.
    pub(super) fn take_queue(&mut self, id: LaneId, keep: usize) -> VecDeque<Item> {
        let queue = &mut self.lane(id).queue;
        let taken = if queue.len() > keep { queue.split_off(keep) } else { VecDeque::new() };
        for item in &taken {
            self.load.remove(&item.message);
        }
        taken
    }

    /// Lanes with more than `keep` events in their queues.
    pub(super) fn long_lanes(&self, keep: usize) -> Vec<LaneId> {
        self.lanes.iter().filter(|(_, lane)| lane.queue.len() > keep).map(|(id, _)| *id).collect()
    }

    /// Everything that is not in a batch.
    #[cfg(test)]
    pub(super) fn items(&self) -> impl Iterator<Item = &Item> {
        self.ready.iter().chain(self.lanes.values().flat_map(|lane| &lane.queue))
    }
}
