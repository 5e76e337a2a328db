//! How long to leave a message, or something that is away, alone.

use std::time::Duration;

use rand::RngExt as _;

use crate::retry::{RetryPolicy, limit};

/// After this long a message comes again whose policy knows no further attempt: the broker's redrive policy is to
/// take it away, and where there is none it must not come in a tight loop.
const NO_FURTHER_ATTEMPT: Duration = Duration::from_secs(900);

/// When a message comes again that was delivered `attempt` times.
pub(super) fn message(policy: &RetryPolicy, attempt: u32) -> Duration {
    policy.delay_after(attempt, &mut rand::rng()).unwrap_or(NO_FURTHER_ATTEMPT)
}

/// The wait after the `failures`-th failure in a row of something that is away, the first is 1.
pub(super) fn outage(failures: u32) -> Duration {
    let longest = limit(Duration::from_millis(100), Duration::from_secs(10), failures);
    // At least half of it: a wait of nothing would be a tight loop.
    rand::rng().random_range(longest / 2..=longest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_outage_is_asked_about_ever_less_often_and_never_in_a_tight_loop() {
        for (failures, longest) in [(1, 100), (2, 200), (7, 6_400), (8, 10_000), (u32::MAX, 10_000)] {
            let longest = Duration::from_millis(longest);
            for _ in 0..50 {
                let wait = outage(failures);
                assert!(wait >= longest / 2 && wait <= longest, "{failures}: {wait:?}");
            }
        }
    }

    #[test]
    fn a_message_past_its_last_attempt_does_not_come_at_once() {
        let policy = RetryPolicy::schedule([Duration::from_secs(1)]);
        assert_eq!(message(&policy, 1), Duration::from_secs(1));
        assert_eq!(message(&policy, 2), NO_FURTHER_ATTEMPT);
    }
}
