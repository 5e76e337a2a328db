//! The questions behind a status.

use std::{collections::BTreeSet, collections::HashMap, time::Duration};

use chrono::{DateTime, Utc};
use outbox_core::{
    log::{HoldCounts, HoldState, Ordering, SubscriptionState, Survey},
    message::Seq,
    progress::{RangesError, SeqRanges},
    publisher::Topics,
};
use sea_orm::{
    ColumnTrait as _, ConnectionTrait as _, DatabaseConnection, EntityTrait as _, QueryFilter as _,
    QueryOrder as _, QuerySelect as _,
    sea_query::{Expr, ExprTrait as _, Query},
};

use super::{Leadership, SubscriptionStatus, TakenTopics};
use crate::{
    SeaOrmLog, clock,
    outbox::{OutboxError, floor::read_floor},
    tables::{event, hold, receipt, subscription},
};

/// What was asked of all subscriptions at once.
#[derive(Debug)]
pub(super) struct Asked {
    pub(super) now: DateTime<Utc>,
    pub(super) floor: Seq,
    pub(super) last: Seq,
    pub(super) oldest_at: Option<DateTime<Utc>>,
    pub(super) rows: Vec<subscription::Model>,
    holds: HashMap<String, Held>,
    receipts: HashMap<String, Awaited>,
}

#[derive(Debug, Clone, Copy, Default)]
struct Held {
    counts: HoldCounts,
    lowest: Option<Seq>,
}

#[derive(Debug, Clone, Copy, Default)]
struct Awaited {
    overdue: u64,
    lowest: Option<Seq>,
}

pub(super) async fn ask(db: &DatabaseConnection) -> Result<Asked, OutboxError> {
    let now = clock::read(db).await?;
    let rows = subscription::Entity::find().order_by_asc(subscription::Column::Name).all(db).await?;
    let holds = held(db).await?;
    let receipts = awaited(db, now).await?;
    let floor = read_floor(db).await?;
    let oldest_at = event::Entity::find()
        .select_only()
        .column(event::Column::CreatedAt)
        .filter(event::Column::Seq.gt(floor))
        .order_by_asc(event::Column::Seq)
        .into_tuple()
        .one(db)
        .await?;
    // Asked last: it is never below a position.
    let last: Option<Seq> = event::Entity::find()
        .select_only()
        .column(event::Column::Seq)
        .order_by_desc(event::Column::Seq)
        .into_tuple()
        .one(db)
        .await?;
    let last = rows.iter().map(|row| row.position).chain(last).fold(floor, Ord::max);
    Ok(Asked { now, floor, last, oldest_at, rows, holds, receipts })
}

/// What each subscription has on hold: one pass over the holds, which are few beside the log.
async fn held(db: &DatabaseConnection) -> Result<HashMap<String, Held>, OutboxError> {
    use hold::Column::{Seq as Number, State, Subscription};

    let rows: Vec<(String, String, i64, Seq)> = hold::Entity::find()
        .select_only()
        .columns([Subscription, State])
        .column_as(Number.count(), "held")
        .column_as(Number.min(), "lowest")
        .group_by(Subscription)
        .group_by(State)
        .into_tuple()
        .all(db)
        .await?;
    let mut holds: HashMap<String, Held> = HashMap::new();
    for (name, state, count, lowest) in rows {
        let corrupt =
            || OutboxError::Corrupt { subscription: name.clone(), reason: format!("on hold as `{state}`") };
        let state = HoldState::parse(&state).ok_or_else(corrupt)?;
        let held = holds.entry(name).or_default();
        let count = u64::try_from(count).unwrap_or(0);
        match state {
            HoldState::Scheduled => held.counts.scheduled = count,
            HoldState::Retry => held.counts.retry = count,
            HoldState::Blocked => held.counts.blocked = count,
            HoldState::Dead => held.counts.dead = count,
        }
        held.lowest = Some(held.lowest.map_or(lowest, |other| Ord::min(other, lowest)));
    }
    Ok(holds)
}

