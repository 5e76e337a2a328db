//! What the relay tells of one subscription.

use std::sync::Arc;

use metrics::{SharedString, counter, gauge, histogram};
use tokio::time::Instant;

use super::{
    clock::DatabaseClock,
    names::{
        BACKLOG, BREAKER, DEAD, FAILED, HELD, HOLES, LAG, LEADER, LEASE_CHANGES, OLDEST_PENDING, OUTCOME,
        PUBLISH_DURATION, PUBLISHED, STATE, SUBSCRIPTION,
    },
};
use crate::{
    log::{HoldCounts, HoldState, SubscriptionName, Survey},
    message::Message,
    publisher::Outcome,
};

/// The circuit breaker, as its gauge shows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum BreakerState {
    Closed = 0,
    Probing = 1,
    Open = 2,
}

/// A publisher that gave no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unanswered {
    Panicked,
    TimedOut,
}

impl Unanswered {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Panicked => "panicked",
            Self::TimedOut => "timed_out",
        }
    }
}

/// The label of a message that an answer, being too short, does not mention.
pub(super) const NOT_ANSWERED: &str = "not_answered";

/// The metrics of one subscription. A clone is the same one.
///
/// The recorder is looked up at each record and not kept, so that one that is installed after the relay began is used.
/// That is once for a batch, and never for an event.
#[derive(Debug, Clone)]
pub(crate) struct RelayMeter {
    subscription: SharedString,
    clock: Arc<DatabaseClock>,
}

impl RelayMeter {
    pub(crate) fn new(subscription: &SubscriptionName) -> Self {
        Self { subscription: SharedString::from(subscription.as_str().to_owned()), clock: Arc::default() }
    }

    pub(super) fn subscription(&self) -> &str {
        &self.subscription
    }

    fn name(&self) -> SharedString {
        self.subscription.clone()
    }

    /// Shows every gauge and counter that has no label of its own, at zero: a rate needs a value before the first
    /// failure, and a gauge of a process that does not lead must not stay where it was.
    pub(crate) fn reset(&self) {
        for name in [PUBLISHED, DEAD] {
            counter!(name, SUBSCRIPTION => self.name()).increment(0);
        }
        for name in [LEADER, BREAKER, BACKLOG, OLDEST_PENDING, HOLES] {
            gauge!(name, SUBSCRIPTION => self.name()).set(0.0);
        }
        self.held(HoldCounts::default());
    }

    /// A call of the publisher has ended.
    pub(super) fn called(&self, began: Instant, ended: Instant) {
        let took = ended.saturating_duration_since(began);
        histogram!(PUBLISH_DURATION, SUBSCRIPTION => self.name()).record(took);
    }

    /// So many messages got no answer.
    pub(super) fn unanswered(&self, why: &'static str, messages: usize) {
        counter!(FAILED, SUBSCRIPTION => self.name(), OUTCOME => why).increment(messages as u64);
    }

    /// What the broker did with the messages. `lags` says of each whether its lag means something.
    pub(super) fn answered(&self, messages: &[Message], outcomes: &[Outcome], lags: impl Fn(usize) -> bool) {
        let lag = histogram!(LAG, SUBSCRIPTION => self.name());
        let now = Instant::now();
        let (mut published, mut failed) = (0, std::collections::BTreeMap::<_, u64>::new());
        for (index, (message, outcome)) in messages.iter().zip(outcomes).enumerate() {
            match outcome.failure() {
                None => {
                    published += 1;
                    if lags(index)
                        && let Some(behind) = self.clock.since(message.created_at, now)
                    {
                        lag.record(behind);
                    }
                }
                Some(failure) => *failed.entry(failure).or_default() += 1,
            }
        }
        if published > 0 {
            counter!(PUBLISHED, SUBSCRIPTION => self.name()).increment(published);
        }
        for (outcome, messages) in failed {
            counter!(FAILED, SUBSCRIPTION => self.name(), OUTCOME => outcome).increment(messages);
        }
        let missing = messages.len().saturating_sub(outcomes.len());
        if missing > 0 {
            self.unanswered(NOT_ANSWERED, missing);
        }
    }

    /// An event died.
    pub(crate) fn died(&self) {
        counter!(DEAD, SUBSCRIPTION => self.name()).increment(1);
    }

    /// The breaker changed.
    pub(crate) fn breaker(&self, state: BreakerState) {
        gauge!(BREAKER, SUBSCRIPTION => self.name()).set(f64::from(state as u8));
    }

    /// So many ranges of numbers are missing.
    pub(crate) fn holes(&self, ranges: usize) {
        gauge!(HOLES, SUBSCRIPTION => self.name()).set(count(ranges as u64));
    }

    /// The log was asked where the subscription stands, at these moments.
    pub(crate) fn surveyed(&self, survey: &Survey, sent: Instant, answered: Instant) {
        self.clock.read(survey.now, sent, answered);
        let oldest = survey.oldest_pending.unwrap_or_default().as_secs_f64();
        gauge!(BACKLOG, SUBSCRIPTION => self.name()).set(count(survey.backlog()));
        gauge!(OLDEST_PENDING, SUBSCRIPTION => self.name()).set(oldest);
        self.held(survey.holds);
    }

    fn held(&self, holds: HoldCounts) {
        let HoldCounts { scheduled, retry, blocked, dead } = holds;
        for (state, events) in [
            (HoldState::Scheduled, scheduled),
            (HoldState::Retry, retry),
            (HoldState::Blocked, blocked),
            (HoldState::Dead, dead),
        ] {
            gauge!(HELD, SUBSCRIPTION => self.name(), STATE => state.as_str()).set(count(events));
        }
    }

    fn lease_changed(&self, to: &'static str) {
        counter!(LEASE_CHANGES, SUBSCRIPTION => self.name(), STATE => to).increment(1);
    }

    /// This process leads from now until what this gives is dropped.
    pub(crate) fn begin_term(&self) -> Term<'_> {
        self.lease_changed("acquired");
        self.reset();
        gauge!(LEADER, SUBSCRIPTION => self.name()).set(1.0);
        Term { meter: self, end: "lost" }
    }
}

/// A term of this process as leader. However it ends, its gauges end with it.
#[derive(Debug)]
#[must_use = "dropping it says that the term is over"]
pub(crate) struct Term<'a> {
    meter: &'a RelayMeter,
    end: &'static str,
}

impl Term<'_> {
    /// It ends in good order.
    pub(crate) fn given_up(mut self) {
        self.end = "given_up";
    }
}

impl Drop for Term<'_> {
    fn drop(&mut self) {
        self.meter.lease_changed(self.end);
        self.meter.reset();
    }
}

/// A gauge has 53 bits for a whole number, which no count of rows fills.
#[allow(clippy::cast_precision_loss, reason = "no count of rows has 53 bits")]
fn count(things: u64) -> f64 {
    things as f64
}
