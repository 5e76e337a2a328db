//! How fast a subscription may publish.
//!
//! Each limit is a bucket that holds a few permits at most and is refilled evenly. A bucket of `b` permits that gets
//! `n - b + 1` more in each period lets no more than `n` through in *any* period, wherever it begins. And it is empty at the
//! beginning of a term: what the leader before has sent is not known, and a full bucket would add to it. So the bound
//! holds over any number of take-overs without a count in the database.

use std::{num::NonZeroU32, time::Duration};

use governor::{
    Quota, RateLimiter,
    clock::Clock,
    middleware::StateInformationMiddleware,
    state::{InMemoryState, NotKeyed},
};
use serde::{Deserialize, Deserializer};
use tokio::time::Instant;

use crate::settings::{ConfigError, at_least};

const SECOND: Duration = Duration::from_secs(1);
const DAY: Duration = Duration::from_secs(24 * 3600);

/// The permits that come in so long are taken together: else at a high rate each would be a batch of its own.
const TOGETHER: Duration = Duration::from_millis(25);

/// How many events a subscription may send to its broker: in any second, in any 24 hours, or both.
///
/// Both are true bounds, wherever the second or the day begins and however often the leader changes. So that they are,
/// the sustained rate lies a little below: by at most a twentieth per second and a twenty-fourth per day, which is what
/// may go at once after a quiet time. Each leader begins with nothing saved up: the first event goes after `1/n` of
/// the period, at 24 a day after an hour.
///
/// What counts is what is handed to the publisher: an event that was not published and goes again has spent twice, also
/// where its publisher held it back. An outage spends little,
/// because only probes are sent while it lasts.
///
/// In a configuration: `{"per_second": 100, "per_day": 50000}`, one of them or both.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(remote = "Self", deny_unknown_fields)]
pub struct RateLimit {
    #[serde(default)]
    per_second: Option<u32>,
    #[serde(default)]
    per_day: Option<u32>,
}

impl RateLimit {
    /// At most so many in any second. Checked at start: at least 1.
    #[must_use]
    pub fn per_second(events: u32) -> Self {
        Self { per_second: Some(events), per_day: None }
    }

    /// At most so many in any 24 hours. Checked at start: at least 1.
    #[must_use]
    pub fn per_day(events: u32) -> Self {
        Self { per_second: None, per_day: Some(events) }
    }

    /// And at most so many in any 24 hours. Checked at start: at least 1.
    #[must_use]
    pub fn and_per_day(self, events: u32) -> Self {
        Self { per_day: Some(events), ..self }
    }

    /// Checks every field.
    ///
    /// # Errors
    /// The first field that is out of range.
    pub fn validate(&self) -> Result<(), ConfigError> {
        if (self.per_second, self.per_day) == (None, None) {
            let expected = "given `per_second`, `per_day` or both".to_owned();
            return Err(ConfigError { field: "rate_limit", expected, found: "neither".to_owned() });
        }
        at_least("rate_limit.per_second", self.per_second.unwrap_or(1), 1)?;
        at_least("rate_limit.per_day", self.per_day.unwrap_or(1), 1)
    }
}

impl<'de> Deserialize<'de> for RateLimit {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        // The derive's own function; `remote` leaves this impl to us, so that nothing unchecked comes out.
        let limit = Self::deserialize(deserializer)?;
        limit.validate().map_err(serde::de::Error::custom)?;
        Ok(limit)
    }
}

/// The permits of one term.
#[derive(Debug, Default)]
pub(super) struct Permits {
    second: Option<Bucket>,
    day: Option<Bucket>,
}

impl Permits {
    /// None are there yet.
    pub(super) fn none_yet(limit: Option<RateLimit>) -> Self {
        let Some(limit) = limit else { return Self::default() };
        let second = limit.per_second.and_then(NonZeroU32::new);
        let day = limit.per_day.and_then(NonZeroU32::new);
        Self {
            // A twentieth of a second's, and an hour's: what may go at once after a quiet time.
            second: second.map(|events| Bucket::empty(events, SECOND, events.get() / 20)),
            day: day.map(|events| Bucket::empty(events, DAY, events.get() / 24)),
        }
    }

    /// How many of `wanted` events may go now. Those permits are spent, whatever becomes of the events. Where it is fewer
    /// than wanted, [`next`](Self::next) says when to ask again.
    pub(super) fn take(&mut self, wanted: usize) -> usize {
        if self.next().is_some_and(|next| next > Instant::now()) {
            return 0;
        }
        // The day's come last, and none of them is lost. One of a second that the day does not match is no loss: it is
        // back before the day's next one comes.
        let of_second = self.second.as_mut().map_or(wanted, |second| second.take(wanted));
        self.day.as_mut().map_or(of_second, |day| day.take(of_second))
    }

