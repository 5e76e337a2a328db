//! What a database and its tables must be before a relay runs on them. Each refusal says what was expected, what
//! was found and what to do: a log on the wrong database would lose events, silently and much later.

mod mysql;
mod postgres;
mod sqlite;
mod version;

use outbox_core::log::LogError;
use sea_orm::DbBackend;

use super::{Inner, column};
use crate::tables::TableNames;

/// Why a database is refused.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Unfit {
    expected: String,
    found: String,
    remedy: &'static str,
}

impl Unfit {
    fn new(expected: impl Into<String>, found: impl Into<String>, remedy: &'static str) -> Self {
        Self { expected: expected.into(), found: found.into(), remedy }
    }

    /// Tables are missing.
    fn missing(tables: &[String]) -> Self {
        Self::new("the outbox's tables", format!("none named {}", tables.join(", ")), RUN_MIGRATIONS)
    }
}

impl From<Unfit> for LogError {
    fn from(unfit: Unfit) -> Self {
        Self::Refused(format!("expected {}, found {}: {}", unfit.expected, unfit.found, unfit.remedy))
    }
}

const RUN_MIGRATIONS: &str =
    "run the migrations of `outbox_seaorm::migrations()` on this database before the relay starts";

const NOT_BY_MIGRATION: &str = "the table was not made by `outbox_seaorm::migrations()` (schema sync cannot make it); \
                                drop it and run the migrations";

const USE_PRIMARY: &str =
    "give the relay a connection to the primary: what a replica shows can still be undone";

pub(super) async fn check(log: &Inner) -> Result<(), LogError> {
    // The log's own connections refuse replicas, but cannot say so: a replica that was given is told of here.
    if log.sessions.is_given_a_replica().await? {
        return Err(Unfit::new("the primary", "a replica (in recovery, or read_only)", USE_PRIMARY).into());
    }
    let version = log.sessions.one(log.sql.check.version.with(&[])).await?;
    let version: String = version.map(|row| column(&row, 0)).transpose()?.unwrap_or_default();
    version::check(log.backend, &version)?;
    match log.backend {
        DbBackend::Sqlite => sqlite::check(log).await,
        DbBackend::MySql => mysql::check(log).await,
        _ => postgres::check(log).await,
    }
}

/// The tables that a relay needs, by their plain names.
fn needed() -> [&'static str; 5] {
    let names = TableNames::current();
    [names.event, names.subscription, names.hold, names.archive, names.meta]
}

/// Refuses where a table is not there. `named` writes a table as the statement compares it.
async fn missing_tables(log: &Inner, named: impl Fn(&str) -> String) -> Result<(), LogError> {
    let wanted = serde_json::Value::from_iter(needed().map(&named)).to_string();
    let folder = TableNames::current().schema.map(str::to_owned);
    let values = [("tables", wanted.into()), ("folder", folder.into())];
    let rows = log.sessions.all(log.sql.check.missing.with(&values)).await?;
    let missing: Vec<String> = rows.iter().map(|row| column(row, 0)).collect::<Result<_, _>>()?;
    if missing.is_empty() { Ok(()) } else { Err(Unfit::missing(&missing).into()) }
}
