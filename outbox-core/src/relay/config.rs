//! The settings of a relay.

use std::time::Duration;

use serde::{Deserialize, Deserializer};

use crate::{
    log::AfterRetention,
    settings::{ConfigError, at_least, duration_text},
};

/// The settings of a relay. The defaults are right for most services.
///
/// It can be read from a service's own configuration; what is left out has its default, an unknown field is
/// an error, and so is a value out of range. Durations are written `"250ms"`, `"30s"`, `"5m"`, `"7d"`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(remote = "Self", default, deny_unknown_fields)]
pub struct RelayConfig {
    /// For how long a relay leads a subscription without renewing. Default 30 s; renewed at a third. Too
    /// short: a pause of the process or of the database changes the leader. Too long: after a crash nothing
    /// is published for as long. At least 1 s and 3/2 of `publish_timeout`.
    #[serde(deserialize_with = "duration_text::deserialize")]
    pub lease: Duration,
    /// How long a call to the publisher may take. Default 10 s. Too short: what the broker would have taken
    /// counts as not sent and goes out twice. Too long: a hanging call holds its aggregates for as long.
    #[serde(deserialize_with = "duration_text::deserialize")]
    pub publish_timeout: Duration,
    /// The shortest pause between two reads that find nothing. Default 2 ms; it doubles up to `poll_max`.
    /// Too short: queries for nothing. Too long: latency.
    #[serde(deserialize_with = "duration_text::deserialize")]
    pub poll_min: Duration,
    /// The longest pause between two reads. Default 1 s. Too short: queries while idle. Too long: latency of
    /// events that other processes capture.
    #[serde(deserialize_with = "duration_text::deserialize")]
    pub poll_max: Duration,
    /// The most rows of one read. Default 1,000. Too small: a query for few events. Too large: memory, and
    /// long statements.
    pub page_size: usize,
    /// The most events that are read and not published. Default 5,000, at least `page_size`. Too small: the
    /// publisher waits for the log. Too large: memory.
    pub read_ahead: usize,
    /// The most bytes of events that are read and not published, with their headers and what they take in memory
    /// besides. Default 16 MiB (16,777,216). Where events are large it bounds memory before `read_ahead` does. A single event
    /// that is larger still goes. Too small: the publisher waits for the log. Too large: memory, for each subscription.
    pub read_ahead_bytes: usize,
    /// The most batches that a subscription publishes at the same time. Default 16; a subscription may have
    /// [its own](super::Subscription::max_in_flight). Too small: throughput ends at the broker's latency, and a few
    /// calls that hang hold up all the rest. Too large: more duplicates after a crash, and a broker that throttles.
    pub max_in_flight: usize,
    /// How long progress may stay in memory. Default 50 ms. Too short: a write for few events. Too long: more
    /// duplicates after a crash.
    #[serde(deserialize_with = "duration_text::deserialize")]
    pub flush_interval: Duration,
    /// The most ranges of holes; at the bound, reading waits until some close. Default 100,000.
    pub max_holes: usize,
    /// How long a graceful stop waits for what is being published. Default 30 s. Too short: duplicates.
    #[serde(deserialize_with = "duration_text::deserialize")]
    pub shutdown_deadline: Duration,
    /// The first pause after a failure of the broker or of the database. Default 200 ms; it doubles up to
    /// `backoff_max`, less a random part of up to a half.
    #[serde(deserialize_with = "duration_text::deserialize")]
    pub backoff_min: Duration,
    /// The longest pause after a failure. Default 30 s: so long may it take to notice that a broker is back.
    #[serde(deserialize_with = "duration_text::deserialize")]
    pub backoff_max: Duration,
    /// How often a leader asks its log where the subscription stands, for the metrics of backlog, age and holds and for
    /// the clock that lags are measured by. Default 15 s. Too short: queries for nothing. Too long: gauges that are
    /// out of date.
    #[serde(deserialize_with = "duration_text::deserialize")]
    pub survey_interval: Duration,
    /// How often a relay that leads something looks for events past their retention. Default 1 min.
    #[serde(deserialize_with = "duration_text::deserialize")]
    pub purge_interval: Duration,
    /// The most rows that one statement of the purge takes. Default 2,000. Too large: long locks.
    pub purge_chunk: u32,
}

