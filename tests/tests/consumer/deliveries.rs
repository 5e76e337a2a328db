//! What becomes of one delivery.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use outbox_core::{
    consumer::{Delivery, HandlerError, Unknown},
    message::{Headers, ReceivedMessage},
};
use outbox_seaorm::{Record as _, Tx, tables::event};
use outbox_tests::{ScriptedSource, Told, on_each_database};
use sea_orm::EntityTrait as _;

use crate::world::{
    OrderPlaced, StockReserved, consumer, effect, effects, inbox_rows, placed, run_dry, run_until,
    sorted_effects,
};

async fn reserve(event: Delivery<OrderPlaced>, txn: Tx) -> Result<(), HandlerError> {
    effect(&txn, &event.order_id).await?;
    Ok(())
}

fn given_back(source: &ScriptedSource, label: &str) -> usize {
    source.told().iter().filter(|told| matches!(told, Told::GivenBack(name, _) if name == label)).count()
}

on_each_database!(events_raised_in_a_handler_commit_with_it_and_carry_their_cause, async |test| {
    let source = ScriptedSource::new();
    let trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    let mut first = placed("o1");
    first.headers =
        [("correlationid", "request-9"), ("traceparent", trace), ("tenant", "acme"), ("user", "other")]
            .into_iter()
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect::<Headers>();
    source.put(&first);
    source.put(&placed("o2"));
    let handler = async |event: Delivery<OrderPlaced>, txn: Tx| -> Result<(), HandlerError> {
        effect(&txn, &event.order_id).await?;
        StockReserved { order_id: event.order_id.clone() }.record(&txn).await?;
        Ok(())
    };
    run_dry(consumer(&test, &source).on(handler), &source).await?;
    assert_eq!(sorted_effects(&test.db).await?, ["o1", "o2"]);
    let mut headers = Vec::new();
    for row in event::Entity::find().all(&test.db).await? {
        let headers_of: Headers = serde_json::from_str(&row.headers.expect("headers"))?;
        headers.push(
            ["causationid", "correlationid", "traceparent", "tenant", "user"]
                .map(|name| headers_of.get(name).unwrap_or("-").to_owned()),
        );
    }
    headers.sort();
    assert_eq!(headers, [["o1", "request-9", trace, "acme", "-"], ["o2", "o2", "-", "-", "-"]]);
    Ok(())
});

on_each_database!(a_crash_between_commit_and_acknowledgement_has_one_effect, async |test| {
    let source = ScriptedSource::new();
    source.lose_acks(1);
    source.put(&placed("o1"));
    let report = run_dry(consumer(&test, &source).on(reserve), &source).await?;
    assert_eq!((report.processed, report.duplicates, report.failed), (1, 1, 0));
    assert_eq!(effects(&test.db).await?, ["o1"]);
    Ok(())
});

on_each_database!(a_replay_with_an_id_of_its_own_runs_again, async |test| {
    let source = ScriptedSource::new();
    source.put(&placed("o1"));
    source.put(&placed("o1"));
    let mut replayed = placed("o1");
    replayed.replay = Some("r1".into());
    source.put(&replayed);
    source.put(&replayed);
    let report = run_dry(consumer(&test, &source).on(reserve), &source).await?;
    assert_eq!((report.processed, report.duplicates), (2, 2));
    assert_eq!(effects(&test.db).await?, ["o1", "o1"]);
    Ok(())
});

on_each_database!(a_panic_is_contained_and_rolled_back, async |test| {
    let source = ScriptedSource::new();
    source.put(&placed("bad"));
    source.put(&placed("good"));
    let handler = async |event: Delivery<OrderPlaced>, txn: Tx| -> Result<(), HandlerError> {
        effect(&txn, &event.order_id).await?;
        assert!(event.order_id != "bad" || event.attempt() > 1, "on purpose");
        Ok(())
    };
    let report = run_dry(consumer(&test, &source).on(handler), &source).await?;
    assert_eq!((report.processed, report.failed), (2, 1));
    assert_eq!(sorted_effects(&test.db).await?, ["bad", "good"]);
    Ok(())
});

