//! The log's own connections.
//!
//! The user's pool can neither starve the log nor be changed by it: the log opens a small pool of its own to the
//! same server and sets its sessions there. On SQLite it shares the user's pool, because a database in memory
//! lives in one pool only.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use futures_util::TryStreamExt as _;
use outbox_core::log::LogError;
use sea_orm::{
    ConnectionTrait as _, DatabaseConnection, DatabaseConnectionType, DatabaseTransaction, DbBackend,
    ExecResult, QueryResult, SqliteTransactionMode, Statement, StreamTrait as _, TransactionOptions,
    TransactionTrait as _,
};
use tokio::sync::OnceCell;

use super::{
    column,
    idle_timeout::IdleTimeout,
    patience::{Doubt, Patience},
    rows::text_bytes,
};

/// How long a statement waits for another session's lock.
pub(super) const LOCK_PATIENCE: Duration = Duration::from_secs(1);

/// What MySQL's sessions are set to, whatever the server's is: in the modes of other databases it does not tell
/// the counter of a table.
#[cfg(feature = "sqlx-mysql")]
const SQL_MODE: &str = "STRICT_TRANS_TABLES,ERROR_FOR_DIVISION_BY_ZERO,NO_ENGINE_SUBSTITUTION";

/// What a log takes of its server.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    /// The connections of its pool at most.
    pub(super) connections: u32,
    pub(super) patience: Patience,
}

/// Opens connections on first use and keeps their settings in step with the lease.
#[derive(Debug)]
pub(super) struct Sessions {
    users: DatabaseConnection,
    own: OnceCell<DatabaseConnection>,
    timeout: Arc<IdleTimeout>,
    /// How many connections the pool has made.
    made: Arc<AtomicU64>,
    limits: Limits,
    doubt: Arc<Doubt>,
}

impl Sessions {
    pub(super) fn of(users: DatabaseConnection, limits: Limits) -> Self {
        let (timeout, made, doubt) = (Arc::default(), Arc::default(), Arc::default());
        Self { users, own: OnceCell::new(), timeout, made, limits, doubt }
    }

    /// The connection that the log was made from.
    pub(super) fn users(&self) -> &DatabaseConnection {
        &self.users
    }

    /// Says that leases of this length are taken: a session that holds a transaction open must be gone before
    /// such a lease is. Sessions with a longer timeout are replaced when they are next used.
    pub(super) fn follow_lease(&self, lease: Duration) {
        self.timeout.shorten_for(lease);
    }

    /// How many connections were made so far: one more may lead to a server that has restarted.
    pub(super) fn made(&self) -> u64 {
        self.made.load(Ordering::SeqCst)
    }

    /// The pool.
    pub(super) async fn pool(&self) -> Result<&DatabaseConnection, LogError> {
        self.own.get_or_try_init(|| self.open()).await
    }

    pub(super) async fn all(&self, statement: Statement) -> Result<Vec<QueryResult>, LogError> {
        let call = async { self.pool().await?.query_all_raw(statement).await.map_err(LogError::database) };
        self.within(self.limits.patience.short(), call).await
    }

    /// The first rows, in the order in which they come, until they have so many bytes of text; says whether there were
    /// more. They are received one by one: what is left out never is in memory.
    pub(super) async fn some(
        &self,
        statement: Statement,
        max_bytes: usize,
    ) -> Result<(Vec<QueryResult>, bool), LogError> {
        let call = async {
            let mut rows = self.pool().await?.stream_raw(statement).await.map_err(LogError::database)?;
            let (mut found, mut bytes) = (Vec::new(), 0_usize);
            while let Some(row) = rows.try_next().await.map_err(LogError::database)? {
                if bytes >= max_bytes.max(1) {
                    return Ok((found, true));
                }
                bytes = bytes.saturating_add(text_bytes(&row));
                found.push(row);
            }
            Ok((found, false))
        };
        self.within(self.limits.patience.short(), call).await
    }

