//! What every publisher has to pass, over a real SQS server.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use outbox_core::{
    message::ReceivedMessage,
    source::Source as _,
    testing::publisher_conformance::{Capabilities, PublisherFixture, TOPIC, pass_all},
    wire::WireFormat,
};
use outbox_sqs::{SqsPublisher, SqsSource};
use outbox_tests::{
    gate::Gate,
    sqs::{TestQueue, client, endpoint},
};

struct OverSqs {
    queue: Arc<TestQueue>,
    gate: Gate,
    format: WireFormat,
}

#[async_trait]
impl PublisherFixture for OverSqs {
    type Publisher = SqsPublisher;

    async fn publisher(&self) -> SqsPublisher {
        let (client, _) = client(&self.gate.url());
        SqsPublisher::new(client).route(TOPIC, &self.queue.url).wire_format(self.format)
    }

    async fn receive(&self) -> Vec<ReceivedMessage> {
        let source = SqsSource::new(self.queue.client.clone(), &self.queue.url).wait(Duration::from_secs(1));
        let incoming = source.receive(10).await.expect("the server is there");
        let receipts: Vec<_> = incoming.iter().map(|one| one.receipt.clone()).collect();
        assert_eq!(source.ack(&receipts).await.expect("the server is there"), []);
        incoming.into_iter().map(|one| one.message.expect("a message of ours")).collect()
    }

    async fn set_away(&self, away: bool) {
        self.gate.set_closed(away);
    }
}

/// A FIFO queue keeps the order of each aggregate, a standard one promises none.
async fn conforms(queue: Arc<TestQueue>, format: WireFormat, is_fifo: bool) -> anyhow::Result<()> {
    let gate = Gate::in_front_of(&endpoint()).await?;
    let capabilities = Capabilities {
        routes: true,
        ordered: is_fifo,
        holds_back: is_fifo,
        can_go_away: true,
        tells_health: true,
        gives_ids: true,
        max_message_bytes: Some(1024 * 1024),
    };
    pass_all(&OverSqs { queue, gate, format }, capabilities).await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_sqs_publisher_passes_every_case_with_cloud_events() {
    TestQueue::run(|queue| conforms(queue, WireFormat::CloudEvents, false)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_sqs_publisher_passes_every_case_with_raw_payloads() {
    TestQueue::run(|queue| conforms(queue, WireFormat::Raw, false)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_sqs_publisher_passes_every_case_on_a_fifo_queue_with_cloud_events() {
    TestQueue::run_fifo(|queue| conforms(queue, WireFormat::CloudEvents, true)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_sqs_publisher_passes_every_case_on_a_fifo_queue_with_raw_payloads() {
    TestQueue::run_fifo(|queue| conforms(queue, WireFormat::Raw, true)).await;
}
