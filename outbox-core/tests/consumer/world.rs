//! An inbox that keeps nothing, and a source that can be told to misbehave.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicU32, AtomicUsize, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use outbox_core::{
    consumer::{Consumer, Delivery, HandlerError, InboxError, InboxStore, MessageKey, Processed},
    memory::{BrokerConfig, MemoryBroker, MemorySource},
    message::Message,
    publisher::{Outcome, Publisher as _},
    retry::RetryPolicy,
    source::{Incoming, Receipt, Source, SourceError},
};
use outbox_derive::OutboxEvent;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

pub(crate) const QUEUE: &str = "orders";

#[derive(Debug, Serialize, Deserialize, OutboxEvent)]
#[outbox(event_type = "order.placed", topic = "orders")]
pub(crate) struct OrderPlaced {
    pub(crate) order_id: u32,
}

/// Runs every handler.
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

/// A broker whose deliveries are invisible for a tenth of a second.
pub(crate) fn hasty_broker() -> MemoryBroker {
    broker(Duration::from_millis(100))
}

pub(crate) fn broker(visibility: Duration) -> MemoryBroker {
    MemoryBroker::with_config(BrokerConfig { visibility, ..BrokerConfig::default() })
}

pub(crate) async fn send(broker: &MemoryBroker, event_type: &str, orders: std::ops::Range<u32>) {
    let message = |order| {
        Message::new(Uuid::now_v7(), "/shop", QUEUE, event_type, format!(r#"{{"order_id":{order}}}"#))
    };
    let messages: Vec<_> = orders.map(message).collect();
    let outcomes = broker.publisher().publish(&messages).await;
    assert!(outcomes.iter().all(Outcome::is_published), "{outcomes:?}");
}

pub(crate) fn consumer<S: Source>(source: S) -> Consumer<S, Passing> {
    Consumer::new(source, Passing).retry(RetryPolicy::fixed(Duration::from_millis(10), u32::MAX))
}

/// Runs until nothing is left in the broker, for two minutes at most.
pub(crate) async fn run_dry<S: Source>(
    consumer: Consumer<S, Passing>,
    broker: &MemoryBroker,
) -> outbox_core::consumer::ConsumerReport {
    let dry = async {
        for _ in 0..120_000 {
            if broker.depth(QUEUE).total() == 0 {
                return;
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        panic!("expected an empty queue, found {:?}", broker.depth(QUEUE));
    };
    consumer.run_until(dry).await.expect("it ran")
}

/// The orders that were handled, in that order. A clone is the same list.
#[derive(Debug, Clone, Default)]
pub(crate) struct Handled(Arc<Mutex<Vec<u32>>>);

impl Handled {
    pub(crate) fn note(&self, event: &Delivery<OrderPlaced>) {
        self.0.lock().expect("nothing panics with the lock held").push(event.order_id);
    }

    /// A handler that notes each order and is done.
    pub(crate) fn noting(
        &self,
    ) -> impl Fn(Delivery<OrderPlaced>, ()) -> std::future::Ready<Result<(), HandlerError>> + Send + Sync + 'static
    {
        let handled = self.clone();
        move |event, ()| {
            handled.note(&event);
            std::future::ready(Ok(()))
        }
    }

    pub(crate) fn all(&self) -> Vec<u32> {
        self.0.lock().expect("nothing panics with the lock held").clone()
    }
}

/// A source that gives at most ten, counts what it is asked for, and hangs where it is told to.
#[derive(Clone)]
pub(crate) struct Watched {
    inner: MemorySource,
    calls: Arc<Calls>,
}

#[derive(Default)]
pub(crate) struct Calls {
    /// How many of the next answers never come.
    pub(crate) hanging_acks: AtomicU32,
    pub(crate) hanging_nacks: AtomicU32,
    pub(crate) hanging_retentions: AtomicU32,
    /// How long it takes to say how long messages are kept, in seconds.
    pub(crate) retention_time: AtomicU32,
    pub(crate) receives: AtomicUsize,
    /// Requests of ten each.
    pub(crate) acks: AtomicUsize,
    pub(crate) extends: AtomicUsize,
    /// Every delivery is somebody else's by the time that it is extended.
    pub(crate) lost: std::sync::atomic::AtomicBool,
}

impl Watched {
    pub(crate) fn new(broker: &MemoryBroker) -> (Self, Arc<Calls>) {
        let calls = Arc::<Calls>::default();
        (Self { inner: broker.source(QUEUE), calls: Arc::clone(&calls) }, calls)
    }
}

async fn hang(left: &AtomicU32) {
    if left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1)).is_ok() {
        std::future::pending::<()>().await;
    }
}

#[async_trait]
impl Source for Watched {
    async fn receive(&self, max: usize) -> Result<Vec<Incoming>, SourceError> {
        self.calls.receives.fetch_add(1, Ordering::SeqCst);
        self.inner.receive(max.min(10)).await
    }

    async fn ack(&self, receipts: &[Receipt]) -> Result<Vec<Receipt>, SourceError> {
        self.calls.acks.fetch_add(receipts.len().div_ceil(10), Ordering::SeqCst);
        hang(&self.calls.hanging_acks).await;
        self.inner.ack(receipts).await
    }

    async fn nack(&self, receipt: &Receipt, delay: Duration) -> Result<(), SourceError> {
        hang(&self.calls.hanging_nacks).await;
        self.inner.nack(receipt, delay).await
    }

    async fn extend(&self, receipt: &Receipt, visibility: Duration) -> Result<bool, SourceError> {
        self.calls.extends.fetch_add(1, Ordering::SeqCst);
        Ok(self.inner.extend(receipt, visibility).await? && !self.calls.lost.load(Ordering::SeqCst))
    }

    fn visibility(&self) -> Option<Duration> {
        self.inner.visibility()
    }

    async fn retention(&self) -> Result<Option<Duration>, SourceError> {
        hang(&self.calls.hanging_retentions).await;
        let secs = self.calls.retention_time.load(Ordering::SeqCst);
        tokio::time::sleep(Duration::from_secs(secs.into())).await;
        self.inner.retention().await
    }
}
