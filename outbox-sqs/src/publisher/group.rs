//! Which group a message is of, and by what a FIFO queue knows its copies, as pure code.

use std::fmt::Write as _;

use outbox_core::{message::Message, wire::partition_key};
use sha2::{Digest as _, Sha256};

use crate::queue::QueueKind;

/// The most characters of a group id.
const MAX_GROUP_LEN: usize = 128;

/// By what messages are grouped in a queue: their `MessageGroupId`.
///
/// On a FIFO queue a group is an order: its messages are delivered one after the other. On a standard queue it is a
/// tenant of a [fair queue](https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-fair-queues.html):
/// one that has much to do does not keep the others waiting, and no order is promised.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum GroupBy {
    /// By the event's aggregate, its type and id: `order/42`. An event without an aggregate is a group by itself on a
    /// FIFO queue, and of no group on a standard one.
    Aggregate,
    /// By the value of a header, such as `tenant`. An event without it, or with an empty one, is grouped by its
    /// aggregate.
    ///
    /// On a FIFO queue an aggregate keeps its order only where all its events have the same value; the events of
    /// several aggregates with one value are delivered one after the other, in no promised order among the aggregates.
    Header(String),
}

/// What SQS is told of a message beside its body and attributes.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Label {
    /// The `MessageGroupId`.
    pub(super) group: Option<String>,
    /// The `MessageDeduplicationId`, by which a FIFO queue drops a copy within five minutes.
    pub(super) deduplication: Option<String>,
}

impl Label {
    /// The label of a message for a queue of this kind. Without a wish FIFO queues are grouped by aggregate, standard
    /// ones not at all.
    pub(super) fn of(message: &Message, kind: QueueKind, by: Option<&GroupBy>) -> Self {
        let wished = by.and_then(|by| group(message, by));
        match kind {
            QueueKind::Standard => Self { group: wished, deduplication: None },
            QueueKind::Fifo => Self {
                group: wished
                    .or_else(|| group(message, &GroupBy::Aggregate))
                    .or_else(|| Some(message.id.to_string())),
                deduplication: Some(deduplication(message)),
            },
        }
    }
}

fn group(message: &Message, by: &GroupBy) -> Option<String> {
    let aggregate = || partition_key(message);
    match by {
        GroupBy::Aggregate => aggregate(),
        GroupBy::Header(name) => {
            let value = message.headers.get(name).filter(|value| !value.is_empty());
            value.map(ToOwned::to_owned).or_else(aggregate)
        }
    }
    .map(allowed)
}

/// The id as it is, or its hash where SQS would not take it.
///
/// The two cannot be the same for two aggregates: the key of an aggregate has a slash, a hash has none.
fn allowed(id: String) -> String {
    // Letters, digits and punctuation of ASCII; not the space.
    if id.len() <= MAX_GROUP_LEN && id.bytes().all(|byte| byte.is_ascii_graphic()) {
        return id;
    }
    let mut hash = String::with_capacity(64);
    for byte in Sha256::digest(&id) {
        write!(hash, "{byte:02x}").expect("a string takes all that is written");
    }
    hash
}

