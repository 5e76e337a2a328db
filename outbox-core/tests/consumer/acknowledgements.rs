//! Acknowledgements that the broker does not take.

use std::time::Duration;

use outbox_core::consumer::Delivery;
use tokio::time::{Instant, sleep};

use crate::{
    fifo::{Fifo, VISIBILITY},
    world::{Handled, OrderPlaced, consumer},
};

// The queue gives nothing of a group while one of it is there that was received and not deleted.
#[tokio::test(start_paused = true)]
async fn a_group_does_not_wait_for_the_visibility_of_one_that_was_not_deleted() {
    let queue = Fifo::default();
    queue.put(0, Some("a"));
    queue.seen().acks_to_refuse.insert(0, 2);
    let handled = Handled::default();
    let began = Instant::now();
    let script = async {
        sleep(Duration::from_millis(50)).await;
        queue.put(1, Some("a"));
        queue.dry().await;
    };
    let report = consumer(queue.clone()).on(handled.noting()).run_until(script).await.expect("it ran");
    assert_eq!(handled.all(), [0, 1]);
    assert_eq!(report.processed, 2);
    assert!(began.elapsed() < VISIBILITY / 3, "found {:?}", began.elapsed());
}

#[tokio::test(start_paused = true)]
async fn acknowledgements_that_were_not_answered_are_told_again() {
    let queue = Fifo::default();
    (0..30).for_each(|order| queue.put(order, None));
    queue.seen().acks_to_fail = 2;
    let handled = Handled::default();
    let report = consumer(queue.clone()).on(handled.noting()).run_until(queue.dry()).await.expect("it ran");
    assert_eq!(report.processed, 30, "each once");
}

#[tokio::test(start_paused = true)]
async fn what_is_never_deleted_is_told_a_few_times_and_comes_again() {
    let queue = Fifo::default();
    queue.put(0, Some("a"));
    queue.seen().acks_to_refuse.insert(0, 4);
    let began = Instant::now();
    let handled = Handled::default();
    consumer(queue.clone()).on(handled.noting()).run_until(queue.dry()).await.expect("it ran");
    assert_eq!(handled.all(), [0, 0], "an inbox that knows it drops it here");
    assert_eq!(queue.seen().acked.len(), 5, "four times, and once when it came again");
    assert!(began.elapsed() >= VISIBILITY, "it was given to nobody before");
}

#[tokio::test(start_paused = true)]
async fn others_are_acknowledged_while_one_is_not() {
    let queue = Fifo::default();
    queue.put(0, None);
    queue.seen().acks_to_refuse.insert(0, 3);
    let handled = Handled::default();
    let script = async {
        sleep(Duration::from_millis(200)).await;
        queue.put(1, None);
        sleep(Duration::from_millis(50)).await;
        assert_eq!(queue.left(), 1, "the other is deleted and the first is not");
        queue.dry().await;
    };
    consumer(queue.clone()).on(handled.noting()).run_until(script).await.expect("it ran");
    assert_eq!(handled.all(), [0, 1]);
}

#[tokio::test(start_paused = true)]
async fn a_shutdown_waits_for_acknowledgements_that_were_not_taken_at_once() {
    let queue = Fifo::default();
    queue.put(0, Some("a"));
    queue.seen().acks_to_refuse.insert(0, 3);
    let handler = async |_: Delivery<OrderPlaced>, (): ()| Ok(());
    let told_once = async {
        while queue.seen().acked.is_empty() {
            sleep(Duration::from_millis(1)).await;
        }
    };
    consumer(queue.clone()).on(handler).run_until(told_once).await.expect("it ran");
    assert_eq!(queue.left(), 0);
    assert_eq!(queue.seen().acked.len(), 4);
}
