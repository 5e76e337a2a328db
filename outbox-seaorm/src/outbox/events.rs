//! Listing events, and finding one.

use std::collections::HashMap;

use outbox_core::message::Seq;
use sea_orm::{
    ColumnTrait as _, Condition, DatabaseTransaction, EntityTrait as _, IsolationLevel, QueryFilter as _,
    QueryOrder as _, QuerySelect as _, TransactionOptions, TransactionTrait as _,
};

use super::{
    EventDetails, EventFilter, EventInfo, EventRef, EventStanding, Outbox, OutboxError, Standing,
    locate::{find, window},
    operator::unknown_subscription,
    standing::{HoldInfo, Reach, ReceiptInfo},
};
use crate::tables::{event, hold, receipt, subscription};

impl Outbox {
    /// Events of the log, and how each stands with the subscriptions that take its topic; no payloads. In order of
    /// seq; a page is followed by the one [`after`](EventFilter::after) its last event.
    ///
    /// The log has one index, the seq. A window of time is found by halving, and rows in it are read in order until the
    /// page is full: what is rare in a long window is a long read.
    ///
    /// # Errors
    /// [`OutboxError::UnknownSubscription`] where the filter names one, [`OutboxError::Corrupt`], and where the
    /// database is away.
    pub async fn events(&self, filter: EventFilter) -> Result<Vec<EventStanding>, OutboxError> {
        let snapshot = self.snapshot().await?;
        // First: a slip must not look like an empty list.
        let reaches = reaches(&snapshot, filter.subscription.as_deref()).await?;
        let Some((first, last)) =
            window(&snapshot, filter.events.stored_since, filter.events.stored_until).await?
        else {
            return Ok(Vec::new());
        };
        let range = Condition::all()
            .add_option(first.map(|seq| event::Column::Seq.gte(seq)))
            .add_option(last.map(|seq| event::Column::Seq.lt(seq)));
        let page = EventInfo::select().filter(filter.events.condition()).filter(range).limit(filter.page());
        let page = match (filter.newest_first, filter.after) {
            (false, after) => page
                .filter(Condition::all().add_option(after.map(|seq| event::Column::Seq.gt(seq))))
                .order_by_asc(event::Column::Seq),
            (true, after) => page
                .filter(Condition::all().add_option(after.map(|seq| event::Column::Seq.lt(seq))))
                .order_by_desc(event::Column::Seq),
        };
        let events = page.into_model().all(&snapshot).await?;
        let standings = standings(&snapshot, events, &reaches).await?;
        snapshot.rollback().await?;
        Ok(standings)
    }

    /// One event with its payload, by its seq or by its id; `None` where the log does not have it (any more).
    ///
    /// By seq it is one read. The log has no index on ids, since that would slow down every save. An id of version 7 tells
    /// when it was made: the events that were stored within a minute of that are searched first, then those within an
    /// hour, and only then all others. So an id that the log does not have, and one that the application made up by a
    /// rule of its own, cost a pass over the log.
    ///
    /// # Errors
    /// [`OutboxError::Corrupt`], and where the database is away.
    pub async fn event(&self, event: impl Into<EventRef>) -> Result<Option<EventDetails>, OutboxError> {
        let snapshot = self.snapshot().await?;
        let found = find(&snapshot, event.into()).await?;
        let details = match found {
            Some(row) => Some(details(&snapshot, row).await?),
            None => None,
        };
        snapshot.rollback().await?;
        Ok(details)
    }

    /// One snapshot for several questions: between two, a flush could settle what the first still saw as pending.
    async fn snapshot(&self) -> Result<DatabaseTransaction, OutboxError> {
        let options = TransactionOptions {
            isolation_level: self.isolation(IsolationLevel::RepeatableRead),
            ..TransactionOptions::default()
        };
        Ok(self.db.begin_with_options(options).await?)
    }
}

