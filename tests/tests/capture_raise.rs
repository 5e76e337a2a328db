//! Events raised on a save: their place in the row's order, their context, and saves that run beside each other.

use std::{
    collections::BTreeMap,
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};

use outbox_core::log::{EventLog as _, Flush, Flushed, RowKind};
use outbox_seaorm::{
    CaptureError, Record as _, SeaOrmLog, Tx,
    context::Context,
    event::{EventKind, NewEvent, OutboxEvent},
    message::names,
    prelude::Serialize,
};
use outbox_tests::{
    Kind, TestDb,
    database::until,
    events::{lead, read, seqs, subscription},
    on_each_database,
    shop::{
        self,
        events::{OrderNoted, PartSaved},
        line, order, part,
    },
};
use sea_orm::{
    ActiveValue::Set, ConnectionTrait as _, DbErr, EntityTrait as _, IntoActiveModel as _,
    PaginatorTrait as _, TransactionSession as _, TransactionTrait as _,
};
use uuid::Uuid;

fn noted(order_id: Uuid, note: &str) -> OrderNoted {
    OrderNoted { order_id, note: note.to_owned() }
}

on_each_database!(a_raise_with_nothing_set_waits_for_the_writer_of_the_row, async |test| {
    shop::create_tables(&test.db).await?;
    let order = order::ActiveModel::placed().insert(&test.db).await?;
    let writer = test.db.begin().await?;
    let mut paid = order.clone().into_active_model();
    paid.status = Set("paid".into());
    paid.update(&writer).await?;

    let second = test.another_pool().await?;
    let raised = order.clone().into_active_model().raise(noted(order.id, "seen"));
    let mut waiting = tokio::spawn(async move { raised.update(&second).await });
    wait_for_a_waiter(&test).await;
    let early = tokio::time::timeout(Duration::from_millis(200), &mut waiting).await;
    assert!(early.is_err(), "the event was stored while the row's own writer had not committed");

    writer.commit().await?;
    let row = waiting.await??;
    assert_eq!(row.status, "paid", "it has seen what the first one wrote");
    assert_eq!(shop::types(&test.db).await?, ["order.placed", "order.paid", "order.noted"]);
    Ok(())
});

/// Until the database says that somebody waits for a lock. SQLite cannot say.
async fn wait_for_a_waiter(test: &TestDb) {
    let question = match test.kind {
        Kind::Sqlite => return,
        Kind::Postgres => {
            "SELECT 1 AS waits FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
        }
        // Its view of lock waits is not refreshed while it is asked often.
        Kind::Mariadb => {
            "SELECT 1 AS waits FROM information_schema.processlist \
             WHERE db = DATABASE() AND info LIKE 'SELECT%FOR UPDATE' AND time_ms > 100"
        }
    };
    until("a lock wait", Duration::from_secs(20), async || {
        let ask = sea_orm::Statement::from_string(test.db.get_database_backend(), question);
        test.db.query_one_raw(ask).await.expect("the server's own view")
    })
    .await;
}

on_each_database!(a_save_with_nothing_set_does_not_wait_and_tells_nothing, async |test| {
    shop::create_tables(&test.db).await?;
    let order = order::ActiveModel::placed().insert(&test.db).await?;
    let writer = test.db.begin().await?;
    if test.kind != Kind::Sqlite {
        let mut paid = order.clone().into_active_model();
        paid.status = Set("paid".into());
        paid.update(&writer).await?;
    }
    let unchanged = order.clone().into_active_model().update(&test.db).await?;
    assert_eq!(unchanged.status, "placed");
    writer.rollback().await?;
    assert_eq!(shop::types(&test.db).await?, ["order.placed"]);
    Ok(())
});

on_each_database!(a_raise_on_a_missing_row_tells_nothing, async |test| {
    shop::create_tables(&test.db).await?;
    let missing = order::ActiveModel { id: Set(Uuid::now_v7()), ..Default::default() };
    let raised = || missing.clone().raise(noted(Uuid::nil(), "never"));
    assert!(raised().update(&test.db).await.is_err());
    assert!(raised().update_without_returning(&test.db).await.is_err());
    assert!(shop::log(&test.db).await?.is_empty());
    Ok(())
});

