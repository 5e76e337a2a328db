//! A message as a consumer gets it from a source, decoded from the wire.

use chrono::{DateTime, Utc};

use super::Headers;

/// What a consumer knows of a message, whatever broker and wire format it came by.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct ReceivedMessage {
    /// The message id. Together with `source` it says which messages are the same one.
    pub id: String,
    /// The service that published it.
    pub source: String,
    /// Stable name of the event type.
    pub event_type: String,
    /// Version of the payload's schema, 1 where the wire does not say.
    pub event_version: u32,
    /// The kind of thing it belongs to.
    pub aggregate_type: Option<String>,
    /// The id of the thing it belongs to.
    pub aggregate_id: Option<String>,
    /// Its number in the publisher's log, where the wire says.
    pub sequence: Option<i64>,
    /// When it happened.
    pub occurred_at: Option<DateTime<Utc>>,
    /// JSON text.
    pub payload: String,
    /// Context and user headers.
    pub headers: Headers,
    /// The replay it belongs to, part of the de-duplication key.
    pub replay: Option<String>,
}

impl ReceivedMessage {
    /// A message of which only this much is known: version 1 of its type, and all else empty.
    pub fn new(
        source: impl Into<String>,
        id: impl Into<String>,
        event_type: impl Into<String>,
        payload: impl Into<String>,
    ) -> Self {
        Self {
            id: id.into(),
            source: source.into(),
            event_type: event_type.into(),
            event_version: 1,
            aggregate_type: None,
            aggregate_id: None,
            sequence: None,
            occurred_at: None,
            payload: payload.into(),
            headers: Headers::new(),
            replay: None,
        }
    }
}
