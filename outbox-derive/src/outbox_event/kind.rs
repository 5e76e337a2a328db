//! The constants of one kind of event.

use proc_macro2::Span;
use syn::{Ident, LitStr};

use super::aggregate_id::AggregateId;
use crate::attributes::{Attributes, Entry};

/// The log's columns are this wide; the same as `MAX_NAME_LEN` of the runtime crate.
const MAX_NAME_LEN: usize = 255;

/// What an enum gives to those of its variants that do not say it themselves.
#[derive(Default)]
pub(super) struct Defaults {
    version: Option<u32>,
    topic: Option<LitStr>,
    aggregate: Option<LitStr>,
}

impl Defaults {
    pub(super) fn read(attributes: &mut Attributes) -> syn::Result<Self> {
        Ok(Self {
            version: version(attributes)?,
            topic: name(attributes, "topic", "topic = \"orders\"")?,
            aggregate: name(attributes, "aggregate", "aggregate = \"order\"")?,
        })
    }
}

/// The constants of one kind of event.
pub(super) struct Kind {
    pub(super) event_type: LitStr,
    pub(super) version: u32,
    pub(super) topic: LitStr,
    pub(super) aggregate: Option<LitStr>,
}

impl Kind {
    /// Reads what stands on `item`, a struct or a variant.
    pub(super) fn read(
        attributes: &mut Attributes,
        item: &Ident,
        defaults: &Defaults,
        aggregate_id: Option<&AggregateId>,
    ) -> syn::Result<Self> {
        let own = Defaults::read(attributes)?;
        let event_type =
            name(attributes, "event_type", "event_type = \"order.placed\"")?.ok_or_else(|| {
                syn::Error::new(
                    item.span(),
                    format!(
                        "`{item}` has no event type: add `#[outbox(event_type = \"order.placed\")]`, \
                         a name that stays when the code is renamed"
                    ),
                )
            })?;
        let aggregate = own.aggregate.or_else(|| defaults.aggregate.clone());
        if let (None, Some(id)) = (&aggregate, aggregate_id) {
            return Err(syn::Error::new(
                id.span(),
                "an aggregate id needs the kind of thing it is of: add `aggregate = \"order\"`",
            ));
        }
        let topic = own
            .topic
            .or_else(|| defaults.topic.clone())
            .or_else(|| aggregate.clone())
            .ok_or_else(|| no_topic(item))?;
        Ok(Self { event_type, version: own.version.or(defaults.version).unwrap_or(1), topic, aggregate })
    }

    pub(super) fn is_twin_of(&self, other: &Self) -> bool {
        self.event_type.value() == other.event_type.value() && self.version == other.version
    }
}

fn no_topic(item: &Ident) -> syn::Error {
    syn::Error::new(
        item.span(),
        format!(
            "`{item}` has no topic: add `topic = \"orders\"`, or `aggregate = \"order\"`, \
             whose name is then the topic"
        ),
    )
}

fn version(attributes: &mut Attributes) -> syn::Result<Option<u32>> {
    let Some(entry) = attributes.take("version") else { return Ok(None) };
    let literal = entry.integer("version = 1")?;
    // The log stores it as a 32-bit integer.
    match literal.base10_parse::<i32>().ok().and_then(|version| u32::try_from(version).ok()) {
        Some(version) if version >= 1 => Ok(Some(version)),
        _ => Err(syn::Error::new(
            literal.span(),
            format!("expected a version from 1 to {}, found {literal}", i32::MAX),
        )),
    }
}

fn name(attributes: &mut Attributes, key: &str, example: &str) -> syn::Result<Option<LitStr>> {
    attributes.take(key).map(|entry| checked_name(entry, key, example)).transpose()
}

fn checked_name(entry: Entry, key: &str, example: &str) -> syn::Result<LitStr> {
    let literal = entry.string(example)?;
    let text = literal.value();
    let refuse = |span: Span, what: String| Err(syn::Error::new(span, what));
    if text.trim().is_empty() {
        return refuse(literal.span(), format!("`{key}` is empty; expected `{example}`"));
    }
    if text.len() > MAX_NAME_LEN {
        let found = text.len();
        return refuse(
            literal.span(),
            format!("`{key}` is too long: expected at most {MAX_NAME_LEN} bytes, found {found}"),
        );
    }
    if text.chars().any(char::is_control) || text.trim() != text {
        return refuse(
            literal.span(),
            format!("`{key}` has control characters or space around it; expected `{example}`"),
        );
    }
    Ok(literal)
}
