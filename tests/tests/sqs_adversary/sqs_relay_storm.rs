//! The relay of a log in front of a storm: it publishes all, in the order of each aggregate, and nothing dies.

use std::time::Duration;

use anyhow::Result;
use outbox_core::{
    log::HoleProof,
    relay::{Relay, Subscription},
    retry::RetryPolicy,
    testing::{MemoryLog, new_event},
};
use outbox_tests::{database::until, sqs::proxy::Storm};
use proptest::{collection::vec, prelude::*};

use super::world::{Kind, World, block_on, cases, eager, storm};

/// The aggregates of the events, in the order of the log.
async fn case(world: &World, kind: Kind, storm: Storm, aggregates: Vec<usize>) -> Result<()> {
    let log = MemoryLog::new(HoleProof::WriterList);
    let mut lines = vec![Vec::new(); aggregates.iter().max().map_or(0, |last| last + 1)];
    for aggregate in aggregates {
        let event = new_event("orders", &format!("order-{aggregate}"), "x");
        lines[aggregate].push(event.id.to_string());
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
    world.judge(kind, &lines).await
}

proptest! {
    #![proptest_config(cases(12))]

    #[test]
    fn a_relay_in_a_storm_before_a_standard_queue_loses_nothing_and_each_copy_has_its_cause(
        storm in storm(60),
        aggregates in vec(0..12_usize, 40..110),
    ) {
        let kind = Kind::Standard;
        block_on(World::with(kind, async |world| case(&world, kind, storm, aggregates).await))?;
    }

    #[test]
    fn a_relay_in_a_storm_before_a_fifo_queue_loses_nothing_copies_nothing_and_keeps_each_group_in_order(
        storm in storm(60),
        aggregates in vec(0..12_usize, 40..110),
    ) {
        let kind = Kind::Fifo;
        block_on(World::with(kind, async |world| case(&world, kind, storm, aggregates).await))?;
    }
}
