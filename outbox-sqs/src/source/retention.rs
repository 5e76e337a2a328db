//! Asks a queue, and its dead-letter queue, for how long a message may come.

use std::time::Duration;

use outbox_core::{settings::duration_text::text, source::SourceError};

use super::{
    SqsSource,
    comes_again::{ComesAgain, LONGEST_RETENTION},
    unavailable,
};
use crate::queue::{AskError, Facts, Queue, QueueKind};

impl SqsSource {
    /// What the queue says, or what the user said where that is longer.
    ///
    /// # Errors
    /// Refused where neither is known; unavailable where nobody answers.
    pub(super) async fn longest_retention(&self) -> Result<Duration, SourceError> {
        let unknown = match self.queue.ask(&self.client).await {
            Ok(Facts { retention: Some(own), kind, redrive, .. }) => {
                let dead_letters = match redrive {
                    Some(redrive) => Some(self.retention_of_dead_letters(&redrive.dead_letter_arn).await?),
                    None => None,
                };
                let kind = kind.unwrap_or_else(|| self.queue.kind());
                return Ok(self.longer(ComesAgain { kind, own, dead_letters }));
            }
            Ok(_) => "it does not say its MessageRetentionPeriod".to_owned(),
            Err(AskError::Denied(reason)) => reason,
            Err(AskError::Refused(refused)) => return Err(SourceError::Refused(refused.to_string())),
            Err(AskError::Away(fault)) => return Err(unavailable(fault)),
        };
        self.retention.ok_or_else(|| {
            SourceError::Refused(format!(
                "expected to learn how long the queue {} keeps messages, so that the inbox does not forget them earlier, \
                 found that it cannot be asked ({unknown}): allow sqs:GetQueueAttributes, or state it with \
                 `SqsSource::message_retention(..)`",
                self.queue
            ))
        })
    }

    fn longer(&self, comes_again: ComesAgain) -> Duration {
        let read = comes_again.longest();
        match self.retention {
            Some(stated) if stated > read => {
                tracing::info!(queue = %self.queue, stated = text(stated), %comes_again, "messages may come again for as long as was stated");
                stated
            }
            _ => {
                tracing::info!(queue = %self.queue, %comes_again, "messages may come again for as long as the queue says");
                read
            }
        }
    }

    /// Where these credentials may not ask, or the queue is not there, it is as long as any queue can keep messages: a
    /// redrive may bring one back all the same.
    async fn retention_of_dead_letters(&self, arn: &str) -> Result<Duration, SourceError> {
        let reason = match Queue::new(arn).ask(&self.client).await {
            Ok(facts) => match facts.retention {
                Some(retention) => return Ok(retention),
                None => "it does not say its MessageRetentionPeriod".to_owned(),
            },
            Err(AskError::Away(fault)) => return Err(unavailable(fault)),
            Err(error) => error.to_string(),
        };
        tracing::warn!(
            queue = %self.queue, dead_letter_queue = arn, reason, assumed = text(LONGEST_RETENTION),
            "the dead-letter queue cannot be asked how long it keeps messages; the longest is assumed"
        );
        Ok(LONGEST_RETENTION)
    }

    /// Says once what becomes of a message that cannot be processed.
    pub(super) fn warn_without_redrive(&self) {
        let Some(facts) = self.queue.facts().filter(|facts| facts.redrive.is_none()) else { return };
        let retention = facts.retention.map(text);
        self.told.call_once(|| {
            let blocked = match self.queue.kind() {
                QueueKind::Standard => "",
                QueueKind::Fifo => " and holds up the later ones of its group",
            };
            tracing::warn!(
                queue = %self.queue, retention,
                "the queue has no redrive policy: a message that cannot be read or is rejected comes again{blocked} until \
                 the retention ends, and is then gone; give the queue a dead-letter queue"
            );
        });
    }
}
