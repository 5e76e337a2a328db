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
    /// Both may hold what no capture writes; a driver's refusal is kept, so that one row stops no other.
    event_version: Result<i32, String>,
    aggregate_type: Option<String>,
    aggregate_id: Option<String>,
    /// `None` where the topic is not wanted.
    payload: Option<String>,
    headers: Result<Option<String>, String>,
    /// On SQLite, which keeps anything in any column, moments too.
    scheduled_for: Result<Option<DateTime<Utc>>, String>,
    occurred_at: Result<DateTime<Utc>, String>,
    created_at: Result<DateTime<Utc>, String>,
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
    pub(super) fn into_row(self, source: &Arc<str>) -> Row {
        let (seq, id) = (self.seq, self.id);
        let kind = if self.topic.is_empty() {
            RowKind::Tombstone
        } else if self.payload.is_none() {
            RowKind::OtherTopic { topic: self.topic }
        } else {
            let scheduled_for = self.scheduled_for.clone().unwrap_or_else(|error| {
                tracing::error!(seq, %id, %error, "an event of the log has no readable time to wait for; published now");
                None
            });
            RowKind::Event { message: Box::new(self.into_message(source)), scheduled_for }
        };
        Row { seq, id, kind }
    }

    /// As a publisher gets it. A version, headers or moments that cannot be read were written by hand: the event goes
    /// out without them, since an error here would stop every event behind it. For a moment the other one stands in.
    pub(super) fn into_message(self, source: &Arc<str>) -> Message {
        let (seq, id) = (self.seq, self.id);
        let event_version = readable_version(self.event_version).unwrap_or_else(|error| {
            tracing::error!(seq, %id, %error, "an event of the log has no readable version; published as version 1");
            1
        });
        let headers = readable_headers(self.headers).unwrap_or_else(|error| {
            tracing::error!(seq, %id, %error, "an event of the log has no readable headers; published without any");
            Headers::new()
        });
        let (occurred_at, created_at) = match (self.occurred_at, self.created_at) {
            (Ok(occurred_at), Ok(created_at)) => (occurred_at, created_at),
            (Err(error), Ok(known)) | (Ok(known), Err(error)) => {
                tracing::error!(seq, %id, %error, "an event of the log has a moment that cannot be read; its other one stands in");
                (known, known)
            }
            (Err(error), Err(_)) => {
                tracing::error!(seq, %id, %error, "an event of the log has no moment that can be read; published as of 1970");
                (DateTime::UNIX_EPOCH, DateTime::UNIX_EPOCH)
            }
        };
        let payload = self.payload.unwrap_or_default();
        let mut message = Message::new(id, source.clone(), self.topic, self.event_type, payload);
        message.seq = seq;
        message.event_version = event_version;
        message.aggregate_type = self.aggregate_type;
        message.aggregate_id = self.aggregate_id;
        message.headers = headers;
        message.occurred_at = occurred_at;
        message.created_at = created_at;
        message
    }
}

/// The bytes of an event's payload and headers.
pub(super) fn text_bytes(row: &QueryResult) -> usize {
    #[cfg(feature = "sqlx-postgres")]
    if let Some(row) = row.try_as_pg_row() {
        return bytes(row);
    }
    #[cfg(feature = "sqlx-mysql")]
    if let Some(row) = row.try_as_mysql_row() {
        return bytes(row);
    }
    #[cfg(feature = "sqlx-sqlite")]
    if let Some(row) = row.try_as_sqlite_row() {
        return bytes(row);
    }
    let _ = row;
    0
}

#[cfg(any(feature = "sqlx-postgres", feature = "sqlx-mysql", feature = "sqlx-sqlite"))]
fn bytes<'r, R>(row: &'r R) -> usize
where
    R: sqlx::Row,
    usize: sqlx::ColumnIndex<R>,
    &'r str: sqlx::Decode<'r, R::Database> + sqlx::Type<R::Database>,
{
    // What cannot be read as a text is told of where the row is taken apart.
    let text = |index: usize| row.try_get::<Option<&str>, _>(index).ok().flatten().map_or(0, str::len);
    text(7) + text(8)
}

/// Versions begin with 1, on the wire too.
fn readable_version(stored: Result<i32, String>) -> Result<u32, String> {
    let stored = stored?;
    match u32::try_from(stored) {
        Ok(version) if version >= 1 => Ok(version),
        _ => Err(format!("expected a version of at least 1, found {stored}")),
    }
}

/// The place of an error is told and not what stands there: headers may hold what is nobody's business.
fn readable_headers(stored: Result<Option<String>, String>) -> Result<Headers, String> {
    match stored? {
        None => Ok(Headers::new()),
        Some(text) => serde_json::from_str(&text).map_err(|error| {
            let (line, column) = (error.line(), error.column());
            format!("expected a JSON object of texts, found something else at line {line} column {column}")
        }),
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
        // Unchecked: text that was stored as bytes is text, and only SQLite can hold such.
        topic: row.try_get_unchecked(2)?,
        event_type: row.try_get_unchecked(3)?,
        event_version: row.try_get(4).map_err(unreadable),
        aggregate_type: row.try_get_unchecked(5)?,
        aggregate_id: row.try_get_unchecked(6)?,
        payload: row.try_get_unchecked(7)?,
        headers: row.try_get(8).map_err(unreadable),
        scheduled_for: row.try_get(9).map_err(unreadable),
        occurred_at: row.try_get(10).map_err(unreadable),
        created_at: row.try_get(11).map_err(unreadable),
    })
}

#[cfg(any(feature = "sqlx-postgres", feature = "sqlx-mysql", feature = "sqlx-sqlite"))]
#[allow(clippy::needless_pass_by_value, reason = "it is what `map_err` hands over")]
fn unreadable(error: sqlx::Error) -> String {
    error.to_string()
}
