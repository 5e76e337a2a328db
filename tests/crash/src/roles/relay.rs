//! One of the relays of a subscription.

use std::{net::SocketAddr, time::Duration};

use anyhow::Result;
use outbox_core::{
    relay::{Relay, RelayConfig, Retention, Subscription},
    retry::RetryPolicy,
};
use outbox_seaorm::SeaOrmLog;
use tokio::sync::watch;

use super::{connect, input_ended};
use crate::broker::BrokerPublisher;

/// The subscription that all relays of a run share.
pub const SUBSCRIPTION: &str = "broker";

/// What is different from run to run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pace {
    pub lease: Duration,
    pub page_size: usize,
    pub max_batch: usize,
}

/// Relays until the input ends.
///
/// # Errors
/// What ended the relay: an outage does not.
pub async fn run(
    url: &str,
    broker: SocketAddr,
    name: &str,
    pace: Pace,
    ended: watch::Receiver<bool>,
) -> Result<()> {
    let Some(db) = connect(url, 2, &ended).await else { return Ok(()) };
    let config = RelayConfig {
        lease: pace.lease,
        publish_timeout: pace.lease / 2,
        poll_max: Duration::from_millis(200),
        page_size: pace.page_size,
        read_ahead: pace.page_size * 4,
        backoff_min: Duration::from_millis(20),
        backoff_max: Duration::from_millis(500),
        ..RelayConfig::default()
    };
    // An event that fails is tried again for ever: a dead one would look as one that was lost.
    let retry = RetryPolicy::exponential(Duration::from_millis(50), Duration::from_millis(500), u32::MAX);
    let publisher = BrokerPublisher::new(broker, name, pace.max_batch);
    // Slow writers are spared for less long than by default, so that many numbers are filled in a short run.
    let log = SeaOrmLog::new(db).tombstone_grace(Duration::from_millis(300));
    Relay::new(log, "/shop")
        .config(config)
        .retention(Retention::forever())
        .subscription(Subscription::new(SUBSCRIPTION, publisher).retry(retry))
        .run_until(input_ended(ended))
        .await?;
    Ok(())
}
