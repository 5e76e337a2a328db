//! SQLite.

use outbox_core::log::LogError;

use super::{Inner, NOT_BY_MIGRATION, Unfit, column, missing_tables};
use crate::tables::TableNames;

pub(super) async fn check(log: &Inner) -> Result<(), LogError> {
    missing_tables(log, str::to_owned).await?;
    let table = TableNames::current().event;
    let facts = log.sql.check.facts.with(&[("event", table.into())]);
    let row = log.sessions.one(facts).await?.ok_or_else(|| LogError::database("a table vanished"))?;
    let created_at: Option<String> = column(&row, 1)?;
    Ok(judge(table, &column::<String>(&row, 0)?, &created_at.unwrap_or_default())?)
}

/// By the text that made the table, and the default of `created_at`.
fn judge(table: &str, made_by: &str, created_at: &str) -> Result<(), Unfit> {
    if !made_by.to_uppercase().contains("AUTOINCREMENT") {
        // Without it the number of the last row is given out again after the row is gone.
        return Err(Unfit::new(
            format!("`seq` INTEGER PRIMARY KEY AUTOINCREMENT in {table}"),
            "a number that can come back",
            NOT_BY_MIGRATION,
        ));
    }
    if !created_at.contains("strftime") {
        let expected = format!("`created_at` DEFAULT (strftime(..)) in {table}");
        return Err(Unfit::new(expected, format!("`{created_at}`"), NOT_BY_MIGRATION));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_fact_that_is_wrong_is_named() {
        let made_by = "CREATE TABLE t (seq integer NOT NULL PRIMARY KEY AUTOINCREMENT)";
        assert_eq!(judge("t", made_by, "strftime('%Y', 'now')"), Ok(()));
        let unfit = judge("t", "CREATE TABLE t (seq integer PRIMARY KEY)", "strftime('%Y', 'now')");
        assert!(unfit.expect_err("no autoincrement").expected.contains("AUTOINCREMENT"));
        let unfit = judge("t", made_by, "CURRENT_TIMESTAMP").expect_err("another clock");
        assert_eq!(unfit.found, "`CURRENT_TIMESTAMP`");
    }
}
