//! PostgreSQL.

use outbox_core::log::LogError;
use sea_orm::DbBackend;

use super::{Inner, NOT_BY_MIGRATION, USE_PRIMARY, Unfit, column, missing_tables};
use crate::log::sql::quoted;

pub(super) async fn check(log: &Inner) -> Result<(), LogError> {
    missing_tables(log, |table| quoted(DbBackend::Postgres, table)).await?;
    let facts = log.sql.check.facts.with(&[("event", log.event_table.clone().into())]);
    let row = log.sessions.one(facts).await?.ok_or_else(|| LogError::database("a table vanished"))?;
    let facts = Facts {
        replica: column(&row, 0)?,
        kind: column(&row, 1)?,
        persistence: column(&row, 2)?,
        identity: column::<Option<String>>(&row, 3)?.unwrap_or_default(),
        cache: column(&row, 4)?,
        increment: column(&row, 5)?,
        cycles: column(&row, 6)?,
        key: column(&row, 7)?,
        created_at: column::<Option<String>>(&row, 8)?.unwrap_or_default(),
    };
    Ok(facts.judge(&log.event_table)?)
}

/// What the catalogue says of the log.
#[derive(Debug, Clone)]
struct Facts {
    replica: bool,
    kind: String,
    persistence: String,
    identity: String,
    cache: Option<i64>,
    increment: Option<i64>,
    cycles: Option<bool>,
    key: bool,
    created_at: String,
}

impl Facts {
    fn judge(&self, table: &str) -> Result<(), Unfit> {
        let wrong = |expected: &str, found: String| {
            Err(Unfit::new(format!("{expected} in {table}"), found, NOT_BY_MIGRATION))
        };
        if self.replica {
            return Err(Unfit::new("the primary", "a replica (it is in recovery)", USE_PRIMARY));
        }
        if self.kind != "r" || self.persistence != "p" {
            let found = format!("kind `{}`, persistence `{}`", self.kind, self.persistence);
            return wrong("an ordinary logged table", found);
        }
        if self.identity != "a" {
            return wrong("`seq` GENERATED ALWAYS AS IDENTITY", format!("identity `{}`", self.identity));
        }
        if self.increment != Some(1) || self.cycles != Some(false) {
            let found = format!("increment {:?}, cycle {:?}", self.increment, self.cycles);
            return wrong("a sequence that goes up by 1 and does not begin anew", found);
        }
        if self.cache != Some(1) {
            return Err(Unfit::new(
                format!("CACHE 1 of the sequence of {table}"),
                format!("{:?}", self.cache),
                "a session that keeps numbers back would use one after the relay took it for gone; \
                 run `ALTER TABLE .. ALTER COLUMN seq SET CACHE 1`",
            ));
        }
        if !self.key {
            return wrong("`seq` as the primary key", "none".into());
        }
        if !self.created_at.contains("clock_timestamp()") {
            return wrong("`created_at` DEFAULT clock_timestamp()", format!("`{}`", self.created_at));
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
            replica: false,
            kind: "r".into(),
            persistence: "p".into(),
            identity: "a".into(),
            cache: Some(1),
            increment: Some(1),
            cycles: Some(false),
            key: true,
            created_at: "clock_timestamp()".into(),
        };
        assert_eq!(good.judge("t"), Ok(()));
        for (wrong, named) in [
            (Facts { replica: true, ..good.clone() }, "primary"),
            (Facts { kind: "p".into(), ..good.clone() }, "ordinary"),
            (Facts { persistence: "u".into(), ..good.clone() }, "logged"),
            (Facts { identity: "d".into(), ..good.clone() }, "GENERATED ALWAYS"),
            (Facts { identity: String::new(), ..good.clone() }, "GENERATED ALWAYS"),
            (Facts { cache: Some(20), ..good.clone() }, "CACHE 1"),
            (Facts { increment: Some(2), ..good.clone() }, "by 1"),
            (Facts { cycles: Some(true), ..good.clone() }, "anew"),
            (Facts { key: false, ..good.clone() }, "primary key"),
            (Facts { created_at: "now()".into(), ..good.clone() }, "created_at"),
        ] {
            let unfit = wrong.judge("t").expect_err(named);
            assert!(unfit.expected.contains(named), "{unfit:?}");
        }
    }
}
