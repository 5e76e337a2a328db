//! A message of SQS as a consumer's delivery, as pure code.

use std::collections::BTreeMap;

use aws_sdk_sqs::types::{Message, MessageSystemAttributeName};
use outbox_core::{
    source::{Incoming, Receipt},
    wire,
};

use crate::attributes::unfold;

/// Reads a message. `None` for one without a receipt handle, which cannot be acknowledged: SQS always
/// gives one.
pub(super) fn incoming(message: Message) -> Option<Incoming> {
    let receipt = Receipt(message.receipt_handle?.into());
    let system = message.attributes.unwrap_or_default();
    let attempt = system.get(&MessageSystemAttributeName::ApproximateReceiveCount);
    let attributes: BTreeMap<String, String> = message
        .message_attributes
        .unwrap_or_default()
        .into_iter()
        // Binary attributes are somebody else's: we send none.
        .filter_map(|(name, value)| Some((name, value.string_value?)))
        .collect();
    Some(Incoming {
        receipt,
        broker_id: message.message_id,
        attempt: attempt.and_then(|count| count.parse().ok()).unwrap_or(1),
        // A standard queue keeps no order within a group.
        group: None,
        message: wire::decode(message.body.as_deref().unwrap_or_default(), &unfold(attributes)),
    })
}

#[cfg(test)]
mod tests {
    use aws_sdk_sqs::{primitives::Blob, types::MessageAttributeValue};

    use super::*;

    #[test]
    fn a_body_that_is_no_message_is_still_a_delivery_that_can_be_acknowledged() {
        let binary =
            MessageAttributeValue::builder().data_type("Binary").binary_value(Blob::new([1])).build();
        let message = Message::builder()
            .body("not a message")
            .receipt_handle("handle")
            .message_id("42")
            .attributes(MessageSystemAttributeName::ApproximateReceiveCount, "7")
            .message_attributes("theirs", binary.expect("a data type"))
            .build();

        let incoming = incoming(message).expect("a receipt handle");
        assert_eq!(&*incoming.receipt.0, "handle");
        assert_eq!(incoming.broker_id.as_deref(), Some("42"), "how a log names it");
        assert_eq!(incoming.attempt, 7);
        assert_eq!(incoming.group, None);
        assert!(incoming.message.is_err(), "{incoming:?}");
    }

    #[test]
    fn a_delivery_that_is_not_counted_is_the_first() {
        let message = Message::builder().body("x").receipt_handle("handle").build();
        assert_eq!(incoming(message).expect("a receipt handle").attempt, 1);
    }
}
