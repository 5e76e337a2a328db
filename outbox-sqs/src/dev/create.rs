//! The requests that make, look at and delete a queue. Each of them passes the guard.

use aws_sdk_sqs::{
    Client,
    operation::{
        create_queue::CreateQueueError, delete_queue::DeleteQueueError, get_queue_url::GetQueueUrlError,
    },
    types::QueueAttributeName,
};

use super::{
    DevError,
    guard::Guard,
    settings::{Settings, differences},
};

/// A queue that is there.
#[derive(Debug)]
pub(super) struct Made {
    pub(super) url: String,
    pub(super) arn: String,
}

/// Makes queues on a local server.
#[derive(Debug)]
pub(super) struct Maker<'a> {
    client: &'a Client,
    guard: Guard,
}

impl<'a> Maker<'a> {
    pub(super) fn new(client: &'a Client, hosts: &[String]) -> Self {
        Self { client, guard: Guard { hosts: hosts.to_vec() } }
    }

    /// Makes the queue, or takes the one that is there. Whether that one is as it should be is not left to
    /// `CreateQueue`: servers compare a redrive policy as text, and do not say what differs.
    pub(super) async fn ensure(&self, name: &str, settings: &Settings) -> Result<Made, DevError> {
        let url = match self.url(name).await? {
            Some(url) => url,
            None => self.create(name, settings).await?,
        };
        let found = self.settings(name, &url).await?;
        let differences = differences(settings, &found);
        if !differences.is_empty() {
            return Err(DevError::Differs { queue: name.to_owned(), differences: differences.join("; ") });
        }
        let arn = found.get(&QueueAttributeName::QueueArn).cloned();
        let arn = arn.ok_or_else(|| lacking("GetQueueAttributes", name, "an answer without an ARN"))?;
        Ok(Made { url, arn })
    }

    pub(super) async fn delete(&self, name: &str) -> Result<(), DevError> {
        let Some(url) = self.url(name).await? else { return Ok(()) };
        let request = self.client.delete_queue().queue_url(url).customize().interceptor(self.guard.clone());
        match request.send().await {
            Err(error)
                if !error.as_service_error().is_some_and(DeleteQueueError::is_queue_does_not_exist) =>
            {
                Err(DevError::of("DeleteQueue", name, &error))
            }
            // Somebody else deleted it first.
            _ => Ok(()),
        }
    }

    async fn url(&self, name: &str) -> Result<Option<String>, DevError> {
        let request =
            self.client.get_queue_url().queue_name(name).customize().interceptor(self.guard.clone());
        match request.send().await {
            Ok(found) => found
                .queue_url
                .map(Some)
                .ok_or_else(|| lacking("GetQueueUrl", name, "an answer without a URL")),
            Err(error) if error.as_service_error().is_some_and(GetQueueUrlError::is_queue_does_not_exist) => {
                Ok(None)
            }
            Err(error) => Err(DevError::of("GetQueueUrl", name, &error)),
        }
    }

    async fn create(&self, name: &str, settings: &Settings) -> Result<String, DevError> {
        let request = self.client.create_queue().queue_name(name).set_attributes(Some(settings.clone()));
        let lacks_url = || lacking("CreateQueue", name, "an answer without a URL");
        match request.customize().interceptor(self.guard.clone()).send().await {
            Ok(created) => created.queue_url.ok_or_else(lacks_url),
            // Somebody else was faster, with other settings.
            Err(error) if error.as_service_error().is_some_and(CreateQueueError::is_queue_name_exists) => {
                self.url(name).await?.ok_or_else(|| DevError::of("CreateQueue", name, &error))
            }
            Err(error) => Err(DevError::of("CreateQueue", name, &error)),
        }
    }

    async fn settings(&self, name: &str, url: &str) -> Result<Settings, DevError> {
        let request = self.client.get_queue_attributes().queue_url(url);
        let request = request.attribute_names(QueueAttributeName::All).customize();
        match request.interceptor(self.guard.clone()).send().await {
            Ok(answer) => Ok(answer.attributes.unwrap_or_default()),
            Err(error) => Err(DevError::of("GetQueueAttributes", name, &error)),
        }
    }
}

fn lacking(operation: &'static str, queue: &str, reason: &str) -> DevError {
    DevError::Request { operation, queue: queue.to_owned(), reason: reason.to_owned() }
}
