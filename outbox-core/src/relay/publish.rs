//! Batches in flight.
//!
//! A publisher is foreign code: its panic, its silence and its short answers end here, as answers.

use std::{panic::AssertUnwindSafe, sync::Arc, time::Duration};

use futures_util::FutureExt as _;
use tokio::{task::JoinSet, time::timeout};
use tracing::Instrument as _;

use super::{
    subscription::Reader,
    term::{Answer, Batch},
};
use crate::telemetry::{Sending, Unanswered};

/// The batches that are being published.
#[derive(Debug, Default)]
pub(super) struct Flights(JoinSet<Landed>);

/// A batch that is back, with what the publisher said of it.
#[derive(Debug)]
pub(super) struct Landed {
    pub(super) batch: Batch,
    pub(super) answer: Answer,
}

impl Flights {
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    pub(super) fn start(&mut self, reader: &Reader, batch: Batch, limit: Duration) {
        let publisher = Arc::clone(&reader.publisher);
        let sending = Sending::begin(&reader.meter, publisher.system(), &batch.messages);
        self.0.spawn(async move {
            // A tenth is for an answer that comes at the last moment.
            let within = limit.mul_f64(0.9);
            let publishing =
                AssertUnwindSafe(async { publisher.publish_within(&batch.messages, within).await });
            let answered = timeout(limit, publishing.catch_unwind()).instrument(sending.span()).await;
            let answer = match answered {
                Ok(Ok(outcomes)) => {
                    sending.answered(&batch.messages, &outcomes, |place| batch.is_from_log(place));
                    Answer::Outcomes(outcomes)
                }
                Ok(Err(panic)) => {
                    sending.unanswered(Unanswered::Panicked, batch.messages.len());
                    Answer::Silence(format!("the publisher panicked: {}", panic_text(&*panic)))
                }
                Err(_) => {
                    sending.unanswered(Unanswered::TimedOut, batch.messages.len());
                    Answer::Silence(format!("the publisher did not answer within {limit:?}"))
                }
            };
            Landed { batch, answer }
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

pub(super) fn panic_text(panic: &(dyn std::any::Any + Send)) -> &str {
    panic
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("without a text")
}
