//! How deliveries are kept invisible to others.

use std::time::Duration;

use outbox_core::{
    consumer::{Delivery, HandlerError},
    retry::RetryPolicy,
};
use tokio::time::{Instant, sleep};

use crate::{
    fifo::{Fifo, VISIBILITY},
    world::{OrderPlaced, consumer},
};

// Twenty lanes, in most of which two wait: a call for each delivery would be fifty a third of the visibility.
#[tokio::test(start_paused = true)]
async fn all_lanes_are_kept_with_one_call() {
    let queue = Fifo::default();
    for order in 0..60 {
        queue.put(order, Some(&format!("group {}", order % 20)));
    }
    let handler = |_: Delivery<OrderPlaced>, (): ()| async {
        sleep(VISIBILITY * 2).await;
        Ok(())
    };
    let slow = consumer(queue.clone()).on(handler).concurrency(60);
    let report = slow.run_until(queue.dry()).await.expect("it ran");
    assert_eq!((report.processed, report.failed), (60, 0), "nothing was given twice");
    let seen = queue.seen();
    let thirds = 3 * 2 * 3;
    assert!(seen.extended.len() <= 2 * thirds, "found {} calls", seen.extended.len());
    // Of the group that is cut by a full receive, the rest is given later.
    let most = seen.extended.iter().map(Vec::len).max();
    assert_eq!(most, Some(50), "all that was held, with one");
}

#[tokio::test(start_paused = true)]
async fn a_delivery_is_prolonged_by_its_third_and_not_long_before() {
    let queue = Fifo::default();
    queue.put(0, None);
    let began = Instant::now();
    let handler = move |_: Delivery<OrderPlaced>, (): ()| async {
        sleep(VISIBILITY / 3).await;
        Ok(())
    };
    let early = async {
        sleep(VISIBILITY / 5).await;
        assert!(queue.seen().extended.is_empty(), "not within its first fifth");
        queue.dry().await;
    };
    consumer(queue.clone()).on(handler).run_until(early).await.expect("it ran");
    assert_eq!(queue.seen().extended, [[0]]);
    assert!(began.elapsed() < VISIBILITY, "it was given once");
}

// Had the broker the two calls the other way round, the message would stay away for the whole visibility.
#[tokio::test(start_paused = true)]
async fn what_is_given_back_is_not_prolonged_afterwards() {
    let queue = Fifo::default();
    queue.seen().extend_time = Duration::from_secs(2);
    (0..3).for_each(|order| queue.put(order, Some("a")));
    let handler = |event: Delivery<OrderPlaced>, (): ()| async move {
        if event.order_id == 0 && event.attempt() == 1 {
            // A heartbeat is under way when it fails.
            sleep(VISIBILITY / 3 - Duration::from_secs(1)).await;
            return Err(HandlerError::retry("on purpose"));
        }
        Ok(())
    };
    let began = Instant::now();
    let retry = RetryPolicy::fixed(Duration::from_secs(1), u32::MAX);
    let failing = consumer(queue.clone()).on(handler).retry(retry);
    failing.run_until(queue.dry()).await.expect("it ran");
    let seen = queue.seen();
    assert!(!seen.extended.is_empty(), "the case was met");
    let orders: Vec<u32> = seen.given_back.iter().map(|(order, _)| *order).collect();
    assert_eq!(orders, [0, 1, 2], "in their order");
    assert!(began.elapsed() < VISIBILITY / 2, "found {:?}", began.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_heartbeat_that_hangs_holds_up_no_other_and_no_failure_for_long() {
    let queue = Fifo::default();
    queue.seen().extend_time = VISIBILITY * 100;
    (0..4).for_each(|order| queue.put(order, None));
    let handler = |event: Delivery<OrderPlaced>, (): ()| async move {
        if event.order_id == 0 && event.attempt() == 1 {
            sleep(VISIBILITY / 3).await;
            return Err(HandlerError::retry("on purpose"));
        }
        sleep(Duration::from_secs(u64::from(event.order_id))).await;
        Ok(())
    };
    let began = Instant::now();
    let report = consumer(queue.clone()).on(handler).run_until(queue.dry()).await.expect("it ran");
    assert_eq!((report.processed, report.failed), (4, 1));
    assert!(began.elapsed() < VISIBILITY, "found {:?}", began.elapsed());
}
