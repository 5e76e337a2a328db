//! One leader's term: read, plan, publish, settle, flush, until the lease is lost or the relay stops.
//!
//! All memory of the term is in [`Leader`]; when it ends otherwise than by a graceful stop, that memory is
//! dropped and the next term begins from what is stored.

use std::time::Duration;

use tokio::time::Instant;

use super::{
    Shared, backoff::Backoff, breaker::Breaker, holes::Holes, lease::Lease, outage::Outage, plan::Plan,
    poll::Poll, publish::Flights, schedule::Schedule, settle::BrokerReport, subscription::Reader,
};
use crate::{
    log::{HoldChange, LogError, Owner, StoredProgress},
    progress::{AnchorLost, Progress},
    wake::{Captures, Listener},
};

/// Why a term ended before the relay was stopped.
#[derive(Debug, thiserror::Error)]
pub(super) enum Lapse {
    #[error("the lease was lost")]
    LeaseLost,
    #[error("a flush was fenced off: another leader, another flush or another history")]
    Fenced,
    #[error(transparent)]
    AnchorLost(#[from] AnchorLost),
    #[error(transparent)]
    Log(#[from] LogError),
    #[error("a task panicked: {0}")]
    Panicked(String),
}

/// The memory of one term.
pub(super) struct Leader<'a> {
    pub(super) shared: &'a Shared,
    pub(super) reader: &'a Reader,
    pub(super) owner: Owner,
    pub(super) outage: &'a mut Outage,
    pub(super) lease: Lease,
    pub(super) progress: Progress,
    pub(super) holes: Holes,
    pub(super) plan: Plan,
    pub(super) flights: Flights,
    /// The most events of a batch: what the publisher takes, less after a timeout until batches get through again.
    pub(super) batch_limit: usize,
    pub(super) breaker: Breaker,
    pub(super) report: BrokerReport,
    pub(super) schedule: Schedule,
    pub(super) poll: Poll,
    captures: Captures,
    news: Listener,
    connections: u64,
    /// Changes of holds that go into the next flush.
    pub(super) hold_changes: Vec<HoldChange>,
    /// Since when memory is ahead of what is stored.
    pub(super) dirty_since: Option<Instant>,
}

impl<'a> Leader<'a> {
    pub(super) fn new(
        shared: &'a Shared,
        reader: &'a Reader,
        owner: Owner,
        outage: &'a mut Outage,
        lease: Lease,
        stored: StoredProgress,
    ) -> Self {
        let (config, now) = (&shared.config, Instant::now());
        let progress = Progress::load(stored);
        Self {
            holes: Holes::new(shared.log.hole_proof(), progress.unseen(), now),
            plan: Plan::new(reader.publisher.keeps_order_in_batch()),
            flights: Flights::default(),
            batch_limit: reader.publisher.max_batch(),
            breaker: Breaker::new(Backoff::new(config.backoff_min, config.backoff_max)),
            report: BrokerReport::new(),
            schedule: Schedule::new(),
            poll: Poll::new(config.poll_min, config.poll_max, now),
            captures: Captures::listen(),
            news: shared.news.listen(),
            connections: shared.log.connections(),
            hold_changes: Vec::new(),
            dirty_since: None,
            shared,
            reader,
            owner,
            outage,
            lease,
            progress,
        }
    }

    /// Leads until the relay is stopped; then waits for what is in flight and stores the rest.
    pub(super) async fn run(&mut self) -> Result<(), Lapse> {
        let ended = match self.work().await {
            Ok(()) => self.wind_up().await,
            Err(lapse) => Err(lapse),
        };
        // What is still out may not meet its own aggregate in the next term.
        self.flights.forget_all().await;
        ended
    }

    async fn work(&mut self) -> Result<(), Lapse> {
        loop {
            while let Some(landed) = self.flights.try_next() {
                self.land(landed)?;
            }
            if self.shared.shutdown.is_cancelled() {
                return Ok(());
            }
            if !self.lease.is_held() {
                return Err(Lapse::LeaseLost);
            }
            if self.world_may_have_changed() {
                self.holes.reset();
            }
            self.send_batches();
            if !self.step().await? {
                self.wait().await?;
            }
        }
    }

