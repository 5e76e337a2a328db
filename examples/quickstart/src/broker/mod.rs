//! Between relay and consumer: a broker in memory, or a queue of Amazon SQS.

mod memory;
mod repeat;
#[cfg(feature = "servers")]
mod sqs;

use std::{sync::Arc, time::Duration};

use anyhow::Result;
use outbox_seaorm::{publisher::Publisher, source::Source};

use crate::cli::Cli;
pub use repeat::{Repeat, Tally};

/// The topic of all events here, and the name of the queue in memory.
pub const TOPIC: &str = "orders";

/// Both ends of a broker.
#[derive(Debug, Clone)]
pub enum Broker {
    Memory(memory::Memory),
    #[cfg(feature = "servers")]
    Sqs(sqs::Sqs),
}

impl Broker {
    #[cfg(feature = "servers")]
    pub async fn open(cli: &Cli) -> Result<Self> {
        match (&cli.sqs_endpoint, &cli.queue) {
            (Some(endpoint), Some(queue)) => Ok(Self::Sqs(sqs::Sqs::open(endpoint, queue).await?)),
            _ => Ok(Self::Memory(memory::Memory::default())),
        }
    }

    #[cfg(not(feature = "servers"))]
    #[allow(clippy::unused_async, reason = "the same call with the feature `servers`")]
    pub async fn open(cli: &Cli) -> Result<Self> {
        if cli.sqs_endpoint.is_some() {
            anyhow::bail!("this build knows no SQS; use `cargo run -p quickstart --features servers`");
        }
        Ok(Self::Memory(memory::Memory::default()))
    }

    pub fn publisher(&self) -> Arc<dyn Publisher> {
        match self {
            Self::Memory(memory) => Arc::new(memory.publisher()),
            #[cfg(feature = "servers")]
            Self::Sqs(sqs) => Arc::new(sqs.publisher()),
        }
    }

    pub fn source(&self) -> Arc<dyn Source> {
        match self {
            Self::Memory(memory) => Arc::new(memory.source()),
            #[cfg(feature = "servers")]
            Self::Sqs(sqs) => Arc::new(sqs.source()),
        }
    }

    /// How many messages the consumer is not done with.
    #[cfg_attr(
        not(feature = "servers"),
        allow(clippy::unused_async, reason = "the same call with the feature `servers`")
    )]
    pub async fn waiting(&self) -> Result<usize> {
        match self {
            Self::Memory(memory) => Ok(memory.waiting()),
            #[cfg(feature = "servers")]
            Self::Sqs(sqs) => sqs.waiting().await,
        }
    }

    /// For how long the broker has to say that it is empty until it is believed: the figures of SQS lag.
    pub fn patience(&self) -> Duration {
        match self {
            Self::Memory(_) => Duration::ZERO,
            #[cfg(feature = "servers")]
            Self::Sqs(_) => Duration::from_secs(15),
        }
    }

    /// Whether events of one order arrive in order. A standard queue of SQS promises none.
    pub fn keeps_order(&self) -> bool {
        matches!(self, Self::Memory(_))
    }
}
