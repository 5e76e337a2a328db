//! Pausing, resuming and dropping a subscription.

use outbox_core::log::SubscriptionState;
use sea_orm::{
    ColumnTrait as _, ConnectionTrait as _, DatabaseTransaction, EntityTrait as _, QueryFilter as _,
    sea_query::Expr,
};

use super::{
    Operator, OutboxError,
    audit::{Action, Change},
    operator::intervene,
};
use crate::{
    clock,
    tables::subscription::{Column, Entity},
};

impl Operator {
    /// Pauses a subscription until [`resume`](Self::resume), over restarts too: its leader waits for what is in flight,
    /// stores it and publishes nothing more. The log keeps what it has not read. Its row tells who paused it, and why.
    /// `false` where it was paused already: nothing is changed then.
    ///
    /// # Errors
    /// [`OutboxError::UnknownSubscription`], and where the database is away.
    pub async fn pause(&self, subscription: &str) -> Result<bool, OutboxError> {
        let note = self.note("paused");
        self.change(async |txn| {
            intervene(txn, subscription).await?;
            let not_paused = Column::State.ne(SubscriptionState::Paused.as_str());
            let changed =
                set_state(txn, subscription, SubscriptionState::Paused, Some(note.clone()), not_paused)
                    .await?;
            Ok(Change::of(changed, Action::Pause, subscription))
        })
        .await
    }

    /// Ends a pause: the next relay that looks goes on from what is stored. `false` where it was not paused: nothing
    /// is changed then.
    ///
    /// # Errors
    /// [`OutboxError::UnknownSubscription`], and where the database is away.
    pub async fn resume(&self, subscription: &str) -> Result<bool, OutboxError> {
        self.change(async |txn| {
            intervene(txn, subscription).await?;
            let paused = Column::State.eq(SubscriptionState::Paused.as_str());
            let changed = set_state(txn, subscription, SubscriptionState::Running, None, paused).await?;
            Ok(Change::of(changed, Action::Resume, subscription))
        })
        .await
    }
}

impl Change<bool> {
    fn of(changed: bool, action: Action, subscription: &str) -> Self {
        if changed {
            Self::Made { action, target: subscription.to_owned(), answer: true }
        } else {
            Self::Nothing(false)
        }
    }
}

/// Whether a row in the state that is asked for was there.
async fn set_state(
    txn: &DatabaseTransaction,
    name: &str,
    state: SubscriptionState,
    note: Option<String>,
    before: Expr,
) -> Result<bool, OutboxError> {
    let changed = Entity::update_many()
        .col_expr(Column::State, Expr::value(state.as_str()))
        .col_expr(Column::StateSince, clock::now(txn.get_database_backend()))
        .col_expr(Column::LastError, Expr::value(note))
        .filter(Column::Name.eq(name))
        .filter(before)
        .exec(txn)
        .await?;
    Ok(changed.rows_affected == 1)
}
