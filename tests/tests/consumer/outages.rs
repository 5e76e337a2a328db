//! A broker or a database that is away.

use std::time::Duration;

use outbox_core::consumer::{Consumer, Delivery, HandlerError};
use outbox_seaorm::{Inbox, Tx};
use outbox_tests::{ScriptedSource, Told, database::until, on_each_database};

use crate::world::{DEADLINE, OrderPlaced, consumer, effect, effects, placed, run_until, sorted_effects};

async fn reserve(event: Delivery<OrderPlaced>, txn: Tx) -> Result<(), HandlerError> {
    effect(&txn, &event.order_id).await?;
    Ok(())
}

on_each_database!(a_source_that_is_away_is_waited_for_and_not_asked_in_a_tight_loop, async |test| {
    let source = ScriptedSource::new();
    source.set_away(true);
    source.put(&placed("o1"));
    let script = async {
        until("three questions", DEADLINE, async || (source.receives() >= 3).then_some(())).await;
        let asked = source.receives();
        assert!(asked < 6, "asked {asked} times within moments");
        source.set_away(false);
        until("the message to be acknowledged", DEADLINE, async || (source.left() == 0).then_some(())).await;
    };
    let report = consumer(&test, &source).on(reserve).run_until(script).await?;
    assert_eq!((report.processed, report.failed), (1, 0));
    assert_eq!(effects(&test.db).await?, ["o1"]);
    Ok(())
});

on_each_database!(a_shutdown_while_the_source_is_away_ends_at_once, async |test| {
    let source = ScriptedSource::new();
    source.set_away(true);
    let consumer = consumer(&test, &source).on(reserve);
    run_until(consumer, "one question", || source.receives() > 0).await?;
    Ok(())
});

// Each delivery in vain brings a message nearer to the dead-letter queue: an outage of the database is not its fault.
on_each_database!(a_database_that_is_away_does_not_spend_the_deliveries_of_every_message, async |test| {
    let source = ScriptedSource::new();
    for number in 0..200 {
        source.put(&placed(&format!("o{number:03}")));
    }
    let gone = test.another_pool().await?;
    let inbox = Inbox::new(gone.clone(), "inventory")?;
    gone.close().await?;
    let consumer = Consumer::new(source.clone(), inbox).concurrency(4).on(reserve);
    let report = run_until(consumer, "a few attempts", || source.receives() >= 4).await?;
    assert_eq!(report.processed, 0);
    assert!((1..=7).contains(&report.failed), "found {report:?}");
    assert_eq!(source.left(), 200, "nothing is lost");
    Ok(())
});

// A handler that locks in the opposite order of another: the database ends one of the two.
on_each_database!(the_victim_of_a_deadlock_comes_again, async |test| {
    use sea_orm::{ActiveModelTrait as _, ActiveValue::Set, IntoActiveModel as _};
    let names = ["x", "y"];
    for name in names {
        outbox_seaorm::tables::subscription::ActiveModel {
            name: Set(name.into()),
            position: Set(0),
            holes: Set(String::new()),
            flush_no: Set(0),
            epoch: Set(0),
            state: Set("running".into()),
            state_since: Set(chrono::Utc::now()),
            ..Default::default()
        }
        .insert(&test.db)
        .await?;
    }
    let source = ScriptedSource::new();
    source.put(&placed("xy"));
    source.put(&placed("yx"));
    let both = std::sync::Arc::new(tokio::sync::Barrier::new(2));
    let concurrent = test.kind != outbox_tests::Kind::Sqlite;
    let handler = move |event: Delivery<OrderPlaced>, txn: Tx| {
        let both = std::sync::Arc::clone(&both);
        async move {
            use outbox_seaorm::tables::subscription::Entity;
            use sea_orm::EntityTrait as _;
            for (step, name) in event.order_id.chars().enumerate() {
                let mut row = Entity::find_by_id(name.to_string())
                    .one(&txn)
                    .await?
                    .ok_or_else(|| HandlerError::retry("the row is there"))?
                    .into_active_model();
                row.position = Set(row.position.unwrap() + 1);
                row.update(&txn).await?;
                if step == 0 && concurrent && event.attempt() == 1 {
                    both.wait().await;
                }
            }
            effect(&txn, &event.order_id).await?;
            Ok(())
        }
    };
    let report =
        run_until(consumer(&test, &source).on(handler), "both to be done", || source.left() == 0).await?;
    assert_eq!(report.processed, 2);
    assert_eq!(report.failed, u64::from(concurrent), "one of two is the victim");
    assert_eq!(sorted_effects(&test.db).await?, ["xy", "yx"]);
    assert!(source.told().iter().all(|told| match told {
        Told::GivenBack(_, delay) => *delay == Duration::from_millis(5),
        _ => true,
    }));
    Ok(())
});
