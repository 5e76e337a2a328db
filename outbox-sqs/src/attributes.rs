//! Message attributes, as pure code.
//!
//! In CloudEvents format the body says everything. Three signposts are set all the same, so that a
//! subscription filter, a pipe or a person at the console need not parse the body:
//! `event_type`, `event_id`, `event_source`. In raw format the attributes *are* the envelope.
//!
//! SQS takes at most ten attributes, in names of its own rules and never empty. What does not fit is
//! not lost: it travels as a JSON object in one attribute, `event_more`.

use std::collections::BTreeMap;

use outbox_core::{
    message::Message,
    wire::{Encoded, WireFormat},
};

use crate::limits::{MAX_ATTRIBUTES, valid_name};

/// Signpost: the stable name of the event type.
const EVENT_TYPE: &str = "event_type";
/// Signpost: the message id.
const EVENT_ID: &str = "event_id";
/// Signpost: the service that published it.
const EVENT_SOURCE: &str = "event_source";
/// The attributes that SQS has no room or no name for, as a JSON object.
const MORE: &str = "event_more";

/// The attributes of a message, ready to be sent.
pub(crate) fn attributes(
    message: &Message,
    format: WireFormat,
    encoded: &mut Encoded,
) -> Vec<(String, String)> {
    let wanted = std::mem::take(&mut encoded.attributes);
    let signposts = match format {
        WireFormat::CloudEvents => vec![
            (EVENT_TYPE.to_owned(), message.event_type.clone()),
            (EVENT_ID.to_owned(), message.id.to_string()),
            (EVENT_SOURCE.to_owned(), message.source.to_string()),
        ],
        WireFormat::Raw => Vec::new(),
    };
    fold(signposts.into_iter().chain(wanted))
}

/// Folds what does not fit into one attribute; the first ones keep a place of their own.
fn fold(wanted: impl IntoIterator<Item = (String, String)>) -> Vec<(String, String)> {
    let (mut own, awkward): (Vec<_>, Vec<_>) =
        wanted.into_iter().partition(|(name, value)| valid_name(name) && name != MORE && !value.is_empty());
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

/// The attributes as they were before they were folded, without the signposts.
pub(crate) fn unfold(mut received: BTreeMap<String, String>) -> BTreeMap<String, String> {
    for signpost in [EVENT_TYPE, EVENT_ID, EVENT_SOURCE] {
        received.remove(signpost);
    }
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
    fn control_characters_in_a_folded_value_are_escaped_for_sqs() {
        let folded = fold([("no name".to_owned(), "bell\u{7}".to_owned())]);
        assert_eq!(crate::limits::invalid_character(&folded[0].1), None);
        assert_eq!(unfold(folded.into_iter().collect())["no name"], "bell\u{7}");
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
