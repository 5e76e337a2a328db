//! Errors that are nobody's fault: another session was in the way.

use sea_orm::DbErr;

use crate::error_code::ErrorCode;

/// How another session was in the way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum LockTrouble {
    /// It kept a lock for longer than we wait.
    Waited,
    /// Each waited for the other.
    Deadlock,
}

impl LockTrouble {
    /// Reads it from the database's error code.
    pub(super) fn of(error: &DbErr) -> Option<Self> {
        match ErrorCode::of(error)? {
            ErrorCode::Number(1205) => Some(Self::Waited),
            // 1467 is what the victim of a deadlock about the counter is told.
            ErrorCode::Number(1213 | 1467) => Some(Self::Deadlock),
            ErrorCode::Number(_) => None,
            ErrorCode::Text(code) => match &*code {
                // PostgreSQL: lock_not_available; SQLite: busy, also with its extended codes.
                "55P03" | "5" | "261" | "517" | "773" => Some(Self::Waited),
                "40P01" => Some(Self::Deadlock),
                _ => None,
            },
        }
    }
}
