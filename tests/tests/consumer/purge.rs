//! A running consumer keeps its inbox short.

use std::time::Duration;

use outbox_core::consumer::{Delivery, HandlerError, MessageKey, Processed};
use outbox_seaorm::{
    Tx,
    tables::{inbox_command, inbox_message},
};
use outbox_tests::{ScriptedSource, TestDb, database::until, on_each_database};
use sea_orm::{
    ColumnTrait as _, DbErr, EntityTrait as _, PaginatorTrait as _, QueryFilter as _, Set,
    prelude::DateTimeUtc,
};

use crate::world::{DEADLINE, OrderPlaced, consumer, effect, inbox, placed, sorted_effects};

/// Messages that were processed so many days ago, a microsecond or millisecond after each other: chunks end in between.
async fn age(test: &TestDb, consumer: &'static str, days: i64, count: i64) -> Result<(), DbErr> {
    let at = |number| days_ago(days) + chrono::Duration::milliseconds(number);
    let rows = (0..count).map(|number| inbox_message::ActiveModel {
        consumer: Set(consumer.into()),
        source: Set("/orders".into()),
        message_id: Set(format!("{days} days {number}")),
        replay: Set(String::new()),
        processed_at: Set(at(number)),
        result: Set(None),
    });
    inbox_message::Entity::insert_many(rows).exec_without_returning(&test.db).await?;
    Ok(())
}

fn days_ago(days: i64) -> DateTimeUtc {
    chrono::Utc::now() - chrono::Duration::days(days)
}

async fn left(test: &TestDb, consumer: &str) -> Result<u64, DbErr> {
    inbox_message::Entity::find().filter(inbox_message::Column::Consumer.eq(consumer)).count(&test.db).await
}

on_each_database!(a_consumer_forgets_what_is_past_the_window_beside_its_work, async |test| {
    age(&test, "inventory", 40, 2_500).await?;
    age(&test, "inventory", 27, 30).await?;
    age(&test, "mail", 40, 20).await?;
    let old_command = inbox_command::ActiveModel {
        consumer: Set("inventory".into()),
        command_key: Set("k".into()),
        request_hash: Set(vec![1]),
        result: Set(Some("1".into())),
        begun_at: Set(days_ago(40)),
        done_at: Set(None),
    };
    inbox_command::Entity::insert(old_command).exec_without_returning(&test.db).await?;
    let source = ScriptedSource::new();
    for number in 0..40 {
        source.put(&placed(&format!("o{number:02}")));
    }
    let reserve = async |event: Delivery<OrderPlaced>, txn: Tx| -> Result<(), HandlerError> {
        effect(&txn, &event.order_id).await?;
        Ok(())
    };
    // Taken for a second.
    let consumer = consumer(&test, &source).on(reserve).purge_interval(Duration::ZERO);
    let done = until("the old rows to be gone and the messages to be done", DEADLINE, async || {
        let is_purged = left(&test, "inventory").await.is_ok_and(|left| left == 30 + 40);
        let commands = inbox_command::Entity::find().count(&test.db).await;
        (is_purged && commands.is_ok_and(|left| left == 0) && source.left() == 0).then_some(())
    });
    let report = consumer.run_until(done).await?;
    assert_eq!((report.processed, report.failed), (40, 0));
    assert_eq!(sorted_effects(&test.db).await?.len(), 40);
    assert_eq!(left(&test, "mail").await?, 20, "another consumer's");
    Ok(())
});

on_each_database!(a_purge_beside_others_that_insert_removes_what_is_old_and_nothing_else, async |test| {
    age(&test, "inventory", 40, 4_000).await?;
    let inserting = (0..4).map(|task| {
        let inbox = inbox(&test);
        tokio::spawn(async move {
            for number in 0..50 {
                let id = format!("new {task} {number}");
                let key = MessageKey::new("/orders", &id);
                let outcome = inbox.process(key, async |txn| effect(&txn, key.id).await).await?;
                assert_eq!(outcome, Processed::Processed(()));
            }
            anyhow::Ok(())
        })
    });
    let inserting: Vec<_> = inserting.collect();
    // Two processes, as every consumer of a service purges.
    let (one, other) = (inbox(&test), inbox(&test));
    let purges = tokio::join!(one.purge(28 * DAY), other.purge(28 * DAY));
    for task in inserting {
        task.await??;
    }
    assert_eq!(purges.0? + purges.1?, 4_000);
    assert_eq!(left(&test, "inventory").await?, 200);
    assert_eq!(sorted_effects(&test.db).await?.len(), 200);
    Ok(())
});

const DAY: Duration = Duration::from_secs(24 * 60 * 60);
