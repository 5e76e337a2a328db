//! Waiting for a condition instead of sleeping.

use std::time::{Duration, Instant};

/// Waits until `condition` gives a value.
///
/// # Panics
/// When `deadline` has passed: with `what` was waited for.
pub async fn until<T>(what: &str, deadline: Duration, mut condition: impl AsyncFnMut() -> Option<T>) -> T {
    let end = Instant::now() + deadline;
    loop {
        if let Some(value) = condition().await {
            return value;
        }
        assert!(Instant::now() < end, "waited {deadline:?} in vain for {what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}
