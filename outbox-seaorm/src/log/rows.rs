//! Rows of the log as they come in: columns by index, each text moved once from the driver's buffer.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use outbox_core::{
    log::{LogError, Row, RowKind},
    message::{Headers, Message, Seq},
};
use sea_orm::QueryResult;
use uuid::Uuid;

/// The columns of an event as every statement that reads events selects them.
pub(super) struct EventRow {
    pub(super) seq: Seq,
    pub(super) id: Uuid,
    topic: String,
    event_type: String,
    event_version: i32,
    aggregate_type: Option<String>,
    aggregate_id: Option<String>,
    /// `None` where the topic is not wanted.
    payload: Option<String>,
    headers: Option<String>,
    scheduled_for: Option<DateTime<Utc>>,
    occurred_at: DateTime<Utc>,
    created_at: DateTime<Utc>,
}

impl EventRow {
    /// Takes a row apart with its own driver: SeaORM's way of reading a NULL makes an error message first.
    pub(super) fn of(row: &QueryResult) -> Result<Self, LogError> {
        #[cfg(feature = "sqlx-postgres")]
        if let Some(row) = row.try_as_pg_row() {
            return decode(row).map_err(LogError::database);
        }
        #[cfg(feature = "sqlx-mysql")]
        if let Some(row) = row.try_as_mysql_row() {
            return decode(row).map_err(LogError::database);
        }
        #[cfg(feature = "sqlx-sqlite")]
        if let Some(row) = row.try_as_sqlite_row() {
            return decode(row).map_err(LogError::database);
        }
        let _ = row;
        Err(LogError::database("a row of an unknown driver"))
    }

    /// As a page has it.
    pub(super) fn into_row(self, source: &Arc<str>) -> Result<Row, LogError> {
        let (seq, id) = (self.seq, self.id);
        let kind = if self.topic.is_empty() {
            RowKind::Tombstone
        } else if self.payload.is_none() {
            RowKind::OtherTopic { topic: self.topic }
        } else {
            let scheduled_for = self.scheduled_for;
            RowKind::Event { message: Box::new(self.into_message(source)?), scheduled_for }
        };
        Ok(Row { seq, id, kind })
    }

    /// As a publisher gets it.
    pub(super) fn into_message(self, source: &Arc<str>) -> Result<Message, LogError> {
        let headers = match self.headers.as_deref() {
            None => Headers::new(),
            Some(text) => serde_json::from_str(text).map_err(LogError::database)?,
        };
        let payload = self.payload.unwrap_or_default();
        let mut message = Message::new(self.id, source.clone(), self.topic, self.event_type, payload);
        message.seq = self.seq;
        message.event_version = u32::try_from(self.event_version).map_err(LogError::database)?;
        message.aggregate_type = self.aggregate_type;
        message.aggregate_id = self.aggregate_id;
        message.headers = headers;
        message.occurred_at = self.occurred_at;
        message.created_at = self.created_at;
        Ok(message)
    }
}

#[cfg(any(feature = "sqlx-postgres", feature = "sqlx-mysql", feature = "sqlx-sqlite"))]
fn decode<'r, R>(row: &'r R) -> Result<EventRow, sqlx::Error>
where
    R: sqlx::Row,
    usize: sqlx::ColumnIndex<R>,
    i32: sqlx::Decode<'r, R::Database> + sqlx::Type<R::Database>,
    i64: sqlx::Decode<'r, R::Database> + sqlx::Type<R::Database>,
    String: sqlx::Decode<'r, R::Database> + sqlx::Type<R::Database>,
    Uuid: sqlx::Decode<'r, R::Database> + sqlx::Type<R::Database>,
    DateTime<Utc>: sqlx::Decode<'r, R::Database> + sqlx::Type<R::Database>,
{
    Ok(EventRow {
        seq: row.try_get(0)?,
        id: row.try_get(1)?,
        topic: row.try_get(2)?,
        event_type: row.try_get(3)?,
        event_version: row.try_get(4)?,
        aggregate_type: row.try_get(5)?,
        aggregate_id: row.try_get(6)?,
        payload: row.try_get(7)?,
        headers: row.try_get(8)?,
        scheduled_for: row.try_get(9)?,
        occurred_at: row.try_get(10)?,
        created_at: row.try_get(11)?,
    })
}
