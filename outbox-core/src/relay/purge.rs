//! Keeping the log short, at a bounded pace, beside the work and independent of its load.

use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::{Retention, Shared, run::pause_unless};
use crate::log::PurgeRequest;

/// The pause between two chunks: a purge that has much to do leaves the database to others.
const BETWEEN_CHUNKS: Duration = Duration::from_millis(100);

/// Removes what is past its retention, for as long as the relay runs. Only a process that leads something
/// does, so that standing by costs nothing.
pub(super) async fn purge(shared: &Shared, retention: Retention, stop: &CancellationToken) {
    let Some(keep) = retention.keep else { return };
    let request = PurgeRequest { keep, then: retention.then, chunk: shared.config.purge_chunk };
    let mut is_failing = false;
    loop {
        pause_unless(stop, shared.config.purge_interval).await;
        if stop.is_cancelled() {
            return;
        }
        while shared.is_leading() && !stop.is_cancelled() {
            match shared.log.purge(request).await {
                Ok(purged) => {
                    is_failing = false;
                    if purged.removed > 0 {
                        tracing::debug!(removed = purged.removed, floor = purged.floor, "purged");
                    }
                    if !purged.more {
                        break;
                    }
                }
                Err(error) => {
                    if !std::mem::replace(&mut is_failing, true) {
                        tracing::warn!(%error, "the log could not be purged; trying again");
                    }
                    break;
                }
            }
            pause_unless(stop, BETWEEN_CHUNKS).await;
        }
    }
}
