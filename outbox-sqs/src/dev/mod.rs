//! Queues for development and tests: a queue, its dead-letter queue and the redrive policy between them, on a local
//! server.
//!
//! In production queues are made by whoever owns the account, with Terraform, CloudFormation or the console, and a
//! service has no right to make one. So this module is behind the cargo feature `dev`, which is off by default, and
//! it refuses to talk to anything but loopback: the address of each request is looked at just before the request goes
//! out, whatever the client, its environment or its profile made of it. A test that runs with a production profile by
//! mistake ends with an error and has sent nothing.

mod create;
mod error;
mod guard;
mod settings;

use std::time::Duration;

use aws_sdk_sqs::Client;

pub use self::error::DevError;
use self::{create::Maker, settings::Plan};

/// How often a message is received before it goes to the dead-letter queue, unless told otherwise.
const MAX_RECEIVE_COUNT: u32 = 5;

/// A queue for development and tests, with a dead-letter queue of the same kind.
///
/// ```no_run
/// # async fn example(client: aws_sdk_sqs::Client) -> Result<(), outbox_sqs::dev::DevError> {
/// use std::time::Duration;
///
/// use outbox_sqs::{SqsPublisher, SqsSource, dev::DevQueue};
///
/// let orders = DevQueue::named("orders").fifo().max_receive_count(3);
/// let queue = orders.create(&client).await?; // orders.fifo and orders-dead-letters.fifo
///
/// let publisher = SqsPublisher::new(client.clone()).route("orders", &queue.url);
/// let source = SqsSource::new(client.clone(), &queue.url);
/// // ..
/// orders.delete(&client).await?;
/// # let _ = (publisher, source);
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
#[must_use]
pub struct DevQueue {
    name: String,
    fifo: bool,
    max_receive_count: u32,
    visibility_timeout: Option<Duration>,
    retention: Option<Duration>,
    hosts: Vec<String>,
}

/// Where the queues of a [`DevQueue`] are.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct CreatedQueue {
    /// The URL of the queue.
    pub url: String,
    /// The URL of its dead-letter queue.
    pub dead_letter_url: String,
}

impl DevQueue {
    /// A standard queue of this name, and a dead-letter queue `{name}-dead-letters`. A name that ends with `.fifo` is
    /// that of a FIFO queue.
    pub fn named(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            fifo: false,
            max_receive_count: MAX_RECEIVE_COUNT,
            visibility_timeout: None,
            retention: None,
            hosts: Vec::new(),
        }
    }

    /// Makes it a FIFO queue. Its name, and that of its dead-letter queue, get the end `.fifo`, as SQS asks.
    pub fn fifo(mut self) -> Self {
        self.fifo = true;
        self
    }

    /// How often a message is received before it goes to the dead-letter queue, from 1 to 1,000. Default: 5.
    ///
    /// Each receive counts, also one whose consumer was killed. Too small and a few crashes take good messages away;
    /// too large and a message that cannot be processed keeps its group waiting for longer.
    pub fn max_receive_count(mut self, receives: u32) -> Self {
        self.max_receive_count = receives;
        self
    }

    /// How long a message that was received stays invisible where the receiver does not say, in whole seconds, at
    /// most 12 h. Default: what SQS does, 30 s. An [`SqsSource`](crate::SqsSource) says it itself.
    pub fn visibility_timeout(mut self, visibility: Duration) -> Self {
        self.visibility_timeout = Some(visibility);
        self
    }

    /// How long the queue keeps a message, in whole seconds, from 1 minute to 14 days. Default: what SQS does, 4 days.
    /// The dead-letter queue keeps 14 days.
    pub fn retention(mut self, retention: Duration) -> Self {
        self.retention = Some(retention);
        self
    }

    /// Allows one host that is not loopback, by its very name, as it stands in the client's endpoint: for a server in a
    /// container of its own, say `"localstack"`. Hosts of AWS are refused even if they are named here.
    pub fn allow_host(mut self, host: impl Into<String>) -> Self {
        self.hosts.push(host.into());
        self
    }

    /// Makes what is not there yet, and takes what is there with the same settings. Only what is stated is compared: a
    /// visibility timeout or a retention that is not given may be any.
    ///
    /// # Errors
    /// [`DevError`]: the request would leave the machine, a setting is out of range, a queue of that name has other
    /// settings, or the server does not answer well. What was made by then stays.
    pub async fn create(&self, client: &Client) -> Result<CreatedQueue, DevError> {
        let plan = Plan::of(self)?;
        let maker = Maker::new(client, &self.hosts);
        let dead_letters = maker.ensure(&plan.dead_letter_name, &plan.dead_letter_settings()).await?;
        let queue = maker.ensure(&plan.name, &plan.settings(&dead_letters.arn)).await?;
        Ok(CreatedQueue { url: queue.url, dead_letter_url: dead_letters.url })
    }

    /// Deletes the queue and its dead-letter queue with all that is in them. What is not there is no error. SQS asks
    /// to wait 60 seconds before a queue of the same name is made; local servers do not.
    ///
    /// # Errors
    /// [`DevError`]: the request would leave the machine, or the server does not answer well.
    pub async fn delete(&self, client: &Client) -> Result<(), DevError> {
        let plan = Plan::of(self)?;
        let maker = Maker::new(client, &self.hosts);
        maker.delete(&plan.name).await?;
        maker.delete(&plan.dead_letter_name).await
    }
}

#[cfg(test)]
mod tests;
