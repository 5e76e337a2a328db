//! The migrations, up and down, with data in the tables.

use outbox_seaorm::tables::{
    archive, audit, event, hold, inbox_command, inbox_message, meta, receipt, subscription,
};
use outbox_tests::on_each_database;
use sea_orm::{ActiveModelTrait as _, DatabaseConnection, EntityTrait as _, PaginatorTrait as _, Set};
use sea_orm_migration::prelude::*;

struct Migrator;

#[async_trait::async_trait]
impl MigratorTrait for Migrator {
    fn migrations() -> Vec<Box<dyn MigrationTrait>> {
        outbox_seaorm::migrations()
    }
}

fn row() -> event::ActiveModel {
    event::ActiveModel {
        id: Set(uuid::Uuid::now_v7()),
        event_type: Set("order.placed".into()),
        event_version: Set(1),
        topic: Set("orders".into()),
        payload: Set("{}".into()),
        occurred_at: Set(chrono::Utc::now()),
        ..Default::default()
    }
}

async fn fill_every_table(db: &DatabaseConnection) -> anyhow::Result<()> {
    let now = chrono::Utc::now();
    let stored = row().insert(db).await?;
    let archived = archive::ActiveModel {
        seq: Set(stored.seq),
        id: Set(stored.id),
        event_type: Set(stored.event_type),
        event_version: Set(stored.event_version),
        topic: Set(stored.topic),
        payload: Set(stored.payload),
        occurred_at: Set(stored.occurred_at),
        created_at: Set(stored.created_at),
        ..Default::default()
    };
    archive::Entity::insert(archived).exec_without_returning(db).await?;
    let led = subscription::ActiveModel {
        name: Set("sqs".into()),
        position: Set(stored.seq),
        anchor: Set(Some(stored.id)),
        holes: Set(String::new()),
        state: Set("running".into()),
        ..Default::default()
    };
    subscription::Entity::insert(led).exec_without_returning(db).await?;
    let held = hold::ActiveModel {
        subscription: Set("sqs".into()),
        seq: Set(stored.seq),
        state: Set("scheduled".into()),
        due_at: Set(Some(now)),
        ..Default::default()
    };
    hold::Entity::insert(held).exec_without_returning(db).await?;
    let sent =
        receipt::ActiveModel { subscription: Set("sqs".into()), seq: Set(stored.seq), ..Default::default() };
    receipt::Entity::insert(sent).exec_without_returning(db).await?;
    let told = audit::ActiveModel {
        actor: Set("operator".into()),
        action: Set("pause".into()),
        target: Set("sqs".into()),
        ..Default::default()
    };
    audit::Entity::insert(told).exec_without_returning(db).await?;
    let processed = inbox_message::ActiveModel {
        consumer: Set("stock".into()),
        source: Set("/orders".into()),
        message_id: Set(stored.id.to_string()),
        ..Default::default()
    };
    inbox_message::Entity::insert(processed).exec_without_returning(db).await?;
    let run = inbox_command::ActiveModel {
        consumer: Set("shop".into()),
        command_key: Set("k".into()),
        request_hash: Set(vec![7; 32]),
        ..Default::default()
    };
    inbox_command::Entity::insert(run).exec_without_returning(db).await?;
    Ok(())
}

on_each_database!(tables_made_twice_keep_their_rows, async |test| {
    row().insert(&test.db).await?;
    outbox_seaorm::create_tables(&test.db).await?;
    let rows = event::Entity::find().all(&test.db).await?;
    assert_eq!(rows.len(), 1);
    assert_eq!(rows[0].seq, 1);
    let age = chrono::Utc::now() - rows[0].created_at;
    assert!(age.num_seconds().abs() < 60, "created_at is the database's clock in UTC, found {age} ago");
    assert_eq!(meta::Entity::find().count(&test.db).await?, 1);
    Ok(())
});

on_each_database!(down_removes_every_table_with_data_in_it, async |test| {
    let empty = outbox_tests::TestDb::create_empty(test.kind).await?;
    Migrator::up(&empty.db, None).await?;
    fill_every_table(&empty.db).await?;
    Migrator::down(&empty.db, None).await?;
    assert!(event::Entity::find().all(&empty.db).await.is_err(), "the log is gone");
    Migrator::up(&empty.db, None).await?;
    assert_eq!(event::Entity::find().count(&empty.db).await?, 0);
    empty.drop_database().await?;
    Ok(())
});
