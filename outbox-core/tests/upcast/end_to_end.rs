//! The log keeps what was written; what it means today is the consumer's business.

use std::{sync::Arc, time::Duration};

use outbox_core::{
    consumer::Delivery,
    event::NewEvent,
    log::HoleProof,
    memory::MemoryBroker,
    relay::{Relay, Subscription},
    testing::{MemoryLog, RecordingPublisher, new_event},
};
use tokio::sync::mpsc;
use uuid::Uuid;

use crate::orders::{OrderPlaced, consumer};

const PAYLOAD: &str = r#"{"order_id":7,  "euros":19}"#;

async fn drained(log: &MemoryLog) {
    for _ in 0..100_000 {
        if log.is_drained("queue") && log.is_drained("recording") {
            return;
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    panic!("waited in vain for everything to be published and flushed");
}

#[tokio::test(start_paused = true)]
async fn a_stored_event_of_an_older_version_is_replayed_as_it_was_written_and_handled_as_the_newest() {
    let log = MemoryLog::new(HoleProof::WriterList);
    let stored = NewEvent {
        event_type: "order.placed".into(),
        event_version: 1,
        payload: PAYLOAD.into(),
        ..new_event("orders", "7", "")
    };
    let seq = log.append(stored);
    let (broker, recording) = (MemoryBroker::new(), RecordingPublisher::new());
    let relay = Relay::new(log.clone(), "/shop")
        .subscription(Subscription::new("queue", broker.publisher()))
        .subscription(Subscription::new("recording", recording.clone()))
        .spawn();
    drained(&log).await;
    let replay = Uuid::now_v7();
    for subscription in ["queue", "recording"] {
        assert_eq!(log.replay(subscription, &[seq], Some(replay)), [seq]);
    }
    drained(&log).await;

    let (handled, mut deliveries) = mpsc::unbounded_channel();
    let handler = move |event: Delivery<OrderPlaced>, (): ()| {
        handled.send((Arc::new(event.message().clone()), event.into_event())).expect("the test listens");
        async { Ok(()) }
    };
    let both = async {
        let mut messages = Vec::new();
        for _ in 0..2 {
            let delivery = tokio::time::timeout(Duration::from_secs(60), deliveries.recv()).await;
            let (message, event) = delivery.expect("it comes in time").expect("the handler lives");
            assert_eq!(event, OrderPlaced::in_euros(7, 1_900));
            messages.push(message);
        }
        messages
    };
    let (done, ended) = tokio::sync::oneshot::channel();
    let shutdown = async { drop(ended.await) };
    let (messages, ran) = tokio::join!(
        async {
            let messages = both.await;
            done.send(()).expect("the consumer runs");
            messages
        },
        consumer(&broker).on(handler).run_until(shutdown)
    );
    assert_eq!(ran.expect("it ran").processed, 2);
    let came: Vec<_> = messages.iter().map(|message| (message.event_version, &*message.payload)).collect();
    assert_eq!(came, [(1, PAYLOAD), (1, PAYLOAD)]);
    let replays: Vec<_> = messages.iter().map(|message| message.replay.is_some()).collect();
    assert_eq!(replays, [false, true]);

    relay.stop().await.expect("stops");
    let published: Vec<_> = recording.messages().iter().map(|message| message.event_version).collect();
    assert_eq!(published, [1, 1]);
}
