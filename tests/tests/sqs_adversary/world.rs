//! A queue with a bad network in front of it, and what is in the queue at the end.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex},
    time::Duration,
};

use anyhow::{Context as _, Result, ensure};
use async_trait::async_trait;
use aws_sdk_sqs::{Client, types::DeleteMessageBatchRequestEntry};
use outbox_core::{
    message::Message,
    publisher::{Outcome, Publisher, PublisherError, Topics},
    relay::RelayConfig,
};
use outbox_sqs::SqsPublisher;
use outbox_tests::sqs::{
    Requests, TestQueue, client, endpoint,
    proxy::{Proxy, Record, Storm},
};
use proptest::prelude::*;
use uuid::Uuid;

/// How long a publisher waits for an answer, and how much later than that a late one comes.
pub(crate) const PATIENCE: Duration = Duration::from_millis(300);
pub(crate) const LATENESS: Duration = Duration::from_millis(450);

/// Which kind of queue a test is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Standard,
    Fifo,
}

impl Kind {
    async fn queue(self) -> Result<TestQueue> {
        match self {
            Self::Standard => TestQueue::create(&[]).await,
            Self::Fifo => TestQueue::create_fifo(&[]).await,
        }
    }
}

/// A queue, and the way to it.
pub(crate) struct World {
    pub(crate) proxy: Proxy,
    pub(crate) queue: Arc<TestQueue>,
    /// Goes through the proxy.
    pub(crate) client: Client,
    pub(crate) requests: Requests,
    /// What the publishers said.
    pub(crate) told: TellTale,
}

impl World {
    pub(crate) async fn around(queue: Arc<TestQueue>) -> Result<Self> {
        let proxy = Proxy::in_front_of(&endpoint()).await?;
        let (client, requests) = client(&proxy.url());
        Ok(Self { proxy, queue, client, requests, told: TellTale::default() })
    }

    /// Runs a case around a fresh queue, which is deleted at its end.
    pub(crate) async fn with<F>(kind: Kind, case: impl FnOnce(Arc<Self>) -> F) -> Result<(), TestCaseError>
    where
        F: Future<Output = Result<()>>,
    {
        let run = async {
            let world = Arc::new(Self::around(Arc::new(kind.queue().await?)).await?);
            let queue = world.queue.clone();
            let outcome = case(world).await;
            queue.client.delete_queue().queue_url(&queue.url).send().await?;
            outcome
        };
        run.await.map_err(|error| TestCaseError::fail(format!("{error:#}")))
    }

    /// A publisher to the queue, through the proxy.
    pub(crate) fn publisher(&self) -> Witnessed {
        let publisher = SqsPublisher::new(self.client.clone()).route("orders", &self.queue.url);
        Witnessed { publisher, told: self.told.clone() }
    }

