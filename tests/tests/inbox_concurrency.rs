//! Copies of a message at the same moment, and forgetting old ones.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use outbox_core::{
    consumer::{InboxError, MessageKey, Processed},
    message::ReceivedMessage,
};
use outbox_seaorm::{
    Inbox, Tx,
    inbox::{Answer, PurgeError},
    tables::{audit, inbox_command, inbox_message},
};
use outbox_tests::on_each_database;
use sea_orm::{
    ActiveModelTrait as _, ColumnTrait as _, ConnectionTrait, DatabaseConnection, DbBackend, DbErr,
    EntityTrait as _, PaginatorTrait as _, QueryFilter as _, Set, Statement, TransactionSession as _,
    TransactionTrait as _, prelude::Expr,
};
use tokio::sync::oneshot;

async fn effect<C: ConnectionTrait>(db: &C, what: &str) -> Result<(), DbErr> {
    audit::ActiveModel {
        at: Set(chrono::Utc::now()),
        actor: Set("handler".into()),
        action: Set("processed".into()),
        target: Set(what.into()),
        ..Default::default()
    }
    .insert(db)
    .await?;
    Ok(())
}

const COPIES: usize = 50;
const MESSAGES: usize = 20;
const TASKS: usize = 8;

on_each_database!(fifty_copies_of_twenty_messages_from_eight_tasks_have_twenty_effects, async |test| {
    // Copies of one message follow each other, so that the tasks meet at it.
    let next = Arc::new(AtomicUsize::new(0));
    let tasks = (0..TASKS).map(|_| {
        let inbox = Inbox::new(test.db.clone(), "inventory").expect("a good name");
        let next = Arc::clone(&next);
        tokio::spawn(async move {
            let (mut processed, mut rolled_back) = (0, 0);
            loop {
                let number = next.fetch_add(1, Ordering::Relaxed);
                if number >= COPIES * MESSAGES {
                    return anyhow::Ok((processed, rolled_back));
                }
                let id = format!("m{}", number / COPIES);
                let message = ReceivedMessage::new("/orders", &id, "order.placed", "{}");
                // The first copies fail, so that those who wait for them have to run.
                let fails = number % COPIES < 3;
                let outcome = inbox
                    .process(&message, async |txn| {
                        effect(&txn, &id).await?;
                        if fails { Err(DbErr::Custom("on purpose".into())) } else { Ok(()) }
                    })
                    .await;
                match outcome {
                    Ok(Processed::Processed(())) => processed += 1,
                    Ok(Processed::Duplicate) => {}
                    Err(InboxError::Handler(_)) if fails => rolled_back += 1,
                    Err(error) => return Err(error.into()),
                }
            }
        })
    });
    let (mut processed, mut rolled_back) = (0, 0);
    for outcome in futures_util::future::join_all(tasks).await {
        let (more, failed) = outcome??;
        processed += more;
        rolled_back += failed;
    }
    assert_eq!(processed, MESSAGES);
    assert!(rolled_back > 0, "the case that waiting copies run was met");
    let mut effects: Vec<_> =
        audit::Entity::find().all(&test.db).await?.into_iter().map(|row| row.target).collect();
    effects.sort();
    effects.dedup();
    assert_eq!(effects.len(), MESSAGES);
    assert_eq!(audit::Entity::find().count(&test.db).await?, MESSAGES as u64);
    Ok(())
});

/// Runs a copy while the handler of another is under way, and ends that with `first`.
async fn copy_beside(inbox: &Inbox, first: Result<(), DbErr>) -> anyhow::Result<Processed<()>> {
    let key = MessageKey::new("/orders", "1");
    let (begun, begins) = oneshot::channel();
    let (end, ends) = oneshot::channel();
    let running = {
        let inbox = inbox.clone();
        tokio::spawn(async move {
            inbox
                .process(key, async |txn| {
                    effect(&txn, "first").await?;
                    let _ = begun.send(());
                    ends.await.map_err(|lost| DbErr::Custom(lost.to_string()))?;
                    first
                })
                .await
        })
    };
    begins.await?;
    let mut copy = Box::pin(inbox.process(key, async |txn| effect(&txn, "copy").await));
    let early = tokio::time::timeout(Duration::from_millis(200), &mut copy).await;
    assert!(early.is_err(), "the copy waits for the first, found {early:?}");
    end.send(()).map_err(|()| anyhow::anyhow!("the first handler is gone"))?;
    let outcome = copy.await?;
    let _ = running.await?;
    Ok(outcome)
}

