//! A relay in the background.

use tokio::task::JoinHandle;
use tokio_util::sync::{CancellationToken, DropGuard};

use super::{Publishers, RelayError};

/// A relay that runs in a task of its own. Dropping the handle stops it gracefully, without waiting.
#[derive(Debug)]
#[must_use = "dropping the handle stops the relay"]
pub struct RelayHandle {
    stop: DropGuard,
    task: JoinHandle<Result<(), RelayError>>,
    publishers: Publishers,
}

impl RelayHandle {
    pub(super) fn new(
        stop: CancellationToken,
        task: JoinHandle<Result<(), RelayError>>,
        publishers: Publishers,
    ) -> Self {
        Self { stop: stop.drop_guard(), task, publishers }
    }

    /// The publishers, to ask them how they are. Cloned, they can be asked from elsewhere.
    #[must_use]
    pub fn publishers(&self) -> &Publishers {
        &self.publishers
    }

    /// Whether it has ended; [`join`](Self::join) then says why.
    #[must_use]
    pub fn is_finished(&self) -> bool {
        self.task.is_finished()
    }

    /// Waits until it ends by itself, which it does only where it cannot go on.
    ///
    /// # Errors
    /// What ended it.
    pub async fn join(self) -> Result<(), RelayError> {
        ended(self.task.await)
    }

    /// Stops it: waits for what is being published, stores progress, hands its leases over.
    ///
    /// # Errors
    /// What ended it before.
    pub async fn stop(self) -> Result<(), RelayError> {
        let Self { stop, task, .. } = self;
        stop.disarm().cancel();
        ended(task.await)
    }
}

fn ended(result: Result<Result<(), RelayError>, tokio::task::JoinError>) -> Result<(), RelayError> {
    result.unwrap_or_else(|error| Err(RelayError::Panicked(error.to_string())))
}
