//! A batch is back: what follows from each verdict.

use rand::Rng;
use uuid::Uuid;

use super::{
    Term,
    batch::{Batch, Item, Origin},
    lane::LaneId,
    verdict::{Answer, BrokerSays, Verdict, judge},
};
use crate::{
    event::NewEvent,
    log::{Due, Hold, HoldState, Receipt},
    message::{Message, Seq, names},
    relay::policy::OnDead,
};

/// What a batch has led to.
#[derive(Debug)]
pub(in crate::relay) struct Landing {
    pub(in crate::relay) broker: BrokerSays,
    pub(in crate::relay) published: usize,
    /// How many events have failed and are tried again.
    pub(in crate::relay) retries: usize,
    pub(in crate::relay) deaths: Vec<Death>,
    /// Held events that were queueing and are only in the table again.
    pub(in crate::relay) forgotten: Vec<Seq>,
}

/// An event that will not be tried again without an operator.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::relay) struct Death {
    pub(in crate::relay) seq: Seq,
    pub(in crate::relay) id: Uuid,
    pub(in crate::relay) event_type: String,
    pub(in crate::relay) attempts: u32,
    pub(in crate::relay) reason: String,
}

impl Term {
    /// Takes a batch back with what the publisher said of it. Events of one aggregate keep their order, whatever it was.
    pub(in crate::relay) fn complete(
        &mut self,
        batch: Batch,
        answer: Answer,
        rng: &mut (impl Rng + ?Sized),
    ) -> Landing {
        // What nothing is known of goes behind the others: it does not keep them from going once more.
        let at_the_back = matches!(answer, Answer::Silence(_));
        let published_before = batch.published_before;
        let (verdicts, broker) = judge(&batch, answer, &self.policy, self.published, rng);
        let mut landing =
            Landing { broker, published: 0, retries: 0, deaths: Vec::new(), forgotten: Vec::new() };
        let mut unsent = Vec::new();
        // Of one lane, in order: those behind one that was not published. They stand side by side in the batch.
        let mut behind: Vec<Item> = Vec::new();
        let mut is_stuck = false;
        let mut items = batch.into_items().zip(verdicts).peekable();
        while let Some((mut item, verdict)) = items.next() {
            let lane = item.lane;
            if at_the_back {
                item.silent_since.get_or_insert(published_before);
            }
            match verdict {
                Verdict::Published { broker_id } => {
                    landing.published += 1;
                    self.publish(&item, broker_id);
                }
                // Whatever is said of it: it was not its turn.
                _ if is_stuck => behind.push(item),
                Verdict::Unsent => {
                    if lane.is_some() {
                        is_stuck = true;
                    }
                    unsent.push(item);
                }
                Verdict::Retry { after, reason } => {
                    landing.retries += 1;
                    is_stuck = lane.is_some();
                    let (state, due) = (HoldState::Retry, Due::After(after));
                    self.fail(item, state, due, reason);
                }
                Verdict::Dead { reason } => {
                    is_stuck = lane.is_some();
                    landing.deaths.push(Death::of(&item, &reason));
                    self.fail(item, HoldState::Dead, Due::Never, reason);
                }
            }
            if let Some(id) = lane
                && items.peek().is_none_or(|(next, _)| next.lane != lane)
            {
                let has_unsent = unsent.last().is_some_and(|last: &Item| last.lane == lane);
                self.leave(id, std::mem::take(&mut behind), has_unsent, &mut landing);
                is_stuck = false;
            }
        }
        self.plan.put_back(unsent, at_the_back);
        self.settle();
        landing
    }

    fn publish(&mut self, item: &Item, broker_id: Option<String>) {
        self.published += 1;
        self.plan.forget(&item.message);
        let seq = item.message.seq;
        self.changes.publish(item.origin, seq);
        if let Some(receipts) = self.policy.receipts {
            self.changes.receipts.push(Receipt { seq, broker_id, ack_within: receipts.ack_within });
        }
        if let (Some(id), Origin::Hold) = (item.lane, item.origin) {
            let lane = self.plan.lane(id);
            lane.retries = false;
            if lane.is_spilled {
                self.plan.waits_for_flush(id);
            }
        }
    }

