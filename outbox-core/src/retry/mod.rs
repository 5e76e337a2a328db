//! When to try again, as pure code: how many times an event failed goes in, how long to wait comes out.
//!
//! The random numbers come from outside, so that a test decides them. Jitter is *full* (anything between
//! nothing and the ceiling of that attempt): what failed together must not come back together.

mod text;

use std::time::Duration;

use rand::{Rng, RngExt as _};

use crate::settings::{ConfigError, at_least};

/// How often and after which delays a failed event is tried again.
///
/// In a configuration, each of these is one, and what is out of range is an error that names the field:
///
/// ```
/// # use outbox_core::retry::RetryPolicy;
/// # use std::time::Duration;
/// # fn parse(text: &str) -> RetryPolicy { serde_json::from_str(text).unwrap() }
/// # let (seconds, minutes) = (Duration::from_secs, Duration::from_mins);
/// assert_eq!(parse(r#""none""#), RetryPolicy::none());
/// assert_eq!(
///     parse(r#"{"fixed": {"delay": "10s", "max_attempts": 5}}"#),
///     RetryPolicy::fixed(seconds(10), 5)
/// );
/// assert_eq!(
///     parse(r#"{"exponential": {"base": "1s", "ceiling": "10m", "max_attempts": 12}}"#),
///     RetryPolicy::exponential(seconds(1), minutes(10), 12)
/// );
/// assert_eq!(parse(r#"{"schedule": ["1s", "30s", "5m"]}"#), RetryPolicy::schedule([seconds(1), seconds(30), minutes(5)]));
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RetryPolicy {
    delays: Delays,
    max_attempts: u32,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Delays {
    Fixed(Duration),
    Exponential { base: Duration, ceiling: Duration },
    Schedule(Vec<Duration>),
}

/// The shortest delay, unless a schedule begins with none.
const SHORTEST: Duration = Duration::from_millis(1);

impl RetryPolicy {
    /// Never again: the first failure is the last.
    #[must_use]
    pub fn none() -> Self {
        Self { delays: Delays::Fixed(Duration::ZERO), max_attempts: 1 }
    }

    /// Always after the same delay, `max_attempts` attempts in all.
    #[must_use]
    pub fn fixed(delay: Duration, max_attempts: u32) -> Self {
        Self { delays: Delays::Fixed(delay), max_attempts }
    }

    /// After a random delay below a limit that begins at `base` and doubles with each failure up to `ceiling`;
    /// `max_attempts` attempts in all.
    #[must_use]
    pub fn exponential(base: Duration, ceiling: Duration, max_attempts: u32) -> Self {
        Self { delays: Delays::Exponential { base, ceiling }, max_attempts }
    }

    /// After these delays, one after the other: one attempt more than there are delays.
    #[must_use]
    pub fn schedule(delays: impl Into<Vec<Duration>>) -> Self {
        let delays = delays.into();
        let max_attempts = u32::try_from(delays.len()).unwrap_or(u32::MAX).saturating_add(1);
        Self { delays: Delays::Schedule(delays), max_attempts }
    }

    /// Checks every field.
    ///
    /// # Errors
    /// The first field that is out of range: a delay of zero would spin, a ceiling below the base is none.
    pub fn validate(&self) -> Result<(), ConfigError> {
        match &self.delays {
            Delays::Fixed(delay) => {
                at_least("fixed.max_attempts", self.max_attempts, 1)?;
                if self.max_attempts > 1 {
                    at_least("fixed.delay", *delay, SHORTEST)?;
                }
            }
            Delays::Exponential { base, ceiling } => {
                at_least("exponential.base", *base, SHORTEST)?;
                at_least("exponential.ceiling", *ceiling, *base)?;
                at_least("exponential.max_attempts", self.max_attempts, 1)?;
            }
            Delays::Schedule(delays) if delays.is_empty() => {
                let (expected, found) = ("a list of delays, one at least".to_owned(), "none".to_owned());
                return Err(ConfigError { field: "schedule", expected, found });
            }
            Delays::Schedule(_) => {}
        }
        Ok(())
    }

    /// How many attempts there are in all.
    #[must_use]
    pub fn max_attempts(&self) -> u32 {
        self.max_attempts
    }

    /// How long to wait after the `failures`-th failure (the first is 1); `None` where it was the last attempt.
    pub fn delay_after(&self, failures: u32, rng: &mut (impl Rng + ?Sized)) -> Option<Duration> {
        if failures >= self.max_attempts {
            return None;
        }
        match &self.delays {
            Delays::Fixed(delay) => Some(*delay),
            Delays::Exponential { base, ceiling } => {
                Some(rng.random_range(Duration::ZERO..=limit(*base, *ceiling, failures)))
            }
            Delays::Schedule(delays) => {
                let index = usize::try_from(failures.saturating_sub(1)).ok()?;
                delays.get(index).copied()
            }
        }
    }
}

impl Default for RetryPolicy {
    /// 1 s, 5 s, 30 s, 5 min, 30 min.
    fn default() -> Self {
        Self::schedule([1, 5, 30, 300, 1800].map(Duration::from_secs))
    }
}

/// `base` doubled for each failure after the first, at most `ceiling`.
pub(crate) fn limit(base: Duration, ceiling: Duration, failures: u32) -> Duration {
    let doublings = failures.saturating_sub(1).min(31);
    base.saturating_mul(1 << doublings).min(ceiling)
}

#[cfg(test)]
mod tests {
    use rand::{SeedableRng as _, rngs::StdRng};

    use super::*;

    fn delays(policy: &RetryPolicy) -> Vec<Option<u64>> {
        let mut rng = StdRng::seed_from_u64(1);
        (1..=7).map(|n| policy.delay_after(n, &mut rng).map(|delay| delay.as_secs())).collect()
    }

    #[test]
    fn each_policy_gives_its_delays_and_then_ends() {
        let table: [(RetryPolicy, [Option<u64>; 7]); 4] = [
            (RetryPolicy::none(), [None; 7]),
            (
                RetryPolicy::fixed(Duration::from_secs(2), 4),
                [Some(2), Some(2), Some(2), None, None, None, None],
            ),
            (RetryPolicy::default(), [Some(1), Some(5), Some(30), Some(300), Some(1800), None, None]),
            (RetryPolicy::schedule([]), [None; 7]),
        ];
        for (policy, expected) in table {
            assert_eq!(delays(&policy), expected, "{policy:?}");
        }
    }

    #[test]
    fn exponential_doubles_its_limit_up_to_the_ceiling() {
        let seconds = Duration::from_secs;
        let limits: Vec<_> = (1..=6).map(|n| limit(seconds(1), seconds(10), n).as_secs()).collect();
        assert_eq!(limits, [1, 2, 4, 8, 10, 10]);
        assert_eq!(limit(seconds(1), seconds(10), u32::MAX), seconds(10));
        assert_eq!(limit(Duration::MAX, seconds(10), 2), seconds(10));
    }

    #[test]
    fn full_jitter_uses_the_whole_interval_and_never_leaves_it() {
        let policy = RetryPolicy::exponential(Duration::from_secs(1), Duration::from_secs(8), 10);
        let mut rng = StdRng::seed_from_u64(7);
        let drawn: Vec<_> = (0..2000).filter_map(|_| policy.delay_after(3, &mut rng)).collect();
        assert_eq!(drawn.len(), 2000);
        assert!(drawn.iter().all(|delay| *delay <= Duration::from_secs(4)));
        assert!(drawn.iter().any(|delay| *delay < Duration::from_millis(200)));
        assert!(drawn.iter().any(|delay| *delay > Duration::from_millis(3800)));
    }

    #[test]
    fn max_attempts_counts_the_first_attempt() {
        let mut rng = StdRng::seed_from_u64(1);
        let policy = RetryPolicy::exponential(Duration::from_secs(1), Duration::from_secs(8), 3);
        assert!(policy.delay_after(2, &mut rng).is_some());
        assert!(policy.delay_after(3, &mut rng).is_none());
        assert_eq!(RetryPolicy::default().max_attempts(), 6);
    }
}
