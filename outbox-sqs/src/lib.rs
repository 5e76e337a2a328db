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
//! | publisher | `sqs:SendMessage` on each queue of a route | sending, also in batches: there is no permission of its own for those. A producer that may do nothing else works where its queues are named by URL |
//! | source | `sqs:ReceiveMessage`, `sqs:DeleteMessage`, `sqs:ChangeMessageVisibility` | its work |
//! | both | `sqs:GetQueueUrl` | a queue that is named by ARN or name; none is needed for a URL |
//! | publisher | `sqs:GetQueueAttributes` | the check at start, health, and the queue's `MaximumMessageSize`; without it the check is left out with a warning and health is unknown |
//! | source | `sqs:GetQueueAttributes`, also of the dead-letter queue | the check at start, and for how long messages may come; without it state that with [`SqsSource::message_retention`] |
//!
//! A queue that is encrypted with a KMS key of your own also needs, on that key, `kms:GenerateDataKey` and `kms:Decrypt`
//! (publisher) and `kms:Decrypt` (source). A queue of another account also needs a policy of its own that allows the same.
//! A missing permission is an outage for the publisher: events wait, and none is spent.
//!
//! # What is promised
//!
//! At least once. A message counts as published only where SQS names its entry as successful: SQS
//! reports failures entry by entry under HTTP 200, and an entry that it does not mention was not
//! sent. Where the answer is lost the message goes again, so consumers de-duplicate (the inbox does).
//! Order on a standard queue is best effort, by SQS's own rules; on a FIFO queue each aggregate keeps its order.
//!
//! The SDK's own retries are switched off for sending and receiving, since the relay and the consumer
//! decide when to try again: two layers of retries would multiply. About 100 requests carry 1,000
//! messages when they are there at once; a trickle costs a request for what has come together.
//!
//! What a failure means is decided by its code, never by `SenderFault`, which says true of throttling
//! and, on some servers, false of invalid characters:
//!
//! | found | outcome |
//! |---|---|
//! | `RequestThrottled` and its kin, also of KMS; HTTP 429 | [`Throttled`](Outcome::Throttled), with the answer's `Retry-After` |
//! | no connection, timeout, HTTP 5xx, an answer that cannot be read or mentions no entry at all | [`Unavailable`](Outcome::Unavailable); the messages may have been stored |
//! | missing queue, credentials, permissions, KMS keys | [`Unavailable`](Outcome::Unavailable): somebody has to act, and no message is at fault |
//! | too large, characters that SQS does not take, no route | [`Rejected`](Outcome::Rejected), before anything is sent where that can be known |
//! | a request that one entry may have spoilt (`BatchRequestTooLong`, ..) | its halves are sent by themselves, until the culprit is alone |
//! | on a FIFO queue: behind a message of its group that was not sent, or that took the time there was | [`HeldBack`](Outcome::HeldBack): no attempt is counted |
//! | an entry that the answer does not mention while it mentions others; any other code | [`Failed`](Outcome::Failed) |
//!
//! # FIFO queues
//!
//! A queue is FIFO by its own attributes, else by the end `.fifo` of its name. There a message's group is its aggregate
//! (`order/42`), or a header with [`GroupBy::Header`]; an event without an aggregate is a group by itself. An id of more than
//! 128 characters, or with others than letters, digits and punctuation of ASCII, is sent as its SHA-256. A request holds at most one
//! message of a group, and the next goes when that is confirmed, so that none overtakes one that failed; groups go side by
//! side. 1,000 events of 1,000 aggregates cost 100 requests as they do on a standard queue; 1,000 events of *one* aggregate
//! cost 1,000, one after the other.
//!
//! The deduplication id is the event's id, so a copy that the relay sends within five minutes, because an answer was lost, is
//! dropped by the queue, and the publisher is told that it was published: it was, before. Two things follow. An event
//! that is sent again on purpose with the same id within five minutes of the first time (`Replay::redeliver`, a rewind, a resend
//! because nobody acknowledged it) is dropped as well, also where the first one was received and deleted: wait for five minutes,
//! or use `Replay::reprocess`, whose replay id is part of the deduplication id. And a copy after more than five minutes is
//! delivered: the inbox is still needed.
//!
//! SQS takes 300 requests a second for each FIFO queue and action unless it is set to high throughput, with
//! `DeduplicationScope=messageGroup` and `FifoThroughputLimit=perMessageGroupId`. Both fit this publisher: an event's group never
//! changes, so a copy has the group of the first (keep to one [`GroupBy`] while events are under way). Above the limit SQS answers
//! `ThrottlingException`, and the relay slows down.
//!
//! A relay with `Ordering::Total` sends in the order of the log, but the queue keeps it for each group only.
//!
//! # What is on the wire
//!
//! By default CloudEvents 1.0 as the body, with `content-type`, `id`, `source` and `type` as message
//! attributes too, for filters and for people. With [`WireFormat::Raw`] the body is the payload alone and
//! the attributes are the rest. SQS takes ten attributes; what does not fit travels as a JSON object in
//! the attribute `more-attributes`, which [`SqsSource`] puts back. A `traceparent` header also becomes the
//! `AWSTraceHeader` that X-Ray and Lambda read: the same trace id, as X-Ray writes W3C ids. An ill-formed
//! one gives none.
//!
//! # The queue
//!
//! Give it a dead-letter queue: a message that no handler can read or process comes again until the queue's
//! redrive policy takes it, and without one until its retention ends: then it is gone. A source warns of that at start.
//!
//! The deliveries of a FIFO queue are handled one after the other in each group, and groups side by side. A message that
//! fails holds up its group until it succeeds or the redrive policy takes it; then the group goes on without it. Those behind
//! it that are received along with it are counted as received too, which a consumer keeps rare (see
//! [`consumer`](outbox_core::consumer)): choose a `maxReceiveCount` of five or more. A message group of a standard queue (fair queues) promises no order and is not looked at. A receive whose
//! answer was lost is repeated under its `ReceiveRequestAttemptId`, so that its groups need not wait for the visibility.
//!
//! A queue may be subscribed to a topic of SNS, with or without raw delivery: an envelope of SNS is taken off. Envelope
//! attributes of type `Binary` are left out, as those of SQS are.
//!
//! For how long a message may come decides how long the inbox has to remember. A consumer checks that at start:
//!
//! | queue | longest |
//! |---|---|
//! | without a dead-letter queue | its `MessageRetentionPeriod` (4 days by default) |
//! | standard, with one | that of the dead-letter queue, and its own: a message that is moved back is new |
//! | FIFO, with one | the same and its own once more: the time stamp is new on the way there too |
//!
//! A dead-letter queue that may not be asked counts with 14 days, the most there is. A message that is moved back more than
//! once can be older.
//!
//! SQS keeps a message invisible for 12 hours from its receive, however often that is prolonged: a handler that takes longer
//! is run a second time beside the first.
//!
//! For development and tests the cargo feature `dev` brings `dev::DevQueue`, which makes a queue with its dead-letter
//! queue on a local server, and nowhere else.

mod attributes;
mod classify;
#[cfg(any(test, feature = "dev"))]
pub mod dev;
mod fault;
mod limits;
mod publisher;
mod queue;
mod source;
#[cfg(test)]
mod stub;
mod trace;

pub use aws_sdk_sqs::Client;
#[cfg(doc)]
use outbox_core::{publisher::Outcome, wire::WireFormat};
pub use publisher::{GroupBy, SqsPublisher};
pub use source::SqsSource;
