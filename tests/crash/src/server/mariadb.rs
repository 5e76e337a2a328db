//! MariaDB.

use std::{path::PathBuf, process::Command};

use anyhow::Result;
use sea_orm::{ConnectionTrait as _, DatabaseConnection, DbErr, Statement};

use super::Server;

pub(super) fn make_data_folder(server: &Server) -> Command {
    let mut command = server.tools.command("mariadb-install-db");
    command.arg("--no-defaults").arg(format!("--datadir={}", server.data().display()));
    command.arg(format!("--user={}", server.tools.user_name));
    command.args(["--skip-test-db", "--auth-root-authentication-method=normal"]);
    command
}

pub(super) fn launch(server: &Server) -> Command {
    let mut command = server.tools.command(&server.tools.programs);
    command.arg("--no-defaults").arg(format!("--datadir={}", server.data().display()));
    command.arg(format!("--socket={}", socket(server).display()));
    command.arg(format!("--port={}", server.port)).arg(format!("--user={}", server.tools.user_name));
    // Small, and durable: a commit that was answered outlives a kill.
    command.args([
        "--bind-address=127.0.0.1",
        "--skip-name-resolve",
        "--innodb-buffer-pool-size=64M",
        "--innodb-log-file-size=32M",
        "--innodb-flush-log-at-trx-commit=1",
    ]);
    command.args(&server.settings);
    command
}

/// A socket's path may not be long, so it is not in the server's folder.
pub(super) fn socket(server: &Server) -> PathBuf {
    format!("/tmp/outbox-crash-{}.sock", server.port).into()
}

pub(super) fn program(server: &Server, name: &str) -> Command {
    let mut command = server.tools.command(name);
    command.args(["--no-defaults", "-h", "127.0.0.1", "-P", &server.port.to_string(), "-u", "root"]);
    command
}

pub(super) async fn cut_connections(admin: &DatabaseConnection, database: &str) -> Result<usize> {
    let backend = admin.get_database_backend();
    let statement = Statement::from_sql_and_values(
        backend,
        "SELECT id FROM information_schema.processlist WHERE db = ? AND id <> connection_id()",
        [database.into()],
    );
    let mut cut = 0;
    for row in admin.query_all_raw(statement).await? {
        let id: i64 = row.try_get_by_index(0)?;
        match admin.execute_unprepared(&format!("KILL {id}")).await {
            Ok(_) => cut += 1,
            // It has ended meanwhile.
            Err(DbErr::Exec(_)) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(cut)
}
