//! One bad moment each.

use std::{collections::BTreeSet, time::Duration};

use anyhow::{Context as _, Result};
use outbox_core::{
    log::HoleProof,
    message::Message,
    publisher::{Outcome, Publisher as _},
    relay::{Relay, RelayConfig, Subscription},
    retry::RetryPolicy,
    source::{Incoming, Source as _, SourceError},
    testing::{MemoryLog, new_event},
};
use outbox_sqs::SqsSource;
use outbox_tests::{
    database::until,
    sqs::{
        TestQueue,
        proxy::{EntryError, EntryFault, Fault, Operation, Refusal},
    },
};
use uuid::Uuid;

use super::{
    inventory::{Inventory, placed},
    world::{PATIENCE, World, eager, message},
};

async fn on_a_queue<F: Future<Output = Result<()>>>(test: impl FnOnce(World) -> F) {
    TestQueue::run(async |queue| test(World::around(queue).await?).await).await;
}

fn messages(count: usize) -> Vec<Message> {
    (0..count).map(|number| message(number, number)).collect()
}

/// How many copies of each message are in the queue.
async fn copies(world: &World, messages: &[Message]) -> Result<Vec<usize>> {
    let found = world.drain().await?;
    let count = |message: &Message| found.iter().filter(|(id, _)| *id == message.id.to_string()).count();
    Ok(messages.iter().map(count).collect())
}

/// Publishes so many events, each of its own aggregate, with a relay, until its log is drained.
async fn relay(world: &World, count: usize) -> Result<Vec<String>> {
    let log = MemoryLog::new(HoleProof::WriterList);
    let mut ids = Vec::new();
    for number in 0..count {
        let event = new_event("orders", &number.to_string(), "x");
        ids.push(event.id.to_string());
        log.append(event);
    }
    let retry = RetryPolicy::fixed(Duration::from_millis(10), u32::MAX);
    let relay = Relay::new(log.clone(), "/shop")
        // None of these tests is about time: what the server takes long for is waited for.
        .config(RelayConfig { publish_timeout: Duration::from_secs(15), ..eager() })
        .subscription(Subscription::new("sqs", world.publisher()).retry(retry))
        .spawn();
    until("a drained log", Duration::from_secs(60), async || log.is_drained("sqs").then_some(())).await;
    relay.stop().await?;
    Ok(ids)
}

