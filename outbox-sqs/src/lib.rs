//! Amazon SQS for the outbox: [`SqsPublisher`] sends the events of the log, [`SqsSource`] receives
//! them for a consumer.
//!
//! # The client is the user's
//!
//! Credentials, region, endpoint, HTTP and TLS stack are whatever the [`Client`] was made with, for
//! example by `aws-config`. This crate takes no AWS feature of its own choice but tokio's timers, so
//! a program pays for one TLS stack only: its own.
//!
//! ```
//! use aws_sdk_sqs::{
//!     Client,
//!     config::{BehaviorVersion, Credentials, Region},
//! };
//! use outbox_sqs::{SqsPublisher, SqsSource};
//!
//! let config = aws_sdk_sqs::Config::builder()
//!     .behavior_version(BehaviorVersion::latest())
//!     .region(Region::new("eu-central-1"))
//!     .credentials_provider(Credentials::new("key", "secret", None, None, "example"))
//!     .endpoint_url("http://127.0.0.1:4566") // a local server; leave it out for AWS
//!     .build();
//! let client = Client::from_conf(config);
//!
//! let publisher = SqsPublisher::new(client.clone())
//!     .route("orders", "http://127.0.0.1:4566/000000000000/orders")
//!     .route("payments", "http://127.0.0.1:4566/000000000000/payments");
//! let source = SqsSource::new(client, "http://127.0.0.1:4566/000000000000/orders");
//! # let _ = (publisher, source);
//! ```
//!
//! # Permissions
//!
//! | who | needs | for |
//! |---|---|---|
//! | publisher | `sqs:SendMessage` | sending, also in batches |
//! | source | `sqs:ReceiveMessage`, `sqs:DeleteMessage`, `sqs:ChangeMessageVisibility` | its work |
//! | both | `sqs:GetQueueAttributes` | the check at start, and the queue's retention; without it the check is left out with a warning and the retention is unknown |
//!
//! An encrypted queue also needs `kms:GenerateDataKey` (publisher) and `kms:Decrypt` (both).
//!
//! # What is promised
//!
//! At least once. A message counts as published only where SQS names its entry as successful: SQS
//! reports failures entry by entry under HTTP 200, and an entry that it does not mention was not
//! sent. Where the answer is lost the message goes again, so consumers de-duplicate (the inbox does).
//! Order on a standard queue is best effort, by SQS's own rules. FIFO queues are refused at start:
//! their groups and their de-duplication need a way of sending of their own.
//!
//! The SDK's own retries are switched off for sending, since the relay decides when to try again: two
//! layers of retries would multiply. About 100 requests carry 1,000 messages.

mod attributes;
mod classify;
mod fault;
mod limits;
mod publisher;
mod queue;
mod source;
#[cfg(test)]
mod stub;
mod trace;

pub use aws_sdk_sqs::Client;
pub use publisher::SqsPublisher;
pub use source::SqsSource;
