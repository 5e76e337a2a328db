//! Dead letters: listed, filtered, tried again, given up; each change with its row of the audit or not at all.

use chrono::{DateTime, TimeDelta, Utc};
use outbox_core::message::Seq;
use outbox_seaorm::{
    Outbox, SeaOrmLog,
    outbox::{DeadLetter, DeadLetterFilter, Operator, OutboxError},
    tables::{audit, event, hold, subscription as row},
};
use outbox_tests::{
    Kind, TestDb,
    events::{lead, order_event, run, store, subscription},
    on_each_database,
};
use sea_orm::{
    ActiveModelTrait as _, ConnectionTrait as _, DatabaseConnection, EntityTrait as _, QueryOrder as _, Set,
    TransactionTrait as _,
};
use uuid::Uuid;

/// A dead letter as a relay leaves it: with its aggregate under `OnDead::Block`, without one under `OnDead::Skip`.
async fn bury(
    db: &DatabaseConnection,
    subscription: &str,
    seq: Seq,
    order: Option<&str>,
    error: &str,
) -> anyhow::Result<()> {
    hold::ActiveModel {
        subscription: Set(subscription.into()),
        seq: Set(seq),
        aggregate_type: Set(order.map(|_| "order".into())),
        aggregate_id: Set(order.map(Into::into)),
        state: Set("dead".into()),
        attempts: Set(5),
        last_error: Set(Some(error.into())),
        first_failed_at: Set(Some(failed(seq))),
        replay: Set(Some(Uuid::from_u128(7))),
        ..Default::default()
    }
    .insert(db)
    .await?;
    Ok(())
}

/// When an event failed first: a minute after the one before.
fn failed(seq: Seq) -> DateTime<Utc> {
    DateTime::from_timestamp(1_700_000_000, 0).expect("a moment") + TimeDelta::minutes(seq)
}

async fn held(db: &DatabaseConnection) -> anyhow::Result<Vec<(String, Seq, String)>> {
    let rows = hold::Entity::find()
        .order_by_asc(hold::Column::Subscription)
        .order_by_asc(hold::Column::Seq)
        .all(db)
        .await?;
    Ok(rows.into_iter().map(|row| (row.subscription, row.seq, row.state)).collect())
}

async fn targets(db: &DatabaseConnection) -> anyhow::Result<Vec<String>> {
    let rows = audit::Entity::find().order_by_asc(audit::Column::Id).all(db).await?;
    Ok(rows.into_iter().map(|row| format!("{} {}", row.action, row.target)).collect())
}

async fn interventions(db: &DatabaseConnection, name: &str) -> anyhow::Result<i64> {
    Ok(row::Entity::find_by_id(name).one(db).await?.expect("the subscription's row").interventions)
}

fn places(letters: &[DeadLetter]) -> Vec<(&str, Seq)> {
    letters.iter().map(|letter| (letter.subscription.as_str(), letter.seq)).collect()
}

fn ada(outbox: &Outbox) -> Operator {
    outbox.acting_as("ada", "broker mended").expect("a name and a reason")
}

