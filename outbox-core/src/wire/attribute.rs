//! The attributes of a message: their names, and their values in order of importance.
//!
//! The names are a contract with every consumer: one may be added, none is ever changed.

use std::fmt::Write as _;

use chrono::SecondsFormat;

use crate::message::{Message, names};

pub(crate) const SPEC_VERSION: &str = "specversion";
pub(crate) const ID: &str = "id";
pub(crate) const SOURCE: &str = "source";
pub(crate) const TYPE: &str = "type";
pub(crate) const DATA_VERSION: &str = "dataversion";
pub(crate) const REPLAY_ID: &str = "replayid";
pub(crate) const SUBJECT: &str = "subject";
pub(crate) const AGGREGATE_TYPE: &str = "aggregatetype";
pub(crate) const PARTITION_KEY: &str = "partitionkey";
pub(crate) const TIME: &str = "time";
pub(crate) const SEQUENCE: &str = "sequence";
pub(crate) const DATA_CONTENT_TYPE: &str = "datacontenttype";
pub(crate) const DATA: &str = "data";
pub(crate) const DATA_BASE64: &str = "data_base64";

/// No header may have one of these names. The last ones are not written today.
pub(crate) const RESERVED: [&str; 16] = [
    SPEC_VERSION,
    ID,
    SOURCE,
    TYPE,
    DATA_VERSION,
    REPLAY_ID,
    SUBJECT,
    AGGREGATE_TYPE,
    PARTITION_KEY,
    TIME,
    SEQUENCE,
    DATA_CONTENT_TYPE,
    DATA,
    "dataschema",
    "sequencetype",
    "topic",
];

/// Known headers come before those of the user, for brokers that take few.
const KNOWN_HEADERS: [&str; 5] =
    [names::CORRELATION_ID, names::CAUSATION_ID, names::TRACEPARENT, names::TENANT, names::TRACESTATE];

/// Hands every attribute that [`Raw`](super::WireFormat::Raw) and CloudEvents have in common to `visit`, the most important
/// first.
pub(super) fn each(message: &Message, mut visit: impl FnMut(&str, &str)) {
    // One buffer for every value that has to be formatted.
    let mut text = String::with_capacity(36);
    let mut formatted = |visit: &mut dyn FnMut(&str, &str), name: &str, value: std::fmt::Arguments<'_>| {
        text.clear();
        text.write_fmt(value).expect("a String takes everything");
        visit(name, &text);
    };
    formatted(&mut visit, ID, format_args!("{}", message.id));
    visit(SOURCE, &message.source);
    visit(TYPE, &message.event_type);
    formatted(&mut visit, DATA_VERSION, format_args!("{}", message.event_version));
    if let Some(replay) = &message.replay {
        formatted(&mut visit, REPLAY_ID, format_args!("{replay}"));
    }
    if let Some(id) = &message.aggregate_id {
        visit(SUBJECT, id);
    }
    if let Some(aggregate_type) = &message.aggregate_type {
        visit(AGGREGATE_TYPE, aggregate_type);
    }
    for name in KNOWN_HEADERS {
        if let Some(value) = message.headers.get(name) {
            visit(name, value);
        }
    }
    visit(TIME, &message.occurred_at.to_rfc3339_opts(SecondsFormat::AutoSi, true));
    formatted(&mut visit, SEQUENCE, format_args!("{:019}", message.seq));
    for (name, value) in message.headers.iter() {
        if !KNOWN_HEADERS.contains(&name) && !RESERVED.contains(&name) {
            visit(name, value);
        }
    }
}

/// The ordering key of a message as one text: `order/42`, the aggregate's type and id.
///
/// A `/` or `%` in the type is written `%2F` or `%25`, so that two aggregates never have the same key; the id is
/// as it is. `None` where the event has no aggregate id: it may go to any partition.
#[must_use]
pub fn partition_key(message: &Message) -> Option<String> {
    message.aggregate().map(|(aggregate_type, id)| key_of(aggregate_type, id))
}

pub(super) fn key_of(aggregate_type: &str, id: &str) -> String {
    let mut key = String::with_capacity(aggregate_type.len() + 1 + id.len());
    for character in aggregate_type.chars() {
        match character {
            '/' => key.push_str("%2F"),
            '%' => key.push_str("%25"),
            other => key.push(other),
        }
    }
    key.push('/');
    key.push_str(id);
    key
}
