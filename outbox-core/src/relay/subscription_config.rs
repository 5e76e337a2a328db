//! The choices of a subscription as a service's configuration has them.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use serde::{Deserialize, Deserializer};

use super::{
    OnDead, RateLimit,
    limits::Limits,
    policy::{Policy, ReceiptPolicy},
};
use crate::{
    log::Ordering,
    retry::RetryPolicy,
    settings::{ConfigError, duration_text},
};

/// The choices of a subscription, to be read from a service's own configuration and given to
/// [`Subscription::config`](super::Subscription::config).
///
/// What is left out has its default, an unknown field is an error, and so is a value out of range. Durations are written
/// `"250ms"`, `"30s"`, `"5m"`, `"7d"`; retry policies as [`RetryPolicy`] says, rate limits as [`RateLimit`].
///
/// ```
/// # use outbox_core::relay::{OnDead, SubscriptionConfig};
/// let config: SubscriptionConfig = serde_json::from_str(r#"{
///     "retry": {"exponential": {"base": "1s", "ceiling": "5m", "max_attempts": 10}},
///     "retry_for": {"order.archived": "none"},
///     "on_dead": "block",
///     "rate_limit": {"per_second": 50, "per_day": 100000},
///     "linger": "20ms"
/// }"#)?;
/// assert_eq!(config.on_dead, OnDead::Block);
/// # Ok::<_, serde_json::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(remote = "Self", default, deny_unknown_fields)]
pub struct SubscriptionConfig {
    /// See [`Subscription::topics`](super::Subscription::topics).
    pub topics: Option<BTreeSet<String>>,
    /// See [`Subscription::retry`](super::Subscription::retry).
    pub retry: RetryPolicy,
    /// See [`Subscription::retry_for`](super::Subscription::retry_for); by event type.
    pub retry_for: BTreeMap<String, RetryPolicy>,
    /// `"skip"` or `"block"`: see [`Subscription::on_dead`](super::Subscription::on_dead).
    pub on_dead: OnDead,
    /// `"aggregate"`, `"total"` or `"none"`: see [`Subscription::ordering`](super::Subscription::ordering).
    pub ordering: Ordering,
    /// See [`Subscription::dead_letter_topic`](super::Subscription::dead_letter_topic).
    pub dead_letter_topic: Option<String>,
    /// See [`Subscription::receipts`](super::Subscription::receipts).
    pub receipts: bool,
    /// See [`Subscription::await_ack`](super::Subscription::await_ack).
    #[serde(deserialize_with = "duration_text::deserialize_option")]
    pub await_ack: Option<Duration>,
    /// See [`Subscription::resend_unacknowledged`](super::Subscription::resend_unacknowledged).
    pub resend_unacknowledged: bool,
    /// See [`Subscription::rate_limit`](super::Subscription::rate_limit).
    pub rate_limit: Option<RateLimit>,
    /// See [`Subscription::linger`](super::Subscription::linger).
    #[serde(deserialize_with = "duration_text::deserialize")]
    pub linger: Duration,
    /// See [`Subscription::max_in_flight`](super::Subscription::max_in_flight).
    pub max_in_flight: Option<usize>,
}

impl SubscriptionConfig {
    /// Checks every field.
    ///
    /// # Errors
    /// The first field that is out of range.
    pub fn validate(&self) -> Result<(), ConfigError> {
        self.policy().validate()?;
        self.limits().validate()
    }

    pub(super) fn policy(&self) -> Policy {
        let is_remembered = self.receipts || self.await_ack.is_some() || self.resend_unacknowledged;
        Policy {
            retry: self.retry.clone(),
            retry_for: self.retry_for.clone().into_iter().collect(),
            on_dead: self.on_dead,
            ordering: self.ordering,
            dead_letter_topic: self.dead_letter_topic.clone(),
            receipts: is_remembered
                .then_some(ReceiptPolicy { ack_within: self.await_ack, resend: self.resend_unacknowledged }),
        }
    }

    pub(super) fn limits(&self) -> Limits {
        Limits { rate: self.rate_limit, linger: self.linger, max_in_flight: self.max_in_flight }
    }
}

impl<'de> Deserialize<'de> for SubscriptionConfig {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        // The derive's own function; `remote` leaves this impl to us, so that nothing unchecked comes out.
        let config = Self::deserialize(deserializer)?;
        config.validate().map_err(serde::de::Error::custom)?;
        Ok(config)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_can_be_read_and_what_is_left_out_has_its_default() {
        let read = |text| serde_json::from_str::<SubscriptionConfig>(text).expect("valid");
        assert_eq!(read("{}"), SubscriptionConfig::default());
        let expected = SubscriptionConfig {
            topics: Some(["orders".to_owned()].into()),
            retry: RetryPolicy::fixed(Duration::from_secs(2), 9),
            retry_for: [("order.paid".to_owned(), RetryPolicy::none())].into(),
            on_dead: OnDead::Block,
            ordering: Ordering::Total,
            dead_letter_topic: Some("dead".to_owned()),
            receipts: true,
            await_ack: Some(Duration::from_secs(3600)),
            resend_unacknowledged: true,
            rate_limit: Some(RateLimit::per_day(1_000)),
            linger: Duration::from_millis(5),
            max_in_flight: Some(2),
        };
        let all = read(
            r#"{"topics": ["orders"], "retry": {"fixed": {"delay": "2s", "max_attempts": 9}},
                "retry_for": {"order.paid": "none"}, "on_dead": "block", "ordering": "total", "dead_letter_topic": "dead",
                "receipts": true, "await_ack": "1h", "resend_unacknowledged": true, "rate_limit": {"per_day": 1000},
                "linger": "5ms", "max_in_flight": 2}"#,
        );
        assert_eq!(all, expected);
    }

    #[test]
    fn an_error_names_the_field_and_what_was_expected() {
        let table = [
            (r#"{"max_in_flight": 0}"#, "`max_in_flight` must be at least 1, found 0"),
            (r#"{"linger": "2m"}"#, "`linger` must be at most 60s, found 120s"),
            (r#"{"rate_limit": {"per_second": 0}}"#, "`rate_limit.per_second` must be at least 1, found 0"),
            (r#"{"retry": {"schedule": []}}"#, "`schedule` must be a list of delays"),
            (r#"{"retry_for": {"order.paid": "sometimes"}}"#, "unknown variant `sometimes`"),
            (r#"{"on_dead": "wait"}"#, "unknown variant `wait`, expected `skip` or `block`"),
            (r#"{"ordering": "partial"}"#, "unknown variant `partial`"),
            (
                r#"{"dead_letter_topic": ""}"#,
                "`dead_letter_topic` must be a topic of 1 to 255 bytes, found an empty text",
            ),
            (r#"{"await_ack": "1ms"}"#, "`await_ack` must be at least 100ms, found 1ms"),
            (
                r#"{"resend_unacknowledged": true}"#,
                "`await_ack` must be a deadline where `resend_unacknowledged` is set",
            ),
            (r#"{"lingers": "1ms"}"#, "unknown field `lingers`"),
        ];
        for (text, expected) in table {
            let error = serde_json::from_str::<SubscriptionConfig>(text).expect_err(text).to_string();
            assert!(error.contains(expected), "{text}: {error}");
        }
    }
}
