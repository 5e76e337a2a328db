//! Calls and handlers that never return, or take long.

use std::{sync::atomic::Ordering, time::Duration};

use outbox_core::consumer::{Delivery, HandlerError};
use tokio::time::{Instant, sleep};

use crate::world::{Handled, OrderPlaced, Watched, broker, consumer, hasty_broker, run_dry, send};

// The client of a broker may wait for an answer for ever; one connection that died silently is enough.
#[tokio::test(start_paused = true)]
async fn a_call_of_the_broker_that_hangs_does_not_hold_up_what_waits_behind_it() {
    let broker = broker(Duration::from_secs(30));
    send(&broker, "order.placed", 0..20).await;
    let (source, calls) = Watched::new(&broker);
    for hanging in [&calls.hanging_acks, &calls.hanging_nacks, &calls.hanging_retentions] {
        hanging.store(1, Ordering::SeqCst);
    }
    let handler = |event: Delivery<OrderPlaced>, (): ()| async move {
        if event.order_id == 7 && event.attempt() == 1 {
            Err(HandlerError::retry("on purpose"))
        } else {
            Ok(())
        }
    };
    let began = Instant::now();
    let report = run_dry(consumer(source).on(handler), &broker).await;
    // The start is given up after half a minute. What was not acknowledged or given back comes again when its
    // visibility ends, which is another.
    assert!(report.processed >= 20, "found {report:?}");
    assert!(began.elapsed() < Duration::from_secs(90), "found {:?}", began.elapsed());
    for hanging in [&calls.hanging_acks, &calls.hanging_nacks, &calls.hanging_retentions] {
        assert_eq!(hanging.load(Ordering::SeqCst), 0, "the case was met");
    }
}

// A broker may need several requests for it, and no delivery waits behind them.
#[tokio::test(start_paused = true)]
async fn how_long_messages_are_kept_may_take_longer_to_say_than_an_answer_to_a_delivery() {
    let broker = hasty_broker();
    send(&broker, "order.placed", 0..1).await;
    let (source, calls) = Watched::new(&broker);
    calls.retention_time.store(12, Ordering::SeqCst);
    let handled = Handled::default();
    run_dry(consumer(source).on(handled.noting()), &broker).await;
    assert_eq!(handled.all(), [0]);
}

#[tokio::test(start_paused = true)]
async fn a_handler_that_never_returns_is_given_back_and_frees_its_place() {
    let broker = hasty_broker();
    send(&broker, "order.placed", 0..3).await;
    let handled = Handled::default();
    let note = handled.clone();
    let handler = move |event: Delivery<OrderPlaced>, (): ()| {
        let handled = note.clone();
        async move {
            if event.order_id == 0 && event.attempt() == 1 {
                std::future::pending::<()>().await;
            }
            handled.note(&event);
            Ok(())
        }
    };
    let patient = consumer(broker.source("orders")).on(handler).concurrency(1);
    let began = Instant::now();
    let report = run_dry(patient.handler_timeout(Duration::from_secs(2)), &broker).await;
    assert_eq!((report.processed, report.failed), (3, 1));
    assert_eq!(handled.all(), [1, 2, 0]);
    assert!(began.elapsed() >= Duration::from_secs(2), "not before its time");
}

// Many times its visibility: without heartbeats the broker gives it to another.
#[tokio::test(start_paused = true)]
async fn a_handler_that_outlives_its_visibility_is_not_run_twice() {
    let broker = hasty_broker();
    send(&broker, "order.placed", 0..1).await;
    let handled = Handled::default();
    let note = handled.clone();
    let handler = move |event: Delivery<OrderPlaced>, (): ()| {
        let handled = note.clone();
        async move {
            handled.note(&event);
            sleep(Duration::from_secs(3)).await;
            Ok(())
        }
    };
    let consumer = consumer(broker.source("orders")).on(handler);
    let report = consumer.run_until(sleep(Duration::from_secs(5))).await.expect("it ran");
    assert_eq!(handled.all(), [0]);
    assert_eq!((report.processed, report.failed), (1, 0));
}

#[tokio::test(start_paused = true)]
async fn a_delivery_that_is_no_longer_ours_is_not_extended_again() {
    let broker = hasty_broker();
    send(&broker, "order.placed", 0..1).await;
    let (source, calls) = Watched::new(&broker);
    calls.lost.store(true, Ordering::SeqCst);
    let handler = |_: Delivery<OrderPlaced>, (): ()| async {
        sleep(Duration::from_millis(95)).await;
        Ok(())
    };
    run_dry(consumer(source).on(handler), &broker).await;
    assert_eq!(calls.extends.load(Ordering::SeqCst), 1, "of the beats after 33 and 66 ms");
}
