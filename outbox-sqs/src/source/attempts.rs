//! The ids of receives from a FIFO queue, so that one whose answer was lost is repeated and not made anew.
//!
//! While messages of a group are out, the queue gives nothing more of it: without a repeat, the groups of an answer
//! that never came would stand still until the visibility ends. SQS gives the same messages again to a receive with
//! the same id, for five minutes and while none of them was changed.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tokio::time::Instant;
use uuid::Uuid;

/// For so long SQS knows the id of a receive.
const KNOWN_FOR: Duration = Duration::from_secs(300);

/// One receive. It is repeated as it was, so it keeps how many messages it asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Attempt {
    pub(super) id: Uuid,
    pub(super) max: i32,
    begun: Instant,
    /// Whether an answer to it was lost before.
    pub(super) is_repeat: bool,
}

/// The receives whose answers were lost. Clones share them; each receive that is under way has an id of its own.
#[derive(Debug, Clone, Default)]
pub(super) struct Attempts(Arc<Mutex<Vec<Attempt>>>);

impl Attempts {
    /// A receive to repeat that asked for no more than `max`, the longest lost first; where there is none, a new one.
    ///
    /// After `visibility` the messages of a lost answer come again by themselves.
    pub(super) fn begin(&self, max: i32, visibility: Duration) -> Attempt {
        let now = Instant::now();
        let known_for = visibility.min(KNOWN_FOR);
        let mut lost = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        lost.retain(|attempt| now.duration_since(attempt.begun) < known_for);
        match lost.iter().position(|attempt| attempt.max <= max) {
            Some(place) => Attempt { is_repeat: true, ..lost.remove(place) },
            None => Attempt { id: Uuid::new_v4(), max, begun: now, is_repeat: false },
        }
    }

    /// Its answer was lost: SQS may have given messages.
    pub(super) fn lost(&self, attempt: Attempt) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(attempt);
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::advance;

    use super::*;

    const LONG: Duration = Duration::from_secs(3_600);

    #[tokio::test(start_paused = true)]
    async fn a_lost_receive_is_repeated_once_and_as_it_was() {
        let attempts = Attempts::default();
        let first = attempts.begin(7, LONG);
        let beside = attempts.begin(10, LONG);
        assert_ne!(first.id, beside.id, "two that are under way");

        attempts.clone().lost(first.clone());
        assert_ne!(attempts.begin(6, LONG).id, first.id, "it would bring more than there is room for");
        assert_eq!(attempts.begin(10, LONG), Attempt { is_repeat: true, ..first.clone() });
        assert_ne!(attempts.begin(10, LONG).id, first.id, "repeated by one only");
    }

    #[tokio::test(start_paused = true)]
    async fn what_sqs_does_not_know_any_more_is_not_repeated() {
        let attempts = Attempts::default();
        for (visibility, known_for) in [(LONG, KNOWN_FOR), (Duration::from_secs(30), Duration::from_secs(30))]
        {
            for (waited, is_repeated) in [(known_for - Duration::from_secs(1), true), (known_for, false)] {
                let lost = attempts.begin(10, visibility);
                attempts.lost(lost.clone());
                advance(waited).await;
                assert_eq!(
                    attempts.begin(10, visibility).id == lost.id,
                    is_repeated,
                    "{visibility:?} {waited:?}"
                );
            }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_receive_that_is_lost_twice_is_as_old_as_its_first_request() {
        let attempts = Attempts::default();
        let first = attempts.begin(10, LONG);
        attempts.lost(first.clone());
        advance(KNOWN_FOR / 2).await;
        let again = attempts.begin(10, LONG);
        assert_eq!(again, Attempt { is_repeat: true, ..first.clone() });
        attempts.lost(again);
        advance(KNOWN_FOR / 2).await;
        assert_ne!(attempts.begin(10, LONG).id, first.id);
    }
}
