//! What is asked of a queue and how it is held against what is there, as pure code.

use std::{collections::HashMap, ops::RangeInclusive, time::Duration};

use aws_sdk_sqs::types::QueueAttributeName as Attribute;

use super::{DevError, DevQueue};
use crate::queue::{FIFO_SUFFIX, Facts, valid_name};

/// How long the dead-letter queue keeps a message: as long as SQS allows, for somebody has to look at it first.
const DEAD_LETTER_RETENTION: Duration = Duration::from_secs(14 * 24 * 3600);

/// Attributes of a queue, in the words of SQS.
pub(super) type Settings = HashMap<Attribute, String>;

/// A [`DevQueue`] whose settings are in range.
#[derive(Debug)]
pub(super) struct Plan {
    pub(super) name: String,
    pub(super) dead_letter_name: String,
    is_fifo: bool,
    max_receive_count: u32,
    stated: Settings,
}

impl Plan {
    pub(super) fn of(queue: &DevQueue) -> Result<Self, DevError> {
        let bare = queue.name.strip_suffix(FIFO_SUFFIX).unwrap_or(&queue.name);
        let is_fifo = queue.fifo || bare != queue.name;
        let end = if is_fifo { FIFO_SUFFIX } else { "" };
        let name = format!("{bare}{end}");
        let dead_letter_name = format!("{bare}-dead-letters{end}");
        // The longer one, and with the same characters.
        if !valid_name(&dead_letter_name) || bare.is_empty() {
            return Err(DevError::Invalid(format!(
                "expected a name of letters, digits, hyphens and underscores, so short that {dead_letter_name:?} has \
                 at most 80 characters, found {:?}",
                queue.name
            )));
        }
        let found = queue.max_receive_count;
        if !(1..=1_000).contains(&found) {
            return Err(DevError::Invalid(format!(
                "expected a max_receive_count from 1 to 1000, found {found}"
            )));
        }
        let mut stated = Settings::new();
        if let Some(visibility) = queue.visibility_timeout {
            let seconds = seconds("visibility_timeout", visibility, 0..=12 * 3600)?;
            stated.insert(Attribute::VisibilityTimeout, seconds);
        }
        if let Some(retention) = queue.retention {
            let seconds = seconds("retention", retention, 60..=14 * 24 * 3600)?;
            stated.insert(Attribute::MessageRetentionPeriod, seconds);
        }
        Ok(Self { name, dead_letter_name, is_fifo, max_receive_count: found, stated })
    }

    /// Those of the queue itself.
    pub(super) fn settings(&self, dead_letter_arn: &str) -> Settings {
        let policy = serde_json::json!({
            "deadLetterTargetArn": dead_letter_arn,
            "maxReceiveCount": self.max_receive_count,
        });
        let mut settings = self.stated.clone();
        settings.insert(Attribute::RedrivePolicy, policy.to_string());
        settings.extend(self.kind());
        settings
    }

    pub(super) fn dead_letter_settings(&self) -> Settings {
        let retention = (Attribute::MessageRetentionPeriod, DEAD_LETTER_RETENTION.as_secs().to_string());
        std::iter::once(retention).chain(self.kind()).collect()
    }

    /// A standard queue is one that does not say `FifoQueue`; to say that it is not one is an error.
    fn kind(&self) -> Option<(Attribute, String)> {
        self.is_fifo.then(|| (Attribute::FifoQueue, "true".to_owned()))
    }
}

fn seconds(setting: &str, found: Duration, allowed: RangeInclusive<u64>) -> Result<String, DevError> {
    if found.subsec_nanos() == 0 && allowed.contains(&found.as_secs()) {
        return Ok(found.as_secs().to_string());
    }
    let (from, to) = (allowed.start(), allowed.end());
    Err(DevError::Invalid(format!(
        "expected a {setting} of whole seconds from {from} s to {to} s, found {found:?}"
    )))
}

/// What was asked for and is otherwise, in words. Nothing where all is as it should be.
pub(super) fn differences(expected: &Settings, found: &Settings) -> Vec<String> {
    let mut differences: Vec<String> = expected
        .iter()
        .filter(|(name, value)| !is_same(name, value, found))
        .map(|(name, value)| {
            let found = found.get(name).map_or("none", String::as_str);
            format!("{name}: expected {value}, found {found}", name = name.as_str())
        })
        .collect();
    differences.sort();
    differences
}

