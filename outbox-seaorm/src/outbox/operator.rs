//! Somebody who changes something, and how a change is made.

use std::time::Duration;

use async_trait::async_trait;
use outbox_core::log::LogError;
use sea_orm::{
    ColumnTrait as _, ConnectionTrait, DatabaseConnection, DatabaseTransaction, DbErr, EntityTrait as _,
    QueryFilter as _, QueryOrder as _, QuerySelect as _, SqlErr, TransactionTrait as _,
    sea_query::{Expr, ExprTrait as _},
};

use super::{
    Outbox, OutboxError,
    audit::{Change, Responsible},
};
use crate::{tables::subscription, tx::Conflict};

/// Longest name of an operator, in characters.
const MAX_WHO: usize = 255;

/// Longest reason, in characters: it fits MySQL's shortest text whatever the characters are.
const MAX_WHY: usize = 2_000;

/// How often a change is tried where another session is in the way.
const ATTEMPTS: u32 = 5;

/// Somebody who changes something, for a reason: see [`Outbox::acting_as`].
#[derive(Clone, Debug)]
pub struct Operator {
    pub(super) outbox: Outbox,
    responsible: Responsible,
}

impl Operator {
    pub(super) fn new(outbox: Outbox, who: &str, why: &str) -> Result<Self, OutboxError> {
        let responsible =
            Responsible { who: storable("a name", who, MAX_WHO)?, why: storable("a reason", why, MAX_WHY)? };
        Ok(Self { outbox, responsible })
    }

    /// A sentence for those who look at a subscription's row.
    pub(super) fn note(&self, done: &str) -> String {
        format!("{done} by {}: {}", self.responsible.who, self.responsible.why)
    }

    /// Makes a change: one transaction, with a row of the audit where it changed something. It is tried again where
    /// another session was in the way, and never where its commit may have happened.
    pub(super) async fn carry_out<W: Work>(&self, work: &W) -> Result<W::Answer, OutboxError> {
        self.carry_out_on(&self.outbox.db, work).await
    }

    /// The same on another connection to the same database.
    pub(super) async fn carry_out_on<W: Work>(
        &self,
        db: &DatabaseConnection,
        work: &W,
    ) -> Result<W::Answer, OutboxError> {
        let mut attempt = 1;
        loop {
            let txn = db.begin_with_options(self.outbox.changing()).await?;
            match self.attempt(&txn, work).await {
                Ok(Change::Made { answer, .. } | Change::Told(answer)) => {
                    txn.commit().await?;
                    return Ok(answer);
                }
                Ok(Change::Nothing(answer)) => {
                    txn.rollback().await?;
                    return Ok(answer);
                }
                Err(error) => {
                    // The error of the work is the one to report.
                    let _ = txn.rollback().await;
                    if attempt == ATTEMPTS || !error.is_conflict() {
                        return Err(error);
                    }
                }
            }
            tokio::time::sleep(Duration::from_millis(20) * attempt).await;
            attempt += 1;
        }
    }

    /// Tells the leader of what a change of several transactions has committed and not told.
    pub(super) async fn tell(&self, subscription: &str) -> Result<(), OutboxError> {
        self.carry_out(&Telling { subscription }).await
    }

    async fn attempt<W: Work>(
        &self,
        txn: &DatabaseTransaction,
        work: &W,
    ) -> Result<Change<W::Answer>, OutboxError> {
        let change = work.work(txn).await?;
        if let Change::Made { action, target, .. } = &change {
            self.responsible.record(txn, *action, target.clone()).await?;
        }
        Ok(change)
    }
}

/// What a change does in its transaction. A trait and no closure: of an async closure that borrows, the compiler cannot
/// tell that its future may be sent to another thread.
#[async_trait]
pub(super) trait Work: Sync {
    /// What the operator is told.
    type Answer: Send;

    /// Does it. It locks in this order, as the relay does: the floor of `outbox_meta`, the subscription's row, its holds.
    /// Tried again where another session was in the way.
    async fn work(&self, txn: &DatabaseTransaction) -> Result<Change<Self::Answer>, OutboxError>;
}