impl Default for RelayConfig {
    fn default() -> Self {
        Self {
            lease: Duration::from_secs(30),
            publish_timeout: Duration::from_secs(10),
            poll_min: Duration::from_millis(2),
            poll_max: Duration::from_secs(1),
            page_size: 1_000,
            read_ahead: 5_000,
            read_ahead_bytes: 16 * 1024 * 1024,
            max_in_flight: 16,
            flush_interval: Duration::from_millis(50),
            max_holes: 100_000,
            shutdown_deadline: Duration::from_secs(30),
            backoff_min: Duration::from_millis(200),
            backoff_max: Duration::from_secs(30),
            survey_interval: Duration::from_secs(15),
            purge_interval: Duration::from_secs(60),
            purge_chunk: 2_000,
        }
    }
}

impl RelayConfig {
    /// Checks every field.
    ///
    /// # Errors
    /// The first field that is out of range.
    pub fn validate(&self) -> Result<(), ConfigError> {
        let milli = Duration::from_millis(1);
        at_least("lease", self.lease, Duration::from_secs(1))?;
        at_least("publish_timeout", self.publish_timeout, milli)?;
        // A publish must still fit when the lease is due for renewal.
        at_least("lease", self.lease, self.publish_timeout.mul_f64(1.5))?;
        at_least("poll_min", self.poll_min, milli)?;
        at_least("poll_max", self.poll_max, self.poll_min)?;
        at_least("page_size", self.page_size, 1)?;
        at_least("read_ahead", self.read_ahead, self.page_size)?;
        at_least("read_ahead_bytes", self.read_ahead_bytes, 1)?;
        at_least("max_in_flight", self.max_in_flight, 1)?;
        at_least("flush_interval", self.flush_interval, milli)?;
        at_least("max_holes", self.max_holes, 1)?;
        at_least("backoff_min", self.backoff_min, milli)?;
        at_least("backoff_max", self.backoff_max, self.backoff_min)?;
        at_least("survey_interval", self.survey_interval, milli)?;
        at_least("purge_interval", self.purge_interval, milli)?;
        at_least("purge_chunk", self.purge_chunk, 1)
    }
}

impl<'de> Deserialize<'de> for RelayConfig {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        // The derive's own function; `remote` leaves this impl to us, so that nothing unchecked comes out.
        let config = Self::deserialize(deserializer)?;
        config.validate().map_err(serde::de::Error::custom)?;
        Ok(config)
    }
}

/// For how long settled events stay in the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retention {
    pub(super) keep: Option<Duration>,
    pub(super) then: AfterRetention,
}

impl Retention {
    /// Deletes events this long after they were stored.
    #[must_use]
    pub fn delete(after: Duration) -> Self {
        Self { keep: Some(after), then: AfterRetention::Delete }
    }

    /// Moves events to the archive table this long after they were stored.
    #[must_use]
    pub fn archive(after: Duration) -> Self {
        Self { keep: Some(after), then: AfterRetention::Archive }
    }

    /// Keeps everything: the log grows for ever, unless something else purges it.
    #[must_use]
    pub fn forever() -> Self {
        Self { keep: None, then: AfterRetention::Delete }
    }
}

impl Default for Retention {
    /// Deletes after 7 days.
    fn default() -> Self {
        Self::delete(Duration::from_secs(7 * 24 * 3600))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_service_reads_it_from_its_configuration() {
        let config: RelayConfig =
            serde_json::from_str(r#"{"lease": "1m", "poll_min": "5ms", "page_size": 200}"#).expect("valid");
        let expected = RelayConfig {
            lease: Duration::from_secs(60),
            poll_min: Duration::from_millis(5),
            page_size: 200,
            ..RelayConfig::default()
        };
        assert_eq!(config, expected);
    }

    #[test]
    fn an_error_names_the_field() {
        let table = [
            (r#"{"lease": "10ms"}"#, "`lease` must be at least 1s, found 10ms"),
            (r#"{"lease": "12s"}"#, "`lease` must be at least 15s, found 12s"),
            (r#"{"page_size": 0}"#, "`page_size`"),
            (r#"{"read_ahead": 5}"#, "`read_ahead`"),
            (r#"{"read_ahead_bytes": 0}"#, "`read_ahead_bytes` must be at least 1, found 0"),
            (r#"{"poll_max": "1ms"}"#, "`poll_max`"),
            (r#"{"poll_maxx": "1ms"}"#, "poll_maxx"),
            (r#"{"lease": "soon"}"#, "a duration such as"),
        ];
        for (text, expected) in table {
            let error = serde_json::from_str::<RelayConfig>(text).expect_err(text).to_string();
            assert!(error.contains(expected), "{text}: {error}");
        }
        assert_eq!(RelayConfig::default().validate(), Ok(()));
    }
}
