//! Reads an event; `data` is copied out as it is, whatever its size and depth.

use std::{borrow::Cow, collections::BTreeSet, fmt};

use serde::{
    Deserialize,
    de::{Deserializer, MapAccess, Visitor},
};
use serde_json::value::RawValue;

use crate::{
    message::ReceivedMessage,
    wire::{WireError, attribute, fields::Fields},
};

pub(crate) fn decode(body: &str) -> Result<ReceivedMessage, WireError> {
    let Members(members) = serde_json::from_str(body)
        .map_err(|error| WireError::NotAnEvent { line: error.line(), column: error.column() })?;
    let mut seen = BTreeSet::new();
    let mut fields = Fields::default();
    let mut payload = None;
    for (name, value) in &members {
        if !seen.insert(name.as_ref()) {
            return Err(WireError::Repeated { attribute: name.clone().into_owned() });
        }
        match name.as_ref() {
            attribute::DATA => payload = Some(value.get().to_owned()),
            attribute::DATA_BASE64 if value.get() != "null" => return Err(WireError::Binary),
            name => {
                if let Some(text) = text(name, value.get())? {
                    fields.set(name, text)?;
                }
            }
        }
    }
    if !seen.contains(attribute::SPEC_VERSION) {
        return Err(WireError::Missing { attribute: attribute::SPEC_VERSION });
    }
    // An event without data is one whose payload is nothing.
    fields.into_message(payload.unwrap_or_else(|| "null".to_owned()))
}

/// An attribute's value as text. Null is as good as not there, as the specification has it.
fn text(name: &str, json: &str) -> Result<Option<String>, WireError> {
    match json.as_bytes().first() {
        // Every string of JSON has a text but those with half a surrogate pair.
        Some(b'"') => serde_json::from_str(json)
            .map(Some)
            .map_err(|_| WireError::attribute(name, "text of whole characters")),
        Some(b'{' | b'[') => Err(WireError::attribute(name, "a string, a number or a boolean")),
        Some(b'n') => Ok(None),
        _ if is_text_by_definition(name) => Err(WireError::attribute(name, "a string")),
        _ => Ok(Some(json.to_owned())),
    }
}

fn is_text_by_definition(name: &str) -> bool {
    use attribute::{DATA_CONTENT_TYPE, ID, SOURCE, SPEC_VERSION, SUBJECT, TIME, TYPE};

    [ID, SOURCE, SPEC_VERSION, TYPE, SUBJECT, TIME, DATA_CONTENT_TYPE].contains(&name)
}

/// The members of an object, in order, with the text of their values.
struct Members<'a>(Vec<(Cow<'a, str>, &'a RawValue)>);

/// A key without a copy, where it has no escapes.
#[derive(Deserialize)]
#[serde(transparent)]
struct Key<'a>(#[serde(borrow)] Cow<'a, str>);

impl<'de> Deserialize<'de> for Members<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Object;

        impl<'de> Visitor<'de> for Object {
            type Value = Members<'de>;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("a JSON object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut members = Vec::with_capacity(16);
                while let Some((Key(name), value)) = map.next_entry()? {
                    members.push((name, value));
                }
                Ok(Members(members))
            }
        }

        deserializer.deserialize_map(Object)
    }
}