    pub(super) async fn one(&self, statement: Statement) -> Result<Option<QueryResult>, LogError> {
        let call = async { self.pool().await?.query_one_raw(statement).await.map_err(LogError::database) };
        self.within(self.limits.patience.short(), call).await
    }

    pub(super) async fn execute(&self, statement: Statement) -> Result<ExecResult, LogError> {
        let call = async { self.pool().await?.execute_raw(statement).await.map_err(LogError::database) };
        self.within(self.limits.patience.short(), call).await
    }

    /// A transaction that may write. What is done in it has to be put [`within`](Self::within) a bound.
    pub(super) async fn begin(&self) -> Result<DatabaseTransaction, LogError> {
        self.pool().await?.begin_with_options(writing()).await.map_err(LogError::database)
    }

    /// The same, for statements that the server may take longer for than for others.
    pub(super) async fn begin_long(&self, bound: Duration) -> Result<DatabaseTransaction, LogError> {
        let transaction = self.begin().await?;
        self.set_local(&transaction, "statement_timeout", bound).await?;
        Ok(transaction)
    }

    /// Lets what follows in a transaction of this pool take longer than others, and wait longer for locks. MySQL ends no
    /// statement, and how long it waits for a lock is a setting of its sessions, which a transaction does not give back.
    pub(super) async fn be_patient(
        &self,
        transaction: &DatabaseTransaction,
        statement: Duration,
        lock: Duration,
    ) -> Result<(), LogError> {
        self.set_local(transaction, "statement_timeout", statement).await?;
        self.set_local(transaction, "lock_timeout", lock).await
    }

    async fn set_local(
        &self,
        transaction: &DatabaseTransaction,
        setting: &str,
        bound: Duration,
    ) -> Result<(), LogError> {
        if self.users.get_database_backend() != DbBackend::Postgres {
            return Ok(());
        }
        let set = format!("SET LOCAL {setting} = '{}ms'", bound.as_millis());
        transaction.execute_unprepared(&set).await.map(drop).map_err(LogError::database)
    }

    pub(super) fn doubt(&self) -> Arc<Doubt> {
        Arc::clone(&self.doubt)
    }

    pub(super) fn limits(&self) -> Limits {
        self.limits
    }

    /// Runs a call within a bound; see [`patience`](super::patience). SQLite has no connection that could lead nowhere, and
    /// its calls may have to wait for the user's own.
    pub(super) async fn within<T>(
        &self,
        bound: Duration,
        call: impl Future<Output = Result<T, LogError>>,
    ) -> Result<T, LogError> {
        if self.users.get_database_backend() == DbBackend::Sqlite {
            return call.await;
        }
        self.doubt.within(bound, call).await
    }

    async fn open(&self) -> Result<DatabaseConnection, LogError> {
        #[cfg_attr(not(feature = "sqlx-postgres"), allow(unused_variables, reason = "PostgreSQL's"))]
        let search_path = self.search_path().await?;
        Ok(match &self.users.inner {
            #[cfg(feature = "sqlx-postgres")]
            DatabaseConnectionType::SqlxPostgresPoolConnection(_) => self.open_postgres(search_path),
            #[cfg(feature = "sqlx-mysql")]
            DatabaseConnectionType::SqlxMySqlPoolConnection(_) => self.open_mysql(),
            _ => self.users.clone(),
        })
    }

    /// Whether the user's connection leads to a replica.
    pub(super) async fn is_given_a_replica(&self) -> Result<bool, LogError> {
        let question = match backend_of(&self.users) {
            Ok(DbBackend::Postgres) => "SELECT pg_is_in_recovery()",
            Ok(DbBackend::MySql) => "SELECT @@global.read_only <> 0",
            _ => return Ok(false),
        };
        let question = Statement::from_string(self.users.get_database_backend(), question);
        let call = async { self.users.query_one_raw(question).await.map_err(LogError::database) };
        let row = self.within(self.limits.patience.short(), call).await?;
        row.map_or(Ok(false), |row| column(&row, 0))
    }