on_each_database!(a_copy_waits_and_is_a_duplicate_where_the_first_commits, async |test| {
    let inbox = Inbox::new(test.db.clone(), "inventory")?;
    assert_eq!(copy_beside(&inbox, Ok(())).await?, Processed::Duplicate);
    let effects: Vec<_> =
        audit::Entity::find().all(&test.db).await?.into_iter().map(|row| row.target).collect();
    assert_eq!(effects, ["first"]);
    Ok(())
});

on_each_database!(a_copy_waits_and_runs_where_the_first_rolls_back, async |test| {
    let inbox = Inbox::new(test.db.clone(), "inventory")?;
    let first = Err(DbErr::Custom("on purpose".into()));
    assert_eq!(copy_beside(&inbox, first).await?, Processed::Processed(()));
    let effects: Vec<_> =
        audit::Entity::find().all(&test.db).await?.into_iter().map(|row| row.target).collect();
    assert_eq!(effects, ["copy"]);
    Ok(())
});

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

on_each_database!(purge_removes_what_is_old_and_nothing_that_may_come_again, async |test| {
    let rows = |consumer: &'static str, prefix: &'static str, count: usize| {
        let rows = (0..count).map(move |number| inbox_message::ActiveModel {
            consumer: Set(consumer.into()),
            source: Set("/orders".into()),
            message_id: Set(format!("{prefix}{number}")),
            replay: Set(String::new()),
            ..Default::default()
        });
        inbox_message::Entity::insert_many(rows).exec_without_returning(&test.db)
    };
    rows("inventory", "old", 2_500).await?;
    rows("mail", "old", 10).await?;
    // Time is moved; a microsecond or millisecond each, so that the chunks meet rows of different ages.
    let old = chrono::Utc::now() - chrono::Duration::days(40);
    for (suffix, age) in (0..10).zip(1..) {
        inbox_message::Entity::update_many()
            .col_expr(
                inbox_message::Column::ProcessedAt,
                Expr::value(old + chrono::Duration::milliseconds(age)),
            )
            .filter(inbox_message::Column::MessageId.like(format!("old%{suffix}")))
            .exec(&test.db)
            .await?;
    }
    rows("inventory", "new", 300).await?;

    let inbox = Inbox::new(test.db.clone(), "inventory")?.remember_for(30 * DAY);
    let refused = inbox.purge(29 * DAY).await;
    assert!(matches!(refused, Err(PurgeError::WithinWindow { .. })), "found {refused:?}");
    assert_eq!(inbox.purge(41 * DAY).await?, 0);
    assert_eq!(inbox.purge(30 * DAY).await?, 2_500);
    assert_eq!(inbox.purge(30 * DAY).await?, 0);
    let left = |consumer: &'static str| {
        inbox_message::Entity::find().filter(inbox_message::Column::Consumer.eq(consumer)).count(&test.db)
    };
    assert_eq!((left("inventory").await?, left("mail").await?), (300, 10));
    Ok(())
});