    /// An event goes on hold, or back on hold, after an attempt.
    fn fail(&mut self, item: Item, state: HoldState, due: Due, reason: String) {
        self.plan.forget(&item.message);
        let Item { message, origin, lane, held_as, attempts, .. } = item;
        let key = match origin {
            Origin::Log => lane.and_then(|_| self.policy.order_key(&message)),
            Origin::Hold => held_as.map(|key| *key),
        };
        let is_dead = state == HoldState::Dead;
        if let Some((id, key)) = lane.zip(key.clone()) {
            let lane = self.plan.lane(id);
            lane.remember(key);
            lane.retries = !is_dead;
            if is_dead {
                lane.is_dead = self.policy.on_dead == OnDead::Block;
                lane.is_dying = true;
                self.plan.waits_for_flush(id);
            }
        }
        if is_dead {
            self.changes.is_urgent = true;
            self.copy_dead_letter(&message, attempts.saturating_add(1), &reason);
        }
        let aggregate = key.filter(|_| !is_dead || self.policy.on_dead == OnDead::Block);
        let hold = Hold {
            seq: message.seq,
            aggregate,
            state,
            attempts: attempts.saturating_add(1),
            due,
            last_error: Some(reason),
            replay: message.replay,
        };
        self.changes.hold(origin, hold);
    }

    /// No event of a lane is out any more, but for one that was not sent.
    fn leave(&mut self, id: LaneId, behind: Vec<Item>, has_unsent: bool, landing: &mut Landing) {
        let lane = self.plan.lane(id);
        for item in behind.into_iter().rev() {
            lane.queue.push_front(item);
        }
        if has_unsent {
            return;
        }
        lane.is_out = false;
        // A death that is skipped keeps the others for a moment only.
        if (lane.retries || lane.is_dead) && self.policy.spills() {
            landing.forgotten.extend(self.spill(id, 0));
        }
        self.plan.go_on(id);
    }

    /// A copy for the topic of dead letters, stored with the death.
    pub(super) fn copy_dead_letter(&mut self, message: &Message, attempts: u32, reason: &str) {
        // A copy is not copied: two subscriptions whose topics lead to one another would go on for ever.
        let is_copy = message.headers.get(names::DEAD_LETTER_ID).is_some();
        let topic = self.policy.dead_letter_topic.as_ref();
        let Some(topic) = topic.filter(|topic| !is_copy && **topic != message.topic) else { return };
        let mut headers = message.headers.clone();
        let reason = reason.chars().filter(|c| !c.is_control()).take(MAX_REASON_LEN).collect::<String>();
        headers.insert(names::DEAD_LETTER_ID, message.id.to_string());
        headers.insert(names::DEAD_LETTER_SUBSCRIPTION, self.subscription.as_str());
        headers.insert(names::DEAD_LETTER_ATTEMPTS, attempts.to_string());
        headers.insert(names::DEAD_LETTER_REASON, reason);
        self.changes.captured.push(NewEvent {
            id: Uuid::now_v7(),
            event_type: message.event_type.clone(),
            event_version: message.event_version,
            topic: topic.clone(),
            aggregate_type: message.aggregate_type.clone(),
            aggregate_id: message.aggregate_id.clone(),
            payload: message.payload.clone(),
            headers,
            deliver_at: None,
            occurred_at: message.occurred_at,
        });
    }
}

/// The most characters of a reason that travel with a dead letter.
const MAX_REASON_LEN: usize = 500;

impl Death {
    fn of(item: &Item, reason: &str) -> Self {
        Self {
            seq: item.message.seq,
            id: item.message.id,
            event_type: item.message.event_type.clone(),
            attempts: item.attempts.saturating_add(1),
            reason: reason.to_owned(),
        }
    }
}