on_each_database!(raised_events_keep_the_order_in_which_they_were_raised, async |test| {
    shop::create_tables(&test.db).await?;
    let order = order::ActiveModel::placed();
    let id = *order.id.as_ref();
    order
        .raise(noted(id, "1"))
        .raise_with(|order| vec![noted(order.id, "2"), noted(order.id, "3")])
        .raise((noted(id, "4"), Some(noted(id, "5")), None::<OrderNoted>))
        .insert(&test.db)
        .await?;
    let log = shop::log(&test.db).await?;
    assert_eq!(log[0].event_type, "order.placed", "the hook's own come first");
    let notes: Vec<OrderNoted> =
        log[1..].iter().map(|event| serde_json::from_str(&event.payload)).collect::<Result<_, _>>()?;
    assert_eq!(notes.iter().map(|noted| noted.note.as_str()).collect::<Vec<_>>(), ["1", "2", "3", "4", "5"]);
    Ok(())
});

on_each_database!(a_closure_that_is_retried_writes_once, async |test| {
    shop::create_tables(&test.db).await?;
    let attempts = AtomicU32::new(0);
    let order = order::ActiveModel::placed();
    loop {
        let (order, attempt) = (order.clone(), attempts.fetch_add(1, Ordering::SeqCst));
        let outcome = test
            .db
            .transaction::<_, _, DbErr>(|txn| {
                Box::pin(async move {
                    let order = order.raise_with(|order| noted(order.id, "attempt")).insert(txn).await?;
                    noted(order.id, "by hand").record(txn).await?;
                    if attempt < 2 { Err(DbErr::Custom("try again".into())) } else { Ok(()) }
                })
            })
            .await;
        if outcome.is_ok() {
            break;
        }
    }
    assert_eq!(attempts.into_inner(), 3);
    assert_eq!(shop::types(&test.db).await?, ["order.placed", "order.noted", "order.noted"]);
    Ok(())
});

on_each_database!(saves_that_run_beside_each_other_keep_their_own_columns, async |test| {
    shop::create_tables(&test.db).await?;
    let first = order::ActiveModel::placed().insert(&test.db).await?;
    let second = order::ActiveModel::placed().insert(&test.db).await?;
    let mut paid = first.clone().into_active_model();
    paid.status = Set("paid".into());
    let mut moved = second.clone().into_active_model();
    moved.address = Set("Harbour Street 2".into());
    let (paid, moved) = tokio::join!(paid.update(&test.db), moved.update(&test.db));
    paid?;
    moved?;

    let db = test.db.clone();
    let mut spawned = second.into_active_model();
    spawned.status = Set("paid".into());
    tokio::spawn(async move { spawned.update(&db).await }).await??;
    assert_eq!(shop::types(&test.db).await?, ["order.placed", "order.placed", "order.paid", "order.paid"]);
    Ok(())
});

on_each_database!(saves_beside_each_other_in_one_transaction_do_not_undo_each_other, async |test| {
    shop::create_tables(&test.db).await?;
    let order = order::ActiveModel::placed().insert(&test.db).await?;
    let txn = test.db.begin().await?;
    let line = |article: &str| line::ActiveModel {
        order_id: Set(order.id),
        article: Set(article.to_owned()),
        ..Default::default()
    };
    let bad = || line("refused after the write");
    let outcomes = tokio::join!(
        line("bolt").insert(&txn),
        bad().insert(&txn),
        line("nut").insert(&txn),
        bad().insert(&txn),
        line("washer").insert(&txn),
    );
    let stored = [&outcomes.0, &outcomes.2, &outcomes.4].iter().filter(|outcome| outcome.is_ok()).count();
    assert!(outcomes.1.is_err() && outcomes.3.is_err());
    txn.commit().await?;
    let rows = line::Entity::find().count(&test.db).await?;
    let events = shop::log(&test.db).await?.len() - 1;
    assert_eq!(stored, 3);
    assert_eq!((rows, events), (3, 3), "each save that said Ok is there, and its event");
    Ok(())
});

on_each_database!(saves_through_clones_of_one_tx_take_turns, async |test| {
    shop::create_tables(&test.db).await?;
    let order = order::ActiveModel::placed().insert(&test.db).await?;
    let txn = Tx::from(test.db.begin().await?);
    let (one, two, three, four) = (txn.clone(), txn.clone(), txn.clone(), txn.clone());
    let line = |article: &str| line::ActiveModel {
        order_id: Set(order.id),
        article: Set(article.to_owned()),
        ..Default::default()
    };
    let (bolt, refused, noted, nut) = tokio::join!(
        line("bolt").insert(&one),
        line("refused after the write").insert(&two),
        noted(order.id, "beside").record(&three),
        line("nut").insert(&four),
    );
    assert!(refused.is_err());
    bolt?;
    noted?;
    nut?;
    drop((one, two, three, four));
    txn.commit().await?;
    assert_eq!(line::Entity::find().count(&test.db).await?, 2);
    let mut types = shop::types(&test.db).await?;
    types.sort();
    assert_eq!(types, ["line.added", "line.added", "order.noted", "order.placed"]);
    Ok(())
});

