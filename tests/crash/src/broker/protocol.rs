//! What is said over a connection: JSON, a line each.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// One message as a relay sends it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Sent {
    pub(super) id: Uuid,
    pub(super) seq: i64,
    pub(super) aggregate: Option<String>,
    pub(super) topic: String,
    /// In its wire format.
    pub(super) body: String,
}

/// One message as a consumer gets it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Given {
    pub(super) receipt: String,
    pub(super) attempt: u32,
    pub(super) group: Option<String>,
    pub(super) body: String,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) enum Request {
    Publish { relay: String, messages: Vec<Sent> },
    Receive { max: usize },
    Ack { receipts: Vec<String> },
    Nack { receipt: String, delay: Duration },
    Extend { receipt: String, visibility: Duration },
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) enum Answer {
    Told(Vec<Told>),
    Given(Vec<Given>),
    /// The receipts that were not taken.
    Refused(Vec<String>),
    Extended(bool),
    Done,
}

/// What became of one message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Told {
    Published,
    Failed,
    Throttled(Duration),
    Unavailable,
}
