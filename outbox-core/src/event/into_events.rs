//! Everything that a hook, `raise` or `record_all` accepts in the place of an event.

use serde::Serialize;

use super::{Envelope, EventError, NewEvent, OutboxEvent};

/// An event, an [`Envelope`], an `Option`, a `Vec`, an array, a tuple of those, or `()`.
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
    /// Where an event cannot be stored; `into` may then hold the events before it.
    fn append_to(self, into: &mut Vec<NewEvent>) -> Result<(), EventError>;
}

impl<E: OutboxEvent + Serialize> IntoEvents for E {
    fn append_to(self, into: &mut Vec<NewEvent>) -> Result<(), EventError> {
        into.push(NewEvent::of(&self)?);
        Ok(())
    }
}

impl<E: OutboxEvent + Serialize> IntoEvents for Envelope<E> {
    fn append_to(self, into: &mut Vec<NewEvent>) -> Result<(), EventError> {
        into.push(self.into_new_event()?);
        Ok(())
    }
}

impl<T: IntoEvents> IntoEvents for Option<T> {
    fn append_to(self, into: &mut Vec<NewEvent>) -> Result<(), EventError> {
        match self {
            Some(events) => events.append_to(into),
            None => Ok(()),
        }
    }
}

impl<T: IntoEvents> IntoEvents for Vec<T> {
    fn append_to(self, into: &mut Vec<NewEvent>) -> Result<(), EventError> {
        self.into_iter().try_for_each(|events| events.append_to(into))
    }
}

impl<T: IntoEvents, const N: usize> IntoEvents for [T; N] {
    fn append_to(self, into: &mut Vec<NewEvent>) -> Result<(), EventError> {
        self.into_iter().try_for_each(|events| events.append_to(into))
    }
}

macro_rules! tuple {
    ($($member:ident)*) => {
        #[allow(non_snake_case, unused_variables, reason = "a tuple of nothing has no members to append")]
        impl<$($member: IntoEvents),*> IntoEvents for ($($member,)*) {
            fn append_to(self, into: &mut Vec<NewEvent>) -> Result<(), EventError> {
                let ($($member,)*) = self;
                $($member.append_to(into)?;)*
                Ok(())
            }
        }
    };
}

tuple!();
tuple!(A);
tuple!(A B);
tuple!(A B C);
tuple!(A B C D);
tuple!(A B C D E);
tuple!(A B C D E F);
tuple!(A B C D E F G);
tuple!(A B C D E F G H);