on_each_database!(an_event_recorded_beside_a_save_that_fails_is_there, async |test| {
    shop::create_tables(&test.db).await?;
    let order = order::ActiveModel::placed().insert(&test.db).await?;
    let txn = test.db.begin().await?;
    let refused = || line::ActiveModel {
        order_id: Set(order.id),
        article: Set("refused after the write".into()),
        ..Default::default()
    };
    let (save, recorded, other) =
        tokio::join!(refused().insert(&txn), noted(order.id, "beside").record(&txn), refused().insert(&txn));
    assert!(save.is_err() && other.is_err());
    recorded?;
    txn.commit().await?;
    assert_eq!(shop::types(&test.db).await?, ["order.placed", "order.noted"]);
    Ok(())
});

on_each_database!(the_context_and_the_envelope_land_in_the_row, async |test| {
    shop::create_tables(&test.db).await?;
    let context = Context::builder().correlation_id("request-7").tenant("north").build()?;
    let db = test.db.clone();
    let at = chrono::DateTime::parse_from_rfc3339("2030-01-02T03:04:05.123456Z")?.to_utc();
    context
        .scope(async move {
            let order = order::ActiveModel::placed();
            let id = *order.id.as_ref();
            order.raise(noted(id, "later").deliver_at(at).with_header("priority", "low")).insert(&db).await
        })
        .await?;
    order::ActiveModel::placed().insert(&test.db).await?;
    let log = shop::log(&test.db).await?;
    let headers = |index: usize| -> BTreeMap<String, String> {
        let text = log.get(index).and_then(|event| event.headers.as_deref()).unwrap_or("{}");
        serde_json::from_str(text).expect("a JSON object")
    };
    assert_eq!(headers(0).get(names::CORRELATION_ID).map(String::as_str), Some("request-7"));
    assert_eq!(headers(0).get(names::TENANT).map(String::as_str), Some("north"));
    assert_eq!(headers(1).get("priority").map(String::as_str), Some("low"));
    assert_eq!(headers(1).get(names::TENANT).map(String::as_str), Some("north"));
    assert_eq!((log[0].deliver_at, log[1].deliver_at), (None, Some(at)));
    assert_eq!(log[2].headers, None, "outside of the scope");
    Ok(())
});

on_each_database!(an_event_for_after_2038_is_stored_with_its_time_and_read_as_scheduled, async |test| {
    shop::create_tables(&test.db).await?;
    let order = order::ActiveModel::placed();
    let id = *order.id.as_ref();
    let years = Duration::from_secs(20 * 365 * 86_400);
    let before = chrono::Utc::now();
    order.raise(noted(id, "later").deliver_after(years)).insert(&test.db).await?;
    let stored = shop::log(&test.db).await?[1].deliver_at.expect("a time");
    let after = stored - chrono::TimeDelta::from_std(years)? - before;
    assert!((0..600).contains(&after.num_seconds()), "it is stored as {stored}");

    let log = SeaOrmLog::new(test.db.clone());
    let page = read(&log, 0, &seqs(""), 10).await?;
    let Some(RowKind::Event { scheduled_for, .. }) = page.rows.get(1).map(|row| &row.kind) else {
        anyhow::bail!("expected an event, found {page:?}")
    };
    assert_eq!(*scheduled_for, Some(stored));
    Ok(())
});

on_each_database!(what_happened_after_2038_is_stored_with_its_time, async |test| {
    let log = SeaOrmLog::new(test.db.clone());
    let name = subscription("sqs");
    let (leader, _) = lead(&log, &name).await?;
    let occurred_at = chrono::DateTime::parse_from_rfc3339("2071-01-02T03:04:05.123456Z")?.to_utc();
    let event = NewEvent { occurred_at, ..NewEvent::of(&noted(Uuid::nil(), "far"))? };
    let flush = Flush { captured: vec![event], ..Flush::default() };
    assert_eq!(log.flush(&name, leader, &flush).await?, Flushed::Stored);
    assert_eq!(shop::log(&test.db).await?[0].occurred_at, occurred_at);
    Ok(())
});