on_each_database!(
    a_clone_of_the_transaction_kept_past_the_handler_is_a_redelivery_and_no_hang,
    async |test| {
        let source = ScriptedSource::new();
        source.put(&placed("o1"));
        let kept: Arc<Mutex<Vec<Tx>>> = Arc::default();
        let keep = Arc::clone(&kept);
        let handler = move |event: Delivery<OrderPlaced>, txn: Tx| {
            let keep = Arc::clone(&keep);
            async move {
                effect(&txn, &format!("attempt {}", event.attempt())).await?;
                if event.attempt() == 1 {
                    keep.lock().expect("no panic with the lock held").push(txn.clone());
                }
                Ok(())
            }
        };
        let report = run_dry(consumer(&test, &source).on(handler), &source).await?;
        assert_eq!((report.processed, report.failed), (1, 1));
        assert_eq!(effects(&test.db).await?, ["attempt 2"]);
        assert_eq!(kept.lock().expect("no panic with the lock held").len(), 1, "the clone lives until here");
        Ok(())
    }
);

on_each_database!(ignored_events_are_acknowledged_without_a_row, async |test| {
    let source = ScriptedSource::new();
    source.put(&ReceivedMessage::new("/orders", "1", "order.archived", "{}"));
    source.put(&placed("o1"));
    let by_name = consumer(&test, &source).on(reserve).ignore("order.archived");
    let report = run_dry(by_name, &source).await?;
    assert_eq!((report.processed, report.ignored, report.failed), (1, 1, 0));
    source.put(&ReceivedMessage::new("/orders", "2", "order.refunded", "{}"));
    let by_rule = consumer(&test, &source).on(reserve).unknown(Unknown::Acknowledge);
    assert_eq!(run_dry(by_rule, &source).await?.ignored, 1);
    assert_eq!(inbox_rows(&test.db).await?, 1);
    Ok(())
});

// A handler that was forgotten, or that is deployed after its events, must not lose them.
on_each_database!(events_that_nobody_handles_or_ignores_are_left_to_the_broker, async |test| {
    let source = ScriptedSource::new();
    source.put(&ReceivedMessage::new("/orders", "1", "order.archived", "{}"));
    let consumer = consumer(&test, &source).on(reserve).ignore("order.refunded");
    let report = run_until(consumer, "it to be given back", || given_back(&source, "1") > 0).await?;
    assert!(report.ignored > 0 && report.failed == 0, "found {report:?}");
    assert_eq!(source.left(), 1);
    Ok(())
});

// A producer that upgraded first must not have its events dropped as of an unknown type.
on_each_database!(another_version_of_a_handled_event_is_left_to_the_broker, async |test| {
    let source = ScriptedSource::new();
    let mut newer = placed("o1");
    newer.event_version = 2;
    source.put(&newer);
    let report = run_until(consumer(&test, &source).on(reserve), "it to be given back", || {
        given_back(&source, "o1") > 0
    })
    .await?;
    assert!(report.failed > 0 && report.ignored == 0, "found {report:?}");
    assert_eq!(source.left(), 1);
    assert!(effects(&test.db).await?.is_empty());
    Ok(())
});

on_each_database!(a_message_that_cannot_be_read_is_never_acknowledged_and_the_rest_flow, async |test| {
    let source = ScriptedSource::new();
    source.put_garbage("garbage");
    source.put(&ReceivedMessage::new("/orders", "misfit", "order.placed", r#"{"order":1}"#));
    let good: Vec<_> = (0..20).map(|number| format!("o{number:02}")).collect();
    for id in &good {
        source.put(&placed(id));
    }
    let report =
        run_until(consumer(&test, &source).on(reserve), "the good ones and both bad ones twice", || {
            source.left() == 2 && given_back(&source, "garbage") > 1 && given_back(&source, "misfit") > 1
        })
        .await?;
    assert_eq!(report.processed, 20);
    assert_eq!(sorted_effects(&test.db).await?, good);
    assert_eq!(inbox_rows(&test.db).await?, 20);
    Ok(())
});

on_each_database!(a_handler_that_outlives_its_visibility_keeps_its_message, async |test| {
    let source = ScriptedSource::new().with_visibility(Duration::from_millis(60));
    source.put(&placed("o1"));
    let watched = source.clone();
    let handler = move |event: Delivery<OrderPlaced>, txn: Tx| {
        let source = watched.clone();
        async move {
            effect(&txn, &event.order_id).await?;
            // Several thirds: longer than the whole visibility.
            while source.told().iter().filter(|told| matches!(told, Told::Extended(_))).count() < 5 {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            Ok(())
        }
    };
    let report = run_dry(consumer(&test, &source).on(handler), &source).await?;
    assert_eq!((report.processed, report.duplicates, report.failed), (1, 0, 0));
    assert_eq!(effects(&test.db).await?, ["o1"]);
    Ok(())
});
