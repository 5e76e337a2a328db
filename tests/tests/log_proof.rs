//! A number that is missing is forgotten by proof only, and the proof speaks of the database that was read.

use std::time::Duration;

use outbox_core::{log::EventLog as _, progress::AnchorLost};
use outbox_seaorm::SeaOrmLog;
use outbox_tests::{
    Kind, TestDb,
    database::until,
    events::{numbers, order_event, read, run, seqs, store},
    reader::Reader,
};
use sea_orm::{ActiveModelTrait as _, ConnectionTrait as _, EntityTrait as _, TransactionTrait as _};

/// The same test on both servers. SQLite has one writer at a time: there a number cannot commit late.
macro_rules! on_each_server {
    ($name:ident, $body:expr) => {
        mod $name {
            use super::*;

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn postgres() {
                TestDb::run(Kind::Postgres, $body).await;
            }

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn mariadb() {
                TestDb::run(Kind::Mariadb, $body).await;
            }
        }
    };
}

/// The counter goes back, as it does where the server forgets what it had not stored.
async fn give_out_again(test: &TestDb, number: i64) -> anyhow::Result<()> {
    let restart = match test.kind {
        Kind::Postgres => format!("ALTER TABLE outbox_event ALTER COLUMN seq RESTART WITH {number}"),
        _ => format!("ALTER TABLE outbox_event AUTO_INCREMENT = {number}"),
    };
    test.db.execute_unprepared(&restart).await?;
    Ok(())
}

on_each_server!(an_event_that_commits_after_a_later_one_is_not_skipped, async |test| {
    let mut reader = Reader::lead(SeaOrmLog::new(test.db.clone()), "sqs").await?;
    let late = test.db.begin().await?;
    let seven = store(&late, "late").await?;
    let nine = store(&test.db, "early").await?;
    assert!(seven < nine);
    assert_eq!(reader.settle().await?, [nine]);
    assert_eq!(*reader.progress.unseen(), seqs(&seven.to_string()), "kept while its writer is open");
    assert_eq!(reader.settle().await?, [0_i64; 0]);
    assert_eq!(*reader.progress.unseen(), seqs(&seven.to_string()), "however often it is asked");
    late.commit().await?;
    assert_eq!(reader.settle().await?, [seven]);
    assert!(reader.progress.unseen().is_empty());
    Ok(())
});

on_each_server!(a_number_that_was_rolled_back_is_forgotten, async |test| {
    let mut reader = Reader::lead(SeaOrmLog::new(test.db.clone()), "sqs").await?;
    let gone = test.db.begin().await?;
    for order in 0..5 {
        store(&gone, &order.to_string()).await?;
    }
    let after = store(&test.db, "after").await?;
    assert_eq!(reader.settle().await?, [after]);
    assert_eq!(*reader.progress.unseen(), seqs("1-5"));
    gone.rollback().await?;
    assert_eq!(reader.settle().await?, [0_i64; 0]);
    assert!(reader.progress.unseen().is_empty(), "found {}", reader.progress.unseen());
    Ok(())
});

on_each_server!(
    a_number_that_a_savepoint_gave_back_is_forgotten_while_its_transaction_is_open,
    async |test| {
        let mut reader = Reader::lead(SeaOrmLog::new(test.db.clone()), "sqs").await?;
        let transaction = test.db.begin().await?;
        let savepoint = transaction.begin().await?;
        store(&savepoint, "undone").await?;
        savepoint.rollback().await?;
        let after = store(&test.db, "after").await?;
        assert_eq!(reader.settle().await?, [after]);
        assert!(reader.progress.unseen().is_empty(), "found {}", reader.progress.unseen());
        let kept = store(&transaction, "kept").await?;
        store(&test.db, "last").await?;
        reader.settle().await?;
        assert_eq!(*reader.progress.unseen(), seqs(&kept.to_string()));
        transaction.commit().await?;
        assert_eq!(reader.settle().await?, [kept]);
        Ok(())
    }
);