    /// Before this instant none may go; `None` where there is no limit.
    pub(super) fn next(&self) -> Option<Instant> {
        [&self.second, &self.day].into_iter().flatten().map(|bucket| bucket.next).max()
    }
}

/// One limit.
#[derive(Debug)]
struct Bucket {
    permits: RateLimiter<NotKeyed, InMemoryState, TermClock, StateInformationMiddleware>,
    /// How many are waited for, where as many are wanted.
    together: u32,
    began: Instant,
    next: Instant,
}

impl Bucket {
    fn empty(events: NonZeroU32, period: Duration, burst: u32) -> Self {
        let burst = NonZeroU32::new(burst).unwrap_or(NonZeroU32::MIN);
        // See the module's words for why this is a bound. Rounded up, or it would not be.
        let refills = u128::from(events.get() - burst.get() + 1);
        let interval = Duration::from_nanos(
            u64::try_from(period.as_nanos().div_ceil(refills)).unwrap_or(u64::MAX).max(1),
        );
        let quota = Quota::with_period(interval).expect("an interval of at least a nanosecond");
        let began = Instant::now();
        let permits = RateLimiter::direct_with_clock(quota.allow_burst(burst), TermClock(began))
            .with_middleware::<StateInformationMiddleware>();
        // It comes full.
        let _ = permits.check_n(burst);
        let in_a_while = u32::try_from(TOGETHER.as_nanos() / interval.as_nanos()).unwrap_or(u32::MAX);
        // Half of what it holds at most: a leader that wakes late then loses none of what has come since.
        let together = in_a_while.min(burst.get() / 2).max(1);
        Self { permits, together, began, next: began }
    }

    /// Takes as many as there are of those wanted, unless that is too few to go by themselves.
    fn take(&mut self, wanted: usize) -> usize {
        let wanted = u32::try_from(wanted).unwrap_or(u32::MAX);
        let Some(first) = NonZeroU32::new(wanted.min(self.together)) else { return 0 };
        let taken = match self.permits.check_n(first) {
            Ok(Ok(left)) => {
                let more = left.remaining_burst_capacity().min(wanted - first.get());
                let more =
                    NonZeroU32::new(more).filter(|more| matches!(self.permits.check_n(*more), Ok(Ok(_))));
                first.get() + more.map_or(0, NonZeroU32::get)
            }
            Ok(Err(not_until)) => {
                self.next = self.began + not_until.earliest_possible();
                0
            }
            // Never as many as it cannot hold.
            Err(_) => 0,
        };
        usize::try_from(taken).unwrap_or(usize::MAX)
    }
}

/// Time since the beginning of a term, by the clock that tests can move.
#[derive(Debug, Clone)]
struct TermClock(Instant);

impl Clock for TermClock {
    type Instant = Duration;

    fn now(&self) -> Duration {
        self.0.elapsed()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};
    use tokio::time::{advance, sleep_until};

    use super::*;

    /// What went when, and whether any period had more than it may.
    struct Meter {
        period: Duration,
        most: usize,
        recent: VecDeque<(Instant, usize)>,
        sum: usize,
        total: usize,
    }

    impl Meter {
        fn new(period: Duration, most: usize) -> Self {
            Self { period, most, recent: VecDeque::new(), sum: 0, total: 0 }
        }

