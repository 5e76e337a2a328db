//! What operators are told of events: where each stands with each subscription, and which one an id means.

use chrono::{DateTime, TimeDelta, Utc};
use outbox_core::message::Seq;
use outbox_seaorm::{
    Outbox, SeaOrmLog,
    outbox::{EventFilter, EventStanding, EventState, OutboxError},
    tables::{event, hold, receipt},
};
use outbox_tests::{
    events::{lead, order_event, run, store, subscription},
    on_each_database,
};
use sea_orm::{ActiveModelTrait as _, DatabaseConnection, EntityTrait as _, Set, TransactionTrait as _};
use uuid::Uuid;

fn seqs(found: &[EventStanding]) -> Vec<Seq> {
    found.iter().map(|standing| standing.event.seq).collect()
}

/// The states of an event, as `sqs dead`.
fn states(standing: &EventStanding) -> Vec<String> {
    let name = |state: &EventState| match state {
        EventState::Pending => "pending".to_owned(),
        EventState::Held(hold) => hold.why.as_str().to_owned(),
        EventState::Dead(_) => "dead".to_owned(),
        EventState::Settled => "settled".to_owned(),
        other => format!("{other:?}"),
    };
    standing.subscriptions.iter().map(|each| format!("{} {}", each.subscription, name(&each.state))).collect()
}

on_each_database!(an_event_stands_with_each_subscription_as_its_row_and_its_hold_say, async |test| {
    let (db, outbox) = (&test.db, Outbox::new(test.db.clone()));
    for name in ["all", "bills", "orders"] {
        lead(&SeaOrmLog::new(db.clone()), &subscription(name)).await?;
    }
    for order in 1..=6 {
        store(db, &order.to_string()).await?;
    }
    let bill = event::ActiveModel { topic: Set("bills".into()), ..order_event("7", "{}") };
    bill.insert(db).await?;
    // A tombstone is no event.
    event::ActiveModel { topic: Set(String::new()), ..order_event("8", "") }.insert(db).await?;
    run(db, "UPDATE outbox_subscription SET position = 5, holes = '2,5' WHERE name = 'orders'", []).await?;
    run(db, "UPDATE outbox_subscription SET topics = ? WHERE name = 'orders'", ["[\"orders\"]".into()])
        .await?;
    run(db, "UPDATE outbox_subscription SET topics = ? WHERE name = 'bills'", ["[\"bills\"]".into()]).await?;
    run(
        db,
        "INSERT INTO outbox_hold (subscription, seq, aggregate_type, aggregate_id, state, attempts, last_error)
         VALUES ('orders', 3, 'order', '3', 'blocked', 0, NULL), ('orders', 4, NULL, NULL, 'dead', 5, 'no')",
        [],
    )
    .await?;
    receipt::ActiveModel {
        subscription: Set("orders".into()),
        seq: Set(1),
        broker_id: Set(Some("m-1".into())),
        dispatched_at: Set(Utc::now()),
        ..Default::default()
    }
    .insert(db)
    .await?;

    let found = outbox.events(EventFilter::all()).await?;
    assert_eq!(seqs(&found), [1, 2, 3, 4, 5, 6, 7]);
    for (standing, expected) in
        found.iter().zip(["settled", "pending", "blocked", "dead", "pending", "pending"])
    {
        assert_eq!(states(standing), ["all pending".to_owned(), format!("orders {expected}")]);
    }
    assert_eq!(states(&found[6]), ["all pending", "bills pending"]);
    let receipt = found[0].subscriptions[1].receipt.as_ref().expect("its receipt");
    assert_eq!((receipt.broker_id.as_deref(), receipt.acknowledged_at), (Some("m-1"), None));
    let EventState::Dead(dead) = &found[3].subscriptions[1].state else { panic!("event 4 is dead") };
    assert_eq!((dead.attempts, dead.last_error.as_deref(), dead.stops_its_aggregate), (5, Some("no"), false));
    let json = serde_json::to_value(&found[3])?;
    assert_eq!((&json["seq"], &json["subscriptions"][1]["state"]), (&4.into(), &"dead".into()));

    let only = outbox.events(EventFilter::all().subscription("orders").limit(1)).await?;
    assert_eq!(states(&only[0]), ["orders settled"]);
    let nothing_yet = EventFilter::all().stored_since(Utc::now() + TimeDelta::days(1));
    assert_eq!(outbox.events(nothing_yet.clone()).await?, []);
    for filter in [EventFilter::all(), nothing_yet] {
        let error = outbox.events(filter.subscription("x")).await.expect_err("a slip");
        assert!(matches!(error, OutboxError::UnknownSubscription { .. }));
    }

    run(db, "UPDATE outbox_subscription SET holes = 'torn' WHERE name = 'orders'", []).await?;
    let error = outbox.event(1).await.expect_err("it cannot be known");
    assert!(matches!(error, OutboxError::Corrupt { .. }), "found {error}");
    Ok(())
});

