//! A queue that never ends, while the database or one group is not well.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use outbox_core::{
    consumer::{Consumer, Delivery, HandlerError, InboxError, InboxStore, MessageKey, Processed, Unknown},
    message::ReceivedMessage,
    source::{Incoming, Receipt, Source, SourceError},
    wire::WireError,
};
use tokio::time::{Instant, sleep};

use crate::{
    fifo::{Fifo, LONG_POLL},
    world::{Handled, OrderPlaced, consumer},
};

/// Makes the message of a number.
type Message = fn(usize) -> Incoming;

/// Gives ten at once, each the next of an endless row, after a round trip.
#[derive(Clone)]
struct Backlog {
    round_trip: Duration,
    message: Message,
    given: Arc<AtomicUsize>,
}

impl Backlog {
    fn new(round_trip: Duration, message: Message) -> Self {
        Self { round_trip, message, given: Arc::default() }
    }

    fn given(&self) -> usize {
        self.given.load(Ordering::SeqCst)
    }

    /// Waits until so many were given, or for a minute of moved time.
    async fn until_given(&self, expected: usize) {
        let began = Instant::now();
        while self.given() < expected && began.elapsed() < Duration::from_secs(60) {
            sleep(Duration::from_millis(10)).await;
        }
    }
}

#[async_trait]
impl Source for Backlog {
    async fn receive(&self, max: usize) -> Result<Vec<Incoming>, SourceError> {
        sleep(self.round_trip).await;
        let max = max.min(10);
        let from = self.given.fetch_add(max, Ordering::SeqCst);
        Ok((from..from + max).map(self.message).collect())
    }

    async fn ack(&self, _: &[Receipt]) -> Result<Vec<Receipt>, SourceError> {
        Ok(Vec::new())
    }

    async fn nack(&self, _: &Receipt, _: Duration) -> Result<(), SourceError> {
        Ok(())
    }

    async fn extend(&self, _: &Receipt, _: Duration) -> Result<bool, SourceError> {
        Ok(true)
    }
}

fn incoming(number: usize, event_type: &str) -> Incoming {
    let data = format!(r#"{{"order_id":{number}}}"#);
    Incoming {
        receipt: Receipt(number.to_string().into()),
        broker_id: None,
        attempt: 1,
        group: None,
        message: Ok(ReceivedMessage::new("/shop", number.to_string(), event_type, data)),
    }
}

/// Of a hundred only the first needs the database.
fn one_of_hundred(number: usize) -> Incoming {
    incoming(number, if number.is_multiple_of(100) { "order.placed" } else { "order.ignored" })
}

/// An inbox whose database is away for the next calls, and that refuses some keys before it asks it.
#[derive(Clone, Default)]
struct Failing {
    left: Arc<AtomicUsize>,
    asked: Arc<Mutex<Vec<Instant>>>,
    refuses_all_but_hundreds: bool,
}

impl InboxStore for Failing {
    type Tx = ();

    async fn process<F, Fut>(
        &self,
        message: MessageKey<'_>,
        handler: F,
    ) -> Result<Processed<()>, InboxError<HandlerError>>
    where
        F: FnOnce(()) -> Fut + Send,
        Fut: Future<Output = Result<(), HandlerError>> + Send,
    {
        if self.refuses_all_but_hundreds && !(message.id == "0" || message.id.ends_with("00")) {
            return Err(InboxError::Key("too long on purpose".into()));
        }
        self.asked.lock().expect("nothing panics with the lock held").push(Instant::now());
        if self.left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1)).is_ok() {
            return Err(InboxError::Store("away on purpose".into()));
        }
        handler(()).await.map(Processed::Processed).map_err(InboxError::Handler)
    }

    fn window(&self) -> Option<Duration> {
        None
    }
}

fn failing(times: usize) -> Failing {
    Failing { left: Arc::new(AtomicUsize::new(times)), ..Failing::default() }
}

const ROUND_TRIP: Duration = Duration::from_millis(10);

