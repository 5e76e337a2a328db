//! The payload of an event: serde's JSON, without the tag of an enum.

use serde::{Serialize, de::DeserializeOwned};

use super::OutboxEvent;

/// How serde writes a type: decides what is taken off to get at an enum variant's bare content.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PayloadShape {
    /// A struct, or an enum with `#[serde(untagged)]`: the text is the payload.
    Plain,
    /// An enum as serde writes it by default: `{"Variant": content}`, or `"Variant"`.
    ExternallyTagged,
    /// `#[serde(tag = "t")]`: `{"t": "Variant", ...content}`.
    InternallyTagged {
        /// The tag's key.
        tag: &'static str,
    },
    /// `#[serde(tag = "t", content = "c")]`: `{"t": "Variant", "c": content}`.
    AdjacentlyTagged {
        /// The tag's key.
        tag: &'static str,
        /// The content's key.
        content: &'static str,
    },
}

/// An event that serde could not write as JSON.
#[derive(Debug, thiserror::Error)]
#[error("the payload of the event cannot be written as JSON")]
pub struct PayloadError(#[from] serde_json::Error);

/// A payload that could not be read as the expected event.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DecodeError {
    /// The type has no event of that name and version.
    #[error("expected one of {expected}, found {event_type} version {version}")]
    UnknownKind {
        /// The name that was found.
        event_type: String,
        /// The version that was found.
        version: u32,
        /// The names and versions that the type has.
        expected: String,
    },
    /// The name is known, the payload does not fit.
    #[error("the payload of {event_type} version {version} does not fit the type")]
    Payload {
        /// The event's name.
        event_type: String,
        /// The event's version.
        version: u32,
        /// What serde says.
        #[source]
        source: serde_json::Error,
    },
}

pub(super) fn encode<E: Serialize + ?Sized>(event: &E, shape: PayloadShape) -> Result<String, PayloadError> {
    let text = serde_json::to_string(event)?;
    match shape {
        PayloadShape::Plain => Ok(text),
        _ => Ok(text),
    }
}

pub(super) fn decode<E: OutboxEvent + DeserializeOwned>(
    event_type: &str,
    version: u32,
    payload: &str,
) -> Result<E, DecodeError> {
    serde_json::from_str(payload).map_err(|source| DecodeError::Payload {
        event_type: event_type.to_owned(),
        version,
        source,
    })
}