/// Each event once; and a replay that is to be processed again is not the copy that it looks like.
fn deduplication(message: &Message) -> String {
    match message.replay {
        None => message.id.to_string(),
        Some(replay) => format!("{}.{replay}", message.id),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;
    use uuid::Uuid;

    use super::*;

    fn message(aggregate: Option<(&str, &str)>) -> Message {
        let mut message = Message::new(Uuid::from_u128(1), "/shop", "orders", "order.placed", "{}");
        message.aggregate_type = aggregate.map(|(kind, _)| kind.to_owned());
        message.aggregate_id = aggregate.map(|(_, id)| id.to_owned());
        message
    }

    fn fifo_group(aggregate: Option<(&str, &str)>) -> String {
        Label::of(&message(aggregate), QueueKind::Fifo, None).group.expect("each has one on a FIFO queue")
    }

    #[test]
    fn a_group_of_a_fifo_queue_is_an_aggregate_and_else_the_event_itself() {
        assert_eq!(fifo_group(Some(("order", "42"))), "order/42");
        assert_eq!(fifo_group(Some(("order", "a/b"))), "order/a/b");
        assert_eq!(fifo_group(None), Uuid::from_u128(1).to_string());
    }

    #[test]
    fn what_sqs_does_not_take_as_a_group_id_is_hashed() {
        let longest = "x".repeat(MAX_GROUP_LEN - "order/".len());
        assert_eq!(fifo_group(Some(("order", &longest))), format!("order/{longest}"));
        // `printf 'order/Zoë' | sha256sum`
        let known = "7bfdb6760c22b55b0c8733122d2454cefeaada98eb5b83cd9e36c97646aae937";
        assert_eq!(fifo_group(Some(("order", "Zoë"))), known);
        for id in [format!("{longest}x").as_str(), "with a space", "tab\t", "\u{7f}"] {
            let group = fifo_group(Some(("order", id)));
            assert!(
                group.len() == 64 && group.bytes().all(|byte| byte.is_ascii_hexdigit()),
                "{id:?}: {group}"
            );
        }
    }

    #[test]
    fn a_standard_queue_has_groups_only_where_they_are_asked_for() {
        let label = |message: &Message, by: Option<&GroupBy>| Label::of(message, QueueKind::Standard, by);
        let with = message(Some(("order", "42")));
        assert_eq!(label(&with, None), Label::default());
        assert_eq!(label(&with, Some(&GroupBy::Aggregate)).group.as_deref(), Some("order/42"));
        let asked = label(&message(None), Some(&GroupBy::Aggregate));
        assert_eq!(asked, Label::default(), "a tenant for each event would be no tenant");
    }

    #[test]
    fn a_header_names_the_group_and_the_aggregate_stands_in_for_it() {
        let tenant = GroupBy::Header("tenant".to_owned());
        for kind in [QueueKind::Standard, QueueKind::Fifo] {
            let of = |message: &Message| Label::of(message, kind, Some(&tenant)).group;
            let mut sent = message(Some(("order", "42")));
            assert_eq!(of(&sent).as_deref(), Some("order/42"));
            sent.headers.insert("tenant", "");
            assert_eq!(of(&sent).as_deref(), Some("order/42"), "SQS takes no empty group id");
            sent.headers.insert("tenant", "acme");
            assert_eq!(of(&sent).as_deref(), Some("acme"));
            sent.headers.insert("tenant", "Zoë & sons");
            assert_eq!(of(&sent).map(|group| group.len()), Some(64));
        }
        let of = |kind| Label::of(&message(None), kind, Some(&tenant)).group;
        assert_eq!(of(QueueKind::Standard), None);
        assert_eq!(of(QueueKind::Fifo), Some(Uuid::from_u128(1).to_string()));
    }

    #[test]
    fn a_replay_that_is_to_be_processed_again_is_no_copy() {
        let of = |message: &Message, kind| Label::of(message, kind, None).deduplication;
        let mut sent = message(Some(("order", "42")));
        assert_eq!(of(&sent, QueueKind::Standard), None, "a standard queue refuses it");
        let first = of(&sent, QueueKind::Fifo).expect("each has one");
        assert_eq!(first, sent.id.to_string());
        sent.replay = Some(Uuid::from_u128(2));
        let again = of(&sent, QueueKind::Fifo).expect("each has one");
        assert_eq!(again, format!("{first}.{}", Uuid::from_u128(2)));
        assert!(again.len() <= MAX_GROUP_LEN);
    }

    proptest! {
        #[test]
        fn two_aggregates_never_share_a_group_and_each_id_is_allowed(
            aggregates in prop::collection::vec(("[a/%é ]{0,3}", "[a/%é ]{0,3}|x{126,130}"), 2..20),
        ) {
            let mut seen = BTreeMap::new();
            for (kind, id) in &aggregates {
                let group = fifo_group(Some((kind, id)));
                prop_assert!((1..=MAX_GROUP_LEN).contains(&group.len()));
                prop_assert!(group.bytes().all(|byte| byte.is_ascii_graphic()), "{}", group);
                let first = seen.entry(group).or_insert((kind, id));
                prop_assert_eq!(*first, (kind, id));
            }
        }
    }
}
