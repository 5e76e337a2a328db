//! Transactions that the database ended in favour of others.

use sea_orm::DbErr;

/// What a statement's error means for its transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(dead_code, reason = "which of them occur depends on the databases that are built in")]
pub(crate) enum Conflict {
    /// Another transaction was in the way; the same work given again may pass.
    Retry,
    /// The same, and the database may already have rolled the whole transaction back: what is sent now would run
    /// outside of any (MySQL, MariaDB).
    RolledBack,
}

impl Conflict {
    /// Reads it from the database's error code, never from its text.
    pub(crate) fn of(error: &DbErr) -> Option<Self> {
        #[cfg(any(feature = "sqlx-postgres", feature = "sqlx-mysql", feature = "sqlx-sqlite"))]
        if let DbErr::Exec(sea_orm::RuntimeErr::SqlxError(error))
        | DbErr::Query(sea_orm::RuntimeErr::SqlxError(error)) = error
        {
            return error.as_database_error().and_then(Self::of_database);
        }
        let _ = error;
        None
    }

    #[cfg(any(feature = "sqlx-postgres", feature = "sqlx-mysql", feature = "sqlx-sqlite"))]
    fn of_database(error: &(dyn sqlx::error::DatabaseError + 'static)) -> Option<Self> {
        #[cfg(feature = "sqlx-mysql")]
        if let Some(error) = error.try_downcast_ref::<sqlx::mysql::MySqlDatabaseError>() {
            return match error.number() {
                // Row changed since the snapshot (MariaDB's `innodb_snapshot_isolation`), lock table full, deadlock,
                // and what the victim of a deadlock about a table's counter is told.
                1020 | 1206 | 1213 | 1467 => Some(Self::RolledBack),
                // Lock wait timeout: whether it ends the statement or the transaction is a setting of the server
                // (`innodb_rollback_on_timeout`), and MySQL does not tell afterwards.
                1205 => Some(Self::RolledBack),
                _ => None,
            };
        }
        match error.code().as_deref() {
            // PostgreSQL: serialization failure, deadlock, lock not available.
            Some("40001" | "40P01" | "55P03") => Some(Self::Retry),
            // SQLite: busy, also with its extended codes.
            Some("5" | "261" | "517" | "773") => Some(Self::Retry),
            _ => None,
        }
    }
}
