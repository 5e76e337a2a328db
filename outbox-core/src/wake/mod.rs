//! The process-local signal from capture to relays: it saves a poll interval of latency and promises nothing.
//!
//! One signal for the process: capture knows a connection, not which log it leads to, and a relay that is
//! woken for nothing pays a few reads. It is a counter and not a bare notification, because a signal given
//! between a relay's read and its wait must still end that wait.

use std::sync::LazyLock;

use tokio::sync::watch;

static CAPTURED: LazyLock<watch::Sender<u64>> = LazyLock::new(|| watch::Sender::new(0));

/// Says that an event was captured in this process; its transaction may still be under way.
pub fn captured() {
    CAPTURED.send_modify(|count| *count = count.wrapping_add(1));
}

/// What listens for [`captured`].
#[derive(Debug, Clone)]
pub struct Captures(watch::Receiver<u64>);

impl Captures {
    /// Listens from now on.
    #[must_use]
    pub fn listen() -> Self {
        Self(CAPTURED.subscribe())
    }

    /// Waits for a signal that came after the last one this listener saw; one that is already there ends the
    /// wait at once.
    ///
    /// # Cancel safety
    /// Dropping the future loses no signal.
    pub async fn next(&mut self) {
        // The sender is a static: it is never dropped, so this never errs.
        let _ = self.0.changed().await;
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;

    #[test]
    fn a_signal_between_read_and_wait_is_not_missed() {
        let mut captures = Captures::listen();
        captured();
        assert!(captures.next().now_or_never().is_some());
    }

    #[test]
    fn signals_before_the_listener_do_not_wake_it() {
        captured();
        // Another test of this process may signal in between; a listener of a private channel cannot.
        let sender = watch::Sender::new(7);
        let mut captures = Captures(sender.subscribe());
        assert!(captures.next().now_or_never().is_none());
    }
}