on_each_database!(dead_letters_are_found_by_what_they_are_and_by_nothing_else, async |test| {
    let (db, outbox) = (&test.db, Outbox::new(test.db.clone()));
    let log = SeaOrmLog::new(db.clone());
    for name in ["mail", "sqs"] {
        lead(&log, &subscription(name)).await?;
    }
    for (order, kind, topic) in
        [("1", "order.placed", "orders"), ("2", "order.paid", "orders"), ("1", "order.paid", "bills")]
    {
        let event = order_event(order, "{\"secret\":1}");
        event::ActiveModel { event_type: Set(kind.into()), topic: Set(topic.into()), ..event }
            .insert(db)
            .await?;
    }
    bury(db, "sqs", 1, Some("1"), "100% refused_ by 'it' \\").await?;
    bury(db, "sqs", 2, None, "1000 refused by it").await?;
    bury(db, "sqs", 3, None, "Timed out").await?;
    bury(db, "mail", 2, None, "timed out").await?;
    run(
        db,
        "INSERT INTO outbox_hold (subscription, seq, state, attempts) VALUES ('mail', 3, 'retry', 1)",
        [],
    )
    .await?;

    let all = outbox.dead_letters(DeadLetterFilter::all()).await?;
    assert_eq!(places(&all), [("mail", 2), ("sqs", 1), ("sqs", 2), ("sqs", 3)]);
    let letter = &all[1];
    let event = letter.event.as_ref().expect("it is in the log");
    assert_eq!(
        (event.seq, event.event_type.as_str(), event.aggregate_id.as_deref()),
        (1, "order.placed", Some("1"))
    );
    assert_eq!((letter.attempts, letter.first_failed_at), (5, Some(failed(1))));
    assert_eq!(letter.last_error.as_deref(), Some("100% refused_ by 'it' \\"));
    assert_eq!((letter.stops_its_aggregate, all[2].stops_its_aggregate), (true, false));
    assert!(!serde_json::to_string(&all)?.contains("secret"), "a list tells no payload");

    let sqs = || DeadLetterFilter::of("sqs");
    for (filter, expected) in [
        (sqs(), &[1, 2, 3][..]),
        (sqs().event_type("order.paid"), &[2, 3]),
        (sqs().topic("bills"), &[3]),
        (sqs().aggregate_type("order").aggregate_id("1"), &[1, 3]),
        (sqs().aggregate_type("customer"), &[]),
        (sqs().failed_since(failed(2)), &[2, 3]),
        (sqs().failed_until(failed(2)), &[1]),
        (sqs().stored_since(Utc::now() - TimeDelta::hours(1)), &[1, 2, 3]),
        (sqs().stored_since(Utc::now() + TimeDelta::hours(1)), &[]),
        (sqs().stored_until(Utc::now() - TimeDelta::hours(1)), &[]),
        // No character has a meaning of its own, and letters are what they are.
        (sqs().error("100%"), &[1]),
        (sqs().error("refused_"), &[1]),
        (sqs().error("it' \\"), &[1]),
        (sqs().error("%"), &[1]),
        (sqs().error("timed"), &[]),
        (sqs().error("' OR '1'='1"), &[]),
        (sqs().limit(2), &[1, 2]),
        (sqs().limit(2).after("sqs", 2), &[3]),
        (sqs().limit(0), &[]),
    ] {
        let found = outbox.dead_letters(filter.clone()).await?;
        assert_eq!(found.iter().map(|letter| letter.seq).collect::<Vec<_>>(), expected, "of {filter:?}");
    }
    let rest = outbox.dead_letters(DeadLetterFilter::all().after("mail", 2)).await?;
    assert_eq!(places(&rest), [("sqs", 1), ("sqs", 2), ("sqs", 3)]);
    let error = outbox.dead_letters(DeadLetterFilter::of("sqss")).await.expect_err("a slip");
    assert!(matches!(error, OutboxError::UnknownSubscription { .. }));

    // Its row was deleted by hand: it is shown, so that it can be discarded.
    event::Entity::delete_by_id(3).exec(db).await?;
    let orphan = outbox.dead_letters(sqs().failed_since(failed(3))).await?;
    assert_eq!((orphan[0].seq, orphan[0].event.is_none()), (3, true));
    Ok(())
});

#[tokio::test]
async fn a_change_goes_on_from_a_page_in_the_order_of_the_databases_own_collation() {
    TestDb::run(Kind::Postgres, async |test| {
        let (db, outbox) = (&test.db, Outbox::new(test.db.clone()));
        // As where the database was made for a language: letters come in its order and not in that of their bytes.
        db.execute_unprepared(
            "ALTER TABLE outbox_subscription ALTER COLUMN name TYPE varchar(255) COLLATE \"en-x-icu\";
             ALTER TABLE outbox_hold ALTER COLUMN subscription TYPE varchar(255) COLLATE \"en-x-icu\";",
        )
        .await?;
        store(db, "1").await?;
        for name in ["Sqs", "mail"] {
            lead(&SeaOrmLog::new(db.clone()), &subscription(name)).await?;
            bury(db, name, 1, None, "refused").await?;
        }
        let page = outbox.dead_letters(DeadLetterFilter::all()).await?;
        assert_eq!(places(&page), [("mail", 1), ("Sqs", 1)]);
        assert_eq!(ada(&outbox).discard_all(DeadLetterFilter::all().after("Sqs", 1)).await?, 0);
        assert_eq!(ada(&outbox).discard_all(DeadLetterFilter::all().after("mail", 1)).await?, 1);
        assert_eq!(places(&outbox.dead_letters(DeadLetterFilter::all()).await?), [("mail", 1)]);
        Ok(())
    })
    .await;
}

