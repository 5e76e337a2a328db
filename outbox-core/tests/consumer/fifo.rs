//! A queue that behaves as a FIFO queue of Amazon SQS does, with what goes wrong there on request.
//!
//! A receive gives up to ten, of one group as many as there are; nothing of a group is given while one of it is in
//! flight; what has been received too often is moved to the dead letters by the next receive.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};

use async_trait::async_trait;
use outbox_core::{
    message::ReceivedMessage,
    source::{Incoming, Receipt, Source, SourceError},
};
use tokio::{
    sync::Notify,
    time::{Instant, sleep, timeout_at},
};

/// How long a receive waits for a first message.
pub(crate) const LONG_POLL: Duration = Duration::from_secs(20);

/// How long a delivery stays invisible.
pub(crate) const VISIBILITY: Duration = Duration::from_secs(30);

/// A clone is the same queue.
#[derive(Clone, Default)]
pub(crate) struct Fifo {
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    state: Mutex<Seen>,
    changed: Notify,
}

/// What is in the queue, what was asked of it, and what it is to do wrong.
#[derive(Default)]
pub(crate) struct Seen {
    messages: BTreeMap<u32, Stored>,
    /// How long each request takes.
    pub(crate) round_trip: Duration,
    /// How often a message is received before it is moved away.
    pub(crate) max_receives: Option<u32>,
    /// How many of the next acknowledgements of an order are not taken.
    pub(crate) acks_to_refuse: BTreeMap<u32, u32>,
    /// How many of the next requests to acknowledge are not answered.
    pub(crate) acks_to_fail: u32,
    /// How many of the next receives are not answered.
    pub(crate) receives_to_fail: u32,
    /// No receive is answered any more, for a reason that waiting does not help against.
    pub(crate) is_refusing: bool,
    /// Each request to extend takes so long.
    pub(crate) extend_time: Duration,
    /// The orders that were moved away.
    pub(crate) dead: Vec<u32>,
    /// The most that each receive asked for, and when.
    pub(crate) asked: Vec<(Instant, usize)>,
    pub(crate) receiving: usize,
    pub(crate) most_receiving: usize,
    pub(crate) most_in_flight: usize,
    /// What each request to acknowledge named.
    pub(crate) acked: Vec<Vec<u32>>,
    /// What was given back, in that order, with its delay.
    pub(crate) given_back: Vec<(u32, Duration)>,
    /// What each request to extend named.
    pub(crate) extended: Vec<Vec<u32>>,
}

struct Stored {
    group: Option<String>,
    receives: u32,
    visible_at: Instant,
    in_flight: bool,
}

/// A receive that is under way.
struct Receiving<'f>(&'f Fifo);

impl Fifo {
    /// Puts an order into the queue, of a group or of none.
    pub(crate) fn put(&self, order: u32, group: Option<&str>) {
        let group = group.map(ToOwned::to_owned);
        let stored = Stored { group, receives: 0, visible_at: Instant::now(), in_flight: false };
        self.seen().messages.insert(order, stored);
        self.shared.changed.notify_waiters();
    }

    pub(crate) fn left(&self) -> usize {
        self.seen().messages.len()
    }

    /// Waits until no message is left, for an hour of moved time at most.
    pub(crate) async fn dry(&self) {
        for _ in 0..3_600_000 {
            if self.left() == 0 {
                return;
            }
            sleep(Duration::from_millis(1)).await;
        }
        panic!("expected an empty queue, found {} messages", self.left());
    }

    pub(crate) fn seen(&self) -> MutexGuard<'_, Seen> {
        self.shared.state.lock().expect("nothing panics with the lock held")
    }

    fn take(&self, max: usize) -> Vec<Incoming> {
        let mut seen = self.seen();
        let now = Instant::now();
        let Seen { messages, dead, max_receives, .. } = &mut *seen;
        let is_out = |stored: &Stored| stored.visible_at > now;
        messages.values_mut().for_each(|stored| stored.in_flight = is_out(stored));
        let worn_out: Vec<u32> = messages
            .iter()
            .filter(|(_, stored)| !is_out(stored) && max_receives.is_some_and(|max| stored.receives >= max))
            .map(|(order, _)| *order)
            .collect();
        for order in worn_out {
            messages.remove(&order);
            dead.push(order);
        }
        let locked: BTreeSet<String> = messages
            .values()
            .filter(|stored| is_out(stored))
            .filter_map(|stored| stored.group.clone())
            .collect();
        let mut taken = Vec::new();
        // As many as there are of the group whose turn it is, then those of the next.
        let mut groups: Vec<Option<String>> = Vec::new();
        for stored in messages.values() {
            if !groups.contains(&stored.group) {
                groups.push(stored.group.clone());
            }
        }
        for group in groups {
            if group.as_ref().is_some_and(|group| locked.contains(group)) {
                continue;
            }
            let of_group = messages.iter_mut().filter(|(_, stored)| stored.group == group && !is_out(stored));
            for (order, stored) in of_group.take(max.min(10) - taken.len()) {
                stored.receives += 1;
                stored.visible_at = now + VISIBILITY;
                stored.in_flight = true;
                let body = format!(r#"{{"order_id":{order}}}"#);
                taken.push(Incoming {
                    receipt: Receipt(format!("{order}/{}", stored.receives).into()),
                    broker_id: None,
                    attempt: stored.receives,
                    group: stored.group.clone(),
                    message: Ok(ReceivedMessage::new("/shop", order.to_string(), "order.placed", body)),
                });
            }
        }
        let in_flight = seen.messages.values().filter(|stored| stored.in_flight).count();
        seen.most_in_flight = seen.most_in_flight.max(in_flight);
        taken
    }

    /// When the next message becomes visible.
    fn next_visible(&self) -> Option<Instant> {
        let now = Instant::now();
        self.seen().messages.values().map(|stored| stored.visible_at).filter(|at| *at > now).min()
    }

    async fn round_trip(&self) {
        let time = self.seen().round_trip;
        sleep(time).await;
    }
}