#[tokio::test]
async fn an_answer_that_is_lost_after_acceptance_ends_in_a_duplicate_at_worst() {
    on_a_queue(async |world| {
        let (publisher, messages) = (world.publisher(), messages(3));
        for fault in [Fault::LoseAnswer, Fault::CutAnswer] {
            world.proxy.order(Operation::Send, fault);
            let outcomes = publisher.publish(&messages).await;
            assert!(
                outcomes.iter().all(|outcome| matches!(outcome, Outcome::Unavailable { .. })),
                "{outcomes:?}"
            );
        }
        let outcomes = publisher.publish(&messages).await;
        assert!(outcomes.iter().all(Outcome::is_published), "{outcomes:?}");
        assert_eq!(
            world.requests.of("SendMessageBatch"),
            3,
            "the SDK does not send by itself what was stored"
        );
        assert_eq!(
            copies(&world, &messages).await?,
            [3, 3, 3],
            "one for each lost answer, and the one that counts"
        );
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn an_entry_in_neither_list_goes_again() {
    on_a_queue(async |world| {
        let faults = vec![EntryFault::None, EntryFault::Forget, EntryFault::Omit];
        world.proxy.order(Operation::Send, Fault::Entries(faults.clone()));
        let (publisher, messages) = (world.publisher(), messages(3));
        let outcomes = publisher.publish(&messages).await;
        assert!(outcomes[0].is_published(), "{outcomes:?}");
        assert!(matches!(outcomes[1..], [Outcome::Failed { .. }, Outcome::Failed { .. }]), "{outcomes:?}");
        assert_eq!(copies(&world, &messages).await?, [1, 0, 1]);

        world.proxy.order(Operation::Send, Fault::Entries(faults));
        let ids = relay(&world, 3).await?;
        let record = world.proxy.record();
        let copies: Vec<_> = ids.iter().map(|id| record.copies(id).len()).collect();
        assert_eq!(
            copies,
            [1, 1, 2],
            "what was forgotten went again, and what was stored without a word too"
        );
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn an_entry_that_is_stored_though_reported_as_failed_goes_again() {
    on_a_queue(async |world| {
        let denied = EntryFault::Deny(EntryError { code: "ServiceUnavailable", sender_fault: true });
        world.proxy.order(Operation::Send, Fault::Entries(vec![EntryFault::None, denied]));
        let ids = relay(&world, 2).await?;
        let record = world.proxy.record();
        let copies: Vec<_> = ids.iter().map(|id| record.copies(id).len()).collect();
        assert_eq!(copies, [1, 2]);
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn an_answer_with_a_broken_body_is_ambiguous_and_poisons_nothing() {
    on_a_queue(async |world| {
        let (publisher, messages) = (world.publisher(), messages(12));
        for fault in [Fault::BreakAnswer, Fault::EmptyAnswer] {
            world.proxy.order(Operation::Send, fault);
            let outcomes = publisher.publish(&messages[..2]).await;
            assert!(
                outcomes.iter().all(|outcome| matches!(outcome, Outcome::Unavailable { .. })),
                "{outcomes:?}"
            );
        }
        world.drain().await?;

        for fault in [Fault::BreakAnswer, Fault::EmptyAnswer] {
            world.proxy.order(Operation::Send, fault);
        }
        let ids = relay(&world, 12).await?;
        let record = world.proxy.record();
        // Drained, so each was published; the first ones more than once.
        assert!(ids.iter().all(|id| !record.copies(id).is_empty()));
        assert!(ids.iter().any(|id| record.copies(id).len() > 1));
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn a_throttled_queue_slows_the_relay_down_and_loses_nothing() {
    on_a_queue(async |world| {
        let refusals = 6;
        for _ in 0..refusals {
            let pause = Some(Duration::from_millis(100));
            world.proxy.order(Operation::Send, Fault::Refuse(Refusal::Throttled(pause)));
        }
        let begun = tokio::time::Instant::now();
        let ids = relay(&world, 60).await?;
        let record = world.proxy.record();
        assert!(ids.iter().all(|id| record.copies(id).len() == 1), "a refusal is clear: nothing goes twice");
        assert_eq!(record.fired("throttled"), refusals);
        // The first batch is six requests, of which each may be refused; then it waits, and tries with one batch.
        assert!(begun.elapsed() >= Duration::from_millis(100), "the pause that was asked for is kept");
        let requests = record.requests_of("SendMessageBatch");
        assert!(requests <= 6 * refusals + 12, "{requests} requests: it hammers");
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn a_request_that_the_network_delivers_late_is_a_duplicate_and_no_loss() {
    on_a_queue(async |world| {
        let (publisher, messages) = (world.publisher(), messages(2));
        world.proxy.order(Operation::Send, Fault::HoldRequest(3 * PATIENCE));
        let outcomes = publisher.publish_within(&messages, PATIENCE).await;
        assert!(
            outcomes.iter().all(|outcome| matches!(outcome, Outcome::Unavailable { .. })),
            "{outcomes:?}"
        );
        let outcomes = publisher.publish(&messages).await;
        assert!(outcomes.iter().all(Outcome::is_published), "{outcomes:?}");
        assert!(world.proxy.record().stored.iter().any(|stored| stored.is_told));
        world.proxy.settled().await;
        assert_eq!(copies(&world, &messages).await?, [2, 2]);
        Ok(())
    })
    .await;
}

fn source(world: &World) -> SqsSource {
    SqsSource::new(world.client.clone(), &world.queue.url)
        .wait(Duration::from_secs(3))
        .visibility_timeout(Duration::from_secs(1))
}

/// The next delivery, within 20 receives.
async fn next(source: &SqsSource) -> Result<Incoming> {
    for _ in 0..20 {
        if let Some(incoming) = source.receive(1).await?.pop() {
            return Ok(incoming);
        }
    }
    None.context("a delivery")
}

#[tokio::test]
async fn a_receive_that_is_cut_comes_again_after_its_visibility() {
    on_a_queue(async |world| {
        let sent = messages(1);
        assert!(world.publisher().publish(&sent).await[0].is_published());
        for (fault, attempt) in [(Fault::LoseAnswer, 2), (Fault::CutAnswer, 4), (Fault::BreakAnswer, 6)] {
            world.proxy.order(Operation::Receive, fault.clone());
            let error = source(&world).receive(1).await.expect_err("the answer is lost");
            assert!(matches!(error, SourceError::Unavailable { .. }), "{fault:?}: {error:?}");
            let incoming = next(&source(&world)).await?;
            assert_eq!(incoming.attempt, attempt, "{fault:?}");
            assert_eq!(incoming.message?.id, sent[0].id.to_string());
        }
        Ok(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_delete_whose_entry_fails_comes_again_and_is_dropped_as_a_duplicate() {
    on_a_queue(async |world| {
        let inventory = Inventory::create().await?;
        let order = Uuid::now_v7();
        // More often than a consumer says it within one visibility.
        for fault in [EntryFault::Refuse(EntryError::INTERNAL), EntryFault::Forget].repeat(6) {
            world.proxy.order(Operation::Delete, Fault::Entries(vec![fault]));
        }
        let mut message = message(1, 0);
        message.payload = placed(order, 0).payload;
        assert!(world.publisher().publish(&[message]).await[0].is_published());

        let consumer = inventory.consume(source(&world), 8, BTreeSet::new())?;
        until("an empty queue", Duration::from_secs(60), async || {
            (world.queue.depth().await.ok()? == 0).then_some(())
        })
        .await;
        let report = consumer.stop().await?;
        assert_eq!(inventory.reserved().await?, [(order, 0)]);
        assert_eq!(report.processed, 1);
        assert!(report.duplicates >= 1, "{report:?}");
        assert_eq!(world.proxy.record().fired("entries"), 12, "it went on until it was deleted");
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn an_acknowledgement_whose_entry_fails_is_given_back() {
    on_a_queue(async |world| {
        assert!(world.publisher().publish(&messages(1)).await[0].is_published());
        let incoming = next(&source(&world)).await?;
        for fault in [EntryFault::Refuse(EntryError::INTERNAL), EntryFault::Forget] {
            world.proxy.order(Operation::Delete, Fault::Entries(vec![fault]));
            let left = source(&world).ack(std::slice::from_ref(&incoming.receipt)).await?;
            assert_eq!(left, std::slice::from_ref(&incoming.receipt), "{fault:?}");
        }
        assert_eq!(next(&source(&world)).await?.attempt, 2);
        Ok(())
    })
    .await;
}
