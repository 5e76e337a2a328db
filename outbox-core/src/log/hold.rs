//! Events that could not be published yet.

use std::time::Duration;

use chrono::{DateTime, Utc};
use uuid::Uuid;

use crate::message::Seq;

/// An ordering key: type and id of an aggregate.
pub type OrderKey = (String, String);

/// A change of one hold.
#[derive(Debug, Clone, PartialEq)]
pub enum HoldChange {
    /// Puts an event on hold.
    Insert(Hold),
    /// Changes a hold that exists; one that an operator removed stays removed.
    Update(Hold),
    /// Ends a hold.
    Delete(Seq),
}

/// An event that could not be published yet.
#[derive(Debug, Clone, PartialEq)]
pub struct Hold {
    /// The event.
    pub seq: Seq,
    /// The order it stands in, if it does: while it is held, it stops the later events of that key. `None` for an
    /// event outside of every order: one without an aggregate, one that was scheduled, a dead letter that was skipped.
    pub aggregate: Option<OrderKey>,
    /// Why it is held.
    pub state: HoldState,
    /// Attempts so far.
    pub attempts: u32,
    /// When it may go.
    pub due: Due,
    /// What the last attempt said.
    pub last_error: Option<String>,
    /// Set where an operator wants it to be processed again: part of the consumers' de-duplication key.
    pub replay: Option<Uuid>,
}

/// Why an event is held.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HoldState {
    /// Its time has not come.
    Scheduled,
    /// It failed and will be tried again.
    Retry,
    /// An earlier event of its aggregate is held.
    Blocked,
    /// It will not be tried again without an operator.
    Dead,
}

impl HoldState {
    /// As stored.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Scheduled => "scheduled",
            Self::Retry => "retry",
            Self::Blocked => "blocked",
            Self::Dead => "dead",
        }
    }

    /// The reverse of [`as_str`](Self::as_str).
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Scheduled, Self::Retry, Self::Blocked, Self::Dead]
            .into_iter()
            .find(|state| state.as_str() == text)
    }
}

/// When a held event may go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Due {
    /// At a time, by the database's clock.
    At(DateTime<Utc>),
    /// After a delay, added to the database's clock when it is stored.
    After(Duration),
    /// Not by itself.
    Never,
}

/// What an order has on hold, as a leader needs to know it when it begins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stopped {
    /// The ordering key.
    pub aggregate: OrderKey,
    /// Whether one of its events waits for its next attempt.
    pub retries: bool,
    /// Whether one of its events is dead.
    pub dead: bool,
    /// Whether events wait behind.
    pub blocked: bool,
}
