//! An event ready to be stored, with its Rust type erased.

use chrono::{DateTime, Utc};
use serde::Serialize;
use uuid::Uuid;

use super::{EventError, EventKind, MAX_AGGREGATE_ID_LEN, MAX_NAME_LEN, OutboxEvent};
use crate::{context::Context, message::Headers};

/// One row of the log before the database has numbered it.
#[derive(Debug, Clone, PartialEq)]
pub struct NewEvent {
    /// The message id (UUID version 7): consumers de-duplicate on (source, id).
    pub id: Uuid,
    /// Stable name of the event type.
    pub event_type: String,
    /// Version of the payload's schema.
    pub event_version: u32,
    /// Where the event goes.
    pub topic: String,
    /// The kind of thing the event belongs to.
    pub aggregate_type: Option<String>,
    /// The id of the thing the event belongs to. `None` promises no order.
    pub aggregate_id: Option<String>,
    /// JSON text, passed through untouched from here to the wire.
    pub payload: String,
    /// Context and user headers.
    pub headers: Headers,
    /// Not to be published before this time.
    pub deliver_at: Option<DateTime<Utc>>,
    /// When it happened, by the application's clock.
    pub occurred_at: DateTime<Utc>,
}

impl NewEvent {
    /// Erases an event: serialises its payload, draws its id, and takes the headers from the
    /// current [`Context`].
    ///
    /// # Errors
    /// Where serde cannot write the event as JSON, and where the aggregate id does not fit the log.
    pub fn of<E: OutboxEvent + Serialize>(event: &E) -> Result<Self, EventError> {
        let kind = event.kind();
        check_kind(kind)?;
        let aggregate_id = event.aggregate_id();
        check_aggregate_id(kind, aggregate_id.as_deref())?;
        Ok(Self {
            id: Uuid::now_v7(),
            event_type: kind.event_type.to_owned(),
            event_version: kind.version,
            topic: kind.topic.to_owned(),
            aggregate_type: kind.aggregate_type.map(str::to_owned),
            aggregate_id,
            payload: event.payload()?,
            headers: Context::headers_of_capture(),
            deliver_at: None,
            occurred_at: Utc::now(),
        })
    }
}

/// For an implementation written by hand: the derive has checked its own.
fn check_kind(kind: &EventKind) -> Result<(), EventError> {
    let fits = |name: &str| (1..=MAX_NAME_LEN).contains(&name.len());
    let EventKind { event_type, version, topic, aggregate_type, .. } = kind;
    if fits(event_type)
        && fits(topic)
        && aggregate_type.is_none_or(fits)
        && (1..=i32::MAX.unsigned_abs()).contains(version)
    {
        return Ok(());
    }
    Err(EventError::Kind { found: format!("{kind:?}") })
}

fn check_aggregate_id(kind: &EventKind, id: Option<&str>) -> Result<(), EventError> {
    let event_type = kind.event_type;
    match id {
        Some("") => Err(EventError::EmptyAggregateId { event_type }),
        Some(id) if id.len() > MAX_AGGREGATE_ID_LEN => {
            Err(EventError::AggregateIdTooLong { event_type, found: id.len() })
        }
        Some(id) if id.contains('\0') => Err(EventError::AggregateIdWithNul { event_type }),
        _ => Ok(()),
    }
}
