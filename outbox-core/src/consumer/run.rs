//! The run of a consumer: start, receive, hand out, drain.

use std::{pin::pin, sync::Arc, time::Duration};

use futures_util::stream::{FuturesUnordered, StreamExt as _};
use tokio::{
    select,
    sync::mpsc,
    task::JoinSet,
    time::{sleep, timeout},
};
use tokio_util::sync::CancellationToken;

use super::{
    Consumer, ConsumerError, ConsumerReport, InboxStore,
    acknowledger::acknowledge,
    backoff,
    broker::Broker,
    comeback::{Comebacks, LastAnswer},
    desk::Desk,
    hall::Hall,
    health::Health,
    heartbeat::Held,
    lane::Tools,
    receiver::Receivers,
    report::Counters,
    seen::Seen,
    upkeep,
};
use crate::{
    source::{Source, SourceError},
    telemetry::ConsumerMeter,
};

/// How long cut-off handlers may take to give their messages back, and the last acknowledgements to go out.
pub(super) const LAST_WORDS: Duration = Duration::from_secs(10);

/// The most that a consumer may hold at once.
const MAX_CONCURRENCY: usize = 65_536;

/// The most receive calls at the same time.
const MAX_RECEIVERS: usize = 64;

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
        self.check()?;
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
        upkeep::check_window(desk.inbox.window(), retention)?;

        let (acks, receipts) = mpsc::channel(self.concurrency);
        let mut acknowledger = JoinSet::new();
        acknowledger.spawn(acknowledge(Arc::clone(&broker), receipts));
        let held = Arc::<Held>::default();
        let mut heart = JoinSet::new();
        heart.spawn({
            let (held, broker) = (Arc::clone(&held), Arc::clone(&broker));
            async move { held.beat(&broker).await }
        });
        let mut keeping_short = JoinSet::new();
        if let Some(interval) = self.purge_interval {
            let (broker, desk) = (Arc::clone(&broker), Arc::clone(&desk));
            keeping_short.spawn(async move { upkeep::purge_for_ever(&broker, &desk.inbox, interval).await });
        }
        let tools = Arc::new(Tools {
            broker,
            desk: Arc::clone(&desk),
            acks,
            held,
            comebacks: Comebacks::default(),
            handler_timeout: self.handler_timeout,
            draining: CancellationToken::new(),
            cut_off: CancellationToken::new(),
        });
        let receivers = Receivers::new(Arc::clone(&tools), self.receivers, self.concurrency);
        let mut answers: FuturesUnordered<_> =
            (0..self.receivers).map(|_| receivers.receive(LastAnswer::default())).collect();
        let mut hall = Hall::new(tools);
        let ended = loop {
            select! {
                biased;
                () = &mut shutdown => break Ok(()),
                // In the order in which they were answered; where it loses, no answer was taken.
                Some(answer) = answers.next() => match answer {
                    Ok(batch) => {
                        let last = batch.last;
                        hall.hand_out(batch);
                        answers.push(receivers.receive(last));
                    }
                    Err(refused) => break Err(ConsumerError::Source(refused)),
                },
            }
        };
        drop(keeping_short);
        hall.close(&mut answers);
        // A receive that is dropped loses nothing: what the broker sends now comes again.
        drop(answers);
        drop(receivers);
        hall.drain(self.drain_timeout).await;
        // The lanes have ended and with them all senders: the last acknowledgements go out.
        drop(hall);
        if timeout(LAST_WORDS, acknowledger.join_all()).await.is_err() {
            tracing::warn!("the source did not take the last acknowledgements; duplicates will come");
        }
        ended.map(|()| desk.counters.report())
    }

    fn check(&self) -> Result<(), ConsumerError> {
        self.routes.check()?;
        let in_range = |setting, found, most| {
            if (1..=most).contains(&found) {
                return Ok(());
            }
            Err(ConsumerError::Setting { setting, least: 1, most, found })
        };
        in_range("concurrency", self.concurrency, MAX_CONCURRENCY)?;
        in_range("receivers", self.receivers, MAX_RECEIVERS)?;
        if self.receivers > self.concurrency {
            return Err(ConsumerError::TooManyReceivers {
                receivers: self.receivers,
                concurrency: self.concurrency,
            });
        }
        if self.handler_timeout.is_zero() {
            return Err(ConsumerError::NoTimeToHandle);
        }
        Ok(())
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
