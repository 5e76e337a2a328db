//! A signal between tasks. It is a counter and not a bare notification, because a signal given between a
//! relay's read and its wait must still end that wait.

use tokio::sync::watch;

/// Wakes all that listens to it. A clone is the same signal.
#[derive(Debug, Clone)]
pub struct Signal(watch::Sender<u64>);

impl Signal {
    /// A signal that nobody listens to yet.
    #[must_use]
    pub fn new() -> Self {
        Self(watch::Sender::new(0))
    }

    /// Wakes the listeners.
    pub fn send(&self) {
        self.0.send_modify(|count| *count = count.wrapping_add(1));
    }

    /// Listens from now on.
    #[must_use]
    pub fn listen(&self) -> Listener {
        Listener(self.0.subscribe())
    }
}

impl Default for Signal {
    fn default() -> Self {
        Self::new()
    }
}

/// What listens to a [`Signal`].
#[derive(Debug, Clone)]
pub struct Listener(watch::Receiver<u64>);

impl Listener {
    /// Waits for a signal that came after the last one this listener saw; one that is already there ends the
    /// wait at once. It waits for ever once nobody can send any more.
    ///
    /// # Cancel safety
    /// Dropping the future loses no signal.
    pub async fn next(&mut self) {
        if self.0.changed().await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;

    #[test]
    fn a_signal_between_read_and_wait_is_not_missed() {
        let signal = Signal::new();
        let mut listener = signal.listen();
        signal.send();
        signal.send();
        assert!(listener.next().now_or_never().is_some());
        assert!(listener.next().now_or_never().is_none(), "many signals wake once");
    }

    #[test]
    fn signals_before_the_listener_do_not_wake_it() {
        let signal = Signal::new();
        signal.send();
        assert!(signal.listen().next().now_or_never().is_none());
    }

    #[test]
    fn a_signal_that_is_gone_wakes_nobody() {
        let mut listener = Signal::new().listen();
        assert!(listener.next().now_or_never().is_none(), "else a relay would spin");
    }
}
