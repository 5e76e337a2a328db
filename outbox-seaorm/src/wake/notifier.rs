//! The handle of the writers' side.

use outbox_core::wake::Signal;
use sea_orm::DatabaseConnection;
use tokio::{sync::oneshot, task::JoinHandle};

/// Tells the relays of other processes when this process has captured an event, so that they need not poll for it.
/// For relays whose log [listens](crate::SeaOrmLog::listen).
///
/// One for each database that a process writes events to, for as long as it does. It is signalled by capture itself and
/// sends `NOTIFY` on one connection of its own, to the server of the given pool with the same settings, never in a
/// transaction of the caller's. Words are at least 20 milliseconds apart, whatever the number of events. What goes
/// wrong is logged once and mended in the background; it reaches no writer.
///
/// Only PostgreSQL has such a thing. On any other database it does nothing, so that a service can run its tests on
/// SQLite with the code it has in production.
///
/// ```no_run
/// # async fn service(db: sea_orm::DatabaseConnection) {
/// let notifier = outbox_seaorm::wake::Notifier::spawn(&db);
/// // .. the service saves orders ..
/// notifier.stop().await;
/// # }
/// ```
#[derive(Debug)]
#[must_use = "dropping the notifier stops it"]
pub struct Notifier {
    asked: Signal,
    running: Option<Running>,
}

#[derive(Debug)]
struct Running {
    /// Dropped, it stops the task.
    stop: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

impl Notifier {
    /// Starts a task that runs until [`stop`](Self::stop) or until the notifier is dropped.
    ///
    /// # Panics
    /// On PostgreSQL, outside of a tokio runtime.
    pub fn spawn(db: &DatabaseConnection) -> Self {
        let asked = Signal::new();
        let running = start(db, &asked);
        Self { asked, running }
    }

    /// Asks for a word by hand: for events that were stored past capture, such as a restored dump.
    pub fn notify(&self) {
        self.asked.send();
    }

    /// Stops the task and waits for it: a word that is still to be said is said. It takes at most some seconds, where the
    /// server does not answer.
    pub async fn stop(self) {
        let Some(Running { stop, task }) = self.running else { return };
        drop(stop);
        if let Err(error) = task.await {
            tracing::error!(%error, "the notifier panicked; relays were left to poll");
        }
    }
}

#[cfg(feature = "sqlx-postgres")]
fn start(db: &DatabaseConnection, asked: &Signal) -> Option<Running> {
    use outbox_core::wake::Captures;

    use super::notify::{Ears, notify};

    if !matches!(db.inner, sea_orm::DatabaseConnectionType::SqlxPostgresPoolConnection(_)) {
        return None;
    }
    let (stop, stopped) = oneshot::channel();
    let ears = Ears { captures: Captures::listen(), asked: asked.listen(), stop: stopped };
    Some(Running { stop, task: tokio::spawn(notify(db.clone(), ears)) })
}

#[cfg(not(feature = "sqlx-postgres"))]
fn start(_: &DatabaseConnection, _: &Signal) -> Option<Running> {
    None
}
