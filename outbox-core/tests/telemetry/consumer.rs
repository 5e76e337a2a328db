//! What a consumer counts and measures.

use std::{collections::HashSet, sync::Mutex, time::Duration};

use outbox_core::{
    consumer::{Consumer, Delivery, HandlerError, InboxError, InboxStore, MessageKey, Processed},
    memory::{BrokerConfig, MemoryBroker},
    message::Message,
    publisher::Publisher as _,
    retry::RetryPolicy,
};
use outbox_derive::OutboxEvent;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::recorder::Told;

#[derive(Debug, Serialize, Deserialize, OutboxEvent)]
#[outbox(event_type = "order.placed", topic = "orders")]
pub(crate) struct OrderPlaced {
    pub(crate) order_id: u32,
}

/// Remembers what was processed, by id.
#[derive(Default)]
pub(crate) struct Remembering(Mutex<HashSet<String>>);

impl InboxStore for Remembering {
    type Tx = ();

    async fn process<F, Fut>(
        &self,
        message: MessageKey<'_>,
        handler: F,
    ) -> Result<Processed<()>, InboxError<HandlerError>>
    where
        F: FnOnce(()) -> Fut + Send,
        Fut: Future<Output = Result<(), HandlerError>> + Send,
    {
        let knows = |id: &str| self.0.lock().expect("nothing panics with the lock held").contains(id);
        if knows(message.id) {
            return Ok(Processed::Duplicate);
        }
        handler(()).await.map_err(InboxError::Handler)?;
        self.0.lock().expect("nothing panics with the lock held").insert(message.id.to_owned());
        Ok(Processed::Processed(()))
    }

    fn window(&self) -> Option<Duration> {
        None
    }

    fn name(&self) -> &str {
        "inventory"
    }
}

pub(crate) fn broker() -> MemoryBroker {
    MemoryBroker::with_config(BrokerConfig { visibility: Duration::from_secs(30), ..BrokerConfig::default() })
}

pub(crate) async fn send(broker: &MemoryBroker, messages: &[Message]) {
    let outcomes = broker.publisher().publish(messages).await;
    assert!(outcomes.iter().all(outbox_core::publisher::Outcome::is_published), "{outcomes:?}");
}

/// Until nothing is left in the queue.
pub(crate) async fn empty(broker: &MemoryBroker) {
    crate::until("an empty queue", || broker.depth("orders").total() == 0).await;
}

#[tokio::test(start_paused = true)]
async fn each_delivery_is_counted_once_by_what_became_of_it() {
    let told = Told::default();
    let _recorder = metrics::set_default_local_recorder(&told);
    let broker = broker();
    let message = |order: u32, event_type: &str| {
        Message::new(Uuid::now_v7(), "/shop", "orders", event_type, format!(r#"{{"order_id":{order}}}"#))
    };
    let placed = message(1, "order.placed");
    send(&broker, &[placed.clone(), placed, message(2, "order.placed"), message(3, "order.viewed")]).await;
    let failures = Mutex::new(2);
    let handler = move |event: Delivery<OrderPlaced>, (): ()| {
        let mut left = failures.lock().expect("nothing panics with the lock held");
        let fails = event.order_id == 2 && *left > 0;
        *left -= u32::from(fails);
        async move {
            tokio::time::sleep(Duration::from_secs(2)).await;
            if fails { Err(HandlerError::retry("not this time")) } else { Ok(()) }
        }
    };
    let consumer = Consumer::new(broker.source("orders"), Remembering::default())
        .concurrency(1)
        .retry(RetryPolicy::fixed(Duration::from_millis(10), u32::MAX))
        .ignore("order.viewed")
        .on(handler);
    let report = consumer.run_until(empty(&broker)).await.expect("it ran");
    let counted = |name| told.counter(&format!("outbox.consumer.{name}{{consumer=inventory}}"));
    assert_eq!((counted("processed"), counted("duplicates")), (2, 1), "{:?}", told.keys());
    assert_eq!((counted("failed"), counted("ignored")), (2, 1));
    assert_eq!((report.processed, report.duplicates, report.failed, report.ignored), (2, 1, 2, 1));
    let took = |outcome| {
        told.histogram(&format!("outbox.consumer.process.duration{{consumer=inventory,outcome={outcome}}}"))
    };
    assert_eq!(
        (took("processed"), took("failed"), took("duplicate")),
        (vec![2.0; 2], vec![2.0; 2], vec![0.0])
    );
}

#[tokio::test(start_paused = true)]
async fn a_handler_that_takes_too_long_is_measured_as_failed() {
    let told = Told::default();
    let _recorder = metrics::set_default_local_recorder(&told);
    let broker = broker();
    send(&broker, &[Message::new(Uuid::now_v7(), "/shop", "orders", "order.placed", r#"{"order_id":1}"#)])
        .await;
    let consumer = Consumer::new(broker.source("orders"), Remembering::default())
        .handler_timeout(Duration::from_secs(3))
        .on(async |_: Delivery<OrderPlaced>, (): ()| std::future::pending().await);
    let key = "outbox.consumer.process.duration{consumer=inventory,outcome=failed}";
    let measured = crate::until("the timeout", || !told.histogram(key).is_empty());
    consumer.run_until(measured).await.expect("it ran");
    assert_eq!(told.histogram(key), [3.0]);
    assert_eq!(told.counter("outbox.consumer.failed{consumer=inventory}"), 1);
}
