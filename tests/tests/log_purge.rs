//! What purge takes, and what it leaves because somebody still needs it.

use std::time::Duration;

use chrono::{TimeDelta, Utc};
use outbox_core::{
    log::{AfterRetention, EventLog as _, Flush, Flushed, PurgeRequest, Purged},
    message::Seq,
};
use outbox_seaorm::{
    SeaOrmLog,
    tables::{archive, event, subscription as subscriptions},
};
use outbox_tests::{
    Kind, TestDb,
    database::until,
    events::{lead, order_event, run, seqs, subscription},
    on_each_database,
};
use sea_orm::{
    ActiveModelTrait as _, ConnectionTrait as _, DatabaseConnection, EntityTrait as _, QueryOrder as _, Set,
    TransactionTrait as _,
};

const DAY: PurgeRequest =
    PurgeRequest { keep: Duration::from_secs(86_400), then: AfterRetention::Delete, chunk: 100 };

/// Ten events, the first `old` of which were stored two days ago.
async fn ten_events(test: &TestDb, old: Seq) -> anyhow::Result<Vec<event::Model>> {
    let mut rows = Vec::new();
    for seq in 1..=10 {
        let mut row = order_event(&seq.to_string(), "{\"a\":\"ż 🐢\"}");
        if seq <= old {
            row.created_at = Set(Utc::now() - TimeDelta::days(2));
        }
        rows.push(row.insert(&test.db).await?);
    }
    Ok(rows)
}

async fn left(db: &DatabaseConnection) -> anyhow::Result<Vec<Seq>> {
    let rows = event::Entity::find().order_by_asc(event::Column::Seq).all(db).await?;
    Ok(rows.into_iter().map(|row| row.seq).collect())
}

async fn stands_at(log: &SeaOrmLog, name: &str, position: &event::Model, holes: &str) -> anyhow::Result<()> {
    let name = subscription(name);
    let (leader, progress) = lead(log, &name).await?;
    let flush = Flush {
        position: position.seq,
        anchor: Some(position.id),
        holes: seqs(holes),
        previous_flush_no: progress.flush_no,
        holds: Vec::new(),
        ..Flush::default()
    };
    assert_eq!(log.flush(&name, leader, &flush).await?, Flushed::Stored);
    log.release(&name, leader).await?;
    Ok(())
}

on_each_database!(only_a_prefix_that_is_older_than_the_retention_goes, async |test| {
    let log = SeaOrmLog::new(test.db.clone());
    let events = ten_events(&test, 5).await?;
    // The application's clock is not asked, and one old event behind a younger one waits for it.
    run(&test.db, "UPDATE outbox_event SET occurred_at = ?", [(Utc::now() - TimeDelta::days(9)).into()])
        .await?;
    run(
        &test.db,
        "UPDATE outbox_event SET created_at = ? WHERE seq = 8",
        [(Utc::now() - TimeDelta::days(9)).into()],
    )
    .await?;
    stands_at(&log, "sqs", &events[9], "").await?;
    assert_eq!(log.purge(DAY).await?, Purged { removed: 5, floor: 5, more: false });
    assert_eq!(log.purge(PurgeRequest { keep: Duration::ZERO, ..DAY }).await?.floor, 9);
    Ok(())
});

on_each_database!(the_archive_has_what_the_log_had, async |test| {
    let log = SeaOrmLog::new(test.db.clone());
    let events = ten_events(&test, 10).await?;
    stands_at(&log, "sqs", &events[9], "").await?;
    let request = PurgeRequest { then: AfterRetention::Archive, ..DAY };
    assert_eq!(log.purge(request).await?.removed, 9);
    let archived = archive::Entity::find().order_by_asc(archive::Column::Seq).all(&test.db).await?;
    assert_eq!(archived.len(), 9);
    for (before, after) in events.iter().zip(&archived) {
        assert_eq!(
            (before.seq, before.id, &before.payload, before.created_at, before.occurred_at),
            (after.seq, after.id, &after.payload, after.created_at, after.occurred_at)
        );
    }
    assert_eq!(left(&test.db).await?, [10]);
    Ok(())
});

