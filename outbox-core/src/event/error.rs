//! What can be wrong with an event, at capture and in a consumer.

use crate::message::HeaderError;

use super::{MAX_AGGREGATE_ID_LEN, MAX_NAME_LEN, PayloadMisfit};

/// An event that cannot be stored. Nothing of its save is written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EventError {
    /// serde cannot write it as JSON.
    #[error("the payload of {event_type} cannot be written as JSON")]
    Payload {
        /// The event's name.
        event_type: &'static str,
        /// What serde says.
        #[source]
        source: serde_json::Error,
    },
    /// A name or the version of a kind that was not written by the derive, which checks them.
    #[error("expected an event type and a topic of 1 to {MAX_NAME_LEN} bytes and a version from 1 to {max}, found {found}", max = i32::MAX)]
    Kind {
        /// What was found.
        found: String,
    },
    /// The aggregate id is empty: every such event would be ordered behind every other.
    #[error("the aggregate id of {event_type} is empty; an event without an aggregate returns `None`")]
    EmptyAggregateId {
        /// The event's name.
        event_type: &'static str,
    },
    /// The aggregate id does not fit its column.
    #[error(
        "the aggregate id of {event_type} is too long: expected at most {MAX_AGGREGATE_ID_LEN} bytes, found {found}"
    )]
    AggregateIdTooLong {
        /// The event's name.
        event_type: &'static str,
        /// Its length in bytes.
        found: usize,
    },
    /// The aggregate id holds a NUL, which PostgreSQL cannot store.
    #[error("the aggregate id of {event_type} holds a NUL character")]
    AggregateIdWithNul {
        /// The event's name.
        event_type: &'static str,
    },
    /// A header of the envelope cannot travel.
    #[error("a header of {event_type} cannot travel")]
    Header {
        /// The event's name.
        event_type: &'static str,
        /// Which one, and why.
        #[source]
        source: HeaderError,
    },
}

/// A payload that could not be read as the expected event.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DecodeError {
    /// The type has no event of that name and version.
    #[error("expected {expected}, found {event_type} version {version}")]
    UnknownKind {
        /// The name that was found.
        event_type: String,
        /// The version that was found.
        version: u32,
        /// The names and versions that the type has.
        expected: String,
    },
    /// The name is known, the payload does not fit the type of that version. An older version is read as its own type,
    /// so this is the version that came, whatever it would have become.
    #[error("the payload of {event_type} version {version} does not fit the type")]
    Payload {
        /// The event's name.
        event_type: String,
        /// The event's version.
        version: u32,
        /// What serde expected, and where.
        #[source]
        source: PayloadMisfit,
    },
    /// serde took the payload for another kind: an untagged enum takes the first variant that fits.
    #[error(
        "the payload of {event_type} version {version} was read as {found}; \
         give the enum a tag, or put the variant with more required fields first"
    )]
    OtherKind {
        /// The event's name.
        event_type: String,
        /// The event's version.
        version: u32,
        /// The kind that it was read as.
        found: &'static str,
    },
    /// The `From` of an upcast made another variant than the one with `upcast_from`.
    #[error(
        "expected {event_type} version {version} to be upcast to version {expected}, found {found}; \
         `From` makes the variant that has the `upcast_from`"
    )]
    UpcastToOther {
        /// The event's name.
        event_type: String,
        /// The version that it came in.
        version: u32,
        /// The version that it should have become.
        expected: u32,
        /// The kind that it became.
        found: String,
    },
}
