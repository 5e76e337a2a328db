//! What a consumer holds of the broker's deliveries, and how it keeps them invisible to others.
//!
//! One heartbeat prolongs all of them, many with one call, however many lanes they wait in. A delivery that is about
//! to be given back is taken out first, and a call that names it is waited for: had the broker it the other way round,
//! the message would stay away for a whole visibility instead of its delay, and with it its group.

use std::{
    collections::{BTreeMap, HashSet},
    pin::pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use futures_util::stream::{FuturesUnordered, StreamExt as _};
use tokio::{
    select,
    sync::Notify,
    time::{Instant, MissedTickBehavior, interval_at},
};

use super::broker::Broker;
use crate::source::{Receipt, Source};

/// The most deliveries prolonged with one call. Sources split them as their broker wants it.
const MAX_EXTEND: usize = 100;

/// The deliveries that are held.
#[derive(Debug, Default)]
pub(super) struct Held {
    state: Mutex<State>,
    /// A call was answered.
    answered: Notify,
}

#[derive(Debug, Default)]
struct State {
    /// By a number of our own, from the oldest on.
    deliveries: BTreeMap<u64, Entry>,
    last_number: u64,
}

#[derive(Debug)]
struct Entry {
    receipt: Receipt,
    /// When it is to be prolonged.
    due: Instant,
    /// A call that prolongs it is under way.
    is_called: bool,
    /// It is about to be given back: no further call names it.
    is_ending: bool,
}

/// One delivery that is held. Dropped, it is prolonged no more, but for a call that is under way.
#[derive(Debug)]
pub(super) struct Hold {
    held: Arc<Held>,
    number: u64,
}

impl Held {
    /// Holds a delivery that has just come in.
    pub(super) fn hold(self: &Arc<Self>, receipt: Receipt, visibility: Option<Duration>) -> Hold {
        let mut state = self.state();
        state.last_number += 1;
        let number = state.last_number;
        if let Some(visibility) = visibility {
            let entry =
                Entry { receipt, due: Instant::now() + visibility / 3, is_called: false, is_ending: false };
            state.deliveries.insert(number, entry);
        }
        drop(state);
        Hold { held: Arc::clone(self), number }
    }

    /// Prolongs what is held after a third of its visibility, for as long as it is polled. What the broker does not
    /// answer for is asked for again after a sixth.
    pub(super) async fn beat<S: Source>(&self, broker: &Broker<S>) {
        let Some(visibility) = broker.visibility() else { return std::future::pending().await };
        // Those that come due within a moment go together; none goes later than after its third.
        let moment = (visibility / 12).max(Duration::from_millis(1));
        let mut beats = interval_at(Instant::now() + moment, moment);
        beats.set_missed_tick_behavior(MissedTickBehavior::Delay);
        // A call that hangs holds up none of the others.
        let mut calls = FuturesUnordered::new();
        loop {
            select! {
                _ = beats.tick() => {
                    let due = self.take_due(Instant::now() + moment);
                    calls.extend(due.chunks(MAX_EXTEND).map(|due| self.prolong(broker, visibility, due.to_vec())));
                }
                Some(()) = calls.next() => {}
            }
        }
    }

    async fn prolong<S: Source>(&self, broker: &Broker<S>, visibility: Duration, due: Vec<(u64, Receipt)>) {
        let asked = Instant::now();
        let (numbers, receipts): (Vec<_>, Vec<_>) = due.into_iter().unzip();
        let lost = broker.extend_all(&receipts, visibility).await;
        let mut state = self.state();
        match lost {
            Some(lost) => {
                let lost: HashSet<_> = lost.iter().collect();
                for (number, receipt) in numbers.iter().zip(&receipts) {
                    if lost.contains(receipt) {
                        // Asked for again, it would be an error of the broker.
                        state.deliveries.remove(number);
                    } else {
                        state.answered(*number, asked + visibility / 3);
                    }
                }
            }
            None => numbers.iter().for_each(|number| state.answered(*number, asked + visibility / 6)),
        }
        drop(state);
        self.answered.notify_waiters();
    }

    /// Those that are due until then, to be named in a call.
    fn take_due(&self, until: Instant) -> Vec<(u64, Receipt)> {
        let mut state = self.state();
        let is_due = |entry: &Entry| !entry.is_called && !entry.is_ending && entry.due <= until;
        let due = state.deliveries.iter_mut().filter(|(_, entry)| is_due(entry));
        due.map(|(number, entry)| {
            entry.is_called = true;
            (*number, entry.receipt.clone())
        })
        .collect()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Nothing in here panics half-way through a change.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn answered(&mut self, number: u64, due: Instant) {
        if let Some(entry) = self.deliveries.get_mut(&number) {
            entry.due = due;
            entry.is_called = false;
        }
    }

    /// Holds a delivery no more, or where a call that names it is under way, after that.
    fn release(&mut self, number: u64) -> bool {
        match self.deliveries.get_mut(&number) {
            Some(entry) if entry.is_called => {
                entry.is_ending = true;
                false
            }
            _ => {
                self.deliveries.remove(&number);
                true
            }
        }
    }
}

impl Hold {
    /// Ends it, once no call that prolongs it is under way any more. Calls are answered or given up in time.
    pub(super) async fn end(self) {
        loop {
            let mut answered = pin!(self.held.answered.notified());
            // From here on no answer is missed.
            answered.as_mut().enable();
            if self.held.state().release(self.number) {
                return;
            }
            answered.await;
        }
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        self.held.state().deliveries.remove(&self.number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const VISIBILITY: Duration = Duration::from_secs(30);

    #[tokio::test(start_paused = true)]
    async fn no_further_call_names_what_is_about_to_be_given_back() {
        let held = Arc::<Held>::default();
        let hold = held.hold(Receipt("1".into()), Some(VISIBILITY));
        let later = Instant::now() + VISIBILITY * 10;
        assert_eq!(held.take_due(later), [(hold.number, Receipt("1".into()))]);
        assert!(held.take_due(later).is_empty(), "a call is under way");
        assert!(!held.state().release(hold.number), "it is waited for");
        held.state().answered(hold.number, Instant::now());
        assert!(held.take_due(later).is_empty(), "it is about to be given back");
        hold.end().await;
        assert!(held.state().deliveries.is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_dropped_is_held_no_more_and_a_broker_that_keeps_it_for_us_is_not_called() {
        let held = Arc::<Held>::default();
        let later = Instant::now() + VISIBILITY * 10;
        drop(held.hold(Receipt("1".into()), Some(VISIBILITY)));
        let kept = held.hold(Receipt("2".into()), None);
        assert!(held.take_due(later).is_empty());
        kept.end().await;
    }
}
