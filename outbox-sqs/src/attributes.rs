//! Message attributes, as pure code.
//!
//! In CloudEvents format the body says everything. `content-type`, `id`, `source` and `type` are set
//! all the same, so that a filter, a pipe or a person at the console need not parse the body. In raw
//! format the attributes *are* the envelope, under the same names: a filter by `type` serves both.
//!
//! SQS takes at most ten attributes, with names and characters of its own rules and never empty. What
//! does not fit is not lost: it travels as a JSON object in one attribute, `more-attributes`.

use std::collections::BTreeMap;

use outbox_core::{
    message::Message,
    wire::{Encoded, WireFormat},
};

use crate::limits::{MAX_ATTRIBUTES, invalid_character, valid_name};

/// What a reader of the body would find there: structured CloudEvents.
const STRUCTURED: &str = "application/cloudevents+json";

/// The attributes that SQS has no room or no name for, as a JSON object. No header can have this name.
const MORE: &str = "more-attributes";

/// The attributes of a message, ready to be sent.
pub(crate) fn attributes(
    message: &Message,
    format: WireFormat,
    encoded: &mut Encoded,
) -> Vec<(String, String)> {
    let wanted = std::mem::take(&mut encoded.attributes);
    let signposts = match format {
        WireFormat::CloudEvents => vec![
            ("content-type".to_owned(), STRUCTURED.to_owned()),
            ("id".to_owned(), message.id.to_string()),
            ("source".to_owned(), message.source.to_string()),
            ("type".to_owned(), message.event_type.clone()),
        ],
        WireFormat::Raw => Vec::new(),
    };
    fold(signposts.into_iter().chain(wanted))
}

/// Folds what does not fit into one attribute; the first ones keep a place of their own.
fn fold(wanted: impl IntoIterator<Item = (String, String)>) -> Vec<(String, String)> {
    let (mut own, awkward): (Vec<_>, Vec<_>) = wanted.into_iter().partition(|(name, value)| {
        valid_name(name) && name != MORE && !value.is_empty() && invalid_character(value).is_none()
    });
    let mut more: BTreeMap<String, String> = awkward.into_iter().collect();
    let room = if more.is_empty() { MAX_ATTRIBUTES } else { MAX_ATTRIBUTES - 1 };
    if own.len() > room {
        more.extend(own.split_off(MAX_ATTRIBUTES - 1));
    }
    if !more.is_empty() {
        let object = serde_json::Value::from_iter(more);
        own.push((MORE.to_owned(), object.to_string()));
    }
    own
}

/// The attributes as they were before they were folded.
pub(crate) fn unfold(mut received: BTreeMap<String, String>) -> BTreeMap<String, String> {
    // Somebody else's attribute of the same name is kept as it is.
    if let Some(more) =
        received.get(MORE).and_then(|object| serde_json::from_str::<BTreeMap<String, String>>(object).ok())
    {
        received.remove(MORE);
        received.extend(more);
    }
    received
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::size;

    fn numbered(count: usize) -> Vec<(String, String)> {
        (0..count).map(|number| (format!("n{number:02}"), number.to_string())).collect()
    }

    #[test]
    fn ten_attributes_fit_and_the_eleventh_is_not_lost() {
        assert_eq!(fold(numbered(10)), numbered(10));

        let folded = fold(numbered(12));
        assert_eq!(folded.len(), 10);
        assert_eq!(folded[..9], numbered(12)[..9], "the important ones keep a place of their own");
        assert_eq!(folded[9], (MORE.to_owned(), r#"{"n09":"9","n10":"10","n11":"11"}"#.to_owned()));
        assert_eq!(unfold(folded.into_iter().collect()), numbered(12).into_iter().collect());
    }

    #[test]
    fn awkward_names_and_empty_values_travel_too() {
        let mut wanted = numbered(10);
        wanted.insert(0, ("naïve name".to_owned(), "ü".to_owned()));
        wanted.insert(3, ("AWS.reserved".to_owned(), "x".to_owned()));
        wanted.push(("empty".to_owned(), String::new()));
        wanted.push((MORE.to_owned(), "a header of that name".to_owned()));

        let folded = fold(wanted.clone());
        assert_eq!(folded.len(), MAX_ATTRIBUTES);
        assert!(folded.iter().all(|(name, value)| valid_name(name) && !value.is_empty()));
        assert_eq!(unfold(folded.into_iter().collect()), wanted.into_iter().collect());
    }

    #[test]
    fn one_awkward_attribute_among_ten_makes_room_for_the_fold() {
        let mut wanted = numbered(9);
        wanted.push(("no name".to_owned(), "x".to_owned()));
        assert_eq!(fold(wanted).len(), 10);

        let mut wanted = numbered(10);
        wanted.push(("no name".to_owned(), "x".to_owned()));
        let folded = fold(wanted.clone());
        assert_eq!(folded.len(), 10);
        assert_eq!(unfold(folded.into_iter().collect()), wanted.into_iter().collect());
    }

    #[test]
    fn control_characters_in_a_value_are_escaped() {
        let folded = fold([("subject".to_owned(), "bell\u{7}".to_owned())]);
        assert_eq!(invalid_character(&folded[0].1), None);
        assert_eq!(unfold(folded.into_iter().collect())["subject"], "bell\u{7}");
    }

    #[test]
    fn an_attribute_of_somebody_else_with_our_name_is_kept() {
        let received = BTreeMap::from([(MORE.to_owned(), "no JSON".to_owned())]);
        assert_eq!(unfold(received.clone()), received);
    }

    #[test]
    fn nothing_to_send_is_nothing() {
        assert_eq!(size("", &fold([])), 0);
    }
}
