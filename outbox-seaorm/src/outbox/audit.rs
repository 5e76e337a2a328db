//! The record of what operators did.

use std::fmt;

use sea_orm::{
    ColumnTrait as _, Condition, DatabaseTransaction, DbErr, EntityTrait as _, NotSet, QueryFilter as _,
    QueryOrder as _, QuerySelect as _, Set, prelude::DateTimeUtc, sea_query::ExprTrait as _,
};
use serde::Serialize;

use super::{Outbox, OutboxError, filter::place_of};
use crate::tables::audit::{self, Column};

/// Rows of a page unless told otherwise.
const PAGE: u32 = 100;

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
    /// Let what nobody has acknowledged be published once more.
    Resend,
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
            Self::Resend => "resend",
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
    /// What has its rows in the audit already is told to the leader: it is committed with no row of its own.
    Told(T),
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

/// One thing that an operator did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct AuditEntry {
    /// Number of the entry.
    pub id: i64,
    /// When, by the database's clock.
    pub at: DateTimeUtc,
    /// Who.
    pub who: String,
    /// What: the text of an [`Action`].
    pub action: String,
    /// On what: the subscription's name, and after a `/` the seqs where there are any, as `sqs/3,7-9`.
    pub target: String,
    /// Why.
    pub why: Option<String>,
}

impl From<audit::Model> for AuditEntry {
    fn from(row: audit::Model) -> Self {
        Self {
            id: row.id,
            at: row.at,
            who: row.actor,
            action: row.action,
            target: row.target,
            why: row.reason,
        }
    }
}

/// Which entries of the audit.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use]
pub struct AuditFilter {
    who: Option<String>,
    action: Option<Action>,
    subscription: Option<String>,
    since: Option<DateTimeUtc>,
    until: Option<DateTimeUtc>,
    before: Option<i64>,
    limit: u32,
}

impl AuditFilter {
    /// Every entry.
    pub fn all() -> Self {
        Self {
            who: None,
            action: None,
            subscription: None,
            since: None,
            until: None,
            before: None,
            limit: PAGE,
        }
    }

    /// What this person did.
    pub fn who(self, who: impl Into<String>) -> Self {
        Self { who: Some(who.into()), ..self }
    }

    /// What was done in this way.
    pub fn action(self, action: Action) -> Self {
        Self { action: Some(action), ..self }
    }

    /// What was done to this subscription, also where it was dropped since.
    pub fn subscription(self, name: impl Into<String>) -> Self {
        Self { subscription: Some(name.into()), ..self }
    }

    /// What was done at this moment or later, by the database's clock.
    pub fn since(self, moment: DateTimeUtc) -> Self {
        Self { since: Some(moment), ..self }
    }

    /// What was done before this moment, by the database's clock.
    pub fn until(self, moment: DateTimeUtc) -> Self {
        Self { until: Some(moment), ..self }
    }

    /// Goes on behind this entry, the last of the page before.
    pub fn before(self, id: i64) -> Self {
        Self { before: Some(id), ..self }
    }

    /// At most so many. Default: 100.
    pub fn limit(self, limit: u32) -> Self {
        Self { limit, ..self }
    }
}

impl Outbox {
    /// What operators did, the latest first. The table has one index, the entry's number, and a row for each thing that
    /// somebody did by hand: it is read in order until the page is full.
    ///
    /// # Errors
    /// Where the database is away.
    pub async fn audit(&self, filter: AuditFilter) -> Result<Vec<AuditEntry>, OutboxError> {
        let backend = self.db.get_database_backend();
        let subscription = filter.subscription.as_ref().map(|name| {
            let with_seqs = place_of(backend, &format!("{name}/"), Column::Target).eq(1);
            Condition::any().add(Column::Target.eq(name)).add(with_seqs)
        });
        let wanted = Condition::all()
            .add_option(filter.who.as_ref().map(|who| Column::Actor.eq(who)))
            .add_option(filter.action.map(|action| Column::Action.eq(action.as_str())))
            .add_option(subscription)
            .add_option(filter.since.map(|moment| Column::At.gte(moment)))
            .add_option(filter.until.map(|moment| Column::At.lt(moment)))
            .add_option(filter.before.map(|id| Column::Id.lt(id)));
        let rows = audit::Entity::find()
            .filter(wanted)
            .order_by_desc(Column::Id)
            .limit(u64::from(filter.limit))
            .all(&self.db)
            .await?;
        Ok(rows.into_iter().map(AuditEntry::from).collect())
    }
}
