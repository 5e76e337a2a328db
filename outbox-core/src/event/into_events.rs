//! Everything that a hook, `raise` or `record_all` accepts in the place of an event.

use serde::Serialize;

use super::{NewEvent, OutboxEvent, PayloadError};

/// An event, an [`Envelope`](super::Envelope), an `Option`, a `Vec`, a tuple of those, or `()`.
///
/// It stands beside [`OutboxEvent`]: only here may `Vec<E>` and `E` both have an implementation.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be stored as events",
    label = "expected an event, an `Option`, a `Vec` or a tuple of events, or `()`",
    note = "an event type needs `#[derive(serde::Serialize, OutboxEvent)]`"
)]
pub trait IntoEvents {
    /// Appends the events to `into`, in order.
    ///
    /// # Errors
    /// Where serde cannot write an event as JSON; `into` may then hold the events before it.
    fn append_to(self, into: &mut Vec<NewEvent>) -> Result<(), PayloadError>;
}

impl<E: OutboxEvent + Serialize> IntoEvents for E {
    fn append_to(self, into: &mut Vec<NewEvent>) -> Result<(), PayloadError> {
        into.push(NewEvent::of(&self)?);
        Ok(())
    }
}
