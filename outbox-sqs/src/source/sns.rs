//! A notification of Amazon SNS as it is in a queue that a topic delivers to, as pure code.
//!
//! Unless the subscription asks for raw delivery, SNS puts what was published into a JSON object: the body as text in
//! `Message`, the attributes as `{"name": {"Type": .., "Value": ..}}` in `MessageAttributes`. The SQS message then has
//! no attributes of its own. Other members (`Subject`, `Timestamp`, the signature, on a FIFO topic `SequenceNumber`) say
//! nothing that a consumer needs.

use std::collections::BTreeMap;

use serde_json::Value;

/// What was published to the topic.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Notification {
    pub(super) message: String,
    pub(super) attributes: BTreeMap<String, String>,
}

/// Reads a body as a notification. `None` for anything else, however much it looks alike: then it is the message itself.
pub(super) fn notification(body: &str) -> Option<Notification> {
    // Most bodies are none: they are not parsed twice.
    if !body.contains("\"TopicArn\"") {
        return None;
    }
    let mut envelope: Value = serde_json::from_str(body).ok()?;
    let text = |name: &str| envelope.get(name).and_then(Value::as_str);
    let is_notification = text("Type") == Some("Notification")
        && text("TopicArn").is_some_and(is_topic)
        && text("MessageId").is_some_and(|id| !id.is_empty());
    if !is_notification {
        return None;
    }
    let attributes = match envelope.get_mut("MessageAttributes").map(Value::take) {
        None => BTreeMap::new(),
        Some(named) => attributes(named)?,
    };
    match envelope.get_mut("Message").map(Value::take) {
        Some(Value::String(message)) => Some(Notification { message, attributes }),
        _ => None,
    }
}

/// The attributes with text. Binary ones are somebody else's, as those of SQS are: we send none.
fn attributes(named: Value) -> Option<BTreeMap<String, String>> {
    let Value::Object(named) = named else { return None };
    let mut attributes = BTreeMap::new();
    for (name, mut attribute) in named {
        let is_binary = attribute.get("Type")?.as_str()?.starts_with("Binary");
        let Value::String(text) = attribute.get_mut("Value")?.take() else { return None };
        if !is_binary {
            attributes.insert(name, text);
        }
    }
    Some(attributes)
}

