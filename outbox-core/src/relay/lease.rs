//! The right to lead, kept alive beside the work.
//!
//! Renewing has a task of its own, so that a slow read or flush does not cost the lease. Its end is counted on
//! the monotonic clock from *before* the statement was sent: the database's lease then ends later than ours.

use std::{sync::Arc, time::Duration};

use tokio::{sync::watch, task::JoinSet, time::Instant};

use crate::log::{EventLog, LogError, Owner, SubscriptionName};

/// A lease as its holder sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct View {
    until: Instant,
    lost: bool,
    /// How many renewals erred: each one says that the database may be another one than it was.
    errors: u64,
    /// What the last renewal said of operators' changes; `None` before the first.
    interventions: Option<i64>,
}

impl View {
    fn granted(sent: Instant, length: Duration) -> Self {
        Self { until: sent + length, lost: false, errors: 0, interventions: None }
    }

    fn is_held(&self, now: Instant) -> bool {
        !self.lost && now < self.until
    }

    /// Whether what takes at most `timeout` from now ends before the lease does.
    fn covers(&self, timeout: Duration, now: Instant) -> bool {
        !self.lost && now + timeout <= self.until
    }
}

/// Renews a lease until it is dropped or the lease is lost.
#[derive(Debug)]
pub(super) struct Lease {
    view: watch::Receiver<View>,
    seen_errors: u64,
    /// Ends with this value.
    _keeper: JoinSet<()>,
}

impl Lease {
    /// Keeps the lease of `length` that was asked for at `sent`.
    pub(super) fn keep(
        log: Arc<dyn EventLog>,
        subscription: SubscriptionName,
        owner: Owner,
        length: Duration,
        sent: Instant,
    ) -> Self {
        let (sender, view) = watch::channel(View::granted(sent, length));
        let mut keeper = JoinSet::new();
        keeper.spawn(async move { renew(&*log, &subscription, owner, length, sent, &sender).await });
        Self { view, seen_errors: 0, _keeper: keeper }
    }

    pub(super) fn is_held(&self) -> bool {
        self.view.borrow().is_held(Instant::now())
    }

    pub(super) fn covers(&self, timeout: Duration) -> bool {
        self.view.borrow().covers(timeout, Instant::now())
    }

    /// Whether a renewal erred since this was asked last.
    pub(super) fn has_erred(&mut self) -> bool {
        let errors = self.view.borrow().errors;
        std::mem::replace(&mut self.seen_errors, errors) != errors
    }

    /// How often operators have changed something, as the last renewal says; `None` before the first.
    pub(super) fn interventions(&self) -> Option<i64> {
        self.view.borrow().interventions
    }

    /// Waits until the lease is renewed, or a renewal errs, or it is lost.
    pub(super) async fn changed(&mut self) {
        if self.view.changed().await.is_err() {
            // The keeper ends only after it has said that the lease is lost, and whoever waits here checks
            // that before: there is no more change to wait for.
            std::future::pending::<()>().await;
        }
    }

    /// Waits until the lease is not held any more.
    pub(super) async fn lost(&self) {
        let mut view = self.view.clone();
        loop {
            let View { until, lost, .. } = *view.borrow_and_update();
            if lost || until <= Instant::now() {
                return;
            }
            // A renewal moves the end; whatever ends the wait, the next turn looks again.
            let _ = tokio::time::timeout_at(until, view.changed()).await;
        }
    }
}

async fn renew(
    log: &dyn EventLog,
    subscription: &SubscriptionName,
    owner: Owner,
    length: Duration,
    granted: Instant,
    view: &watch::Sender<View>,
) {
    let mut next = granted + length / 3;
    loop {
        tokio::time::sleep_until(next).await;
        let sent = Instant::now();
        let until = view.borrow().until;
        // One that hangs leaves time for others, on other connections.
        let limit = until.min(sent + length / 4);
        let answer = tokio::time::timeout_at(limit, log.renew(subscription, owner, length)).await;
        let answer = answer.unwrap_or_else(|elapsed| Err(LogError::database(elapsed)));
        match answer {
            Ok(Some(interventions)) => {
                view.send_modify(|view| {
                    view.until = sent + length;
                    view.interventions = Some(interventions);
                });
                next = sent + length / 3;
            }
            Err(error) if Instant::now() < until => {
                tracing::debug!(%subscription, %error, "the lease could not be renewed; trying again");
                view.send_modify(|view| view.errors += 1);
                next = Instant::now() + length / 20;
            }
            Ok(None) | Err(_) => {
                view.send_modify(|view| view.lost = true);
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_publish_must_end_before_the_lease_does() {
        let now = Instant::now();
        let view = View::granted(now, Duration::from_secs(30));
        assert!(view.covers(Duration::from_secs(10), now + Duration::from_secs(20)));
        assert!(!view.covers(Duration::from_secs(10), now + Duration::from_millis(20_001)));
        assert!(view.is_held(now + Duration::from_millis(29_999)));
        assert!(!view.is_held(now + Duration::from_secs(30)));
        assert!(!View { lost: true, ..view }.covers(Duration::ZERO, now));
    }
}
