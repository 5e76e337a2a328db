//! A stored event on its way to a broker, and a received one on its way to a handler.

mod header_rules;
mod headers;
mod received;

use std::sync::Arc;

use chrono::{DateTime, Utc};
use uuid::Uuid;

pub use header_rules::{HeaderError, MAX_HEADER_NAME_LEN, check_header};
pub use headers::{Headers, names};
pub use received::ReceivedMessage;

/// The number of an event in the log, given by the database.
pub type Seq = i64;

/// One event of the log, as a publisher gets it.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Message {
    /// Its number in the log.
    pub seq: Seq,
    /// The message id: consumers de-duplicate on (source, id).
    pub id: Uuid,
    /// The service that published it, as given to the relay: a URI reference.
    pub source: Arc<str>,
    /// Stable name of the event type.
    pub event_type: String,
    /// Version of the payload's schema.
    pub event_version: u32,
    /// Where it goes: publishers route by topic.
    pub topic: String,
    /// The kind of thing it belongs to.
    pub aggregate_type: Option<String>,
    /// The id of the thing it belongs to. `None` promises no order.
    pub aggregate_id: Option<String>,
    /// JSON text as serialised at capture.
    pub payload: String,
    /// Context and user headers.
    pub headers: Headers,
    /// When it happened, by the application's clock.
    pub occurred_at: DateTime<Utc>,
    /// When it was stored, by the database's clock.
    pub created_at: DateTime<Utc>,
    /// Set on a replay that asks consumers to process it again: part of their de-duplication key.
    pub replay: Option<Uuid>,
}

impl Message {
    /// A message of which only this much is known: its seq is 0, both times are the Unix epoch, the
    /// event's version is 1 and all else is empty. Logs set the other fields from the row, tests of
    /// publishers those that they look at.
    pub fn new(
        id: Uuid,
        source: impl Into<Arc<str>>,
        topic: impl Into<String>,
        event_type: impl Into<String>,
        payload: impl Into<String>,
    ) -> Self {
        Self {
            seq: 0,
            id,
            source: source.into(),
            event_type: event_type.into(),
            event_version: 1,
            topic: topic.into(),
            aggregate_type: None,
            aggregate_id: None,
            payload: payload.into(),
            headers: Headers::new(),
            occurred_at: DateTime::UNIX_EPOCH,
            created_at: DateTime::UNIX_EPOCH,
            replay: None,
        }
    }

    /// The ordering key: aggregate type and id, where there is an id.
    #[must_use]
    pub fn aggregate(&self) -> Option<(&str, &str)> {
        let id = self.aggregate_id.as_deref()?;
        Some((self.aggregate_type.as_deref().unwrap_or_default(), id))
    }
}