    /// A schema that was given to SeaORM is a setting of the user's sessions and not of the connect options.
    async fn search_path(&self) -> Result<String, LogError> {
        if backend_of(&self.users) != Ok(DbBackend::Postgres) {
            return Ok(String::new());
        }
        let show = Statement::from_string(DbBackend::Postgres, "SELECT current_setting('search_path')");
        let row = self.users.query_one_raw(show).await.map_err(LogError::database)?;
        row.map_or_else(|| Ok(String::new()), |row| column(&row, 0))
    }

    #[cfg(feature = "sqlx-postgres")]
    fn open_postgres(&self, search_path: String) -> DatabaseConnection {
        let options = self.users.get_postgres_connection_pool().connect_options();
        let (timeout, made) = (self.timeout.clone(), self.made.clone());
        // What the client gives up goes on at the server: it ends a little earlier there.
        let longest = self.limits.patience.short() * 9 / 10;
        let pool = own_pool::<sqlx::Postgres>(&self.timeout, &self.doubt, self.limits)
            .after_connect(move |connection, _| {
                made.fetch_add(1, Ordering::SeqCst);
                let (search_path, timeout) = (search_path.clone(), timeout.get());
                Box::pin(async move {
                    // A commit that is not on disk proves nothing, so `synchronous_commit = off` is raised.
                    sqlx::query(
                        "SELECT set_config('search_path', $1, false),
                             set_config('default_transaction_isolation', 'read committed', false),
                             set_config('idle_in_transaction_session_timeout', $2, false),
                             set_config('lock_timeout', $3, false),
                             set_config('statement_timeout', $4, false),
                             set_config('jit', 'off', false),
                             set_config('synchronous_commit', CASE current_setting('synchronous_commit')
                                 WHEN 'off' THEN 'on' ELSE current_setting('synchronous_commit') END, false)",
                    )
                    .bind(search_path)
                    .bind(format!("{}ms", timeout.as_millis()))
                    .bind(format!("{}ms", LOCK_PATIENCE.as_millis()))
                    .bind(format!("{}ms", longest.as_millis().max(1)))
                    .execute(&mut *connection)
                    .await?;
                    let is_replica: bool =
                        sqlx::query_scalar("SELECT pg_is_in_recovery()").fetch_one(connection).await?;
                    on_primary(is_replica)
                })
            })
            .connect_lazy_with((*options).clone());
        sea_orm::SqlxPostgresConnector::from_sqlx_postgres_pool(pool)
    }

    #[cfg(feature = "sqlx-mysql")]
    fn open_mysql(&self) -> DatabaseConnection {
        let options = self.users.get_mysql_connection_pool().connect_options();
        let (timeout, made) = (self.timeout.clone(), self.made.clone());
        let pool = own_pool::<sqlx::MySql>(&self.timeout, &self.doubt, self.limits)
            // The pool closes what it does not use before the server does, which would note each as aborted.
            .idle_timeout(self.timeout.get() / 2)
            .after_connect(move |connection, _| {
                made.fetch_add(1, Ordering::SeqCst);
                // Whole seconds, and there is no timeout of zero.
                let idle = timeout.get().as_secs().max(1);
                Box::pin(async move {
                    // There is no timeout for idle transactions that both servers have; this one also ends sessions
                    // that are idle without one, which the pool replaces.
                    let settings = format!(
                        "SET SESSION wait_timeout = {idle}, innodb_lock_wait_timeout = {patience}, \
                         lock_wait_timeout = 5, sql_mode = '{SQL_MODE}'",
                        patience = LOCK_PATIENCE.as_secs()
                    );
                    sqlx::Executor::execute(
                        &mut *connection,
                        "SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED",
                    )
                    .await?;
                    sqlx::Executor::execute(&mut *connection, sqlx::AssertSqlSafe(settings)).await?;
                    let is_replica: i64 = sqlx::query_scalar("SELECT CAST(@@global.read_only AS SIGNED)")
                        .fetch_one(connection)
                        .await?;
                    on_primary(is_replica != 0)
                })
            })
            .connect_lazy_with((*options).clone());
        sea_orm::SqlxMySqlConnector::from_sqlx_mysql_pool(pool)
    }
}

