//! One delivery, as metrics and as a span.

use tokio::time::Instant;
use tracing::Span;

use super::{
    ConsumerMeter,
    span::{fail, process},
};
use crate::message::ReceivedMessage;

/// What became of a delivery.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Disposal {
    /// Handled and committed.
    Processed,
    /// Dropped: processed before.
    Duplicate,
    /// Given back, with the class of what went wrong.
    Failed(&'static str),
    /// Nobody is to handle its type.
    Ignored,
}

/// One delivery, from before its processing to the end of it. Dropped without an end, it was given up: the handler took
/// too long, or the consumer stopped.
#[derive(Debug)]
pub(crate) struct Processing {
    meter: ConsumerMeter,
    span: Span,
    began: Instant,
    disposal: Disposal,
}

impl Processing {
    /// It is about to be processed.
    pub(crate) fn begin(
        meter: &ConsumerMeter,
        system: &str,
        destination: Option<&str>,
        message: &ReceivedMessage,
    ) -> Self {
        Self {
            span: process(system, destination, meter.consumer(), message),
            meter: meter.clone(),
            began: Instant::now(),
            disposal: Disposal::Failed("given_up"),
        }
    }

    /// What it runs in.
    pub(crate) fn span(&self) -> Span {
        self.span.clone()
    }

    /// It was processed.
    pub(crate) fn ended(mut self, disposal: Disposal) {
        self.disposal = disposal;
    }
}

impl Drop for Processing {
    fn drop(&mut self) {
        let outcome = match self.disposal {
            Disposal::Processed => "processed",
            Disposal::Duplicate => "duplicate",
            Disposal::Ignored => return,
            Disposal::Failed(error_type) => {
                fail(&self.span, error_type);
                "failed"
            }
        };
        self.meter.took(self.began, outcome);
    }
}
