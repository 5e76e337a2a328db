//! Letting events on hold be tried again, and giving them up.

use async_trait::async_trait;
use outbox_core::{log::HoldState, message::Seq, progress::SeqRanges};
use sea_orm::{
    ColumnTrait as _, Condition, ConnectionTrait as _, DatabaseTransaction, DbErr, EntityTrait as _,
    QueryFilter as _, prelude::DateTimeUtc, sea_query::Expr,
};

use super::{
    super::{
        DeadLetterFilter, EventRef, Operator, OutboxError,
        audit::{Action, Change},
        operator::{Tell, Work, intervene, lock},
    },
    find::{behind, known, names, one_held, seqs},
};
use crate::{
    clock,
    tables::hold::{Column, Entity},
};

/// Events that a change of many takes in one transaction: a leader's flush waits for no more than these, and the audit
/// names each of them.
const CHUNK: u64 = 1_000;

impl Operator {
    /// Lets a dead letter be tried again at once, with no attempt counted. Where it stopped its aggregate
    /// (`OnDead::Block`), what waits behind it follows in order; where it was skipped, it goes out beside the order. One of a
    /// replay keeps the replay's id, so that consumers process it as that replay asked for.
    ///
    /// # Errors
    /// [`OutboxError::UnknownSubscription`], [`OutboxError::NotHeld`] and [`OutboxError::NotDead`] where it is no dead
    /// letter there, and where the database is away.
    pub async fn requeue(&self, event: impl Into<EventRef>, subscription: &str) -> Result<(), OutboxError> {
        let (event, action) = (event.into(), Action::Requeue);
        self.carry_out(&One { action, event, subscription }).await
    }

    /// Lets all dead letters that the filter names be tried again, as [`requeue`](Self::requeue) does, and says how
    /// many: 0 where there are none.
    ///
    /// It works in transactions of up to 1,000 events of one subscription, each with its row in the audit that names
    /// them, so that no leader waits for a large one. A leader is told once, with the last of them, so that it publishes
    /// meanwhile. Where one fails, those before it stay, and the leader is told of them; where this is dropped before its
    /// end, it finds them when its next term begins, or with the next change.
    ///
    /// # Errors
    /// [`OutboxError::UnknownSubscription`] where the filter names one, and where the database is away.
    pub async fn requeue_all(&self, filter: DeadLetterFilter) -> Result<u64, OutboxError> {
        self.change_all(Action::Requeue, filter).await
    }

    /// Gives up an event on hold in whatever state: the subscription is done with it. Where it stopped its aggregate,
    /// what waits behind it follows. One that its leader is just sending may go out all the same.
    ///
    /// # Errors
    /// [`OutboxError::UnknownSubscription`], [`OutboxError::NotHeld`] where it is not on hold there, and where the
    /// database is away.
    pub async fn discard(&self, event: impl Into<EventRef>, subscription: &str) -> Result<(), OutboxError> {
        let (event, action) = (event.into(), Action::Discard);
        self.carry_out(&One { action, event, subscription }).await
    }

    /// Gives up all dead letters that the filter names, and says how many: 0 where there are none. In transactions as
    /// [`requeue_all`](Self::requeue_all).
    ///
    /// # Errors
    /// [`OutboxError::UnknownSubscription`] where the filter names one, and where the database is away.
    pub async fn discard_all(&self, filter: DeadLetterFilter) -> Result<u64, OutboxError> {
        self.change_all(Action::Discard, filter).await
    }

    async fn change_all(&self, action: Action, filter: DeadLetterFilter) -> Result<u64, OutboxError> {
        let db = &self.outbox.db;
        // The order of names is the database's: it says itself what comes behind a page.
        let page = filter.after.as_ref().map(|(name, seq)| behind(name, *seq));
        let matching = filter.condition(db.get_database_backend()).add_option(page);
        let subscriptions = match &filter.subscription {
            Some(name) => {
                known(db, name).await?;
                vec![name.clone()]
            }
            None => names(db).await?,
        };
        let mut changed = 0;
        for name in &subscriptions {
            let many =
                Many { action, subscription: name, matching: &matching, at_most: filter.at_most() - changed };
            let mut is_told = true;
            let made = self.change_chunks(&many, &mut is_told).await;
            let told = if is_told { Ok(()) } else { self.tell(name).await };
            // Its own error is the one to report.
            changed += made?;
            told?;
        }
        Ok(changed)
    }

