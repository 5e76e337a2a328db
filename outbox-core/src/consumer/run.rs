//! The loop of a consumer: receive, hand out, drain.

use std::{collections::HashMap, pin::pin, sync::Arc, time::Duration};

use tokio::{
    select,
    sync::{OwnedSemaphorePermit, Semaphore, mpsc},
    task::{JoinError, JoinSet},
    time::{Instant, sleep, timeout, timeout_at},
};
use tokio_util::sync::CancellationToken;

use super::{
    Consumer, ConsumerError, ConsumerReport, InboxStore, backoff,
    broker::Broker,
    desk::{Desk, Parcel},
    health::Health,
    lane::{Lane, Tools, Waiting},
    report::Counters,
    seen::Seen,
};
use crate::{
    source::{Incoming, Receipt, Source, SourceError},
    telemetry::ConsumerMeter,
};

/// How long cut-off handlers may take to give their messages back, and the last acknowledgements to go out.
const LAST_WORDS: Duration = Duration::from_secs(10);

/// The most receipts acknowledged with one call. Sources split it as their broker wants it.
const MAX_ACKS: usize = 100;

/// The most that a source is asked for at once.
const MAX_RECEIVE: usize = 100;

/// A request that brings or takes so many is worth its price: brokers take ten at once.
const WORTH_A_REQUEST: usize = 10;

/// How long a free place waits for others before a source is asked with fewer than are worth it.
const GATHER_PLACES: Duration = Duration::from_millis(20);

/// How long an acknowledgement waits for others.
const GATHER_ACKS: Duration = Duration::from_millis(10);

/// The most that a consumer may hold at once.
const MAX_CONCURRENCY: usize = 65_536;

/// So long after an empty answer: a source without a long poll must not be asked in a tight loop.
const IDLE: Duration = Duration::from_millis(20);

impl<S: Source, I: InboxStore> Consumer<S, I> {
    /// Runs until `shutdown` resolves: then nothing more is begun, what runs may end within the
    /// [drain timeout](Self::drain_timeout), and what waits is given back.
    ///
    /// # Errors
    /// What keeps it from working at all: no handler, two for the same event, an inbox that forgets too early, a
    /// source that cannot work as it is configured. A broker or a database that is away is waited for.
    ///
    /// # Cancel safety
    /// Dropping the future rolls running handlers back. Their messages come again when their visibility ends.
    pub async fn run_until(
        self,
        shutdown: impl Future<Output = ()>,
    ) -> Result<ConsumerReport, ConsumerError> {
        self.routes.check()?;
        if !(1..=MAX_CONCURRENCY).contains(&self.concurrency) {
            return Err(ConsumerError::Setting {
                setting: "concurrency",
                least: 1,
                most: MAX_CONCURRENCY,
                found: self.concurrency,
            });
        }
        if self.handler_timeout.is_zero() {
            return Err(ConsumerError::NoTimeToHandle);
        }
        let mut shutdown = pin!(shutdown);
        let broker = Broker::new(self.source);
        let meter = ConsumerMeter::new(self.inbox.name());
        let desk = Arc::new(Desk {
            system: broker.system(),
            destination: broker.destination().map(ToOwned::to_owned),
            inbox: self.inbox,
            routes: self.routes,
            unknown: self.unknown,
            retry: self.retry,
            counters: Counters::new(meter),
            database: Health::of("the inbox's database"),
            told: Seen::default(),
        });
        let started = select! {
            biased;
            // Nothing has been received yet.
            () = &mut shutdown => None,
            retention = start(&broker) => Some(retention?),
        };
        let Some(retention) = started else { return Ok(desk.counters.report()) };
        check_window(desk.inbox.window(), retention)?;

        let (acks, receipts) = mpsc::channel(self.concurrency);
        let mut acknowledger = JoinSet::new();
        acknowledger.spawn(acknowledge(Arc::clone(&broker), receipts));
        let mut hall = Hall {
            tools: Arc::new(Tools {
                broker,
                desk: Arc::clone(&desk),
                acks,
                handler_timeout: self.handler_timeout,
                draining: CancellationToken::new(),
                cut_off: CancellationToken::new(),
            }),
            lanes: JoinSet::new(),
            groups: HashMap::new(),
        };
        let ended = select! {
            biased;
            // A receive that is dropped loses nothing: what it got comes again.
            () = &mut shutdown => Ok(()),
            error = hall.receive(self.concurrency) => Err(ConsumerError::Source(error)),
        };
        hall.drain(self.drain_timeout).await;
        // The lanes have ended and with them all senders: the last acknowledgements go out.
        drop(hall);
        if timeout(LAST_WORDS, acknowledger.join_all()).await.is_err() {
            tracing::warn!("the source did not take the last acknowledgements; duplicates will come");
        }
        ended.map(|()| desk.counters.report())
    }
}

/// Starts the source and asks how long it keeps messages. One that is away is waited for.
async fn start<S: Source>(broker: &Broker<S>) -> Result<Option<Duration>, ConsumerError> {
    loop {
        match broker.start().await {
            Err(refused @ SourceError::Refused(_)) => return Err(ConsumerError::Source(refused)),
            answer => match broker.received(answer) {
                Ok(retention) => return Ok(retention),
                Err(failures) => sleep(backoff::outage(failures)).await,
            },
        }
    }
}

fn check_window(window: Option<Duration>, retention: Option<Duration>) -> Result<(), ConsumerError> {
    match (window, retention) {
        (Some(window), Some(retention)) if window < retention => {
            Err(ConsumerError::WindowTooShort { window, retention })
        }
        _ => Ok(()),
    }
}

