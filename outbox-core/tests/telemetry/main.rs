//! What relay and consumer tell of themselves.

mod consumer;
mod gauges;
mod recorder;
mod relay;
mod secrets;
mod table;

use std::time::Duration;

use outbox_core::{
    log::HoleProof,
    publisher::Publisher,
    relay::{Relay, RelayHandle, Subscription},
    testing::MemoryLog,
};

/// The name of the subscription in these tests.
const NAME: &str = "test";

fn log() -> MemoryLog {
    MemoryLog::new(HoleProof::WriterList)
}

fn spawn(log: &MemoryLog, publisher: impl Publisher) -> RelayHandle {
    Relay::new(log.clone(), "/test").subscription(Subscription::new(NAME, publisher)).spawn()
}

/// Waits on the test's clock, which runs ahead while nothing else has to be done.
async fn until(what: &str, mut condition: impl FnMut() -> bool) {
    for _ in 0..100_000 {
        if condition() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    panic!("waited in vain for {what}");
}
