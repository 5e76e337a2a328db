//! The code that a database gives its error: what an error means is read from it and never from its text.

use std::borrow::Cow;

use sea_orm::DbErr;

/// The code of an error as the databases give it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(dead_code, reason = "which of them occur depends on the databases that are built in")]
pub(crate) enum ErrorCode<'a> {
    /// MySQL and MariaDB: their own number. Their SQLSTATE is one for many errors.
    Number(u16),
    /// PostgreSQL: the SQLSTATE. SQLite: its extended code in digits.
    Text(Cow<'a, str>),
}

impl<'a> ErrorCode<'a> {
    /// The code, where it is a database that speaks and not the driver.
    pub(crate) fn of(error: &'a DbErr) -> Option<Self> {
        #[cfg(any(feature = "sqlx-postgres", feature = "sqlx-mysql", feature = "sqlx-sqlite"))]
        if let DbErr::Exec(sea_orm::RuntimeErr::SqlxError(error))
        | DbErr::Query(sea_orm::RuntimeErr::SqlxError(error)) = error
        {
            let error = error.as_database_error()?;
            #[cfg(feature = "sqlx-mysql")]
            if let Some(error) = error.try_downcast_ref::<sqlx::mysql::MySqlDatabaseError>() {
                return Some(Self::Number(error.number()));
            }
            return error.code().map(Self::Text);
        }
        let _ = error;
        None
    }
}
