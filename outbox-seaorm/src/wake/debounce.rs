//! When to say a word, as pure code.

use std::time::Duration;

use tokio::time::Instant;

/// From a signal to the word: the commit is as a rule a round trip behind its capture.
const DELAY: Duration = Duration::from_millis(1);

/// The least time between two words, so that a burst makes few. A relay that is woken reads by itself after 2, 6
/// and 14 milliseconds, so more words would tell it little.
const GAP: Duration = Duration::from_millis(20);

/// When the last word is repeated, for commits that take their time.
const ECHOES: [Duration; 2] = [Duration::from_millis(20), Duration::from_millis(100)];

/// A maximum age, not a quiet period: in a stream of signals that never pauses, words keep being said.
#[derive(Debug, Default)]
pub(super) struct Debounce {
    next: Option<Instant>,
    last: Option<Instant>,
    echoes: usize,
    held_off_until: Option<Instant>,
}

impl Debounce {
    /// When to say a word; `None` while there is none to be said.
    pub(super) fn next(&self) -> Option<Instant> {
        self.next
    }

    /// Something was captured.
    pub(super) fn signal(&mut self, now: Instant) {
        let soon = now + DELAY;
        let earliest = [self.last.map(|last| last + GAP), self.held_off_until].into_iter().flatten();
        let earliest = earliest.fold(soon, Instant::max);
        self.next = Some(self.next.map_or(earliest, |next| next.min(earliest)));
        self.echoes = 0;
    }

    /// A word is about to be said: what is signalled from now on needs another.
    pub(super) fn said(&mut self, now: Instant) {
        self.last = Some(now);
        self.next = ECHOES.get(self.echoes).map(|echo| now + *echo);
        self.echoes += 1;
    }

    /// A word did not get through: it is said when this pause is over, and none before.
    pub(super) fn hold_off(&mut self, pause: Duration, now: Instant) {
        self.next = Some(now + pause);
        self.held_off_until = self.next;
        self.echoes = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MILLI: Duration = Duration::from_millis(1);

    /// The moments of the words, in milliseconds, with a signal at each of `signals`.
    fn words(signals: impl IntoIterator<Item = u32>, upto: u32) -> Vec<u32> {
        let (start, mut debounce, mut said) = (Instant::now(), Debounce::default(), Vec::new());
        let signals: Vec<u32> = signals.into_iter().collect();
        for milli in 0..upto {
            let now = start + milli * MILLI;
            if debounce.next().is_some_and(|next| next <= now) {
                debounce.said(now);
                said.push(milli);
            }
            if signals.contains(&milli) {
                debounce.signal(now);
            }
        }
        said
    }

    #[test]
    fn one_signal_is_told_at_once_and_twice_more_for_a_late_commit() {
        assert_eq!(words([0], 10_000), [1, 21, 121]);
    }

    #[test]
    fn a_burst_makes_few_words_and_does_not_starve_them() {
        let said = words(0..1_000, 10_000);
        assert!(said.windows(2).all(|pair| pair[1] - pair[0] >= 20), "{said:?}");
        assert!(said.len() <= 53, "{} words", said.len());
        assert!(said.iter().filter(|milli| **milli < 1_000).count() >= 45, "no quiet period is waited for");
        assert!(said.last() > Some(&1_000), "what came last is told too");
    }

    #[test]
    fn a_signal_after_a_word_gets_one_of_its_own() {
        assert_eq!(words([0, 2], 200), [1, 21, 41, 141]);
        assert_eq!(
            words([0, 60], 300),
            [1, 21, 61, 81, 181],
            "and the echo of the first is not said beside it"
        );
    }

    #[test]
    fn a_broken_line_is_not_tried_for_each_signal() {
        let (now, mut debounce) = (Instant::now(), Debounce::default());
        debounce.signal(now);
        debounce.said(now + MILLI);
        debounce.hold_off(Duration::from_secs(5), now + MILLI);
        debounce.signal(now + 2 * MILLI);
        assert_eq!(debounce.next(), Some(now + MILLI + Duration::from_secs(5)));
    }
}
