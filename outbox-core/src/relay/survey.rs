//! Where a subscription stands, asked now and then for the gauges.

use std::convert::Infallible;

use tokio::time::Instant;

use super::{Shared, subscription::Reader};

/// Leads, and asks beside it. Both are polled by one task, so that no answer comes after the term's end and shows a
/// gauge of it once more. A question that is dropped has no effect.
pub(super) async fn surveyed<T>(shared: &Shared, reader: &Reader, leading: impl Future<Output = T>) -> T {
    tokio::select! {
        biased;
        ended = leading => ended,
        never = survey(shared, reader) => match never {},
    }
}

async fn survey(shared: &Shared, reader: &Reader) -> Infallible {
    loop {
        let sent = Instant::now();
        match shared.log.survey(&reader.name, &reader.topics).await {
            Ok(survey) => reader.meter.surveyed(&survey, sent, Instant::now()),
            // An outage is told by the leader.
            Err(error) => tracing::debug!(subscription = %reader.name, %error, "no survey"),
        }
        tokio::time::sleep(shared.config.survey_interval).await;
    }
}
