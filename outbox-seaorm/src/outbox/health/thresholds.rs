//! How much is too much.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::Level;

/// From where on something is worth a warning, and from where on it is unhealthy. `None` means never.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Limit<T> {
    /// A warning from this value on.
    pub warning: Option<T>,
    /// Unhealthy from this value on.
    pub unhealthy: Option<T>,
}

impl<T: PartialOrd + Copy> Limit<T> {
    /// A warning from the one on, unhealthy from the other on.
    pub const fn new(warning: T, unhealthy: T) -> Self {
        Self { warning: Some(warning), unhealthy: Some(unhealthy) }
    }

    /// Never more than a warning.
    pub const fn warning(from: T) -> Self {
        Self { warning: Some(from), unhealthy: None }
    }

    /// Nothing is too much.
    #[must_use]
    pub const fn never() -> Self {
        Self { warning: None, unhealthy: None }
    }

    fn map<U>(self, to: impl Fn(T) -> U) -> Limit<U> {
        Limit { warning: self.warning.map(&to), unhealthy: self.unhealthy.map(to) }
    }

    /// What a value is, with the threshold that it has reached.
    pub(super) fn reached(&self, found: T) -> Option<(Level, T)> {
        let unhealthy = self.unhealthy.filter(|limit| found >= *limit).map(|limit| (Level::Unhealthy, limit));
        unhealthy
            .or_else(|| self.warning.filter(|limit| found >= *limit).map(|limit| (Level::Warning, limit)))
    }
}

/// The thresholds of [`Outbox::health`](crate::Outbox::health). Each is for one subscription. Too low, people stop looking at
/// warnings; too high, events are late for longer before anybody knows.
///
/// In a configuration, durations are written as in `RelayConfig`: `{ "lag": { "warning": "30s", "unhealthy": "5m" } }`. What is
/// left out there is its default, but for the other half of a limit that is given: left out, it means never.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Thresholds {
    /// Age of the oldest event that is neither published nor on hold; not judged while it is paused. Default: a warning from
    /// 1 minute, unhealthy from 15.
    #[serde(with = "durations")]
    pub lag: Limit<Duration>,
    /// Dead letters. Default: a warning from 1, unhealthy from 1,000.
    pub dead_letters: Limit<u64>,
    /// For how long the broker is away. Default: a warning from 30 seconds, unhealthy from 10 minutes.
    #[serde(with = "durations")]
    pub broker_down: Limit<Duration>,
    /// For how long nobody leads, pauses not counted. Default: a warning from 1 minute, unhealthy from 5: more than a lease
    /// and a restart.
    #[serde(with = "durations")]
    pub no_leader: Limit<Duration>,
    /// For how long it is paused. Default: a warning from 1 hour, never unhealthy: somebody wanted it so.
    #[serde(with = "durations")]
    pub paused: Limit<Duration>,
    /// Ranges of numbers that are not settled. Default: a warning from 10,000, unhealthy from 90,000: at 100,000 ranges
    /// without rows the relay stops reading.
    pub hole_ranges: Limit<u64>,
    /// Deliveries whose acknowledgement is overdue. Default: a warning from 1, unhealthy from 10,000.
    pub overdue_acknowledgements: Limit<u64>,
    /// Events that a subscription keeps in the log which others are done with. Default: a warning from 1,000,000, never
    /// unhealthy: it costs disk and nothing else.
    pub pinned: Limit<u64>,
    /// What a topic is that no subscription takes. Default: a warning. `None`: nothing.
    pub unrouted_topic: Option<Level>,
    /// What a publisher is that says it could not publish now. Default: unhealthy. `None`: nothing.
    pub publisher: Option<Level>,
}

impl Default for Thresholds {
    fn default() -> Self {
        let seconds = Duration::from_secs;
        Self {
            lag: Limit::new(seconds(60), seconds(900)),
            dead_letters: Limit::new(1, 1_000),
            broker_down: Limit::new(seconds(30), seconds(600)),
            no_leader: Limit::new(seconds(60), seconds(300)),
            paused: Limit::warning(seconds(3_600)),
            hole_ranges: Limit::new(10_000, 90_000),
            overdue_acknowledgements: Limit::new(1, 10_000),
            pinned: Limit::warning(1_000_000),
            unrouted_topic: Some(Level::Warning),
            publisher: Some(Level::Unhealthy),
        }
    }
}

/// Limits of durations, written as all durations in a configuration are.
mod durations {
    use std::time::Duration;

    use outbox_core::settings::duration_text;
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    use super::Limit;

    #[derive(Clone, Copy, PartialEq, PartialOrd, Serialize, Deserialize)]
    struct Text(#[serde(with = "duration_text")] Duration);

    pub(super) fn serialize<S: Serializer>(
        limit: &Limit<Duration>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        limit.map(Text).serialize(serializer)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Limit<Duration>, D::Error> {
        Ok(Limit::<Text>::deserialize(deserializer)?.map(|Text(duration)| duration))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_written_as_people_write_them() {
        let text = r#"{ "lag": { "warning": "30s", "unhealthy": "5m" }, "paused": { "warning": 90 } }"#;
        let read: Thresholds = serde_json::from_str(text).expect("thresholds");
        let expected = Thresholds {
            lag: Limit::new(Duration::from_secs(30), Duration::from_secs(300)),
            paused: Limit::warning(Duration::from_secs(90)),
            ..Thresholds::default()
        };
        assert_eq!(read, expected);
        let written = serde_json::to_value(&read).expect("JSON");
        assert_eq!(written["lag"], serde_json::json!({ "warning": "30s", "unhealthy": "5m" }));
        assert_eq!(serde_json::from_value::<Thresholds>(written).expect("the same"), read);
        let error = serde_json::from_str::<Thresholds>(r#"{ "lag": { "warning": "soon" } }"#);
        assert!(error.expect_err("no duration").to_string().contains("\"30s\""));
    }
}
