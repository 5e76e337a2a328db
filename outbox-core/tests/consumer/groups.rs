//! A group's order within one batch.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use outbox_core::{
    consumer::Delivery,
    message::ReceivedMessage,
    source::{Incoming, Receipt, Source, SourceError},
    wire,
};

use crate::world::{Handled, OrderPlaced, consumer};

const BATCHES: usize = 100;
const MEMBERS: usize = 50;

/// Gives batches of one group each, whose first member cannot be read.
#[derive(Clone, Default)]
struct Poisoned {
    given: Arc<AtomicUsize>,
    back: Arc<AtomicUsize>,
}

#[async_trait]
impl Source for Poisoned {
    async fn receive(&self, _: usize) -> Result<Vec<Incoming>, SourceError> {
        let batch = self.given.fetch_add(1, Ordering::SeqCst);
        if batch >= BATCHES {
            std::future::pending::<()>().await;
        }
        let member = |number: usize| Incoming {
            receipt: Receipt(format!("{batch}/{number}").into()),
            broker_id: None,
            attempt: 1,
            group: Some(format!("group {batch}")),
            message: match number {
                0 => wire::decode("garbage", &BTreeMap::new()),
                _ => Ok(ReceivedMessage::new("/shop", "1", "order.placed", r#"{"order_id":1}"#)),
            },
        };
        Ok((0..MEMBERS).map(member).collect())
    }

    async fn ack(&self, _: &[Receipt]) -> Result<Vec<Receipt>, SourceError> {
        Ok(Vec::new())
    }

    async fn nack(&self, _: &Receipt, _: Duration) -> Result<(), SourceError> {
        self.back.fetch_add(1, Ordering::SeqCst);
        Ok(())
    }

    async fn extend(&self, _: &Receipt, _: Duration) -> Result<bool, SourceError> {
        Ok(true)
    }
}

// The first is given back while the batch is still handed out: what follows must not begin a lane of its own.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_overtakes_a_message_of_its_group_that_fails_while_its_batch_is_handed_out() {
    let source = Poisoned::default();
    let handled = Handled::default();
    let note = handled.clone();
    let handler = move |event: Delivery<OrderPlaced>, (): ()| {
        let handled = note.clone();
        async move {
            handled.note(&event);
            Ok(())
        }
    };
    let all_back = async {
        while source.back.load(Ordering::SeqCst) + handled.all().len() < BATCHES * MEMBERS {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    let consumer = consumer(source.clone()).on(handler).concurrency(MEMBERS);
    let run = consumer.run_until(all_back);
    tokio::time::timeout(Duration::from_secs(30), run).await.expect("it ends").expect("it ran");
    assert!(handled.all().is_empty(), "all come again in order, found {:?}", handled.all());
}