on_each_database!(events_are_found_by_what_they_are_page_by_page, async |test| {
    let (db, outbox) = (&test.db, Outbox::new(test.db.clone()));
    for (order, kind) in
        [("1", "order.placed"), ("2", "order.placed"), ("1", "order.paid"), ("2", "order.paid")]
    {
        event::ActiveModel { event_type: Set(kind.into()), ..order_event(order, "{\"secret\":1}") }
            .insert(db)
            .await?;
    }
    let all = EventFilter::all;
    for (filter, expected) in [
        (all().event_type("order.paid"), &[3, 4][..]),
        (all().aggregate_type("order").aggregate_id("1"), &[1, 3]),
        (all().topic("orders").limit(3), &[1, 2, 3]),
        (all().topic("orders").limit(3).after(3), &[4]),
        (all().newest_first().limit(3), &[4, 3, 2]),
        (all().newest_first().after(2), &[1]),
        (all().topic("order_"), &[]),
        (all().event_type("' OR '1'='1"), &[]),
    ] {
        let found = outbox.events(filter.clone()).await?;
        assert_eq!(seqs(&found), expected, "of {filter:?}");
        assert!(!serde_json::to_string(&found)?.contains("secret"), "a list tells no payload");
    }
    Ok(())
});

/// Rows as they are stored at a moment, with ids that were made then.
async fn store_at(
    db: &DatabaseConnection,
    moments: impl IntoIterator<Item = DateTime<Utc>>,
) -> anyhow::Result<Vec<Uuid>> {
    let made_at = |moment: DateTime<Utc>| {
        let seconds = moment.timestamp().unsigned_abs();
        Uuid::new_v7(uuid::Timestamp::from_unix(uuid::NoContext, seconds, moment.timestamp_subsec_nanos()))
    };
    let txn = db.begin().await?;
    let mut ids = Vec::new();
    for moment in moments {
        let id = made_at(moment);
        let row = order_event("1", "{\"n\":1}");
        event::ActiveModel { id: Set(id), created_at: Set(moment), ..row }.insert(&txn).await?;
        ids.push(id);
    }
    txn.commit().await?;
    Ok(ids)
}

on_each_database!(a_window_of_time_is_found_in_a_log_with_gaps, async |test| {
    let (db, outbox) = (&test.db, Outbox::new(test.db.clone()));
    let begin: DateTime<Utc> = "2026-03-01T00:00:00Z".parse()?;
    assert_eq!(
        seqs(&outbox.events(EventFilter::all().stored_since(begin)).await?),
        [0_i64; 0],
        "an empty log"
    );
    let hour = |n: i64| begin + TimeDelta::hours(n);
    store_at(db, (0..48).map(hour)).await?;
    for gone in [1, 2, 20, 21, 22, 48] {
        event::Entity::delete_by_id(gone).exec(db).await?;
    }
    // The clock was set back for a while: the row is stored five minutes before the one that comes before it.
    run(
        db,
        "UPDATE outbox_event SET created_at = ? WHERE seq = 31",
        [(hour(29) - TimeDelta::minutes(5)).into()],
    )
    .await?;
    for (since, until, expected) in [
        (hour(0), hour(4), vec![3, 4]),
        (hour(18), hour(23), vec![19, 23]),
        (hour(29), hour(30), vec![30]),
        (hour(29) - TimeDelta::minutes(6), hour(29), vec![31]),
        (hour(45), hour(99), vec![46, 47]),
        (hour(60), hour(99), vec![]),
        (hour(-9), hour(-5), vec![]),
    ] {
        let filter = EventFilter::all().stored_since(since).stored_until(until);
        assert_eq!(seqs(&outbox.events(filter).await?), expected, "from {since} until {until}");
    }
    Ok(())
});

on_each_database!(an_event_is_found_by_seq_and_by_id_wherever_it_is_in_the_log, async |test| {
    let (db, outbox) = (&test.db, Outbox::new(test.db.clone()));
    let begin: DateTime<Utc> = "2026-03-01T00:00:00Z".parse()?;
    let mut ids = store_at(db, (0..40).map(|n| begin + TimeDelta::minutes(n * 10))).await?;
    // Made long before it was stored, and made by a rule of the application's own.
    let late = Uuid::new_v7(uuid::Timestamp::from_unix(uuid::NoContext, 1_500_000_000, 0));
    for id in [late, Uuid::new_v4()] {
        event::ActiveModel { id: Set(id), ..order_event("1", "{\"n\":1}") }.insert(db).await?;
        ids.push(id);
    }
    for (index, id) in ids.iter().enumerate() {
        let found = outbox.event(*id).await?.expect("it is in the log");
        assert_eq!(found.standing.event.seq, Seq::try_from(index)? + 1);
        assert_eq!(found.payload, "{\"n\":1}");
    }
    assert_eq!(outbox.event(7).await?.map(|found| found.standing.event.id), Some(ids[6]));
    for nothing in [Uuid::now_v7(), Uuid::new_v4()] {
        assert_eq!(outbox.event(nothing).await?, None);
    }
    assert_eq!(outbox.event(99).await?, None);

    let with_headers =
        event::ActiveModel { headers: Set(Some("{\"tenant\":\"acme\"}".into())), ..order_event("1", "{}") };
    let seq = with_headers.insert(db).await?.seq;
    let found = outbox.event(seq).await?.expect("it is in the log");
    assert_eq!(found.headers.get("tenant"), Some("acme"));
    assert_eq!(hold::Entity::find().all(db).await?.len(), 0);
    Ok(())
});
