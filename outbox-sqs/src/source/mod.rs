//! Receives messages from a queue.

mod attempts;
mod comes_again;
mod incoming;
mod receipt;
mod retention;
mod sns;
mod visibility;

use std::{
    sync::{Arc, Once},
    time::Duration,
};

use async_trait::async_trait;
use aws_sdk_sqs::{
    Client,
    config::{retry::RetryConfig, timeout::TimeoutConfig},
    operation::receive_message::ReceiveMessageError,
    types::MessageSystemAttributeName,
};
use futures_util::future::join_all;
use outbox_core::source::{Incoming, Receipt, Source, SourceError};

use self::{
    attempts::{Attempt, Attempts},
    receipt::{MAX_INVISIBLE, whole_seconds},
};
use crate::{
    classify::Kind,
    fault::Fault,
    limits::MAX_ENTRIES,
    queue::{Queue, QueueKind},
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

/// What an operator can do about the quota of messages in flight. A long poll only comes back empty.
const TOO_MANY_IN_FLIGHT: &str = ": SQS gives no more while so many of the queue's messages (120,000 unless AWS allows \
    more) are received and neither deleted nor given back: look for consumers that hold them, or that do not delete";

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
    /// What the user said of it.
    retention: Option<Duration>,
    attempts: Attempts,
    /// What is told once, however often it is started.
    told: Arc<Once>,
}

impl SqsSource {
    /// Receives from a queue: by its URL (as `GetQueueUrl` gives it), its ARN or its name. SQS is asked for the URL of
    /// an ARN or a name once, at start, which needs `sqs:GetQueueUrl`.
    pub fn new(client: Client, queue: impl Into<String>) -> Self {
        Self {
            client,
            queue: Queue::new(queue),
            wait: MAX_WAIT,
            visibility: VISIBILITY,
            retention: None,
            attempts: Attempts::default(),
            told: Arc::new(Once::new()),
        }
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

    /// For how long after it was sent a message may come, where the queue may not be asked: its
    /// `MessageRetentionPeriod`, and where it has a dead-letter queue that of the dead-letter queue, and its own once more
    /// for what is moved back from there. Default: what the queue says.
    ///
    /// A consumer does not start with an inbox that remembers messages for less. Where the queue can be asked too, the
    /// longer of both counts. Stated too short, a message that comes again late is processed twice.
    pub fn message_retention(mut self, longest: Duration) -> Self {
        self.retention = Some(longest);
        self
    }

    fn validate(&self) -> Result<(), SourceError> {
        if self.wait > MAX_WAIT {
            return Err(SourceError::Refused(format!(
                "expected a wait of at most {MAX_WAIT:?}, found {:?}",
                self.wait
            )));
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

    /// Asks for messages, once.
    async fn ask(&self, max: i32, attempt: Option<&Attempt>) -> Result<Vec<Incoming>, Fault> {
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
        let url = self.queue.url_now(&self.client).await?;
        let answer = self
            .client
            .receive_message()
            .queue_url(url.as_str())
            .max_number_of_messages(max)
            .wait_time_seconds(whole_seconds(self.wait))
            .visibility_timeout(whole_seconds(self.visibility))
            .message_attribute_names("All")
            .message_system_attribute_names(MessageSystemAttributeName::ApproximateReceiveCount)
            .message_system_attribute_names(MessageSystemAttributeName::MessageGroupId)
            .set_receive_request_attempt_id(attempt.map(|attempt| attempt.id.to_string()))
            .customize()
            .config_override(settings)
            .send()
            .await
            .map_err(|error| {
                let mut fault = Fault::of(&error);
                if error.as_service_error().is_some_and(ReceiveMessageError::is_over_limit) {
                    fault.reason.push_str(TOO_MANY_IN_FLIGHT);
                }
                fault
            })?;
        let kind = self.queue.kind();
        Ok(answer
            .messages
            .unwrap_or_default()
            .into_iter()
            .filter_map(|message| incoming::incoming(message, kind))
            .collect())
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
}

#[async_trait]
impl Source for SqsSource {
    /// Refuses settings that cannot work and a queue that is not there. A queue that cannot be asked
    /// for, because nobody answers or the credentials do not allow it, is no error.
    async fn start(&self) -> Result<(), SourceError> {
        self.validate()?;
        let checked = self.queue.check(&self.client).await;
        checked.map_err(|error| SourceError::Refused(error.to_string()))?;
        self.warn_without_redrive();
        Ok(())
    }

    /// Gives at most ten, which is what SQS gives.
    ///
    /// # Cancel safety
    /// Dropping the future ends the long poll at once. What SQS had just sent then comes again when
    /// its visibility ends.
    async fn receive(&self, max: usize) -> Result<Vec<Incoming>, SourceError> {
        let max = i32::try_from(max.clamp(1, MAX_ENTRIES)).expect("at most ten");
        match self.queue.kind() {
            QueueKind::Standard => self.ask(max, None).await.map_err(unavailable),
            QueueKind::Fifo => {
                let attempt = self.attempts.begin(max, self.visibility);
                let answer = self.ask(attempt.max, Some(&attempt)).await;
                answer.map_err(|fault| {
                    // A clear no took no messages out, but the request that this one repeats may have. Where the id
                    // itself is refused, it is not to come up again.
                    let may_hold = attempt.is_repeat && fault.kind != Kind::Parameter;
                    if may_hold || matches!(fault.kind, Kind::Away | Kind::Internal) {
                        self.attempts.lost(attempt);
                    }
                    unavailable(fault)
                })
            }
        }
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

    /// Ten a request. SQS keeps a message invisible for twelve hours from its receive and no longer.
    async fn extend_all(
        &self,
        receipts: &[Receipt],
        visibility: Duration,
    ) -> Result<Vec<Receipt>, SourceError> {
        self.change_visibilities(receipts, visibility).await.map_err(unavailable)
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

    /// With what a redrive from the dead-letter queue adds: see [`message_retention`](Self::message_retention).
    ///
    /// # Errors
    /// Where SQS does not answer. [`SourceError::Refused`] where the queue may not be asked and nothing was stated.
    async fn retention(&self) -> Result<Option<Duration>, SourceError> {
        self.longest_retention().await.map(Some)
    }
}

fn unavailable(fault: Fault) -> SourceError {
    SourceError::Unavailable { reason: fault.reason, source: None }
}

#[cfg(test)]
mod tests;
