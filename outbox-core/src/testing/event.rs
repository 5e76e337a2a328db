//! Events for tests.

use chrono::Utc;
use uuid::Uuid;

use crate::{event::NewEvent, message::Headers};

/// An event of type `test.happened` whose payload is a JSON string. An empty aggregate id means none.
#[must_use]
pub fn new_event(topic: &str, aggregate_id: &str, payload: &str) -> NewEvent {
    let aggregate_id = (!aggregate_id.is_empty()).then(|| aggregate_id.to_owned());
    NewEvent {
        id: Uuid::now_v7(),
        event_type: "test.happened".to_owned(),
        event_version: 1,
        topic: topic.to_owned(),
        aggregate_type: aggregate_id.is_some().then(|| "thing".to_owned()),
        aggregate_id,
        payload: serde_json::Value::from(payload).to_string(),
        headers: Headers::new(),
        deliver_at: None,
        occurred_at: Utc::now(),
    }
}
