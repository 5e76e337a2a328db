//! What the log says, and how often.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use async_trait::async_trait;
use outbox_core::{
    consumer::Delivery,
    message::ReceivedMessage,
    source::{Incoming, Receipt, Source, SourceError},
    wire,
};
use tracing::{
    Event, Level, Metadata, Subscriber,
    field::{Field, Visit},
    span::{Attributes, Id, Record},
};

use crate::world::{OrderPlaced, consumer};

/// Keeps every warning and error.
#[derive(Clone, Default)]
pub(crate) struct Log(pub(crate) Arc<Mutex<Vec<String>>>);

struct Line(String);

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        self.0 += &format!("{}={value:?} ", field.name());
    }
}

impl Subscriber for Log {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        *metadata.level() <= Level::WARN
    }
    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }
    fn record(&self, _: &Id, _: &Record<'_>) {}
    fn record_follows_from(&self, _: &Id, _: &Id) {}
    fn event(&self, event: &Event<'_>) {
        let mut line = Line(format!("{} ", event.metadata().level()));
        event.record(&mut line);
        self.0.lock().expect("nothing panics with the lock held").push(line.0);
    }
    fn enter(&self, _: &Id) {}
    fn exit(&self, _: &Id) {}
}

/// Gives the same two messages again and again, each time under other receipts, and neither for the first time.
#[derive(Default)]
struct Again(Mutex<u32>);

#[async_trait]
impl Source for Again {
    async fn receive(&self, _: usize) -> Result<Vec<Incoming>, SourceError> {
        tokio::time::sleep(Duration::from_millis(10)).await;
        let mut turn = self.0.lock().expect("nothing panics with the lock held");
        *turn += 1;
        let incoming = |name: &str, message| Incoming {
            receipt: Receipt(format!("{name} {turn}").into()),
            broker_id: Some(format!("broker's {name}")),
            attempt: 4 + *turn,
            group: None,
            message,
        };
        Ok(vec![
            incoming("garbage", wire::decode("garbage", &BTreeMap::new())),
            incoming("refund", Ok(ReceivedMessage::new("/shop", "7", "order.refunded", "{}"))),
        ])
    }

    async fn ack(&self, _: &[Receipt]) -> Result<Vec<Receipt>, SourceError> {
        Ok(Vec::new())
    }

    async fn nack(&self, _: &Receipt, _: Duration) -> Result<(), SourceError> {
        Ok(())
    }

    async fn extend(&self, _: &Receipt, _: Duration) -> Result<bool, SourceError> {
        Ok(true)
    }
}

// Its first delivery may have been to a process that died before it said so.
#[tokio::test(start_paused = true)]
async fn what_cannot_be_read_or_has_no_handler_is_told_once_whichever_delivery_it_is() {
    let log = Log::default();
    let _guard = tracing::subscriber::set_default(log.clone());
    let consumer = consumer(Again::default()).on(async |_: Delivery<OrderPlaced>, (): ()| Ok(()));
    let report = consumer.run_until(tokio::time::sleep(Duration::from_secs(1))).await.expect("it ran");
    assert!(report.failed > 5 && report.ignored > 5, "each came often, found {report:?}");
    let lines = log.0.lock().expect("nothing panics with the lock held").clone();
    assert_eq!(lines.len(), 2, "found {lines:#?}");
    assert!(lines[0].starts_with("ERROR") && lines[0].contains("broker's garbage"), "found {}", lines[0]);
    assert!(lines[1].starts_with("WARN") && lines[1].contains("order.refunded"), "found {}", lines[1]);
}
