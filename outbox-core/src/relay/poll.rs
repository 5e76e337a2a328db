//! When to read again, as pure code.

use std::time::Duration;

use tokio::time::Instant;

/// An adaptive pause: short after something was found or a capture was signalled, doubling while nothing is.
/// So a signal is followed by a few reads more: the signalled transaction may still be under way.
#[derive(Debug)]
pub(super) struct Poll {
    min: Duration,
    max: Duration,
    pause: Duration,
    next: Instant,
    /// What erred is not read before, whatever is signalled.
    held_off_until: Instant,
}

impl Poll {
    pub(super) fn new(min: Duration, max: Duration, now: Instant) -> Self {
        Self { min, max, pause: min, next: now, held_off_until: now }
    }

    /// When to read.
    pub(super) fn next(&self) -> Instant {
        self.next
    }

    /// There may be something: read at once, unless the pause after an error is not over.
    pub(super) fn signal(&mut self, now: Instant) {
        self.pause = self.min;
        self.next = now.max(self.held_off_until);
    }

    /// A read brought something; with `more` there is more to read.
    pub(super) fn found(&mut self, more: bool, now: Instant) {
        self.pause = self.min;
        self.next = if more { now } else { now + self.min };
    }

    /// A read brought nothing.
    pub(super) fn found_nothing(&mut self, now: Instant) {
        self.next = now + self.pause;
        self.pause = self.pause.saturating_mul(2).min(self.max);
    }

    /// Not before this pause is over.
    pub(super) fn hold_off(&mut self, pause: Duration, now: Instant) {
        self.next = now + pause;
        self.held_off_until = self.next;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_signal_does_not_shorten_the_pause_after_an_error() {
        let now = Instant::now();
        let mut poll = Poll::new(Duration::from_millis(2), Duration::from_secs(1), now);
        poll.hold_off(Duration::from_secs(30), now);
        poll.signal(now + Duration::from_secs(1));
        assert_eq!(poll.next(), now + Duration::from_secs(30));
        let later = now + Duration::from_secs(31);
        poll.signal(later);
        assert_eq!(poll.next(), later);
    }

    #[tokio::test(start_paused = true)]
    async fn an_idle_relay_reads_about_once_a_second_and_a_signalled_one_a_few_times() {
        let now = Instant::now();
        let mut poll = Poll::new(Duration::from_millis(2), Duration::from_secs(1), now);
        let reads = |poll: &mut Poll, from: Instant, seconds: u64| {
            let mut count = 0;
            while poll.next() < from + Duration::from_secs(seconds) {
                count += 1;
                poll.found_nothing(poll.next());
            }
            count
        };
        assert!(reads(&mut poll, now, 2) <= 12);
        let later = now + Duration::from_secs(2);
        assert!((59..=61).contains(&reads(&mut poll, later, 60)));
        let signalled = now + Duration::from_secs(62);
        poll.signal(signalled);
        assert_eq!(poll.next(), signalled);
        assert!((5..=11).contains(&reads(&mut poll, signalled, 1)));
    }
}
