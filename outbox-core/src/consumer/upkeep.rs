//! Keeping the inbox short, beside the work: a consumer has it forget what its source cannot deliver any more.

use std::{error::Error, panic::AssertUnwindSafe, time::Duration};

use futures_util::FutureExt as _;
use rand::RngExt as _;
use tokio::time::sleep;

use super::{
    ConsumerError, InboxStore,
    broker::{Broker, panic_message},
    health::Chain,
};
use crate::source::Source;

/// The pause between two chunks: a purge that has much to do leaves the database to the handlers.
const BETWEEN_CHUNKS: Duration = Duration::from_millis(100);

/// The shortest interval. A purge costs a question to the broker and two reads.
const SHORTEST_INTERVAL: Duration = Duration::from_secs(1);

/// Purges for ever. Dropping it ends it between two statements, or gives up the one that is under way.
pub(super) async fn purge_for_ever<S: Source, I: InboxStore>(
    broker: &Broker<S>,
    inbox: &I,
    interval: Duration,
) {
    let interval = interval.max(SHORTEST_INTERVAL);
    let mut is_failing = false;
    // The processes of a service start together; they need not purge together.
    sleep(between(Duration::ZERO, interval)).await;
    loop {
        match purge(broker, inbox).await {
            Ok(removed) => {
                if std::mem::replace(&mut is_failing, false) {
                    tracing::info!(removed, "the inbox is purged again");
                } else if removed > 0 {
                    tracing::debug!(removed, "the inbox was purged");
                }
            }
            Err(error) => {
                let error = Chain(&*error);
                if std::mem::replace(&mut is_failing, true) {
                    tracing::debug!(%error, "the inbox was not purged again");
                } else {
                    tracing::warn!(%error, ?interval, "the inbox was not purged; it is tried again after the interval");
                }
            }
        }
        sleep(between(interval - interval / 4, interval.saturating_add(interval / 4))).await;
    }
}

fn between(shortest: Duration, longest: Duration) -> Duration {
    rand::rng().random_range(shortest..=longest)
}

/// Removes all that is old, and says how much. A panic of the inbox is a failure like any other.
async fn purge<S: Source, I: InboxStore>(
    broker: &Broker<S>,
    inbox: &I,
) -> Result<u64, Box<dyn Error + Send + Sync>> {
    // It may be longer than at the start: what is forgotten now could still come.
    check_window(inbox.window(), broker.retention().await?)?;
    let mut removed: u64 = 0;
    loop {
        let chunk = AssertUnwindSafe(inbox.forget_some())
            .catch_unwind()
            .await
            .unwrap_or_else(|panic| Err(format!("the inbox panicked: {}", panic_message(&*panic)).into()))?;
        removed = removed.saturating_add(chunk.removed);
        if !chunk.more {
            return Ok(removed);
        }
        sleep(BETWEEN_CHUNKS).await;
    }
}

/// Checks that what is forgotten cannot come again, where both are known.
pub(super) fn check_window(
    window: Option<Duration>,
    retention: Option<Duration>,
) -> Result<(), ConsumerError> {
    match (window, retention) {
        (Some(window), Some(retention)) if window < retention => {
            Err(ConsumerError::WindowTooShort { window, retention })
        }
        _ => Ok(()),
    }
}
