//! How a message is written for a broker, and read again.

use std::collections::BTreeMap;

use crate::message::{Message, ReceivedMessage};

/// The wire format of a publisher.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum WireFormat {
    /// [CloudEvents 1.0](https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/formats/json-format.md),
    /// structured JSON: everything in the body.
    #[default]
    CloudEvents,
    /// The payload alone; the rest in the broker's attributes.
    Raw,
}

/// A message in its wire format.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Encoded {
    /// The body.
    pub body: String,
    /// What the body does not say, for the broker's attributes, in order of importance.
    pub attributes: Vec<(String, String)>,
}

/// A body that is no message.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WireError {
    /// Not JSON, or not the JSON of a message.
    #[error("expected a CloudEvents 1.0 event as structured JSON, or a payload with attributes; {0}")]
    Malformed(String),
}

impl WireFormat {
    /// Writes a message.
    #[must_use]
    pub fn encode(self, message: &Message) -> Encoded {
        Encoded { body: message.payload.clone(), attributes: Vec::new() }
    }
}

/// Reads a message, whichever of the formats it is in.
///
/// # Errors
/// Where it is in none.
pub fn decode(body: &str, attributes: &BTreeMap<String, String>) -> Result<ReceivedMessage, WireError> {
    let _ = attributes;
    Err(WireError::Malformed(format!("found {} bytes", body.len())))
}
