//! Messages for the cases, and finding them again.

use std::{collections::BTreeMap, time::Duration};

use chrono::{SubsecRound as _, Utc};
use tokio::time::Instant;
use uuid::Uuid;

use super::PublisherFixture;
use crate::message::{Message, ReceivedMessage};

/// The topic that a fixture's publisher has a route for.
pub const TOPIC: &str = "conformance";

/// How long messages may be on their way.
const PATIENCE: Duration = Duration::from_secs(30);

/// A message of an aggregate of its own.
pub(super) fn message(number: i64) -> Message {
    let payload = format!(r#"{{"number":{number}}}"#);
    let mut message = Message::new(Uuid::now_v7(), "/conformance", TOPIC, "thing.happened", payload);
    message.seq = number;
    message.aggregate_type = Some("thing".to_owned());
    message.aggregate_id = Some(Uuid::now_v7().to_string());
    message.occurred_at = Utc::now().trunc_subsecs(3);
    message.created_at = message.occurred_at;
    message
}

pub(super) fn messages(count: usize) -> Vec<Message> {
    (1..).take(count).map(message).collect()
}

/// Receives until all of `expected` have arrived: what arrived of them, in order of arrival.
///
/// # Panics
/// With what is missing, when patience is over.
pub(super) async fn arrived(fixture: &impl PublisherFixture, expected: &[Message]) -> Vec<ReceivedMessage> {
    let mut missing: BTreeMap<String, i64> =
        expected.iter().map(|message| (message.id.to_string(), message.seq)).collect();
    let ours = missing.clone();
    let (mut arrived, end) = (Vec::new(), Instant::now() + PATIENCE);
    while !missing.is_empty() {
        assert!(
            Instant::now() < end,
            "published and not arrived within {PATIENCE:?}: {:?}",
            missing.values()
        );
        for message in fixture.receive().await {
            missing.remove(&message.id);
            if ours.contains_key(&message.id) {
                arrived.push(message);
            }
        }
    }
    arrived
}
