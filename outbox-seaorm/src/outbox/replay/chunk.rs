//! One transaction of a replay.

use std::collections::BTreeSet;

use async_trait::async_trait;
use outbox_core::{
    log::Ordering,
    message::Seq,
    progress::{RangesError, SeqRanges},
    publisher::Topics,
};
use sea_orm::{
    ColumnTrait as _, ConnectionTrait as _, DatabaseTransaction, EntityTrait as _, QueryFilter as _,
    QuerySelect as _,
    sea_query::{Expr, Query},
};

use super::{
    Mode, Skipped, Trail,
    choice::{Candidate, Chosen, Standing, choose},
};
use crate::{
    clock,
    outbox::{
        OutboxError,
        audit::{Action, Change},
        floor::lock_floor,
        operator::{Tell, Work, lock},
    },
    tables::{hold, receipt, subscription},
};

/// Rows in one statement: far below every database's limit of parameters.
const ROWS_PER_STATEMENT: usize = 500;

/// What one transaction works on.
#[derive(Debug)]
pub(super) struct Chunk<'a> {
    pub(super) subscription: &'a str,
    /// The replay, with this chunk done.
    pub(super) trail: &'a Trail,
    /// In order of seq.
    pub(super) candidates: Vec<Candidate>,
    pub(super) tell: Tell,
}

#[async_trait]
impl Work for Chunk<'_> {
    type Answer = (u64, Skipped);

    /// Puts on hold what can be published once more. The floor is locked first, so that purge takes nothing of it, then the
    /// subscription's row, so that its leader changes nothing of it.
    async fn work(&self, txn: &DatabaseTransaction) -> Result<Change<Self::Answer>, OutboxError> {
        let floor = lock_floor(txn).await?;
        lock(txn, self.subscription, self.tell).await?;
        let standing = self.standing(txn, floor).await?;
        let (chosen, skipped) = choose(self.candidates.clone(), &standing);
        if chosen.is_empty() {
            return Ok(Change::Nothing((0, skipped)));
        }
        for rows in chosen.chunks(ROWS_PER_STATEMENT) {
            self.hold(txn, rows).await?;
            self.await_acknowledgements_anew(txn, rows).await?;
        }
        let events = u64::try_from(chosen.len()).unwrap_or(u64::MAX);
        let target = Trail { events, skipped, ..self.trail.clone() }.target(self.subscription);
        Ok(Change::Made { action: Action::Replay, target, answer: (events, skipped) })
    }
}

impl Chunk<'_> {
    async fn standing(&self, txn: &DatabaseTransaction, floor: Seq) -> Result<Standing, OutboxError> {
        let name = self.subscription;
        let row = subscription::Entity::find_by_id(name).one(txn).await?;
        let row = row.expect("its row is locked, so it is there");
        let corrupt = |reason: String| OutboxError::Corrupt { subscription: name.to_owned(), reason };
        let holes: SeqRanges = row.holes.parse().map_err(|error: RangesError| corrupt(error.to_string()))?;
        let topics = row.topics.as_deref().map(serde_json::from_str).transpose();
        let topics = topics.map_err(|_| corrupt("expected a JSON list of its topics".to_owned()))?;
        let ordering = Ordering::parse(&row.ordering)
            .ok_or_else(|| corrupt(format!("expected an ordering, found `{}`", row.ordering)))?;
        Ok(Standing {
            floor,
            position: row.position.min(self.trail.position),
            holes,
            held: self.held(txn).await?,
            topics: topics.map_or(Topics::All, Topics::Only),
            ordering,
        })
    }

    /// Those of the candidates that are on hold.
    async fn held(&self, txn: &DatabaseTransaction) -> Result<BTreeSet<Seq>, OutboxError> {
        let (Some(first), Some(last)) = (self.candidates.first(), self.candidates.last()) else {
            return Ok(BTreeSet::new());
        };
        let seqs: Vec<Seq> = hold::Entity::find()
            .select_only()
            .column(hold::Column::Seq)
            .filter(hold::Column::Subscription.eq(self.subscription))
            .filter(hold::Column::Seq.between(first.seq, last.seq))
            .into_tuple()
            .all(txn)
            .await?;
        Ok(seqs.into_iter().collect())
    }

    async fn hold(&self, txn: &DatabaseTransaction, rows: &[Chosen]) -> Result<(), OutboxError> {
        use hold::Column::{
            AggregateId, AggregateType, Attempts, DueAt, Replay, Seq as Number, State, Subscription,
        };

        let replay = match self.trail.mode {
            Mode::Redeliver => None,
            Mode::Reprocess => Some(self.trail.replay),
        };
        let backend = txn.get_database_backend();
        let mut insert = Query::insert();
        insert.into_table(hold::Entity).columns([
            Subscription,
            Number,
            AggregateType,
            AggregateId,
            State,
            Attempts,
            DueAt,
            Replay,
        ]);
        for chosen in rows {
            let (kind, id) = chosen.key.clone().unzip();
            let due = if chosen.key.is_none() { clock::now(backend) } else { Expr::cust("NULL") };
            insert.values_panic([
                Expr::value(self.subscription),
                Expr::value(chosen.seq),
                Expr::value(kind),
                Expr::value(id),
                Expr::value(chosen.state().as_str()),
                Expr::value(0),
                due,
                Expr::value(replay),
            ]);
        }
        txn.execute(&insert).await?;
        Ok(())
    }

    /// What was acknowledged before was another delivery: this one is awaited for itself.
    async fn await_acknowledgements_anew(
        &self,
        txn: &DatabaseTransaction,
        rows: &[Chosen],
    ) -> Result<(), OutboxError> {
        use receipt::Column::{AcknowledgedAt, Seq as Number, Subscription};

        receipt::Entity::update_many()
            .col_expr(AcknowledgedAt, Expr::value(Option::<sea_orm::prelude::DateTimeUtc>::None))
            .filter(Subscription.eq(self.subscription))
            .filter(Number.is_in(rows.iter().map(|row| row.seq)))
            .filter(AcknowledgedAt.is_not_null())
            .exec(txn)
            .await?;
        Ok(())
    }
}
