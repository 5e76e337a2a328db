//! A receiver: takes places, asks the source, and waits where there is nothing to be had.
//!
//! Several of them ask at the same time. What they share is the room, so that never more is held than may be, and the
//! probe: while the inbox's database is away, one of them asks for one message.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use futures_util::FutureExt as _;
use tokio::{
    select,
    sync::{OwnedSemaphorePermit, Semaphore, SemaphorePermit},
    time::{Instant, sleep, timeout_at},
};

use super::{InboxStore, backoff, comeback::LastAnswer, lane::Tools};
use crate::source::{Incoming, Source, SourceError};

/// The most that a source is asked for at once.
const MAX_RECEIVE: usize = 100;

/// A request that brings so many is worth its price: brokers give ten at once.
const WORTH_A_REQUEST: usize = 10;

/// How long a free place waits for others before a source is asked with fewer than are worth it.
const GATHER: Duration = Duration::from_millis(20);

/// So long after an empty answer: a source without a long poll must not be asked in a tight loop.
const IDLE: Duration = Duration::from_millis(20);

/// What came with one answer, and a place for each that was asked for.
pub(super) struct Batch {
    pub(super) incoming: Vec<Incoming>,
    pub(super) permits: Vec<OwnedSemaphorePermit>,
    /// What the answer tells its receiver.
    pub(super) last: LastAnswer,
}

/// What the receivers share.
pub(super) struct Receivers<S, I: InboxStore> {
    tools: Arc<Tools<S, I>>,
    room: Arc<Semaphore>,
    /// The most places that a request of one of them may take, so that one that waits for its answer keeps none of the
    /// others from asking.
    share: usize,
    /// Who has it asks while the database is away.
    probe: Semaphore,
    /// Counted here: handlers that failed side by side are one outage.
    probes: AtomicU32,
}

impl<S: Source, I: InboxStore> Receivers<S, I> {
    pub(super) fn new(tools: Arc<Tools<S, I>>, receivers: usize, concurrency: usize) -> Self {
        Self {
            tools,
            room: Arc::new(Semaphore::new(concurrency)),
            share: (concurrency / receivers).clamp(1, MAX_RECEIVE),
            probe: Semaphore::new(1),
            probes: AtomicU32::new(0),
        }
    }

    /// Asks until something comes; ends otherwise only where the source says that waiting does not help. A source that
    /// is away for one receiver is waited for by that one. `last` is the last answer to it.
    pub(super) async fn receive(&self, mut last: LastAnswer) -> Result<Batch, SourceError> {
        let mut failures = 0;
        loop {
            let (mut permits, probe) = self.places().await;
            if self.tools.draining.is_cancelled() {
                // What would be received now would only be given back.
                return std::future::pending().await;
            }
            let asked = Instant::now();
            if self.tools.comebacks.is_alone(asked, last) {
                permits.truncate(1);
            }
            let answer = self.tools.broker.receive(permits.len()).await;
            let came = answer.as_ref().map_or(0, |incoming| self.came(incoming));
            last = LastAnswer::new(asked.elapsed(), came, permits.len(), WORTH_A_REQUEST);
            match answer {
                Err(refused @ SourceError::Refused(_)) => return Err(refused),
                answer => match self.tools.broker.received(answer) {
                    Ok(incoming) if incoming.is_empty() => {
                        failures = 0;
                        self.in_vain(probe.as_ref());
                        drop((permits, probe));
                        sleep(IDLE).await;
                    }
                    Ok(incoming) => return Ok(Batch { incoming, permits, last }),
                    Err(_) => {
                        failures += 1;
                        self.in_vain(probe.as_ref());
                        drop((permits, probe));
                        sleep(backoff::outage(failures)).await;
                    }
                },
            }
        }
    }

    /// How many came that tell of a backlog: none where one of them was awaited, for the request may have waited for it
    /// and for those behind it.
    fn came(&self, incoming: &[Incoming]) -> usize {
        let is_awaited =
            |one: &Incoming| one.group.as_ref().is_some_and(|group| self.tools.comebacks.is_known(group));
        if incoming.iter().any(is_awaited) { 0 } else { incoming.len() }
    }

    /// A probe to which nothing came did not reach the database.
    fn in_vain(&self, probe: Option<&SemaphorePermit<'_>>) {
        if probe.is_some() {
            self.tools.desk.database.missed();
        }
    }

    /// The places to ask for. While the database is away, one message at a time finds out when it is back: each one
    /// that is received in vain spends a delivery of the broker's redrive policy. A probe that did not reach the database
    /// says nothing about it and spends nothing: it does not count, and the next one goes out at once.
    async fn places(&self) -> (Vec<OwnedSemaphorePermit>, Option<SemaphorePermit<'_>>) {
        let database = &self.tools.desk.database;
        loop {
            let mut permits = permits(&self.room, self.share).await;
            if database.is_up() {
                self.probes.store(0, Ordering::Relaxed);
                // Told by the last message of an outage, it is not to hurry the first probe of the next.
                let _ = database.until_missed().now_or_never();
                return (permits, None);
            }
            permits.truncate(1);
            let probe = select! {
                biased;
                () = database.until_up() => continue,
                probe = self.probe.acquire() => probe.expect("the semaphore is never closed"),
            };
            let probes = self.probes.fetch_add(1, Ordering::Relaxed).saturating_add(1);
            select! {
                biased;
                () = database.until_missed() => {
                    self.probes.fetch_sub(1, Ordering::Relaxed);
                }
                () = sleep(backoff::outage(probes)) => {}
            }
            return (permits, Some(probe));
        }
    }
}

/// One permit at least, and as many more as are free, or become free within a moment, up to what is worth a request.
/// Where nothing is being worked off, all are free and nothing is waited for.
async fn permits(room: &Arc<Semaphore>, share: usize) -> Vec<OwnedSemaphorePermit> {
    let acquire = || async { Arc::clone(room).acquire_owned().await.expect("the semaphore is never closed") };
    let mut permits = vec![acquire().await];
    let worth_it = (share / 2).clamp(1, WORTH_A_REQUEST);
    let moment = Instant::now() + GATHER;
    while permits.len() < worth_it
        && let Ok(permit) = timeout_at(moment, acquire()).await
    {
        permits.push(permit);
    }
    while permits.len() < share
        && let Ok(permit) = Arc::clone(room).try_acquire_owned()
    {
        permits.push(permit);
    }
    permits
}