#[tokio::test(start_paused = true)]
async fn an_outage_of_a_moment_is_over_soon_where_few_messages_need_the_database() {
    let unreadable = |number: usize| match one_of_hundred(number) {
        other if !number.is_multiple_of(100) => {
            Incoming { message: Err(WireError::Missing { attribute: "source" }), ..other }
        }
        placed => placed,
    };
    let all_placed = |number| incoming(number, "order.placed");
    let cases: [(&str, Message, bool, Unknown, bool); 5] = [
        ("ignored", one_of_hundred, true, Unknown::Leave, false),
        ("of an unknown type, acknowledged", one_of_hundred, false, Unknown::Acknowledge, false),
        ("of an unknown type, left", one_of_hundred, false, Unknown::Leave, false),
        ("unreadable", unreadable, true, Unknown::Leave, false),
        ("with keys that are refused", all_placed, true, Unknown::Leave, true),
    ];
    for (case, message, ignores, unknown, refuses_all_but_hundreds) in cases {
        let source = Backlog::new(ROUND_TRIP, message);
        let inbox = Failing { refuses_all_but_hundreds, ..failing(1) };
        let mut consumer =
            Consumer::new(source.clone(), inbox).on(Handled::default().noting()).unknown(unknown);
        if ignores {
            consumer = consumer.ignore("order.ignored");
        }
        let began = Instant::now();
        consumer.run_until(source.until_given(2_000)).await.expect("it ran");
        assert!(source.given() >= 2_000, "{case}: found {} within a minute", source.given());
        // Two seconds without an outage, and one round trip for each of the hundred until one needs the database.
        assert!(began.elapsed() < Duration::from_secs(5), "{case}: found {:?}", began.elapsed());
    }
}

#[tokio::test(start_paused = true)]
async fn messages_that_need_no_database_do_not_make_a_long_outage_cost_more_deliveries() {
    let source = Backlog::new(ROUND_TRIP, one_of_hundred);
    let inbox = failing(usize::MAX);
    let asked = Arc::clone(&inbox.asked);
    let consumer = Consumer::new(source.clone(), inbox).on(Handled::default().noting());
    consumer.ignore("order.ignored").run_until(sleep(Duration::from_secs(60))).await.expect("it ran");
    let asked = asked.lock().expect("nothing panics with the lock held");
    assert!((8..=20).contains(&asked.len()), "ever less often, found {} in a minute", asked.len());
    assert!(source.given() > 500, "what needs no database flows between, found {}", source.given());
}

#[tokio::test(start_paused = true)]
async fn an_empty_queue_is_not_asked_ever_less_often_after_an_outage() {
    let queue = Fifo::default();
    queue.seen().max_receives = Some(1);
    queue.put(0, None);
    let consumer = Consumer::new(queue.clone(), failing(1)).on(Handled::default().noting());
    consumer.run_until(sleep(Duration::from_secs(1_000))).await.expect("it ran");
    assert_eq!(queue.seen().dead, [0], "nothing ever told that the database is back");
    let asked: Vec<Instant> = queue.seen().asked.iter().map(|(at, _)| *at).collect();
    for (one, next) in asked.iter().zip(&asked[1..]) {
        assert!(*next - *one < LONG_POLL + Duration::from_secs(1), "found {:?}", *next - *one);
    }
}

#[tokio::test(start_paused = true)]
async fn one_group_that_fails_does_not_slow_a_backlog_down_however_long_the_way_to_the_broker() {
    let grouped =
        |number: usize| Incoming { group: Some(number.to_string()), ..incoming(number, "order.placed") };
    for millis in [20, 90, 120, 400] {
        let round_trip = Duration::from_millis(millis);
        let given = async |failing: bool| {
            let source = Backlog::new(round_trip, grouped);
            let handler = move |event: Delivery<OrderPlaced>, (): ()| {
                let fails = failing && event.order_id == 0;
                let later = || HandlerError::retry_after(Duration::from_secs(300), "on purpose");
                std::future::ready(if fails { Err(later()) } else { Ok(()) })
            };
            let consumer = consumer(source.clone()).on(handler).concurrency(64);
            consumer.run_until(sleep(round_trip * 100)).await.expect("it ran");
            source.given()
        };
        let (well, failing) = (given(false).await, given(true).await);
        assert!(well > 900, "ten a round trip, found {well}");
        assert!(failing * 10 >= well * 9, "{millis} ms: {well} without a failure, {failing} with one");
    }
}
