//! What can go wrong between a save and its events, apart from the database itself.

use std::sync::Arc;

use outbox_core::event::EventError;
use sea_orm::DbErr;

/// Why a save with events was refused.
///
/// Hooks and saves answer with SeaORM's `DbErr`; this error travels inside it, and [`of`](Self::of) finds it again.
/// What the database itself said of the insert into the log is passed on as it came, so that code which looks
/// for deadlocks or serialisation failures sees them.
///
/// ```
/// # use outbox_seaorm::CaptureError;
/// # fn answer(error: sea_orm::DbErr) {
/// match CaptureError::of(&error) {
///     Some(CaptureError::NotInTransaction { .. }) => panic!("a bug in this program: {error}"),
///     _ => eprintln!("{error}"),
/// }
/// # }
/// ```
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CaptureError {
    /// A trait method of SeaORM was called with a connection that is no transaction: the events would be
    /// stored apart from the row. Nothing was written.
    #[error(
        "`{entity}` has events, and this save is not in a transaction; call the entity's own method \
         (`model.{verb}(db)`), in generic code `model.raise(()).{verb}(db)`, or begin a transaction first"
    )]
    NotInTransaction {
        /// The entity's table.
        entity: &'static str,
        /// The verb that was called.
        verb: &'static str,
    },
    /// A trait method of SeaORM updated an entity that has `on_update`: which columns are set, and whether a row is
    /// written at all, is known to the entity's own methods only. Nothing is stored.
    ///
    /// A hook of SeaORM gets a connection that those methods cannot use. Update the other row beside the save instead,
    /// in one transaction with it.
    #[error(
        "`{entity}` has `on_update`, and this update came by SeaORM's trait method; call the entity's own \
         method (`model.update(db)`), or in generic code `model.raise(()).update(db)`; where this is in a hook \
         of SeaORM, update beside the save around it, in one transaction"
    )]
    UpdateByTraitMethod {
        /// The entity's table.
        entity: &'static str,
    },
    /// An event that cannot be stored: no JSON, or an aggregate id that does not fit. No event is stored.
    #[error(transparent)]
    Event(#[from] EventError),
    /// A mock connection that was given no answer for the insert into the log.
    #[error(
        "the mock connection has no answer to the insert into `{table}`; append one `MockExecResult` for it \
         after those of the save"
    )]
    Mock {
        /// The log's table.
        table: &'static str,
        /// What the mock said.
        #[source]
        source: DbErr,
    },
}

impl CaptureError {
    /// The capture error inside a `DbErr`, where there is one.
    #[must_use]
    pub fn of(error: &DbErr) -> Option<&Self> {
        match error {
            DbErr::TryIntoErr { source, .. } => source.downcast_ref(),
            _ => None,
        }
    }
}

impl From<CaptureError> for DbErr {
    /// Into the one variant of `DbErr` that keeps any error as its source.
    fn from(error: CaptureError) -> Self {
        Self::TryIntoErr { from: "save", into: "save with its events", source: Arc::new(error) }
    }
}
