//! What is remembered of a delivery.

use std::time::Duration;

use crate::message::Seq;

/// A delivery that the broker has accepted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Receipt {
    /// The event.
    pub seq: Seq,
    /// The id that the broker gave it, where it gives one.
    pub broker_id: Option<String>,
    /// How long its consumer has to acknowledge it, where that is awaited: until then the log keeps the event.
    pub ack_within: Option<Duration>,
}