impl OutboxError {
    fn is_conflict(&self) -> bool {
        let cause = match self {
            Self::Database(error) => Some(error),
            Self::Log(LogError::Database(error)) => error.downcast_ref(),
            _ => None,
        };
        // Another session may have put an event on hold that was not when it was looked for.
        let was_overtaken =
            |error: &DbErr| matches!(error.sql_err(), Some(SqlErr::UniqueConstraintViolation(_)));
        cause.is_some_and(|error| was_overtaken(error) || Conflict::of(error).is_some())
    }
}

/// Whether one transaction of a large change tells the leader of it. Each time that it is told its term ends, so that a
/// leader that is told of every chunk would publish nothing meanwhile.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Tell {
    /// At its commit.
    Now,
    /// A later transaction does: until then the leader goes on with what it remembers.
    Later,
}

/// Locks a subscription's row to the end of the transaction and counts one intervention: its leader, if it has one,
/// ends its term in good order when it next looks, and goes on from what is stored. What is read after this cannot be
/// changed by a leader before the commit.
///
/// # Errors
/// [`OutboxError::UnknownSubscription`].
pub(super) async fn intervene(txn: &DatabaseTransaction, name: &str) -> Result<(), OutboxError> {
    lock(txn, name, Tell::Now).await
}

/// The same for one transaction of several. Without a count it locks as well: it updates the row to what it is.
///
/// # Errors
/// [`OutboxError::UnknownSubscription`].
pub(super) async fn lock(txn: &DatabaseTransaction, name: &str, tell: Tell) -> Result<(), OutboxError> {
    let counts = match tell {
        Tell::Now => 1,
        Tell::Later => 0,
    };
    let interventions = Expr::col(subscription::Column::Interventions).add(counts);
    let locked = subscription::Entity::update_many()
        .col_expr(subscription::Column::Interventions, interventions)
        .filter(subscription::Column::Name.eq(name))
        .exec(txn)
        .await?;
    if locked.rows_affected == 1 { Ok(()) } else { Err(unknown_subscription(txn, name).await?) }
}

/// Tells a leader of what was committed before, where the last transaction of it could not: it changed nothing, or it
/// failed.
struct Telling<'a> {
    subscription: &'a str,
}

#[async_trait]
impl Work for Telling<'_> {
    type Answer = ();

    async fn work(&self, txn: &DatabaseTransaction) -> Result<Change<()>, OutboxError> {
        intervene(txn, self.subscription).await?;
        Ok(Change::Told(()))
    }
}

/// The error that names the subscriptions that there are.
pub(super) async fn unknown_subscription(
    db: &impl ConnectionTrait,
    name: &str,
) -> Result<OutboxError, OutboxError> {
    let known: Vec<String> = subscription::Entity::find()
        .select_only()
        .column(subscription::Column::Name)
        .order_by_asc(subscription::Column::Name)
        .into_tuple()
        .all(db)
        .await?;
    let known = if known.is_empty() { "there is none yet".to_owned() } else { known.join(", ") };
    Ok(OutboxError::UnknownSubscription { found: name.chars().take(120).collect(), known })
}

/// What can be stored as it is: no NUL (PostgreSQL), and nothing that would be cut short.
fn storable(what: &'static str, text: &str, longest: usize) -> Result<String, OutboxError> {
    let text: String = text.trim().chars().filter(|c| *c != '\0').collect();
    let found = text.chars().count();
    if (1..=longest).contains(&found) {
        Ok(text)
    } else {
        Err(OutboxError::NobodyInCharge { what, longest, found })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_and_a_reason_fit_their_columns_or_are_refused() {
        assert_eq!(storable("a name", "  ada\0 ", 255).ok().as_deref(), Some("ada"));
        for (text, found) in [("", 0), (" \n\0", 0), (&*"ż".repeat(256), 256)] {
            let error = storable("a name", text, 255).expect_err("it does not fit");
            assert_eq!(
                error.to_string(),
                format!("expected a name of 1 to 255 characters for the audit, found {found}")
            );
        }
        assert!(storable("a name", &"ż".repeat(255), 255).is_ok());
    }
}
