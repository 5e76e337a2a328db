//! The migrations, up and down, with data in the tables.

use outbox_seaorm::tables::{event, meta};
use outbox_tests::on_each_database;
use sea_orm::{ActiveModelTrait as _, EntityTrait as _, PaginatorTrait as _, Set};
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
    row().insert(&empty.db).await?;
    Migrator::down(&empty.db, None).await?;
    assert!(event::Entity::find().all(&empty.db).await.is_err(), "the log is gone");
    Migrator::up(&empty.db, None).await?;
    assert_eq!(event::Entity::find().count(&empty.db).await?, 0);
    empty.drop_database().await?;
    Ok(())
});