    /// All that is in the queue, as the server says and in the order in which it comes: the event with the id that the
    /// server gave it. What is in flight is waited for. Nothing of it goes through the proxy.
    pub(crate) async fn drain(&self) -> Result<Vec<(String, String)>> {
        let (client, url) = (&self.queue.client, &self.queue.url);
        let mut found = Vec::new();
        for _ in 0..1_000 {
            if self.queue.depth().await? == 0 {
                return Ok(found);
            }
            let receive = client.receive_message().queue_url(url).max_number_of_messages(10);
            let received = receive.wait_time_seconds(1).message_attribute_names("All").send().await?;
            let mut delete = client.delete_message_batch().queue_url(url);
            for (place, message) in received.messages().iter().enumerate() {
                let id = message.message_attributes().and_then(|all| all.get("id")?.string_value());
                let message_id = message.message_id().context("a message id")?;
                found.push((id.context("an id")?.to_owned(), message_id.to_owned()));
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

    /// Judges what was stored of these events, of which each line came in its order: none is lost, the publisher said once
    /// of each that it is published and only of what is there, each copy has its cause, and the first copies of a line are
    /// in its order. The server has what the proxy says that it has.
    pub(crate) async fn judge(&self, kind: Kind, lines: &[Vec<String>]) -> Result<()> {
        self.proxy.settled().await;
        let record = self.proxy.record();
        println!("{:?}", record.fired);
        for id in lines.iter().flatten() {
            let (copies, told) = (record.copies(id), self.told.of(id));
            ensure!(!copies.is_empty(), "{id} is lost");
            ensure!(told.published.len() == 1, "{id} was published as {:?}", told.published);
            ensure!(copies.contains(told.published[0].as_str()), "{id} was published as what it is not");
            let most = if kind == Kind::Fifo { 1 } else { 1 + told.unclear };
            ensure!(copies.len() <= most, "{id}: {copies:?}, {} attempts without a word", told.unclear);
        }
        for line in lines {
            let first = |id: &String| record.stored.iter().position(|stored| stored.id == *id);
            ensure!(line.iter().map(first).is_sorted(), "the first copies of a line are in its order");
        }
        let found = self.drain().await?;
        let mut copies: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
        for (id, message_id) in &found {
            let is_new = copies.entry(id).or_default().insert(message_id);
            ensure!(is_new, "{id} came twice though it was deleted");
        }
        let recorded: BTreeMap<&str, BTreeSet<&str>> =
            record.stored.iter().map(|stored| (stored.id.as_str(), record.copies(&stored.id))).collect();
        ensure!(recorded == copies, "the queue holds what was recorded");
        if kind == Kind::Fifo {
            for line in lines {
                let came: Vec<_> = found.iter().map(|(id, _)| id).filter(|id| line.contains(id)).collect();
                ensure!(came.into_iter().eq(line), "a group comes in its order");
            }
            judge_labels(&record, lines)?;
        }
        Ok(())
    }
}

/// Each line has a group of its own, each event its own deduplication id, and the numbers that a FIFO queue gave ascend.
fn judge_labels(record: &Record, lines: &[Vec<String>]) -> Result<()> {
    let mut groups = BTreeSet::new();
    for line in lines.iter().filter(|line| !line.is_empty()) {
        let stored = || record.stored.iter().filter(|stored| line.contains(&stored.id));
        let of_line: BTreeSet<_> = stored().map(|stored| stored.group.clone()).collect();
        ensure!(of_line.len() == 1 && !of_line.contains(&None), "one group for a line: {of_line:?}");
        ensure!(groups.insert(of_line), "another line has this group");
        ensure!(stored().all(|stored| stored.dedup.as_ref() == Some(&stored.id)), "deduplicated by event");
        let number = |id: &String| stored().find(|stored| stored.id == *id)?.sequence;
        ensure!(line.iter().all(|id| number(id).is_some()), "a FIFO queue numbers what it stores");
        ensure!(line.iter().map(number).is_sorted(), "the server's numbers ascend in the order of a line");
    }
    Ok(())
}

/// What publishers said of events, by their ids.
#[derive(Debug, Clone, Default)]
pub(crate) struct TellTale(Arc<Mutex<BTreeMap<String, Word>>>);

/// What was said of one event.
#[derive(Debug, Clone, Default)]
pub(crate) struct Word {
    /// The ids under which it was published.
    pub(crate) published: Vec<String>,
    /// How often it was not published although it may have been sent.
    pub(crate) unclear: usize,
}

impl TellTale {
    fn of(&self, id: &str) -> Word {
        self.0.lock().expect("nothing panics with the lock held").get(id).cloned().unwrap_or_default()
    }

    fn note(&self, batch: &[Message], outcomes: &[Outcome]) {
        let mut words = self.0.lock().expect("nothing panics with the lock held");
        for (message, outcome) in batch.iter().zip(outcomes) {
            let word = words.entry(message.id.to_string()).or_default();
            match outcome {
                Outcome::Published { broker_id } => word.published.extend(broker_id.clone()),
                Outcome::HeldBack { .. } => {}
                _ => word.unclear += 1,
            }
        }
    }
}

/// A publisher of which each word is noted.
#[derive(Debug)]
pub(crate) struct Witnessed {
    publisher: SqsPublisher,
    told: TellTale,
}

#[async_trait]
impl Publisher for Witnessed {
    async fn publish(&self, batch: &[Message]) -> Vec<Outcome> {
        let outcomes = self.publisher.publish(batch).await;
        self.told.note(batch, &outcomes);
        outcomes
    }

    async fn publish_within(&self, batch: &[Message], limit: Duration) -> Vec<Outcome> {
        let outcomes = self.publisher.publish_within(batch, limit).await;
        self.told.note(batch, &outcomes);
        outcomes
    }

    async fn start(&self) -> Result<(), PublisherError> {
        self.publisher.start().await
    }

    fn max_batch(&self) -> usize {
        self.publisher.max_batch()
    }

    fn max_batch_bytes(&self) -> usize {
        self.publisher.max_batch_bytes()
    }

    fn keeps_order_in_batch(&self) -> bool {
        self.publisher.keeps_order_in_batch()
    }

    fn topics(&self) -> Topics {
        self.publisher.topics()
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
