//! A retry policy as a configuration has it.

use std::time::Duration;

use serde::{Deserialize, Deserializer, de::Error as _};

use super::RetryPolicy;
use crate::settings::duration_text;

#[derive(Deserialize)]
#[serde(rename_all = "lowercase", rename_all_fields = "snake_case", deny_unknown_fields)]
enum Text {
    None,
    Fixed {
        #[serde(deserialize_with = "duration_text::deserialize")]
        delay: Duration,
        max_attempts: u32,
    },
    Exponential {
        #[serde(deserialize_with = "duration_text::deserialize")]
        base: Duration,
        #[serde(deserialize_with = "duration_text::deserialize")]
        ceiling: Duration,
        max_attempts: u32,
    },
    Schedule(#[serde(deserialize_with = "duration_text::deserialize_list")] Vec<Duration>),
}

impl<'de> Deserialize<'de> for RetryPolicy {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let policy = match Text::deserialize(deserializer)? {
            Text::None => Self::none(),
            Text::Fixed { delay, max_attempts } => Self::fixed(delay, max_attempts),
            Text::Exponential { base, ceiling, max_attempts } => {
                Self::exponential(base, ceiling, max_attempts)
            }
            Text::Schedule(delays) => Self::schedule(delays),
        };
        policy.validate().map_err(D::Error::custom)?;
        Ok(policy)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_names_the_field_and_what_was_expected() {
        let table = [
            (
                r#""never""#,
                "unknown variant `never`, expected one of `none`, `fixed`, `exponential`, `schedule`",
            ),
            (
                r#"{"fixed": {"delay": "0s", "max_attempts": 3}}"#,
                "`fixed.delay` must be at least 1ms, found 0ns",
            ),
            (r#"{"fixed": {"delay": "1s", "max_attempts": 0}}"#, "`fixed.max_attempts` must be at least 1"),
            (r#"{"fixed": {"delay": "1s"}}"#, "missing field `max_attempts`"),
            (r#"{"fixed": {"delay": "1s", "max_attempts": 3, "jitter": true}}"#, "unknown field `jitter`"),
            (
                r#"{"exponential": {"base": "0s", "ceiling": "5m", "max_attempts": 3}}"#,
                "`exponential.base` must be at least 1ms, found 0ns",
            ),
            (
                r#"{"exponential": {"base": "10s", "ceiling": "5s", "max_attempts": 3}}"#,
                "`exponential.ceiling` must be at least 10s, found 5s",
            ),
            (
                r#"{"exponential": {"base": "1s", "ceiling": "5s", "max_attempts": 0}}"#,
                "`exponential.max_attempts` must be at least 1, found 0",
            ),
            (r#"{"schedule": []}"#, "`schedule` must be a list of delays, one at least, found none"),
            (r#"{"schedule": ["1s", "soon"]}"#, "a duration such as"),
        ];
        for (text, expected) in table {
            let error = serde_json::from_str::<RetryPolicy>(text).expect_err(text).to_string();
            assert!(error.contains(expected), "{text}: {error}");
        }
    }
}