/// An event that serde cannot write: the keys of its map are no strings.
#[derive(Serialize)]
struct NoJson {
    map: BTreeMap<(u8, u8), u8>,
}

impl NoJson {
    fn new() -> Self {
        Self { map: BTreeMap::from([((1, 2), 3)]) }
    }
}

impl OutboxEvent for NoJson {
    const KINDS: &'static [EventKind] = &[EventKind {
        event_type: "no.json",
        version: 1,
        topic: "none",
        aggregate_type: None,
        variant: None,
    }];

    fn kind(&self) -> &'static EventKind {
        &Self::KINDS[0]
    }
}

on_each_database!(an_event_that_is_no_json_takes_the_row_with_it, async |test| {
    shop::create_tables(&test.db).await?;
    let bolt = || part::ActiveModel { name: Set("bolt".into()), stock: Set(1), ..Default::default() };
    let early = bolt().raise(NoJson::new()).insert(&test.db).await.expect_err("no JSON");
    assert!(matches!(CaptureError::of(&early), Some(CaptureError::Event(_))), "found {early}");
    bolt().raise_with(|_| NoJson::new()).insert(&test.db).await.expect_err("no JSON");

    let txn = test.db.begin().await?;
    let order = order::ActiveModel::placed().insert(&txn).await?;
    // Found before anything is written: the transaction goes on.
    bolt().raise(NoJson::new()).insert(&txn).await.expect_err("no JSON");
    noted(order.id, "goes on").record(&txn).await?;
    // Found after the row is written.
    bolt().raise_with(|_| NoJson::new()).insert(&txn).await.expect_err("no JSON");
    txn.commit().await?;
    assert_eq!(part::Entity::find().count(&test.db).await?, 0, "no part without its event");
    assert_eq!(shop::types(&test.db).await?, ["order.placed", "order.noted"]);
    Ok(())
});

on_each_database!(generic_code_saves_any_entity_with_its_events, async |test| {
    use outbox_seaorm::{Raise, SaveConnection};

    async fn store<A: Raise, C: SaveConnection>(db: &C, model: A) -> Result<A, DbErr> {
        model.raise(()).save(db).await
    }

    shop::create_tables(&test.db).await?;
    let mut bolt =
        store(&test.db, part::ActiveModel { name: Set("bolt".into()), stock: Set(1), ..Default::default() })
            .await?;
    bolt.stock = Set(2);
    let txn = test.db.begin().await?;
    store(&txn, bolt).await?;
    txn.commit().await?;
    let told = shop::log(&test.db).await?.pop().expect("two events");
    assert_eq!(serde_json::from_str::<PartSaved>(&told.payload)?.stock_before, Some(1));
    Ok(())
});

/// What a writer on MySQL meets that has drawn its number before the relay filled the gap, and inserts after.
#[tokio::test]
async fn a_number_that_a_tombstone_has_filled_is_drawn_again_once() {
    TestDb::run(Kind::Mariadb, async |test| {
        shop::create_tables(&test.db).await?;
        let first = order::ActiveModel::placed().insert(&test.db).await?;
        let txn = test.db.begin().await?;
        let taken = |times: u8| {
            format!(
                "CREATE OR REPLACE TRIGGER taken BEFORE INSERT ON outbox_event FOR EACH ROW \
                 IF COALESCE(@met, 0) < {times} THEN SET @met = COALESCE(@met, 0) + 1, NEW.seq = 1; END IF"
            )
        };
        test.db.execute_unprepared(&taken(1)).await?;
        first.clone().into_active_model().raise(noted(first.id, "drawn again")).update(&txn).await?;
        txn.commit().await?;
        assert_eq!(shop::types(&test.db).await?, ["order.placed", "order.noted"]);

        let txn = test.db.begin().await?;
        txn.execute_unprepared("SET @met = 0").await?;
        test.db.execute_unprepared(&taken(2)).await?;
        let refused = first.into_active_model().raise(noted(Uuid::nil(), "x")).update(&txn).await;
        let refused = refused.expect_err("taken both times");
        assert!(
            matches!(refused.sql_err(), Some(sea_orm::SqlErr::UniqueConstraintViolation(_))),
            "the database's own error, found {refused}"
        );
        txn.commit().await?;
        assert_eq!(shop::types(&test.db).await?, ["order.placed", "order.noted"]);
        Ok(())
    })
    .await;
}
