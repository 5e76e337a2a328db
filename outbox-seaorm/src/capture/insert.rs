//! Writing events into the log.

use chrono::{DateTime, Utc};
use outbox_core::event::NewEvent;
use sea_orm::{
    ConnectionTrait, DbBackend, DbErr, EntityName as _, RuntimeErr, SqlErr, Value,
    sea_query::{Expr, InsertStatement},
};

use super::CaptureError;
use crate::tables::event::{Column, Entity};

/// Rows in one statement: far below every database's limit of parameters, and past the point where more pays.
const ROWS_PER_STATEMENT: usize = 500;

/// What an event brings along; its number, and when it was stored, come from the database.
const COLUMNS: [Column; 10] = [
    Column::Id,
    Column::EventType,
    Column::EventVersion,
    Column::Topic,
    Column::AggregateType,
    Column::AggregateId,
    Column::Payload,
    Column::Headers,
    Column::DeliverAt,
    Column::OccurredAt,
];

/// Writes the events, in order.
///
/// Statements of sea-query only: a restricted connection refuses raw SQL.
pub(crate) async fn insert<C: ConnectionTrait>(db: &C, events: Vec<NewEvent>) -> Result<(), DbErr> {
    let backend = db.get_database_backend();
    let mut rows = events.into_iter().map(|event| row(event, backend)).peekable();
    while rows.peek().is_some() {
        let mut statement = InsertStatement::new();
        statement.into_table(Entity).columns(COLUMNS);
        for row in rows.by_ref().take(ROWS_PER_STATEMENT) {
            statement.values_panic(row);
        }
        execute(db, &statement).await?;
    }
    Ok(())
}

async fn execute<C: ConnectionTrait>(db: &C, statement: &InsertStatement) -> Result<(), DbErr> {
    match db.execute(statement).await {
        // Only `seq` is unique. MySQL had given this statement a number that a tombstone has filled
        // meanwhile; it rolled back the statement alone, and a second one draws fresh numbers.
        Err(error) if is_duplicate_on_mysql(db, &error) => db.execute(statement).await.map(drop),
        // SeaORM's own error for a statement that no database has seen: a mock has run out of answers.
        Err(error @ DbErr::Exec(RuntimeErr::Internal(_))) => {
            Err(CaptureError::Mock { table: Entity.table_name(), source: error }.into())
        }
        outcome => outcome.map(drop),
    }
}

fn is_duplicate_on_mysql<C: ConnectionTrait>(db: &C, error: &DbErr) -> bool {
    db.get_database_backend() == DbBackend::MySql
        && matches!(error.sql_err(), Some(SqlErr::UniqueConstraintViolation(_)))
}

/// The values of [`COLUMNS`].
fn row(event: NewEvent, backend: DbBackend) -> [Expr; COLUMNS.len()] {
    let headers = (!event.headers.is_empty())
        .then(|| serde_json::to_string(&event.headers).expect("a map of strings is JSON"));
    [
        Expr::value(event.id),
        Expr::value(event.event_type),
        Expr::value(event.event_version.cast_signed()),
        Expr::value(event.topic),
        Expr::value(event.aggregate_type),
        Expr::value(event.aggregate_id),
        Expr::value(event.payload),
        Expr::value(headers),
        Expr::value(moment(event.deliver_at, backend)),
        Expr::value(moment(Some(event.occurred_at), backend)),
    ]
}

/// On MySQL and MariaDB without its time zone, as the column is: with it, sqlx sends a TIMESTAMP, and MariaDB makes a NULL
/// of one behind 2038, where that type ends.
fn moment(moment: Option<DateTime<Utc>>, backend: DbBackend) -> Value {
    if backend == DbBackend::MySql { moment.map(|moment| moment.naive_utc()).into() } else { moment.into() }
}
