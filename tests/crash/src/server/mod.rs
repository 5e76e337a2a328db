//! A database server of the test's own, so that it can be killed: data folder, port and processes belong to one test.

mod mariadb;
mod postgres;
mod processes;
mod tools;

use std::{
    fs,
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail};
use sea_orm::{ConnectOptions, ConnectionTrait as _, Database, DatabaseConnection};

use processes::{children_of, guard, signal};
pub use tools::Tools;

/// How long a server may take to answer, the recovery after a kill included.
const PATIENCE: Duration = Duration::from_secs(60);

/// Which server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Postgres,
    Mariadb,
}

impl Kind {
    /// Its name in file names and figures.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Postgres => "postgres",
            Self::Mariadb => "mariadb",
        }
    }
}

/// A server. It is killed when this is dropped; its folder stays for whoever wants to know why, unless it is
/// [removed](Self::remove).
#[derive(Debug)]
pub struct Server {
    kind: Kind,
    tools: Tools,
    folder: PathBuf,
    port: u16,
    /// Settings beyond those that every test has.
    settings: Vec<String>,
    running: Option<Child>,
    /// Ends the server where this process is killed and cannot.
    guard: Option<Child>,
}

impl Server {
    /// A new server with an empty database `shop`.
    ///
    /// # Errors
    /// Where its programs are missing and cannot be installed, or it does not start: nothing is skipped.
    pub async fn start(kind: Kind, settings: &[&str]) -> Result<Self> {
        let mut server = Self::new(kind, settings)?;
        server.make_data_folder()?;
        server.launch().await?;
        server.admin("").await?.execute_unprepared("CREATE DATABASE shop").await?;
        Ok(server)
    }

    fn new(kind: Kind, settings: &[&str]) -> Result<Self> {
        let tools = Tools::of(kind)?;
        // The port is free now; the folder's name is a promise to nobody else.
        let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let folder = tools.home.join(format!("{}-{port}", std::process::id()));
        tools.make_folder(&folder)?;
        let settings = settings.iter().map(|&setting| setting.to_owned()).collect();
        Ok(Self { kind, tools, folder, port, settings, running: None, guard: None })
    }

    fn make_data_folder(&self) -> Result<()> {
        let mut command = match self.kind {
            Kind::Postgres => postgres::make_data_folder(self),
            Kind::Mariadb => mariadb::make_data_folder(self),
        };
        run(&mut command)
    }

    /// Starts it on the data that is there, and waits until it answers.
    ///
    /// # Errors
    /// Where it does not come up.
    pub async fn launch(&mut self) -> Result<()> {
        let mut command = match self.kind {
            Kind::Postgres => postgres::launch(self),
            Kind::Mariadb => mariadb::launch(self),
        };
        let log = fs::File::options().create(true).append(true).open(self.log())?;
        command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        let child = command.spawn().with_context(|| format!("start {}", command.get_program().display()))?;
        self.guard = Some(guard(child.id(), &self.folder)?);
        self.running = Some(child);
        let end = Instant::now() + PATIENCE;
        loop {
            match self.admin("").await {
                Ok(_) => return Ok(()),
                Err(error) if Instant::now() > end => {
                    return Err(error).with_context(|| {
                        format!("{:?} did not come up; see {}", self.kind, self.log().display())
                    });
                }
                Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
            }
        }
    }

