//! Transactions that the database ended in favour of others.

use sea_orm::DbErr;

use crate::error_code::ErrorCode;

/// What a statement's error means for its transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Conflict {
    /// Another transaction was in the way; the same work given again may pass.
    Retry,
    /// The same, and the database may already have rolled the whole transaction back: what is sent now would run
    /// outside of any (MySQL, MariaDB).
    RolledBack,
}

impl Conflict {
    /// Reads it from the database's error code.
    pub(crate) fn of(error: &DbErr) -> Option<Self> {
        match ErrorCode::of(error)? {
            // Row changed since the snapshot (MariaDB's `innodb_snapshot_isolation`), lock table full, deadlock,
            // and what the victim of a deadlock about a table's counter is told.
            ErrorCode::Number(1020 | 1206 | 1213 | 1467) => Some(Self::RolledBack),
            // Lock wait timeout: whether it ends the statement or the transaction is a setting of the server
            // (`innodb_rollback_on_timeout`), and MySQL does not tell afterwards.
            ErrorCode::Number(1205) => Some(Self::RolledBack),
            ErrorCode::Number(_) => None,
            ErrorCode::Text(code) => match &*code {
                // PostgreSQL: serialization failure, deadlock, lock not available.
                "40001" | "40P01" | "55P03" => Some(Self::Retry),
                // SQLite: busy, also with its extended codes.
                "5" | "261" | "517" | "773" => Some(Self::Retry),
                _ => None,
            },
        }
    }
}
