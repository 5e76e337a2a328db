//! A network between a client and an SQS server that does the worst that a network may do.
//!
//! It speaks HTTP with both sides, so that it can take a single entry out of a batch, lose an answer after the server has
//! done what it was asked for, or let a request come late. What goes wrong is ordered by a test, or comes at random by a
//! seed; what the server really stored is on [record](Record), whatever the sender was told.

mod answer;
mod batch;
mod fault;
mod handed_out;
mod pass;
mod plan;
mod record;
mod storm;

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use anyhow::{Context as _, Result};
use tokio::{
    net::TcpListener,
    sync::watch,
    task::{AbortHandle, JoinSet},
};

pub use fault::{EntryError, EntryFault, Fault, Operation, Refusal};
pub use record::{Record, Stored};
pub use storm::Storm;

use handed_out::HandedOut;
use plan::Plan;

/// The proxy. What it does ends with it.
#[derive(Debug)]
pub struct Proxy {
    address: SocketAddr,
    shared: Arc<Shared>,
    keeper: AbortHandle,
}

/// What all connections have in common.
#[derive(Debug)]
struct Shared {
    /// As host:port.
    server: String,
    plan: Mutex<Plan>,
    record: Mutex<Record>,
    handed_out: Mutex<HandedOut>,
    /// What is done for the server's sake, whether or not the client still waits.
    work: Mutex<JoinSet<()>>,
    /// How much of it is not done yet.
    undone: watch::Sender<usize>,
}

impl Proxy {
    /// A proxy in front of `server`, a URL such as `http://127.0.0.1:4566`, without any fault.
    ///
    /// # Errors
    /// Where no port can be had, or the URL names no host and port.
    pub async fn in_front_of(server: &str) -> Result<Self> {
        let (_, server) = server.split_once("://").context("expected a URL")?;
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let shared = Arc::new(Shared {
            server: server.trim_end_matches('/').to_owned(),
            plan: Mutex::default(),
            record: Mutex::default(),
            handed_out: Mutex::default(),
            work: Mutex::default(),
            undone: watch::Sender::new(0),
        });
        let keeper = tokio::spawn(pass::keep(listener, Arc::clone(&shared))).abort_handle();
        Ok(Self { address, shared, keeper })
    }

    /// Where to connect to instead of the server.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Lets the next request of an operation go wrong like this; after others that were ordered before.
    pub fn order(&self, operation: Operation, fault: Fault) {
        lock(&self.shared.plan).order(operation, fault);
    }

    /// Lets a storm begin. What was ordered goes before it.
    pub fn storm(&self, storm: Storm) {
        lock(&self.shared.plan).storm(storm);
    }

    /// Nothing goes wrong from now on; what is under way still may.
    pub fn calm(&self) {
        lock(&self.shared.plan).calm();
    }

    /// What it saw so far.
    #[must_use]
    pub fn record(&self) -> Record {
        lock(&self.shared.record).clone()
    }

    /// Waits until the server has been asked for all that is on its way, also for what was held.
    ///
    /// # Panics
    /// Where that takes longer than a minute.
    pub async fn settled(&self) {
        let mut undone = self.shared.undone.subscribe();
        let settled =
            tokio::time::timeout(Duration::from_secs(60), undone.wait_for(|count| *count == 0)).await;
        settled.expect("what is on its way arrives within a minute").expect("the sender is here");
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.keeper.abort();
        lock(&self.shared.work).abort_all();
    }
}

/// What a panic of a test left behind is still true.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