on_each_database!(purge_removes_old_commands_and_those_of_this_inbox_only, async |test| {
    let rows = |consumer: &'static str, age: i64, count: i64| {
        let rows = (0..count).map(move |number| inbox_command::ActiveModel {
            consumer: Set(consumer.into()),
            command_key: Set(format!("{age}-{number}")),
            request_hash: Set(vec![1]),
            result: Set(Some("1".into())),
            // Of different ages, so that chunks end between them.
            begun_at: Set(
                chrono::Utc::now() - chrono::Duration::days(age) + chrono::Duration::milliseconds(number)
            ),
            done_at: Set(None),
        });
        inbox_command::Entity::insert_many(rows).exec_without_returning(&test.db)
    };
    rows("shop", 40, 2_500).await?;
    rows("shop", 20, 100).await?;
    rows("mail", 40, 10).await?;
    let inbox = Inbox::new(test.db.clone(), "shop")?;
    assert_eq!(inbox.purge(30 * DAY).await?, 2_500);
    assert_eq!(inbox.purge(30 * DAY).await?, 0);
    let left = |consumer: &'static str| {
        inbox_command::Entity::find().filter(inbox_command::Column::Consumer.eq(consumer)).count(&test.db)
    };
    assert_eq!((left("shop").await?, left("mail").await?), (100, 10));
    let answer = |key: &'static str| {
        let inbox = inbox.clone();
        async move { inbox.once(key, [1], async |_| Ok::<_, DbErr>(2)).await }
    };
    assert_eq!(answer("20-0").await?, Answer::Repeated(1), "within the window");
    assert_eq!(answer("40-0").await?, Answer::First(2), "past it the key is a new one");
    Ok(())
});

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_duplicate_under_serializable_is_told_and_not_run() {
    outbox_tests::TestDb::run(outbox_tests::Kind::Postgres, async |test| {
        let name = test.url.rsplit('/').next().unwrap_or_default();
        let serializable =
            format!("ALTER DATABASE {name} SET default_transaction_isolation = 'serializable'");
        test.db.execute_unprepared(&serializable).await?;
        let inbox = Inbox::new(test.another_pool().await?, "inventory")?;
        let key = MessageKey::new("/orders", "1");
        let level = inbox
            .process(MessageKey::new("/orders", "level"), async |txn| {
                let row = txn
                    .query_one_raw(Statement::from_string(DbBackend::Postgres, "SHOW transaction_isolation"));
                row.await?
                    .ok_or(DbErr::RecordNotFound("a setting".into()))?
                    .try_get::<String>("", "transaction_isolation")
            })
            .await?;
        assert_eq!(level, Processed::Processed("serializable".to_owned()));
        assert_eq!(copy_beside(&inbox, Ok(())).await?, Processed::Duplicate);
        assert_eq!(inbox.process(key, async |txn| effect(&txn, "copy").await).await?, Processed::Duplicate);
        assert_eq!(audit::Entity::find().count(&test.db).await?, 1);
        Ok(())
    })
    .await;
}

// MariaDB and MySQL roll the whole transaction of a victim back: what it sends next would be stored by itself, without the
// message's row.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_victim_of_a_deadlock_that_goes_on_writes_nothing() {
    outbox_tests::TestDb::run(outbox_tests::Kind::Mariadb, async |test| {
        effect(&test.db, "x").await?;
        effect(&test.db, "y").await?;
        let other = Tx::from(test.db.begin().await?);
        // The database ends the one that has written less.
        for _ in 0..50 {
            effect(&other, "weight").await?;
        }
        touch(&other, "y").await?;
        let inbox = Inbox::new(test.db.clone(), "inventory")?;
        let outcome = inbox
            .process(MessageKey::new("/orders", "1"), async |txn| {
                touch(&txn, "x").await?;
                let waiting = touch(&other, "x");
                let (victim, survivor) = futures_util::future::join(touch(&txn, "y"), waiting).await;
                survivor?;
                assert!(victim.is_err(), "the handler is the victim");
                assert!(effect(&txn, "alone").await.is_err(), "there is no transaction any more");
                Ok::<_, DbErr>(())
            })
            .await;
        assert!(matches!(outcome, Err(InboxError::TransactionAborted)), "found {outcome:?}");
        drop(other);
        assert_eq!(audit::Entity::find().count(&test.db).await?, 2);
        assert_eq!(inbox_message::Entity::find().count(&test.db).await?, 0);
        Ok(())
    })
    .await;
}