    /// Does the next thing there is to do at the log; `false` where there is none now. Reading comes last: while
    /// there is a backlog it is always due, and the others have pauses of their own.
    async fn step(&mut self) -> Result<bool, Lapse> {
        let now = Instant::now();
        if self.flush_is_due(now) {
            self.flush().await?;
            return Ok(true);
        }
        if let Some(step) = self.holes.step(self.progress.unseen(), now) {
            self.close_holes(step).await?;
            return Ok(true);
        }
        if self.has_room()
            && let Some(step) = self.schedule.step(now)
        {
            self.follow_schedule(step).await?;
            return Ok(true);
        }
        if self.tell_of_broker(now).await? {
            return Ok(true);
        }
        if self.has_room() && self.poll.next() <= now {
            self.read().await?;
            return Ok(true);
        }
        Ok(false)
    }

    /// Waits until there may be something to do. Whatever ends the wait, [`work`](Self::work) looks at all of it.
    async fn wait(&mut self) -> Result<(), Lapse> {
        let now = Instant::now();
        let until = self.next_work(now);
        tokio::select! {
            () = self.shared.shutdown.cancelled() => {}
            Some(landed) = self.flights.next() => self.land(landed)?,
            () = self.captures.next() => self.poll.signal(Instant::now()),
            () = self.news.next() => self.poll.signal(Instant::now()),
            () = self.lease.changed() => {}
            () = tokio::time::sleep_until(until) => {}
        }
        Ok(())
    }

    fn next_work(&self, now: Instant) -> Instant {
        let reading = self.has_room().then(|| self.poll.next());
        let schedule = self.schedule.next().filter(|_| self.has_room());
        let flush = self.dirty_since.map(|since| since + self.shared.config.flush_interval);
        let probe = self.breaker.reopens().filter(|_| {
            self.flights.len() == 0
                && self.plan.has_ready()
                && self.lease.covers(self.shared.config.publish_timeout)
        });
        let holes = self.holes.next(self.progress.unseen(), now);
        [reading, schedule, flush, probe, holes, self.report.next()]
            .into_iter()
            .flatten()
            .min()
            .unwrap_or(now + self.shared.config.poll_max)
    }

    /// Whether a whole page more may be read.
    fn has_room(&self) -> bool {
        let config = &self.shared.config;
        self.plan.len() + config.page_size <= config.read_ahead
    }

    fn send_batches(&mut self) {
        let config = &self.shared.config;
        while self.plan.has_ready()
            && self.flights.len() < config.max_in_flight
            && self.breaker.lets_through(self.flights.len(), Instant::now())
            && self.lease.covers(config.publish_timeout)
        {
            let max_bytes = self.reader.publisher.max_batch_bytes();
            let Some(batch) = self.plan.take_batch(self.batch_limit, max_bytes) else { return };
            self.breaker.sent();
            self.flights.start(&self.reader.publisher, batch, config.publish_timeout);
        }
    }

    async fn wind_up(&mut self) -> Result<(), Lapse> {
        let deadline = Instant::now() + self.shared.config.shutdown_deadline;
        while let Ok(Some(landed)) = tokio::time::timeout_at(deadline, self.flights.next()).await {
            self.land(landed)?;
        }
        if self.flights.len() > 0 {
            tracing::warn!(
                subscription = %self.reader.name,
                batches = self.flights.len(),
                "the shutdown deadline has passed with batches in flight; their events may go out again"
            );
            self.flights.abort_all();
        }
        while self.dirty_since.is_some() {
            self.flush().await?;
            if self.dirty_since.is_some() && !self.lease.is_held() {
                return Err(Lapse::LeaseLost);
            }
            if let Some(since) = self.dirty_since {
                tokio::time::sleep_until(since + self.shared.config.flush_interval).await;
            }
        }
        Ok(())
    }

    /// Whether, since this was asked last, a renewal erred or a connection was made anew: the database may have
    /// restarted, and a proof of holes that was under way speaks of another world.
    pub(super) fn world_may_have_changed(&mut self) -> bool {
        let connections = self.shared.log.connections();
        let is_new = std::mem::replace(&mut self.connections, connections) != connections;
        self.lease.has_erred() || is_new
    }

    /// A statement other than a flush erred. It is tried again after a pause: nothing in memory depends on it.
    pub(super) fn log_erred(&mut self, error: LogError) -> Result<Duration, Lapse> {
        if !error.is_transient() {
            return Err(Lapse::Log(error));
        }
        self.holes.reset();
        Ok(self.outage.failed(&error))
    }

    /// Runs a statement for as long as the lease is held. Only a read or a fenced write is dropped when it ends.
    pub(super) async fn while_leading<T>(
        lease: &Lease,
        statement: impl Future<Output = T>,
    ) -> Result<T, Lapse> {
        tokio::select! {
            answer = statement => Ok(answer),
            () = lease.lost() => Err(Lapse::LeaseLost),
        }
    }
}
