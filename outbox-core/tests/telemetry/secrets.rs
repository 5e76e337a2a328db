//! Nothing of a payload, a header or an aggregate is told to anybody.

use std::{
    io,
    sync::{Arc, Mutex},
    time::Duration,
};

use outbox_core::{
    consumer::{Consumer, Delivery, HandlerError},
    message::Message,
    publisher::Outcome,
    relay::{OnDead, Relay, Subscription},
    retry::RetryPolicy,
    testing::{Answer, ScriptedPublisher, new_event},
};
use tokio::time::sleep;
use tracing::subscriber::DefaultGuard;
use tracing_subscriber::{EnvFilter, fmt::format::FmtSpan};
use uuid::Uuid;

use crate::{
    NAME,
    consumer::{OrderPlaced, Remembering, broker, send},
    log,
    recorder::Told,
    until,
};

const MARKER: &str = "marker-7f3a";

/// Everything that the library logs, at every level, with the beginnings, ends and fields of all spans.
#[derive(Clone, Default)]
struct Written(Arc<Mutex<Vec<u8>>>);

impl io::Write for Written {
    fn write(&mut self, text: &[u8]) -> io::Result<usize> {
        self.0.lock().expect("nothing panics with the lock held").extend_from_slice(text);
        Ok(text.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Written {
    fn text(&self) -> String {
        String::from_utf8_lossy(&self.0.lock().expect("nothing panics with the lock held")).into_owned()
    }

    fn capture(&self) -> DefaultGuard {
        let writer = self.clone();
        let subscriber = tracing_subscriber::fmt()
            .with_env_filter(EnvFilter::new("outbox_core=trace"))
            .with_span_events(FmtSpan::FULL)
            .with_ansi(false)
            .with_writer(move || writer.clone())
            .finish();
        tracing::subscriber::set_default(subscriber)
    }
}

fn assert_nothing_leaked(written: &Written, told: &Told, expected: &[&str]) {
    let text = written.text();
    for line in expected {
        assert!(text.contains(line), "expected `{line}` in\n{text}");
    }
    let leak = text.lines().find(|line| line.contains(MARKER));
    assert_eq!(leak, None, "a log or a span has a piece of an event");
    let labels = told.keys().into_iter().find(|key| key.contains(MARKER));
    assert_eq!(labels, None, "a metric has a piece of an event");
}

#[tokio::test(start_paused = true)]
async fn a_relay_tells_nothing_of_its_events() {
    let (written, told) = (Written::default(), Told::default());
    let (_recorder, _subscriber) = (metrics::set_default_local_recorder(&told), written.capture());
    let (log, publisher) = (log(), ScriptedPublisher::new().max_batch(3));
    for number in 0..12 {
        let mut event = new_event("orders", &format!("{MARKER}-{}", number % 4), &format!(r#""{MARKER}""#));
        event.headers.insert("card", MARKER);
        // Not in the W3C format: somebody's own.
        event.headers.insert("traceparent", MARKER);
        log.append(event);
    }
    publisher
        .then(Answer::Each(Outcome::unavailable("away")))
        .then(Answer::Each(Outcome::throttled(None, "slow down")))
        .then(Answer::Panic)
        .then(Answer::Hang)
        .then(Answer::Short(1));
    publisher.always(Answer::by(|message| match message.seq {
        3 => Outcome::rejected("too large"),
        4 | 5 => Outcome::failed("not this time"),
        _ => Outcome::published(),
    }));
    let subscription = Subscription::new(NAME, publisher.clone())
        .retry(RetryPolicy::fixed(Duration::from_secs(1), 3))
        .on_dead(OnDead::Block)
        .dead_letter_topic("dead-orders");
    let relay = Relay::new(log.clone(), "/test").subscription(subscription).spawn();
    sleep(Duration::from_secs(120)).await;
    let lost = log.remember();
    log.append(new_event("orders", MARKER, &format!(r#""{MARKER}""#)));
    sleep(Duration::from_secs(5)).await;
    log.go_back(&lost);
    sleep(Duration::from_secs(5)).await;
    log.set_away(true);
    sleep(Duration::from_secs(60)).await;
    log.set_away(false);
    until("the end of the outage", || written.text().contains("the database is back")).await;
    relay.stop().await.expect("stops");
    let expected = [
        "leading",
        "pausing",
        "the broker is back",
        "dead: it is not tried again",
        "too large",
        "error.type",
        "messaging.batch.message_count",
        "the term ended",
        "the database is away",
    ];
    assert_nothing_leaked(&written, &told, &expected);
}

#[tokio::test(start_paused = true)]
async fn a_consumer_tells_nothing_of_its_messages() {
    let (written, told) = (Written::default(), Told::default());
    let (_recorder, _subscriber) = (metrics::set_default_local_recorder(&told), written.capture());
    let broker = broker();
    let message = |event_type: &str, payload: &str| {
        let mut message = Message::new(Uuid::now_v7(), "/shop", "orders", event_type, payload);
        message.aggregate_type = Some("order".into());
        message.aggregate_id = Some(format!("{MARKER}-{}", message.id));
        message.headers.insert("card", MARKER);
        message
    };
    let good = message("order.placed", &format!(r#"{{"order_id":1,"card":"{MARKER}"}}"#));
    let messages = [
        good.clone(),
        good,
        message("order.placed", &format!(r#"{{"order_id":2,"card":"{MARKER}"}}"#)),
        message("order.placed", &format!(r#"{{"order_id":3,"card":"{MARKER}"}}"#)),
        message("order.placed", &format!(r#"{{"order_id":"{MARKER}"}}"#)),
        message("order.placed", &format!(r#""{MARKER}""#)),
        message("order.viewed", &format!(r#""{MARKER}""#)),
        message("order.lost", &format!(r#""{MARKER}""#)),
    ];
    send(&broker, &messages).await;
    let handler = async |event: Delivery<OrderPlaced>, (): ()| match (event.order_id, event.attempt()) {
        (2, 1) => Err(HandlerError::retry("not this time")),
        (3, 1) => panic!("a panic on purpose"),
        _ => Ok(()),
    };
    let consumer = Consumer::new(broker.source("orders"), Remembering::default())
        .retry(RetryPolicy::fixed(Duration::from_millis(10), u32::MAX))
        .ignore("order.viewed")
        .on(handler);
    // Three stay: two that cannot be read, and one that nobody handles.
    let rest = until("the rest", || broker.depth("orders").total() == 3);
    consumer
        .run_until(async {
            rest.await;
            sleep(Duration::from_secs(1)).await;
        })
        .await
        .expect("it ran");
    let expected = [
        "a handler failed",
        "a handler panicked",
        "a message cannot be read",
        "expected u32",
        "processed before",
        "no handler for this type",
        "ignored",
        "messaging.operation.name",
        "error.type",
    ];
    assert_nothing_leaked(&written, &told, &expected);
}
