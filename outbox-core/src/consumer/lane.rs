//! Deliveries that are processed one after the other.
//!
//! Each group of a source is a lane, and so is each delivery without a group. A failure ends a lane: what waits
//! behind it is given back unprocessed, so that nothing overtakes.

use std::{
    collections::{HashSet, VecDeque},
    pin::pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use futures_util::future::join_all;
use tokio::{
    select,
    sync::{OwnedSemaphorePermit, mpsc},
    time::{MissedTickBehavior, interval_at, sleep},
};
use tokio_util::sync::CancellationToken;

use super::{
    InboxStore,
    broker::Broker,
    desk::{Desk, Parcel, Verdict},
};
use crate::source::{Receipt, Source};

/// What a lane works with.
pub(super) struct Tools<S, I: InboxStore> {
    pub(super) broker: Arc<Broker<S>>,
    pub(super) desk: Arc<Desk<I>>,
    pub(super) acks: mpsc::Sender<Receipt>,
    /// How long a handler may take.
    pub(super) handler_timeout: Duration,
    /// Nothing is begun any more.
    pub(super) draining: CancellationToken,
    /// What is still running is rolled back.
    pub(super) cut_off: CancellationToken,
}

/// A delivery with its share of the concurrency bound.
pub(super) struct Waiting {
    pub(super) parcel: Parcel,
    pub(super) _permit: Option<OwnedSemaphorePermit>,
}

/// The queue of a lane.
pub(super) struct Lane {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    waiting: VecDeque<Waiting>,
    /// The delivery that is being processed.
    current: Option<Receipt>,
    closed: bool,
}

impl Lane {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn starting_with(waiting: Vec<Waiting>) -> Self {
        Self { state: Mutex::new(State { waiting: waiting.into(), ..State::default() }) }
    }

    /// Queues deliveries, all or none: where the lane has ended it gives them back. One of them in another lane could
    /// overtake those in this.
    pub(super) fn extend(&self, waiting: Vec<Waiting>) -> Result<(), Vec<Waiting>> {
        let mut state = self.state();
        if state.closed {
            return Err(waiting);
        }
        state.waiting.extend(waiting);
        Ok(())
    }

    pub(super) fn is_closed(&self) -> bool {
        self.state().closed
    }

    /// The next delivery. Where there is none, the lane ends.
    fn next(&self) -> Option<Waiting> {
        let mut state = self.state();
        let next = state.waiting.pop_front();
        state.current = next.as_ref().map(|waiting| waiting.parcel.receipt.clone());
        state.closed = next.is_none();
        next
    }

    /// Ends the lane and gives what was waiting.
    fn close(&self) -> VecDeque<Waiting> {
        let mut state = self.state();
        state.closed = true;
        state.current = None;
        std::mem::take(&mut state.waiting)
    }

    /// The delivery being processed is settled: its visibility is not prolonged any more.
    fn settled(&self) {
        self.state().current = None;
    }

    fn outstanding(&self) -> Vec<Receipt> {
        let state = self.state();
        let waiting = state.waiting.iter().map(|waiting| &waiting.parcel.receipt);
        state.current.iter().chain(waiting).cloned().collect()
    }
}

/// Ends the lane whatever happens, so that a later delivery of its group begins a new one.
struct CloseOnDrop<'l>(&'l Lane);

impl Drop for CloseOnDrop<'_> {
    fn drop(&mut self) {
        self.0.close();
    }
}

impl<S: Source, I: InboxStore> Tools<S, I> {
    /// Works a lane off.
    pub(super) async fn work(self: Arc<Self>, lane: Arc<Lane>) {
        let _close = CloseOnDrop(&lane);
        // Both are polled by this task, so a handler is not held up by a heartbeat. The heartbeat that loses is
        // dropped: its only effect is a visibility that is about to be settled.
        select! {
            biased;
            () = self.drain(&lane) => {}
            () = self.heartbeat(&lane) => {}
        }
    }

    async fn drain(&self, lane: &Lane) {
        while let Some(Waiting { parcel, _permit }) = lane.next() {
            let verdict = if self.draining.is_cancelled() {
                Verdict::GiveBack(Duration::ZERO)
            } else {
                self.process(&parcel).await
            };
            lane.settled();
            match verdict {
                // The acknowledger outlives the lanes; were it gone, the message would come again.
                Verdict::Ack => drop(self.acks.send(parcel.receipt).await),
                Verdict::GiveBack(delay) => {
                    self.broker.nack(&parcel.receipt, delay).await;
                    for behind in lane.close() {
                        self.broker.nack(&behind.parcel.receipt, delay).await;
                    }
                }
            }
        }
    }

    async fn process(&self, parcel: &Parcel) -> Verdict {
        let mut process = pin!(self.desk.process(parcel));
        let mut timeout = pin!(sleep(self.handler_timeout));
        let mut warning = pin!(sleep(self.broker.visibility().unwrap_or(Duration::MAX)));
        let mut is_warned = false;
        loop {
            select! {
                biased;
                verdict = &mut process => return verdict,
                // Dropped, the handler's transaction is rolled back. A commit that was under way may have happened: the
                // message is not acknowledged, and the inbox knows it when it comes again.
                () = self.cut_off.cancelled() => {
                    tracing::warn!(id = parcel.id(), "a handler did not end in time for the shutdown; rolled back and given back");
                    return Verdict::GiveBack(Duration::ZERO);
                }
                // The same. It holds a transaction and its group, and may never end by itself.
                () = &mut timeout => return self.desk.timed_out(parcel, self.handler_timeout),
                () = &mut warning, if !is_warned => {
                    is_warned = true;
                    tracing::warn!(
                        id = parcel.id(), timeout = ?self.handler_timeout,
                        "a handler outlived the visibility of its message, which is prolonged until it ends or times out"
                    );
                }
            }
        }
    }

    /// Prolongs the visibility of everything in the lane, for as long as it is polled.
    async fn heartbeat(&self, lane: &Lane) {
        let Some(visibility) = self.broker.visibility() else { return std::future::pending().await };
        let third = (visibility / 3).max(Duration::from_millis(1));
        let mut beats = interval_at(tokio::time::Instant::now() + third, third);
        beats.set_missed_tick_behavior(MissedTickBehavior::Delay);
        // Deliveries that are no longer ours; asked for again, each would be an error of the broker.
        let mut lost = HashSet::new();
        loop {
            beats.tick().await;
            let mut ours = lane.outstanding();
            lost.retain(|receipt| ours.contains(receipt));
            ours.retain(|receipt| !lost.contains(receipt));
            let answers = join_all(ours.iter().map(|receipt| self.broker.extend(receipt, visibility))).await;
            lost.extend(
                ours.into_iter().zip(answers).filter(|(_, is_ours)| !is_ours).map(|(receipt, _)| receipt),
            );
        }
    }
}
