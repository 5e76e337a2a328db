//! MySQL and MariaDB.

use outbox_core::log::LogError;

use super::{Inner, NOT_BY_MIGRATION, USE_PRIMARY, Unfit, column, missing_tables};
use crate::tables::TableNames;

pub(super) async fn check(log: &Inner) -> Result<(), LogError> {
    missing_tables(log, str::to_owned).await?;
    let names = TableNames::current();
    let facts = log
        .sql
        .check
        .facts
        .with(&[("folder", names.schema.map(str::to_owned).into()), ("event", names.event.into())]);
    let row = log.sessions.one(facts).await?.ok_or_else(|| LogError::database("a table vanished"))?;
    let text = |index| column::<Option<String>>(&row, index).map(Option::unwrap_or_default);
    let facts = Facts {
        increment: column(&row, 0)?,
        read_only: column::<i64>(&row, 1)? != 0,
        binlog_format: text(2)?,
        engine: text(3)?,
        seq: text(4)?,
        key: text(5)?,
        created_at: text(6)?,
    };
    Ok(facts.judge(&log.event_table)?)
}

/// What the server says of itself and of the log.
#[derive(Debug, Clone)]
struct Facts {
    increment: i64,
    read_only: bool,
    /// Empty where nothing is logged.
    binlog_format: String,
    engine: String,
    seq: String,
    key: String,
    created_at: String,
}

impl Facts {
    fn judge(&self, table: &str) -> Result<(), Unfit> {
        let wrong = |expected: &str, found: &str| {
            Err(Unfit::new(format!("{expected} in {table}"), format!("`{found}`"), NOT_BY_MIGRATION))
        };
        if self.increment != 1 {
            return Err(Unfit::new(
                "auto_increment_increment = 1",
                self.increment.to_string(),
                "with several writing servers the order of numbers is not the order of an aggregate's commits; \
                 write to one server and set it to 1",
            ));
        }
        if self.read_only {
            return Err(Unfit::new("the primary", "a server that is read_only", USE_PRIMARY));
        }
        if self.binlog_format.eq_ignore_ascii_case("statement") {
            return Err(Unfit::new(
                "binlog_format ROW or MIXED",
                "STATEMENT",
                "READ COMMITTED, in which the relay works, cannot be logged as statements; set it to ROW",
            ));
        }
        if !self.engine.eq_ignore_ascii_case("innodb") {
            return wrong("the engine InnoDB", &self.engine);
        }
        if !self.seq.to_lowercase().contains("auto_increment") {
            return wrong("`seq` AUTO_INCREMENT", &self.seq);
        }
        if self.key != "PRI" {
            return wrong("`seq` as the primary key", &self.key);
        }
        if !self.created_at.to_lowercase().contains("utc_timestamp(6)") {
            return wrong("`created_at` DEFAULT (utc_timestamp(6))", &self.created_at);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_fact_that_is_wrong_is_named() {
        let good = Facts {
            increment: 1,
            read_only: false,
            binlog_format: "MIXED".into(),
            engine: "InnoDB".into(),
            seq: "auto_increment".into(),
            key: "PRI".into(),
            created_at: "utc_timestamp(6)".into(),
        };
        assert_eq!(good.judge("t"), Ok(()));
        assert_eq!(Facts { binlog_format: String::new(), ..good.clone() }.judge("t"), Ok(()));
        for (wrong, named) in [
            (Facts { increment: 3, ..good.clone() }, "auto_increment_increment"),
            (Facts { read_only: true, ..good.clone() }, "primary"),
            (Facts { binlog_format: "STATEMENT".into(), ..good.clone() }, "binlog_format"),
            (Facts { engine: "MyISAM".into(), ..good.clone() }, "InnoDB"),
            (Facts { seq: String::new(), ..good.clone() }, "AUTO_INCREMENT"),
            (Facts { key: "MUL".into(), ..good.clone() }, "primary key"),
            (Facts { created_at: "current_timestamp(6)".into(), ..good.clone() }, "created_at"),
        ] {
            let unfit = wrong.judge("t").expect_err(named);
            assert!(unfit.expected.contains(named), "{unfit:?}");
        }
    }
}
