//! A queue's address, and the question whether it is there.

use std::{fmt, sync::Arc, time::Duration};

use aws_sdk_sqs::{
    Client, config::retry::RetryConfig, error::ProvideErrorMetadata as _, types::QueueAttributeName,
};
use outbox_core::publisher::PublisherHealth;

use crate::{
    classify::{Kind, is_permission},
    fault::{Fault, chain},
};

/// How long the check at start waits for an answer.
const CHECK_TIMEOUT: Duration = Duration::from_secs(10);

/// How long a question after a queue's health waits for an answer: shorter than a probe's own patience.
const HEALTH_TIMEOUT: Duration = Duration::from_secs(3);

/// The URL of a queue.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct QueueUrl(Arc<str>);

/// Why a queue cannot be used as it is configured.
#[derive(Debug, thiserror::Error)]
pub(crate) enum QueueError {
    #[error("expected the URL of a queue, as GetQueueUrl gives it, found {0:?}")]
    NoUrl(String),
    #[error("expected a standard queue, found the FIFO queue {0}: FIFO queues are not supported yet")]
    Fifo(QueueUrl),
    #[error("the queue {url} cannot be used: {reason}")]
    Refused { url: QueueUrl, reason: String },
}

impl QueueUrl {
    pub(crate) fn new(url: impl Into<String>) -> Self {
        Self(url.into().into())
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    /// What can be said without asking anybody.
    pub(crate) fn validate(&self) -> Result<(), QueueError> {
        let rest = self.0.strip_prefix("https://").or_else(|| self.0.strip_prefix("http://"));
        if !rest.is_some_and(|rest| rest.contains('/') && !rest.ends_with('/')) {
            return Err(QueueError::NoUrl(self.0.to_string()));
        }
        if self.0.ends_with(".fifo") {
            return Err(QueueError::Fifo(self.clone()));
        }
        Ok(())
    }

    /// Asks SQS whether the queue is there. Only a clear no is an error: an outage, or credentials
    /// that may send and receive but not ask, leave the answer open.
    pub(crate) async fn check(&self, client: &Client) -> Result<(), QueueError> {
        self.validate()?;
        match tokio::time::timeout(CHECK_TIMEOUT, self.attribute(client, QueueAttributeName::QueueArn)).await
        {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(fault)) if fault.is_missing_queue => {
                Err(QueueError::Refused { url: self.clone(), reason: fault.fault.reason })
            }
            Ok(Err(fault)) => {
                tracing::warn!(queue = %self, reason = fault.fault.reason, "the queue could not be checked");
                Ok(())
            }
            Err(_) => {
                tracing::warn!(queue = %self, "the queue could not be checked: no answer in time");
                Ok(())
            }
        }
    }

    /// Asks once whether the queue is there now, in a request that changes nothing. The words of SQS itself are left out:
    /// what it says of a signature repeats parts of the request.
    pub(crate) async fn health(&self, client: &Client) -> PublisherHealth {
        let once = aws_sdk_sqs::Config::builder().retry_config(RetryConfig::disabled());
        let request = client
            .get_queue_attributes()
            .queue_url(self.as_str())
            .attribute_names(QueueAttributeName::QueueArn)
            .customize()
            .config_override(once);
        let name = self.name();
        let error = match tokio::time::timeout(HEALTH_TIMEOUT, request.send()).await {
            Ok(Ok(_)) => return PublisherHealth::Healthy,
            Ok(Err(error)) => error,
            Err(_) => {
                let reason = format_args!("queue `{name}`: SQS did not answer within {HEALTH_TIMEOUT:?}");
                return PublisherHealth::unhealthy(reason);
            }
        };
        let Some(answer) = error.raw_response().filter(|_| error.as_service_error().is_some()) else {
            return PublisherHealth::unhealthy(format_args!("queue `{name}`: {}", chain(&error)));
        };
        match error.code() {
            // Sending may be allowed where asking is not.
            Some(code) if is_permission(code) => PublisherHealth::Unknown,
            // It is there, and busy.
            Some(code) if Kind::of_code(code) == Kind::Throttled => PublisherHealth::Healthy,
            Some(code) => PublisherHealth::unhealthy(format_args!("queue `{name}`: SQS answered {code}")),
            None => {
                let status = answer.status().as_u16();
                PublisherHealth::unhealthy(format_args!(
                    "queue `{name}`: an answer with status {status} that is not SQS's"
                ))
            }
        }
    }

    /// The last part of the URL.
    pub(crate) fn name(&self) -> &str {
        self.0.rsplit_once('/').map_or(&*self.0, |(_, name)| name)
    }

    /// An attribute of the queue.
    pub(crate) async fn attribute(
        &self,
        client: &Client,
        name: QueueAttributeName,
    ) -> Result<Option<String>, AttributeFault> {
        let request = client.get_queue_attributes().queue_url(self.as_str()).attribute_names(name.clone());
        match request.send().await {
            Ok(answer) => Ok(answer.attributes().and_then(|attributes| attributes.get(&name)).cloned()),
            Err(error) => {
                let service = error.as_service_error();
                let is_missing_queue = service
                    .is_some_and(|error| error.is_queue_does_not_exist() || error.is_invalid_address());
                Err(AttributeFault { is_missing_queue, fault: Fault::of(&error) })
            }
        }
    }
}

/// Why an attribute could not be read.
#[derive(Debug)]
pub(crate) struct AttributeFault {
    pub(crate) is_missing_queue: bool,
    pub(crate) fault: Fault,
}

impl AttributeFault {
    /// Whether the queue is there but these credentials may not ask.
    pub(crate) fn is_denied(&self) -> bool {
        self.fault.kind == Kind::Setup && !self.is_missing_queue
    }
}

impl fmt::Display for QueueUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::{QueueError, QueueUrl};

    #[test]
    fn a_fifo_queue_is_refused_instead_of_sent_to_wrongly() {
        let error = QueueUrl::new("https://sqs.eu-central-1.amazonaws.com/1/orders.fifo").validate();
        assert!(matches!(error, Err(QueueError::Fifo(_))), "{error:?}");
    }

    #[test]
    fn a_queue_name_is_not_taken_for_a_url() {
        for wrong in
            ["", "orders", "arn:aws:sqs:eu-central-1:1:orders", "http://127.0.0.1:4566", "http://host/"]
        {
            let error = QueueUrl::new(wrong).validate();
            assert!(matches!(error, Err(QueueError::NoUrl(_))), "{wrong}: {error:?}");
        }
        assert!(QueueUrl::new("http://127.0.0.1:4566/000000000000/orders").validate().is_ok());
    }
}
