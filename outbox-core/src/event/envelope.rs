//! An event with delivery options.

use chrono::{DateTime, Utc};

use crate::message::Headers;

/// An event with options of its own, accepted wherever an event is.
///
/// Made by `event.deliver_after(..)`, `event.deliver_at(..)` or `event.with_header(..)`.
#[derive(Debug, Clone, PartialEq)]
#[must_use = "an envelope does nothing until it is raised or recorded"]
pub struct Envelope<E> {
    event: E,
    deliver_at: Option<DateTime<Utc>>,
    headers: Headers,
}