/// A row that another transaction changed after this one's snapshot: the default of newer servers.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_victim_of_snapshot_isolation_that_goes_on_writes_nothing() {
    outbox_tests::TestDb::run(outbox_tests::Kind::Mariadb, async |test| {
        effect(&test.db, "x").await?;
        let inbox = Inbox::new(test.db.clone(), "inventory")?;
        let outcome = inbox
            .process(MessageKey::new("/orders", "1"), async |txn| {
                let error = lose_to_another(&test.db, &txn).await?;
                assert!(error.to_string().contains("1020"), "found {error}");
                assert!(effect(&txn, "alone").await.is_err(), "there is no transaction any more");
                Ok::<_, DbErr>(())
            })
            .await;
        assert!(matches!(outcome, Err(InboxError::TransactionAborted)), "found {outcome:?}");
        assert_eq!(audit::Entity::find().count(&test.db).await?, 1);
        assert_eq!(inbox_message::Entity::find().count(&test.db).await?, 0);

        let own = Tx::from(test.db.begin().await?);
        effect(&own, "gone").await?;
        lose_to_another(&test.db, &own).await?;
        assert!(own.commit().await.is_err(), "nothing of it is stored");
        assert_eq!(audit::Entity::find().count(&test.db).await?, 1);
        Ok(())
    })
    .await;
}

/// Reads, lets another change a row, and writes to it: gives the error of that.
async fn lose_to_another(db: &DatabaseConnection, txn: &Tx) -> Result<DbErr, DbErr> {
    txn.execute_unprepared("SET SESSION innodb_snapshot_isolation = ON").await?;
    audit::Entity::find().all(txn).await?;
    audit::Entity::update_many()
        .col_expr(audit::Column::Actor, Expr::value(uuid::Uuid::now_v7().to_string()))
        .filter(audit::Column::Id.eq(1))
        .exec(db)
        .await?;
    match touch(txn, "x").await {
        Ok(()) => Err(DbErr::Custom("the row had changed since the snapshot".into())),
        Err(error) => Ok(error),
    }
}

/// Whether that ends the statement or the whole transaction is a setting of the server that no session can see in time.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_handler_that_goes_on_after_a_lock_wait_timeout_writes_nothing() {
    outbox_tests::TestDb::run(outbox_tests::Kind::Mariadb, async |test| {
        effect(&test.db, "x").await?;
        let other = Tx::from(test.db.begin().await?);
        touch(&other, "x").await?;
        let inbox = Inbox::new(test.db.clone(), "inventory")?;
        let outcome = inbox
            .process(MessageKey::new("/orders", "1"), async |txn| {
                txn.execute_unprepared("SET SESSION innodb_lock_wait_timeout = 1").await?;
                effect(&txn, "before").await?;
                assert!(touch(&txn, "x").await.is_err(), "the other holds it");
                assert!(effect(&txn, "after").await.is_err(), "there may be no transaction any more");
                Ok::<_, DbErr>(())
            })
            .await;
        assert!(matches!(outcome, Err(InboxError::TransactionAborted)), "found {outcome:?}");
        drop(other);
        assert_eq!(audit::Entity::find().count(&test.db).await?, 1);
        assert_eq!(inbox_message::Entity::find().count(&test.db).await?, 0);
        Ok(())
    })
    .await;
}

/// Nobody read whether it ended the transaction.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_statement_that_was_not_waited_for_ends_a_transaction_of_mariadb() {
    outbox_tests::TestDb::run(outbox_tests::Kind::Mariadb, async |test| {
        let txn = Tx::from(test.db.begin().await?);
        effect(&txn, "before").await?;
        let given_up =
            tokio::time::timeout(Duration::from_millis(50), txn.execute_unprepared("SELECT SLEEP(1)"));
        assert!(given_up.await.is_err(), "it takes a second");
        assert!(effect(&txn, "after").await.is_err(), "there may be no transaction any more");
        assert!(txn.commit().await.is_err(), "nothing of it is stored");
        assert_eq!(audit::Entity::find().count(&test.db).await?, 0);
        Ok(())
    })
    .await;
}

/// Locks a row by writing to it.
async fn touch(txn: &Tx, what: &str) -> Result<(), DbErr> {
    audit::Entity::update_many()
        .col_expr(audit::Column::Actor, Expr::value("touched"))
        .filter(audit::Column::Id.eq(if what == "x" { 1 } else { 2 }))
        .exec(txn)
        .await?;
    Ok(())
}
