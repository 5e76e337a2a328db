//! Publishing once more what no consumer has acknowledged.

use std::collections::BTreeSet;

use async_trait::async_trait;
use outbox_core::{
    log::HoldState,
    message::Seq,
    progress::{RangesError, SeqRanges},
};
use sea_orm::{
    ActiveValue::{NotSet, Set},
    ColumnTrait as _, DatabaseTransaction, EntityTrait as _, QueryFilter as _, QueryOrder as _,
    QuerySelect as _,
};
use serde::Serialize;

use super::Awaited;
use crate::{
    clock,
    outbox::{
        Operator, OutboxError,
        audit::{Action, Change},
        floor::lock_floor,
        operator::{Work, intervene},
    },
    tables::{hold, receipt, subscription},
};

/// Rows in one statement: far below every database's limit of parameters.
const ROWS_PER_STATEMENT: usize = 500;

/// What was published once more.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Resent {
    /// The events, in order. They are on hold now and due at once.
    pub seqs: Vec<Seq>,
    /// How many were on hold already and go out from there.
    pub on_hold: u64,
}

impl Operator {
    /// Lets a subscription publish once more what its consumers have not acknowledged: the same messages, beside the order
    /// of their aggregates, at once. Consumers with an inbox drop those that they have processed; what was only the
    /// acknowledgement lost is then acknowledged. Their time begins anew when they are published. What is yet to be read,
    /// or is in flight, is left out: it is published anyway.
    ///
    /// `which` bounds how many at once, and must be of one subscription.
    ///
    /// # Errors
    /// [`OutboxError::WithoutSubscription`], [`OutboxError::UnknownSubscription`], [`OutboxError::TooManySeqs`], and where the database is away.
    pub async fn resend(&self, which: &Awaited) -> Result<Resent, OutboxError> {
        let name = which.subscription().ok_or(OutboxError::WithoutSubscription)?;
        self.carry_out(&Resending { name, which }).await
    }
}

struct Resending<'a> {
    name: &'a str,
    which: &'a Awaited,
}

#[async_trait]
impl Work for Resending<'_> {
    type Answer = Resent;

    async fn work(&self, txn: &DatabaseTransaction) -> Result<Change<Resent>, OutboxError> {
        let Self { name, which } = *self;
        // In this order, as every change does: purge takes nothing of it, then a leader changes nothing of it.
        lock_floor(txn).await?;
        intervene(txn, name).await?;
        let read = settled(txn, name).await?;
        let seqs: BTreeSet<Seq> = awaited(txn, which, read.position)
            .await?
            .into_iter()
            .filter(|seq| !read.holes.contains(*seq))
            .collect();
        let held = held(txn, name, &seqs).await?;
        let resent: Vec<Seq> = seqs.iter().copied().filter(|seq| !held.contains(seq)).collect();
        for rows in resent.chunks(ROWS_PER_STATEMENT) {
            hold(txn, name, rows).await?;
        }
        let on_hold = u64::try_from(held.len()).unwrap_or(u64::MAX);
        let (Some(first), Some(last)) = (resent.first(), resent.last()) else {
            return Ok(Change::Nothing(Resent { seqs: resent, on_hold }));
        };
        let target = format!("{name}/{first}-{last} ({} events)", resent.len());
        Ok(Change::Made { action: Action::Resend, target, answer: Resent { seqs: resent, on_hold } })
    }
}

/// What a subscription is done with, on hold or not: up to the position, but for the holes.
struct Settled {
    position: Seq,
    holes: SeqRanges,
}

async fn settled(txn: &DatabaseTransaction, name: &str) -> Result<Settled, OutboxError> {
    let row = subscription::Entity::find_by_id(name).one(txn).await?;
    let row = row.expect("its row is locked, so it is there");
    let corrupt = |error: RangesError| OutboxError::Corrupt {
        subscription: name.to_owned(),
        reason: error.to_string(),
    };
    Ok(Settled { position: row.position, holes: row.holes.parse().map_err(corrupt)? })
}

/// The longest overdue first, then in order of seq.
async fn awaited(
    txn: &DatabaseTransaction,
    which: &Awaited,
    position: Seq,
) -> Result<BTreeSet<Seq>, OutboxError> {
    let now = clock::read(txn).await?;
    let seqs: Vec<Seq> = receipt::Entity::find()
        .select_only()
        .column(receipt::Column::Seq)
        .filter(which.condition(now)?)
        .filter(receipt::Column::Seq.lte(position))
        .order_by_asc(receipt::Column::AckDueAt)
        .order_by_asc(receipt::Column::Seq)
        .limit(which.limit())
        .into_tuple()
        .all(txn)
        .await?;
    Ok(seqs.into_iter().collect())
}

async fn held(
    txn: &DatabaseTransaction,
    name: &str,
    seqs: &BTreeSet<Seq>,
) -> Result<BTreeSet<Seq>, OutboxError> {
    let held: Vec<Seq> = hold::Entity::find()
        .select_only()
        .column(hold::Column::Seq)
        .filter(hold::Column::Subscription.eq(name))
        .filter(hold::Column::Seq.is_in(seqs.iter().copied()))
        .into_tuple()
        .all(txn)
        .await?;
    Ok(held.into_iter().collect())
}

async fn hold(txn: &DatabaseTransaction, name: &str, seqs: &[Seq]) -> Result<(), OutboxError> {
    let now = clock::read(txn).await?;
    let holds = seqs.iter().map(|seq| hold::ActiveModel {
        subscription: Set(name.to_owned()),
        seq: Set(*seq),
        aggregate_type: Set(None),
        aggregate_id: Set(None),
        state: Set(HoldState::Scheduled.as_str().to_owned()),
        attempts: Set(0),
        due_at: Set(Some(now)),
        last_error: NotSet,
        first_failed_at: NotSet,
        replay: NotSet,
    });
    hold::Entity::insert_many(holds).exec_without_returning(txn).await?;
    Ok(())
}
