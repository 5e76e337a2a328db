//! The publisher in a storm, driven as a relay drives it: an aggregate's next event goes when its last one is published.

use std::{collections::VecDeque, sync::Arc};

use anyhow::{Result, ensure};
use outbox_core::{
    message::Message,
    publisher::{Outcome, Publisher as _},
};
use outbox_tests::sqs::{TestQueue, proxy::Storm};
use proptest::{collection::vec, prelude::*};

use super::world::{PATIENCE, World, block_on, cases, message, storm};

/// Publishes all, each until it is published.
async fn publish_all(world: &World, mut lines: Vec<VecDeque<Message>>) -> Result<()> {
    let publisher = world.publisher();
    for _ in 0..1_000 {
        lines.retain(|line| !line.is_empty());
        if lines.is_empty() {
            return Ok(());
        }
        let batch: Vec<Message> = lines.iter().map(|line| line[0].clone()).collect();
        let outcomes = publisher.publish_within(&batch, PATIENCE).await;
        ensure!(outcomes.len() == batch.len(), "an outcome for each message");
        let record = world.proxy.record();
        for ((line, message), outcome) in lines.iter_mut().zip(&batch).zip(outcomes) {
            match outcome {
                Outcome::Published { broker_id } => {
                    let broker_id = broker_id.expect("SQS gives an id");
                    let stored = record.copies(&message.id.to_string());
                    ensure!(stored.contains(broker_id.as_str()), "{broker_id} is not of this message");
                    line.pop_front();
                }
                Outcome::Rejected { reason } => anyhow::bail!("a good message was poisoned: {reason}"),
                Outcome::Unavailable { .. }
                | Outcome::Throttled { .. }
                | Outcome::Failed { .. }
                | Outcome::HeldBack { .. } => {}
            }
        }
    }
    anyhow::bail!("the storm does not end")
}

async fn case(storm: Storm, lines: Vec<usize>) -> Result<()> {
    let queue = Arc::new(TestQueue::create(&[]).await?);
    let world = World::around(queue.clone()).await?;
    let outcome = judge(&world, storm, &lines).await;
    queue.client.delete_queue().queue_url(&queue.url).send().await?;
    outcome
}

async fn judge(world: &World, storm: Storm, lines: &[usize]) -> Result<()> {
    let line = |(aggregate, length): (usize, &usize)| {
        (0..*length).map(|number| message(aggregate, number)).collect::<VecDeque<_>>()
    };
    let lines: Vec<_> = lines.iter().enumerate().map(line).collect();
    world.proxy.storm(storm);
    publish_all(world, lines.clone()).await?;
    world.proxy.settled().await;

    let record = world.proxy.record();
    println!("{:?}", record.fired);
    for message in lines.iter().flatten() {
        let id = message.id.to_string();
        let (copies, ambiguous) = (record.copies(&id).len(), record.ambiguous(&id));
        ensure!(copies >= 1, "{id} is lost");
        ensure!(copies <= 1 + ambiguous, "{id}: {copies} copies, {ambiguous} of them without a word");
        ensure!(record.told(&id) == 1, "{id} was sent after the word that it is there");
    }
    for line in &lines {
        let mut firsts = line
            .iter()
            .map(|message| record.stored.iter().position(|stored| stored.id == message.id.to_string()));
        ensure!(firsts.by_ref().is_sorted(), "the first copies are in the order of their aggregate");
    }
    world.check_record().await
}

proptest! {
    #![proptest_config(cases(12))]

    #[test]
    fn a_storm_before_a_standard_queue_loses_nothing_and_each_copy_has_its_cause(
        storm in storm(60),
        lines in vec(1..7_usize, 8..22),
    ) {
        block_on(async {
            case(storm, lines).await.map_err(|error| TestCaseError::fail(format!("{error:#}")))
        })?;
    }
}
