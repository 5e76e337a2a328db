//! What time it is by the database's clock, as pure code.
//!
//! The lag of an event is the difference of two readings of one clock: `created_at` is the database's, and the host's
//! may be seconds off. So the last reading of the database's clock is carried forward on the monotonic clock, which
//! drifts by parts of a million between two readings. What is left is half of the time that a reading took.

use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};

use chrono::{DateTime, Utc};
use tokio::time::Instant;

/// The database's clock, as far as it is known.
#[derive(Debug, Default)]
pub(crate) struct DatabaseClock(Mutex<Option<(Instant, DateTime<Utc>)>>);

impl DatabaseClock {
    /// The database answered with its time, to a question sent and answered at these moments.
    pub(crate) fn read(&self, now: DateTime<Utc>, sent: Instant, answered: Instant) {
        let read = sent + answered.saturating_duration_since(sent) / 2;
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some((read, now));
    }

    /// How long ago this was, never less than nothing; `None` while the clock is not known.
    pub(crate) fn since(&self, past: DateTime<Utc>, now: Instant) -> Option<Duration> {
        let (read, at) = (*self.0.lock().unwrap_or_else(PoisonError::into_inner))?;
        let until_read = at.signed_duration_since(past);
        let carried = chrono::TimeDelta::from_std(now.saturating_duration_since(read)).ok()?;
        Some(until_read.checked_add(&carried)?.to_std().unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_hosts_wall_clock_has_no_say() {
        let clock = DatabaseClock::default();
        // A database that lives in 2001.
        let database = DateTime::from_timestamp(1_000_000_000, 0).expect("a time");
        let second = Duration::from_secs(1);
        assert_eq!(clock.since(database, Instant::now()), None, "not known yet");
        let sent = Instant::now();
        clock.read(database, sent, sent + 2 * second);
        assert_eq!(
            clock.since(database - 5 * second, sent + second),
            Some(5 * second),
            "half of the way is past"
        );
        assert_eq!(clock.since(database - 5 * second, sent + 11 * second), Some(15 * second));
        assert_eq!(
            clock.since(database + 60 * second, sent + second),
            Some(Duration::ZERO),
            "never less than nothing"
        );
    }
}
