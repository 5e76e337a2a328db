//! What a subscription does with events that were not published.

use std::{collections::HashMap, time::Duration};

use serde::Deserialize;

use crate::{
    event::MAX_NAME_LEN,
    log::{OrderKey, Ordering},
    message::Message,
    retry::RetryPolicy,
    settings::{ConfigError, at_least},
};

/// What becomes of an aggregate one of whose events is dead.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OnDead {
    /// The later ones go on. The dead one, requeued, goes out beside the order.
    #[default]
    Skip,
    /// The later ones wait, in order, until an operator requeues or discards the dead one.
    Block,
}

/// What a subscription remembers of its deliveries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct ReceiptPolicy {
    /// How long a consumer has to acknowledge; `None` where that is not awaited.
    pub(super) ack_within: Option<Duration>,
    /// Whether what was not acknowledged in time is sent again.
    pub(super) resend: bool,
}

/// The choices of a subscription that decide what becomes of an event.
#[derive(Debug, Clone, Default)]
pub(super) struct Policy {
    pub(super) retry: RetryPolicy,
    pub(super) retry_for: HashMap<String, RetryPolicy>,
    pub(super) on_dead: OnDead,
    pub(super) ordering: Ordering,
    pub(super) dead_letter_topic: Option<String>,
    pub(super) receipts: Option<ReceiptPolicy>,
}

/// The key of all events of a subscription that keeps them all in order.
const EVERYTHING: (&str, &str) = ("", "");

/// Below this, an acknowledgement could not have come.
const MIN_ACK_DEADLINE: Duration = Duration::from_millis(100);

impl Policy {
    /// # Errors
    /// The first choice that is out of range, contradicts another or would never do anything.
    pub(super) fn validate(&self) -> Result<(), ConfigError> {
        for retry in std::iter::once(&self.retry).chain(self.retry_for.values()) {
            retry.validate()?;
        }
        if let Some(topic) = &self.dead_letter_topic
            && !(1..=MAX_NAME_LEN).contains(&topic.len())
        {
            let expected = format!("a topic of 1 to {MAX_NAME_LEN} bytes");
            let found =
                if topic.is_empty() { "an empty text".into() } else { format!("{} bytes", topic.len()) };
            return Err(ConfigError { field: "dead_letter_topic", expected, found });
        }
        match self.receipts {
            Some(ReceiptPolicy { ack_within: None, resend: true }) => {
                let expected = "a deadline where `resend_unacknowledged` is set".to_owned();
                Err(ConfigError { field: "await_ack", expected, found: "none".to_owned() })
            }
            Some(ReceiptPolicy { ack_within: Some(within), .. }) => {
                at_least("await_ack", within, MIN_ACK_DEADLINE)
            }
            _ => Ok(()),
        }
    }

    /// The policy for an event's type.
    pub(super) fn retry(&self, event_type: &str) -> &RetryPolicy {
        self.retry_for.get(event_type).unwrap_or(&self.retry)
    }

    /// The order that an event of the log stands in; `None` outside of every order.
    pub(super) fn order<'a>(&self, message: &'a Message) -> Option<(&'a str, &'a str)> {
        match self.ordering {
            Ordering::Aggregate => message.aggregate(),
            Ordering::Total => Some(EVERYTHING),
            Ordering::None => None,
        }
    }

    /// The same, owned.
    pub(super) fn order_key(&self, message: &Message) -> Option<OrderKey> {
        self.order(message).map(|(kind, id)| (kind.to_owned(), id.to_owned()))
    }

    /// Whether events that wait behind a held one go to the table of holds. Those of the one order of a whole
    /// subscription do not: the log would be copied there; reading stops instead.
    pub(super) fn spills(&self) -> bool {
        self.ordering != Ordering::Total
    }
}
