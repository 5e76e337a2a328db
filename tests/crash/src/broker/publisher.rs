//! The relay's side.

use std::net::SocketAddr;

use outbox_core::{
    message::Message,
    publisher::{Outcome, Publisher},
    wire::WireFormat,
};

use super::{
    client::Client,
    protocol::{Answer, Request, Sent, Told},
};

/// Sends to the broker.
#[derive(Debug)]
pub struct BrokerPublisher {
    client: Client,
    relay: String,
    max_batch: usize,
}

impl BrokerPublisher {
    /// A publisher that names its relay in each request.
    #[must_use]
    pub fn new(address: SocketAddr, relay: &str, max_batch: usize) -> Self {
        Self { client: Client::new(address), relay: relay.to_owned(), max_batch }
    }
}

#[async_trait::async_trait]
impl Publisher for BrokerPublisher {
    async fn publish(&self, batch: &[Message]) -> Vec<Outcome> {
        let messages = batch.iter().map(sent).collect();
        match self.client.ask(&Request::Publish { relay: self.relay.clone(), messages }).await {
            Ok(Answer::Told(told)) => told.into_iter().map(outcome).collect(),
            Ok(other) => vec![Outcome::failed(format!("expected outcomes, found {other:?}")); batch.len()],
            // The broker may have taken them: only its answer is missing.
            Err(error) => vec![Outcome::unavailable(error); batch.len()],
        }
    }

    fn max_batch(&self) -> usize {
        self.max_batch
    }
}

fn sent(message: &Message) -> Sent {
    Sent {
        id: message.id,
        seq: message.seq,
        aggregate: message.aggregate().map(|(kind, id)| format!("{kind}/{id}")),
        topic: message.topic.clone(),
        body: WireFormat::CloudEvents.encode(message).body,
    }
}

fn outcome(told: Told) -> Outcome {
    match told {
        Told::Published => Outcome::published(),
        Told::Failed => Outcome::failed("not this time"),
        Told::Throttled(pause) => Outcome::throttled(Some(pause), "too fast"),
        Told::Unavailable => Outcome::unavailable("away"),
    }
}
