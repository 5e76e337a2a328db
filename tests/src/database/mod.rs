//! A database of its own for each test, on the three servers that the project supports.

mod wait;

use std::{
    panic::AssertUnwindSafe,
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};

use anyhow::{Context as _, Result};
use futures_util::FutureExt as _;
use sea_orm::{ConnectOptions, ConnectionTrait as _, Database, DatabaseConnection, DbBackend};

pub use wait::until;

/// Which database a test runs on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Sqlite,
    Postgres,
    Mariadb,
}

impl Kind {
    /// The server's URL without a database's name: from the environment, else the usual local port.
    fn server_url(self) -> String {
        let named = |name: &str, local: &str| std::env::var(name).unwrap_or_else(|_| local.to_owned());
        match self {
            Self::Sqlite => String::new(),
            Self::Postgres => named("DATABASE_URL_POSTGRES", "postgres://postgres@127.0.0.1:5432/postgres"),
            Self::Mariadb => named("DATABASE_URL_MYSQL", "mysql://root@127.0.0.1:3306/mysql"),
        }
    }
}

/// A fresh database with the outbox's tables; dropped when the test ends.
#[derive(Debug)]
pub struct TestDb {
    pub kind: Kind,
    pub url: String,
    pub db: DatabaseConnection,
    admin: Option<DatabaseConnection>,
    name: String,
    _folder: Option<tempfile::TempDir>,
}

static NEXT: AtomicU32 = AtomicU32::new(0);

impl TestDb {
    /// Creates a database with the outbox's tables in it.
    ///
    /// # Errors
    /// Where the server is not there: a test that was asked for it never passes by skipping.
    pub async fn create(kind: Kind) -> Result<Self> {
        let test = Self::create_empty(kind).await?;
        outbox_seaorm::create_tables(&test.db).await.context("create the outbox's tables")?;
        Ok(test)
    }

    /// Creates a database without any table.
    ///
    /// # Errors
    /// Where the server is not there.
    pub async fn create_empty(kind: Kind) -> Result<Self> {
        let name = format!("outbox_test_{}_{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        if kind == Kind::Sqlite {
            let folder = tempfile::tempdir()?;
            let url = format!("sqlite://{}?mode=rwc", folder.path().join("test.sqlite").display());
            let db = connect(&url).await?;
            return Ok(Self { kind, url, db, admin: None, name, _folder: Some(folder) });
        }
        let server = kind.server_url();
        let admin = Database::connect(ConnectOptions::new(&server).max_connections(1).to_owned())
            .await
            .with_context(|| format!("{kind:?} is not there; start it, or run `tests/run`"))?;
        admin.execute_unprepared(&format!("DROP DATABASE IF EXISTS {name}")).await?;
        let create = match kind {
            // A file copy of the template is what makes creating one slow.
            Kind::Postgres => format!("CREATE DATABASE {name} TEMPLATE template0 STRATEGY wal_log"),
            _ => format!("CREATE DATABASE {name}"),
        };
        admin.execute_unprepared(&create).await?;
        let (base, _) = server.rsplit_once('/').context("a server URL ends in /database")?;
        let url = format!("{base}/{name}");
        let db = connect(&url).await?;
        Ok(Self { kind, url, db, admin: Some(admin), name, _folder: None })
    }

    /// A second pool to the same database, as another process would have it.
    ///
    /// # Errors
    /// Where the server is not there any more.
    pub async fn another_pool(&self) -> Result<DatabaseConnection> {
        connect(&self.url).await
    }

    /// Runs a test on a fresh database and drops the database whether the test passes or panics.
    ///
    /// # Panics
    /// Where the test does.
    pub async fn run<F>(kind: Kind, test: impl FnOnce(std::sync::Arc<Self>) -> F)
    where
        F: Future<Output = Result<()>>,
    {
        let db = std::sync::Arc::new(Self::create(kind).await.expect("a database for the test"));
        let outcome = AssertUnwindSafe(test(db.clone())).catch_unwind().await;
        db.drop_database().await.expect("drop the test's database");
        match outcome {
            Ok(result) => result.expect("the test's own error"),
            Err(panic) => std::panic::resume_unwind(panic),
        }
    }

    /// Drops the database now; [`run`](Self::run) does it by itself.
    ///
    /// # Errors
    /// Where the server is not there any more.
    pub async fn drop_database(&self) -> Result<()> {
        let Some(admin) = &self.admin else { return Ok(()) };
        let force = if admin.get_database_backend() == DbBackend::Postgres { " WITH (FORCE)" } else { "" };
        admin.execute_unprepared(&format!("DROP DATABASE IF EXISTS {}{force}", self.name)).await?;
        Ok(())
    }
}

async fn connect(url: &str) -> Result<DatabaseConnection> {
    let mut options = ConnectOptions::new(url);
    options.max_connections(10).acquire_timeout(Duration::from_secs(20)).sqlx_logging(false);
    Ok(Database::connect(options).await?)
}

/// One test on each database: `on_each_database!(name, async |test| { ..; Ok(()) })` makes `name::sqlite`,
/// `name::postgres` and `name::mariadb`; `tests/run --embedded` runs the first only.
#[macro_export]
macro_rules! on_each_database {
    ($name:ident, $body:expr) => {
        mod $name {
            #[allow(unused_imports, reason = "not every test needs all of its file's imports")]
            use super::*;

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn sqlite() {
                $crate::TestDb::run($crate::Kind::Sqlite, $body).await;
            }

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn postgres() {
                $crate::TestDb::run($crate::Kind::Postgres, $body).await;
            }

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn mariadb() {
                $crate::TestDb::run($crate::Kind::Mariadb, $body).await;
            }
        }
    };
}
