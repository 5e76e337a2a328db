//! Deliveries that are processed one after the other.
//!
//! Each group of a source is a lane, and so is each delivery without a group. A failure ends a lane: what waits
//! behind it is given back unprocessed, so that nothing overtakes.

use std::{
    collections::VecDeque,
    pin::pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::{
    select,
    sync::{OwnedSemaphorePermit, mpsc},
    time::{Instant, sleep},
};
use tokio_util::sync::CancellationToken;

use super::{
    InboxStore,
    broker::Broker,
    comeback::Comebacks,
    desk::{Desk, Parcel, Verdict},
    heartbeat::{Held, Hold},
};
use crate::source::{Receipt, Source};

/// The longest delay of a message that comes again: some 100 years. Longer ones lead past the end of the clock, and no
/// broker keeps a message for so long.
const LONGEST_DELAY: Duration = Duration::from_secs(100 * 365 * 24 * 3_600);

/// What a lane works with.
pub(super) struct Tools<S, I: InboxStore> {
    pub(super) broker: Arc<Broker<S>>,
    pub(super) desk: Arc<Desk<I>>,
    pub(super) acks: mpsc::Sender<Receipt>,
    /// What is kept invisible to others.
    pub(super) held: Arc<Held>,
    /// Groups of which one failed.
    pub(super) comebacks: Comebacks,
    /// How long a handler may take.
    pub(super) handler_timeout: Duration,
    /// Nothing is begun any more.
    pub(super) draining: CancellationToken,
    /// What is still running is rolled back.
    pub(super) cut_off: CancellationToken,
}

/// A delivery that is kept invisible to others, with its share of the concurrency bound.
pub(super) struct Waiting {
    pub(super) parcel: Parcel,
    pub(super) hold: Hold,
    pub(super) _permit: Option<OwnedSemaphorePermit>,
}

/// The queue of a lane.
pub(super) struct Lane {
    /// Its group, where it is one's.
    group: Option<String>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    waiting: VecDeque<Waiting>,
    closed: bool,
}

impl Lane {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn starting_with(group: Option<String>, waiting: Vec<Waiting>) -> Self {
        Self { group, state: Mutex::new(State { waiting: waiting.into(), ..State::default() }) }
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
        state.closed = next.is_none();
        next
    }

    /// Ends the lane and gives what was waiting.
    fn close(&self) -> VecDeque<Waiting> {
        let mut state = self.state();
        state.closed = true;
        std::mem::take(&mut state.waiting)
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
        while let Some(Waiting { parcel, hold, _permit }) = lane.next() {
            let verdict = if self.draining.is_cancelled() {
                Verdict::GiveBack(Duration::ZERO)
            } else {
                self.process(&parcel).await
            };
            match verdict {
                Verdict::Ack => {
                    if let Some(group) = &lane.group {
                        self.comebacks.passed(group);
                    }
                    // Deleted, it cannot be prolonged: a call that is under way does no harm.
                    drop(hold);
                    // The acknowledger outlives the lanes; were it gone, the message would come again.
                    let _ = self.acks.send(parcel.receipt).await;
                }
                Verdict::GiveBack(delay) => {
                    let delay = delay.min(LONGEST_DELAY);
                    if let Some(group) = &lane.group {
                        self.comebacks.failed(group, Instant::now() + delay);
                    }
                    // From here on what comes begins a lane of its own. It may come before the broker's answer to its
                    // return: thrown into this lane it would be given back unhandled.
                    let behind = lane.close();
                    self.give_back(&parcel.receipt, hold, delay).await;
                    for Waiting { parcel, hold, _permit } in behind {
                        self.give_back(&parcel.receipt, hold, delay).await;
                    }
                    if let Some(group) = &lane.group {
                        // The last that was given back locks the group for the longest.
                        self.comebacks.postponed(group, Instant::now() + delay);
                    }
                }
            }
        }
    }

    async fn give_back(&self, receipt: &Receipt, hold: Hold, delay: Duration) {
        hold.end().await;
        self.broker.nack(receipt, delay).await;
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
}
