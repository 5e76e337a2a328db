//! Checks a relay and runs its tasks.

use std::{
    collections::HashSet,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::{
    Relay, RelayConfig, RelayError, outage::Outage, purge::purge, source_uri, subscription::Reader,
    supervise::supervise, warnings::Warnings,
};
use crate::{
    log::EventLog,
    publisher::{Publisher, PublisherError},
    wake::Signal,
};

/// What the tasks of a relay share.
pub(super) struct Shared {
    pub(super) log: Arc<dyn EventLog>,
    pub(super) source: Arc<str>,
    /// This process, as a person would look for it.
    pub(super) process: String,
    pub(super) config: RelayConfig,
    pub(super) shutdown: CancellationToken,
    pub(super) warnings: Warnings,
    /// What the log hears of other processes' events.
    pub(super) news: Signal,
    leading: AtomicUsize,
}

impl Shared {
    /// Waits, unless the relay is stopped.
    pub(super) async fn pause(&self, pause: Duration) {
        pause_unless(&self.shutdown, pause).await;
    }

    /// Runs a statement, unless the relay is stopped: then `None`, and the statement is dropped.
    pub(super) async fn unless_stopped<T>(&self, statement: impl Future<Output = T>) -> Option<T> {
        self.shutdown.run_until_cancelled(statement).await
    }

    /// Counts a term until the guard is dropped.
    pub(super) fn leading(&self) -> LeadingGuard<'_> {
        self.leading.fetch_add(1, Ordering::Relaxed);
        LeadingGuard(&self.leading)
    }

    pub(super) fn is_leading(&self) -> bool {
        self.leading.load(Ordering::Relaxed) > 0
    }
}

pub(super) struct LeadingGuard<'a>(&'a AtomicUsize);

impl Drop for LeadingGuard<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Waits, unless there is a stop.
pub(super) async fn pause_unless(stop: &CancellationToken, pause: Duration) {
    tokio::select! {
        () = stop.cancelled() => {}
        () = tokio::time::sleep(pause) => {}
    }
}

/// How long a publisher may take to start.
const START_LIMIT: Duration = Duration::from_secs(60);

/// Runs a relay until it is stopped, or no subscription can go on.
pub(super) async fn run(relay: Relay, stop: CancellationToken) -> Result<(), RelayError> {
    let Relay { log, source, process, subscriptions, config, retention } = relay;
    let source = source_uri::parse(&source)?;
    config.validate()?;
    let readers: Vec<Reader> =
        subscriptions.into_iter().map(super::Subscription::build).collect::<Result<_, _>>()?;
    if readers.is_empty() {
        return Err(RelayError::NoSubscription);
    }
    let mut names = HashSet::new();
    if let Some(twice) = readers.iter().find(|reader| !names.insert(&reader.name)) {
        return Err(RelayError::SameName(twice.name.clone()));
    }
    let mut started: Vec<&Arc<dyn Publisher>> = Vec::new();
    for Reader { name, publisher, .. } in &readers {
        // Several subscriptions may share one.
        if started.iter().any(|other| Arc::ptr_eq(other, publisher)) {
            continue;
        }
        let refused = |source| RelayError::Publisher { subscription: name.clone(), source };
        let starting = tokio::time::timeout(START_LIMIT, publisher.start());
        let Some(ended) = stop.run_until_cancelled(starting).await else { return Ok(()) };
        let late = || PublisherError::new(format!("expected it to start within {START_LIMIT:?}, it did not"));
        ended.unwrap_or_else(|_| Err(late())).map_err(refused)?;
        started.push(publisher);
    }
    let warnings = Warnings::new(readers.iter().map(|reader| reader.topics.clone()).collect());
    let leading = AtomicUsize::new(0);
    let (news, shutdown) = (Signal::new(), stop.clone());
    let shared = Arc::new(Shared { log, source, process, config, shutdown, warnings, news, leading });

    check(&shared).await?;
    // Also ends when no subscription is left.
    let stop_beside = stop.child_token();
    let mut readers_running = JoinSet::new();
    for reader in readers {
        let shared = Arc::clone(&shared);
        readers_running.spawn(async move {
            let ended = supervise(&shared, &reader).await;
            if let Err(error) = &ended {
                let source = std::error::Error::source(error).map(tracing::field::display);
                tracing::error!(subscription = %reader.name, %error, source, "the subscription cannot go on");
            }
            ended
        });
    }
    let mut beside = JoinSet::new();
    let purge_shared = Arc::clone(&shared);
    let stop_purge = stop_beside.clone();
    beside.spawn(async move { purge(&purge_shared, retention, &stop_purge).await });
    let (watch_shared, stop_watching) = (Arc::clone(&shared), stop_beside.clone());
    beside.spawn(async move {
        let _ = stop_watching.run_until_cancelled(watch_shared.log.watch(&watch_shared.news)).await;
    });

    let mut result = Ok(());
    while let Some(ended) = readers_running.join_next().await {
        let ended = ended.unwrap_or_else(|error| Err(RelayError::Panicked(error.to_string())));
        result = result.and(ended);
    }
    stop_beside.cancel();
    while let Some(ended) = beside.join_next().await {
        if let Err(error) = ended {
            tracing::error!(%error, "a task beside the subscriptions panicked");
        }
    }
    result
}

/// Checks the log, as soon as it answers.
async fn check(shared: &Shared) -> Result<(), RelayError> {
    let mut outage = Outage::new(None, &shared.config);
    while !shared.shutdown.is_cancelled() {
        let Some(checked) = shared.unless_stopped(shared.log.check()).await else { break };
        match checked {
            Ok(()) => {
                outage.answered();
                break;
            }
            Err(error) if error.is_transient() => shared.pause(outage.failed(&error)).await,
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}
