//! Starts the processes of a run.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use anyhow::{Context as _, Result};
use outbox_seaorm::tables::{event, hold, subscription};
use sea_orm::{
    ColumnTrait as _, DatabaseConnection, EntityTrait as _, PaginatorTrait as _, QueryFilter as _,
    QueryOrder as _,
};

use crate::{
    process::Process,
    roles::relay::{Pace, SUBSCRIPTION},
};

/// Where the processes of a run find their program, their broker and a folder for what they tell.
#[derive(Debug, Clone)]
pub struct Scene {
    pub program: PathBuf,
    pub broker: SocketAddr,
    pub folder: PathBuf,
}

impl Scene {
    #[must_use]
    pub fn new(program: &str, broker: SocketAddr, folder: &Path) -> Self {
        Self { program: program.into(), broker, folder: folder.to_owned() }
    }

    /// A process that saves orders with so many tasks.
    ///
    /// # Errors
    /// Where it cannot be started.
    pub fn writer(&self, url: &str, number: u64, tasks: u64, seed: u64) -> Result<Process> {
        let mut command = self.command(url, "writer");
        command.args([
            "--number",
            &number.to_string(),
            "--tasks",
            &tasks.to_string(),
            "--seed",
            &seed.to_string(),
        ]);
        self.start(&mut command, &format!("writer-{number}"))
    }

    /// A process that relays under a name.
    ///
    /// # Errors
    /// Where it cannot be started.
    pub fn relay(&self, url: &str, name: &str, pace: Pace) -> Result<Process> {
        let Pace { lease, page_size, max_batch } = pace;
        let mut command = self.command(url, "relay");
        command.args(["--broker", &self.broker.to_string(), "--name", name]);
        command.args(["--lease-ms", &lease.as_millis().to_string(), "--page-size", &page_size.to_string()]);
        command.args(["--max-batch", &max_batch.to_string()]);
        self.start(&mut command, name)
    }

    /// A process that consumes.
    ///
    /// # Errors
    /// Where it cannot be started.
    pub fn consumer(&self, url: &str) -> Result<Process> {
        let mut command = self.command(url, "consumer");
        command.args(["--broker", &self.broker.to_string()]);
        self.start(&mut command, "consumer")
    }

    fn command(&self, url: &str, role: &str) -> Command {
        let mut command = Command::new(&self.program);
        command.args(["--url", url, role]);
        command
    }

    fn start(&self, command: &mut Command, name: &str) -> Result<Process> {
        Process::start(command, &self.folder.join(format!("{name}.log")))
    }
}

/// The subscription's row.
///
/// # Errors
/// Where the database is away, or no relay has begun.
pub async fn subscription(db: &DatabaseConnection) -> Result<subscription::Model> {
    let row = subscription::Entity::find_by_id(SUBSCRIPTION).one(db).await?;
    row.context("no relay has begun yet")
}

/// Whether the relays are done: all of the log is read, each number below is settled or proved to be empty, and
/// nothing is held.
///
/// # Errors
/// Where the database is away.
pub async fn is_drained(db: &DatabaseConnection) -> Result<bool> {
    let last = event::Entity::find().order_by_desc(event::Column::Seq).one(db).await?;
    let row = subscription(db).await?;
    let held = hold::Entity::find().filter(hold::Column::Subscription.eq(SUBSCRIPTION)).count(db).await?;
    Ok(row.position >= last.map_or(0, |last: event::Model| last.seq) && row.holes.is_empty() && held == 0)
}

/// Waits until [`is_drained`] says so.
///
/// # Errors
/// Where it does not within the deadline, with where it stands.
pub async fn drained(db: &DatabaseConnection, deadline: Duration) -> Result<()> {
    let waited = tokio::time::timeout(deadline, async {
        while !is_drained(db).await? {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        anyhow::Ok(())
    });
    match waited.await {
        Ok(done) => done,
        Err(_) => anyhow::bail!("not drained within {deadline:?}: {:?}", subscription(db).await?),
    }
}
