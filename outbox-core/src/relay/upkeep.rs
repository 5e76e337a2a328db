//! The table of holds beside the log: what follows a released aggregate, what makes room, what is sent again.

use std::time::Duration;

use tokio::time::Instant;

use super::{
    leader::{Lapse, Leader},
    subscription::takes,
};

/// The most aggregates whose blocked events are fetched in one statement.
const AGGREGATES_AT_ONCE: usize = 100;

/// The most blocked events of one aggregate that are fetched at once.
const EACH: usize = 100;

/// The most events of one aggregate that stay in memory when the read-ahead is full of those that wait.
const KEPT_IN_MEMORY: usize = 100;

/// For how long nothing can be sent before queues are put on hold: a publisher that is merely busy gets through its
/// queues sooner, and putting an event on hold costs two writes.
const STARVED_AFTER: Duration = Duration::from_millis(100);

/// The most events that are put on hold to be sent again in one statement.
const RESENT_AT_ONCE: usize = 1_000;

/// When each of these is to be done.
#[derive(Debug)]
pub(super) struct Upkeep {
    release_held_off: Instant,
    starved_since: Option<Instant>,
    next_resend: Instant,
}

impl Upkeep {
    pub(super) fn new(now: Instant) -> Self {
        Self { release_held_off: now, starved_since: None, next_resend: now }
    }

    pub(super) fn may_release(&self, now: Instant) -> bool {
        self.release_held_off <= now
    }

    pub(super) fn next_release(&self) -> Option<Instant> {
        Some(self.release_held_off)
    }

    pub(super) fn next_room(&self) -> Option<Instant> {
        self.starved_since.map(|since| since + STARVED_AFTER)
    }
}

impl Leader<'_> {
    /// Fetches what may follow in the aggregates that go on.
    pub(super) async fn release(&mut self) -> Result<(), Lapse> {
        let room = self.room_for_held();
        let aggregates = self.term.aggregates_to_release().min(AGGREGATES_AT_ONCE).min(room).max(1);
        let each = (room / aggregates).clamp(1, EACH);
        let keys = self.term.releases(aggregates);
        if keys.is_empty() {
            return Ok(());
        }
        let (log, name) = (&self.shared.log, &self.reader.name);
        let blocked = log.blocked(name, &self.shared.source, &keys, each);
        match Self::while_leading(&self.lease, blocked).await? {
            Ok(found) => {
                self.read_ahead.came(found.iter().map(|(_, message)| message));
                let topics = &self.reader.topics;
                let deaths = self.term.released(aggregates, found, each, |topic| takes(topics, topic));
                self.mourn(&deaths);
                if self.term.has_changes() {
                    self.dirty_since.get_or_insert(Instant::now());
                }
            }
            Err(error) => {
                let pause = self.log_erred(error)?;
                self.upkeep.release_held_off = Instant::now() + pause;
            }
        }
        Ok(())
    }

    /// Whether the read-ahead is full of events that wait for others of their aggregates: the next batch has room for
    /// events that cannot be read.
    pub(super) fn could_be_starved(&self) -> bool {
        let max_bytes = self.reader.publisher.max_batch_bytes();
        !self.has_room()
            && self.breaker.is_closed()
            && !self.term.next_batch(self.batch_limit, max_bytes).is_full
    }

    /// Whether that has been so for long enough.
    pub(super) fn is_starved(&mut self, now: Instant) -> bool {
        if !self.could_be_starved() {
            self.upkeep.starved_since = None;
            return false;
        }
        let since = *self.upkeep.starved_since.get_or_insert(now);
        now >= since + STARVED_AFTER
    }

    /// Puts long queues on hold, so that the aggregates behind them are read.
    pub(super) fn make_room(&mut self, now: Instant) {
        self.upkeep.starved_since = Some(now);
        // A few large events fill it by their bytes.
        let keep = KEPT_IN_MEMORY.min(self.term.load().events / 4).max(1);
        if self.term.spill_long_queues(keep) {
            self.dirty_since.get_or_insert(now);
        }
    }

    /// When to look for events that were not acknowledged in time.
    pub(super) fn next_resend(&self) -> Option<Instant> {
        self.resends().map(|_| self.upkeep.next_resend)
    }

    fn resends(&self) -> Option<Duration> {
        let receipts = self.reader.policy.receipts?;
        receipts.ack_within.filter(|_| receipts.resend)
    }

    /// Has those sent again.
    pub(super) async fn resend(&mut self, now: Instant) -> Result<bool, Lapse> {
        let Some(ack_within) = self.resends().filter(|_| self.upkeep.next_resend <= now) else {
            return Ok(false);
        };
        let (log, name) = (&self.shared.log, &self.reader.name);
        let resent = log.resend_unacknowledged(name, ack_within, RESENT_AT_ONCE);
        let pause = match Self::while_leading(&self.lease, resent).await? {
            Ok(count) => {
                if count > 0 {
                    tracing::info!(subscription = %name, count, "not acknowledged in time; sending again");
                    self.schedule.ask_again(&[]);
                }
                let is_all = count < RESENT_AT_ONCE as u64;
                if is_all { (ack_within / 4).max(self.shared.config.poll_max) } else { Duration::ZERO }
            }
            Err(error) => self.log_erred(error)?,
        };
        self.upkeep.next_resend = Instant::now() + pause;
        Ok(true)
    }
}