on_each_server!(a_long_transaction_elsewhere_keeps_no_hole_open, async |test| {
    test.db.execute_unprepared("CREATE TABLE elsewhere (id integer PRIMARY KEY)").await?;
    let long = test.db.begin().await?;
    long.execute_unprepared("INSERT INTO elsewhere VALUES (1)").await?;
    let mut reader = Reader::lead(SeaOrmLog::new(test.db.clone()), "sqs").await?;
    let gone = test.db.begin().await?;
    store(&gone, "gone").await?;
    gone.rollback().await?;
    let after = store(&test.db, "after").await?;
    assert_eq!(reader.settle().await?, [after]);
    assert!(reader.progress.unseen().is_empty(), "found {}", reader.progress.unseen());
    long.commit().await?;
    Ok(())
});

/// The last completed transaction is older than one that is still writing: a proof by `pg_snapshot_xmax` takes the
/// writer for one that came later. Other databases of the server end transactions meanwhile, so it is tried some times.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_writer_with_a_newer_transaction_id_than_the_last_completed_one_is_waited_for_on_postgres() {
    TestDb::run(Kind::Postgres, async |test| {
        test.db.execute_unprepared("CREATE TABLE elsewhere (id integer)").await?;
        let mut reader = Reader::lead(SeaOrmLog::new(test.db.clone()), "sqs").await?;
        for round in 0..60 {
            let older = test.db.begin().await?;
            older.execute_unprepared("INSERT INTO elsewhere VALUES (1)").await?;
            let newer = test.db.begin().await?;
            let late = store(&newer, "late").await?;
            let early = store(&older, "early").await?;
            older.commit().await?;
            let barrier = reader.log.barrier().await?;
            assert!(barrier.upto >= late);
            assert!(!barrier.is_cleared_by(&reader.log.writers().await?), "the writer of {late} is not done");
            if round > 0 {
                newer.commit().await?;
                continue;
            }
            assert_eq!(reader.settle().await?, [early]);
            assert_eq!(*reader.progress.unseen(), seqs(&late.to_string()), "forgotten too early");
            newer.commit().await?;
            assert_eq!(reader.settle().await?, [late]);
        }
        Ok(())
    })
    .await;
}

on_each_server!(a_database_that_went_back_in_time_is_noticed_before_anything_is_skipped, async |test| {
    let mut reader = Reader::lead(SeaOrmLog::new(test.db.clone()), "sqs").await?;
    for order in 1..=5 {
        store(&test.db, &order.to_string()).await?;
    }
    assert_eq!(reader.settle().await?, [1, 2, 3, 4, 5]);
    // A replica that was behind takes over: the last two commits never were, and their numbers come again.
    run(&test.db, "DELETE FROM outbox_event WHERE seq > ?", [3.into()]).await?;
    give_out_again(&test, 4).await?;
    for order in ["new 4", "new 5", "new 6"] {
        store(&test.db, order).await?;
    }
    let error = reader.poll(100).await.expect_err("another row is at the position");
    let lost = error.downcast_ref::<AnchorLost>().unwrap_or_else(|| panic!("found {error:?}"));
    assert_eq!(lost.position, 5);
    assert!(lost.found.is_some_and(|found| found != lost.expected));
    Ok(())
});

on_each_server!(a_connection_that_was_made_anew_is_counted, async |test| {
    let log = SeaOrmLog::new(test.another_pool().await?);
    assert_eq!(log.connections(), 0, "none before it is needed");
    read(&log, 0, &seqs(""), 10).await?;
    let before = log.connections();
    assert!(before > 0);
    // The server restarts: to its clients, all connections end. One stays, to end the others with.
    let administrator = test.db.begin().await?;
    let others = match test.kind {
        Kind::Postgres => {
            "SELECT 'SELECT pg_terminate_backend(' || pid || ')' FROM pg_stat_activity
             WHERE datname = current_database() AND pid <> pg_backend_pid()"
        }
        _ => {
            "SELECT CONCAT('KILL ', id) FROM information_schema.PROCESSLIST
             WHERE db = DATABASE() AND id <> CONNECTION_ID()"
        }
    };
    let others = sea_orm::Statement::from_string(administrator.get_database_backend(), others);
    for other in administrator.query_all_raw(others).await? {
        // One that has ended by itself meanwhile is no error of the test's.
        let _ = administrator.execute_unprepared(&other.try_get_by_index::<String>(0)?).await;
    }
    administrator.rollback().await?;
    until("the log to be read again", Duration::from_secs(30), async || {
        read(&log, 0, &seqs(""), 10).await.ok().map(|_| ())
    })
    .await;
    assert!(log.connections() > before, "a proof from before would speak of another world");
    Ok(())
});