fn is_same(name: &Attribute, value: &str, found: &Settings) -> bool {
    if *name == Attribute::RedrivePolicy {
        // Not as text: servers write the same policy with other spaces, and its count as text.
        let expected = Settings::from([(name.clone(), value.to_owned())]);
        return Facts::of(&expected).redrive == Facts::of(found).redrive;
    }
    found.get(name).is_some_and(|found| found == value)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ARN: &str = "arn:aws:sqs:us-east-1:1:orders-dead-letters.fifo";

    fn plan(queue: &DevQueue) -> Plan {
        Plan::of(queue).expect("settings in range")
    }

    #[test]
    fn both_queues_are_of_one_kind() {
        for (queue, name, dead, fifo) in [
            (DevQueue::named("orders"), "orders", "orders-dead-letters", None),
            (DevQueue::named("orders").fifo(), "orders.fifo", "orders-dead-letters.fifo", Some("true")),
            (DevQueue::named("orders.fifo"), "orders.fifo", "orders-dead-letters.fifo", Some("true")),
            (DevQueue::named("orders.fifo").fifo(), "orders.fifo", "orders-dead-letters.fifo", Some("true")),
        ] {
            let plan = plan(&queue);
            assert_eq!((&*plan.name, &*plan.dead_letter_name), (name, dead));
            for settings in [plan.settings(ARN), plan.dead_letter_settings()] {
                assert_eq!(settings.get(&Attribute::FifoQueue).map(String::as_str), fifo, "{name}");
            }
        }
    }

    #[test]
    fn what_is_not_stated_is_left_to_sqs() {
        let settings = plan(&DevQueue::named("orders")).settings(ARN);
        assert_eq!(settings.keys().collect::<Vec<_>>(), [&Attribute::RedrivePolicy]);
        assert_eq!(Facts::of(&settings).redrive.expect("a policy").max_receive_count, 5);

        let stated = DevQueue::named("orders")
            .max_receive_count(2)
            .visibility_timeout(Duration::from_secs(7))
            .retention(Duration::from_secs(60));
        let settings = plan(&stated).settings(ARN);
        assert_eq!(settings[&Attribute::VisibilityTimeout], "7");
        assert_eq!(settings[&Attribute::MessageRetentionPeriod], "60");
        assert_eq!(Facts::of(&settings).redrive.expect("a policy").max_receive_count, 2);
    }

    #[test]
    fn a_setting_out_of_range_is_named() {
        let seconds = Duration::from_secs;
        let orders = || DevQueue::named("orders");
        for (queue, named) in [
            (DevQueue::named(""), "expected a name"),
            (DevQueue::named(".fifo"), "expected a name"),
            (DevQueue::named("http://127.0.0.1/1/orders"), "expected a name"),
            (DevQueue::named("n".repeat(68)), "expected a name"),
            (orders().max_receive_count(0), "max_receive_count"),
            (orders().max_receive_count(1_001), "max_receive_count"),
            (orders().visibility_timeout(seconds(12 * 3600 + 1)), "visibility_timeout"),
            (orders().visibility_timeout(Duration::from_millis(1_500)), "visibility_timeout"),
            (orders().retention(seconds(59)), "retention"),
            (orders().retention(seconds(14 * 24 * 3600 + 1)), "retention"),
        ] {
            let error = Plan::of(&queue).expect_err(named).to_string();
            assert!(error.contains(named), "{error}");
        }
        plan(&DevQueue::named("n".repeat(67)));
        plan(
            &orders()
                .visibility_timeout(seconds(0))
                .retention(seconds(14 * 24 * 3600))
                .max_receive_count(1_000),
        );
    }

    #[test]
    fn a_difference_says_what_was_expected_and_what_was_found() {
        let expected =
            plan(&DevQueue::named("orders").visibility_timeout(Duration::from_secs(5))).settings(ARN);
        let mut found = expected.clone();
        found.insert(Attribute::MessageRetentionPeriod, "345600".to_owned());
        let spaced = format!(r#"{{ "maxReceiveCount": "5", "deadLetterTargetArn": "{ARN}" }}"#);
        found.insert(Attribute::RedrivePolicy, spaced);
        assert!(differences(&expected, &found).is_empty(), "the same in other words, and more of it");

        found.insert(Attribute::VisibilityTimeout, "30".to_owned());
        assert_eq!(differences(&expected, &found), ["VisibilityTimeout: expected 5, found 30"]);
        found.remove(&Attribute::RedrivePolicy);
        let differences = differences(&expected, &found);
        assert!(
            differences[0].starts_with("RedrivePolicy") && differences[0].ends_with("none"),
            "{differences:?}"
        );
    }
}
