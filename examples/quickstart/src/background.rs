//! A background task that is owned: it is told to stop, waited for, and hands back what it ended with.

use std::future::Future;

use anyhow::{Context as _, Result};
use tokio::task::JoinHandle;
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};

#[derive(Debug)]
pub struct Background<T> {
    stop: CancellationToken,
    task: JoinHandle<T>,
}

impl<T: Send + 'static> Background<T> {
    /// Spawns what `work` makes of the signal to stop.
    pub fn start<F>(work: impl FnOnce(WaitForCancellationFutureOwned) -> F) -> Self
    where
        F: Future<Output = T> + Send + 'static,
    {
        let stop = CancellationToken::new();
        let task = tokio::spawn(work(stop.clone().cancelled_owned()));
        Self { stop, task }
    }

    /// Whether it ended by itself, which only an error makes it do.
    pub fn ended(&self) -> bool {
        self.task.is_finished()
    }

    /// Tells it to stop and waits until it has.
    pub async fn stop(self) -> Result<T> {
        self.stop.cancel();
        self.task.await.context("a background task panicked")
    }
}
