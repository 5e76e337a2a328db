//! Which awaited acknowledgements are meant.

use chrono::{DateTime, Utc};
use outbox_core::message::Seq;
use sea_orm::{ColumnTrait as _, Condition};

use crate::{outbox::OutboxError, tables::receipt::Column};

/// The most that one question gives, unless it says otherwise.
const LIMIT: u64 = 100;

/// The most that one question can give: each is looked up in the log by its number.
const MAX_LIMIT: u64 = 10_000;

/// The most events that one question can name: each is a parameter, of which SQLite takes 32,766.
const MAX_SEQS: usize = 10_000;

/// Which awaited acknowledgements are meant. Without another word: all, the first hundred of them.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[must_use]
pub struct Awaited {
    subscription: Option<String>,
    seqs: Option<Vec<Seq>>,
    overdue: bool,
    limit: Option<u64>,
}

impl Awaited {
    /// All of them.
    pub fn all() -> Self {
        Self::default()
    }

    /// Only those whose consumer has run out of time, by the database's clock.
    pub fn overdue() -> Self {
        Self { overdue: true, ..Self::default() }
    }

    /// Only those of one subscription.
    pub fn of(mut self, subscription: impl Into<String>) -> Self {
        self.subscription = Some(subscription.into());
        self
    }

    /// Only those of these events, up to 10,000 of them.
    pub fn seqs(mut self, seqs: impl IntoIterator<Item = Seq>) -> Self {
        self.seqs = Some(seqs.into_iter().collect());
        self
    }

    /// At most so many, up to 10,000. Default: 100.
    pub fn at_most(mut self, limit: u64) -> Self {
        self.limit = Some(limit.min(MAX_LIMIT));
        self
    }

    pub(super) fn subscription(&self) -> Option<&str> {
        self.subscription.as_deref()
    }

    pub(super) fn limit(&self) -> u64 {
        self.limit.unwrap_or(LIMIT)
    }

    /// # Errors
    /// [`OutboxError::TooManySeqs`].
    pub(super) fn condition(&self, now: DateTime<Utc>) -> Result<Condition, OutboxError> {
        let found = self.seqs.as_ref().map_or(0, Vec::len);
        if found > MAX_SEQS {
            return Err(OutboxError::TooManySeqs { at_most: MAX_SEQS, found });
        }
        let due = if self.overdue { Column::AckDueAt.lte(now) } else { Column::AckDueAt.is_not_null() };
        Ok(Condition::all()
            .add(due)
            .add_option(self.subscription.as_ref().map(|name| Column::Subscription.eq(name)))
            .add_option(self.seqs.as_ref().map(|seqs| Column::Seq.is_in(seqs.iter().copied()))))
    }
}
