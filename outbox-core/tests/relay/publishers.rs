//! How the publishers say they are.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use outbox_core::{
    publisher::{Outcome, PublisherHealth},
    testing::ScriptedPublisher,
};

use crate::*;

#[derive(Debug)]
struct Panicking;

#[async_trait]
impl Publisher for Panicking {
    async fn publish(&self, batch: &[Message]) -> Vec<Outcome> {
        vec![Outcome::published(); batch.len()]
    }

    async fn health(&self) -> PublisherHealth {
        panic!("on purpose");
    }
}

#[tokio::test(start_paused = true)]
async fn a_publisher_that_hangs_or_panics_is_unhealthy_and_hides_no_other() {
    let (well, hanging) = (Arc::new(ScriptedPublisher::new()), ScriptedPublisher::new());
    hanging.say_health(None);
    let relay = Relay::new(log(), "/test")
        .subscription(Subscription::new("hanging", hanging.clone()))
        .subscription(Subscription::new("panicking", Panicking))
        .subscription(Subscription::new("well", Arc::clone(&well)));
    let before = relay.publishers();
    let relay = relay.spawn();
    let limit = Duration::from_secs(2);
    let reports = relay.publishers().health(limit).await;
    let found: Vec<_> =
        reports.iter().map(|report| (report.subscription.as_str(), report.health.is_unhealthy())).collect();
    assert_eq!(found, [("hanging", true), ("panicking", true), ("well", false)]);
    assert_eq!(reports[2].health, PublisherHealth::Healthy, "an `Arc` hands the question on");

    hanging.say_health(Some(PublisherHealth::Unknown));
    well.say_health(Some(PublisherHealth::unhealthy("away")));
    let reports = before.health(limit).await;
    assert_eq!(reports[0].health, PublisherHealth::Unknown);
    let written = serde_json::to_value(&reports[2]).expect("it can be written");
    assert_eq!(
        written,
        serde_json::json!({ "subscription": "well", "state": "unhealthy", "reason": "away" })
    );
    relay.stop().await.expect("stops");
}
