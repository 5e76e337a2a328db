//! How a message is written for a broker, and read again.
//!
//! | attribute | of the message | in the body of [`WireFormat::CloudEvents`] |
//! |---|---|---|
//! | `id`, `source`, `type` | id, source, event type | always |
//! | `dataversion` | event version | always; 1 where it is not there |
//! | `replayid` | replay | on a replay that asks to be processed again |
//! | `subject`, `aggregatetype` | aggregate id and type | where the event has one |
//! | `partitionkey` | [`partition_key`] of both | with `subject` |
//! | `time` | when it happened | always |
//! | `sequence` | seq | always: 19 digits, so that text sorts as the number does |
//! | `traceparent`, `correlationid`, .. | headers | as they are |
//! | `data` | payload | the text as it was captured, byte for byte |
//!
//! The `sequence` grows within one source and has gaps; `sequencetype` is left out, for its one value
//! (`Integer`) promises 32 bits and none. When the message was stored is not on the wire.

pub(crate) mod attribute;
mod cloud_events;
mod error;
mod fields;
mod json;
mod raw;

use std::collections::BTreeMap;

use crate::message::{Message, ReceivedMessage};

pub use attribute::partition_key;
pub use error::WireError;

/// The wire format of a publisher.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum WireFormat {
    /// [CloudEvents 1.0](https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/formats/json-format.md),
    /// structured JSON: everything in the body.
    #[default]
    CloudEvents,
    /// The payload alone; the rest in the broker's attributes, under the names of CloudEvents. What a
    /// reader can do without is not there: `dataversion` 1, `partitionkey`, and headers without a value,
    /// which brokers refuse.
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

impl WireFormat {
    /// Writes a message. A header whose name is one of the wire format's own is left out: the log would
    /// have refused it at capture.
    #[must_use]
    pub fn encode(self, message: &Message) -> Encoded {
        match self {
            Self::CloudEvents => Encoded { body: cloud_events::encode(message), attributes: Vec::new() },
            Self::Raw => Encoded { body: message.payload.clone(), attributes: raw::attributes(message) },
        }
    }
}

/// Reads a message, whichever of the formats it is in.
///
/// It is [`WireFormat::Raw`] where the attributes have `id`, `source` and `type`, unless a `content-type`
/// among them says `application/cloudevents+json`. Messages of other producers are taken too: what has no
/// field of its own is a header, and so is a `dataversion` or `sequence` that is no number of ours.
///
/// # Errors
/// Where it is in none of them, naming what was expected.
pub fn decode(body: &str, attributes: &BTreeMap<String, String>) -> Result<ReceivedMessage, WireError> {
    if raw::is_raw(attributes) {
        return raw::decode(body, attributes);
    }
    cloud_events::decode(body).map_err(|error| match raw::missing(attributes) {
        // Some of the three are there: it was meant to be raw.
        Some(attribute) => WireError::Missing { attribute },
        None => error,
    })
}
