//! The questions to SQS after a queue: where it is, what it says of itself, whether it is there now.

use std::time::Duration;

use aws_sdk_sqs::{
    Client, config::retry::RetryConfig, error::ProvideErrorMetadata as _,
    operation::get_queue_url::GetQueueUrlError, types::QueueAttributeName,
};
use outbox_core::publisher::PublisherHealth;
use tokio::time::timeout;

use super::{AskError, Facts, Queue, QueueError, QueueUrl, address::Address};
use crate::{
    classify::{Kind, is_permission},
    fault::{Fault, chain},
};

/// How long the check at start waits for an answer, the SDK's own retries included.
const CHECK_TIMEOUT: Duration = Duration::from_secs(10);

/// How long the question where a queue is may keep a batch waiting.
const URL_TIMEOUT: Duration = Duration::from_secs(5);

/// How long a question after a queue's health waits for an answer: shorter than a probe's own patience.
const HEALTH_TIMEOUT: Duration = Duration::from_secs(3);

/// Where a queue is.
pub(super) async fn url(client: &Client, address: &Address) -> Result<QueueUrl, AskError> {
    let (name, account) = match address {
        Address::Url(url) => return Ok(url.clone()),
        Address::Name(name) => (name, None),
        Address::Arn { region, account, name } => {
            let own = client.config().region().map(AsRef::as_ref);
            if let Some(own) = own.filter(|own| own != region) {
                let (client, queue) = (own.to_owned(), region.clone());
                return Err(QueueError::OtherRegion { client, queue }.into());
            }
            (name, Some(account.clone()))
        }
    };
    let request = client
        .get_queue_url()
        .queue_name(name)
        .set_queue_owner_aws_account_id(account)
        .customize()
        .config_override(once());
    let Ok(answer) = timeout(URL_TIMEOUT, request.send()).await else {
        return Err(AskError::Away(no_answer(URL_TIMEOUT)));
    };
    let error = match answer {
        Ok(found) => {
            let missing =
                || Fault { kind: Kind::Away, reason: "an answer without a URL".into(), retry_after: None };
            return found.queue_url.map(QueueUrl::new).ok_or_else(|| AskError::Away(missing()));
        }
        Err(error) => error,
    };
    let is_missing = error.as_service_error().is_some_and(GetQueueUrlError::is_queue_does_not_exist);
    let code = error.code().map(ToOwned::to_owned);
    let fault = Fault::of(&error);
    let queue = address.to_string();
    Err(match code {
        _ if is_missing => QueueError::Refused { queue, reason: fault.reason }.into(),
        Some(code) if is_permission(&code) => QueueError::NoPermission { queue, reason: fault.reason }.into(),
        _ => AskError::Away(fault),
    })
}

impl Queue {
    /// Asks the queue for its attributes, and remembers the first answer.
    ///
    /// All of them are asked for: a standard queue refuses a question after an attribute that only FIFO queues have.
    pub(crate) async fn ask(&self, client: &Client) -> Result<Facts, AskError> {
        let url = self.url(client).await?;
        let request =
            client.get_queue_attributes().queue_url(url.as_str()).attribute_names(QueueAttributeName::All);
        let Ok(answer) = timeout(CHECK_TIMEOUT, request.send()).await else {
            return Err(AskError::Away(no_answer(CHECK_TIMEOUT)));
        };
        match answer {
            Ok(answer) => {
                let facts = Facts::of(&answer.attributes.unwrap_or_default());
                // What it said first is what its messages are sent by: a queue's kind never changes.
                let _ = self.0.facts.set(facts.clone());
                Ok(facts)
            }
            Err(error) => {
                let service = error.as_service_error();
                let is_missing = service
                    .is_some_and(|error| error.is_queue_does_not_exist() || error.is_invalid_address());
                let is_denied = error.code().is_some_and(is_permission);
                let fault = Fault::of(&error);
                Err(if is_missing {
                    QueueError::Refused { queue: self.to_string(), reason: fault.reason }.into()
                } else if is_denied {
                    AskError::Denied(fault.reason)
                } else {
                    AskError::Away(fault)
                })
            }
        }
    }

    /// Asks SQS whether the queue is there. Only a clear no is an error: an outage, or credentials
    /// that may send and receive but not ask, leave the answer open.
    pub(crate) async fn check(&self, client: &Client) -> Result<(), QueueError> {
        self.validate()?;
        match self.ask(client).await {
            Ok(_) => Ok(()),
            Err(AskError::Refused(refused)) => Err(refused),
            Err(error) => {
                tracing::warn!(queue = %self, reason = %error, "the queue could not be checked");
                Ok(())
            }
        }
    }

    /// Asks once whether the queue is there now, in a request that changes nothing. The words of SQS itself are left out:
    /// what it says of a signature repeats parts of the request.
    pub(crate) async fn health(&self, client: &Client) -> PublisherHealth {
        let name = self.name();
        timeout(HEALTH_TIMEOUT, self.health_at_leisure(client)).await.unwrap_or_else(|_| {
            PublisherHealth::unhealthy(format_args!(
                "queue `{name}`: SQS did not answer within {HEALTH_TIMEOUT:?}"
            ))
        })
    }

    async fn health_at_leisure(&self, client: &Client) -> PublisherHealth {
        let name = self.name();
        let url = match self.url(client).await {
            Ok(url) => url,
            Err(AskError::Away(_)) => {
                return PublisherHealth::unhealthy(format_args!(
                    "queue `{name}`: SQS did not say where it is"
                ));
            }
            Err(_) => {
                return PublisherHealth::unhealthy(format_args!(
                    "queue `{name}`: it cannot be found, or not by its name"
                ));
            }
        };
        let request = client
            .get_queue_attributes()
            .queue_url(url.as_str())
            .attribute_names(QueueAttributeName::QueueArn)
            .customize()
            .config_override(once());
        let Err(error) = request.send().await else { return PublisherHealth::Healthy };
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
}

/// One attempt: who asks decides when to ask again.
fn once() -> aws_sdk_sqs::config::Builder {
    aws_sdk_sqs::Config::builder().retry_config(RetryConfig::disabled())
}

fn no_answer(within: Duration) -> Fault {
    Fault { kind: Kind::Away, reason: format!("SQS did not answer within {within:?}"), retry_after: None }
}
