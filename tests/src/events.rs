//! Events put into the log as capture would, and the few words that tests of the log share.

use std::{sync::Arc, time::Duration};

use anyhow::Result;
use outbox_core::{
    log::{
        Acquired, EventLog, Owner, Page, ReadRequest, RowKind, StartPoint, StoredProgress, SubscriptionName,
    },
    message::Seq,
    progress::SeqRanges,
    publisher::Topics,
};
use outbox_seaorm::tables::event;
use sea_orm::{ActiveModelTrait as _, ConnectionTrait, DbBackend, Set, Statement, Value};
use uuid::Uuid;

/// A lease that no test outlives.
pub const LEASE: Duration = Duration::from_secs(60);

/// An event of an order.
pub fn order_event(order: &str, payload: &str) -> event::ActiveModel {
    event::ActiveModel {
        id: Set(Uuid::now_v7()),
        event_type: Set("order.placed".into()),
        event_version: Set(1),
        topic: Set("orders".into()),
        aggregate_type: Set(Some("order".into())),
        aggregate_id: Set(Some(order.into())),
        payload: Set(payload.into()),
        occurred_at: Set(chrono::Utc::now()),
        ..Default::default()
    }
}

/// Stores an event and gives its number.
///
/// # Errors
/// What the database says.
pub async fn store(db: &impl ConnectionTrait, order: &str) -> Result<Seq> {
    Ok(order_event(order, "{}").insert(db).await?.seq)
}

/// A name that is a good one.
#[must_use]
pub fn subscription(name: &str) -> SubscriptionName {
    SubscriptionName::new(name).expect("a good name")
}

/// A set from ranges.
#[must_use]
pub fn seqs(text: &str) -> SeqRanges {
    text.parse().expect("ranges")
}

/// Reads as a relay does.
///
/// # Errors
/// What the log says.
pub async fn read(log: &impl EventLog, position: Seq, unseen: &SeqRanges, limit: usize) -> Result<Page> {
    let (source, subscription): (Arc<str>, _) = ("/orders".into(), subscription("reader"));
    let request = ReadRequest {
        subscription: &subscription,
        position,
        unseen,
        topics: &Topics::All,
        source: &source,
        limit,
        max_bytes: usize::MAX,
    };
    Ok(log.read(request).await?)
}

/// The numbers of a page's rows.
#[must_use]
pub fn numbers(page: &Page) -> Vec<Seq> {
    page.rows.iter().map(|row| row.seq).collect()
}

/// The aggregates of a page's events, in order.
#[must_use]
pub fn orders(page: &Page) -> Vec<String> {
    page.rows
        .iter()
        .filter_map(|row| match &row.kind {
            RowKind::Event { message, .. } => message.aggregate_id.clone(),
            _ => None,
        })
        .collect()
}

/// Registers a subscription and leads it.
///
/// # Errors
/// What the log says.
pub async fn lead(log: &impl EventLog, name: &SubscriptionName) -> Result<(Owner, StoredProgress)> {
    log.register(name, StartPoint::Beginning).await?;
    let owner = Owner::random();
    match log.acquire(name, owner, LEASE).await? {
        Acquired::Leader(progress) => Ok((owner, progress)),
        other => anyhow::bail!("expected to lead, found {other:?}"),
    }
}

/// Runs a statement with the database's own placeholders written as `?`.
///
/// # Errors
/// What the database says.
pub async fn run(
    db: &impl ConnectionTrait,
    sql: &str,
    values: impl IntoIterator<Item = Value>,
) -> Result<u64> {
    let mut text = String::new();
    for (index, part) in sql.split('?').enumerate() {
        if index > 0 {
            match db.get_database_backend() {
                DbBackend::Postgres => text.push_str(&format!("${index}")),
                _ => text.push('?'),
            }
        }
        text.push_str(part);
    }
    let statement = Statement::from_sql_and_values(db.get_database_backend(), text, values);
    Ok(db.execute_raw(statement).await?.rows_affected())
}
