//! A queue with a bad network in front of it, and what is in the queue at the end.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use anyhow::{Context as _, Result, ensure};
use aws_sdk_sqs::{Client, types::DeleteMessageBatchRequestEntry};
use outbox_core::{message::Message, relay::RelayConfig};
use outbox_sqs::SqsPublisher;
use outbox_tests::sqs::{
    Requests, TestQueue, client, endpoint,
    proxy::{Proxy, Storm},
};
use proptest::prelude::*;
use uuid::Uuid;

/// How long a publisher waits for an answer, and how much later than that a late one comes.
pub(crate) const PATIENCE: Duration = Duration::from_millis(300);
pub(crate) const LATENESS: Duration = Duration::from_millis(450);

/// A queue, and the way to it.
pub(crate) struct World {
    pub(crate) proxy: Proxy,
    pub(crate) queue: Arc<TestQueue>,
    /// Goes through the proxy.
    pub(crate) client: Client,
    pub(crate) requests: Requests,
}

impl World {
    pub(crate) async fn around(queue: Arc<TestQueue>) -> Result<Self> {
        let proxy = Proxy::in_front_of(&endpoint()).await?;
        let (client, requests) = client(&proxy.url());
        Ok(Self { proxy, queue, client, requests })
    }

    /// A publisher to the queue, through the proxy.
    pub(crate) fn publisher(&self) -> SqsPublisher {
        SqsPublisher::new(self.client.clone()).route("orders", &self.queue.url)
    }

    /// All that is in the queue, as the server says: the ids that it gave each event's copies. What is in flight is
    /// waited for. Nothing of it goes through the proxy.
    pub(crate) async fn drain(&self) -> Result<BTreeMap<String, Vec<String>>> {
        let (client, url) = (&self.queue.client, &self.queue.url);
        let mut found: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for _ in 0..1_000 {
            if self.queue.depth().await? == 0 {
                return Ok(found);
            }
            let receive = client.receive_message().queue_url(url).max_number_of_messages(10);
            let received = receive.wait_time_seconds(1).message_attribute_names("All").send().await?;
            let mut delete = client.delete_message_batch().queue_url(url);
            for (place, message) in received.messages().iter().enumerate() {
                let id = message.message_attributes().and_then(|all| all.get("id")?.string_value());
                let copies = found.entry(id.context("an id")?.to_owned()).or_default();
                copies.push(message.message_id().context("a message id")?.to_owned());
                let handle = message.receipt_handle().context("a receipt handle")?;
                let entry = DeleteMessageBatchRequestEntry::builder().id(place.to_string());
                delete = delete.entries(entry.receipt_handle(handle).build()?);
            }
            if !received.messages().is_empty() {
                ensure!(delete.send().await?.failed().is_empty(), "what was received is deleted");
            }
        }
        anyhow::bail!("the queue does not get empty")
    }

    /// What the server has is what the proxy says that it has.
    pub(crate) async fn check_record(&self) -> Result<()> {
        self.proxy.settled().await;
        let record = self.proxy.record();
        let found = self.drain().await?;
        let stored = record.stored.iter().map(|stored| stored.id.clone());
        let recorded: BTreeMap<String, Vec<String>> = stored
            .map(|id| {
                let copies = record.copies(&id).into_iter().map(str::to_owned).collect();
                (id, copies)
            })
            .collect();
        let sorted = found.into_iter().map(|(id, mut copies)| {
            copies.sort();
            (id, copies)
        });
        ensure!(recorded == sorted.collect(), "the queue holds what was recorded");
        Ok(())
    }
}

/// An event of an aggregate.
pub(crate) fn message(aggregate: usize, number: usize) -> Message {
    let payload = format!("{{\"number\":{number}}}");
    let mut message = Message::new(Uuid::now_v7(), "/shop", "orders", "order.placed", payload);
    message.seq = i64::try_from(number).expect("a small number");
    message.aggregate_type = Some("order".to_owned());
    message.aggregate_id = Some(aggregate.to_string());
    message
}

/// A relay that tries again soon.
pub(crate) fn eager() -> RelayConfig {
    RelayConfig {
        publish_timeout: PATIENCE,
        backoff_min: Duration::from_millis(5),
        backoff_max: Duration::from_millis(80),
        poll_max: Duration::from_millis(50),
        ..RelayConfig::default()
    }
}

/// Any storm over so many requests.
pub(crate) fn storm(requests: usize) -> impl Strategy<Value = Storm> {
    let shares = (0..30_u32, 0..30_u32, 0..12_u32, 0..60_u32, 0..40_u32);
    (any::<u64>(), shares).prop_map(move |(seed, (refused, lost, late, partial, repeated))| Storm {
        seed,
        requests,
        refused,
        lost,
        late,
        lateness: LATENESS,
        partial,
        repeated,
    })
}

/// So many random cases. What came out of a race does not come again by its input, so few steps are spent on a smaller
/// one and none is stored; the message of a failure has the seed.
pub(crate) fn cases(count: u32) -> ProptestConfig {
    ProptestConfig { max_shrink_iters: 8, failure_persistence: None, ..ProptestConfig::with_cases(count) }
}

/// Runs one case.
pub(crate) fn block_on(case: impl Future<Output = Result<(), TestCaseError>>) -> Result<(), TestCaseError> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    runtime.expect("a runtime").block_on(case)
}
