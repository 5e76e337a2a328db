//! What `tests/servers/*` knows of a server's programs: where they are, who may run them, and how they are installed.

use std::{
    fs,
    os::unix::{fs::chown, process::CommandExt as _},
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context as _, Result, ensure};

use super::Kind;

/// The programs of a server.
#[derive(Debug)]
pub struct Tools {
    /// PostgreSQL: the folder with its programs; MariaDB: the server itself.
    pub(super) programs: PathBuf,
    /// A folder that the server's user may write in.
    pub(super) home: PathBuf,
    /// Whom the server runs as.
    pub(super) user_name: String,
    /// Set where that is not the user that runs the test.
    user: Option<(u32, u32)>,
}

impl Tools {
    /// Finds them, and installs them where they are missing.
    ///
    /// # Errors
    /// Where they cannot be had.
    pub fn of(kind: Kind) -> Result<Self> {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../servers").join(kind.name());
        let output =
            Command::new(&script).arg("tools").stdin(Stdio::null()).stderr(Stdio::inherit()).output();
        let output = output.with_context(|| format!("run {}", script.display()))?;
        ensure!(output.status.success(), "{} tools: see what it said above", script.display());
        let printed = String::from_utf8(output.stdout)?;
        let [programs, user_name, home] = printed.lines().collect::<Vec<_>>()[..] else {
            anyhow::bail!("expected three lines of {} tools, found {printed:?}", script.display())
        };
        let user = if user_name == id(&["-un"])? {
            None
        } else {
            Some((id(&["-u", user_name])?.parse()?, id(&["-g", user_name])?.parse()?))
        };
        Ok(Self { programs: programs.into(), home: home.into(), user_name: user_name.to_owned(), user })
    }

    /// A command that runs as the server's user.
    pub(super) fn command(&self, program: impl AsRef<Path>) -> Command {
        let mut command = Command::new(program.as_ref());
        if let Some((user, group)) = self.user {
            // It may not be allowed where the test stands.
            command.uid(user).gid(group).current_dir("/");
        }
        command
    }

    /// Makes a folder that the server's user owns.
    pub(super) fn make_folder(&self, folder: &Path) -> Result<()> {
        fs::create_dir_all(folder)?;
        if let Some((user, group)) = self.user {
            chown(folder, Some(user), Some(group))?;
        }
        Ok(())
    }
}

fn id(arguments: &[&str]) -> Result<String> {
    let output = Command::new("id").args(arguments).output().context("run id")?;
    ensure!(output.status.success(), "id {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    Ok(String::from_utf8(output.stdout)?.trim().to_owned())
}
