//! Deliveries of a group run one after the other; groups run beside each other.

use std::sync::Arc;

use outbox_core::consumer::{Delivery, HandlerError};
use outbox_seaorm::Tx;
use outbox_tests::{ScriptedSource, Told, on_each_database};
use tokio::sync::Semaphore;

use crate::world::{OrderPlaced, consumer, effect, effects, placed, run_dry};

on_each_database!(nothing_of_a_group_overtakes_one_that_failed, async |test| {
    let source = ScriptedSource::new();
    for id in ["a1", "a2", "a3"] {
        source.put_in_group("a", &placed(id));
    }
    for id in ["b1", "b2", "b3"] {
        source.put_in_group("b", &placed(id));
    }
    let handler = async |event: Delivery<OrderPlaced>, txn: Tx| -> Result<(), HandlerError> {
        effect(&txn, &event.order_id).await?;
        if event.order_id == "a1" && event.attempt() < 3 || event.order_id == "b2" && event.attempt() < 2 {
            return Err(HandlerError::retry("on purpose"));
        }
        Ok(())
    };
    let report = run_dry(consumer(&test, &source).on(handler), &source).await?;
    assert_eq!((report.processed, report.failed), (6, 3));
    let effects = effects(&test.db).await?;
    for group in ["a", "b"] {
        let order: Vec<_> = effects.iter().filter(|effect| effect.starts_with(group)).collect();
        assert_eq!(order, [&format!("{group}1"), &format!("{group}2"), &format!("{group}3")]);
    }
    let told = source.told();
    assert!(told.iter().any(|told| matches!(told, Told::GivenBack(id, _) if id == "a2")), "found {told:?}");
    Ok(())
});

on_each_database!(a_group_that_waits_does_not_hold_another_up, async |test| {
    // One writer at a time is SQLite's own rule: there the first of `a` waits before it has begun to write.
    let source = ScriptedSource::new();
    source.put_in_group("a", &placed("a1"));
    source.put_in_group("b", &placed("b1"));
    source.put(&placed("c1"));
    let others = Arc::new(Semaphore::new(0));
    let done = Arc::clone(&others);
    let writes_at_once = test.kind != outbox_tests::Kind::Sqlite;
    let handler = move |event: Delivery<OrderPlaced>, txn: Tx| {
        let others = Arc::clone(&done);
        async move {
            if event.order_id != "a1" {
                others.add_permits(1);
            } else if writes_at_once {
                let _both = others.acquire_many(2).await?;
            }
            effect(&txn, &event.order_id).await?;
            Ok(())
        }
    };
    let report = run_dry(consumer(&test, &source).on(handler), &source).await?;
    assert_eq!((report.processed, report.failed), (3, 0));
    Ok(())
});
