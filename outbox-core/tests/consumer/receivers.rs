//! Several receive calls at the same time.

use std::{
    collections::VecDeque,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use outbox_core::{
    consumer::{
        Consumer, ConsumerError, Delivery, HandlerError, InboxError, InboxStore, MessageKey, Processed,
    },
    message::ReceivedMessage,
    source::{Incoming, Receipt, Source, SourceError},
};
use tokio::{
    sync::oneshot,
    time::{Instant, sleep},
};

use crate::{
    fifo::Fifo,
    world::{Handled, OrderPlaced, consumer},
};

const ROUND_TRIP: Duration = Duration::from_millis(20);

#[tokio::test(start_paused = true)]
async fn as_many_receive_calls_are_under_way_as_there_are_receivers_and_one_unless_told_otherwise() {
    for (receivers, expected) in [(None, 1), (Some(4), 4)] {
        let queue = Fifo::default();
        let mut consumer = consumer(queue.clone()).on(Handled::default().noting());
        if let Some(receivers) = receivers {
            consumer = consumer.receivers(receivers);
        }
        consumer.run_until(sleep(Duration::from_secs(60))).await.expect("it ran");
        assert_eq!(queue.seen().most_receiving, expected);
    }
}

#[tokio::test(start_paused = true)]
async fn messages_do_not_wait_for_one_round_trip_after_the_other() {
    let time_of = async |receivers: usize| {
        let queue = Fifo::default();
        queue.seen().round_trip = ROUND_TRIP;
        (0..800).for_each(|order| queue.put(order, None));
        let consumer = consumer(queue.clone()).on(Handled::default().noting());
        let began = Instant::now();
        let report =
            consumer.concurrency(200).receivers(receivers).run_until(queue.dry()).await.expect("it ran");
        assert_eq!(report.processed, 800, "each once");
        began.elapsed()
    };
    let (one, four) = (time_of(1).await, time_of(4).await);
    assert!(one >= ROUND_TRIP * 80, "ten a round trip, found {one:?}");
    assert!(four <= one / 3, "expected a quarter of {one:?}, found {four:?}");
}

#[tokio::test(start_paused = true)]
async fn receivers_together_hold_no_more_than_the_concurrency_and_ask_for_no_more_than_their_shares() {
    let queue = Fifo::default();
    queue.seen().round_trip = ROUND_TRIP;
    (0..200).for_each(|order| queue.put(order, None));
    let (running, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let note = (Arc::clone(&running), Arc::clone(&most));
    let handler = move |event: Delivery<OrderPlaced>, (): ()| {
        let (running, most) = (Arc::clone(&note.0), Arc::clone(&note.1));
        async move {
            most.fetch_max(running.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
            sleep(Duration::from_millis(u64::from(event.order_id % 40))).await;
            running.fetch_sub(1, Ordering::SeqCst);
            Ok(())
        }
    };
    let consumer = consumer(queue.clone()).on(handler).concurrency(11).receivers(4);
    consumer.run_until(queue.dry()).await.expect("it ran");
    let most = most.load(Ordering::SeqCst);
    assert!((8..=11).contains(&most), "found {most} at once");
    assert!(queue.seen().asked.iter().all(|(_, asked)| *asked <= 2), "a quarter of eleven each");
}

#[tokio::test(start_paused = true)]
async fn a_receiver_whose_requests_fail_waits_by_itself() {
    let queue = Fifo::default();
    queue.seen().receives_to_fail = 1;
    (0..40).for_each(|order| queue.put(order, None));
    let began = Instant::now();
    let consumer = consumer(queue.clone()).on(Handled::default().noting()).concurrency(40).receivers(2);
    let report = consumer.run_until(queue.dry()).await.expect("it ran");
    assert_eq!(report.processed, 40);
    // The first wait of an outage is 50 ms at least.
    assert!(began.elapsed() < Duration::from_millis(50), "found {:?}", began.elapsed());
}

#[tokio::test(start_paused = true)]
async fn one_refusal_ends_the_consumer_and_what_runs_may_end() {
    let queue = Fifo::default();
    queue.put(0, None);
    let handled = Handled::default();
    let note = (handled.clone(), queue.clone());
    let handler = move |event: Delivery<OrderPlaced>, (): ()| {
        let (handled, queue) = note.clone();
        async move {
            queue.seen().is_refusing = true;
            sleep(Duration::from_secs(1)).await;
            handled.note(&event);
            Ok(())
        }
    };
    let consumer = consumer(queue.clone()).on(handler).receivers(3);
    let ended = consumer.run_until(std::future::pending()).await;
    assert!(matches!(ended, Err(ConsumerError::Source(SourceError::Refused(_)))), "found {ended:?}");
    assert_eq!((handled.all(), queue.left()), (vec![0], 0), "handled and deleted");
    // One each, the next of the one that got the message, and one each that may have been refused.
    let asked = queue.seen().asked.len();
    assert!(asked <= 7, "one refusal is enough, found {asked} requests");
}

#[tokio::test]
async fn receivers_out_of_range_are_refused_with_both_figures() {
    let start = async |receivers: usize, concurrency: usize| {
        let queue = Fifo::default();
        let consumer = consumer(queue).on(Handled::default().noting());
        consumer.receivers(receivers).concurrency(concurrency).run_until(async {}).await
    };
    for wrong in [0, 65, usize::MAX] {
        let refused = start(wrong, 100).await;
        assert!(
            matches!(refused, Err(ConsumerError::Setting { setting: "receivers", most: 64, found, .. }) if found == wrong),
            "found {refused:?}"
        );
    }
    let error = start(9, 8).await.expect_err("more than there are places");
    assert_eq!(
        error.to_string(),
        "expected at most as many receivers as the concurrency (8), found 9: lower `receivers` or raise `concurrency`"
    );
    start(8, 8).await.expect("one place each");
    start(64, 64).await.expect("one place each");
}

/// Gives each receive the next answer, once that is there.
#[derive(Clone, Default)]
struct Staged {
    answers: Arc<Mutex<VecDeque<oneshot::Receiver<Vec<Incoming>>>>>,
    given_back: Arc<Mutex<Vec<(Receipt, Duration)>>>,
}

impl Staged {
    fn answer(&self) -> oneshot::Sender<Vec<Incoming>> {
        let (sender, answer) = oneshot::channel();
        self.answers.lock().expect("nothing panics with the lock held").push_back(answer);
        sender
    }
}

#[async_trait]
impl Source for Staged {
    async fn receive(&self, _: usize) -> Result<Vec<Incoming>, SourceError> {
        let answer = self.answers.lock().expect("nothing panics with the lock held").pop_front();
        match answer {
            Some(answer) => Ok(answer.await.expect("it is answered")),
            None => std::future::pending().await,
        }
    }

    async fn ack(&self, _: &[Receipt]) -> Result<Vec<Receipt>, SourceError> {
        Ok(Vec::new())
    }

    async fn nack(&self, receipt: &Receipt, delay: Duration) -> Result<(), SourceError> {
        self.given_back.lock().expect("nothing panics with the lock held").push((receipt.clone(), delay));
        Ok(())
    }

    async fn extend(&self, _: &Receipt, _: Duration) -> Result<bool, SourceError> {
        Ok(true)
    }
}

fn incoming(order: u32, group: &str) -> Incoming {
    Incoming {
        receipt: Receipt(order.to_string().into()),
        broker_id: None,
        attempt: 1,
        group: Some(group.into()),
        message: Ok(ReceivedMessage::new(
            "/shop",
            order.to_string(),
            "order.placed",
            format!(r#"{{"order_id":{order}}}"#),
        )),
    }
}

#[tokio::test(start_paused = true)]
async fn a_group_that_came_through_several_receivers_is_handled_in_the_order_of_the_answers() {
    let source = Staged::default();
    let mut answers: Vec<_> = (0..4).map(|_| source.answer()).collect();
    let handled = Handled::default();
    let note = handled.clone();
    let running = Arc::new(AtomicUsize::new(0));
    let handler = move |event: Delivery<OrderPlaced>, (): ()| {
        let (handled, running) = (note.clone(), Arc::clone(&running));
        async move {
            assert_eq!(running.fetch_add(1, Ordering::SeqCst), 0, "one after the other");
            // Later ones are quicker: side by side they would overtake.
            sleep(Duration::from_millis(100 - u64::from(event.order_id) * 10)).await;
            running.fetch_sub(1, Ordering::SeqCst);
            handled.note(&event);
            Ok(())
        }
    };
    let script = async {
        sleep(Duration::from_millis(1)).await;
        // The last receiver is answered first, and all four before a handler has ended.
        for first in [0, 2, 4, 6] {
            let batch = vec![incoming(first, "a"), incoming(first + 1, "a")];
            answers.pop().expect("one each").send(batch).expect("it is waited for");
        }
        while handled.all().len() < 8 {
            sleep(Duration::from_millis(10)).await;
        }
    };
    let consumer = consumer(source.clone()).on(handler).concurrency(16).receivers(4);
    let report = consumer.run_until(script).await.expect("it ran");
    assert_eq!((report.processed, report.failed), (8, 0));
    assert_eq!(handled.all(), (0..8).collect::<Vec<_>>());
}

// Left alone, it would come again only when its visibility ends; and its group would wait for that.
#[tokio::test(start_paused = true)]
async fn what_was_answered_when_the_shutdown_came_is_given_back_at_once() {
    let source = Staged::default();
    let (first, second) = (source.answer(), source.answer());
    let handled = Handled::default();
    let shutdown = async {
        sleep(Duration::from_secs(1)).await;
        // Both answers and the end of the run come with the same turn of the loop.
        first.send(vec![incoming(1, "a"), incoming(2, "a")]).expect("it is waited for");
        second.send(vec![incoming(3, "b")]).expect("it is waited for");
    };
    let consumer = consumer(source.clone()).on(handled.noting()).concurrency(16).receivers(3);
    let report = consumer.run_until(shutdown).await.expect("it ran");
    assert_eq!((report.processed, report.failed), (0, 0));
    assert!(handled.all().is_empty(), "nothing is begun any more");
    let mut given_back = source.given_back.lock().expect("nothing panics with the lock held").clone();
    given_back.sort_by(|one, other| one.0.0.cmp(&other.0.0));
    let now = |order: &str| (Receipt(order.into()), Duration::ZERO);
    assert_eq!(given_back, [now("1"), now("2"), now("3")]);
}

/// An inbox whose database can be away.
#[derive(Clone, Default)]
struct Moody {
    is_away: Arc<AtomicBool>,
}

impl InboxStore for Moody {
    type Tx = ();

    async fn process<F, Fut>(
        &self,
        _: MessageKey<'_>,
        handler: F,
    ) -> Result<Processed<()>, InboxError<HandlerError>>
    where
        F: FnOnce(()) -> Fut + Send,
        Fut: Future<Output = Result<(), HandlerError>> + Send,
    {
        if self.is_away.load(Ordering::SeqCst) {
            return Err(InboxError::Store("away on purpose".into()));
        }
        handler(()).await.map(Processed::Processed).map_err(InboxError::Handler)
    }

    fn window(&self) -> Option<Duration> {
        None
    }
}

#[tokio::test(start_paused = true)]
async fn while_the_database_is_away_one_receiver_asks_for_one_message() {
    let queue = Fifo::default();
    (0..500).for_each(|order| queue.put(order, None));
    let inbox = Moody::default();
    inbox.is_away.store(true, Ordering::SeqCst);
    let consumer = Consumer::new(queue.clone(), inbox.clone())
        .on(Handled::default().noting())
        .concurrency(80)
        .receivers(8);
    let script = async {
        sleep(Duration::from_secs(60)).await;
        let asked = queue.seen().asked.clone();
        let (first, later) = asked.split_at(8);
        assert!(first.iter().all(|(_, asked)| *asked == 10), "found {first:?}");
        assert!(later.iter().all(|(_, asked)| *asked == 1), "found {later:?}");
        assert!((8..=20).contains(&later.len()), "ever less often, found {later:?}");
        assert!(queue.seen().receiving <= 1, "one at a time");
        inbox.is_away.store(false, Ordering::SeqCst);
        queue.dry().await;
    };
    let report = consumer.run_until(script).await.expect("it ran");
    assert_eq!(report.processed, 500);
    let last = queue.seen().asked.last().map(|(_, asked)| *asked);
    assert!(last > Some(1), "they ask for their shares again, found {last:?}");
}