impl Seen {
    /// The message of a delivery that is still out.
    fn out(&mut self, receipt: &Receipt) -> Option<(u32, &mut Stored)> {
        let (order, receives) = parse(receipt);
        let stored = self.messages.get_mut(&order)?;
        (stored.receives == receives && stored.visible_at > Instant::now()).then_some((order, stored))
    }
}

/// The order that a receipt names, and which receive of it.
fn parse(receipt: &Receipt) -> (u32, u32) {
    let (order, receives) = receipt.0.split_once('/').expect("a receipt of ours");
    (order.parse().expect("an order"), receives.parse().expect("a number"))
}

fn unavailable() -> SourceError {
    SourceError::Unavailable { reason: "away on purpose".into(), source: None }
}

impl Drop for Receiving<'_> {
    fn drop(&mut self) {
        self.0.seen().receiving -= 1;
    }
}

#[async_trait]
impl Source for Fifo {
    async fn receive(&self, max: usize) -> Result<Vec<Incoming>, SourceError> {
        {
            let mut seen = self.seen();
            seen.asked.push((Instant::now(), max));
            seen.receiving += 1;
            seen.most_receiving = seen.most_receiving.max(seen.receiving);
        }
        let _receiving = Receiving(self);
        self.round_trip().await;
        {
            let mut seen = self.seen();
            if seen.is_refusing {
                return Err(SourceError::Refused("refused on purpose".into()));
            }
            if seen.receives_to_fail > 0 {
                seen.receives_to_fail -= 1;
                return Err(unavailable());
            }
        }
        let end = Instant::now() + LONG_POLL;
        loop {
            let changed = self.shared.changed.notified();
            let taken = self.take(max);
            if !taken.is_empty() || Instant::now() >= end {
                return Ok(taken);
            }
            let until = self.next_visible().map_or(end, |at| at.min(end));
            // Whichever ends the wait, the next turn looks again.
            let _ = timeout_at(until, changed).await;
        }
    }

    async fn ack(&self, receipts: &[Receipt]) -> Result<Vec<Receipt>, SourceError> {
        self.round_trip().await;
        let mut seen = self.seen();
        let named = receipts.iter().map(|receipt| parse(receipt).0).collect();
        seen.acked.push(named);
        if seen.acks_to_fail > 0 {
            seen.acks_to_fail -= 1;
            return Err(unavailable());
        }
        let mut left = Vec::new();
        for receipt in receipts {
            let (order, _) = parse(receipt);
            let refused = seen.acks_to_refuse.get_mut(&order).filter(|refusals| **refusals > 0);
            if let Some(refusals) = refused {
                *refusals -= 1;
                left.push(receipt.clone());
            } else if seen.out(receipt).is_some() {
                seen.messages.remove(&order);
            } else {
                left.push(receipt.clone());
            }
        }
        drop(seen);
        self.shared.changed.notify_waiters();
        Ok(left)
    }

    async fn nack(&self, receipt: &Receipt, delay: Duration) -> Result<(), SourceError> {
        self.round_trip().await;
        let mut seen = self.seen();
        if let Some((order, stored)) = seen.out(receipt) {
            stored.visible_at = Instant::now() + delay;
            seen.given_back.push((order, delay));
        }
        drop(seen);
        self.shared.changed.notify_waiters();
        Ok(())
    }

    async fn extend(&self, receipt: &Receipt, _: Duration) -> Result<bool, SourceError> {
        panic!("expected one call for all, found one for {}", receipt.0)
    }

    async fn extend_all(
        &self,
        receipts: &[Receipt],
        visibility: Duration,
    ) -> Result<Vec<Receipt>, SourceError> {
        let time = {
            let mut seen = self.seen();
            seen.extended.push(receipts.iter().map(|receipt| parse(receipt).0).collect());
            seen.extend_time
        };
        sleep(time).await;
        let mut seen = self.seen();
        let mut lost = Vec::new();
        for receipt in receipts {
            match seen.out(receipt) {
                Some((_, stored)) => stored.visible_at = Instant::now() + visibility,
                None => lost.push(receipt.clone()),
            }
        }
        Ok(lost)
    }

    fn visibility(&self) -> Option<Duration> {
        Some(VISIBILITY)
    }
}
