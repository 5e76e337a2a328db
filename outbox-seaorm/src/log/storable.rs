//! Values in a form that every database stores. One that does not fit would fail the flush that it is in, and that
//! flush is sent again for ever.

use std::time::Duration;

use chrono::{DateTime, NaiveDate, NaiveTime, Utc};

/// What fits the columns of names and ids, in characters.
const NAME: usize = 255;

/// What fits MySQL's shortest text, whatever the characters.
const WORDS: usize = 2_000;

/// Somebody's words: no NUL, which PostgreSQL does not store, and not too many.
pub(super) fn words(text: &str) -> String {
    cut(text, WORDS)
}

/// A name or an id, cut to its column.
pub(super) fn name(text: &str) -> String {
    cut(text, NAME)
}

/// A text of any length.
pub(super) fn text(text: &str) -> String {
    text.replace('\0', "")
}

fn cut(text: &str, characters: usize) -> String {
    text.chars().filter(|c| *c != '\0').take(characters).collect()
}

/// A number of attempts.
pub(super) fn attempts(count: u32) -> i32 {
    i32::try_from(count).unwrap_or(i32::MAX)
}

/// A delay that ends before the calendars do, in microseconds.
pub(super) fn delay(delay: Duration) -> i64 {
    super::micros(delay.min(Duration::from_secs(100 * 365 * 86_400)))
}

/// A moment of the years that every database knows, with a day to spare for rounding and time zones.
pub(super) fn moment(moment: DateTime<Utc>) -> DateTime<Utc> {
    const FIRST: DateTime<Utc> = day(1001, 1, 1);
    const LAST: DateTime<Utc> = day(9999, 12, 30);
    moment.clamp(FIRST, LAST)
}

const fn day(year: i32, month: u32, day: u32) -> DateTime<Utc> {
    let day = NaiveDate::from_ymd_opt(year, month, day).expect("the days above are in the calendar");
    day.and_time(NaiveTime::MIN).and_utc()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_kept_within_the_years_that_every_database_knows() {
        let now = Utc::now();
        assert_eq!(moment(now), now);
        assert_eq!(moment(DateTime::<Utc>::MAX_UTC).format("%Y-%m-%d").to_string(), "9999-12-30");
        assert_eq!(moment(DateTime::<Utc>::MIN_UTC).format("%Y-%m-%d").to_string(), "1001-01-01");
    }

    #[test]
    fn names_are_cut_by_characters_and_lose_their_nul() {
        assert_eq!(name("a\0b"), "ab");
        assert_eq!(name(&"ż".repeat(300)).chars().count(), 255);
    }
}
