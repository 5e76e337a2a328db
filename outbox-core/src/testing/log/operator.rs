//! What operators do to a subscription, while it is led or not.

use uuid::Uuid;

use super::{
    MemoryLog,
    event_log::due_now,
    state::{StoredReceipt, StoredSubscription},
};
use crate::{
    log::{Due, Hold, HoldState, OrderKey, Ordering, Receipt, SubscriptionState},
    message::Seq,
};

impl MemoryLog {
    /// Pauses a subscription; its leader ends its term in good order when it reads next.
    pub fn pause(&self, subscription: &str) {
        self.intervene(subscription, |stored, _| stored.state = SubscriptionState::Paused);
    }

    /// Ends a pause.
    pub fn resume(&self, subscription: &str) {
        self.intervene(subscription, |stored, _| stored.state = SubscriptionState::Running);
    }

    /// Drops a subscription with all that is its own, led or not; `false` where there is none.
    pub fn drop_subscription(&self, subscription: &str) -> bool {
        let mut state = self.state();
        let dropped = state.subscriptions.remove(subscription).is_some();
        state.committed();
        dropped
    }

    /// Lets a dead event be tried again, with no attempt counted; it keeps its place in the order that it stops, if it
    /// stops one, and the id of the replay that it belongs to. `false` where it is not dead.
    pub fn requeue(&self, subscription: &str, seq: Seq) -> bool {
        self.intervene(subscription, |stored, now| {
            let Some(hold) = stored.holds.get_mut(&seq).filter(|hold| hold.state == HoldState::Dead) else {
                return false;
            };
            let (aggregate, replay) = (hold.aggregate.clone(), hold.replay);
            *hold = Hold { aggregate, replay, ..due_now(seq, HoldState::Retry, now) };
            true
        })
        .unwrap_or(false)
    }

    /// Gives a held event up; `false` where it is not held.
    pub fn discard(&self, subscription: &str, seq: Seq) -> bool {
        self.intervene(subscription, |stored, _| stored.holds.remove(&seq).is_some()).unwrap_or(false)
    }

    /// Lets settled events be published once more, in the order that the subscription's leader has told of, and gives
    /// their seqs. Those that are on hold or not settled are left alone.
    pub fn replay(&self, subscription: &str, seqs: &[Seq], replay: Option<Uuid>) -> Vec<Seq> {
        let mut state = self.state();
        let now = state.now();
        let rows: Vec<_> =
            seqs.iter().filter_map(|seq| Some((*seq, state.rows.get(seq)?.event.clone()?))).collect();
        let Some(stored) = state.subscription_mut(subscription) else { return Vec::new() };
        let ordering = stored.description.as_ref().map_or_else(Ordering::default, |told| told.ordering);
        let mut replayed = Vec::new();
        for (seq, event) in rows {
            let progress = &stored.progress;
            if seq > progress.position || progress.holes.contains(seq) || stored.holds.contains_key(&seq) {
                continue;
            }
            let key = match ordering {
                Ordering::Aggregate => {
                    event.aggregate_id.map(|id| (event.aggregate_type.unwrap_or_default(), id))
                }
                Ordering::Total => Some(OrderKey::default()),
                Ordering::None => None,
            };
            let hold = match key {
                None => due_now(seq, HoldState::Scheduled, now),
                Some(_) => Hold { due: Due::Never, ..due_now(seq, HoldState::Blocked, now) },
            };
            stored.holds.insert(seq, Hold { aggregate: key, replay, ..hold });
            // What was acknowledged was another delivery.
            if let Some(receipt) = stored.receipts.get_mut(&seq) {
                receipt.is_acknowledged = false;
            }
            replayed.push(seq);
        }
        stored.progress.interventions += 1;
        state.committed();
        replayed
    }

    /// A consumer acknowledges an event, which may be before the leader has stored that it was published. `false` where
    /// it has done so before, or there is no such event.
    pub fn acknowledge(&self, subscription: &str, seq: Seq) -> bool {
        let mut state = self.state();
        if !state.rows.contains_key(&seq) {
            return false;
        }
        let Some(stored) = state.subscription_mut(subscription) else { return false };
        let receipt = Receipt { seq, broker_id: None, ack_within: None };
        let unknown = StoredReceipt { receipt, ack_due: None, is_acknowledged: false };
        let receipt = stored.receipts.entry(seq).or_insert(unknown);
        receipt.ack_due = None;
        let is_new = !std::mem::replace(&mut receipt.is_acknowledged, true);
        state.committed();
        is_new
    }

    fn intervene<T>(
        &self,
        subscription: &str,
        change: impl FnOnce(&mut StoredSubscription, chrono::DateTime<chrono::Utc>) -> T,
    ) -> Option<T> {
        let mut state = self.state();
        let now = state.now();
        let stored = state.subscription_mut(subscription)?;
        stored.progress.interventions += 1;
        let answer = change(stored, now);
        state.committed();
        Some(answer)
    }
}
