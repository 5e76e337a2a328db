//! The database that holds everything: the orders, the outbox, the inbox and inventory's own table.

use std::{path::PathBuf, time::Duration};

use anyhow::{Context as _, Result, bail};
use sea_orm::{
    ConnectOptions, ConnectionTrait, Database, DatabaseConnection, DbBackend, EntityTrait, Schema,
    sea_query::{Index, IndexCreateStatement, TableCreateStatement},
};

use crate::{cli::Cli, inventory::booking, orders};

/// How long a server may take to answer at the start. A refused connection is tried again until then.
const PATIENCE: Duration = Duration::from_secs(4);

/// An open database with all tables in it.
#[derive(Debug)]
pub struct Store {
    pub db: DatabaseConnection,
    /// The URL as it may be shown: without a password.
    pub url: String,
}

impl Store {
    /// Connects and creates the tables that are not there.
    pub async fn open(cli: &Cli) -> Result<Self> {
        let url = match (&cli.database_url, &cli.sabotage) {
            (Some(url), _) => url.clone(),
            (None, None) => sqlite_url(&beside_the_program("quickstart.sqlite")?),
            (None, Some(_)) => {
                let file = beside_the_program("quickstart-sabotaged.sqlite")?;
                remove_database(&file)?;
                sqlite_url(&file)
            }
        };
        let shown = without_password(&url);
        let db = connect(&url).await.with_context(|| format!("cannot use the database {shown}"))?;
        create_tables(&db).await.with_context(|| format!("cannot create the tables in {shown}"))?;
        Ok(Self { db, url: shown })
    }

    /// The file of an SQLite database.
    pub fn file(&self) -> Option<&str> {
        Some(self.url.strip_prefix("sqlite://")?.split('?').next().unwrap_or_default())
    }
}

fn beside_the_program(name: &str) -> Result<PathBuf> {
    let program =
        std::env::current_exe().context("cannot tell where this program is; give --database-url")?;
    Ok(program.with_file_name(name))
}

fn sqlite_url(file: &std::path::Path) -> String {
    format!("sqlite://{}?mode=rwc", file.display())
}

fn remove_database(file: &std::path::Path) -> Result<()> {
    for suffix in ["", "-wal", "-shm"] {
        let mut path = file.as_os_str().to_owned();
        path.push(suffix);
        match std::fs::remove_file(&path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                return Err(error).with_context(|| format!("cannot remove {}", path.display()));
            }
            _ => {}
        }
    }
    Ok(())
}

async fn connect(url: &str) -> Result<DatabaseConnection> {
    let known = ["sqlite:", "postgres:", "postgresql:", "mysql:", "mariadb:"];
    if !known.iter().any(|scheme| url.starts_with(scheme)) {
        bail!("expected a URL with sqlite://, postgres:// or mysql://");
    }
    if !url.starts_with("sqlite:") && !cfg!(feature = "servers") {
        bail!("this build knows SQLite only; use `cargo run -p quickstart --features servers`");
    }
    // The pool itself has more patience, so one connection tries first.
    let mut probe = ConnectOptions::new(url);
    probe.max_connections(1).acquire_timeout(PATIENCE).sqlx_logging(false);
    Database::connect(probe).await?.close().await?;

    let mut options = ConnectOptions::new(url);
    options.max_connections(8).acquire_timeout(Duration::from_secs(30)).sqlx_logging(false);
    // Readers and the writer do not wait for each other.
    options.map_sqlx_sqlite_opts(|options| {
        use sea_orm::sqlx::sqlite::{SqliteJournalMode, SqliteSynchronous};
        options
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Normal)
            .busy_timeout(Duration::from_secs(30))
    });
    Ok(Database::connect(options).await?)
}

/// A real service has migrations: its own, and those of `outbox_seaorm::migrations()`.
async fn create_tables(db: &DatabaseConnection) -> Result<()> {
    outbox_seaorm::create_tables(db).await?;
    db.execute(&table(db, orders::order::Entity)).await?;
    db.execute(&table(db, orders::revision::Entity)).await?;
    let mut bookings = table(db, booking::Entity);
    if db.get_database_backend() == DbBackend::MySql {
        // An index cannot be created there only if it is missing, so it comes with its table.
        bookings.index(&mut bookings_by_change());
        db.execute(&bookings).await?;
    } else {
        db.execute(&bookings).await?;
        db.execute(&bookings_by_change()).await?;
    }
    Ok(())
}

/// An entity's table, created where it is missing.
fn table<E: EntityTrait>(db: &DatabaseConnection, entity: E) -> TableCreateStatement {
    let schema = Schema::new(db.get_database_backend());
    schema.create_table_from_entity(entity).if_not_exists().take()
}

fn bookings_by_change() -> IndexCreateStatement {
    Index::create()
        .name("inventory_bookings_by_change")
        .table(booking::Entity)
        .col(booking::Column::OrderId)
        .col(booking::Column::Revision)
        .if_not_exists()
        .take()
}

/// `scheme://user:secret@host/name` without the secret.
fn without_password(url: &str) -> String {
    let Some((scheme, rest)) = url.split_once("://") else { return url.to_owned() };
    match rest.rsplit_once('@') {
        Some((user, host)) => {
            let user = user.split(':').next().unwrap_or_default();
            format!("{scheme}://{user}@{host}")
        }
        None => url.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_never_shown() {
        for (url, shown) in [
            ("postgres://ada:s3:c@ret@db:5432/shop", "postgres://ada@db:5432/shop"),
            ("postgres://ada@db/shop", "postgres://ada@db/shop"),
            ("sqlite:///tmp/a.sqlite?mode=rwc", "sqlite:///tmp/a.sqlite?mode=rwc"),
        ] {
            assert_eq!(without_password(url), shown);
        }
    }
}
