//! The record of what operators did.

use std::fmt;

use sea_orm::{DatabaseTransaction, DbErr, EntityTrait as _, NotSet, Set};

use crate::tables::audit;

/// What an operator did, as stored in `outbox_audit`. Names are added and never changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Action {
    /// Let dead letters be tried again.
    Requeue,
    /// Gave up events on hold.
    Discard,
    /// Let settled events be published once more.
    Replay,
    /// Stopped a subscription.
    Pause,
    /// Ended a pause.
    Resume,
    /// Moved a position back.
    Rewind,
    /// Removed a subscription with all that belongs to it.
    Drop,
}

impl Action {
    /// As stored.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Requeue => "requeue",
            Self::Discard => "discard",
            Self::Replay => "replay",
            Self::Pause => "pause",
            Self::Resume => "resume",
            Self::Rewind => "rewind",
            Self::Drop => "drop",
        }
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What a transaction of an operator came to. There is no way to commit a change without saying what it was.
#[derive(Debug)]
pub(super) enum Change<T> {
    /// Something was changed: it is committed with a row of the audit.
    Made {
        /// What was done.
        action: Action,
        /// On what: the subscription's name, then `/` and the seqs where there are any.
        target: String,
        /// What to tell the operator.
        answer: T,
    },
    /// Nothing was: the transaction is rolled back.
    Nothing(T),
}

/// Who does something, and why.
#[derive(Debug, Clone)]
pub(super) struct Responsible {
    pub(super) who: String,
    pub(super) why: String,
}

impl Responsible {
    /// Writes the row, in the transaction of the change itself.
    pub(super) async fn record(
        &self,
        txn: &DatabaseTransaction,
        action: Action,
        target: String,
    ) -> Result<(), DbErr> {
        let row = audit::ActiveModel {
            id: NotSet,
            // The database's own clock, by the column's default.
            at: NotSet,
            actor: Set(self.who.clone()),
            action: Set(action.as_str().to_owned()),
            target: Set(target),
            reason: Set(Some(self.why.clone())),
        };
        audit::Entity::insert(row).exec_without_returning(txn).await.map(drop)
    }
}
