//! The relay of a log in front of a storm: it publishes all, in the order of each aggregate, and nothing dies.

use std::{sync::Arc, time::Duration};

use anyhow::{Result, ensure};
use outbox_core::{
    log::HoleProof,
    relay::{Relay, Subscription},
    retry::RetryPolicy,
    testing::{MemoryLog, new_event},
};
use outbox_tests::{
    database::until,
    sqs::{TestQueue, proxy::Storm},
};
use proptest::{collection::vec, prelude::*};

use super::world::{World, block_on, cases, eager, storm};

async fn case(storm: Storm, aggregates: Vec<usize>) -> Result<()> {
    let queue = Arc::new(TestQueue::create(&[]).await?);
    let world = World::around(queue.clone()).await?;
    let outcome = judge(&world, storm, &aggregates).await;
    queue.client.delete_queue().queue_url(&queue.url).send().await?;
    outcome
}

/// The aggregates of the events, in the order of the log.
async fn judge(world: &World, storm: Storm, aggregates: &[usize]) -> Result<()> {
    let log = MemoryLog::new(HoleProof::WriterList);
    let mut ids = Vec::new();
    for aggregate in aggregates {
        let event = new_event("orders", &format!("order-{aggregate}"), "x");
        ids.push(event.id.to_string());
        log.append(event);
    }
    world.proxy.storm(storm);
    let retry = RetryPolicy::fixed(Duration::from_millis(10), u32::MAX);
    let relay = Relay::new(log.clone(), "/shop")
        .config(eager())
        .subscription(Subscription::new("sqs", world.publisher()).retry(retry))
        .spawn();
    // What can never be published would be held for ever.
    until("a drained log", Duration::from_secs(60), async || log.is_drained("sqs").then_some(())).await;
    relay.stop().await?;
    world.proxy.settled().await;

    let record = world.proxy.record();
    println!("{:?}", record.fired);
    for id in &ids {
        let (copies, ambiguous) = (record.copies(id).len(), record.ambiguous(id));
        ensure!(copies >= 1, "{id} is lost");
        ensure!(copies <= 1 + ambiguous, "{id}: {copies} copies, {ambiguous} of them without a word");
        ensure!(record.told(id) == 1, "{id} was sent after the word that it is there");
    }
    let first = |id: &String| record.stored.iter().position(|stored| stored.id == *id);
    for aggregate in 0..=aggregates.iter().copied().max().unwrap_or(0) {
        let line = ids.iter().zip(aggregates).filter(|(_, of)| **of == aggregate);
        ensure!(
            line.map(|(id, _)| first(id)).is_sorted(),
            "the first copies of {aggregate} are in its order"
        );
    }
    world.check_record().await
}

proptest! {
    #![proptest_config(cases(12))]

    #[test]
    fn a_relay_in_a_storm_before_a_standard_queue_loses_nothing_and_each_copy_has_its_cause(
        storm in storm(60),
        aggregates in vec(0..12_usize, 40..110),
    ) {
        block_on(async {
            case(storm, aggregates).await.map_err(|error| TestCaseError::fail(format!("{error:#}")))
        })?;
    }
}
