//! From a log to effects, with the same storm on both ways: over the relay into the queue, and out of it into an inbox.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use anyhow::{Result, ensure};
use outbox_core::{
    event::NewEvent,
    log::HoleProof,
    relay::{Relay, Subscription},
    retry::RetryPolicy,
    testing::{MemoryLog, new_event},
};
use outbox_sqs::SqsSource;
use outbox_tests::{
    database::until,
    sqs::{TestQueue, proxy::Storm},
};
use proptest::prelude::*;
use uuid::Uuid;

use super::{
    inventory::{Inventory, placed},
    world::{World, block_on, cases, eager, storm},
};

async fn case(storm: Storm, count: usize) -> Result<()> {
    let queue = Arc::new(TestQueue::create(&[]).await?);
    let world = World::around(queue.clone()).await?;
    let outcome = judge(&world, storm, count).await;
    queue.client.delete_queue().queue_url(&queue.url).send().await?;
    outcome
}

async fn judge(world: &World, storm: Storm, count: usize) -> Result<()> {
    let inventory = Inventory::create().await?;
    let mut orders: Vec<_> = (0..count).map(|_| Uuid::now_v7()).collect();
    orders.sort();
    let log = MemoryLog::new(HoleProof::WriterList);
    for order in &orders {
        let message = placed(*order)?;
        let event = new_event(&message.topic, &order.to_string(), "");
        log.append(NewEvent { event_type: message.event_type, payload: message.payload, ..event });
    }
    world.proxy.storm(storm);

    let retry = RetryPolicy::fixed(Duration::from_millis(10), u32::MAX);
    let relay = Relay::new(log.clone(), "/shop")
        .config(eager())
        .subscription(Subscription::new("sqs", world.publisher()).retry(retry))
        .spawn();

    // Every fifth fails once, so that deliveries are given back too.
    let unlucky = orders.iter().copied().step_by(5).collect();
    let source = SqsSource::new(world.client.clone(), &world.queue.url)
        .wait(Duration::from_secs(1))
        .visibility_timeout(Duration::from_secs(2));
    let consumer = inventory.consume(source, unlucky)?;

    until("a drained log", Duration::from_secs(60), async || log.is_drained("sqs").then_some(())).await;
    relay.stop().await?;
    // A request that was held may still bring a copy.
    world.proxy.settled().await;
    until("an empty queue", Duration::from_secs(90), async || {
        (world.queue.depth().await.ok()? == 0).then_some(())
    })
    .await;
    let report = consumer.stop().await?;

    println!("{:?} {report:?}", world.proxy.record().fired);
    ensure!(inventory.reserved().await? == orders, "each order is reserved once");
    ensure!(report.processed == u64::try_from(count)?, "{report:?}");
    let copies = stored(world);
    ensure!(
        report.duplicates >= u64::try_from(copies - count)?,
        "each copy came and was dropped: {report:?}"
    );
    Ok(())
}

/// How many messages the queue held in all.
fn stored(world: &World) -> usize {
    let record = world.proxy.record();
    let ids: BTreeSet<&str> = record.stored.iter().map(|stored| stored.message_id.as_str()).collect();
    ids.len()
}

proptest! {
    #![proptest_config(cases(6))]

    #[test]
    fn a_storm_on_both_sides_of_a_standard_queue_leaves_each_effect_once(
        storm in storm(80),
        count in 40..90_usize,
    ) {
        block_on(async {
            case(storm, count).await.map_err(|error| TestCaseError::fail(format!("{error:#}")))
        })?;
    }
}