/// `arn:aws:sns:REGION:ACCOUNT:NAME`, in any partition of AWS.
fn is_topic(arn: &str) -> bool {
    let parts: Vec<&str> = arn.split(':').collect();
    matches!(parts[..], ["arn", _, "sns", _, _, name] if !name.is_empty())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn envelope() -> Value {
        json!({
            "Type": "Notification",
            "MessageId": "dc1e94d9-56c5-5e96-808d-cc7f68faa162",
            "TopicArn": "arn:aws:sns:us-east-2:111122223333:ExampleTopic1",
            "Subject": "TestSubject",
            "Message": "This is a test message.",
            "Timestamp": "2021-02-16T21:41:19.978Z",
            "SignatureVersion": "1",
            "Signature": "FMG5tlZhJNHLHUXvZgtZzlk24FzVa7oX0T4P03neeXw8ZEXZx6z35j2FOTuNYShn2h0bKNC/zLTnMyIxEzmi2X1shOBWsJHkrW2xkR58ABZF+4uWHEE73yDVR4SyYAikP9jstZzDRm+bcVs8+T0yaLiEGLrIIL4esi1llhIkgErCuy5btPcWXBdio2fpCRD5x9oR6gmE/rd5O7lX1c1uvnv4r1Lkk4pqP2/iUfxFZva1xLSRvgyfm6D9hNklVyPfy+7TalMD0lzmJuOrExtnSIbZew3foxgx8GT+lbZkLd0ZdtdRJlIyPRP44eyq78sU0Eo/LsDr0Iak4ZDpg8dXg==",
            "SigningCertURL": "https://sns.us-east-2.amazonaws.com/SimpleNotificationService-010a507c1833636cd94bdb98bd93083a.pem",
            "UnsubscribeURL": "https://sns.us-east-2.amazonaws.com/?Action=Unsubscribe&SubscriptionArn=arn:aws:sns:us-east-2:111122223333:ExampleTopic1:e1039402-24e7-40a3-a0d4-797da162b297"
        })
    }

    fn read(envelope: &Value) -> Option<Notification> {
        notification(&envelope.to_string())
    }

    /// The example of the developer guide of SNS.
    #[test]
    fn the_message_of_a_notification_is_what_was_published() {
        let expected =
            Notification { message: "This is a test message.".to_owned(), attributes: BTreeMap::new() };
        assert_eq!(read(&envelope()), Some(expected));

        let mut without_subject = envelope();
        without_subject.as_object_mut().expect("an object").remove("Subject");
        assert!(read(&without_subject).is_some());
        let spaced = serde_json::to_string_pretty(&envelope()).expect("JSON");
        assert!(notification(&spaced).is_some(), "SNS writes it over several lines");
    }

    #[test]
    fn attributes_of_a_notification_are_text_and_binary_ones_are_left_out() {
        let mut with_attributes = envelope();
        with_attributes["MessageAttributes"] = json!({
            "store": { "Type": "String", "Value": "example_corp" },
            "price_usd": { "Type": "Number", "Value": "210.75" },
            "customer_interests": { "Type": "String.Array", "Value": "[\"soccer\",\"rugby\"]" },
            "picture": { "Type": "Binary", "Value": "AAEC" },
        });
        let found = read(&with_attributes).expect("a notification").attributes;
        let expected = [
            ("customer_interests", "[\"soccer\",\"rugby\"]"),
            ("price_usd", "210.75"),
            ("store", "example_corp"),
        ];
        assert_eq!(found, expected.map(|(name, text)| (name.to_owned(), text.to_owned())).into());
    }

    #[test]
    fn a_notification_of_a_fifo_topic_and_of_another_partition_is_one_too() {
        let mut fifo = envelope();
        fifo["SequenceNumber"] = json!("10000000000000003000");
        fifo["TopicArn"] = json!("arn:aws-cn:sns:cn-north-1:111122223333:orders.fifo");
        assert_eq!(read(&fifo).expect("a notification").message, "This is a test message.");
    }

    #[test]
    fn what_only_looks_like_a_notification_is_left_as_it_is() {
        for (member, value) in [
            ("Type", json!("SubscriptionConfirmation")),
            ("Type", json!("notification")),
            ("Type", Value::Null),
            ("TopicArn", json!("arn:aws:sqs:us-east-2:111122223333:ExampleTopic1")),
            ("TopicArn", json!("orders")),
            ("TopicArn", json!("arn:aws:sns:us-east-2:111122223333:")),
            ("TopicArn", json!("arn:aws:sns:us-east-2:111122223333:ExampleTopic1:subscription")),
            ("MessageId", json!("")),
            ("MessageId", json!(7)),
            ("Message", json!({ "an": "object" })),
            ("Message", Value::Null),
            ("MessageAttributes", json!([])),
            ("MessageAttributes", json!({ "store": "example_corp" })),
            ("MessageAttributes", json!({ "store": { "Value": "example_corp" } })),
            ("MessageAttributes", json!({ "price": { "Type": "Number", "Value": 210.75 } })),
        ] {
            let mut alike = envelope();
            alike[member] = value.clone();
            assert_eq!(read(&alike), None, "{member}: {value}");
            alike.as_object_mut().expect("an object").remove(member);
            assert_eq!(read(&alike).is_some(), member == "MessageAttributes", "without {member}");
        }
        for body in ["", "null", "\"TopicArn\"", "[\"TopicArn\"]", "{\"TopicArn\": "] {
            assert_eq!(notification(body), None, "{body}");
        }
    }
}
