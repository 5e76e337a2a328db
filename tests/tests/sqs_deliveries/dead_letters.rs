//! A message that nobody can read or process ends in the dead-letter queue, as it was sent.

use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context as _, Result};
use outbox_core::{
    consumer::{Delivery, HandlerError},
    source::Source as _,
};
use outbox_seaorm::Tx;
use outbox_tests::{Kind, TestDb, database::until, sqs::TestQueue, told::listen};
use tracing::Level;

use crate::world::{
    DEADLINE, OrderPlaced, consumer, effect, effects, event, redrive, send, send_body, source,
};

async fn reserve(event: Delivery<OrderPlaced>, txn: Tx) -> Result<(), HandlerError> {
    effect(&txn, &event.order_id).await?;
    Ok(())
}

/// The bodies in a queue, invisible for long then.
async fn bodies(queue: &TestQueue) -> Result<Vec<String>> {
    let request = queue.client.receive_message().queue_url(&queue.url).max_number_of_messages(10);
    let answer = request.visibility_timeout(600).wait_time_seconds(1).send().await?;
    answer.messages().iter().map(|message| Ok(message.body().context("a body")?.to_owned())).collect()
}

/// Runs a consumer until the dead-letter queue holds as many messages and the queue is empty.
async fn run_until_dead<H>(
    queue: &TestQueue,
    dead: &TestQueue,
    count: usize,
    db: &TestDb,
    handler: H,
) -> Result<()>
where
    H: outbox_core::consumer::Handler<OrderPlaced, Tx>,
{
    let settled = until("dead letters", DEADLINE, async || {
        (dead.depth().await.ok()? == count && queue.depth().await.ok()? == 0).then_some(())
    });
    consumer(queue, db).on(handler).run_until(settled).await?;
    Ok(())
}

/// On one thread, so that what the consumer's tasks log is heard.
#[tokio::test]
async fn a_body_that_cannot_be_read_ends_in_the_dead_letter_queue_of_sqs_unchanged_and_named() {
    let body = "no event\tat all \u{1F980} & <b>";
    let (told, _listening) = listen(Level::DEBUG);
    TestQueue::run(async |dead| {
        TestQueue::run(async |queue| {
            redrive(&queue, &dead, 2).await?;
            let sent = queue.client.send_message().queue_url(&queue.url).message_body(body).send().await?;
            queue.client.send_message().queue_url(&queue.url).message_body(event("o1")).send().await?;
            TestDb::run(Kind::Sqlite, async |db| {
                run_until_dead(&queue, &dead, 1, &db, reserve).await?;
                assert_eq!(effects(&db.db).await?, ["o1"], "it holds up no other");
                Ok(())
            })
            .await;
            assert_eq!(bodies(&dead).await?, [body]);

            let id = sent.message_id().context("an id")?;
            let lines = told.lines();
            let of_it =
                |words: &str| lines.iter().filter(|line| line.contains(words) && line.contains(id)).count();
            assert_eq!(
                of_it("a message cannot be read"),
                1,
                "one error, with the id that SQS shows; found {:?}",
                lines.iter().filter(|line| line.contains("outbox")).collect::<Vec<_>>()
            );
            assert_eq!(of_it("a message still cannot be read"), 1, "and it was tried again");
            assert!(
                lines.iter().any(|line| line.contains("still") && line.contains("attempt=2")),
                "its count"
            );
            Ok(())
        })
        .await;
        Ok(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_that_is_rejected_ends_in_the_dead_letter_queue_of_sqs() {
    TestQueue::run(async |dead| {
        TestQueue::run(async |queue| {
            redrive(&queue, &dead, 1).await?;
            for id in ["o1", "o2"] {
                queue.client.send_message().queue_url(&queue.url).message_body(event(id)).send().await?;
            }
            let handler = async |event: Delivery<OrderPlaced>, txn: Tx| -> Result<(), HandlerError> {
                effect(&txn, &event.order_id).await?;
                if event.order_id == "o1" { Err(HandlerError::reject("on purpose")) } else { Ok(()) }
            };
            TestDb::run(Kind::Sqlite, async |db| {
                run_until_dead(&queue, &dead, 1, &db, handler).await?;
                assert_eq!(effects(&db.db).await?, ["o2"]);
                Ok(())
            })
            .await;
            assert_eq!(bodies(&dead).await?, [event("o1")]);
            Ok(())
        })
        .await;
        Ok(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_group_of_sqs_goes_on_after_its_first_message_could_not_be_read() {
    TestQueue::run_fifo(async |dead| {
        TestQueue::run_fifo(async |queue| {
            redrive(&queue, &dead, 3).await?;
            // It is received with those behind it, and a receive counts for all of them.
            send_body(&queue, "a0", "no event".to_owned()).await?;
            send(&queue, &["a1", "b1", "a2"]).await?;
            let order = Arc::new(Mutex::new(Vec::new()));
            let seen = Arc::clone(&order);
            let handler = move |event: Delivery<OrderPlaced>, txn: Tx| {
                let seen = Arc::clone(&seen);
                async move {
                    seen.lock().unwrap_or_else(PoisonError::into_inner).push(event.order_id.clone());
                    effect(&txn, &event.order_id).await?;
                    Ok(())
                }
            };
            TestDb::run(Kind::Sqlite, async |db| {
                run_until_dead(&queue, &dead, 1, &db, handler).await?;
                let mut effects = effects(&db.db).await?;
                effects.sort();
                assert_eq!(effects, ["a1", "a2", "b1"]);
                Ok(())
            })
            .await;
            let order = order.lock().unwrap_or_else(PoisonError::into_inner).clone();
            let of_group: Vec<_> = order.iter().filter(|id| id.starts_with('a')).collect();
            assert_eq!(of_group, ["a1", "a2"]);
            assert_eq!(bodies(&dead).await?, ["no event"]);
            Ok(())
        })
        .await;
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn a_queue_of_sqs_without_a_redrive_policy_is_warned_of_once() {
    let (told, _listening) = listen(Level::WARN);
    let warnings = |told: &outbox_tests::told::Written| {
        told.lines().iter().filter(|line| line.contains("no redrive policy")).count()
    };
    TestQueue::run(async |dead| {
        TestQueue::run(async |queue| {
            let without = source(&queue);
            without.start().await?;
            without.clone().start().await?;
            assert_eq!(warnings(&told), 1, "{:?}", told.lines());
            assert!(told.lines().iter().any(|line| line.contains("retention=\"4d\"")), "{:?}", told.lines());

            redrive(&queue, &dead, 5).await?;
            source(&queue).start().await?;
            assert_eq!(warnings(&told), 1, "one that has a policy is not warned of");
            Ok(())
        })
        .await;
        Ok(())
    })
    .await;
}
