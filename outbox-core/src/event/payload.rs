//! The payload of an event: serde's JSON, without the tag of an enum.
//!
//! The tag would say in Rust's words what `event_type` says in the contract's, and a consumer in another
//! language would have to know serde. So it is cut off at capture and put back in front of the payload
//! in a consumer. Both are cuts in the text: the payload itself is never parsed and written again, so
//! the order of its keys and every digit of its numbers stay as they are.

use serde::{Serialize, de::DeserializeOwned};
use serde_json::value::RawValue;

use super::{DecodeError, EventError, EventKind, OutboxEvent, PayloadMisfit};

/// How serde writes a type: decides what is taken off to get at an enum variant's bare content.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PayloadShape {
    /// A struct, or an enum with `#[serde(untagged)]`: the text is the payload.
    Plain,
    /// An enum as serde writes it by default: `{"Variant": content}`, or `"Variant"`.
    ExternallyTagged,
    /// `#[serde(tag = "t")]`: `{"t": "Variant", ...content}`.
    InternallyTagged {
        /// The tag's key.
        tag: &'static str,
    },
    /// `#[serde(tag = "t", content = "c")]`: `{"t": "Variant", "c": content}`.
    AdjacentlyTagged {
        /// The tag's key.
        tag: &'static str,
        /// The content's key.
        content: &'static str,
    },
}

/// A text without the tag is left as it is: it comes from a `Serialize` written by hand.
pub(super) fn encode<E: OutboxEvent + Serialize>(event: &E) -> Result<String, EventError> {
    let kind = event.kind();
    let text = serde_json::to_string(event)
        .map_err(|source| EventError::Payload { event_type: kind.event_type, source })?;
    match kind.variant.and_then(|variant| bare(&text, E::SHAPE, variant.serialized, variant.unit)) {
        Some(payload) => Ok(payload),
        None => Ok(text),
    }
}

pub(super) fn decode<E: OutboxEvent + DeserializeOwned>(
    event_type: &str,
    version: u32,
    payload: &str,
) -> Result<E, DecodeError> {
    let kind = E::KINDS
        .iter()
        .find(|kind| kind.event_type == event_type && kind.version == version)
        .ok_or_else(|| unknown::<E>(event_type, version))?;
    let event: E = read(kind, payload).map_err(|error| DecodeError::Payload {
        event_type: event_type.to_owned(),
        version,
        source: PayloadMisfit::of(&error),
    })?;
    let found = event.kind();
    if is_same(found, kind) {
        return Ok(event);
    }
    Err(DecodeError::OtherKind { event_type: event_type.to_owned(), version, found: found.event_type })
}

pub(super) fn is_same(one: &EventKind, other: &EventKind) -> bool {
    one.event_type == other.event_type && one.version == other.version
}

fn unknown<E: OutboxEvent>(event_type: &str, version: u32) -> DecodeError {
    let own = E::KINDS.iter().map(|kind| (kind.event_type, kind.version));
    let older = E::UPCASTS.iter().flat_map(|upcast| {
        let event_type = upcast.into_kind().event_type;
        upcast.versions().map(move |version| (event_type, version))
    });
    let expected: Vec<_> =
        own.chain(older).map(|(event_type, version)| format!("{event_type} version {version}")).collect();
    DecodeError::UnknownKind { event_type: event_type.to_owned(), version, expected: expected.join(" or ") }
}

fn read<E: OutboxEvent + DeserializeOwned>(kind: &EventKind, payload: &str) -> Result<E, serde_json::Error> {
    let Some(variant) = kind.variant else { return serde_json::from_str(payload) };
    let tagged = tagged(payload.trim(), E::SHAPE, variant.deserialized, variant.unit);
    serde_json::from_str(&tagged).or_else(|error| {
        // A `Deserialize` written by hand may know no tag. What it says of the bare payload is of no
        // use to the others.
        let bare: Option<E> = serde_json::from_str(payload).ok();
        bare.filter(|event| is_same(event.kind(), kind)).ok_or(error)
    })
}

/// The content of a variant, cut out of what serde wrote; `None` where the tag is not there.
fn bare(text: &str, shape: PayloadShape, name: &str, unit: bool) -> Option<String> {
    let name = quoted(name);
    match shape {
        PayloadShape::Plain => None,
        PayloadShape::ExternallyTagged if unit => (text == name).then(null),
        PayloadShape::ExternallyTagged => {
            one_value(text.strip_prefix('{')?.strip_prefix(&*name)?.strip_prefix(':')?.strip_suffix('}')?)
        }
        PayloadShape::InternallyTagged { tag } => {
            let rest = text.strip_prefix(&format!("{{{}:{name}", quoted(tag)))?;
            match rest {
                "}" if unit => Some(null()),
                "}" => Some("{}".to_owned()),
                _ => Some(format!("{{{}", rest.strip_prefix(',')?)),
            }
        }
        PayloadShape::AdjacentlyTagged { tag, content } => {
            let rest = text.strip_prefix(&format!("{{{}:{name}", quoted(tag)))?;
            if rest == "}" {
                return Some(null());
            }
            let rest = rest.strip_prefix(',')?.strip_prefix(&quoted(content))?.strip_prefix(':')?;
            one_value(rest.strip_suffix('}')?)
        }
    }
}

/// What serde would have written: the reverse of [`bare`].
fn tagged(payload: &str, shape: PayloadShape, name: &str, unit: bool) -> String {
    let name = quoted(name);
    let nothing = payload == "null";
    match shape {
        PayloadShape::Plain => payload.to_owned(),
        PayloadShape::ExternallyTagged if unit && nothing => name,
        PayloadShape::ExternallyTagged => format!("{{{name}:{payload}}}"),
        PayloadShape::InternallyTagged { tag } => {
            let tag = quoted(tag);
            match payload.strip_prefix('{').map(str::trim_start) {
                Some("}") => format!("{{{tag}:{name}}}"),
                Some(rest) => format!("{{{tag}:{name},{rest}"),
                None if nothing => format!("{{{tag}:{name}}}"),
                // No object: serde says best what it expected.
                None => payload.to_owned(),
            }
        }
        PayloadShape::AdjacentlyTagged { tag, .. } if unit && nothing => {
            format!("{{{}:{name}}}", quoted(tag))
        }
        PayloadShape::AdjacentlyTagged { tag, content } => {
            format!("{{{}:{name},{}:{payload}}}", quoted(tag), quoted(content))
        }
    }
}

/// The text, where it is one JSON value and no more: else the brace that was cut off was not its own.
fn one_value(text: &str) -> Option<String> {
    serde_json::from_str::<&RawValue>(text).is_ok().then(|| text.to_owned())
}

fn null() -> String {
    "null".to_owned()
}

fn quoted(text: &str) -> String {
    serde_json::to_string(text).expect("a string is always JSON")
}
