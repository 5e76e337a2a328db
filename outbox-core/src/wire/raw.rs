//! The payload alone; the rest in the broker's attributes.

use std::collections::BTreeMap;

use serde_json::value::RawValue;

use super::{WireError, attribute, fields::Fields};
use crate::message::{Message, ReceivedMessage};

/// Without these nothing is known of a payload.
const REQUIRED: [&str; 3] = [attribute::ID, attribute::SOURCE, attribute::TYPE];

const CONTENT_TYPE: &str = "content-type";

pub(super) fn attributes(message: &Message) -> Vec<(String, String)> {
    let mut attributes = Vec::with_capacity(10);
    attribute::each(message, |name, value| {
        let goes_without_saying = name == attribute::DATA_VERSION && value == "1";
        if !value.is_empty() && !goes_without_saying {
            attributes.push((name.to_owned(), value.to_owned()));
        }
    });
    attributes
}

pub(super) fn is_raw(attributes: &BTreeMap<String, String>) -> bool {
    let structured =
        attributes.get(CONTENT_TYPE).is_some_and(|value| value.starts_with("application/cloudevents"));
    !structured && REQUIRED.iter().all(|name| attributes.contains_key(*name))
}

/// The first of the required attributes that is not there, where another one is.
pub(super) fn missing(attributes: &BTreeMap<String, String>) -> Option<&'static str> {
    let there = |name: &&str| attributes.contains_key(*name);
    let some = REQUIRED.iter().any(there);
    REQUIRED.into_iter().find(|name| some && !there(name))
}

pub(super) fn decode(
    body: &str,
    attributes: &BTreeMap<String, String>,
) -> Result<ReceivedMessage, WireError> {
    serde_json::from_str::<&RawValue>(body)
        .map_err(|error| WireError::NotJson { line: error.line(), column: error.column() })?;
    let mut fields = Fields::default();
    for (name, value) in attributes {
        fields.set(name, value.clone())?;
    }
    fields.into_message(body.to_owned())
}