    /// Kills every process of the server with SIGKILL, as a crash of its machine would, less the loss of what the
    /// system had not yet written.
    ///
    /// # Errors
    /// Where it had ended by itself.
    pub fn kill(&mut self) -> Result<()> {
        let Some(mut child) = self.running.take() else { bail!("the server does not run") };
        if let Some(status) = child.try_wait()? {
            bail!("the server had ended by itself ({status}); see {}", self.log().display());
        }
        // Stopped, the first process starts no others while they are listed.
        let parent = child.id().to_string();
        signal("STOP", std::slice::from_ref(&parent))?;
        let children = children_of(child.id())?;
        signal("KILL", &[vec![parent], children.clone()].concat())?;
        child.wait()?;
        // The data folder is free again only when all of them are gone.
        let end = Instant::now() + PATIENCE;
        while children.iter().any(|pid| Path::new("/proc").join(pid).join("exe").read_link().is_ok()) {
            if Instant::now() > end {
                bail!("processes of the server outlive SIGKILL");
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        self.end_guard();
        Ok(())
    }

    /// Ends the connections of everybody else to a database; gives how many.
    ///
    /// # Errors
    /// Where the server is away.
    pub async fn cut_connections(&self, database: &str) -> Result<usize> {
        let admin = self.admin("").await?;
        match self.kind {
            Kind::Postgres => postgres::cut_connections(&admin, database).await,
            Kind::Mariadb => mariadb::cut_connections(&admin, database).await,
        }
    }

    /// Has everything that was committed so far written, also where the settings put that off.
    ///
    /// # Errors
    /// Where the server is away.
    pub async fn flush(&self) -> Result<()> {
        let flush = match self.kind {
            Kind::Postgres => "CHECKPOINT",
            Kind::Mariadb => "FLUSH LOGS",
        };
        self.admin("").await?.execute_unprepared(flush).await?;
        Ok(())
    }

    /// A connection of the test's own; an empty name is the server's own database.
    ///
    /// # Errors
    /// Where the server is away.
    pub async fn admin(&self, database: &str) -> Result<DatabaseConnection> {
        let mut options = ConnectOptions::new(self.url(database));
        options.max_connections(2).sqlx_logging(false).connect_timeout(Duration::from_secs(10));
        Ok(Database::connect(options).await?)
    }

    /// The URL of a database; an empty name is the server's own database.
    #[must_use]
    pub fn url(&self, database: &str) -> String {
        let port = self.port;
        match (self.kind, database) {
            (Kind::Postgres, "") => format!("postgres://postgres@127.0.0.1:{port}/postgres"),
            (Kind::Postgres, _) => format!("postgres://postgres@127.0.0.1:{port}/{database}"),
            (Kind::Mariadb, "") => format!("mysql://root@127.0.0.1:{port}/mysql"),
            (Kind::Mariadb, _) => format!("mysql://root@127.0.0.1:{port}/{database}"),
        }
    }

    /// A program of the server's package, run as the server's user and with its connection settings.
    #[must_use]
    pub fn program(&self, name: &str) -> Command {
        match self.kind {
            Kind::Postgres => postgres::program(self, name),
            Kind::Mariadb => mariadb::program(self, name),
        }
    }

    /// Which server it is.
    #[must_use]
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// Where it listens on loopback.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// A folder that its programs may write in.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Ends a run that went well: kills the server, unless it was killed before, and removes its folder.
    ///
    /// # Errors
    /// Where the server had ended by itself.
    pub fn remove(mut self) -> Result<()> {
        if self.running.is_some() {
            self.kill()?;
        }
        Ok(fs::remove_dir_all(&self.folder)?)
    }

    fn data(&self) -> PathBuf {
        self.folder.join("data")
    }

    fn log(&self) -> PathBuf {
        self.folder.join("server.log")
    }

    fn end_guard(&mut self) {
        if let Some(mut guard) = self.guard.take() {
            let _ = guard.kill();
            let _ = guard.wait();
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if self.running.is_some() {
            let _ = self.kill();
        }
        self.end_guard();
        // A server that is killed leaves it behind.
        let _ = fs::remove_file(mariadb::socket(self));
        if self.folder.exists() {
            eprintln!("what is left of the run: {}", self.folder.display());
        }
    }
}

/// Runs a program to its end.
///
/// # Errors
/// What it said, where it did not end well.
pub fn run(command: &mut Command) -> Result<()> {
    let output = command.stdin(Stdio::null()).output();
    let output = output.with_context(|| format!("run {}", command.get_program().display()))?;
    if !output.status.success() {
        bail!(
            "{} {}: {}",
            command.get_program().display(),
            output.status,
            String::from_utf8_lossy(&output.stderr)
        );
    }
    Ok(())
}
