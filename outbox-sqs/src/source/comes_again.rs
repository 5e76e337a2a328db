//! For how long after it was sent a message may come, as pure code.

use std::{fmt, time::Duration};

use outbox_core::settings::duration_text::text;

use crate::queue::QueueKind;

/// The longest that SQS keeps a message in a queue.
pub(super) const LONGEST_RETENTION: Duration = Duration::from_secs(14 * 24 * 60 * 60);

/// What decides for how long a message may come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct ComesAgain {
    pub(super) kind: QueueKind,
    /// The retention of the queue.
    pub(super) own: Duration,
    /// The retention of its dead-letter queue, where it has one.
    pub(super) dead_letters: Option<Duration>,
}

impl ComesAgain {
    /// From when it was sent until it comes no more, with one redrive from the dead-letter queue.
    ///
    /// A message is new when it is moved back, and is kept for as long as any other. On its way into the dead-letter
    /// queue it keeps its time stamp in a standard queue, so there its whole age counts; in a FIFO queue it begins anew
    /// there too.
    pub(super) fn longest(&self) -> Duration {
        let Some(dead_letters) = self.dead_letters else { return self.own };
        let before = match self.kind {
            QueueKind::Standard => Duration::ZERO,
            QueueKind::Fifo => self.own,
        };
        before + dead_letters + self.own
    }
}

impl fmt::Display for ComesAgain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (longest, own) = (text(self.longest()), text(self.own));
        match (self.dead_letters.map(text), self.kind) {
            (None, _) => write!(f, "{longest}, the retention of the queue"),
            (Some(dead), QueueKind::Standard) => {
                write!(
                    f,
                    "{longest}: up to {dead} until it leaves the dead-letter queue, and {own} after a redrive"
                )
            }
            (Some(dead), QueueKind::Fifo) => write!(
                f,
                "{longest}: {own} in the queue, {dead} in the dead-letter queue, and {own} after a redrive"
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: Duration = Duration::from_secs(24 * 60 * 60);

    #[test]
    fn a_redrive_lets_a_message_begin_anew() {
        for (kind, own, dead_letters, days, words) in [
            (QueueKind::Standard, 4, None, 4, "4d, the retention of the queue"),
            (QueueKind::Fifo, 4, None, 4, "4d, the retention of the queue"),
            // The defaults of SQS with the advice for dead-letter queues: shorter than an inbox remembers.
            (QueueKind::Standard, 4, Some(14), 18, "18d: up to 14d until"),
            (
                QueueKind::Fifo,
                4,
                Some(14),
                22,
                "22d: 4d in the queue, 14d in the dead-letter queue, and 4d after",
            ),
            (QueueKind::Standard, 14, Some(14), 28, "28d: "),
            (QueueKind::Fifo, 14, Some(14), 42, "42d: "),
            // One that is older than its dead-letter queue keeps it is gone there at once.
            (QueueKind::Standard, 14, Some(1), 15, "15d: "),
        ] {
            let comes_again =
                ComesAgain { kind, own: own * DAY, dead_letters: dead_letters.map(|days: u32| days * DAY) };
            assert_eq!(comes_again.longest(), days * DAY, "{comes_again:?}");
            assert!(comes_again.to_string().starts_with(words), "{comes_again}");
        }
    }
}
