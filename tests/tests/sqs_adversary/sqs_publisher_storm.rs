//! The publisher in a storm, driven as a relay drives it: what was not published goes again, and an aggregate's events
//! in their order.

use std::collections::VecDeque;

use anyhow::{Result, ensure};
use outbox_core::{
    message::Message,
    publisher::{Outcome, Publisher as _},
};
use outbox_tests::sqs::proxy::Storm;
use proptest::{collection::vec, prelude::*};

use super::world::{Kind, PATIENCE, World, block_on, cases, message, storm};

/// The heads of all lines, up to so many of each, and from which line each is: first the firsts, then the seconds.
fn heads(lines: &[VecDeque<Message>], depth: usize) -> (Vec<usize>, Vec<Message>) {
    let heads = (0..depth).flat_map(|place| {
        lines
            .iter()
            .enumerate()
            .filter_map(move |(line, messages)| Some((line, messages.get(place)?.clone())))
    });
    heads.unzip()
}

/// Publishes all, each until it is published, up to `depth` of a line in one batch.
async fn publish_all(world: &World, mut lines: Vec<VecDeque<Message>>, depth: usize) -> Result<()> {
    let publisher = world.publisher();
    publisher.start().await?;
    for _ in 0..1_000 {
        let (from, batch) = heads(&lines, depth);
        if batch.is_empty() {
            return Ok(());
        }
        let outcomes = publisher.publish_within(&batch, PATIENCE).await;
        ensure!(outcomes.len() == batch.len(), "an outcome for each message");
        for ((line, message), outcome) in from.into_iter().zip(&batch).zip(outcomes) {
            match outcome {
                Outcome::Published { .. } => {
                    let first = lines[line].pop_front().map(|first| first.id);
                    ensure!(first == Some(message.id), "published past an earlier one that was not");
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

async fn case(world: &World, kind: Kind, storm: Storm, lines: Vec<usize>) -> Result<()> {
    let line = |(aggregate, length): (usize, usize)| {
        (0..length).map(|number| message(aggregate, number)).collect::<VecDeque<_>>()
    };
    let lines: Vec<_> = lines.into_iter().enumerate().map(line).collect();
    let ids: Vec<Vec<String>> =
        lines.iter().map(|line| line.iter().map(|message| message.id.to_string()).collect()).collect();
    world.proxy.storm(storm);
    // On a standard queue nothing keeps two of a line in their order.
    let depth = if kind == Kind::Fifo { 3 } else { 1 };
    publish_all(world, lines, depth).await?;
    world.judge(kind, &ids).await
}

proptest! {
    #![proptest_config(cases(12))]

    #[test]
    fn a_storm_before_a_standard_queue_loses_nothing_and_each_copy_has_its_cause(
        storm in storm(60),
        lines in vec(1..7_usize, 8..22),
    ) {
        let kind = Kind::Standard;
        block_on(World::with(kind, async |world| case(&world, kind, storm, lines).await))?;
    }

    #[test]
    fn a_storm_before_a_fifo_queue_loses_nothing_copies_nothing_and_keeps_each_group_in_order(
        storm in storm(60),
        lines in vec(1..7_usize, 8..22),
    ) {
        let kind = Kind::Fifo;
        block_on(World::with(kind, async |world| case(&world, kind, storm, lines).await))?;
    }
}