        fn went(&mut self, events: usize) {
            let now = Instant::now();
            while let Some((_, old)) = self.recent.pop_front_if(|(at, _)| *at + self.period <= now) {
                self.sum -= old;
            }
            self.recent.push_back((now, events));
            self.sum += events;
            self.total += events;
            assert!(self.sum <= self.most, "{} within {:?}", self.sum, self.period);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn no_second_and_no_day_has_more_than_it_may_however_often_the_leader_changes() {
        let mut rng = StdRng::seed_from_u64(5);
        for (per_second, per_day) in [(1, 7), (3, 1000), (50, 2000), (999, 40_000), (10_000, 500_000)] {
            let limit = RateLimit::per_second(per_second).and_per_day(per_day);
            let mut second = Meter::new(SECOND, per_second as usize);
            let mut day = Meter::new(DAY, per_day as usize);
            let mut permits = Permits::none_yet(Some(limit));
            for _ in 0..4_000 {
                match rng.random_range(0..20) {
                    0 => permits = Permits::none_yet(Some(limit)),
                    1 => advance(Duration::from_secs(rng.random_range(1..40_000))).await,
                    2..6 => advance(Duration::from_millis(rng.random_range(1..1_500))).await,
                    _ => {
                        let wanted = rng.random_range(1..=2_000);
                        let taken = permits.take(wanted);
                        assert!(taken <= wanted);
                        second.went(taken);
                        day.went(taken);
                        if let Some(next) = permits.next().filter(|_| taken < wanted) {
                            sleep_until(next.min(Instant::now() + SECOND)).await;
                        }
                    }
                }
            }
            assert!(day.total > 0);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn what_was_saved_up_in_a_quiet_time_counts_against_the_bound() {
        let limits = [40, 500, 20_000].map(|most| (RateLimit::per_second(most), SECOND, most as usize));
        for (limit, period, most) in limits.into_iter().chain([(RateLimit::per_day(2_400), DAY, 2_400)]) {
            let mut permits = Permits::none_yet(Some(limit));
            advance(3 * period).await;
            let (mut meter, end) = (Meter::new(period, most), Instant::now() + 3 * period);
            while Instant::now() < end {
                meter.went(permits.take(1_000));
                if let Some(next) = permits.next().filter(|next| *next > Instant::now()) {
                    sleep_until(next).await;
                }
            }
            assert!(meter.total > most * 5 / 2, "{} of {most} in three periods", meter.total);
        }
    }

    /// Takes all that may go for so long, and says how many that is, asking only when told to.
    async fn greedy(permits: &mut Permits, period: Duration) -> (usize, usize) {
        let end = Instant::now() + period;
        let (mut total, mut asked) = (0, 0);
        while Instant::now() < end {
            asked += 1;
            total += permits.take(1_000);
            if let Some(next) = permits.next().filter(|next| *next > Instant::now()) {
                sleep_until(next.min(end)).await;
            }
        }
        (total, asked)
    }

    #[tokio::test(start_paused = true)]
    async fn a_subscription_that_always_has_work_goes_at_nearly_the_limit_and_in_batches() {
        for events in [1_u32, 7, 40, 500, 20_000] {
            let mut permits = Permits::none_yet(Some(RateLimit::per_second(events)));
            let (total, asked) = greedy(&mut permits, 20 * SECOND).await;
            let most = events as usize * 20;
            assert!(total <= most && total >= most * 93 / 100 - 1, "{total} of {most} at {events} a second");
            assert!(asked <= 20 * 100 + 20, "{asked} wakes in 20 seconds at {events} a second");
        }
        let mut permits = Permits::none_yet(Some(RateLimit::per_day(24_000)));
        let (total, _) = greedy(&mut permits, 2 * DAY).await;
        assert!((45_900..=48_000).contains(&total), "{total} in two days at 24,000 a day");
    }

    #[tokio::test(start_paused = true)]
    async fn a_new_leader_has_nothing_saved_up_and_waits_for_its_first_permit() {
        let began = Instant::now();
        let mut permits = Permits::none_yet(Some(RateLimit::per_second(10)));
        assert_eq!(permits.take(5), 0);
        assert_eq!(permits.next(), Some(began + Duration::from_millis(100)));
        advance(Duration::from_millis(100)).await;
        assert_eq!(permits.take(5), 1);
        let mut permits = Permits::none_yet(Some(RateLimit::per_second(10).and_per_day(24)));
        assert_eq!(permits.take(5), 0);
        advance(SECOND).await;
        assert_eq!(permits.take(5), 0, "the day's first comes after an hour");
        assert_eq!(permits.next(), Some(began + Duration::from_millis(100) + DAY / 24));
    }

    #[tokio::test(start_paused = true)]
    async fn without_a_limit_everything_goes() {
        let mut permits = Permits::none_yet(None);
        assert_eq!(permits.take(123_456), 123_456);
        assert_eq!(permits.next(), None);
    }

    #[test]
    fn an_error_names_the_field() {
        let table = [
            (r#"{"per_second": 0}"#, "`rate_limit.per_second` must be at least 1, found 0"),
            (r#"{"per_second": 5, "per_day": 0}"#, "`rate_limit.per_day` must be at least 1, found 0"),
            ("{}", "`rate_limit` must be given `per_second`, `per_day` or both, found neither"),
            (r#"{"per_minute": 3}"#, "per_minute"),
            (r#"{"per_day": -3}"#, "-3"),
        ];
        for (text, expected) in table {
            let error = serde_json::from_str::<RateLimit>(text).expect_err(text).to_string();
            assert!(error.contains(expected), "{text}: {error}");
        }
        let both = serde_json::from_str(r#"{"per_second": 5, "per_day": 100}"#).ok();
        assert_eq!(both, Some(RateLimit::per_second(5).and_per_day(100)));
    }
}
