//! What a process of a run does until its input ends.

pub mod consumer;
pub mod relay;
pub mod writer;

use std::{io::Read as _, time::Duration};

use sea_orm::{ConnectOptions, Database, DatabaseConnection};
use tokio::sync::watch;

/// Resolves when standard input ends: the process that started this one asks it to stop, or is gone.
pub async fn input_ended(mut ended: watch::Receiver<bool>) {
    let _ = ended.wait_for(|ended| *ended).await;
}

/// Watches standard input in a thread of its own: reading it blocks.
#[must_use]
pub fn watch_input() -> watch::Receiver<bool> {
    let (sender, receiver) = watch::channel(false);
    std::thread::spawn(move || {
        let mut rest = Vec::new();
        let _ = std::io::stdin().read_to_end(&mut rest);
        let _ = sender.send(true);
    });
    receiver
}

/// Connects as soon as the server is there; `None` where the input ended before.
async fn connect(url: &str, connections: u32, ended: &watch::Receiver<bool>) -> Option<DatabaseConnection> {
    let mut options = ConnectOptions::new(url);
    let patience = Duration::from_secs(5);
    options
        .max_connections(connections)
        .acquire_timeout(patience)
        .connect_timeout(patience)
        .sqlx_logging(false);
    while !*ended.borrow() {
        match Database::connect(options.clone()).await {
            Ok(db) => return Some(db),
            Err(error) => tracing::debug!(%error, "the server is away"),
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    None
}
