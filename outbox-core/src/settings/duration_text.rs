//! Durations in a configuration: `"250ms"`, `"30s"`, `"5m"`, `"1h"`, `"7d"`, or a number of seconds.
//!
//! For settings of your own beside those of this crate:
//!
//! ```
//! use std::time::Duration;
//!
//! use outbox_core::settings::duration_text;
//!
//! #[derive(serde::Serialize, serde::Deserialize)]
//! struct Settings {
//!     #[serde(with = "duration_text")]
//!     timeout: Duration,
//! }
//!
//! let settings: Settings = serde_json::from_str(r#"{ "timeout": "1.5m" }"#)?;
//! assert_eq!(settings.timeout, Duration::from_secs(90));
//! assert_eq!(serde_json::to_string(&settings)?, r#"{"timeout":"90s"}"#);
//! # Ok::<(), serde_json::Error>(())
//! ```

use std::{fmt, time::Duration};

use serde::{Deserialize, Deserializer, Serializer, de};

const UNITS: [(&str, f64); 5] = [("ms", 0.001), ("s", 1.0), ("m", 60.0), ("h", 3_600.0), ("d", 86_400.0)];

fn parse(text: &str) -> Option<Duration> {
    let digits = text.trim_end_matches(|letter: char| letter.is_ascii_alphabetic());
    let unit = &text[digits.len()..];
    let (_, seconds) = UNITS.into_iter().find(|(name, _)| *name == unit)?;
    let number: f64 = digits.trim_end().parse().ok()?;
    Duration::try_from_secs_f64(number * seconds).ok()
}

/// In the largest unit that says it in whole numbers; below a millisecond, as a number of seconds.
fn written(duration: Duration) -> Option<String> {
    const MILLISECONDS: [(&str, u128); 5] =
        [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1)];
    let milliseconds = duration.as_millis();
    let is_whole = duration.subsec_nanos().is_multiple_of(1_000_000);
    let fits = |unit: u128| is_whole && milliseconds >= unit && milliseconds.is_multiple_of(unit);
    if duration.is_zero() {
        return Some("0s".to_owned());
    }
    let (name, unit) = MILLISECONDS.into_iter().find(|(_, unit)| fits(*unit))?;
    Some(format!("{}{name}", milliseconds / unit))
}

/// A duration for people to read, in the largest unit that says it in whole numbers: `18d`, `90s`, `1500ms`.
#[must_use]
pub fn text(duration: Duration) -> String {
    written(duration).unwrap_or_else(|| format!("{duration:?}"))
}

/// Writes a duration as it is read.
///
/// # Errors
/// Those of the serializer.
pub fn serialize<S: Serializer>(duration: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    match written(*duration) {
        Some(text) => serializer.serialize_str(&text),
        None => serializer.serialize_f64(duration.as_secs_f64()),
    }
}

/// Reads a duration from a text with a unit or from a number of seconds.
///
/// # Errors
/// Where it is neither, with what was expected.
pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    deserializer.deserialize_any(DurationText)
}

/// A duration that may be left out.
pub(crate) fn deserialize_option<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<Duration>, D::Error> {
    Ok(Option::<Text>::deserialize(deserializer)?.map(|Text(duration)| duration))
}

/// A list of durations.
pub(crate) fn deserialize_list<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Vec<Duration>, D::Error> {
    Ok(Vec::<Text>::deserialize(deserializer)?.into_iter().map(|Text(duration)| duration).collect())
}

#[derive(Deserialize)]
struct Text(#[serde(deserialize_with = "deserialize")] Duration);

struct DurationText;

impl de::Visitor<'_> for DurationText {
    type Value = Duration;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a duration such as \"250ms\", \"30s\", \"5m\", \"1h\" or \"7d\", or a number of seconds")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Duration, E> {
        parse(text).ok_or_else(|| E::invalid_value(de::Unexpected::Str(text), &self))
    }

    fn visit_u64<E: de::Error>(self, seconds: u64) -> Result<Duration, E> {
        Ok(Duration::from_secs(seconds))
    }

    fn visit_i64<E: de::Error>(self, seconds: i64) -> Result<Duration, E> {
        u64::try_from(seconds)
            .map(Duration::from_secs)
            .map_err(|_| E::invalid_value(de::Unexpected::Signed(seconds), &self))
    }

    fn visit_f64<E: de::Error>(self, seconds: f64) -> Result<Duration, E> {
        Duration::try_from_secs_f64(seconds)
            .map_err(|_| E::invalid_value(de::Unexpected::Float(seconds), &self))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_as_what_it_was() {
        let table = [
            (Duration::ZERO, Some("0s")),
            (Duration::from_millis(250), Some("250ms")),
            (Duration::from_millis(1_500), Some("1500ms")),
            (Duration::from_secs(90), Some("90s")),
            (Duration::from_secs(120), Some("2m")),
            (Duration::from_secs(172_800), Some("2d")),
            (Duration::from_micros(1_500), None),
        ];
        for (duration, expected) in table {
            let written = written(duration);
            assert_eq!(written.as_deref(), expected);
            assert_eq!(text(duration), expected.unwrap_or("1.5ms"), "for people");
            if let Some(text) = written {
                assert_eq!(parse(&text), Some(duration), "{text}");
            }
        }
    }

    #[test]
    fn durations_are_written_as_people_write_them() {
        let table = [
            ("250ms", Some(Duration::from_millis(250))),
            ("30s", Some(Duration::from_secs(30))),
            ("1.5 m", Some(Duration::from_secs(90))),
            ("1h", Some(Duration::from_secs(3600))),
            ("7d", Some(Duration::from_secs(604_800))),
            ("30", None),
            ("-1s", None),
            ("1 fortnight", None),
            ("s", None),
            ("", None),
        ];
        for (text, expected) in table {
            assert_eq!(parse(text), expected, "{text}");
        }
    }
}
