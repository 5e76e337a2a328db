//! The consumer's side.

use std::{collections::BTreeMap, net::SocketAddr, time::Duration};

use outbox_core::{
    source::{Incoming, Receipt, Source, SourceError},
    wire::decode,
};

use super::{
    client::Client,
    protocol::{Answer, Given, Request},
    queue::VISIBILITY,
};

/// Receives from the broker.
#[derive(Debug)]
pub struct BrokerSource(Client);

impl BrokerSource {
    /// A source at the broker's address.
    #[must_use]
    pub fn new(address: SocketAddr) -> Self {
        Self(Client::new(address))
    }

    async fn ask(&self, request: Request) -> Result<Answer, SourceError> {
        self.0.ask(&request).await.map_err(|error| SourceError::Unavailable {
            reason: error.to_string(),
            source: Some(Box::new(error)),
        })
    }
}

#[async_trait::async_trait]
impl Source for BrokerSource {
    async fn receive(&self, max: usize) -> Result<Vec<Incoming>, SourceError> {
        match self.ask(Request::Receive { max }).await? {
            Answer::Given(messages) => Ok(messages.into_iter().map(incoming).collect()),
            other => Err(unexpected(&other)),
        }
    }

    async fn ack(&self, receipts: &[Receipt]) -> Result<Vec<Receipt>, SourceError> {
        let receipts = receipts.iter().map(|receipt| receipt.0.to_string()).collect();
        match self.ask(Request::Ack { receipts }).await? {
            Answer::Refused(receipts) => {
                Ok(receipts.into_iter().map(|receipt| Receipt(receipt.into())).collect())
            }
            other => Err(unexpected(&other)),
        }
    }

    async fn nack(&self, receipt: &Receipt, delay: Duration) -> Result<(), SourceError> {
        self.ask(Request::Nack { receipt: receipt.0.to_string(), delay }).await.map(|_| ())
    }

    async fn extend(&self, receipt: &Receipt, visibility: Duration) -> Result<bool, SourceError> {
        match self.ask(Request::Extend { receipt: receipt.0.to_string(), visibility }).await? {
            Answer::Extended(extended) => Ok(extended),
            other => Err(unexpected(&other)),
        }
    }

    fn visibility(&self) -> Option<Duration> {
        Some(VISIBILITY)
    }
}

fn incoming(Given { receipt, attempt, group, body }: Given) -> Incoming {
    Incoming {
        receipt: Receipt(receipt.into()),
        broker_id: None,
        attempt,
        group,
        message: decode(&body, &BTreeMap::new()),
    }
}

fn unexpected(answer: &Answer) -> SourceError {
    SourceError::Unavailable { reason: format!("an answer to another question: {answer:?}"), source: None }
}
