//! What the consumer's tests share: two event types, an effect, and a run that ends on a condition.

use std::time::Duration;

use outbox_core::{
    consumer::{Consumer, ConsumerReport},
    message::ReceivedMessage,
    retry::RetryPolicy,
};
use outbox_seaorm::{
    Inbox, OutboxEvent,
    tables::{audit, inbox_message},
};
use outbox_tests::{ScriptedSource, TestDb, database::until};
use sea_orm::{
    ActiveModelTrait as _, ConnectionTrait, DatabaseConnection, DbErr, EntityTrait as _, PaginatorTrait as _,
    QueryOrder as _, Set,
};
use serde::{Deserialize, Serialize};

/// Far above what any step takes.
pub(crate) const DEADLINE: Duration = Duration::from_secs(30);

#[derive(Debug, Clone, Serialize, Deserialize, OutboxEvent)]
#[outbox(event_type = "order.placed", topic = "orders", aggregate = "order")]
pub(crate) struct OrderPlaced {
    #[outbox(aggregate_id)]
    pub(crate) order_id: String,
}

#[derive(Debug, Clone, Serialize, Deserialize, OutboxEvent)]
#[outbox(event_type = "stock.reserved", topic = "inventory")]
pub(crate) struct StockReserved {
    pub(crate) order_id: String,
}

/// An order that was placed, under an id that is the order's too.
pub(crate) fn placed(id: &str) -> ReceivedMessage {
    ReceivedMessage::new("/orders", id, "order.placed", format!(r#"{{"order_id":"{id}"}}"#))
}

pub(crate) fn inbox(test: &TestDb) -> Inbox {
    Inbox::new(test.db.clone(), "inventory").expect("a good name")
}

/// A consumer that gives failed messages back for a moment.
pub(crate) fn consumer(test: &TestDb, source: &ScriptedSource) -> Consumer<ScriptedSource, Inbox> {
    Consumer::new(source.clone(), inbox(test)).retry(RetryPolicy::fixed(Duration::from_millis(5), u32::MAX))
}

/// Runs until a condition holds.
pub(crate) async fn run_until(
    consumer: Consumer<ScriptedSource, Inbox>,
    what: &str,
    condition: impl Fn() -> bool,
) -> anyhow::Result<ConsumerReport> {
    Ok(consumer.run_until(until(what, DEADLINE, async || condition().then_some(()))).await?)
}

/// Runs until nothing is left unacknowledged.
pub(crate) async fn run_dry(
    consumer: Consumer<ScriptedSource, Inbox>,
    source: &ScriptedSource,
) -> anyhow::Result<ConsumerReport> {
    run_until(consumer, "all messages to be acknowledged", || source.left() == 0).await
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

pub(crate) async fn sorted_effects(db: &DatabaseConnection) -> Result<Vec<String>, DbErr> {
    let mut effects = effects(db).await?;
    effects.sort();
    Ok(effects)
}

pub(crate) async fn inbox_rows(db: &DatabaseConnection) -> Result<u64, DbErr> {
    inbox_message::Entity::find().count(db).await
}
