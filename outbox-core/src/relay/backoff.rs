//! How long to wait for what is away.

use std::time::Duration;

use rand::{Rng, RngExt as _};

use crate::retry;

/// Growing pauses: each doubles up to a ceiling, less a random part of at most a half, so that relays do not
/// come back together and none of them spins.
#[derive(Debug, Clone)]
pub(super) struct Backoff {
    min: Duration,
    max: Duration,
    failures: u32,
}

impl Backoff {
    pub(super) fn new(min: Duration, max: Duration) -> Self {
        Self { min, max, failures: 0 }
    }

    /// The next pause.
    pub(super) fn next(&mut self, rng: &mut (impl Rng + ?Sized)) -> Duration {
        self.failures = self.failures.saturating_add(1);
        let limit = retry::limit(self.min, self.max, self.failures);
        rng.random_range(limit / 2..=limit)
    }

    /// It is back.
    pub(super) fn reset(&mut self) {
        self.failures = 0;
    }
}

#[cfg(test)]
mod tests {
    use rand::{SeedableRng as _, rngs::StdRng};

    use super::*;

    #[test]
    fn pauses_grow_to_the_ceiling_and_are_never_short() {
        let mut backoff = Backoff::new(Duration::from_millis(100), Duration::from_secs(1));
        let mut rng = StdRng::seed_from_u64(3);
        for limit in [100, 200, 400, 800, 1000, 1000] {
            let pause = backoff.next(&mut rng);
            assert!(pause >= Duration::from_millis(limit / 2) && pause <= Duration::from_millis(limit));
        }
        backoff.reset();
        assert!(backoff.next(&mut rng) <= Duration::from_millis(100));
    }
}
