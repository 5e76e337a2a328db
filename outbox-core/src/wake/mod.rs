//! Signals that wake a relay before its poll interval ends: they save latency and promise nothing.
//!
//! There are two, and both may come before the transaction they speak of is committed, so that a relay that is
//! woken reads a few times more. One goes from capture to the relays of this process ([`captured`]): capture knows
//! a connection, not which log it leads to, and a relay that is woken for nothing pays a few reads. The other
//! comes from other processes, as far as the log can hear of them ([`EventLog::watch`](crate::log::EventLog::watch)).

mod signal;

use std::sync::LazyLock;

pub use signal::{Listener, Signal};

static CAPTURED: LazyLock<Signal> = LazyLock::new(Signal::new);

/// Says that an event was captured in this process; its transaction may still be under way.
pub fn captured() {
    CAPTURED.send();
}

/// What listens for [`captured`].
#[derive(Debug, Clone)]
pub struct Captures(Listener);

impl Captures {
    /// Listens from now on.
    #[must_use]
    pub fn listen() -> Self {
        Self(CAPTURED.listen())
    }

    /// Waits for a signal that came after the last one this listener saw; one that is already there ends the
    /// wait at once.
    ///
    /// # Cancel safety
    /// Dropping the future loses no signal.
    pub async fn next(&mut self) {
        self.0.next().await;
    }
}
