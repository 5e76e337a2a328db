//! Commits that a database refuses for what they hold.

use sea_orm::DbErr;

/// Whether a commit failed because of what it was to store, and not because the database is away or unwell: a
/// constraint that is checked only then, or a trigger's own error. Read from codes, never from text; when in doubt
/// it is the database.
pub(crate) fn refuses_content(error: &DbErr) -> bool {
    #[cfg(any(feature = "sqlx-postgres", feature = "sqlx-mysql", feature = "sqlx-sqlite"))]
    if let DbErr::Exec(sea_orm::RuntimeErr::SqlxError(error))
    | DbErr::Query(sea_orm::RuntimeErr::SqlxError(error))
    | DbErr::Conn(sea_orm::RuntimeErr::SqlxError(error)) = error
    {
        return error
            .as_database_error()
            .is_some_and(|error| error.code().is_some_and(|code| is_of_content(&code)));
    }
    let _ = error;
    false
}

/// The codes of all three: five characters of SQLSTATE from PostgreSQL and MySQL, a number from SQLite.
#[cfg(any(test, feature = "sqlx-postgres", feature = "sqlx-mysql", feature = "sqlx-sqlite"))]
fn is_of_content(code: &str) -> bool {
    /// Of an extended code of SQLite the lower byte is its kind: too big, constraint, mismatch.
    const SQLITE: [u32; 3] = [18, 19, 20];
    if code.len() != 5 {
        return code.parse::<u32>().is_ok_and(|code| SQLITE.contains(&(code & 0xff)));
    }
    // Cardinality, data, constraint, triggered data change, a trigger's statement, `WITH CHECK`, `SIGNAL` of MySQL.
    matches!(code.get(..2), Some("21" | "22" | "23" | "27" | "42" | "44" | "45"))
        // `RAISE` of PL/pgSQL and somebody's own: the standard leaves classes from I on to whoever writes them. Those
        // of X are PostgreSQL's inner errors.
        || code.starts_with(|first: char| matches!(first, 'I'..='W' | 'Y' | 'Z'))
}

#[cfg(test)]
mod tests {
    use super::is_of_content;

    #[test]
    fn what_a_message_causes_is_told_from_an_outage() {
        for content in ["23503", "23505", "23514", "22001", "P0001", "45000", "ZZ001", "787", "2067", "19"] {
            assert!(is_of_content(content), "{content}");
        }
        for outage in [
            "08006", "08S01", "53100", "53300", "57P01", "57P03", "58030", "25006", "28000", "3D000",
            "XX000", "HY000", "F0000", "5", "6", "8", "10", "11", "13", "1546", "",
        ] {
            assert!(!is_of_content(outage), "{outage}");
        }
    }
}
