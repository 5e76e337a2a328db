//! What operators are told of an event.

use std::{fmt, str::FromStr};

use outbox_core::message::{Headers, Seq};
use sea_orm::{
    EntityTrait, FromQueryResult, QueryFilter as _, QuerySelect as _, Select, prelude::DateTimeUtc,
};
use serde::Serialize;
use uuid::Uuid;

use super::Standing;
use crate::tables::event::Column;

/// Names an event: by its number in the log, or by its message id.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EventRef {
    /// Its number: found at once.
    Seq(Seq),
    /// Its id. The log has no index for it: see [`Outbox::event`](super::Outbox::event) for what that costs.
    Id(Uuid),
}

impl From<Seq> for EventRef {
    fn from(seq: Seq) -> Self {
        Self::Seq(seq)
    }
}

impl From<Uuid> for EventRef {
    fn from(id: Uuid) -> Self {
        Self::Id(id)
    }
}

impl fmt::Display for EventRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Seq(seq) => seq.fmt(f),
            Self::Id(id) => id.fmt(f),
        }
    }
}

/// A text that names no event.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("expected an event's number or its id (a UUID), found {found:?}")]
pub struct EventRefError {
    found: String,
}

impl FromStr for EventRef {
    type Err = EventRefError;

    fn from_str(text: &str) -> Result<Self, EventRefError> {
        // 32 digits are an id without hyphens: too long for a number.
        let seq = text.parse().ok().filter(|seq| *seq > 0).map(Self::Seq);
        seq.or_else(|| Uuid::parse_str(text).ok().map(Self::Id))
            .ok_or_else(|| EventRefError { found: text.chars().take(80).collect() })
    }
}

/// An event of the log without its payload and its headers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, FromQueryResult)]
#[non_exhaustive]
pub struct EventInfo {
    /// Its number in the log.
    pub seq: Seq,
    /// Its message id.
    pub id: Uuid,
    /// Stable name of the event type.
    pub event_type: String,
    /// Version of the payload's schema.
    pub event_version: i32,
    /// Where it goes.
    pub topic: String,
    /// The kind of thing it belongs to.
    pub aggregate_type: Option<String>,
    /// The id of the thing it belongs to.
    pub aggregate_id: Option<String>,
    /// Not to be published before this time.
    pub deliver_at: Option<DateTimeUtc>,
    /// When it happened, by the application's clock.
    pub occurred_at: DateTimeUtc,
    /// When it was stored, by the database's clock.
    pub created_at: DateTimeUtc,
}

impl EventInfo {
    /// The columns, without those that may be large.
    pub(super) const COLUMNS: [Column; 10] = [
        Column::Seq,
        Column::Id,
        Column::EventType,
        Column::EventVersion,
        Column::Topic,
        Column::AggregateType,
        Column::AggregateId,
        Column::DeliverAt,
        Column::OccurredAt,
        Column::CreatedAt,
    ];

    /// The events of the log, tombstones left out.
    pub(super) fn select() -> Select<crate::tables::event::Entity> {
        use sea_orm::ColumnTrait as _;
        crate::tables::event::Entity::find().select_only().columns(Self::COLUMNS).filter(Column::Topic.ne(""))
    }
}

/// An event of the log, and how it stands with each subscription that takes its topic.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct EventStanding {
    /// The event.
    #[serde(flatten)]
    pub event: EventInfo,
    /// In the order of the subscriptions' names. Empty where none takes its topic.
    pub subscriptions: Vec<Standing>,
}

/// All that is stored of one event.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct EventDetails {
    /// The event, and how it stands.
    #[serde(flatten)]
    pub standing: EventStanding,
    /// Context and user headers; none where a row that no capture wrote has some that cannot be read.
    pub headers: Headers,
    /// JSON text as serialised.
    pub payload: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_and_an_id_are_told_apart() {
        let id: Uuid = "0198f6c0-0000-7000-8000-000000000001".parse().expect("an id");
        assert_eq!("17".parse(), Ok(EventRef::Seq(17)));
        assert_eq!(id.to_string().parse(), Ok(EventRef::Id(id)));
        assert_eq!(
            "01980000000070008000000000000001".parse(),
            Ok(EventRef::Id("01980000-0000-7000-8000-000000000001".parse().expect("an id")))
        );
        for text in ["", "-3", "0", "seventeen"] {
            let error = text.parse::<EventRef>().expect_err("it names none");
            assert_eq!(
                error.to_string(),
                format!("expected an event's number or its id (a UUID), found {text:?}")
            );
        }
    }
}
