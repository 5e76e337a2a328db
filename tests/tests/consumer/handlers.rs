//! Each form of a handler, and each answer that it may give.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use outbox_core::{
    consumer::{Delivery, Handler, HandlerError},
    message::ReceivedMessage,
};
use outbox_seaorm::{OutboxEvent, Tx};
use outbox_tests::{ScriptedSource, Told, on_each_database};
use serde::{Deserialize, Serialize};

use crate::world::{
    OrderPlaced, consumer, effect, effects, inbox_rows, placed, run_dry, run_until, sorted_effects,
};

#[derive(Debug, Serialize, Deserialize, OutboxEvent)]
#[outbox(event_type = "order.paid", version = 2, topic = "orders")]
struct OrderPaid {
    cents: i64,
}

#[derive(Debug, Serialize, Deserialize, OutboxEvent)]
#[outbox(event_type = "order.shipped", topic = "orders")]
struct OrderShipped {
    parcel: String,
}

#[derive(Debug, Serialize, Deserialize, OutboxEvent)]
#[outbox(topic = "orders")]
enum OrderEnded {
    #[outbox(event_type = "order.cancelled")]
    Cancelled { reason: String },
    #[outbox(event_type = "order.returned")]
    Returned,
}

async fn function(event: Delivery<OrderPlaced>, txn: Tx) -> Result<(), HandlerError> {
    assert_eq!(event.message().source, "/orders");
    assert_eq!(event.attempt(), 1);
    effect(&txn, &format!("placed {}", event.order_id)).await?;
    Ok(())
}

struct Shipping {
    prefix: String,
}

impl Handler<OrderShipped, Tx> for Shipping {
    async fn handle(&self, event: Delivery<OrderShipped>, txn: Tx) -> Result<(), HandlerError> {
        effect(&txn, &format!("{} {}", self.prefix, event.into_event().parcel)).await?;
        Ok(())
    }
}

on_each_database!(each_form_of_a_handler_gets_its_events, async |test| {
    let source = ScriptedSource::new();
    source.put(&placed("o1"));
    let mut paid = ReceivedMessage::new("/orders", "2", "order.paid", r#"{"cents":995}"#);
    paid.event_version = 2;
    source.put(&paid);
    source.put(&ReceivedMessage::new("/orders", "3", "order.shipped", r#"{"parcel":"p7"}"#));
    source.put(&ReceivedMessage::new("/orders", "4", "order.cancelled", r#"{"reason":"late"}"#));
    source.put(&ReceivedMessage::new("/orders", "5", "order.returned", "null"));

    let currency = Arc::new("EUR".to_owned());
    let closure = move |event: Delivery<OrderPaid>, txn: Tx| {
        let currency = Arc::clone(&currency);
        async move {
            effect(&txn, &format!("paid {} {currency}", event.cents)).await?;
            Ok(())
        }
    };
    let async_closure = async |event: Delivery<OrderEnded>, txn: Tx| -> Result<(), HandlerError> {
        match &*event {
            OrderEnded::Cancelled { reason } => effect(&txn, &format!("cancelled {reason}")).await?,
            OrderEnded::Returned => effect(&txn, "returned").await?,
        }
        Ok(())
    };
    let consumer = consumer(&test, &source)
        .on(function)
        .on(closure)
        .on(Shipping { prefix: "shipped".to_owned() })
        .on(async_closure);
    let report = run_dry(consumer, &source).await?;
    assert_eq!((report.processed, report.failed, report.ignored), (5, 0, 0));
    let expected = ["cancelled late", "paid 995 EUR", "placed o1", "returned", "shipped p7"];
    assert_eq!(sorted_effects(&test.db).await?, expected);
    Ok(())
});

on_each_database!(a_question_mark_on_any_error_rolls_back_and_the_message_comes_again, async |test| {
    let source = ScriptedSource::new();
    source.put(&placed("o1"));
    let handler = |event: Delivery<OrderPlaced>, txn: Tx| async move {
        effect(&txn, &format!("attempt {}", event.attempt())).await?;
        if event.attempt() < 3 {
            "no number".parse::<u32>()?;
        }
        Ok(())
    };
    let report = run_dry(consumer(&test, &source).on(handler), &source).await?;
    assert_eq!((report.processed, report.failed, report.duplicates), (1, 2, 0));
    assert_eq!(effects(&test.db).await?, ["attempt 3"]);
    assert_eq!(inbox_rows(&test.db).await?, 1);
    let back = Told::GivenBack("o1".into(), Duration::from_millis(5));
    assert_eq!(source.told(), [back.clone(), back, Told::Acked("o1".into())]);
    Ok(())
});

on_each_database!(retry_after_and_reject_are_told_to_the_broker_and_leave_nothing, async |test| {
    let source = ScriptedSource::new();
    source.put(&placed("later"));
    source.put(&placed("never"));
    let calls = Arc::new(AtomicU32::new(0));
    let counted = Arc::clone(&calls);
    let handler = move |event: Delivery<OrderPlaced>, txn: Tx| {
        let calls = Arc::clone(&counted);
        async move {
            calls.fetch_add(1, Ordering::SeqCst);
            effect(&txn, "rolled back").await?;
            Err(match event.order_id.as_str() {
                "later" => HandlerError::retry_after(Duration::from_secs(77), "not yet"),
                _ => HandlerError::reject(anyhow::anyhow!("no such article")),
            })
        }
    };
    let consumer = consumer(&test, &source).on(handler);
    run_until(consumer, "both to be handled", || calls.load(Ordering::SeqCst) >= 2).await?;
    let told = source.told();
    assert!(told.contains(&Told::GivenBack("later".into(), Duration::from_secs(77))), "found {told:?}");
    assert!(told.contains(&Told::GivenBack("never".into(), Duration::from_millis(5))), "found {told:?}");
    assert!(!told.iter().any(|told| matches!(told, Told::Acked(_))), "found {told:?}");
    assert_eq!(source.left(), 2, "nothing is lost");
    assert!(effects(&test.db).await?.is_empty());
    assert_eq!(inbox_rows(&test.db).await?, 0);
    Ok(())
});
