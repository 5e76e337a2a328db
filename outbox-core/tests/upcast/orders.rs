//! An event in three versions. The older ones are only read.

use outbox_core::{
    consumer::{Consumer, HandlerError, InboxError, InboxStore, MessageKey, Processed},
    memory::MemoryBroker,
    retry::RetryPolicy,
};
use outbox_derive::OutboxEvent;
use serde::{Deserialize, Serialize};
use std::time::Duration;

#[derive(Debug, Deserialize, OutboxEvent)]
#[outbox(event_type = "order.placed", version = 1, aggregate = "order", topic = "orders")]
pub(crate) struct OrderPlacedV1 {
    #[outbox(aggregate_id)]
    pub(crate) order_id: u64,
    pub(crate) euros: i64,
}

#[derive(Debug, Deserialize, OutboxEvent)]
#[outbox(event_type = "order.placed", version = 2, upcast_from = OrderPlacedV1, topic = "orders")]
pub(crate) struct OrderPlacedV2 {
    pub(crate) order_id: u64,
    pub(crate) total_cents: i64,
}

impl From<OrderPlacedV1> for OrderPlacedV2 {
    fn from(old: OrderPlacedV1) -> Self {
        Self { order_id: old.order_id, total_cents: old.euros * 100 }
    }
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, OutboxEvent)]
#[outbox(event_type = "order.placed", version = 3, upcast_from = OrderPlacedV2, topic = "orders")]
pub(crate) struct OrderPlaced {
    pub(crate) order_id: u64,
    pub(crate) total: Money,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Money {
    pub(crate) cents: i64,
    pub(crate) currency: String,
}

impl From<OrderPlacedV2> for OrderPlaced {
    fn from(old: OrderPlacedV2) -> Self {
        // Nothing else was sold at the time.
        Self::in_euros(old.order_id, old.total_cents)
    }
}

impl OrderPlaced {
    pub(crate) fn in_euros(order_id: u64, cents: i64) -> Self {
        Self { order_id, total: Money { cents, currency: "EUR".into() } }
    }
}

/// An inbox that keeps nothing.
pub(crate) struct Passing;

impl InboxStore for Passing {
    type Tx = ();

    async fn process<F, Fut>(
        &self,
        _: MessageKey<'_>,
        handler: F,
    ) -> Result<Processed<()>, InboxError<HandlerError>>
    where
        F: FnOnce(()) -> Fut + Send,
        Fut: Future<Output = Result<(), HandlerError>> + Send,
    {
        handler(()).await.map(Processed::Processed).map_err(InboxError::Handler)
    }

    fn window(&self) -> Option<Duration> {
        None
    }
}

pub(crate) fn consumer(broker: &MemoryBroker) -> Consumer<outbox_core::memory::MemorySource, Passing> {
    Consumer::new(broker.source("orders"), Passing)
        .retry(RetryPolicy::fixed(Duration::from_millis(10), u32::MAX))
}