/// Refuses a connection to a replica, which the pool then tries to replace: behind a balancer or after a failover, each
/// connection may lead elsewhere, and a proof that was taken on a replica is none.
#[cfg(any(feature = "sqlx-postgres", feature = "sqlx-mysql"))]
fn on_primary(is_replica: bool) -> Result<(), sqlx::Error> {
    if is_replica {
        return Err(sqlx::Error::Protocol("expected the primary, found a replica".into()));
    }
    Ok(())
}

/// How a transaction that may write begins. On SQLite it takes the writer's place at once: one that began as a reader
/// would be refused where another has written since.
pub(super) fn writing() -> TransactionOptions {
    TransactionOptions {
        sqlite_transaction_mode: Some(SqliteTransactionMode::Immediate),
        ..Default::default()
    }
}

/// Which database a log would live in.
///
/// # Errors
/// With what to do where the connection is none that a log can live on.
pub(super) fn backend_of(users: &DatabaseConnection) -> Result<DbBackend, &'static str> {
    match &users.inner {
        #[cfg(feature = "sqlx-postgres")]
        DatabaseConnectionType::SqlxPostgresPoolConnection(_) => Ok(DbBackend::Postgres),
        #[cfg(feature = "sqlx-mysql")]
        DatabaseConnectionType::SqlxMySqlPoolConnection(_) => Ok(DbBackend::MySql),
        #[cfg(feature = "sqlx-sqlite")]
        DatabaseConnectionType::SqlxSqlitePoolConnection(_) => Ok(DbBackend::Sqlite),
        DatabaseConnectionType::Disconnected => {
            Err("expected a connection to a database, found one that was never connected")
        }
        #[allow(unreachable_patterns, reason = "which kinds there are depends on SeaORM's features")]
        _ => Err("expected a pool of sqlx to PostgreSQL, MySQL or SQLite whose feature of outbox-seaorm \
                  (`sqlx-postgres`, `sqlx-mysql`, `sqlx-sqlite`) is on, found a mock, a proxy or another driver: \
                  a relay needs a real database; test with the in-memory log instead"),
    }
}

/// A small pool whose connections are tried before use only where they were idle long enough for the server to
/// have ended them or the network to have lost them: else each statement would cost two round trips.
#[cfg(any(feature = "sqlx-postgres", feature = "sqlx-mysql"))]
fn own_pool<DB: sqlx::Database>(
    timeout: &Arc<IdleTimeout>,
    doubt: &Arc<Doubt>,
    limits: Limits,
) -> sqlx::pool::PoolOptions<DB> {
    use super::patience::answers;

    let (timeout, doubt) = (timeout.clone(), doubt.clone());
    sqlx::pool::PoolOptions::<DB>::new()
        .max_connections(limits.connections)
        .min_connections(0)
        // Below the bound of a statement, so that what is wrong is told by the driver.
        .acquire_timeout(limits.patience.short() * 4 / 5)
        // sqlx tries what is released too, but for as long as it takes.
        .after_release(|connection, _| Box::pin(async { answers(connection).await.map(|()| true) }))
        .idle_timeout(Duration::from_secs(60))
        .test_before_acquire(false)
        .before_acquire(move |connection, meta| {
            let outdated = timeout.changed_after(meta.age);
            let may_be_gone = meta.idle_for > timeout.get() / 2 || doubt.covers(meta.idle_for);
            Box::pin(async move {
                if outdated {
                    return Ok(false);
                }
                if may_be_gone {
                    answers(connection).await?;
                }
                Ok(true)
            })
        })
}
