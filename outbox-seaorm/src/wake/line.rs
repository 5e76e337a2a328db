//! What both sides of a line agree on, and how long they wait for the server.

use std::time::Duration;

use sea_orm::{ConnectionTrait as _, DatabaseConnection, DbBackend, DbErr, Statement};
use tokio::time::{error::Elapsed, timeout};

use crate::log::quoted_event_table;

/// How long the server has to answer. Nothing that is asked of it here takes work.
const PATIENCE: Duration = Duration::from_secs(5);

/// Why nothing gets through.
#[derive(Debug, thiserror::Error)]
pub(super) enum Broken {
    #[error(transparent)]
    Driver(#[from] sqlx::Error),
    #[error(transparent)]
    Users(#[from] DbErr),
    #[error("expected an answer within {PATIENCE:?}, found none")]
    NoAnswer(#[from] Elapsed),
    #[error("expected the table {0}, found none: run the migrations")]
    NoTable(String),
    #[error("the server closed the connection")]
    Closed,
    #[error(
        "expected to hear its own word within {PATIENCE:?}, heard nothing: LISTEN needs the server itself or a \
         pooler in session mode"
    )]
    Deaf,
}

/// Ends what the server leaves without an answer.
pub(super) async fn answered<T, E>(asked: impl Future<Output = Result<T, E>>) -> Result<T, Broken>
where
    Broken: From<E>,
{
    Ok(timeout(PATIENCE, asked).await??)
}

/// The channel of the table of events. The user's own connection is asked: only there the search path is the user's,
/// and two services in one database may differ in nothing else.
pub(super) async fn channel(users: &DatabaseConnection) -> Result<String, Broken> {
    let table = quoted_event_table(DbBackend::Postgres);
    let question = Statement::from_sql_and_values(
        DbBackend::Postgres,
        "SELECT CASE WHEN octet_length(name) <= 63 THEN name ELSE 'outbox:' || md5(name) END
         FROM pg_class
         JOIN pg_namespace ON pg_namespace.oid = relnamespace,
         LATERAL (SELECT 'outbox:' || quote_ident(nspname) || '.' || quote_ident(relname)) AS channel (name)
         WHERE pg_class.oid = to_regclass($1)",
        [table.as_str().into()],
    );
    match answered(users.query_one_raw(question)).await? {
        Some(row) => Ok(row.try_get_by_index(0)?),
        None => Err(Broken::NoTable(table)),
    }
}
