//! From a log to effects, with the same storm on both ways: over the relay into the queue, and out of it into an inbox.

use std::{collections::BTreeSet, time::Duration};

use anyhow::{Result, ensure};
use outbox_core::{
    log::HoleProof,
    relay::{Relay, Subscription},
    retry::RetryPolicy,
    testing::MemoryLog,
};
use outbox_sqs::SqsSource;
use outbox_tests::{database::until, sqs::proxy::Storm};
use proptest::{collection::vec, prelude::*, sample};
use uuid::Uuid;

use super::{
    inventory::{Inventory, placed},
    world::{Kind, World, block_on, cases, eager, storm},
};

/// How a consumer goes about it.
#[derive(Debug, Clone, Copy)]
struct Manner {
    /// How many deliveries it holds at once.
    concurrency: usize,
    /// Whether every fifth event fails once.
    fails: bool,
}

/// Each number is an event's order, in the order of the log.
async fn case(world: &World, kind: Kind, manner: Manner, storm: Storm, of: Vec<usize>) -> Result<()> {
    let inventory = Inventory::create().await?;
    let log = MemoryLog::new(HoleProof::WriterList);
    let orders: Vec<_> = (0..=of.iter().copied().max().unwrap_or(0)).map(|_| Uuid::now_v7()).collect();
    let mut lines = vec![0; orders.len()];
    let mut events = Vec::new();
    for order in of {
        let event = (orders[order], lines[order]);
        lines[order] += 1;
        log.append(placed(event.0, event.1));
        events.push(event);
    }
    world.proxy.storm(storm);

    let retry = RetryPolicy::fixed(Duration::from_millis(10), u32::MAX);
    let relay = Relay::new(log.clone(), "/shop")
        .config(eager())
        .subscription(Subscription::new("sqs", world.publisher()).retry(retry))
        .spawn();
    let unlucky = events.iter().copied().step_by(5).filter(|_| manner.fails).collect();
    let source = SqsSource::new(world.client.clone(), &world.queue.url)
        .wait(Duration::from_secs(1))
        .visibility_timeout(Duration::from_secs(2));
    let consumer = inventory.consume(source, manner.concurrency, unlucky)?;

    until("a drained log", Duration::from_secs(60), async || log.is_drained("sqs").then_some(())).await;
    relay.stop().await?;
    // A request that was held may still bring a copy.
    world.proxy.settled().await;
    until("all effects and an empty queue", Duration::from_secs(90), async || {
        let is_done = inventory.reserved().await.ok()?.len() >= events.len();
        (is_done && world.queue.is_empty().await.ok()?).then_some(())
    })
    .await;
    let report = consumer.stop().await?;

    let record = world.proxy.record();
    println!("{:?} {report:?}", record.fired);
    let reserved = inventory.reserved().await?;
    let (mut sorted, mut expected) = (reserved.clone(), events.clone());
    sorted.sort();
    expected.sort();
    ensure!(sorted == expected, "each event has its effect once: expected {expected:?}, found {sorted:?}");
    ensure!(report.processed == u64::try_from(events.len())?, "{report:?}");
    let stored: BTreeSet<&str> = record.stored.iter().map(|stored| stored.message_id.as_str()).collect();
    let copies = u64::try_from(stored.len() - events.len())?;
    ensure!(report.duplicates >= copies, "{copies} copies came and were dropped: {report:?}");
    if kind == Kind::Fifo {
        ensure!(copies == 0, "a FIFO queue drops copies by itself");
        for order in orders {
            let numbers = reserved.iter().filter(|(of, _)| *of == order).map(|(_, number)| number);
            ensure!(numbers.is_sorted(), "an order's events are handled in their order");
        }
    }
    Ok(())
}

/// SQS locks a group for as long as any of it is
/// [invisible](https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/interleaving-multiple-ordered-message-groups.html).
/// LocalStack gives the later ones of a group as soon as one of it is visible again, also while another is still
/// invisible. So where events fail, one delivery at a time is in flight: then the two agree.
const FIFO_MANNERS: [Manner; 2] =
    [Manner { concurrency: 8, fails: false }, Manner { concurrency: 1, fails: true }];

proptest! {
    #![proptest_config(cases(6))]

    #[test]
    fn a_storm_on_both_sides_of_a_standard_queue_leaves_each_effect_once(
        storm in storm(80),
        of in vec(0..30_usize, 40..90),
    ) {
        let (kind, manner) = (Kind::Standard, Manner { concurrency: 8, fails: true });
        block_on(World::with(kind, async |world| case(&world, kind, manner, storm, of).await))?;
    }

    #[test]
    fn a_storm_on_both_sides_of_a_fifo_queue_leaves_each_effect_once_and_in_order(
        storm in storm(80),
        of in vec(0..30_usize, 40..90),
        manner in sample::select(FIFO_MANNERS.to_vec()),
    ) {
        let kind = Kind::Fifo;
        block_on(World::with(kind, async |world| case(&world, kind, manner, storm, of).await))?;
    }
}
