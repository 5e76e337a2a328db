//! One leader's term: read, plan, publish, settle, flush, until the lease is lost or the relay stops.
//!
//! All memory of the term is in [`Leader`]; when it ends otherwise than by a graceful stop, that memory is
//! dropped and the next term begins from what is stored.

use std::time::Duration;

use tokio::time::Instant;

use super::{
    Shared, backoff::Backoff, breaker::Breaker, holes::Holes, lease::Lease, linger::Linger, outage::Outage,
    pace::Pace, poll::Poll, publish::Flights, rate::Permits, read_ahead::ReadAhead, report::BrokerReport,
    schedule::Schedule, subscription::Reader, term::Term, told::Told, upkeep::Upkeep,
};
use crate::{
    log::{LogError, Owner, StoredProgress},
    progress::AnchorLost,
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

/// A term that an operator's change ends lasts for so long, so that one change after the other does not keep everything
/// from being published.
const LEAST_TERM: Duration = Duration::from_millis(250);

/// The memory of one term.
pub(super) struct Leader<'a> {
    pub(super) shared: &'a Shared,
    pub(super) reader: &'a Reader,
    pub(super) owner: Owner,
    pub(super) outage: &'a mut Outage,
    pub(super) lease: Lease,
    pub(super) term: Term,
    pub(super) holes: Holes,
    pub(super) flights: Flights,
    /// The most events of a batch: what the publisher takes, less after a timeout until batches get through again.
    pub(super) batch_limit: usize,
    pub(super) breaker: Breaker,
    pub(super) pace: Pace,
    permits: Permits,
    linger: Linger,
    /// When a batch may go that is ready and kept by the rate limit or lingers.
    next_departure: Option<Instant>,
    pub(super) read_ahead: ReadAhead,
    pub(super) report: BrokerReport,
    pub(super) told: Told,
    pub(super) upkeep: Upkeep,
    pub(super) schedule: Schedule,
    pub(super) poll: Poll,
    captures: Captures,
    news: Listener,
    connections: u64,
    /// An operator has changed something: the term ends in good order.
    pub(super) has_intervention: bool,
    began: Instant,
    /// How many events had been published when a flush was stored last.
    pub(super) published_stored: u64,
    /// Whether held events were fetched after the log was read last.
    held_came_last: bool,
    /// Since when memory is ahead of what is stored.
    pub(super) dirty_since: Option<Instant>,
    /// Not before this is a flush tried again that met another session.
    pub(super) flush_held_off: Option<Instant>,
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
        let keeps_order = reader.publisher.keeps_order_in_batch();
        let term = Term::new(reader.name.clone(), reader.policy.clone(), stored, keeps_order);
        Self {
            holes: Holes::new(shared.log.hole_proof(), term.progress().unseen(), now),
            flights: Flights::default(),
            batch_limit: reader.publisher.max_batch(),
            breaker: Breaker::new(Backoff::new(config.backoff_min, config.backoff_max)),
            pace: Pace::new(reader.limits.max_in_flight.unwrap_or(config.max_in_flight)),
            permits: Permits::none_yet(reader.limits.rate),
            linger: Linger::new(reader.limits.linger),
            next_departure: None,
            read_ahead: ReadAhead::new(),
            report: BrokerReport::new(),
            told: Told::new(now),
            upkeep: Upkeep::new(now),
            schedule: Schedule::new(),
            poll: Poll::new(config.poll_min, config.poll_max, now),
            captures: Captures::listen(),
            news: shared.news.listen(),
            connections: shared.log.connections(),
            has_intervention: false,
            began: now,
            published_stored: 0,
            held_came_last: false,
            dirty_since: None,
            flush_held_off: None,
            shared,
            reader,
            owner,
            outage,
            lease,
            term,
        }
    }

    /// Leads until the relay is stopped or an operator has changed something; then waits for what is in flight and
    /// stores the rest.
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
        let stopped = Self::while_leading(&self.lease, self.shared.log.stopped(&self.reader.name)).await??;
        self.term.load_stopped(stopped);
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
            if self.is_to_begin_anew() {
                tracing::info!(subscription = %self.reader.name, "an operator has changed something; beginning anew");
                return Ok(());
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
        if let Some(step) = self.holes.step(self.term.progress().unseen(), now) {
            self.close_holes(step).await?;
            return Ok(true);
        }
        // The log and the table of holds take turns: what is released holds up nobody who is not held.
        let is_turn_of_log = self.held_came_last && self.has_room() && self.poll.next() <= now;
        if !is_turn_of_log && self.may_fetch_held() {
            if self.term.has_releases() && self.upkeep.may_release(now) {
                self.held_came_last = true;
                self.release().await?;
                return Ok(true);
            }
            if let Some(step) = self.schedule.step(now) {
                self.held_came_last = true;
                self.follow_schedule(step).await?;
                return Ok(true);
            }
        }
        if self.tell_of_broker(now).await? || self.describe(now).await? || self.resend(now).await? {
            return Ok(true);
        }
        if self.is_starved(now) {
            self.make_room(now);
            return Ok(true);
        }
        if self.has_room() && self.poll.next() <= now && !self.is_stuck(now) {
            self.held_came_last = false;
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
        let reading = (self.has_room() && !self.is_stuck(now)).then(|| self.poll.next());
        let schedule = self.schedule.next().filter(|_| self.may_fetch_held());
        let flush = self.next_flush();
        let release =
            self.upkeep.next_release().filter(|_| self.may_fetch_held() && self.term.has_releases());
        let make_room = self.upkeep.next_room().filter(|_| self.could_be_starved());
        let probe = self.breaker.reopens().filter(|_| {
            self.flights.len() == 0
                && self.term.has_ready()
                && !self.is_stuck(now)
                && self.lease.covers(self.shared.config.publish_timeout)
        });
        // A probe is a batch as others are.
        let departure = match (probe, self.next_departure) {
            (Some(probe), Some(departure)) => Some(probe.max(departure)),
            (probe, departure) => probe.or(departure),
        };
        let holes = self.holes.next(self.term.progress().unseen(), now);
        let resend = self.next_resend();
        let told = [self.report.next(), self.told.next()].into_iter().flatten().min();
        let anew = self.has_intervened().then(|| self.began + LEAST_TERM);
        [reading, schedule, flush, release, make_room, departure, holes, resend, told, anew]
            .into_iter()
            .flatten()
            .min()
            .unwrap_or(now + self.shared.config.poll_max)
    }

    /// Whether more may be read.
    pub(super) fn has_room(&self) -> bool {
        self.room().is_some()
    }

    /// How many rows may be read now.
    pub(super) fn room(&self) -> Option<usize> {
        self.read_ahead.room(self.term.load(), &self.shared.config)
    }

    /// Whether held events may be fetched: where there is room, and where there is none because all that is in memory
    /// waits for one of them.
    fn may_fetch_held(&self) -> bool {
        let now = Instant::now();
        (self.has_room() || (!self.term.has_ready() && self.flights.len() == 0)) && !self.is_stuck(now)
    }

    /// Whether nothing could be stored for so long that no more is to be published: all of that would go out again
    /// after a crash.
    pub(super) fn is_stuck(&self, now: Instant) -> bool {
        let config = &self.shared.config;
        let unstored = self.dirty_since.filter(|_| self.flush_held_off.is_some());
        let published = usize::try_from(self.term.published() - self.published_stored).unwrap_or(usize::MAX);
        unstored.is_some_and(|since| now >= since + config.lease / 3 || published >= config.read_ahead)
    }

    /// Whether an operator has changed something since the term began.
    fn has_intervened(&self) -> bool {
        let began_with = self.term.progress().interventions();
        self.has_intervention || self.lease.interventions().is_some_and(|count| count != began_with)
    }

    fn is_to_begin_anew(&self) -> bool {
        self.has_intervened() && Instant::now() >= self.began + LEAST_TERM
    }

    /// How many held events may be fetched now.
    pub(super) fn room_for_held(&self) -> usize {
        self.read_ahead.room_for_held(self.term.load(), &self.shared.config)
    }

    fn send_batches(&mut self) {
        let config = &self.shared.config;
        let max_bytes = self.reader.publisher.max_batch_bytes();
        self.next_departure = None;
        if !self.term.has_ready() {
            self.linger.nothing_is_ready();
        }
        while self.term.has_ready()
            && self.flights.len() < self.pace.max_in_flight()
            && self.breaker.lets_through(self.flights.len(), Instant::now())
            && self.lease.covers(config.publish_timeout)
            && !self.is_stuck(Instant::now())
        {
            let (now, next) = (Instant::now(), self.term.next_batch(self.batch_limit, max_bytes));
            let departure = self.linger.departure(next, now);
            if departure > now {
                self.next_departure = Some(departure);
                return;
            }
            let permits = self.permits.take(next.events);
            if permits == 0 {
                self.next_departure = self.permits.next();
                return;
            }
            let Some(batch) = self.term.take_batch(permits, max_bytes) else { return };
            if !self.term.has_ready() {
                self.linger.nothing_is_ready();
            }
            self.breaker.sent();
            self.reader.meter.breaker(self.breaker.shown());
            self.flights.start(self.reader, batch, config.publish_timeout);
        }
    }

    async fn wind_up(&mut self) -> Result<(), Lapse> {
        // After an operator's change each ends by its own timeout; cut off, it would go out twice.
        while !self.shared.shutdown.is_cancelled() && self.flights.len() > 0 {
            tokio::select! {
                Some(landed) = self.flights.next() => self.land(landed)?,
                () = self.shared.shutdown.cancelled() => {}
            }
        }
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
            if let Some(next) = self.flush_held_off {
                if self.shared.shutdown.is_cancelled() && next > deadline {
                    tracing::warn!(
                        subscription = %self.reader.name,
                        "the shutdown deadline has passed with progress that another session keeps from being stored; \
                         what was published since may go out again"
                    );
                    return Ok(());
                }
                tokio::time::sleep_until(next).await;
            }
        }
        // What was learned of the broker last is not left to the next leader, which may have nothing to publish.
        self.tell_of_broker(Instant::now()).await?;
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