/// An operator moves a position back while purge looks at it: whoever comes second sees what the first did.
async fn a_rewind_is_not_purged_away(test: &TestDb) -> anyhow::Result<()> {
    let log = SeaOrmLog::new(test.db.clone());
    let events = ten_events(test, 10).await?;
    stands_at(&log, "sqs", &events[9], "").await?;
    let rewind = test.db.begin().await?;
    rewind.execute_unprepared("SELECT floor FROM outbox_meta WHERE id = 1 FOR UPDATE").await?;
    rewind.execute_unprepared("UPDATE outbox_subscription SET position = 2, anchor = NULL").await?;
    let purging = tokio::spawn({
        let log = log.clone();
        async move { log.purge(DAY).await }
    });
    // It waits for the floor, or has given up waiting; either way it has taken nothing.
    let waits = match test.kind {
        Kind::Postgres => {
            "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
        }
        _ => "SELECT count(*) FROM information_schema.innodb_lock_waits",
    };
    until("purge to wait", Duration::from_secs(20), async || {
        let row = test
            .db
            .query_one_raw(sea_orm::Statement::from_string(test.db.get_database_backend(), waits))
            .await
            .expect("asking")
            .expect("a count");
        let waiting: i64 = row.try_get_by_index(0).expect("a number");
        (waiting > 0 || purging.is_finished()).then_some(())
    })
    .await;
    rewind.commit().await?;
    // Where the wait was too long, purge has erred and is tried again later.
    if let Ok(purged) = purging.await? {
        assert_eq!(purged.removed, 1);
    }
    assert!(log.purge(DAY).await?.floor == 1);
    assert_eq!(left(&test.db).await?, (2..=10).collect::<Vec<_>>());
    assert_eq!(subscriptions::Entity::find_by_id("sqs").one(&test.db).await?.expect("a row").position, 2);
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rewind_is_not_purged_away_on_postgres() {
    TestDb::run(Kind::Postgres, async |test| a_rewind_is_not_purged_away(&test).await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rewind_is_not_purged_away_on_mariadb() {
    TestDb::run(Kind::Mariadb, async |test| a_rewind_is_not_purged_away(&test).await).await;
}

/// Purge is held up in the middle of a chunk, by a trigger that waits for a gate.
async fn hold_up_deletes(test: &TestDb) -> anyhow::Result<()> {
    test.db.execute_unprepared("CREATE TABLE gate (is_open integer)").await?;
    if test.kind == Kind::Postgres {
        test.db
            .execute_unprepared(
                "CREATE FUNCTION wait_for_gate() RETURNS trigger LANGUAGE plpgsql AS $$
                 BEGIN
                     FOR turn IN 1..3000 LOOP
                         EXIT WHEN EXISTS (SELECT 1 FROM gate);
                         PERFORM pg_sleep(0.01);
                     END LOOP;
                     RETURN OLD;
                 END $$",
            )
            .await?;
        test.db
            .execute_unprepared(
                "CREATE TRIGGER held_up BEFORE DELETE ON outbox_event FOR EACH ROW EXECUTE FUNCTION wait_for_gate()",
            )
            .await?;
    } else {
        test.db
            .execute_unprepared(
                "CREATE TRIGGER held_up BEFORE DELETE ON outbox_event FOR EACH ROW
                 SET @waited = GET_LOCK('outbox_purge_gate', 30)",
            )
            .await?;
    }
    Ok(())
}

async fn a_long_purge_holds_up_no_leader(test: &TestDb) -> anyhow::Result<()> {
    let log = SeaOrmLog::new(test.db.clone());
    let events = ten_events(test, 10).await?;
    let name = subscription("sqs");
    let (leader, _) = lead(&log, &name).await?;
    let flush = |no: i64| Flush {
        position: 10,
        anchor: Some(events[9].id),
        holes: seqs(""),
        previous_flush_no: no,
        holds: Vec::new(),
        ..Flush::default()
    };
    assert_eq!(log.flush(&name, leader, &flush(0)).await?, Flushed::Stored);
    hold_up_deletes(test).await?;
    let gate = test.another_pool().await?.begin().await?;
    if test.kind == Kind::Mariadb {
        gate.execute_unprepared("DO GET_LOCK('outbox_purge_gate', 0)").await?;
    }
    let purging = tokio::spawn({
        let log = SeaOrmLog::new(test.another_pool().await?);
        async move { log.purge(DAY).await }
    });
    let deleting = match test.kind {
        Kind::Postgres => {
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND query LIKE 'DELETE FROM%'"
        }
        _ => {
            "SELECT count(*) FROM information_schema.PROCESSLIST WHERE db = DATABASE() AND state = 'User lock'"
        }
    };
    until("purge to delete", Duration::from_secs(20), async || {
        let count = sea_orm::Statement::from_string(test.db.get_database_backend(), deleting);
        let row = test.db.query_one_raw(count).await.expect("asking").expect("a count");
        (row.try_get_by_index::<i64>(0).expect("a number") > 0 || purging.is_finished()).then_some(())
    })
    .await;
    for no in 1..=3 {
        assert_eq!(log.flush(&name, leader, &flush(no)).await?, Flushed::Stored);
        assert!(log.renew(&name, leader, Duration::from_secs(60)).await?.is_some());
    }
    assert!(!purging.is_finished(), "purge was held up all the time");
    gate.execute_unprepared(match test.kind {
        Kind::Postgres => "INSERT INTO gate VALUES (1)",
        _ => "DO RELEASE_LOCK('outbox_purge_gate')",
    })
    .await?;
    gate.commit().await?;
    assert_eq!(purging.await??.removed, 9);
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_long_purge_holds_up_no_leader_on_postgres() {
    TestDb::run(Kind::Postgres, async |test| a_long_purge_holds_up_no_leader(&test).await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_long_purge_holds_up_no_leader_on_mariadb() {
    TestDb::run(Kind::Mariadb, async |test| a_long_purge_holds_up_no_leader(&test).await).await;
}
