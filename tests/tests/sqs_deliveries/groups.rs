//! A consumer on a FIFO queue: the messages of a group one after the other, whatever becomes of one of them.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    time::Duration,
};

use outbox_core::consumer::{Delivery, HandlerError};
use outbox_seaorm::Tx;
use outbox_tests::{Kind, TestDb, sqs::TestQueue};

use crate::world::{OrderPlaced, Running, consumer, effect, effects, of_group, run_dry, send};

const ALL: [&str; 9] = ["a1", "b1", "a2", "c1", "b2", "a3", "c2", "b3", "c3"];

async fn on_a_fifo_queue(kind: Kind, test: impl AsyncFnOnce(&TestQueue, &TestDb) -> anyhow::Result<()>) {
    TestQueue::run_fifo(async |queue| {
        let mut outcome = Ok(());
        TestDb::run(kind, async |db| {
            outcome = test(&queue, &db).await;
            Ok(())
        })
        .await;
        outcome
    })
    .await;
}

fn assert_in_order(effects: &[String]) {
    for group in ["a", "b", "c"] {
        let expected: Vec<_> = ALL.into_iter().filter(|id| id.starts_with(group)).collect();
        assert_eq!(of_group(effects, group), expected, "of {effects:?}");
    }
}

fn place(effects: &[String], what: &str) -> Option<usize> {
    effects.iter().position(|effect| effect == what)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_group_of_sqs_is_handled_in_order_and_waits_for_one_that_fails_while_others_go_on() {
    on_a_fifo_queue(Kind::Sqlite, async |queue, db| {
        send(queue, &ALL).await?;
        let (running, others) = (Running::default(), Arc::new(AtomicUsize::new(0)));
        let handler = move |event: Delivery<OrderPlaced>, txn: Tx| {
            let (running, others) = (running.clone(), Arc::clone(&others));
            async move {
                let _one = running.begin(&event.order_id);
                effect(&txn, &event.order_id).await?;
                // The first of `a` succeeds when all the others have: they must not wait for it.
                if event.order_id == "a1" && others.load(SeqCst) < 6 {
                    return Err(HandlerError::retry("on purpose"));
                }
                if !event.order_id.starts_with('a') {
                    others.fetch_add(1, SeqCst);
                }
                Ok(())
            }
        };
        let report = run_dry(consumer(queue, db).on(handler), queue).await?;
        assert_eq!(report.processed, 9, "{report:?}");
        assert!(report.failed >= 1, "{report:?}");
        let effects = effects(&db.db).await?;
        assert_in_order(&effects);
        assert!(place(&effects, "a1") > place(&effects, "b3"), "{effects:?}");
        Ok(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_group_of_sqs_waits_for_one_whose_handler_panics() {
    on_a_fifo_queue(Kind::Sqlite, async |queue, db| {
        send(queue, &ALL).await?;
        let handler = async |event: Delivery<OrderPlaced>, txn: Tx| -> Result<(), HandlerError> {
            effect(&txn, &event.order_id).await?;
            assert!(event.order_id != "b2" || event.attempt() > 1, "on purpose");
            Ok(())
        };
        let report = run_dry(consumer(queue, db).on(handler), queue).await?;
        assert_eq!((report.processed, report.failed), (9, 1), "{report:?}");
        assert_in_order(&effects(&db.db).await?);
        Ok(())
    })
    .await;
}

/// SQLite has one writer: there a handler that hangs holds all up.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_handler_that_hangs_holds_up_its_own_group_of_sqs_only_with_postgres() {
    on_a_fifo_queue(Kind::Postgres, async |queue, db| {
        send(queue, &ALL).await?;
        let running = Running::default();
        let handler = move |event: Delivery<OrderPlaced>, txn: Tx| {
            let running = running.clone();
            async move {
                let _one = running.begin(&event.order_id);
                if event.order_id == "a1" && event.attempt() == 1 {
                    std::future::pending::<()>().await;
                }
                effect(&txn, &event.order_id).await?;
                Ok(())
            }
        };
        let patient = consumer(queue, db).handler_timeout(Duration::from_secs(8));
        let report = run_dry(patient.on(handler), queue).await?;
        assert_eq!((report.processed, report.failed), (9, 1), "{report:?}");
        let effects = effects(&db.db).await?;
        assert_in_order(&effects);
        assert!(place(&effects, "a1") > place(&effects, "c3"), "{effects:?}");
        Ok(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn groups_of_sqs_are_handled_side_by_side_with_postgres() {
    on_a_fifo_queue(Kind::Postgres, async |queue, db| {
        send(queue, &ALL).await?;
        let all_three = Arc::new(tokio::sync::Barrier::new(3));
        let running = Running::default();
        let handler = move |event: Delivery<OrderPlaced>, txn: Tx| {
            let (all_three, running) = (Arc::clone(&all_three), running.clone());
            async move {
                let _one = running.begin(&event.order_id);
                // None of the three ends before the others have begun.
                all_three.wait().await;
                effect(&txn, &event.order_id).await?;
                Ok(())
            }
        };
        let report = run_dry(consumer(queue, db).concurrency(9).on(handler), queue).await?;
        assert_eq!((report.processed, report.failed), (9, 0), "{report:?}");
        assert_in_order(&effects(&db.db).await?);
        Ok(())
    })
    .await;
}
