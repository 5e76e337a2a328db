//! The end of a consumer: what runs may end, what waits is given back, nothing is acknowledged before its commit.

use std::{sync::Arc, time::Duration};

use outbox_core::consumer::Delivery;
use outbox_seaorm::Tx;
use outbox_tests::{ScriptedSource, Told, on_each_database};
use tokio::sync::Notify;

use crate::world::{OrderPlaced, consumer, effect, effects, inbox_rows, placed};

on_each_database!(a_running_handler_ends_and_what_waits_behind_it_is_given_back, async |test| {
    let source = ScriptedSource::new();
    for id in ["a1", "a2", "a3"] {
        source.put_in_group("a", &placed(id));
    }
    let (begun, ended) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let (began, end) = (Arc::clone(&begun), Arc::clone(&ended));
    let handler = move |event: Delivery<OrderPlaced>, txn: Tx| {
        let (began, end) = (Arc::clone(&began), Arc::clone(&end));
        async move {
            began.notify_one();
            end.notified().await;
            effect(&txn, &event.order_id).await?;
            Ok(())
        }
    };
    let shutdown = async {
        begun.notified().await;
        assert!(source.told().is_empty(), "nothing is acknowledged before its commit");
        ended.notify_one();
    };
    let report = consumer(&test, &source).on(handler).run_until(shutdown).await?;
    assert_eq!(report.processed, 1);
    assert_eq!(effects(&test.db).await?, ["a1"]);
    let mut told = source.told();
    told.sort_by_key(|told| format!("{told:?}"));
    let back = |id: &str| Told::GivenBack(id.into(), Duration::ZERO);
    assert_eq!(told, [Told::Acked("a1".into()), back("a2"), back("a3")]);
    Ok(())
});

on_each_database!(a_handler_that_does_not_end_in_time_is_rolled_back_and_given_back, async |test| {
    let source = ScriptedSource::new();
    source.put(&placed("o1"));
    let begun = Arc::new(Notify::new());
    let began = Arc::clone(&begun);
    let handler = move |event: Delivery<OrderPlaced>, txn: Tx| {
        let began = Arc::clone(&began);
        async move {
            effect(&txn, &event.order_id).await?;
            began.notify_one();
            std::future::pending().await
        }
    };
    let consumer = consumer(&test, &source).on(handler).drain_timeout(Duration::from_millis(50));
    let report = consumer.run_until(begun.notified()).await?;
    assert_eq!((report.processed, report.failed), (0, 0));
    assert_eq!(source.told(), [Told::GivenBack("o1".into(), Duration::ZERO)]);
    assert!(effects(&test.db).await?.is_empty());
    assert_eq!(inbox_rows(&test.db).await?, 0);
    Ok(())
});
