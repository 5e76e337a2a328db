//! What these tests share: events that are sent by hand, and a consumer that writes down what it did.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use anyhow::{Context as _, Result, ensure};
use aws_sdk_sqs::types::{QueueAttributeName, SendMessageBatchRequestEntry};
use outbox_core::{
    consumer::{Consumer, ConsumerReport},
    retry::RetryPolicy,
    source::{Incoming, Source as _},
};
use outbox_seaorm::{Inbox, OutboxEvent, tables::audit};
use outbox_sqs::SqsSource;
use outbox_tests::{TestDb, database::until, sqs::TestQueue};
use sea_orm::{
    ActiveModelTrait as _, ConnectionTrait, DatabaseConnection, DbErr, EntityTrait as _, QueryOrder as _, Set,
};
use serde::{Deserialize, Serialize};

/// Far above what any step takes.
pub(crate) const DEADLINE: Duration = Duration::from_secs(90);

pub(crate) const DAY: Duration = Duration::from_secs(86_400);

#[derive(Debug, Clone, Serialize, Deserialize, OutboxEvent)]
#[outbox(event_type = "order.placed", topic = "orders", aggregate = "order")]
pub(crate) struct OrderPlaced {
    #[outbox(aggregate_id)]
    pub(crate) order_id: String,
}

/// An order that was placed, as CloudEvents; the order's id is the event's too.
pub(crate) fn event(id: &str) -> String {
    format!(
        r#"{{"specversion":"1.0","id":"{id}","source":"/orders","type":"order.placed","data":{{"order_id":"{id}"}}}}"#
    )
}

/// Sends events to a FIFO queue, in this order: the first letter is the group.
pub(crate) async fn send(queue: &TestQueue, ids: &[&str]) -> Result<()> {
    for id in ids {
        send_body(queue, id, event(id)).await?;
    }
    Ok(())
}

/// Sends a body to a FIFO queue, in the group of the id's first letter.
pub(crate) async fn send_body(queue: &TestQueue, id: &str, body: String) -> Result<()> {
    let entry = SendMessageBatchRequestEntry::builder().id(id).message_body(body);
    let entry = entry.message_group_id(&id[..1]).message_deduplication_id(id).build()?;
    let answer = queue.client.send_message_batch().queue_url(&queue.url).entries(entry).send().await?;
    ensure!(answer.failed().is_empty(), "not sent: {:?}", answer.failed());
    Ok(())
}

/// Moves what was received so often into another queue.
pub(crate) async fn redrive(from: &TestQueue, to: &TestQueue, max_receives: u32) -> Result<()> {
    let asked = to.client.get_queue_attributes().queue_url(&to.url);
    let attributes = asked.attribute_names(QueueAttributeName::QueueArn).send().await?.attributes;
    let arn = attributes.context("attributes")?.remove(&QueueAttributeName::QueueArn).context("an ARN")?;
    let policy = serde_json::json!({ "deadLetterTargetArn": arn, "maxReceiveCount": max_receives });
    let request = from.client.set_queue_attributes().queue_url(&from.url);
    request.attributes(QueueAttributeName::RedrivePolicy, policy.to_string()).send().await?;
    Ok(())
}

pub(crate) fn source(queue: &TestQueue) -> SqsSource {
    SqsSource::new(queue.client.clone(), &queue.url)
        .wait(Duration::from_secs(2))
        .visibility_timeout(Duration::from_secs(20))
}

/// Receives until there are as many deliveries, at most 20 times.
pub(crate) async fn receive(source: &SqsSource, count: usize) -> Result<Vec<Incoming>> {
    let mut all = Vec::new();
    for _ in 0..20 {
        all.extend(source.receive(10).await?);
        if all.len() >= count {
            return Ok(all);
        }
    }
    anyhow::bail!("expected {count} deliveries, found {}", all.len())
}

/// A consumer that gives failed messages back for a second, the shortest that SQS knows.
pub(crate) fn consumer(queue: &TestQueue, db: &TestDb) -> Consumer<SqsSource, Inbox> {
    let inbox = Inbox::new(db.db.clone(), "inventory").expect("a good name").remember_for(60 * DAY);
    Consumer::new(source(queue), inbox).retry(RetryPolicy::fixed(Duration::from_secs(1), u32::MAX))
}

/// Runs until nothing is left in the queue, invisible messages included.
pub(crate) async fn run_dry(
    consumer: Consumer<SqsSource, Inbox>,
    queue: &TestQueue,
) -> Result<ConsumerReport> {
    let empty = until("an empty queue", DEADLINE, async || (queue.depth().await.ok()? == 0).then_some(()));
    Ok(consumer.run_until(empty).await?)
}

/// What a handler does: it writes one row.
pub(crate) async fn effect<C: ConnectionTrait>(db: &C, what: &str) -> Result<(), DbErr> {
    audit::ActiveModel {
        at: Set(chrono::Utc::now()),
        actor: Set("handler".into()),
        action: Set("reserved".into()),
        target: Set(what.into()),
        ..Default::default()
    }
    .insert(db)
    .await?;
    Ok(())
}

/// The effects that are stored, in the order in which they were written.
pub(crate) async fn effects(db: &DatabaseConnection) -> Result<Vec<String>, DbErr> {
    let rows = audit::Entity::find().order_by_asc(audit::Column::Id).all(db).await?;
    Ok(rows.into_iter().map(|row| row.target).collect())
}

/// The effects of a group, in their order.
pub(crate) fn of_group<'e>(effects: &'e [String], group: &str) -> Vec<&'e str> {
    effects.iter().map(String::as_str).filter(|effect| effect.starts_with(group)).collect()
}

/// Which handlers of a group run, to notice two at once.
#[derive(Clone, Default)]
pub(crate) struct Running(Arc<Mutex<Vec<String>>>);

impl Running {
    /// Panics where another of the group runs: the message would come again, and the report would say so.
    pub(crate) fn begin(&self, id: &str) -> RunningOne {
        let mut running = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let other = running.iter().find(|other| other[..1] == id[..1]).cloned();
        assert_eq!(other, None, "{id} runs beside another of its group");
        running.push(id.to_owned());
        RunningOne { all: self.clone(), id: id.to_owned() }
    }
}

pub(crate) struct RunningOne {
    all: Running,
    id: String,
}

impl Drop for RunningOne {
    fn drop(&mut self) {
        self.all.0.lock().unwrap_or_else(PoisonError::into_inner).retain(|id| *id != self.id);
    }
}
