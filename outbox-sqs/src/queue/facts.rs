//! What a queue says of itself, as pure code.

use std::{collections::HashMap, time::Duration};

use aws_sdk_sqs::types::QueueAttributeName;
use serde_json::Value;

use super::QueueKind;

/// The attributes of a queue that matter here. What a server does not tell is `None`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Facts {
    /// Whether it keeps order and drops copies.
    pub(crate) kind: Option<QueueKind>,
    /// The largest message that it takes, in bytes.
    pub(crate) max_message_bytes: Option<usize>,
    /// How long it keeps a message.
    pub(crate) retention: Option<Duration>,
    /// Where it moves a message that was received too often.
    pub(crate) redrive: Option<Redrive>,
}

/// A redrive policy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Redrive {
    /// The ARN of the dead-letter queue.
    pub(crate) dead_letter_arn: String,
    /// A message that was received so often goes there instead of being received once more.
    pub(crate) max_receive_count: u64,
}

impl Facts {
    /// Reads the answer of `GetQueueAttributes`. A value that cannot be read counts as not told.
    pub(crate) fn of(attributes: &HashMap<QueueAttributeName, String>) -> Self {
        let text = |name| attributes.get(&name).map(String::as_str);
        Self {
            // A standard queue does not have the attribute at all.
            kind: text(QueueAttributeName::QueueArn).map(|_| {
                let is_fifo =
                    text(QueueAttributeName::FifoQueue).is_some_and(|fifo| fifo.eq_ignore_ascii_case("true"));
                if is_fifo { QueueKind::Fifo } else { QueueKind::Standard }
            }),
            max_message_bytes: text(QueueAttributeName::MaximumMessageSize)
                .and_then(|size| size.parse().ok()),
            retention: text(QueueAttributeName::MessageRetentionPeriod)
                .and_then(|seconds| seconds.parse().ok())
                .map(Duration::from_secs),
            redrive: text(QueueAttributeName::RedrivePolicy).and_then(Redrive::parse),
        }
    }
}

impl Redrive {
    fn parse(policy: &str) -> Option<Self> {
        let policy: Value = serde_json::from_str(policy).ok()?;
        // AWS writes a number, some tools write text.
        let count = &policy["maxReceiveCount"];
        let max_receive_count = count.as_u64().or_else(|| count.as_str()?.parse().ok())?;
        Some(Self { dead_letter_arn: policy["deadLetterTargetArn"].as_str()?.to_owned(), max_receive_count })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts(attributes: &[(QueueAttributeName, &str)]) -> Facts {
        Facts::of(&attributes.iter().map(|(name, value)| (name.clone(), (*value).to_owned())).collect())
    }

    #[test]
    fn a_queue_says_its_kind_its_limits_and_its_dead_letter_queue() {
        let arn = "arn:aws:sqs:eu-central-1:1:orders-dead.fifo";
        let told = facts(&[
            (QueueAttributeName::QueueArn, "arn:aws:sqs:eu-central-1:1:orders.fifo"),
            (QueueAttributeName::FifoQueue, "true"),
            (QueueAttributeName::MaximumMessageSize, "262144"),
            (QueueAttributeName::MessageRetentionPeriod, "345600"),
            (
                QueueAttributeName::RedrivePolicy,
                &format!(r#"{{"deadLetterTargetArn":"{arn}","maxReceiveCount":5}}"#),
            ),
        ]);
        let expected = Facts {
            kind: Some(QueueKind::Fifo),
            max_message_bytes: Some(256 * 1024),
            retention: Some(Duration::from_secs(4 * 24 * 3600)),
            redrive: Some(Redrive { dead_letter_arn: arn.to_owned(), max_receive_count: 5 }),
        };
        assert_eq!(told, expected);
    }

    #[test]
    fn what_is_not_told_or_cannot_be_read_is_unknown() {
        assert_eq!(facts(&[]), Facts::default());
        let told = facts(&[
            (QueueAttributeName::QueueArn, "arn:aws:sqs:eu-central-1:1:orders"),
            (QueueAttributeName::MaximumMessageSize, "large"),
            (QueueAttributeName::RedrivePolicy, "{}"),
        ]);
        assert_eq!(told, Facts { kind: Some(QueueKind::Standard), ..Facts::default() });
    }

    #[test]
    fn the_count_of_receives_may_be_text() {
        let policy = r#"{"deadLetterTargetArn":"arn:aws:sqs:x:1:d","maxReceiveCount":"3"}"#;
        let told = facts(&[(QueueAttributeName::RedrivePolicy, policy)]);
        assert_eq!(told.redrive.map(|redrive| redrive.max_receive_count), Some(3));
    }
}
