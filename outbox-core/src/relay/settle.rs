//! What follows from a batch that is back.

use std::time::Duration;

use tokio::{task::JoinError, time::Instant};

use super::{
    breaker::Change,
    leader::{Lapse, Leader},
    publish::Landed,
    term::{Answer, BrokerSays, Death, Landing},
};
use crate::log::SubscriptionState;

/// The longest pause that a broker is given when it asks for one: what asks for more is mistaken, and a subscription that
/// nobody looks at for days would be lost sight of.
const LONGEST_PAUSE: Duration = Duration::from_secs(3600);

impl Leader<'_> {
    /// Settles what was published, puts on hold what failed; where the broker is away, the subscription pauses.
    pub(super) fn land(&mut self, landed: Result<Landed, JoinError>) -> Result<(), Lapse> {
        // The batch is gone with its task; nothing in that task but the publisher, whose panics are caught.
        let Landed { batch, answer } = landed.map_err(|error| Lapse::Panicked(error.to_string()))?;
        let now = Instant::now();
        let sent = batch.messages.len();
        let is_silent = matches!(answer, Answer::Silence(_));
        let Landing { broker, published, retries, deaths, forgotten } =
            self.term.complete(batch, answer, &mut rand::rng());
        self.size_batches(sent, is_silent, published);
        if published > 0 || self.term.has_changes() {
            self.dirty_since.get_or_insert(now);
        }
        if !forgotten.is_empty() {
            self.schedule.ask_again(&forgotten);
        }
        let name = &self.reader.name;
        if retries > 0 {
            tracing::debug!(subscription = %name, retries, "not published; on hold for another attempt");
        }
        self.mourn(&deaths);
        self.heed(broker, now);
        self.reader.meter.breaker(self.breaker.shown());
        Ok(())
    }

    /// Tells of events that will not be tried again.
    pub(super) fn mourn(&self, deaths: &[Death]) {
        for Death { seq, id, event_type, attempts, reason } in deaths {
            self.reader.meter.died();
            tracing::error!(
                subscription = %self.reader.name, seq, %id, %event_type, attempts, error = %reason,
                "dead: it is not tried again without an operator"
            );
        }
    }

    /// The same batch would be met with silence again, for ever; and one message may be what all of it waits for.
    fn size_batches(&mut self, sent: usize, is_silent: bool, published: usize) {
        if is_silent {
            self.batch_limit = self.batch_limit.min(sent / 2).max(1);
        } else if published == sent && sent >= self.batch_limit {
            self.batch_limit = (self.batch_limit * 2).min(self.reader.publisher.max_batch());
        }
    }

    fn heed(&mut self, broker: BrokerSays, now: Instant) {
        let name = &self.reader.name;
        let (state, reason, at_least) = match broker {
            BrokerSays::Works => {
                self.pace.went_well();
                let is_back = self.breaker.published() == Change::Closed;
                if is_back && !self.report.is_well() {
                    tracing::info!(subscription = %name, "the broker is back");
                }
                if is_back || (self.report.is_first() && self.breaker.is_closed()) {
                    self.report.set((SubscriptionState::Running, None), now);
                }
                return;
            }
            BrokerSays::Slower { reason, retry_after } => {
                self.pace.is_too_fast(self.flights.len());
                (SubscriptionState::Running, reason, retry_after.unwrap_or_default().min(LONGEST_PAUSE))
            }
            BrokerSays::Away { reason } => (SubscriptionState::BrokerDown, reason, Duration::ZERO),
        };
        if let Change::Opened { pause } = self.breaker.failed(at_least, now, &mut rand::rng()) {
            if self.report.is_well() {
                tracing::warn!(subscription = %name, error = %reason, ?pause, "not published; pausing");
            }
            self.report.set((state, Some(reason)), now);
        }
    }
}
