//! One call of a publisher, as metrics and as a span.

use tokio::time::Instant;
use tracing::Span;

use super::{
    RelayMeter, Unanswered,
    relay::NOT_ANSWERED,
    span::{fail, send},
};
use crate::{message::Message, publisher::Outcome};

/// One call of a publisher, from before it to its answer.
#[derive(Debug)]
pub(crate) struct Sending {
    meter: RelayMeter,
    span: Span,
    began: Instant,
}

impl Sending {
    /// It is about to be called.
    pub(crate) fn begin(meter: &RelayMeter, system: &str, messages: &[Message]) -> Self {
        Self {
            span: send(system, meter.subscription(), messages),
            meter: meter.clone(),
            began: Instant::now(),
        }
    }

    /// What the call runs in.
    pub(crate) fn span(&self) -> Span {
        self.span.clone()
    }

    /// It gave no answer.
    pub(crate) fn unanswered(self, why: Unanswered, messages: usize) {
        self.meter.called(self.began, Instant::now());
        fail(&self.span, why.as_str());
        self.meter.unanswered(why.as_str(), messages);
    }

    /// It answered. `lags` says of each message, by its place, whether the time since it was stored means something:
    /// it does not where the message was to go later.
    pub(crate) fn answered(self, messages: &[Message], outcomes: &[Outcome], lags: impl Fn(usize) -> bool) {
        self.meter.called(self.began, Instant::now());
        let outcomes = outcomes.get(..messages.len()).unwrap_or(outcomes);
        let is_short = outcomes.len() < messages.len();
        let failure = outcomes.iter().find_map(Outcome::failure).or(is_short.then_some(NOT_ANSWERED));
        if let Some(failure) = failure {
            fail(&self.span, failure);
        }
        self.meter.answered(messages, outcomes, lags);
    }
}
