//! A message of SQS as a consumer's delivery, as pure code.

use aws_sdk_sqs::types::{Message, MessageSystemAttributeName};
use outbox_core::{
    source::{Incoming, Receipt},
    wire,
};

use super::sns::{self, Notification};
use crate::{attributes::unfold, queue::QueueKind};

/// Reads a message. `None` for one without a receipt handle, which cannot be acknowledged: SQS always
/// gives one.
pub(super) fn incoming(message: Message, kind: QueueKind) -> Option<Incoming> {
    let receipt = Receipt(message.receipt_handle?.into());
    let mut system = message.attributes.unwrap_or_default();
    let attempt = system.remove(&MessageSystemAttributeName::ApproximateReceiveCount);
    let group = system.remove(&MessageSystemAttributeName::MessageGroupId);
    let own = message.message_attributes.unwrap_or_default();
    let body = message.body.unwrap_or_default();
    // Raw delivery of SNS has attributes of its own: then the body is the message, whatever it looks like.
    let notification = if own.is_empty() { sns::notification(&body) } else { None };
    let (body, attributes) = match notification {
        Some(Notification { message, attributes }) => (message, attributes),
        // Binary attributes are somebody else's: we send none.
        None => {
            (body, own.into_iter().filter_map(|(name, value)| Some((name, value.string_value?))).collect())
        }
    };
    Some(Incoming {
        receipt,
        broker_id: message.message_id,
        attempt: attempt.and_then(|count| count.parse().ok()).unwrap_or(1),
        group: match kind {
            QueueKind::Fifo => group,
            // There a group is about fair shares and promises no order.
            QueueKind::Standard => None,
        },
        message: wire::decode(&body, &unfold(attributes)),
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

        let incoming = incoming(message, QueueKind::Standard).expect("a receipt handle");
        assert_eq!(&*incoming.receipt.0, "handle");
        assert_eq!(incoming.broker_id.as_deref(), Some("42"), "how a log names it");
        assert_eq!(incoming.attempt, 7);
        assert_eq!(incoming.group, None);
        assert!(incoming.message.is_err(), "{incoming:?}");
    }

    #[test]
    fn a_group_orders_a_fifo_queue_and_only_shares_a_standard_one() {
        let message = Message::builder()
            .body("x")
            .receipt_handle("handle")
            .attributes(MessageSystemAttributeName::MessageGroupId, "order/42")
            .build();
        let group = |kind| incoming(message.clone(), kind).expect("a receipt handle").group;
        assert_eq!(group(QueueKind::Fifo).as_deref(), Some("order/42"));
        assert_eq!(group(QueueKind::Standard), None);
    }

    fn notified(message: &str, attributes: &serde_json::Value) -> String {
        let envelope = serde_json::json!({
            "Type": "Notification", "MessageId": "dc1e94d9", "TopicArn": "arn:aws:sns:us-east-2:1:orders",
            "Message": message, "MessageAttributes": attributes,
        });
        envelope.to_string()
    }

    #[test]
    fn what_came_through_sns_is_read_in_both_formats() {
        let event =
            r#"{"specversion":"1.0","id":"7","source":"/shop","type":"order.placed","data":{"n":1.50}}"#;
        let attribute = |value| serde_json::json!({ "Type": "String", "Value": value });
        let raw = serde_json::json!({
            "id": attribute("7"), "source": attribute("/shop"),
            // More than SQS has room for travels folded, also through a topic.
            "more-attributes": attribute(r#"{"type":"order.placed"}"#),
        });
        for body in [notified(event, &serde_json::json!({})), notified(r#"{"n":1.50}"#, &raw)] {
            let message = Message::builder().body(body).receipt_handle("handle").message_id("42").build();
            let incoming = incoming(message, QueueKind::Standard).expect("a receipt handle");
            assert_eq!(incoming.broker_id.as_deref(), Some("42"), "the queue's own id, which its tools show");
            let message = incoming.message.expect("an event");
            assert_eq!(
                (&*message.id, &*message.source, &*message.event_type),
                ("7", "/shop", "order.placed")
            );
            assert_eq!(message.payload, r#"{"n":1.50}"#, "byte for byte");
        }
    }

    #[test]
    fn a_message_with_attributes_of_its_own_is_no_envelope_of_sns() {
        let text = |value: &str| {
            MessageAttributeValue::builder().data_type("String").string_value(value).build().expect("a type")
        };
        let body = notified("{}", &serde_json::json!({}));
        let message = Message::builder().body(&body).receipt_handle("handle");
        let message = message.message_attributes("id", text("7")).message_attributes("source", text("/shop"));
        let message = message.message_attributes("type", text("order.placed")).build();
        let incoming = incoming(message, QueueKind::Standard).expect("a receipt handle");
        assert_eq!(incoming.message.expect("a raw event").payload, body);
    }

    #[test]
    fn a_delivery_that_is_not_counted_is_the_first() {
        let message = Message::builder().body("x").receipt_handle("handle").build();
        assert_eq!(incoming(message, QueueKind::Standard).expect("a receipt handle").attempt, 1);
    }
}
