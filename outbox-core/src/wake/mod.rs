//! The process-local signal from capture to relays: it saves a poll interval of latency and promises nothing.
//!
//! One signal for the process: capture knows a connection, not which log it leads to, and a relay that is
//! woken for nothing pays one read.

use tokio::sync::Notify;

static CAPTURED: Notify = Notify::const_new();

/// Says that an event was captured in this process; its transaction may still be under way.
pub fn captured() {
    CAPTURED.notify_waiters();
}

/// Waits for the next [`captured`] after this call.
pub async fn wait_for_capture() {
    CAPTURED.notified().await;
}
