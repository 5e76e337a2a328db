//! Pausing, resuming and dropping a subscription.

use async_trait::async_trait;
use outbox_core::log::SubscriptionState;
use sea_orm::{
    ColumnTrait as _, ConnectionTrait as _, DatabaseTransaction, EntityTrait as _, QueryFilter as _,
    QuerySelect as _,
    sea_query::{Expr, ExprTrait as _},
};

use super::{
    Operator, OutboxError,
    audit::{Action, Change},
    floor::lock_floor,
    operator::{Work, intervene},
};
use crate::{
    clock,
    tables::{
        hold, receipt,
        subscription::{Column, Entity},
    },
};

impl Operator {
    /// Pauses a subscription until [`resume`](Self::resume), over restarts too: its leader waits for what is in flight,
    /// stores it and publishes nothing more. The log keeps what it has not read. Its row tells who paused it, and why.
    /// `false` where it was paused already: nothing is changed then.
    ///
    /// # Errors
    /// [`OutboxError::UnknownSubscription`], and where the database is away.
    pub async fn pause(&self, subscription: &str) -> Result<bool, OutboxError> {
        let note = Some(self.note("paused"));
        let (action, state) = (Action::Pause, SubscriptionState::Paused);
        let other = Column::State.ne(state.as_str());
        self.carry_out(&Switch { subscription, action, state, other, note }).await
    }

    /// Ends a pause: the next relay that looks goes on from what is stored. `false` where it was not paused: nothing
    /// is changed then.
    ///
    /// # Errors
    /// [`OutboxError::UnknownSubscription`], and where the database is away.
    pub async fn resume(&self, subscription: &str) -> Result<bool, OutboxError> {
        let (action, state) = (Action::Resume, SubscriptionState::Running);
        let other = Column::State.eq(SubscriptionState::Paused.as_str());
        self.carry_out(&Switch { subscription, action, state, other, note: None }).await
    }

    /// Removes a subscription with its holds and receipts: what it has not published it never will, and the log keeps
    /// nothing for it any more. Take it out of the relays' configuration first: a relay that starts with it makes it
    /// anew, at its start point.
    ///
    /// One transaction, which for a subscription with millions of receipts takes its time; nobody else needs those rows.
    ///
    /// # Errors
    /// [`OutboxError::UnknownSubscription`], [`OutboxError::Led`] where a relay leads it, by the database's clock, and
    /// where the database is away.
    pub async fn drop_subscription(&self, subscription: &str) -> Result<Dropped, OutboxError> {
        self.carry_out(&Drop { subscription }).await
    }
}

/// What went with a subscription that was dropped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[non_exhaustive]
pub struct Dropped {
    /// Events on hold, dead letters among them.
    pub holds: u64,
    /// Receipts.
    pub receipts: u64,
}

/// Brings a subscription from some other states into one.
struct Switch<'a> {
    subscription: &'a str,
    action: Action,
    state: SubscriptionState,
    /// The states that it can be in before.
    other: Expr,
    note: Option<String>,
}

#[async_trait]
impl Work for Switch<'_> {
    type Answer = bool;

    async fn work(&self, txn: &DatabaseTransaction) -> Result<Change<bool>, OutboxError> {
        intervene(txn, self.subscription).await?;
        let changed = Entity::update_many()
            .col_expr(Column::State, Expr::value(self.state.as_str()))
            .col_expr(Column::StateSince, clock::now(txn.get_database_backend()))
            .col_expr(Column::LastError, Expr::value(self.note.clone()))
            .filter(Column::Name.eq(self.subscription))
            .filter(self.other.clone())
            .exec(txn)
            .await?;
        Ok(if changed.rows_affected == 1 {
            Change::Made { action: self.action, target: self.subscription.to_owned(), answer: true }
        } else {
            Change::Nothing(false)
        })
    }
}

struct Drop<'a> {
    subscription: &'a str,
}

#[async_trait]
impl Work for Drop<'_> {
    type Answer = Dropped;

    async fn work(&self, txn: &DatabaseTransaction) -> Result<Change<Dropped>, OutboxError> {
        let subscription = self.subscription;
        // An acknowledgement that stores a receipt of its own holds the floor and no subscription.
        lock_floor(txn).await?;
        // From here on nobody takes the lease.
        intervene(txn, subscription).await?;
        if let Some(leader) = leader(txn, subscription).await? {
            return Err(OutboxError::Led { subscription: subscription.to_owned(), leader });
        }
        let of_it = hold::Column::Subscription.eq(subscription);
        let holds = hold::Entity::delete_many().filter(of_it).exec(txn).await?.rows_affected;
        let of_it = receipt::Column::Subscription.eq(subscription);
        let receipts = receipt::Entity::delete_many().filter(of_it).exec(txn).await?.rows_affected;
        Entity::delete_by_id(subscription).exec(txn).await?;
        let answer = Dropped { holds, receipts };
        Ok(Change::Made { action: Action::Drop, target: subscription.to_owned(), answer })
    }
}

/// The process that holds a lease which has not ended.
async fn leader(txn: &DatabaseTransaction, name: &str) -> Result<Option<String>, OutboxError> {
    let led: Option<Option<String>> = Entity::find_by_id(name)
        .select_only()
        .column(Column::Leader)
        .filter(Column::Owner.is_not_null())
        .filter(Column::LeaseUntil.into_expr().gt(clock::now(txn.get_database_backend())))
        .into_tuple()
        .one(txn)
        .await?;
    Ok(led.map(|leader| leader.unwrap_or_else(|| "a process that has not given its name yet".to_owned())))
}