    /// `is_told` says in the end, also after an error, whether the leader was told of all that was changed.
    async fn change_chunks(&self, many: &Many<'_>, is_told: &mut bool) -> Result<u64, OutboxError> {
        let (mut changed, mut after) = (0, None);
        while changed < many.at_most {
            let place = Condition::all()
                .add(Column::Subscription.eq(many.subscription))
                .add_option(after.map(|seq| Column::Seq.gt(seq)));
            let (left, limit) = (many.at_most - changed, CHUNK.min(many.at_most - changed));
            // Without a lock: to look through many holds may take long.
            let found = seqs(&self.outbox.db, many.matching.clone().add(place), limit).await?;
            let Some(last) = found.last().copied() else { break };
            let count = u64::try_from(found.len()).unwrap_or(u64::MAX);
            let tell = if count < limit || count == left { Tell::Now } else { Tell::Later };
            let done = self.carry_out(&Chunk { many, found: &found, tell }).await?;
            if done > 0 {
                *is_told = tell == Tell::Now;
            }
            changed += done;
            after = Some(last);
        }
        Ok(changed)
    }
}

/// One event on hold.
struct One<'a> {
    action: Action,
    event: EventRef,
    subscription: &'a str,
}

#[async_trait]
impl Work for One<'_> {
    type Answer = ();

    async fn work(&self, txn: &DatabaseTransaction) -> Result<Change<()>, OutboxError> {
        let Self { action, event, subscription } = *self;
        intervene(txn, subscription).await?;
        let (seq, state) = one_held(txn, event, subscription).await?;
        if action == Action::Requeue && state != HoldState::Dead.as_str() {
            return Err(OutboxError::NotDead { subscription: subscription.to_owned(), event, found: state });
        }
        apply(txn, action, subscription, &[seq]).await?;
        Ok(Change::Made { action, target: format!("{subscription}/{seq}"), answer: () })
    }
}

/// The dead letters of one subscription that a filter names.
struct Many<'a> {
    action: Action,
    subscription: &'a str,
    matching: &'a Condition,
    at_most: u64,
}

/// Those of some dead letters that still match once the leader is kept from changing them.
struct Chunk<'a> {
    many: &'a Many<'a>,
    found: &'a [Seq],
    tell: Tell,
}

#[async_trait]
impl Work for Chunk<'_> {
    type Answer = u64;

    async fn work(&self, txn: &DatabaseTransaction) -> Result<Change<u64>, OutboxError> {
        let Many { action, subscription, matching, .. } = *self.many;
        lock(txn, subscription, self.tell).await?;
        let place = Condition::all()
            .add(Column::Subscription.eq(subscription))
            .add(Column::Seq.is_in(self.found.iter().copied()));
        let still = seqs(txn, matching.clone().add(place), CHUNK).await?;
        if still.is_empty() {
            return Ok(Change::Nothing(0));
        }
        let answer = apply(txn, action, subscription, &still).await?;
        Ok(Change::Made { action, target: format!("{subscription}/{}", ranges(&still)), answer })
    }
}

async fn apply(
    txn: &DatabaseTransaction,
    action: Action,
    subscription: &str,
    seqs: &[Seq],
) -> Result<u64, DbErr> {
    match action {
        Action::Discard => discard(txn, subscription, seqs).await,
        _ => requeue(txn, subscription, seqs).await,
    }
}

fn ranges(seqs: &[Seq]) -> SeqRanges {
    let mut ranges = SeqRanges::new();
    for seq in seqs {
        ranges.insert(*seq);
    }
    ranges
}

/// As new, but for the order that it stands in and the replay that it belongs to: without that one's id, an inbox would
/// drop it as what it has processed before.
async fn requeue(txn: &DatabaseTransaction, subscription: &str, seqs: &[Seq]) -> Result<u64, DbErr> {
    let changed = Entity::update_many()
        .col_expr(Column::State, Expr::value(HoldState::Retry.as_str()))
        .col_expr(Column::Attempts, Expr::value(0))
        .col_expr(Column::DueAt, clock::now(txn.get_database_backend()))
        .col_expr(Column::LastError, Expr::value(None::<String>))
        .col_expr(Column::FirstFailedAt, Expr::value(None::<DateTimeUtc>))
        .filter(Column::Subscription.eq(subscription))
        .filter(Column::Seq.is_in(seqs.iter().copied()))
        .exec(txn)
        .await?;
    Ok(changed.rows_affected)
}

async fn discard(txn: &DatabaseTransaction, subscription: &str, seqs: &[Seq]) -> Result<u64, DbErr> {
    let gone = Entity::delete_many()
        .filter(Column::Subscription.eq(subscription))
        .filter(Column::Seq.is_in(seqs.iter().copied()))
        .exec(txn)
        .await?;
    Ok(gone.rows_affected)
}
