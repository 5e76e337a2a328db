//! Writing events into the log.

use outbox_core::event::NewEvent;
use sea_orm::{
    ConnectionTrait, DbBackend, DbErr, EntityName as _, EntityTrait as _, NotSet, RuntimeErr, Set, SqlErr,
};

use super::CaptureError;
use crate::tables::event;

/// Rows in one statement: far below every database's limit of parameters, and past the point where more pays.
const ROWS_PER_STATEMENT: usize = 500;

/// Writes the events, in order.
///
/// Entity statements only: a restricted connection refuses raw SQL.
pub(crate) async fn insert<C: ConnectionTrait>(db: &C, events: Vec<NewEvent>) -> Result<(), DbErr> {
    let rows: Vec<_> = events.into_iter().map(row).collect();
    for chunk in rows.chunks(ROWS_PER_STATEMENT) {
        insert_rows(db, chunk).await?;
    }
    Ok(())
}

async fn insert_rows<C: ConnectionTrait>(db: &C, rows: &[event::ActiveModel]) -> Result<(), DbErr> {
    let attempt = || event::Entity::insert_many(rows.iter().cloned()).exec_without_returning(db);
    match attempt().await {
        // Only `seq` is unique. MySQL had given this statement a number that a tombstone has filled
        // meanwhile; it rolled back the statement alone, and a second one draws fresh numbers.
        Err(error) if is_duplicate_on_mysql(db, &error) => attempt().await.map(drop),
        // SeaORM's own error for a statement that no database has seen: a mock has run out of answers.
        Err(error @ DbErr::Exec(RuntimeErr::Internal(_))) => {
            Err(CaptureError::Mock { table: event::Entity.table_name(), source: error }.into())
        }
        outcome => outcome.map(drop),
    }
}

fn is_duplicate_on_mysql<C: ConnectionTrait>(db: &C, error: &DbErr) -> bool {
    db.get_database_backend() == DbBackend::MySql
        && matches!(error.sql_err(), Some(SqlErr::UniqueConstraintViolation(_)))
}

fn row(event: NewEvent) -> event::ActiveModel {
    let headers = (!event.headers.is_empty())
        .then(|| serde_json::to_string(&event.headers).expect("a map of strings is JSON"));
    event::ActiveModel {
        seq: NotSet,
        id: Set(event.id),
        event_type: Set(event.event_type),
        event_version: Set(event.event_version.cast_signed()),
        topic: Set(event.topic),
        aggregate_type: Set(event.aggregate_type),
        aggregate_id: Set(event.aggregate_id),
        payload: Set(event.payload),
        headers: Set(headers),
        deliver_at: Set(event.deliver_at),
        occurred_at: Set(event.occurred_at),
        // The database's own clock, by the column's default.
        created_at: NotSet,
    }
}
