//! Receives messages from a queue.

mod incoming;
mod receipt;

use std::time::Duration;

use async_trait::async_trait;
use aws_sdk_sqs::{
    Client,
    config::{retry::RetryConfig, timeout::TimeoutConfig},
    error::{ProvideErrorMetadata as _, SdkError},
    operation::change_message_visibility::ChangeMessageVisibilityError,
    types::MessageSystemAttributeName,
};
use futures_util::future::join_all;
use outbox_core::source::{Incoming, Receipt, Source, SourceError};

use self::receipt::{MAX_INVISIBLE, whole_seconds};
use crate::{
    classify::Kind,
    fault::Fault,
    limits::MAX_ENTRIES,
    queue::{AskError, Queue, QueueError, QueueKind},
    trace::SYSTEM,
};

/// The longest poll that SQS allows, and the cheapest: an idle queue costs three requests a minute.
const MAX_WAIT: Duration = Duration::from_secs(20);

/// How much longer than the long poll an answer may take.
const ANSWER_TIME: Duration = Duration::from_secs(10);

/// The longest that any other request may take, its retries included.
const REQUEST_TIME: Duration = Duration::from_secs(10);

/// How long a delivery stays invisible to others, unless told otherwise.
const VISIBILITY: Duration = Duration::from_secs(30);

/// Receives from one queue of Amazon SQS by long polling.
///
/// A message that is received stays in the queue, invisible, until it is acknowledged (deleted) or
/// its visibility ends; then it comes again, with a higher `attempt`. So nothing is lost when a
/// consumer dies. A body that cannot be decoded is handed on as it is and left to the queue's own
/// redrive policy: give the queue a dead-letter queue.
///
/// ```
/// # fn example(client: aws_sdk_sqs::Client) {
/// use std::time::Duration;
///
/// use outbox_sqs::SqsSource;
///
/// let source = SqsSource::new(client, "https://sqs.eu-central-1.amazonaws.com/123456789012/orders")
///     .visibility_timeout(Duration::from_secs(60));
/// # }
/// ```
#[derive(Debug, Clone)]
#[must_use]
pub struct SqsSource {
    client: Client,
    queue: Queue,
    wait: Duration,
    visibility: Duration,
}

impl SqsSource {
    /// Receives from a queue: by its URL (as `GetQueueUrl` gives it), its ARN or its name. SQS is asked for the URL of
    /// an ARN or a name once, at start, which needs `sqs:GetQueueUrl`.
    pub fn new(client: Client, queue: impl Into<String>) -> Self {
        Self { client, queue: Queue::new(queue), wait: MAX_WAIT, visibility: VISIBILITY }
    }

    /// How long a receive waits for a first message, in whole seconds, at most 20 s. Default: 20 s.
    ///
    /// Shorter costs more requests on an idle queue and gains nothing: a message ends the wait, and a
    /// consumer that stops drops it. Zero asks only some of the servers and may miss messages.
    pub fn wait(mut self, wait: Duration) -> Self {
        self.wait = wait;
        self
    }

    /// How long a delivery stays invisible to others, in whole seconds, at most 12 h. Default: 30 s.
    /// It replaces the queue's own setting for what this source receives.
    ///
    /// Too short and a message comes again while its handler still works on it; too long and a
    /// consumer that died delays what it held.
    pub fn visibility_timeout(mut self, visibility: Duration) -> Self {
        self.visibility = visibility;
        self
    }

    fn validate(&self) -> Result<(), SourceError> {
        if self.wait > MAX_WAIT {
            return Err(SourceError::Refused(format!(
                "expected a wait of at most {MAX_WAIT:?}, found {:?}",
                self.wait
            )));
        }
        if self.queue.kind() == QueueKind::Fifo {
            return Err(SourceError::Refused(QueueError::Fifo(self.queue.to_string()).to_string()));
        }
        let found = self.visibility;
        if found < Duration::from_secs(1) || found > MAX_INVISIBLE {
            let message =
                format!("expected a visibility timeout from 1s to {MAX_INVISIBLE:?}, found {found:?}");
            return Err(SourceError::Refused(message));
        }
        Ok(())
    }

    /// Settings of a request that acknowledges, gives back or extends: a connection that died silently must not
    /// hold it for longer than the deliveries are ours. The client's own limit stays where it is shorter.
    fn prompt(&self) -> aws_sdk_sqs::config::Builder {
        let ours = REQUEST_TIME.min(self.visibility / 3);
        let set = self.client.config().timeout_config().and_then(TimeoutConfig::operation_timeout);
        let timeouts = TimeoutConfig::builder().operation_timeout(set.map_or(ours, |set| set.min(ours)));
        aws_sdk_sqs::Config::builder().timeout_config(timeouts.build())
    }

    /// Deletes at most ten deliveries and gives back those that are still there.
    async fn delete(&self, receipts: &[Receipt]) -> Result<Vec<Receipt>, Fault> {
        let entries = receipt::entries(receipts).collect();
        let url = self.queue.url_now(&self.client).await?;
        let request = self.client.delete_message_batch().queue_url(url.as_str()).set_entries(Some(entries));
        let answer = request
            .customize()
            .config_override(self.prompt())
            .send()
            .await
            .map_err(|error| Fault::of(&error))?;
        for failure in answer.failed() {
            tracing::debug!(queue = %self.queue, code = failure.code(), reason = failure.message(), "a delivery was not deleted");
        }
        Ok(receipt::not_deleted(receipts, answer.successful()))
    }

