//! How an event stands with a subscription: decided from the subscription's row and the event's hold, if there is one.

use outbox_core::{log::HoldState, message::Seq, progress::SeqRanges};
use sea_orm::prelude::DateTimeUtc;
use serde::{Serialize, Serializer};
use uuid::Uuid;

use super::OutboxError;
use crate::tables::{hold, receipt, subscription};

/// How an event stands with a subscription that takes its topic.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Standing {
    /// The subscription.
    pub subscription: String,
    /// What became of the event there.
    #[serde(flatten)]
    pub state: EventState,
    /// What is known of its last delivery, where the subscription keeps receipts.
    pub receipt: Option<ReceiptInfo>,
}

/// What became of an event.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "state", rename_all = "snake_case")]
#[non_exhaustive]
pub enum EventState {
    /// It is still to be published: not read, or read and under way.
    Pending,
    /// It waits on hold and goes out by itself.
    Held(HoldInfo),
    /// It will not be tried again without an operator.
    Dead(HoldInfo),
    /// The subscription is done with it: published, or given up by an operator, or older than the subscription, or of a
    /// topic that it did not take when the event was read.
    Settled,
}

/// An event on hold.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct HoldInfo {
    /// Why.
    #[serde(serialize_with = "as_stored")]
    pub why: HoldState,
    /// Attempts so far.
    pub attempts: u32,
    /// When it is tried next, by the database's clock; `None` where that depends on another event or on an operator.
    pub next_attempt: Option<DateTimeUtc>,
    /// What the last attempt said.
    pub last_error: Option<String>,
    /// When it failed first, by the database's clock.
    pub first_failed_at: Option<DateTimeUtc>,
    /// Whether the later events of its aggregate wait for it.
    pub stops_its_aggregate: bool,
    /// Set where an operator wants it to be processed again.
    pub replay: Option<Uuid>,
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde asks for a reference")]
fn as_stored<S: Serializer>(state: &HoldState, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(state.as_str())
}

/// What is known of a delivery.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct ReceiptInfo {
    /// The id that the broker gave it.
    pub broker_id: Option<String>,
    /// When it was published, by the database's clock.
    pub dispatched_at: DateTimeUtc,
    /// When a consumer confirmed it.
    pub acknowledged_at: Option<DateTimeUtc>,
    /// Until when a consumer is to confirm it; `None` where that is not awaited, or done.
    pub ack_due_at: Option<DateTimeUtc>,
}

impl From<receipt::Model> for ReceiptInfo {
    fn from(row: receipt::Model) -> Self {
        Self {
            broker_id: row.broker_id,
            dispatched_at: row.dispatched_at,
            acknowledged_at: row.acknowledged_at,
            ack_due_at: row.ack_due_at,
        }
    }
}

impl HoldInfo {
    pub(super) fn of(row: hold::Model) -> Result<Self, OutboxError> {
        let unreadable =
            |reason: String| OutboxError::Corrupt { subscription: row.subscription.clone(), reason };
        let why = HoldState::parse(&row.state)
            .ok_or_else(|| unreadable(format!("event {} is on hold as `{}`", row.seq, row.state)))?;
        let attempts = u32::try_from(row.attempts)
            .map_err(|_| unreadable(format!("event {} was tried {} times", row.seq, row.attempts)))?;
        Ok(Self {
            why,
            attempts,
            next_attempt: row.due_at,
            last_error: row.last_error,
            first_failed_at: row.first_failed_at,
            stops_its_aggregate: row.aggregate_id.is_some(),
            replay: row.replay,
        })
    }
}

/// How far a subscription is.
#[derive(Debug)]
pub(super) struct Reach {
    pub(super) subscription: String,
    position: Seq,
    holes: SeqRanges,
    /// `None` for all.
    topics: Option<Vec<String>>,
}

impl Reach {
    pub(super) fn of(row: subscription::Model) -> Result<Self, OutboxError> {
        let unreadable = |what: &dyn std::fmt::Display| OutboxError::Corrupt {
            subscription: row.name.clone(),
            reason: what.to_string(),
        };
        let holes =
            row.holes.parse().map_err(|error: outbox_core::progress::RangesError| unreadable(&error))?;
        let topics = row
            .topics
            .as_deref()
            .map(serde_json::from_str)
            .transpose()
            .map_err(|error| unreadable(&error))?;
        Ok(Self { position: row.position, holes, topics, subscription: row.name })
    }

    pub(super) fn takes(&self, topic: &str) -> bool {
        self.topics.as_ref().is_none_or(|topics| topics.iter().any(|taken| taken == topic))
    }

    /// A hold says more than the position: it is stored in the flush that settles the event's place in the log.
    pub(super) fn state(&self, seq: Seq, hold: Option<HoldInfo>) -> EventState {
        match hold {
            Some(hold) if hold.why == HoldState::Dead => EventState::Dead(hold),
            Some(hold) => EventState::Held(hold),
            None if seq > self.position || self.holes.contains(seq) => EventState::Pending,
            None => EventState::Settled,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reach(position: Seq, holes: &str, topics: Option<&[&str]>) -> Reach {
        let topics = topics.map(|topics| topics.iter().map(|topic| (*topic).to_owned()).collect());
        Reach { subscription: "sqs".into(), position, holes: holes.parse().expect("ranges"), topics }
    }

    fn hold(why: HoldState) -> HoldInfo {
        HoldInfo {
            why,
            attempts: 2,
            next_attempt: None,
            last_error: Some("refused".into()),
            first_failed_at: None,
            stops_its_aggregate: true,
            replay: None,
        }
    }

    #[test]
    fn the_state_follows_from_position_holes_and_hold() {
        let sqs = reach(10, "3,7-8", None);
        for (seq, expected) in [
            (2, EventState::Settled),
            (3, EventState::Pending),
            (8, EventState::Pending),
            (10, EventState::Settled),
            (11, EventState::Pending),
        ] {
            assert_eq!(sqs.state(seq, None), expected, "of event {seq}");
        }
        for why in [HoldState::Scheduled, HoldState::Retry, HoldState::Blocked] {
            assert_eq!(sqs.state(2, Some(hold(why))), EventState::Held(hold(why)));
            assert_eq!(sqs.state(11, Some(hold(why))), EventState::Held(hold(why)));
        }
        assert_eq!(sqs.state(2, Some(hold(HoldState::Dead))), EventState::Dead(hold(HoldState::Dead)));
    }

    #[test]
    fn a_subscription_takes_its_topics_or_all() {
        assert!(reach(0, "", None).takes("orders"));
        assert!(reach(0, "", Some(&["mail", "orders"])).takes("orders"));
        assert!(!reach(0, "", Some(&["mail"])).takes("orders"));
        assert!(!reach(0, "", Some(&[])).takes("orders"));
    }

    #[test]
    fn a_standing_is_one_flat_object_for_monitoring() {
        let standing = Standing {
            subscription: "sqs".into(),
            state: EventState::Dead(hold(HoldState::Dead)),
            receipt: None,
        };
        let json = serde_json::to_value(standing).expect("JSON");
        assert_eq!(
            (&json["subscription"], &json["state"], &json["why"]),
            (&"sqs".into(), &"dead".into(), &"dead".into())
        );
        assert_eq!((&json["attempts"], &json["last_error"]), (&2.into(), &"refused".into()));
    }
}
