//! The order of a group, and what a failure in one does to itself and to others.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use outbox_core::{
    consumer::{Delivery, HandlerError},
    message::ReceivedMessage,
    retry::RetryPolicy,
    source::{Incoming, Receipt, Source, SourceError},
    wire,
};

use tokio::time::sleep;

use crate::{
    fifo::Fifo,
    world::{Handled, OrderPlaced, consumer},
};

const BATCHES: usize = 100;
const MEMBERS: usize = 50;

/// Gives batches of one group each, whose first member cannot be read.
#[derive(Clone, Default)]
struct Poisoned {
    given: Arc<AtomicUsize>,
    back: Arc<AtomicUsize>,
}

#[async_trait]
impl Source for Poisoned {
    async fn receive(&self, _: usize) -> Result<Vec<Incoming>, SourceError> {
        let batch = self.given.fetch_add(1, Ordering::SeqCst);
        if batch >= BATCHES {
            std::future::pending::<()>().await;
        }
        let member = |number: usize| Incoming {
            receipt: Receipt(format!("{batch}/{number}").into()),
            broker_id: None,
            attempt: 1,
            group: Some(format!("group {batch}")),
            message: match number {
                0 => wire::decode("garbage", &BTreeMap::new()),
                _ => Ok(ReceivedMessage::new("/shop", "1", "order.placed", r#"{"order_id":1}"#)),
            },
        };
        Ok((0..MEMBERS).map(member).collect())
    }

    async fn ack(&self, _: &[Receipt]) -> Result<Vec<Receipt>, SourceError> {
        Ok(Vec::new())
    }

    async fn nack(&self, _: &Receipt, _: Duration) -> Result<(), SourceError> {
        self.back.fetch_add(1, Ordering::SeqCst);
        Ok(())
    }

    async fn extend(&self, _: &Receipt, _: Duration) -> Result<bool, SourceError> {
        Ok(true)
    }
}

// The first is given back while the batch is still handed out: what follows must not begin a lane of its own.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_overtakes_a_message_of_its_group_that_fails_while_its_batch_is_handed_out() {
    let source = Poisoned::default();
    let handled = Handled::default();
    let note = handled.clone();
    let handler = move |event: Delivery<OrderPlaced>, (): ()| {
        let handled = note.clone();
        async move {
            handled.note(&event);
            Ok(())
        }
    };
    let all_back = async {
        while source.back.load(Ordering::SeqCst) + handled.all().len() < BATCHES * MEMBERS {
            sleep(Duration::from_millis(1)).await;
        }
    };
    let consumer = consumer(source.clone()).on(handler).concurrency(MEMBERS);
    let run = consumer.run_until(all_back);
    tokio::time::timeout(Duration::from_secs(30), run).await.expect("it ends").expect("it ran");
    assert!(handled.all().is_empty(), "all come again in order, found {:?}", handled.all());
}

/// Handles each order, but for those that always fail.
fn failing(
    handled: &Handled,
    poison: &'static [u32],
) -> impl Fn(Delivery<OrderPlaced>, ()) -> std::future::Ready<Result<(), HandlerError>> + Send + Sync + 'static
{
    let handled = handled.clone();
    move |event, ()| {
        if poison.contains(&event.order_id) {
            return std::future::ready(Err(HandlerError::retry("on purpose")));
        }
        handled.note(&event);
        std::future::ready(Ok(()))
    }
}

fn of_group(handled: &Handled, group: std::ops::Range<u32>) -> Vec<u32> {
    handled.all().into_iter().filter(|order| group.contains(order)).collect()
}

fn every_second() -> RetryPolicy {
    RetryPolicy::fixed(Duration::from_secs(1), u32::MAX)
}

#[tokio::test(start_paused = true)]
async fn a_group_that_fails_comes_again_in_order_and_delays_no_other() {
    let queue = Fifo::default();
    for (group, orders) in [("a", 0..5), ("b", 5..10), ("c", 10..15)] {
        orders.for_each(|order| queue.put(order, Some(group)));
    }
    let handled = Handled::default();
    let note = handled.clone();
    let handler = move |event: Delivery<OrderPlaced>, (): ()| {
        let handled = note.clone();
        async move {
            if event.order_id == 1 && event.attempt() < 3 {
                return Err(HandlerError::retry("on purpose"));
            }
            handled.note(&event);
            Ok(())
        }
    };
    let script = async {
        sleep(Duration::from_millis(900)).await;
        assert_eq!(
            of_group(&handled, 5..15),
            (5..15).collect::<Vec<_>>(),
            "before the failed one came again"
        );
        assert_eq!(of_group(&handled, 0..5), [0], "those behind it wait");
        queue.dry().await;
    };
    let failing = consumer(queue.clone()).on(handler).retry(every_second()).concurrency(20);
    let report = failing.run_until(script).await.expect("it ran");
    assert_eq!((report.processed, report.failed), (15, 2));
    assert_eq!(of_group(&handled, 0..5), [0, 1, 2, 3, 4]);
    let given_back: Vec<u32> = queue.seen().given_back.iter().map(|(order, _)| *order).collect();
    assert_eq!(given_back[..4], [1, 2, 3, 4], "in order behind it");
}

#[tokio::test(start_paused = true)]
async fn a_handler_that_hangs_holds_its_own_group_only() {
    let queue = Fifo::default();
    for order in 0..30 {
        queue.put(order, Some(&format!("group {}", order % 3)));
    }
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
    let script = async {
        sleep(Duration::from_secs(1)).await;
        let others: Vec<u32> = handled.all();
        assert_eq!(others.len(), 20, "all of the others and none behind it, found {others:?}");
        queue.dry().await;
    };
    let hanging = consumer(queue.clone()).on(handler).retry(every_second()).concurrency(30);
    let report = hanging.handler_timeout(Duration::from_secs(120)).run_until(script).await.expect("it ran");
    assert_eq!((report.processed, report.failed), (30, 1));
    for group in 0..3 {
        let order: Vec<u32> = handled.all().into_iter().filter(|order| order % 3 == group).collect();
        assert!(order.is_sorted(), "found {order:?}");
    }
}

// Each delivery counts towards the queue's redrive policy, also of those that are only given back.
#[tokio::test(start_paused = true)]
async fn those_behind_a_message_that_always_fails_are_not_moved_away_with_it() {
    for receivers in [1, 3] {
        let queue = Fifo::default();
        queue.seen().max_receives = Some(8);
        (0..10).for_each(|order| queue.put(order, Some("a")));
        let handled = Handled::default();
        let failing = consumer(queue.clone()).on(failing(&handled, &[0])).retry(every_second());
        let run = failing.concurrency(40).receivers(receivers).run_until(queue.dry());
        let report = run.await.expect("it ran");
        assert_eq!(report.failed, 8);
        assert_eq!(queue.seen().dead, [0], "with {receivers} receivers");
        assert_eq!(handled.all(), (1..10).collect::<Vec<_>>());
    }
}

#[tokio::test(start_paused = true)]
async fn those_behind_it_are_not_moved_away_on_a_busy_queue_either() {
    let queue = Fifo::default();
    {
        let mut seen = queue.seen();
        seen.max_receives = Some(5);
        seen.round_trip = Duration::from_millis(20);
    }
    (0..10).for_each(|order| queue.put(order, Some("a")));
    let handled = Handled::default();
    let script = async {
        // Ten a round trip, for longer than the poison lives.
        for order in 10..4_000 {
            queue.put(order, Some(&format!("group {}", order % 50)));
            if order % 10 == 0 {
                sleep(Duration::from_millis(20)).await;
            }
        }
        queue.dry().await;
    };
    let failing = consumer(queue.clone()).on(failing(&handled, &[0])).retry(every_second());
    let report = failing.concurrency(100).run_until(script).await.expect("it ran");
    assert_eq!(report.failed, 5);
    assert_eq!(queue.seen().dead, [0]);
    let requests = queue.seen().asked.len();
    assert_eq!(of_group(&handled, 0..10), (1..10).collect::<Vec<_>>());
    assert!(requests <= 500, "others still come many at once: found {requests} requests for 4,000 messages");
}
