//! An event with delivery options.

use std::time::Duration;

use chrono::{DateTime, NaiveDate, NaiveTime, TimeDelta, Utc};
use serde::Serialize;

use super::{EventError, NewEvent, OutboxEvent};
use crate::message::{HeaderError, Headers, check_header};

/// An event with options of its own, accepted wherever an event is.
///
/// Made by `event.deliver_after(..)`, `event.deliver_at(..)` or `event.with_header(..)`.
#[derive(Debug, Clone, PartialEq)]
#[must_use = "an envelope does nothing until it is raised or recorded"]
pub struct Envelope<E> {
    event: E,
    deliver_at: Option<DateTime<Utc>>,
    headers: Headers,
    /// The first header that cannot travel; told when the event is captured.
    refused: Option<HeaderError>,
}

impl<E> Envelope<E> {
    /// The event without options.
    pub fn of(event: E) -> Self {
        Self { event, deliver_at: None, headers: Headers::new(), refused: None }
    }

    /// Not to be published before `delay` has passed, counted from now. Delivery later than the year 9999 is at its end.
    pub fn deliver_after(self, delay: Duration) -> Self {
        let time = TimeDelta::from_std(delay).ok().and_then(|delay| Utc::now().checked_add_signed(delay));
        self.deliver_at(time.unwrap_or(DateTime::<Utc>::MAX_UTC))
    }

    /// Not to be published before `time`. A scheduled event stands outside of the order of its aggregate.
    pub fn deliver_at(mut self, time: DateTime<Utc>) -> Self {
        self.deliver_at = Some(time.min(end_of_time()));
        self
    }

    /// Adds a header for this event alone; it wins over one of the same name in the current
    /// [`Context`](crate::context::Context).
    ///
    /// The name is of lower-case letters and digits and none that the wire format has for itself. One that
    /// is not is an [`EventError::Header`] when the event is captured.
    pub fn with_header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        let (name, value) = (name.into(), value.into());
        match check_header(&name, &value) {
            Ok(()) => {
                self.headers.insert(name, value);
            }
            Err(error) => {
                self.refused.get_or_insert(error);
            }
        }
        self
    }

    /// The event itself.
    pub fn event(&self) -> &E {
        &self.event
    }

    /// Takes the event out; the options are dropped.
    pub fn into_event(self) -> E {
        self.event
    }
}

impl<E: OutboxEvent + Serialize> Envelope<E> {
    pub(super) fn into_new_event(self) -> Result<NewEvent, EventError> {
        if let Some(source) = self.refused {
            return Err(EventError::Header { event_type: self.event.kind().event_type, source });
        }
        let mut event = NewEvent::of(&self.event)?;
        event.headers.extend(self.headers);
        event.deliver_at = self.deliver_at;
        Ok(event)
    }
}

/// The latest moment that each of the databases can store.
fn end_of_time() -> DateTime<Utc> {
    NaiveDate::from_ymd_opt(9999, 12, 31).expect("a date of the calendar").and_time(NaiveTime::MIN).and_utc()
}
