//! What went through, for a test to judge by.

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::Range,
};

use serde_json::Value;

use super::batch;

/// What the proxy saw.
#[derive(Debug, Clone, Default)]
pub struct Record {
    /// What the server stored, in the order of its answers.
    pub stored: Vec<Stored>,
    /// How many requests came, by the name of their operation.
    pub requests: BTreeMap<String, usize>,
    /// How often what went wrong.
    pub fired: BTreeMap<&'static str, usize>,
}

/// A message that the server stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stored {
    /// The event's id, from the attribute that names it.
    pub id: String,
    /// The group that it was sent with.
    pub group: Option<String>,
    /// The deduplication id that it was sent with.
    pub dedup: Option<String>,
    /// The id that the server gave it. A FIFO queue gives a copy that it drops the id of the first.
    pub message_id: String,
    /// Its number in a FIFO queue.
    pub sequence: Option<u128>,
    /// Whether the sender was told so. A sender that gives up in the moment in which its answer comes has not heard it,
    /// though it was told.
    pub is_told: bool,
}

impl Record {
    /// How often an operation was asked for.
    #[must_use]
    pub fn requests_of(&self, operation: &str) -> usize {
        self.requests.get(operation).copied().unwrap_or(0)
    }

    /// How often a fault fired.
    #[must_use]
    pub fn fired(&self, name: &str) -> usize {
        self.fired.get(name).copied().unwrap_or(0)
    }

    /// The ids under which the server has copies of an event.
    #[must_use]
    pub fn copies(&self, id: &str) -> BTreeSet<&str> {
        let of_event = self.stored.iter().filter(|stored| stored.id == id);
        of_event.map(|stored| stored.message_id.as_str()).collect()
    }

    /// Takes note of what the server answered to a request that sends, and gives the places of what it stored.
    pub(super) fn sent(
        &mut self,
        request: &Value,
        answer: &Value,
        is_told: impl Fn(&str) -> bool,
    ) -> Range<usize> {
        let text = |value: &Value| value.as_str().map(str::to_owned);
        let before = self.stored.len();
        for success in answer["Successful"].as_array().into_iter().flatten() {
            let id = batch::id(success);
            let Some(entry) = batch::entries(request).iter().find(|entry| batch::id(entry) == id) else {
                continue;
            };
            self.stored.push(Stored {
                id: text(&entry["MessageAttributes"]["id"]["StringValue"]).unwrap_or_default(),
                group: text(&entry["MessageGroupId"]),
                dedup: text(&entry["MessageDeduplicationId"]),
                message_id: text(&success["MessageId"]).unwrap_or_default(),
                sequence: success["SequenceNumber"].as_str().and_then(|number| number.parse().ok()),
                is_told: is_told(id),
            });
        }
        before..self.stored.len()
    }

    /// The sender of what is at these places has gone without an answer.
    pub(super) fn nobody_heard(&mut self, places: Range<usize>) {
        for stored in &mut self.stored[places] {
            stored.is_told = false;
        }
    }
}
