//! A message while it is read: which attribute is which field, the same for both formats.

use chrono::{DateTime, Utc};

use super::{WireError, attribute};
use crate::message::{Headers, ReceivedMessage};

/// What was read so far.
#[derive(Default)]
pub(super) struct Fields {
    id: Option<String>,
    source: Option<String>,
    event_type: Option<String>,
    event_version: Option<u32>,
    aggregate_type: Option<String>,
    aggregate_id: Option<String>,
    sequence: Option<i64>,
    occurred_at: Option<DateTime<Utc>>,
    replay: Option<String>,
    partition_key: Option<String>,
    headers: Headers,
}

impl Fields {
    /// Takes one attribute.
    pub(super) fn set(&mut self, name: &str, value: String) -> Result<(), WireError> {
        match name {
            attribute::ID => self.id = Some(not_empty(name, value)?),
            attribute::SOURCE => self.source = Some(not_empty(name, value)?),
            attribute::TYPE => self.event_type = Some(not_empty(name, value)?),
            attribute::SUBJECT => self.aggregate_id = Some(not_empty(name, value)?),
            attribute::AGGREGATE_TYPE => self.aggregate_type = Some(value),
            attribute::REPLAY_ID => self.replay = Some(not_empty(name, value)?),
            attribute::TIME => self.occurred_at = Some(time(&value)?),
            attribute::SPEC_VERSION if value == "1.0" => {}
            attribute::SPEC_VERSION => return Err(WireError::attribute(name, "1.0")),
            attribute::PARTITION_KEY => self.partition_key = Some(value),
            attribute::DATA_CONTENT_TYPE if is_json(&value) => {}
            attribute::DATA_VERSION => match value.parse() {
                Ok(version) if version >= 1 => self.event_version = Some(version),
                _ => self.header(name, value),
            },
            attribute::SEQUENCE => match value.parse() {
                Ok(sequence) => self.sequence = Some(sequence),
                Err(_) => self.header(name, value),
            },
            _ => self.header(name, value),
        }
        Ok(())
    }

    /// Ours follows from the aggregate; another producer's says something of its own.
    fn is_key_of_aggregate(&self, key: &str) -> bool {
        let aggregate_type = self.aggregate_type.as_deref().unwrap_or_default();
        self.aggregate_id.as_deref().is_some_and(|id| attribute::key_of(aggregate_type, id) == key)
    }

    fn header(&mut self, name: &str, value: String) {
        self.headers.insert(name, value);
    }

    /// The message, where nothing is missing.
    pub(super) fn into_message(mut self, payload: String) -> Result<ReceivedMessage, WireError> {
        if let Some(key) = self.partition_key.take().filter(|key| !self.is_key_of_aggregate(key)) {
            self.header(attribute::PARTITION_KEY, key);
        }
        let required = |value: Option<String>, attribute| value.ok_or(WireError::Missing { attribute });
        let id = required(self.id, attribute::ID)?;
        let source = required(self.source, attribute::SOURCE)?;
        let event_type = required(self.event_type, attribute::TYPE)?;
        Ok(ReceivedMessage {
            event_version: self.event_version.unwrap_or(1),
            aggregate_type: self.aggregate_type,
            aggregate_id: self.aggregate_id,
            sequence: self.sequence,
            occurred_at: self.occurred_at,
            headers: self.headers,
            replay: self.replay,
            ..ReceivedMessage::new(source, id, event_type, payload)
        })
    }
}

fn not_empty(name: &str, value: String) -> Result<String, WireError> {
    if value.is_empty() {
        return Err(WireError::attribute(name, "text that is not empty"));
    }
    Ok(value)
}

fn time(value: &str) -> Result<DateTime<Utc>, WireError> {
    DateTime::parse_from_rfc3339(value)
        .map(|time| time.to_utc())
        .map_err(|_| WireError::attribute(attribute::TIME, "a time as RFC 3339 writes it"))
}

/// A media type of JSON: `application/json`, `text/json`, `application/problem+json; charset=utf-8`, ..
fn is_json(media_type: &str) -> bool {
    let essence = media_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    essence.ends_with("/json") || essence.ends_with("+json")
}
