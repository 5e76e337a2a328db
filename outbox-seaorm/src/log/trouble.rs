//! Errors that are nobody's fault: another session was in the way.

use sea_orm::DbErr;

/// How another session was in the way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(
    not(any(feature = "sqlx-postgres", feature = "sqlx-mysql", feature = "sqlx-sqlite")),
    allow(dead_code, reason = "without a database there is nobody to be in the way")
)]
pub(super) enum LockTrouble {
    /// It kept a lock for longer than we wait.
    Waited,
    /// Each waited for the other.
    Deadlock,
}

impl LockTrouble {
    /// Reads it from the database's error code, never from its text.
    pub(super) fn of(error: &DbErr) -> Option<Self> {
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
                1205 => Some(Self::Waited),
                // 1467 is what the victim of a deadlock about the counter is told.
                1213 | 1467 => Some(Self::Deadlock),
                _ => None,
            };
        }
        match error.code().as_deref() {
            // PostgreSQL: lock_not_available; SQLite: busy, also with its extended codes.
            Some("55P03" | "5" | "261" | "517" | "773") => Some(Self::Waited),
            Some("40P01") => Some(Self::Deadlock),
            _ => None,
        }
    }
}
