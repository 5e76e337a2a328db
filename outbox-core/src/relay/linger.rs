//! How long a batch that is not full waits for more.
//!
//! The bound is the *age* of its oldest event, not a quiet time: a trickle of events that are each closer together than
//! the pause would never see a quiet time, and wait for a full batch instead.

use std::time::Duration;

use tokio::time::Instant;

/// The batch that would go now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct NextBatch {
    /// How many events it has.
    pub(super) events: usize,
    /// Whether no more would fit in.
    pub(super) is_full: bool,
    /// Whether one of them has waited already: behind its aggregate, on hold, or for a broker that was away.
    pub(super) has_waited: bool,
}

/// Since when something is ready.
///
/// Not of each event: after a full batch those that are left count as old as the oldest of it, and go a little early.
#[derive(Debug)]
pub(super) struct Linger {
    longest: Duration,
    since: Option<Instant>,
}

impl Linger {
    pub(super) fn new(longest: Duration) -> Self {
        Self { longest, since: None }
    }

    /// When this batch goes, of which at least one event is ready.
    pub(super) fn departure(&mut self, next: NextBatch, now: Instant) -> Instant {
        let since = *self.since.get_or_insert(now);
        if next.is_full || next.has_waited { now } else { since + self.longest }
    }

    /// All that was ready has gone.
    pub(super) fn nothing_is_ready(&mut self) {
        self.since = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_batch_waits_for_its_oldest_event_only_and_not_where_it_is_full() {
        let (began, pause) = (Instant::now(), Duration::from_millis(100));
        let mut linger = Linger::new(pause);
        let few = |events| NextBatch { events, is_full: false, has_waited: false };
        assert_eq!(linger.departure(few(1), began), began + pause);
        for later in [40, 80, 99].map(Duration::from_millis) {
            assert_eq!(linger.departure(few(2), began + later), began + pause, "no quiet time is waited for");
        }
        let now = began + Duration::from_millis(99);
        assert_eq!(linger.departure(NextBatch { events: 10, is_full: true, has_waited: false }, now), now);
        assert_eq!(linger.departure(NextBatch { has_waited: true, ..few(1) }, began), began);
        linger.nothing_is_ready();
        assert_eq!(linger.departure(few(1), now), now + pause, "the next one begins anew");
        let mut none = Linger::new(Duration::ZERO);
        assert_eq!(none.departure(few(1), now), now);
        assert_eq!(none.departure(few(1), now + pause), now, "it may go");
    }
}