/// Acknowledges what was committed, as many at once as came together while the last call ran or within a moment.
async fn acknowledge<S: Source>(broker: Arc<Broker<S>>, mut receipts: mpsc::Receiver<Receipt>) {
    let mut batch = Vec::with_capacity(MAX_ACKS);
    while receipts.recv_many(&mut batch, MAX_ACKS).await > 0 {
        let others = async {
            while batch.len() < WORTH_A_REQUEST && receipts.recv_many(&mut batch, MAX_ACKS).await > 0 {}
        };
        // Where the time is over, what came so far is in the batch.
        let _ = timeout(GATHER_ACKS, others).await;
        broker.ack(&batch).await;
        batch.clear();
    }
}

/// The lanes that are being worked off.
struct Hall<S, I: InboxStore> {
    tools: Arc<Tools<S, I>>,
    lanes: JoinSet<()>,
    groups: HashMap<String, Arc<Lane>>,
}

impl<S: Source, I: InboxStore> Hall<S, I> {
    /// Receives and hands out for ever; ends where the source says that waiting does not help.
    async fn receive(&mut self, concurrency: usize) -> SourceError {
        let room = Arc::new(Semaphore::new(concurrency));
        let mut probes = 0;
        loop {
            let mut permits = permits(&room, concurrency).await;
            if self.tools.desk.database.is_up() {
                probes = 0;
            } else {
                // Counted here: handlers that failed side by side are one outage.
                probes += 1;
                sleep(backoff::outage(probes)).await;
                // While the database is away, one message at a time finds out when it is back: each one that is
                // received in vain spends a delivery of the broker's redrive policy.
                permits.truncate(1);
            }
            while let Some(ended) = self.lanes.try_join_next() {
                report_lost(ended);
            }
            self.groups.retain(|_, lane| !lane.is_closed());
            match self.tools.broker.receive(permits.len()).await {
                Err(refused @ SourceError::Refused(_)) => return refused,
                answer => match self.tools.broker.received(answer) {
                    Ok(batch) if batch.is_empty() => sleep(IDLE).await,
                    Ok(batch) => self.hand_out(batch, permits),
                    Err(failures) => sleep(backoff::outage(failures)).await,
                },
            }
        }
    }

    /// Puts deliveries into the lanes of their groups: those of a group all into the same, for a lane that ends at the
    /// first of them gives the others back.
    fn hand_out(&mut self, batch: Vec<Incoming>, mut permits: Vec<OwnedSemaphorePermit>) {
        let mut lanes: Vec<(Option<String>, Vec<Waiting>)> = Vec::new();
        let mut of_group = HashMap::new();
        for Incoming { receipt, broker_id, attempt, group, message } in batch {
            let parcel =
                Parcel { receipt, broker_id, attempt: attempt.max(1), message: message.map(Arc::new) };
            let waiting = Waiting { parcel, _permit: permits.pop() };
            let known = group.as_ref().and_then(|group| of_group.get(group).copied());
            if let Some((_, lane)) = known.and_then(|place: usize| lanes.get_mut(place)) {
                lane.push(waiting);
                continue;
            }
            if let Some(group) = &group {
                of_group.insert(group.clone(), lanes.len());
            }
            lanes.push((group, vec![waiting]));
        }
        for (group, waiting) in lanes {
            self.begin_lane(group, waiting);
        }
    }

    /// Puts deliveries behind those of their group that are being worked off, and where there are none begins a lane.
    fn begin_lane(&mut self, group: Option<String>, mut waiting: Vec<Waiting>) {
        if let Some(lane) = group.as_ref().and_then(|group| self.groups.get(group)) {
            match lane.extend(waiting) {
                Ok(()) => return,
                Err(back) => waiting = back,
            }
        }
        let lane = Arc::new(Lane::starting_with(waiting));
        if let Some(group) = group {
            self.groups.insert(group, Arc::clone(&lane));
        }
        self.lanes.spawn(Arc::clone(&self.tools).work(lane));
    }

    /// Lets running handlers end, gives back what waits, and after `patience` rolls back what still runs.
    async fn drain(&mut self, patience: Duration) {
        self.tools.draining.cancel();
        if timeout(patience, self.join()).await.is_ok() {
            return;
        }
        self.tools.cut_off.cancel();
        if timeout(LAST_WORDS, self.join()).await.is_err() {
            tracing::warn!(
                "the source did not take messages back; they come again when their visibility ends"
            );
            self.lanes.shutdown().await;
        }
    }

    async fn join(&mut self) {
        while let Some(ended) = self.lanes.join_next().await {
            report_lost(ended);
        }
    }
}

/// One permit at least, and as many more as are free, or become free within a moment, up to what is worth a request.
/// Where nothing is being worked off, all are free and nothing is waited for.
async fn permits(room: &Arc<Semaphore>, concurrency: usize) -> Vec<OwnedSemaphorePermit> {
    let acquire = || async { Arc::clone(room).acquire_owned().await.expect("the semaphore is never closed") };
    let mut permits = vec![acquire().await];
    let worth_it = (concurrency / 2).clamp(1, WORTH_A_REQUEST);
    let moment = Instant::now() + GATHER_PLACES;
    while permits.len() < worth_it
        && let Ok(permit) = timeout_at(moment, acquire()).await
    {
        permits.push(permit);
    }
    while permits.len() < MAX_RECEIVE
        && let Ok(permit) = Arc::clone(room).try_acquire_owned()
    {
        permits.push(permit);
    }
    permits
}

fn report_lost(ended: Result<(), JoinError>) {
    if let Err(error) = ended {
        tracing::error!(%error, "a consumer's task ended early; its messages come again when their visibility ends");
    }
}