/// Which acknowledgements each subscription waits for. Asked name by name within one statement, because the index begins
/// with the name and most receipts are acknowledged. The lowest is one of `seq + 0`: of `seq`, a planner may walk the key and
/// pass by all of those.
async fn awaited(
    db: &DatabaseConnection,
    now: DateTime<Utc>,
) -> Result<HashMap<String, Awaited>, OutboxError> {
    use receipt::Column::{AckDueAt, Seq as Number, Subscription};

    let of_subscription = || {
        let mut select = Query::select();
        select.from(receipt::Entity).and_where(
            Expr::col((receipt::Entity, Subscription))
                .equals((subscription::Entity, subscription::Column::Name)),
        );
        select
    };
    let overdue =
        of_subscription().expr(Expr::col(Number).count()).and_where(Expr::col(AckDueAt).lte(now)).to_owned();
    let lowest = of_subscription()
        .expr(Expr::col(Number).add(0).min())
        .and_where(Expr::col(AckDueAt).is_not_null())
        .to_owned();
    let ask = Query::select()
        .column((subscription::Entity, subscription::Column::Name))
        .expr_as(Expr::from(overdue), "overdue")
        .expr_as(Expr::from(lowest), "lowest")
        .from(subscription::Entity)
        .to_owned();
    let mut receipts = HashMap::new();
    for row in db.query_all(&ask).await? {
        let overdue: i64 = row.try_get("", "overdue")?;
        let awaited =
            Awaited { overdue: u64::try_from(overdue).unwrap_or(0), lowest: row.try_get("", "lowest")? };
        receipts.insert(row.try_get("", "name")?, awaited);
    }
    Ok(receipts)
}

impl Asked {
    /// What there is to say of one subscription.
    pub(super) async fn subscription(
        &self,
        db: &DatabaseConnection,
        log: &SeaOrmLog,
        row: &subscription::Model,
    ) -> Result<SubscriptionStatus, OutboxError> {
        let corrupt = |reason: String| OutboxError::Corrupt { subscription: row.name.clone(), reason };
        let holes: SeqRanges = row.holes.parse().map_err(|error: RangesError| corrupt(error.to_string()))?;
        let names = |text: &Option<String>| -> Result<Option<BTreeSet<String>>, OutboxError> {
            let names = text.as_deref().map(serde_json::from_str).transpose();
            names.map_err(|_| corrupt("expected a JSON list of topics".to_owned()))
        };
        let (topics, wanted) = match (names(&row.topics)?, &row.leader) {
            (Some(names), _) => (TakenTopics::Only(names.clone()), Topics::Only(names)),
            (None, Some(_)) => (TakenTopics::All, Topics::All),
            (None, None) => (TakenTopics::Unknown, Topics::All),
        };
        let oldest_pending = log.oldest_pending(db, row.position, &holes, &wanted).await;
        let Held { counts, lowest: lowest_hold } = self.holds.get(&row.name).copied().unwrap_or_default();
        let awaited = self.receipts.get(&row.name).copied().unwrap_or_default();
        let needed = [holes.first(), lowest_hold, awaited.lowest];
        let survey =
            Survey { last: self.last, position: row.position, holes: holes.count(), ..Survey::default() };
        Ok(SubscriptionStatus {
            name: row.name.clone(),
            state: SubscriptionState::parse(&row.state)
                .ok_or_else(|| corrupt(format!("expected a state, found `{}`", row.state)))?,
            state_since: row.state_since,
            last_error: row.last_error.clone(),
            leadership: self.leadership(row),
            position: row.position,
            backlog: survey.backlog(),
            oldest_pending: oldest_pending?,
            holds: counts,
            holes: survey.holes,
            hole_ranges: holes.range_count(),
            overdue: awaited.overdue,
            topics,
            skipped_topics: names(&row.skipped_topics)?.unwrap_or_default(),
            ordering: Ordering::parse(&row.ordering)
                .ok_or_else(|| corrupt(format!("expected an ordering, found `{}`", row.ordering)))?,
            needs_from: needed.into_iter().flatten().fold(row.position, Ord::min),
        })
    }

    fn leadership(&self, row: &subscription::Model) -> Leadership {
        let left = row.lease_until.and_then(|until| (until - self.now).to_std().ok());
        match left.filter(|left| row.owner.is_some() && *left > Duration::ZERO) {
            Some(lease_ends_in) => Leadership::Led { by: row.leader.clone(), lease_ends_in },
            None => Leadership::Unled {
                last: row.leader.clone(),
                // A lease may have ended before a pause, which nobody led by wish.
                since: row.lease_until.map_or(row.state_since, |until| Ord::max(until, row.state_since)),
            },
        }
    }
}