on_each_database!(a_requeued_event_begins_anew_in_the_order_that_it_stood_in, async |test| {
    let (db, outbox) = (&test.db, Outbox::new(test.db.clone()));
    let (name, source) = (subscription("sqs"), std::sync::Arc::from("/orders"));
    let log = SeaOrmLog::new(db.clone());
    lead(&log, &name).await?;
    for order in ["1", "2"] {
        store(db, order).await?;
    }
    bury(db, "sqs", 1, Some("1"), "refused").await?;
    bury(db, "sqs", 2, None, "refused").await?;
    ada(&outbox).requeue(1, "sqs").await?;
    let id = event::Entity::find_by_id(2).one(db).await?.expect("the event").id;
    ada(&outbox).requeue(id, "sqs").await?;

    let rows = hold::Entity::find().order_by_asc(hold::Column::Seq).all(db).await?;
    for row in &rows {
        assert_eq!((row.state.as_str(), row.attempts), ("retry", 0));
        assert_eq!((&row.last_error, row.first_failed_at), (&None, None));
        assert_eq!(row.replay, Some(Uuid::from_u128(7)), "else an inbox drops what it is to process again");
    }
    assert_eq!(rows[0].aggregate_id.as_deref(), Some("1"), "under Block it still stops its aggregate");
    assert_eq!(rows[1].aggregate_id, None, "under Skip it goes out beside the order");
    use outbox_core::log::EventLog as _;
    let due = log.due(&name, &source, 10).await?;
    assert_eq!(
        due.iter().map(|(hold, _)| hold.seq).collect::<Vec<_>>(),
        [1, 2],
        "at once, by the database's clock"
    );
    assert_eq!(interventions(db, "sqs").await?, 2);
    assert_eq!(targets(db).await?, ["requeue sqs/1", "requeue sqs/2"]);
    Ok(())
});

on_each_database!(what_changes_nothing_leaves_nothing_behind, async |test| {
    let (db, outbox) = (&test.db, Outbox::new(test.db.clone()));
    lead(&SeaOrmLog::new(db.clone()), &subscription("sqs")).await?;
    store(db, "1").await?;
    let operator = ada(&outbox);
    let error = operator.requeue(1, "sqs").await.expect_err("it is not on hold");
    assert!(matches!(error, OutboxError::NotHeld { .. }), "found {error}");
    let error = operator.discard(Uuid::now_v7(), "sqs").await.expect_err("nobody has such an event");
    assert!(matches!(error, OutboxError::NotHeld { .. }), "found {error}");
    run(db, "INSERT INTO outbox_hold (subscription, seq, state, attempts) VALUES ('sqs', 1, 'retry', 1)", [])
        .await?;
    let error = operator.requeue(1, "sqs").await.expect_err("it is no dead letter");
    assert!(error.to_string().contains("found event 1 on hold as `retry`"), "found {error}");
    for filter in [DeadLetterFilter::all(), DeadLetterFilter::of("sqs")] {
        assert_eq!(operator.requeue_all(filter.clone()).await?, 0);
        assert_eq!(operator.discard_all(filter).await?, 0);
    }
    let error = operator.discard_all(DeadLetterFilter::of("sqss")).await.expect_err("a slip");
    assert!(matches!(error, OutboxError::UnknownSubscription { .. }));
    assert_eq!(held(db).await?, [("sqs".into(), 1, "retry".into())]);
    assert_eq!((interventions(db, "sqs").await?, targets(db).await?.len()), (0, 0), "no leader is disturbed");

    operator.discard(1, "sqs").await?;
    assert_eq!(held(db).await?, [], "whatever it waited for");
    assert_eq!(targets(db).await?, ["discard sqs/1"]);
    for (who, why) in [("", "why"), ("ada", " "), (&*"a".repeat(256), "why")] {
        assert!(matches!(outbox.acting_as(who, why), Err(OutboxError::NobodyInCharge { .. })));
    }
    Ok(())
});