async fn details(snapshot: &DatabaseTransaction, row: event::Model) -> Result<EventDetails, OutboxError> {
    let headers = row.headers.as_deref().and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default();
    let info = EventInfo {
        seq: row.seq,
        id: row.id,
        event_type: row.event_type,
        event_version: row.event_version,
        topic: row.topic,
        aggregate_type: row.aggregate_type,
        aggregate_id: row.aggregate_id,
        deliver_at: row.deliver_at,
        occurred_at: row.occurred_at,
        created_at: row.created_at,
    };
    let reaches = reaches(snapshot, None).await?;
    let (mut holds, mut receipts) = marks(snapshot, &[info.seq]).await?;
    let standing = stand(info, &reaches, &mut holds, &mut receipts);
    Ok(EventDetails { standing, headers, payload: row.payload })
}

type Marks<T> = HashMap<(String, Seq), T>;

async fn standings(
    snapshot: &DatabaseTransaction,
    events: Vec<EventInfo>,
    reaches: &[Reach],
) -> Result<Vec<EventStanding>, OutboxError> {
    let seqs: Vec<Seq> = events.iter().map(|event| event.seq).collect();
    let (mut holds, mut receipts) = marks(snapshot, &seqs).await?;
    Ok(events.into_iter().map(|event| stand(event, reaches, &mut holds, &mut receipts)).collect())
}

fn stand(
    event: EventInfo,
    reaches: &[Reach],
    holds: &mut Marks<HoldInfo>,
    receipts: &mut Marks<ReceiptInfo>,
) -> EventStanding {
    let mut subscriptions = Vec::new();
    for reach in reaches {
        let mark = (reach.subscription.clone(), event.seq);
        let hold = holds.remove(&mark);
        // One on hold was taken, whatever topics the subscription takes by now.
        if hold.is_some() || reach.takes(&event.topic) {
            let state = reach.state(event.seq, hold);
            let receipt = receipts.remove(&mark);
            subscriptions.push(Standing { subscription: mark.0, state, receipt });
        }
    }
    EventStanding { event, subscriptions }
}

/// The subscriptions in order of their names, or one.
async fn reaches(snapshot: &DatabaseTransaction, only: Option<&str>) -> Result<Vec<Reach>, OutboxError> {
    let wanted = Condition::all().add_option(only.map(|name| subscription::Column::Name.eq(name)));
    let rows = subscription::Entity::find()
        .filter(wanted)
        .order_by_asc(subscription::Column::Name)
        .all(snapshot)
        .await?;
    if let (Some(name), true) = (only, rows.is_empty()) {
        return Err(unknown_subscription(snapshot, name).await?);
    }
    rows.into_iter().map(Reach::of).collect()
}

/// Holds and receipts of some events, for all subscriptions.
async fn marks(
    snapshot: &DatabaseTransaction,
    seqs: &[Seq],
) -> Result<(Marks<HoldInfo>, Marks<ReceiptInfo>), OutboxError> {
    let seqs = || seqs.iter().copied();
    // Both keys begin with the subscription: named, they are read by it.
    let names: Vec<String> = subscription::Entity::find()
        .select_only()
        .column(subscription::Column::Name)
        .into_tuple()
        .all(snapshot)
        .await?;
    let names = || names.iter().map(String::as_str);
    let rows = hold::Entity::find()
        .filter(hold::Column::Subscription.is_in(names()))
        .filter(hold::Column::Seq.is_in(seqs()))
        .all(snapshot)
        .await?;
    let mut holds = HashMap::with_capacity(rows.len());
    for row in rows {
        holds.insert((row.subscription.clone(), row.seq), HoldInfo::of(row)?);
    }
    let rows = receipt::Entity::find()
        .filter(receipt::Column::Subscription.is_in(names()))
        .filter(receipt::Column::Seq.is_in(seqs()))
        .all(snapshot)
        .await?;
    let receipts = rows.into_iter().map(|row| ((row.subscription.clone(), row.seq), row.into())).collect();
    Ok((holds, receipts))
}
