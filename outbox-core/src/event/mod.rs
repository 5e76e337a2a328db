//! Domain events: what a user annotates, and what capture writes.
//!
//! An event type is a contract with every consumer, so its name, version and topic are constants
//! written by hand, never derived from a Rust path: a rename in the code must not change the wire.

mod envelope;
mod error;
mod into_events;
mod misfit;
mod new_event;
mod payload;
mod upcast;

use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::{Serialize, de::DeserializeOwned};

pub use envelope::Envelope;
pub use error::{DecodeError, EventError};
pub use into_events::IntoEvents;
pub use misfit::PayloadMisfit;
pub use new_event::NewEvent;
pub use payload::PayloadShape;
pub use upcast::Upcast;

/// Longest accepted `event_type`, `topic` and aggregate type, in bytes.
pub const MAX_NAME_LEN: usize = 255;

/// Longest accepted aggregate id, in bytes.
pub const MAX_AGGREGATE_ID_LEN: usize = 255;

/// The constants of one event type: what never changes from one event to the next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EventKind {
    /// Stable name on the wire, for example `order.placed`.
    pub event_type: &'static str,
    /// Version of the payload's schema, from 1.
    pub version: u32,
    /// Where the event goes: publishers route by topic.
    pub topic: &'static str,
    /// The kind of thing the event belongs to, for example `order`.
    pub aggregate_type: Option<&'static str>,
    /// How serde tags it, for a variant of an enum that has a tag.
    pub variant: Option<EventVariant>,
}

/// How serde names a variant: what is taken off the payload at capture and put back in a consumer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EventVariant {
    /// Its name as serde writes it.
    pub serialized: &'static str,
    /// Its name as serde reads it.
    pub deserialized: &'static str,
    /// Whether it has no fields.
    pub unit: bool,
}

/// A domain event. Implemented by `#[derive(OutboxEvent)]`.
///
/// The two constants and [`kind`](Self::kind) describe the type; the payload goes through serde.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not an outbox event",
    label = "not an outbox event",
    note = "annotate it: `#[derive(serde::Serialize, OutboxEvent)]` with `#[outbox(event_type = \"order.placed\", topic = \"orders\")]`"
)]
pub trait OutboxEvent: Sized + Send + Sync + 'static {
    /// Every kind of event that a value of this type can be: one for a struct, one a variant for an enum.
    const KINDS: &'static [EventKind];

    /// How serde writes this type, so that the payload of an enum variant can be its bare content.
    const SHAPE: PayloadShape = PayloadShape::Plain;

    /// The older types that become this one: [`decode`](Self::decode) takes their versions too.
    const UPCASTS: &'static [Upcast<Self>] = &[];

    /// The kind of this value.
    fn kind(&self) -> &'static EventKind;

    /// The id of the aggregate that this event belongs to. Events of one aggregate keep their order;
    /// `None` promises no order.
    fn aggregate_id(&self) -> Option<String> {
        None
    }

    /// The payload as JSON text: for a variant of an enum its content, without serde's tag.
    ///
    /// # Errors
    /// What serde says of a value that JSON cannot hold (a map with keys that are not strings, ...).
    fn payload(&self) -> Result<String, EventError>
    where
        Self: Serialize,
    {
        payload::encode(self)
    }

    /// The event of the given type and version from its payload. An older version is read as its own type and made into
    /// this one, step by step, by the `From` of each [upcast](Self::UPCASTS).
    ///
    /// # Errors
    /// [`DecodeError::UnknownKind`] where no entry of [`KINDS`](Self::KINDS) or of [`UPCASTS`](Self::UPCASTS) has that type
    /// and version, [`DecodeError::Payload`] where the payload is not one of the type of that version,
    /// [`DecodeError::OtherKind`] where an untagged enum takes it for another of its variants, and
    /// [`DecodeError::UpcastToOther`] where `From` makes another variant of it.
    fn decode(event_type: &str, version: u32, payload: &str) -> Result<Self, DecodeError>
    where
        Self: DeserializeOwned,
    {
        upcast::decode(event_type, version, payload)
            .unwrap_or_else(|| payload::decode(event_type, version, payload))
    }

    /// This event, not to be published before `delay` has passed.
    fn deliver_after(self, delay: Duration) -> Envelope<Self> {
        Envelope::of(self).deliver_after(delay)
    }

    /// This event, not to be published before `time`.
    fn deliver_at(self, time: DateTime<Utc>) -> Envelope<Self> {
        Envelope::of(self).deliver_at(time)
    }

    /// This event with a header of its own; see [`Envelope::with_header`].
    fn with_header(self, name: impl Into<String>, value: impl Into<String>) -> Envelope<Self> {
        Envelope::of(self).with_header(name, value)
    }
}

/// What generated code calls.
#[doc(hidden)]
pub mod __private {
    use std::fmt::Display;

    pub use serde::de::DeserializeOwned;

    pub fn aggregate_id<T: Display + ?Sized>(id: &T) -> Option<String> {
        Some(id.to_string())
    }
}