on_each_database!(a_change_that_cannot_be_audited_is_not_made, async |test| {
    let (db, outbox) = (&test.db, Outbox::new(test.db.clone()));
    lead(&SeaOrmLog::new(db.clone()), &subscription("sqs")).await?;
    bury(db, "sqs", 1, None, "refused").await?;
    run(db, "DROP TABLE outbox_audit", []).await?;
    let operator = ada(&outbox);
    assert!(operator.requeue(1, "sqs").await.is_err());
    assert!(operator.discard_all(DeadLetterFilter::all()).await.is_err());
    assert!(operator.pause("sqs").await.is_err());
    assert_eq!(held(db).await?, [("sqs".into(), 1, "dead".into())]);
    let row = row::Entity::find_by_id("sqs").one(db).await?.expect("the subscription's row");
    assert_eq!((row.state.as_str(), row.interventions), ("running", 0));
    Ok(())
});

on_each_database!(many_are_changed_in_chunks_that_the_audit_names, async |test| {
    let (db, outbox) = (&test.db, Outbox::new(test.db.clone()));
    for name in ["mail", "sqs"] {
        lead(&SeaOrmLog::new(db.clone()), &subscription(name)).await?;
    }
    let dead = |name: &str, seq| hold::ActiveModel {
        subscription: Set(name.into()),
        seq: Set(seq),
        state: Set("dead".into()),
        attempts: Set(3),
        last_error: Set(Some(if seq % 2 == 0 { "even" } else { "odd" }.into())),
        ..Default::default()
    };
    let txn = db.begin().await?;
    for chunk in (1..=2_002).collect::<Vec<_>>().chunks(500) {
        let rows = chunk.iter().map(|seq| dead("sqs", *seq));
        hold::Entity::insert_many(rows).exec_without_returning(&txn).await?;
    }
    dead("mail", 8).insert(&txn).await?;
    txn.commit().await?;

    let operator = ada(&outbox);
    assert_eq!(operator.requeue_all(DeadLetterFilter::all().error("even").limit(3)).await?, 3);
    assert_eq!(targets(db).await?, ["requeue mail/8", "requeue sqs/2,4"]);
    assert_eq!(operator.discard_all(DeadLetterFilter::of("sqs")).await?, 2_000);
    let named = targets(db).await?;
    assert!(named[2].starts_with("discard sqs/1,3,5-") && named[2].ends_with("-1002"), "found {}", named[2]);
    assert_eq!(named[3..], ["discard sqs/1003-2002"]);
    assert_eq!(
        held(db).await?,
        [
            ("mail".into(), 8, "retry".into()),
            ("sqs".into(), 2, "retry".into()),
            ("sqs".into(), 4, "retry".into())
        ]
    );
    // Once for each change, also where no chunk was known to be the last.
    assert_eq!((interventions(db, "mail").await?, interventions(db, "sqs").await?), (1, 2));
    Ok(())
});

/// A future that handlers of a web framework and spawned tasks can hold.
#[test]
fn the_futures_can_be_sent_between_threads() {
    fn is_send<T: Send>(_: impl FnOnce(Outbox, Operator) -> T) {}
    is_send(|outbox, _| async move { outbox.dead_letters(DeadLetterFilter::all()).await });
    is_send(|_, operator| async move { operator.requeue(1, "sqs").await });
    is_send(|_, operator| async move { operator.discard_all(DeadLetterFilter::all()).await });
    is_send(
        |_, operator| async move { operator.rewind("sqs", outbox_seaorm::outbox::RewindTo::Beginning).await },
    );
}
