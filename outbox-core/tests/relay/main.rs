//! The relay over the log in memory, on a clock that tests move.

mod fairness;
mod holds;
mod holes;
mod leadership;
mod limits;
mod order;
mod outage;
mod publishers;
mod random;
mod schedule;
mod start;
mod upkeep;

use std::time::Duration;

use outbox_core::{
    log::HoleProof,
    message::{Message, Seq},
    publisher::Publisher,
    relay::{Relay, RelayConfig, RelayHandle, Subscription},
    testing::{MemoryLog, new_event},
};

/// The name of the subscription in these tests.
const NAME: &str = "test";

fn log() -> MemoryLog {
    MemoryLog::new(HoleProof::WriterList)
}

fn spawn(log: &MemoryLog, publisher: impl Publisher) -> RelayHandle {
    spawn_with(log, publisher, RelayConfig::default())
}

fn spawn_with(log: &MemoryLog, publisher: impl Publisher, config: RelayConfig) -> RelayHandle {
    Relay::new(log.clone(), "/test").config(config).subscription(Subscription::new(NAME, publisher)).spawn()
}

/// Stores `count` events, spread over `aggregates` aggregates.
fn append(log: &MemoryLog, count: usize, aggregates: usize) -> Vec<Seq> {
    (0..count)
        .map(|number| {
            let aggregate = format!("a{}", number % aggregates);
            log.append(new_event("orders", &aggregate, &number.to_string()))
        })
        .collect()
}

/// Waits on the test's clock, which runs ahead while nothing else has to be done.
async fn until(what: &str, mut condition: impl FnMut() -> bool) {
    let pauses = std::iter::repeat_n(1, 20_000).chain(std::iter::repeat_n(50, 100_000));
    for pause in pauses {
        if condition() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(pause)).await;
    }
    panic!("waited in vain for {what}");
}

async fn drained(log: &MemoryLog) {
    until("everything to be published and flushed", || log.is_drained(NAME)).await;
}

/// Checks that each seq was published, and the first deliveries of each aggregate came in order.
fn assert_complete_and_ordered(published: &[Message], committed: &[Seq]) {
    let mut seen = std::collections::BTreeSet::new();
    let mut last = std::collections::HashMap::new();
    for message in published {
        if !seen.insert(message.seq) {
            continue;
        }
        if let Some((_, aggregate)) = message.aggregate()
            && let Some(before) = last.insert(aggregate.to_owned(), message.seq)
        {
            assert!(before < message.seq, "{} of {aggregate} came after {before}", message.seq);
        }
    }
    let missing: Vec<_> = committed.iter().filter(|seq| !seen.contains(seq)).collect();
    assert!(missing.is_empty(), "lost: {missing:?}");
    assert_eq!(seen.len(), committed.len(), "published what was not committed");
}
