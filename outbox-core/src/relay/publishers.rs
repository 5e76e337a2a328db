//! Asking the publishers how they are, beside the relay's own work.

use std::{fmt, panic::AssertUnwindSafe, sync::Arc, time::Duration};

use futures_util::{FutureExt as _, future::join_all};
use tokio::time::timeout;

use crate::publisher::{Publisher, PublisherHealth, PublisherReport};

/// The publishers of a relay, for a readiness endpoint that asks them. A clone asks the same ones.
///
/// It does not ask the database: `Outbox::health` of `outbox-seaorm` does, and takes these reports along.
#[derive(Clone)]
pub struct Publishers {
    publishers: Arc<[(String, Arc<dyn Publisher>)]>,
}

impl Publishers {
    pub(super) fn new(publishers: impl IntoIterator<Item = (String, Arc<dyn Publisher>)>) -> Self {
        Self { publishers: publishers.into_iter().collect() }
    }

    /// Asks all of them at the same time. One that has not answered within `limit`, or that panics, is unhealthy. A
    /// few seconds are a good limit: less than what the endpoint's own caller waits.
    pub async fn health(&self, limit: Duration) -> Vec<PublisherReport> {
        let asked = self.publishers.iter().map(|(subscription, publisher)| async move {
            let answer = AssertUnwindSafe(timeout(limit, publisher.health())).catch_unwind().await;
            let health = match answer {
                Ok(Ok(health)) => health,
                Ok(Err(_)) => PublisherHealth::unhealthy(format_args!("no answer within {limit:?}")),
                Err(_) => PublisherHealth::unhealthy("the publisher panicked when it was asked"),
            };
            PublisherReport { subscription: subscription.clone(), health }
        });
        join_all(asked).await
    }
}

impl fmt::Debug for Publishers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.publishers.iter().map(|(subscription, _)| subscription)).finish()
    }
}