on_each_server!(numbers_that_are_given_out_again_after_a_crash_are_waited_for, async |test| {
    let mut reader = Reader::lead(SeaOrmLog::new(test.db.clone()), "sqs").await?;
    let first = store(&test.db, "1").await?;
    assert_eq!(reader.settle().await?, [first]);
    // Number 2 was drawn and not stored when the server crashed: nothing of it is left, and it is drawn again by a
    // writer that is slow.
    let crashed = test.db.begin().await?;
    assert_eq!(store(&crashed, "never was").await?, 2);
    crashed.rollback().await?;
    give_out_again(&test, 2).await?;
    let slow = test.db.begin().await?;
    let again = store(&slow, "again").await?;
    let third = store(&test.db, "3").await?;
    assert_eq!((again, third), (2, 3));
    run(&test.db, "UPDATE outbox_subscription SET owner = NULL WHERE position = ?", [first.into()]).await?;
    let mut restarted = Reader::lead(SeaOrmLog::new(test.another_pool().await?), "sqs").await?;
    assert_eq!(restarted.settle().await?, [third]);
    assert_eq!(*restarted.progress.unseen(), seqs("2"));
    slow.commit().await?;
    assert_eq!(restarted.settle().await?, [again]);
    Ok(())
});

#[tokio::test]
async fn a_counter_that_was_never_used_gives_a_barrier_at_zero_on_postgres() {
    TestDb::run(Kind::Postgres, async |test| {
        let log = SeaOrmLog::new(test.db.clone());
        assert_eq!(log.barrier().await?, outbox_core::log::Barrier::default());
        let open = test.db.begin().await?;
        store(&open, "1").await?;
        let barrier = log.barrier().await?;
        assert_eq!((barrier.upto, barrier.writers.len()), (1, 1));
        assert_eq!(barrier.writers, log.writers().await?);
        let other_database = TestDb::create(Kind::Postgres).await?;
        let elsewhere = SeaOrmLog::new(other_database.db.clone());
        assert_eq!(elsewhere.writers().await?.len(), 0, "writers of another database are not ours");
        other_database.drop_database().await?;
        open.commit().await?;
        assert_eq!(log.writers().await?.len(), 0);
        // A reader of the log is no writer of it.
        let reading = test.db.begin().await?;
        outbox_seaorm::tables::event::Entity::find().all(&reading).await?;
        assert_eq!(log.writers().await?.len(), 0);
        reading.rollback().await?;
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn only_tombstones_that_went_in_are_proofs_on_mariadb() {
    TestDb::run(Kind::Mariadb, async |test| {
        let log = SeaOrmLog::new(test.db.clone());
        let open = test.db.begin().await?;
        let rolled_back = test.db.begin().await?;
        let (writing, _gone) = (store(&open, "1").await?, store(&rolled_back, "2").await?);
        rolled_back.rollback().await?;
        let committed = store(&test.db, "3").await?;
        let filled = log.fill(&seqs("1-3")).await?;
        assert_eq!(filled, seqs("2"), "1 is being written, 3 is there");
        open.commit().await?;
        assert_eq!(log.fill(&seqs("1-3")).await?, seqs(""), "the one that is ours already is not new");
        let page = read(&log, 0, &seqs(""), 10).await?;
        assert_eq!(numbers(&page), [writing, 2, committed]);
        assert_eq!(page.rows[1].kind, outbox_core::log::RowKind::Tombstone);
        assert_eq!(outbox_seaorm::tables::event::Entity::find().all(&test.db).await?.len(), 3);
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn thousands_of_holes_are_filled_in_one_call_on_mariadb() {
    TestDb::run(Kind::Mariadb, async |test| {
        let log = SeaOrmLog::new(test.db.clone());
        test.db.execute_unprepared("ALTER TABLE outbox_event AUTO_INCREMENT = 5001").await?;
        let seq = store(&test.db, "after").await?;
        assert_eq!(seq, 5_001);
        assert_eq!(log.fill(&seqs("1-2999,3001-5000")).await?, seqs("1-2999,3001-5000"));
        let page = read(&log, 0, &seqs(""), 10_000).await?;
        assert_eq!(page.rows.len(), 5_000);
        Ok(())
    })
    .await;
}

/// A lock on a gap shows in no reading of rows, so the tombstone waits for it; the holes beside it are filled.
#[tokio::test]
async fn a_lock_on_one_hole_leaves_the_others_to_be_filled_on_mariadb() {
    TestDb::run(Kind::Mariadb, async |test| {
        let log = SeaOrmLog::new(test.db.clone());
        for order in 1..=9 {
            store(&test.db, &order.to_string()).await?;
        }
        run(&test.db, "DELETE FROM outbox_event WHERE seq IN (2, 4, 6, 8)", []).await?;
        let locking = test.db.begin_with_config(Some(sea_orm::IsolationLevel::RepeatableRead), None).await?;
        locking.execute_unprepared("SELECT * FROM outbox_event WHERE seq = 4 FOR UPDATE").await?;
        let mut gone = seqs("");
        until("the holes beside it", Duration::from_secs(120), async || {
            let mut open = seqs("2,4,6,8");
            open.remove_all(&gone);
            gone.insert_all(&log.fill(&open).await.expect("a lock is no error"));
            (gone.count() == 3).then_some(())
        })
        .await;
        assert_eq!(gone, seqs("2,6,8"));
        locking.rollback().await?;
        assert_eq!(log.fill(&seqs("4")).await?, seqs("4"));
        Ok(())
    })
    .await;
}

/// What the tombstone waits for is the writer's lock on a gap. A statement that kept the counter for as long as it
/// waits would stop the writer, and the server would end the writer's transaction to free both.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_writer_that_a_tombstone_waits_for_keeps_its_transaction_on_mariadb() {
    TestDb::run(Kind::Mariadb, async |test| {
        let log = SeaOrmLog::new(test.db.clone());
        for order in 1..=6 {
            store(&test.db, &order.to_string()).await?;
        }
        run(&test.db, "DELETE FROM outbox_event WHERE seq IN (2, 4)", []).await?;
        let writer = test.db.begin_with_config(Some(sea_orm::IsolationLevel::RepeatableRead), None).await?;
        store(&writer, "first").await?;
        writer.execute_unprepared("SELECT * FROM outbox_event WHERE seq = 4 FOR UPDATE").await?;
        let filling = tokio::spawn(async move { log.fill(&seqs("2,4")).await });
        until("the tombstone to wait", Duration::from_secs(20), async || {
            let waiting = sea_orm::Statement::from_string(
                sea_orm::DbBackend::MySql,
                "SELECT COUNT(*) FROM information_schema.PROCESSLIST
                 WHERE db = DATABASE() AND info LIKE 'INSERT IGNORE%' AND time_ms > 50",
            );
            let row = test.db.query_one_raw(waiting).await.expect("a count").expect("a row");
            (filling.is_finished() || row.try_get_by_index::<i64>(0).expect("a number") > 0).then_some(())
        })
        .await;
        assert!(!filling.is_finished(), "it did not wait");
        store(&writer, "second").await?;
        store(&test.db, "another writer").await?;
        writer.commit().await?;
        filling.await??;
        let count = outbox_seaorm::tables::event::Entity::find().all(&test.db).await?;
        let written = count.iter().filter(|row| row.topic == "orders").count();
        assert_eq!(written, 4 + 3, "nothing of the writer is lost");
        Ok(())
    })
    .await;
}

/// The level at which rows are looked at that may be taken is for that one look.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_fill_that_is_dropped_leaves_no_session_that_reads_uncommitted_rows_on_mariadb() {
    TestDb::run(Kind::Mariadb, async |test| {
        let log = SeaOrmLog::new(test.db.clone());
        read(&log, 0, &seqs(""), 10).await?;
        let open = test.db.begin().await?;
        store(&open, "uncommitted").await?;
        for step in 0..200 {
            // It is dropped at another moment each time.
            let limit = Duration::from_micros(20 * step);
            let _ = tokio::time::timeout(limit, log.fill(&seqs("1"))).await;
            for _ in 0..3 {
                assert_eq!(numbers(&read(&log, 0, &seqs(""), 10).await?), [0_i64; 0], "after {limit:?}");
            }
        }
        open.rollback().await?;
        Ok(())
    })
    .await;
}

/// A writer that has drawn two numbers with one statement and stored only the first of them: the second has no row, not
/// even an uncommitted one, when the tombstone goes in. Capture then repeats its statement with new numbers.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_writer_that_is_slower_than_the_grace_draws_again_on_mariadb() {
    TestDb::run(Kind::Mariadb, async |test| {
        test.db
            .execute_unprepared(
                "CREATE TRIGGER slow BEFORE INSERT ON outbox_event FOR EACH ROW
                 SET @waited = IF(NEW.aggregate_id = 'slow', GET_LOCK('outbox_slow', 30), 0)",
            )
            .await?;
        let gate = test.another_pool().await?.begin().await?;
        gate.execute_unprepared("DO GET_LOCK('outbox_slow', 0)").await?;

        let db = test.db.clone();
        let writer = tokio::spawn(async move {
            let transaction = db.begin().await?;
            let insert = || {
                let rows = [order_event("quick", "{}"), order_event("slow", "{}")];
                outbox_seaorm::tables::event::Entity::insert_many(rows).exec_without_returning(&transaction)
            };
            let first = insert().await;
            if first.is_err() {
                insert().await?;
            }
            transaction.execute_unprepared("DO RELEASE_LOCK('outbox_slow')").await?;
            transaction.commit().await?;
            anyhow::Ok(first.err())
        });
        let log = SeaOrmLog::new(test.db.clone());
        until("the first row of the statement", Duration::from_secs(20), async || {
            let transaction = test
                .db
                .begin_with_config(Some(sea_orm::IsolationLevel::ReadUncommitted), None)
                .await
                .expect("a transaction");
            let rows = outbox_seaorm::tables::event::Entity::find().all(&transaction).await.expect("rows");
            (rows.len() == 1).then_some(())
        })
        .await;
        assert_eq!(log.fill(&seqs("1-2")).await?, seqs("2"), "nothing is at 2 yet");
        gate.execute_unprepared("DO RELEASE_LOCK('outbox_slow')").await?;

        let error = writer.await??.expect("number 2 was taken");
        assert!(
            matches!(error.sql_err(), Some(sea_orm::SqlErr::UniqueConstraintViolation(_))),
            "found {error:?}"
        );
        let page = read(&log, 0, &seqs(""), 10).await?;
        assert_eq!(outbox_tests::events::orders(&page), ["quick", "slow"]);
        let numbers = numbers(&page);
        assert_eq!((numbers[0], numbers.len()), (2, 3), "the tombstone, and both rows behind it");
        Ok(())
    })
    .await;
}

on_each_server!(the_event_at_the_position_is_the_anchor_also_after_a_take_over, async |test| {
    let mut reader = Reader::lead(SeaOrmLog::new(test.db.clone()), "sqs").await?;
    let anchor = order_event("1", "{}").insert(&test.db).await?;
    reader.settle().await?;
    run(&test.db, "UPDATE outbox_subscription SET owner = NULL WHERE position = ?", [1.into()]).await?;
    let second = Reader::lead(SeaOrmLog::new(test.db.clone()), "sqs").await?;
    assert_eq!(second.progress.to_flush(Vec::new()).anchor, Some(anchor.id));
    Ok(())
});