    /// Makes a delivery visible to others after `delay`. `false` where it is no longer ours, because
    /// its visibility has ended or somebody deleted it.
    async fn change_visibility(&self, receipt: &Receipt, delay: Duration) -> Result<bool, Fault> {
        let url = self.queue.url_now(&self.client).await?;
        let request = self
            .client
            .change_message_visibility()
            .queue_url(url.as_str())
            .receipt_handle(&*receipt.0)
            .visibility_timeout(whole_seconds(delay.min(MAX_INVISIBLE)));
        match request.customize().config_override(self.prompt()).send().await {
            Ok(_) => Ok(true),
            Err(SdkError::ServiceError(answer)) if is_no_longer_ours(answer.err()) => Ok(false),
            Err(error) => Err(Fault::of(&error)),
        }
    }
}

#[async_trait]
impl Source for SqsSource {
    /// Refuses settings that cannot work and a queue that is not there. A queue that cannot be asked
    /// for, because nobody answers or the credentials do not allow it, is no error.
    async fn start(&self) -> Result<(), SourceError> {
        self.validate()?;
        self.queue
            .check(&self.client)
            .await
            .map_err(|error: QueueError| SourceError::Refused(error.to_string()))
    }

    /// Gives at most ten, which is what SQS gives.
    ///
    /// # Cancel safety
    /// Dropping the future ends the long poll at once. What SQS had just sent then comes again when
    /// its visibility ends.
    async fn receive(&self, max: usize) -> Result<Vec<Incoming>, SourceError> {
        let max = i32::try_from(max.clamp(1, MAX_ENTRIES)).expect("at most ten");
        // A client's own timeouts are made for short requests: they must not cut the long poll, and
        // a connection that died silently must not hold it for ever.
        let limit = self.wait + ANSWER_TIME;
        let timeouts = TimeoutConfig::builder()
            .read_timeout(limit)
            .operation_attempt_timeout(limit)
            .operation_timeout(limit);
        let settings = aws_sdk_sqs::Config::builder()
            .timeout_config(timeouts.build())
            // The consumer's loop tries again.
            .retry_config(RetryConfig::disabled());
        let url = self.queue.url_now(&self.client).await.map_err(unavailable)?;
        let answer = self
            .client
            .receive_message()
            .queue_url(url.as_str())
            .max_number_of_messages(max)
            .wait_time_seconds(whole_seconds(self.wait))
            .visibility_timeout(whole_seconds(self.visibility))
            .message_attribute_names("All")
            .message_system_attribute_names(MessageSystemAttributeName::ApproximateReceiveCount)
            .customize()
            .config_override(settings)
            .send()
            .await
            .map_err(|error| unavailable(Fault::of(&error)))?;
        Ok(answer.messages.unwrap_or_default().into_iter().filter_map(incoming::incoming).collect())
    }

    async fn ack(&self, receipts: &[Receipt]) -> Result<Vec<Receipt>, SourceError> {
        let chunks: Vec<&[Receipt]> = receipts.chunks(MAX_ENTRIES).collect();
        let answers = join_all(chunks.iter().map(|chunk| self.delete(chunk))).await;
        let any_answer = answers.iter().any(Result::is_ok);
        let mut kept = Vec::new();
        for (chunk, answer) in chunks.into_iter().zip(answers) {
            match answer {
                Ok(not_deleted) => kept.extend(not_deleted),
                // Others were deleted: say precisely which were not.
                Err(_) if any_answer => kept.extend_from_slice(chunk),
                Err(fault) => return Err(unavailable(fault)),
            }
        }
        Ok(kept)
    }

    /// The delay is at most 11 h 45 min: SQS allows 12 h from the receive. A delivery that is no longer
    /// ours comes again by itself.
    async fn nack(&self, receipt: &Receipt, delay: Duration) -> Result<(), SourceError> {
        self.change_visibility(receipt, delay).await.map(drop).map_err(unavailable)
    }

    async fn extend(&self, receipt: &Receipt, visibility: Duration) -> Result<bool, SourceError> {
        self.change_visibility(receipt, visibility).await.map_err(unavailable)
    }

    fn visibility(&self) -> Option<Duration> {
        Some(self.visibility)
    }

    fn system(&self) -> &'static str {
        SYSTEM
    }

    fn destination(&self) -> Option<&str> {
        Some(self.queue.name())
    }

    async fn retention(&self) -> Result<Option<Duration>, SourceError> {
        match self.queue.ask(&self.client).await {
            Ok(facts) => Ok(facts.retention),
            Err(AskError::Denied(_)) => Ok(None),
            Err(error) => Err(SourceError::Unavailable { reason: error.to_string(), source: None }),
        }
    }
}

/// Whether a change of visibility was refused because the delivery is gone. The service says so with two codes of its
/// own, and for a message that was deleted or given to another with that of a wrong parameter; ours are right.
fn is_no_longer_ours(error: &ChangeMessageVisibilityError) -> bool {
    error.is_message_not_inflight()
        || error.is_receipt_handle_is_invalid()
        || error.code().is_some_and(|code| Kind::of_code(code) == Kind::Parameter)
}

fn unavailable(fault: Fault) -> SourceError {
    SourceError::Unavailable { reason: fault.reason, source: None }
}

#[cfg(test)]
mod tests;
