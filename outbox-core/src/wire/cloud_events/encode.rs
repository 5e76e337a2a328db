//! Writes the event in one pass; the payload is copied in as it is.

use crate::{
    message::Message,
    wire::{attribute, json},
};

/// What the attributes of a usual event take, so that the text grows once at most.
const USUAL_ATTRIBUTES: usize = 640;

pub(crate) fn encode(message: &Message) -> String {
    let mut body = String::with_capacity(USUAL_ATTRIBUTES + message.payload.len());
    body.push_str(r#"{"specversion":"1.0""#);
    attribute::each(message, |name, value| json::push_member(&mut body, name, value));
    if let Some(key) = attribute::partition_key(message) {
        json::push_member(&mut body, attribute::PARTITION_KEY, &key);
    }
    json::push_member(&mut body, attribute::DATA_CONTENT_TYPE, "application/json");
    body.push_str(r#","data":"#);
    body.push_str(&message.payload);
    body.push('}');
    body
}
