//! Batches in flight.
//!
//! A publisher is foreign code: its panic, its silence and its short answers end here, as outcomes.

use std::{panic::AssertUnwindSafe, sync::Arc, time::Duration};

use futures_util::FutureExt as _;
use tokio::{task::JoinSet, time::timeout};

use super::plan::Batch;
use crate::publisher::{Outcome, Publisher};

/// The batches that are being published.
#[derive(Debug, Default)]
pub(super) struct Flights(JoinSet<Landed>);

/// A batch that is back, with what became of its messages.
#[derive(Debug)]
pub(super) struct Landed {
    pub(super) batch: Batch,
    pub(super) published: Vec<bool>,
    /// What was not published, if something was not.
    pub(super) failure: Option<Failure>,
    /// The publisher was given up: nothing is known of any of its messages.
    pub(super) timed_out: bool,
}

/// Why something of a batch was not published.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Failure {
    pub(super) reason: String,
    pub(super) retry_after: Duration,
}

impl Flights {
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    pub(super) fn start(&mut self, publisher: &Arc<dyn Publisher>, batch: Batch, limit: Duration) {
        let publisher = Arc::clone(publisher);
        self.0.spawn(async move {
            // A tenth is for an answer that comes at the last moment.
            let within = limit.mul_f64(0.9);
            let publishing =
                AssertUnwindSafe(async { publisher.publish_within(&batch.messages, within).await });
            let mut timed_out = false;
            let answer = match timeout(limit, publishing.catch_unwind()).await {
                Ok(Ok(outcomes)) => Ok(outcomes),
                Ok(Err(panic)) => Err(format!("the publisher panicked: {}", panic_text(&*panic))),
                Err(_) => {
                    timed_out = true;
                    Err(format!("the publisher did not answer within {limit:?}"))
                }
            };
            Landed { timed_out, ..land(batch, answer) }
        });
    }

    /// A batch that is back already.
    pub(super) fn try_next(&mut self) -> Option<Result<Landed, tokio::task::JoinError>> {
        self.0.try_join_next()
    }

    /// The next batch that comes back; `None` where none is out.
    ///
    /// # Cancel safety
    /// Dropping the future loses no batch.
    pub(super) async fn next(&mut self) -> Option<Result<Landed, tokio::task::JoinError>> {
        self.0.join_next().await
    }

    /// Gives up those that are still out.
    pub(super) fn abort_all(&mut self) {
        self.0.abort_all();
    }

    /// Waits for all of them and forgets what became of them. Each ends by its own timeout.
    pub(super) async fn forget_all(&mut self) {
        while self.0.join_next().await.is_some() {}
    }
}

fn land(batch: Batch, answer: Result<Vec<Outcome>, String>) -> Landed {
    let sent = batch.messages.len();
    let outcomes = match answer {
        Ok(outcomes) => outcomes,
        Err(reason) => {
            let failure = Some(Failure { reason, retry_after: Duration::ZERO });
            return Landed { published: Vec::new(), failure, batch, timed_out: false };
        }
    };
    let missing = (outcomes.len() < sent).then(|| Failure {
        reason: format!("the publisher answered for {} of {sent} messages", outcomes.len()),
        retry_after: Duration::ZERO,
    });
    let published = outcomes.iter().map(Outcome::is_published).collect();
    // The first reason and the longest pause.
    let failure = outcomes.into_iter().take(sent).filter_map(failure_of).reduce(|first, other| {
        let retry_after = first.retry_after.max(other.retry_after);
        Failure { retry_after, ..first }
    });
    let failure = failure.or(missing);
    Landed { batch, published, failure, timed_out: false }
}

fn failure_of(outcome: Outcome) -> Option<Failure> {
    let (reason, retry_after) = match outcome {
        Outcome::Published { .. } => return None,
        Outcome::Throttled { retry_after, reason } => (reason, retry_after.unwrap_or_default()),
        Outcome::Unavailable { reason } | Outcome::Rejected { reason } | Outcome::Failed { reason } => {
            (reason, Duration::ZERO)
        }
    };
    Some(Failure { reason, retry_after })
}

pub(super) fn panic_text(panic: &(dyn std::any::Any + Send)) -> &str {
    panic
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("without a text")
}
