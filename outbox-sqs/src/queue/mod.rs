//! A queue: how it was named, where it is, and what it says of itself.

mod address;
mod ask;
mod error;
mod facts;
mod url;

use std::{
    fmt,
    sync::{Arc, OnceLock},
};

use aws_sdk_sqs::Client;
use tokio::sync::OnceCell;

use self::address::Address;
#[cfg(any(test, feature = "dev"))]
pub(crate) use self::address::{FIFO_SUFFIX, valid_name};
pub(crate) use self::{
    error::{AskError, QueueError},
    facts::Facts,
    url::QueueUrl,
};
use crate::fault::Fault;

/// The two kinds of queues of SQS.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum QueueKind {
    /// At least once, and order is best effort.
    Standard,
    /// Each group in its order, and a copy within five minutes is dropped.
    Fifo,
}

/// A queue as it was named, with what is known of it since. Clones share that.
#[derive(Clone)]
pub(crate) struct Queue(Arc<Known>);

struct Known {
    named: String,
    /// Wrong names are refused at start, where an error can be returned.
    address: Option<Address>,
    url: OnceCell<QueueUrl>,
    facts: OnceLock<Facts>,
}

impl Queue {
    /// A queue by its URL, its ARN or its name.
    pub(crate) fn new(named: impl Into<String>) -> Self {
        let named = named.into();
        let address = Address::parse(&named).ok();
        Self(Arc::new(Known { named, address, url: OnceCell::new(), facts: OnceLock::new() }))
    }

    /// What can be said without asking anybody.
    pub(crate) fn validate(&self) -> Result<(), QueueError> {
        Address::parse(&self.0.named).map(drop)
    }

    /// Where requests go. A queue named by URL is known; others are asked for once, and again only where that failed.
    pub(crate) async fn url(&self, client: &Client) -> Result<&QueueUrl, AskError> {
        self.0.url.get_or_try_init(async || ask::url(client, self.address()?).await).await
    }

    /// The same for a request: nobody can be told at start any more, so whatever is wrong is an outage.
    pub(crate) async fn url_now(&self, client: &Client) -> Result<&QueueUrl, Fault> {
        self.url(client).await.map_err(|error| error.into_fault(self))
    }

    /// Where requests go, if that is known by now.
    pub(crate) fn known_url(&self) -> Option<&QueueUrl> {
        self.0.url.get().or(match &self.0.address {
            Some(Address::Url(url)) => Some(url),
            _ => None,
        })
    }

    /// Standard or FIFO: what the queue said of itself, else what its name says.
    pub(crate) fn kind(&self) -> QueueKind {
        let told = self.facts().and_then(|facts| facts.kind);
        let named = || self.0.address.as_ref().map_or(QueueKind::Standard, Address::kind);
        told.unwrap_or_else(named)
    }

    /// What the queue said of itself when it was asked first.
    pub(crate) fn facts(&self) -> Option<&Facts> {
        self.0.facts.get()
    }

    /// What it was called in the configuration: queues that are named alike are the same.
    pub(crate) fn named(&self) -> &str {
        &self.0.named
    }

    /// Its name, for people and traces.
    pub(crate) fn name(&self) -> &str {
        self.0.address.as_ref().map_or(&self.0.named, Address::name)
    }

    fn address(&self) -> Result<&Address, AskError> {
        self.0.address.as_ref().ok_or_else(|| QueueError::NoAddress(self.0.named.clone()).into())
    }
}

impl fmt::Display for Queue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.named)
    }
}

impl fmt::Debug for Queue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Queue").field(&self.0.named).finish()
    }
}

#[cfg(test)]
mod tests;
