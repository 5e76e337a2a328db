//! What a handler gets.

use std::{ops::Deref, sync::Arc};

use crate::message::ReceivedMessage;

/// An event with the message that it came in. Reads like the event itself: `event.order_id`.
#[derive(Debug, Clone)]
pub struct Delivery<E> {
    event: E,
    message: Arc<ReceivedMessage>,
    attempt: u32,
}

impl<E> Delivery<E> {
    /// A delivery made by hand, to call a handler in a test.
    pub fn new(event: E, message: impl Into<Arc<ReceivedMessage>>, attempt: u32) -> Self {
        Self { event, message: message.into(), attempt }
    }

    /// The message: its id, source, headers and aggregate.
    pub fn message(&self) -> &ReceivedMessage {
        &self.message
    }

    /// Which delivery of this message it is, from 1, as the broker counts.
    pub fn attempt(&self) -> u32 {
        self.attempt
    }

    /// The event alone.
    pub fn into_event(self) -> E {
        self.event
    }
}

impl<E> Deref for Delivery<E> {
    type Target = E;

    fn deref(&self) -> &E {
        &self.event
    }
}
