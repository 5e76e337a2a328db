//! All that a leader knows and has not stored, and every decision on it, as pure code: no clock, no database, no
//! broker. What goes in are pages, answers of the publisher and stored flushes; what comes out are batches and flushes.
//!
//! | file | holds |
//! |---|---|
//! | `plan`, `lane` | what goes next, in which order, and what is kept from going |
//! | `batch` | what is out |
//! | `verdict` | what an answer means for each event |
//! | `landing` | what follows from it |
//! | `changes` | what the next flush stores |

mod batch;
mod changes;
mod landing;
mod lane;
#[cfg(test)]
mod model;
mod plan;
mod verdict;

use std::sync::Arc;

pub(super) use batch::Batch;
pub(super) use landing::{Death, Landing};
pub(super) use verdict::{Answer, BrokerSays};

use super::{
    linger::NextBatch,
    policy::{OnDead, Policy},
    read_ahead::Load,
};
use crate::{
    log::{Due, Flush, Hold, HoldState, OrderKey, Page, Stopped, StoredProgress, SubscriptionName},
    message::{Message, Seq},
    progress::{Absence, Absorbed, AnchorLost, Progress, ReadEvent},
};
use batch::{Item, Origin};
use changes::{Changes, fresh_hold};
use plan::Plan;

/// The memory of one term.
#[derive(Debug)]
pub(super) struct Term {
    subscription: SubscriptionName,
    policy: Arc<Policy>,
    progress: Progress,
    plan: Plan,
    changes: Changes,
    /// How many events were published in this term.
    published: u64,
    /// The last of the holes that were stored when the term began, until all of them were asked for once more.
    reread_upto: Option<Seq>,
}

impl Term {
    pub(super) fn new(
        subscription: SubscriptionName,
        policy: Arc<Policy>,
        stored: StoredProgress,
        keeps_order_in_batch: bool,
    ) -> Self {
        let plan = Plan::new(keeps_order_in_batch, policy.spills());
        let progress = Progress::load(stored);
        let reread_upto = progress.unseen().last();
        Self { subscription, policy, progress, plan, changes: Changes::default(), published: 0, reread_upto }
    }

    /// What is on hold when the term begins. Before anything else is taken in.
    pub(super) fn load_stopped(&mut self, stopped: Vec<Stopped>) {
        for Stopped { aggregate, retries, dead, blocked } in stopped {
            let id = self.plan.lane_of((&aggregate.0, &aggregate.1));
            let lane = self.plan.lane(id);
            lane.retries |= retries;
            lane.is_dead |= dead && self.policy.on_dead == OnDead::Block;
            lane.is_spilled |= blocked;
            lane.remember(aggregate);
            self.plan.go_on(id);
        }
    }

    /// Takes in a page; see [`Progress::absorb`]. Its events come back for [`take_in`](Self::take_in).
    pub(super) fn absorb(
        &mut self,
        page: Page,
        limit: usize,
        absence: Absence,
        max_holes: usize,
    ) -> Result<Absorbed, AnchorLost> {
        let absorbed = self.progress.absorb(page, limit, absence, max_holes)?;
        self.reread_upto = self.reread_upto.filter(|upto| *upto > absorbed.covered);
        Ok(absorbed)
    }

    pub(super) fn progress(&self) -> &Progress {
        &self.progress
    }

    pub(super) fn progress_mut(&mut self) -> &mut Progress {
        &mut self.progress
    }

    /// The events that are waiting or in batches.
    pub(super) fn load(&self) -> Load {
        self.plan.load()
    }

    pub(super) fn has_ready(&self) -> bool {
        self.plan.has_ready()
    }

    /// How many events were published in this term.
    pub(super) fn published(&self) -> u64 {
        self.published
    }

    /// Whether there is something to flush beside the progress.
    pub(super) fn has_changes(&self) -> bool {
        !self.changes.is_empty()
    }

