//! Reading pages of the log: what a row becomes, the anchor, holes and limits.

use std::{collections::BTreeSet, sync::Arc};

use chrono::{DateTime, SubsecRound as _, TimeDelta, Utc};
use outbox_core::{
    log::{EventLog as _, ReadRequest, RowKind, StartPoint, SubscriptionName},
    publisher::Topics,
};
use outbox_seaorm::{SeaOrmLog, tables::event};
use outbox_tests::{
    Kind, TestDb,
    events::{numbers, order_event, read, run, seqs, store},
    on_each_database,
    told::errors_of,
};
use sea_orm::{ActiveModelTrait as _, EntityTrait as _, Set, TransactionTrait as _};

on_each_database!(an_event_comes_back_as_it_was_stored, async |test| {
    let log = SeaOrmLog::new(test.db.clone());
    let occurred_at: DateTime<Utc> = "2031-02-03T04:05:06.123456Z".parse()?;
    let stored = event::ActiveModel {
        event_version: Set(7),
        payload: Set(r#"{"name":"żółw 🐢","quote":"it's \\ \"","nested":{"a":[1,2,3]}}"#.into()),
        headers: Set(Some(r#"{"correlationid":"𝒳-1"}"#.into())),
        aggregate_id: Set(Some("Zoë/🦀".into())),
        occurred_at: Set(occurred_at),
        ..order_event("", "")
    }
    .insert(&test.db)
    .await?;
    let large = "🐘".repeat(256 * 1024);
    let large_seq = order_event("large", &format!("\"{large}\"")).insert(&test.db).await?.seq;
    let bare =
        event::ActiveModel { aggregate_type: Set(None), aggregate_id: Set(None), ..order_event("", "null") }
            .insert(&test.db)
            .await?;

    let page = read(&log, 0, &seqs(""), 10).await?;
    assert_eq!(page.anchor, None);
    assert_eq!(numbers(&page), [stored.seq, large_seq, bare.seq]);
    let messages: Vec<_> = page
        .rows
        .iter()
        .map(|row| match &row.kind {
            RowKind::Event { message, scheduled_for: None } => message.clone(),
            other => panic!("expected an event that is not scheduled, found {other:?}"),
        })
        .collect();
    let first = &messages[0];
    assert_eq!((first.id, first.event_version, first.topic.as_str()), (stored.id, 7, "orders"));
    assert_eq!(first.payload, stored.payload);
    assert_eq!(first.headers.get("correlationid"), Some("𝒳-1"));
    assert_eq!(first.aggregate(), Some(("order", "Zoë/🦀")));
    assert_eq!(first.occurred_at, occurred_at);
    assert_eq!(first.created_at, stored.created_at);
    assert_eq!(&*first.source, "/orders");
    assert_eq!(messages[1].payload.len(), large.len() + 2);
    assert!(messages[1].payload.contains(&large));
    assert_eq!(messages[2].aggregate(), None);
    Ok(())
});

on_each_database!(a_row_that_no_capture_wrote_stops_no_other_event, async |test| {
    let log = SeaOrmLog::new(test.db.clone());
    let before = store(&test.db, "1").await?;
    let by_hand = |headers: Option<&str>, version| event::ActiveModel {
        headers: Set(headers.map(ToOwned::to_owned)),
        event_version: Set(version),
        ..order_event("2", r#"{"kept":true}"#)
    };
    let mut bad = Vec::new();
    for row in [
        by_hand(Some("{not json"), 2),
        by_hand(Some(r#"{"tenant":7,"secret":"s3cr3t"}"#), 2),
        by_hand(Some(r#"{"tenant":"a"}"#), -3),
        by_hand(None, 0),
    ] {
        bad.push(row.insert(&test.db).await?);
    }
    if test.kind == Kind::Sqlite {
        // It keeps any kind of value in any column.
        let odd = by_hand(None, 1).insert(&test.db).await?;
        let update = "UPDATE outbox_event SET event_version = 'two', headers = x'00ff' WHERE seq = ?";
        run(&test.db, update, [odd.seq.into()]).await?;
    }
    let after = store(&test.db, "3").await?;

    let (page, told) = errors_of(read(&log, 0, &seqs(""), 10)).await;
    let page = page?;

    assert_eq!(numbers(&page), (before..=after).collect::<Vec<_>>());
    let read: Vec<_> = page.rows[1..=bad.len()]
        .iter()
        .map(|row| match &row.kind {
            RowKind::Event { message, .. } => {
                assert_eq!(message.payload, bad[0].payload);
                (message.event_version, message.headers.get("tenant"))
            }
            other => panic!("expected an event, found {other:?}"),
        })
        .collect();
    assert_eq!(read, [(2, None), (2, None), (1, Some("a")), (1, None)]);
    let of_odd = if test.kind == Kind::Sqlite { 2 } else { 0 };
    assert_eq!(told.len(), bad.len() + of_odd, "one error for each: {told:?}");
    for (line, row) in told.iter().zip(&bad) {
        assert!(line.contains(&format!("seq={}", row.seq)) && line.contains(&row.id.to_string()), "{line}");
        assert!(!line.contains("s3cr3t"), "{line}");
    }
    Ok(())
});

/// Only SQLite keeps any kind of value in any column.
#[tokio::test]
async fn moments_and_texts_that_were_stored_as_something_else_stop_no_other_event() {
    TestDb::run(Kind::Sqlite, async |test| {
        let log = SeaOrmLog::new(test.db.clone());
        let before = store(&test.db, "1").await?;
        for (bytes, moments) in [
            ("payload = CAST(payload AS BLOB), topic = CAST(topic AS BLOB)", "occurred_at = 'yesterday'"),
            ("event_type = CAST(event_type AS BLOB)", "occurred_at = 'never', created_at = x'00'"),
            ("aggregate_id = CAST(aggregate_id AS BLOB)", "deliver_at = 'tomorrow'"),
        ] {
            let seq = order_event("2", r#"{"kept":true}"#).insert(&test.db).await?.seq;
            let update = format!("UPDATE outbox_event SET {bytes}, {moments} WHERE seq = ?");
            run(&test.db, &update, [seq.into()]).await?;
        }
        let after = store(&test.db, "3").await?;

        let (page, told) = errors_of(read(&log, 0, &seqs(""), 10)).await;
        let page = page?;
        assert_eq!(numbers(&page), (before..=after).collect::<Vec<_>>());
        for row in &page.rows[1..4] {
            let RowKind::Event { message, scheduled_for: None } = &row.kind else {
                panic!("expected an event that is not scheduled, found {row:?}")
            };
            assert_eq!((message.payload.as_str(), message.topic.as_str()), (r#"{"kept":true}"#, "orders"));
            assert_eq!(
                (message.event_type.as_str(), message.aggregate()),
                ("order.placed", Some(("order", "2")))
            );
        }
        assert_eq!(told.len(), 3, "one error for each: {told:?}");
        Ok(())
    })
    .await;
}

on_each_database!(rows_of_other_topics_come_without_payload, async |test| {
    let log = SeaOrmLog::new(test.db.clone());
    let wanted = store(&test.db, "1").await?;
    let other = event::ActiveModel { topic: Set("o'clock \"x\"".into()), ..order_event("2", "{}") }
        .insert(&test.db)
        .await?;
    let tombstone =
        event::ActiveModel { topic: Set(String::new()), ..order_event("3", "") }.insert(&test.db).await?;
    let (source, no_holes): (Arc<str>, _) = ("/orders".into(), seqs(""));
    let subscription = SubscriptionName::new("reader")?;
    let request = |topics| ReadRequest {
        subscription: &subscription,
        position: 0,
        unseen: &no_holes,
        topics,
        source: &source,
        limit: 10,
        max_bytes: usize::MAX,
    };

    let only_orders = Topics::Only(BTreeSet::from(["orders".into(), "payments".into()]));
    let rows = log.read(request(&only_orders)).await?.rows;
    assert!(matches!(&rows[0].kind, RowKind::Event { message, .. } if message.seq == wanted));
    assert_eq!(rows[1].kind, RowKind::OtherTopic { topic: other.topic.clone() });
    assert_eq!((rows[2].id, &rows[2].kind), (tombstone.id, &RowKind::Tombstone));

    let quoted = Topics::Only(BTreeSet::from([other.topic.clone()]));
    let rows = log.read(request(&quoted)).await?.rows;
    assert_eq!(rows[0].kind, RowKind::OtherTopic { topic: "orders".into() });
    assert!(matches!(&rows[1].kind, RowKind::Event { message, .. } if message.topic == other.topic));

    let none = Topics::Only(BTreeSet::new());
    let rows = log.read(request(&none)).await?.rows;
    assert!(matches!(rows[0].kind, RowKind::OtherTopic { .. }));
    let rows = log.read(request(&Topics::All)).await?.rows;
    assert_eq!(rows[2].kind, RowKind::Tombstone, "also where all topics are wanted");
    Ok(())
});

on_each_database!(an_event_is_scheduled_while_its_time_is_ahead_of_the_databases_clock, async |test| {
    let log = SeaOrmLog::new(test.db.clone());
    let ahead = (Utc::now() + TimeDelta::hours(1)).trunc_subsecs(6);
    let past = Utc::now() - TimeDelta::seconds(60);
    for deliver_at in [ahead, past] {
        event::ActiveModel { deliver_at: Set(Some(deliver_at)), ..order_event("1", "{}") }
            .insert(&test.db)
            .await?;
    }
    let rows = read(&log, 0, &seqs(""), 10).await?.rows;
    let scheduled: Vec<_> = rows
        .iter()
        .map(|row| match &row.kind {
            RowKind::Event { scheduled_for, .. } => *scheduled_for,
            other => panic!("expected an event, found {other:?}"),
        })
        .collect();
    assert_eq!(scheduled, [Some(ahead), None]);
    Ok(())
});

on_each_database!(a_full_page_ends_in_the_middle_of_the_holes, async |test| {
    let log = SeaOrmLog::new(test.db.clone());
    let mut ids = Vec::new();
    for order in 1..=12 {
        ids.push(order_event(&order.to_string(), "{}").insert(&test.db).await?.id);
    }
    let holes = seqs("2-4,6,8");
    let full = read(&log, 9, &holes, 4).await?;
    assert_eq!(
        numbers(&full),
        [2, 3, 4, 6],
        "nothing above the last row, and not the rows after the position first"
    );
    assert_eq!(full.anchor, Some(ids[8]), "the anchor does not count and is never cut off");
    assert_eq!(numbers(&read(&log, 9, &holes, 6).await?), [2, 3, 4, 6, 8, 10]);
    assert_eq!(numbers(&read(&log, 9, &holes, 50).await?), [2, 3, 4, 6, 8, 10, 11, 12]);
    assert_eq!(numbers(&read(&log, 9, &seqs(""), 2).await?), [10, 11]);
    assert_eq!(numbers(&read(&log, 0, &seqs(""), 2).await?), [1, 2], "a position without a row");
    Ok(())
});

on_each_database!(the_row_at_the_position_is_read_again_where_it_was_not_settled, async |test| {
    let log = SeaOrmLog::new(test.db.clone());
    let mut ids = Vec::new();
    for order in 1..=4 {
        ids.push(order_event(&order.to_string(), "{}").insert(&test.db).await?.id);
    }
    let page = read(&log, 3, &seqs("1,3"), 10).await?;
    assert_eq!((page.anchor, numbers(&page)), (Some(ids[2]), vec![1, 3, 4]));
    assert!(page.rows.iter().all(|row| matches!(row.kind, RowKind::Event { .. })), "with its payload");
    let page = read(&log, 3, &seqs("1,3"), 1).await?;
    assert_eq!((page.anchor, numbers(&page)), (Some(ids[2]), vec![1]));
    Ok(())
});

on_each_database!(a_row_that_is_gone_is_no_anchor, async |test| {
    let log = SeaOrmLog::new(test.db.clone());
    for order in 1..=3 {
        store(&test.db, &order.to_string()).await?;
    }
    run(&test.db, "DELETE FROM outbox_event WHERE seq = ?", [2.into()]).await?;
    for holes in ["", "1"] {
        let page = read(&log, 2, &seqs(holes), 10).await?;
        assert_eq!(page.anchor, None);
        assert_eq!(page.rows.last().map(|row| row.seq), Some(3));
    }
    Ok(())
});

on_each_database!(thousands_of_holes_are_read_by_key, async |test| {
    let log = SeaOrmLog::new(test.db.clone());
    let transaction = test.db.begin().await?;
    for chunk in 0..20 {
        let rows = (0..500).map(|row| order_event(&format!("{}", chunk * 500 + row), "{}"));
        event::Entity::insert_many(rows).exec_without_returning(&transaction).await?;
    }
    transaction.commit().await?;
    run(&test.db, "DELETE FROM outbox_event WHERE seq % 2 = 0 AND seq < ?", [9_000.into()]).await?;
    let mut holes = seqs("");
    (1..=9_500).filter(|seq| seq % 2 == 0).for_each(|seq| holes.insert(seq));
    assert!(holes.range_count() > 4_000);
    let page = read(&log, 9_600, &holes, 1_000).await?;
    assert_eq!(page.rows.len(), 251 + 400, "holes from 9000 on, and the rows after the position");
    assert_eq!(numbers(&page)[..2], [9_000, 9_002]);
    assert!(page.anchor.is_some());
    Ok(())
});

#[tokio::test]
async fn a_database_in_memory_is_read_through_the_users_only_connection() -> anyhow::Result<()> {
    let db = sea_orm::Database::connect("sqlite::memory:").await?;
    outbox_seaorm::create_tables(&db).await?;
    let log = SeaOrmLog::new(db.clone());
    log.check().await?;
    let seq = store(&db, "1").await?;
    assert_eq!(numbers(&read(&log, 0, &seqs(""), 10).await?), [seq]);
    Ok(())
}

on_each_database!(
    a_page_tells_of_interventions_with_and_without_holes_and_by_the_anchor_alone,
    async |test| {
        let log = SeaOrmLog::new(test.db.clone());
        let first = store(&test.db, "1").await?;
        let last = store(&test.db, "2").await?;
        assert_eq!(read(&log, 0, &seqs(""), 10).await?.interventions, None, "nobody has registered it");
        for name in ["another", "reader"] {
            log.register(&SubscriptionName::new(name)?, StartPoint::Beginning).await?;
        }
        run(&test.db, "UPDATE outbox_subscription SET interventions = 7 WHERE name = 'reader'", []).await?;
        assert_eq!(read(&log, 0, &seqs(""), 1).await?.interventions, Some(7));
        assert_eq!(read(&log, last, &seqs("1"), 10).await?.interventions, Some(7));
        let alone = read(&log, last, &seqs(""), 10).await?;
        assert_eq!((alone.rows.len(), alone.interventions), (0, Some(7)), "by the anchor");
        assert_eq!(read(&log, last + 5, &seqs(""), 10).await?.interventions, None, "no row, no word");
        assert_eq!(first, 1);
        Ok(())
    }
);

on_each_database!(a_page_of_large_events_is_cut_before_it_fills_memory, async |test| {
    let log = SeaOrmLog::new(test.db.clone());
    let text = |letter: &str| format!("\"{}\"", letter.repeat(10_000));
    for letter in ["a", "b", "c", "d", "e"] {
        order_event(letter, &text(letter)).insert(&test.db).await?;
    }
    let (source, subscription): (Arc<str>, _) = ("/orders".into(), SubscriptionName::new("reader")?);
    let read = async |position, max_bytes| {
        let (unseen, topics) = (seqs(""), Topics::All);
        let (subscription, source) = (&subscription, &source);
        let request = ReadRequest {
            subscription,
            position,
            unseen: &unseen,
            topics: &topics,
            source,
            limit: 10,
            max_bytes,
        };
        log.read(request).await
    };
    for _ in 0..20 {
        let page = read(0, 20_000).await?;
        assert_eq!((numbers(&page), page.is_cut), (vec![1, 2], true));
    }
    let page = read(2, 20_000).await?;
    assert_eq!((numbers(&page), page.is_cut), (vec![3, 4], true), "the anchor row has no payload");
    assert!(page.anchor.is_some());
    let page = read(4, 20_000).await?;
    assert_eq!((numbers(&page), page.is_cut), (vec![5], false));
    let page = read(0, 1).await?;
    assert_eq!((numbers(&page), page.is_cut), (vec![1], true), "one that is larger still comes");
    let page = read(1, 1).await?;
    assert_eq!((numbers(&page), page.is_cut), (vec![2], true), "also where the anchor came first");
    let page = read(0, 1_000_000).await?;
    assert_eq!((numbers(&page), page.is_cut), (vec![1, 2, 3, 4, 5], false));
    Ok(())
});
