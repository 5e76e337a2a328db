//! PostgreSQL.

use std::process::Command;

use anyhow::{Context as _, Result};
use sea_orm::{ConnectionTrait as _, DatabaseConnection, Statement};

use super::{Kind, Server, run};

pub(super) fn make_data_folder(server: &Server) -> Command {
    let mut command = server.tools.command(server.tools.programs.join("initdb"));
    command.arg("-D").arg(server.data());
    command.args(["-U", "postgres", "--auth=trust", "--encoding=UTF8", "--locale=C", "--no-sync"]);
    command
}

pub(super) fn launch(server: &Server) -> Command {
    let mut command = server.tools.command(server.tools.programs.join("postgres"));
    command.arg("-D").arg(server.data()).args(["-p", &server.port.to_string()]);
    // Small, and durable: a commit that was answered outlives a kill.
    let settings =
        ["listen_addresses=127.0.0.1", "unix_socket_directories=", "shared_buffers=32MB", "fsync=on"];
    for setting in settings.into_iter().chain(server.settings.iter().map(String::as_str)) {
        command.args(["-c", setting]);
    }
    command
}

pub(super) fn program(server: &Server, name: &str) -> Command {
    let mut command = server.tools.command(server.tools.programs.join(name));
    command.args(["-h", "127.0.0.1", "-p", &server.port.to_string(), "-U", "postgres"]);
    command
}

pub(super) async fn cut_connections(admin: &DatabaseConnection, database: &str) -> Result<usize> {
    let statement = Statement::from_sql_and_values(
        admin.get_database_backend(),
        "SELECT count(*) FROM (SELECT pg_terminate_backend(pid) AS cut FROM pg_stat_activity
         WHERE datname = $1 AND pid <> pg_backend_pid()) AS others WHERE cut",
        [database.into()],
    );
    let row = admin.query_one_raw(statement).await?.context("a count")?;
    Ok(usize::try_from(row.try_get_by_index::<i64>(0)?)?)
}

impl Server {
    /// A second PostgreSQL that streams from this one: a replica, until it is promoted.
    ///
    /// # Errors
    /// Where it cannot be made or does not start.
    pub async fn replica(&self) -> Result<Self> {
        let mut replica = Self::new(Kind::Postgres, &[])?;
        let mut copy = self.program("pg_basebackup");
        copy.arg("-D").arg(replica.data()).args(["-R", "-X", "stream", "-c", "fast", "--no-sync"]);
        run(&mut copy)?;
        replica.launch().await?;
        Ok(replica)
    }
}