    /// Whether an aggregate waits for the flush.
    pub(super) fn is_urgent(&self) -> bool {
        self.changes.is_urgent
    }

    /// Takes in an event that a page brought.
    pub(super) fn take_in(&mut self, event: ReadEvent) {
        let ReadEvent { message, scheduled_for } = event;
        if let Some(until) = scheduled_for {
            let hold = fresh_hold(&message, None, HoldState::Scheduled, Due::At(until));
            self.changes.hold(Origin::Log, hold);
        } else {
            let lane = self.policy.order(&message).map(|key| self.plan.lane_of(key));
            match lane.filter(|lane| self.policy.spills() && self.plan.is_held_up(*lane)) {
                Some(lane) => {
                    let key = self.policy.order_key(&message);
                    self.block(
                        lane,
                        Item { held_as: key.map(Box::new), ..Item::of_log(*message, Some(lane)) },
                    );
                }
                None => self.plan.add(Item::of_log(*message, lane)),
            }
        }
        self.settle();
    }

    /// Takes in a held event whose time has come.
    pub(super) fn take_due(&mut self, hold: Hold, message: Message) {
        let lane = hold.aggregate.as_ref().map(|(kind, id)| self.plan.lane_of((kind, id)));
        if let Some((id, key)) = lane.zip(hold.aggregate.clone()) {
            let lane = self.plan.lane(id);
            lane.retries = true;
            lane.remember(key);
        }
        self.plan.add_due(Item::on_hold(message, hold, lane));
    }

    /// What [`take_batch`](Self::take_batch) would take.
    pub(super) fn next_batch(&self, max: usize, max_bytes: usize) -> NextBatch {
        self.plan.next_batch(max, max_bytes)
    }

    /// The next batch, if something is ready.
    pub(super) fn take_batch(&mut self, max: usize, max_bytes: usize) -> Option<Batch> {
        self.plan.take_batch(max, max_bytes, self.published)
    }

    /// Puts what queues behind more than `keep` others of its aggregate on hold, so that the aggregates behind it can
    /// be read. Says whether there was any.
    pub(super) fn spill_long_queues(&mut self, keep: usize) -> bool {
        if !self.policy.spills() {
            return false;
        }
        let lanes = self.plan.long_lanes(keep);
        for lane in &lanes {
            self.spill(*lane, keep);
        }
        self.settle();
        !lanes.is_empty()
    }

    /// Keys whose blocked events may follow now, of at most so many aggregates.
    pub(super) fn releases(&mut self, aggregates: usize) -> Vec<OrderKey> {
        self.plan.releases(aggregates)
    }

    /// How many aggregates have blocked events that may follow now.
    pub(super) fn aggregates_to_release(&self) -> usize {
        self.plan.lanes_to_release()
    }

    /// Whether there are such. Not before what the term before had read and not settled has been read again: an event
    /// of the same aggregate may be among it, and stands before those in the table.
    pub(super) fn has_releases(&self) -> bool {
        self.reread_upto.is_none() && self.aggregates_to_release() > 0
    }

    /// Takes in the first blocked events of the keys that [`releases`](Self::releases) gave for as many `aggregates`, at
    /// most `each` of one. Those that the subscription does not take any more die, for an operator to see.
    pub(super) fn released(
        &mut self,
        aggregates: usize,
        found: Vec<(Hold, Message)>,
        each: usize,
        takes: impl Fn(&str) -> bool,
    ) -> Vec<Death> {
        let mut counts = std::collections::HashMap::<OrderKey, usize>::new();
        let mut items = Vec::with_capacity(found.len());
        let mut deaths = Vec::new();
        for (hold, message) in found {
            let Some(key) = hold.aggregate.clone() else { continue };
            let lane = self.plan.lane_of((&key.0, &key.1));
            *counts.entry(key).or_default() += 1;
            if takes(&message.topic) {
                items.push(Item::on_hold(message, hold, Some(lane)));
            } else {
                deaths.push(self.refuse(&hold, &message));
            }
        }
        self.plan.released(aggregates, items, |lane| {
            lane.keys.iter().all(|key| counts.get(key).is_none_or(|count| *count < each))
        });
        deaths
    }

