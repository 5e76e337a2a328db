//! What becomes of a batch that is back, and what others are told of the broker.

use tokio::{task::JoinError, time::Instant};

use super::{
    breaker::Change,
    leader::{Lapse, Leader},
    plan::{Origin, Unsent},
    publish::Landed,
};
use crate::log::{HoldChange, SubscriptionState};

/// What the subscription's row says of the broker, and what it is to say.
#[derive(Debug)]
pub(super) struct BrokerReport {
    /// `None` while it is not known what the row says.
    told: Option<Option<String>>,
    current: Option<String>,
    /// Not before.
    next: Option<Instant>,
}

impl BrokerReport {
    /// A new leader does not know what the row says: it tells of the broker as soon as it knows.
    pub(super) fn new() -> Self {
        Self { told: None, current: None, next: None }
    }

    /// When there is something to tell.
    pub(super) fn next(&self) -> Option<Instant> {
        self.next
    }

    /// Whether nothing was told yet, and nothing is about to be.
    fn is_first(&self) -> bool {
        self.told.is_none() && self.next.is_none()
    }

    fn set(&mut self, current: Option<String>, now: Instant) {
        self.current = current;
        self.next = (self.told.as_ref() != Some(&self.current)).then_some(now);
    }
}

impl Leader<'_> {
    /// Settles what was published; what was not stands first again, and the subscription pauses.
    pub(super) fn land(&mut self, landed: Result<Landed, JoinError>) -> Result<(), Lapse> {
        // The batch is gone with its task; nothing in that task but the publisher, whose panics are caught.
        let Landed { batch, published, failure, timed_out } =
            landed.map_err(|error| Lapse::Panicked(error.to_string()))?;
        let now = Instant::now();
        let sent = batch.messages.len();
        if timed_out {
            // The same batch would take as long again, for ever.
            self.batch_limit = self.batch_limit.min(sent / 2).max(1);
        } else if failure.is_none() && sent >= self.batch_limit {
            self.batch_limit = (self.batch_limit * 2).min(self.reader.publisher.max_batch());
        }
        let unsent = if timed_out { Unsent::Last } else { Unsent::First };
        let mut settled = Vec::with_capacity(published.len());
        let hold_changes = &mut self.hold_changes;
        self.plan.complete(batch, &published, unsent, |origin, message| match origin {
            Origin::Log => settled.push(message.seq),
            Origin::Hold => hold_changes.push(HoldChange::Delete(message.seq)),
        });
        if !settled.is_empty() || !self.hold_changes.is_empty() {
            self.dirty_since.get_or_insert(now);
        }
        self.progress.settle(settled);

        let name = &self.reader.name;
        match failure {
            None => {
                let is_back = self.breaker.published() == Change::Closed;
                if is_back {
                    tracing::info!(subscription = %name, "the broker is back");
                }
                if is_back || (self.report.is_first() && self.breaker.is_closed()) {
                    self.report.set(None, now);
                }
            }
            Some(failure) => {
                let change = self.breaker.failed(failure.retry_after, now, &mut rand::rng());
                if let Change::Opened { pause } = change {
                    if self.report.current.is_none() {
                        let error = &failure.reason;
                        tracing::warn!(subscription = %name, %error, ?pause, "not published; pausing");
                    }
                    self.report.set(Some(failure.reason), now);
                }
            }
        }
        Ok(())
    }

    /// Stores what is known of the broker, where that has changed.
    pub(super) async fn tell_of_broker(&mut self, now: Instant) -> Result<bool, Lapse> {
        if self.report.next.is_none_or(|next| next > now) {
            return Ok(false);
        }
        let current = self.report.current.clone();
        let state =
            if current.is_some() { SubscriptionState::BrokerDown } else { SubscriptionState::Running };
        let report = self.shared.log.report(&self.reader.name, self.owner, state, current.as_deref());
        match Self::while_leading(&self.lease, report).await? {
            Ok(()) => {
                self.report.told = Some(current);
                self.report.next = None;
            }
            Err(error) => {
                let pause = self.log_erred(error)?;
                self.report.next = Some(Instant::now() + pause);
            }
        }
        Ok(true)
    }
}