    /// A held event whose topic the subscription does not take any more dies, for an operator to see; its aggregate goes on.
    pub(super) fn refuse(&mut self, hold: &Hold, message: &Message) -> Death {
        let reason = format!("the subscription does not take topic `{}` any more", message.topic);
        if let Some((kind, id)) = &hold.aggregate {
            let id = self.plan.lane_of((kind, id));
            if hold.state == HoldState::Retry {
                self.plan.lane(id).retries = false;
            }
            self.plan.waits_for_flush(id);
        }
        self.copy_dead_letter(message, hold.attempts, &reason);
        let death = Death {
            seq: message.seq,
            id: message.id,
            event_type: message.event_type.clone(),
            attempts: hold.attempts,
            reason: reason.clone(),
        };
        let (state, due) = (HoldState::Dead, Due::Never);
        self.changes.hold(
            Origin::Hold,
            Hold { aggregate: None, state, due, last_error: Some(reason), ..hold.clone() },
        );
        death
    }

    /// What to store now.
    pub(super) fn take_flush(&mut self) -> Flush {
        let mut flush = self.progress.to_flush(Vec::new());
        self.changes.move_to(&mut flush);
        flush
    }

    /// A flush was stored.
    pub(super) fn flushed(&mut self) {
        self.progress.flushed();
        self.plan.flushed();
    }

    /// A flush was not stored, for certain: the same goes again.
    pub(super) fn not_flushed(&mut self, flush: Flush) {
        self.changes.take_back(flush);
    }

    /// Puts an event of the log on hold behind its aggregate.
    fn block(&mut self, lane: lane::LaneId, item: Item) {
        let Some(key) = item.held_as else { return };
        let state = self.plan.lane(lane);
        state.is_spilled = true;
        state.remember((*key).clone());
        self.plan.waits_for_flush(lane);
        let hold = fresh_hold(&item.message, Some(*key), HoldState::Blocked, Due::Never);
        self.changes.hold(Origin::Log, hold);
    }

    /// Puts what queues in a lane, but for the first `keep`, on hold; what is there already is forgotten. Gives the seqs
    /// of the latter.
    fn spill(&mut self, lane: lane::LaneId, keep: usize) -> Vec<Seq> {
        let mut forgotten = Vec::new();
        for item in self.plan.take_queue(lane, keep) {
            match item.origin {
                Origin::Log => {
                    let key = self.policy.order_key(&item.message);
                    self.block(lane, Item { held_as: key.map(Box::new), ..item });
                }
                Origin::Hold => {
                    forgotten.push(item.message.seq);
                    self.plan.lane(lane).is_spilled = true;
                }
            }
        }
        forgotten
    }

    fn settle(&mut self) {
        self.progress.settle(self.changes.settled.drain(..));
    }
}

#[cfg(test)]
impl Term {
    /// Held events in memory that are not in a batch, and those whose holds the next flush changes.
    fn known_holds(&self) -> std::collections::BTreeSet<Seq> {
        use crate::log::HoldChange;

        let changed = self.changes.holds.iter().map(|change| match change {
            HoldChange::Insert(hold) | HoldChange::Update(hold) => hold.seq,
            HoldChange::Delete(seq) => *seq,
        });
        let queued =
            self.plan.items().filter(|item| item.origin == Origin::Hold).map(|item| item.message.seq);
        changed.chain(queued).collect()
    }

    /// Checks that everything is counted once.
    fn check_counts(&self, in_flight: usize) {
        assert_eq!(
            self.plan.load().events,
            self.plan.items().count() + in_flight,
            "what is read and not settled"
        );
    }
}
