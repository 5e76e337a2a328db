//! The processes of a server, as the system lists them.

use std::{
    fs,
    path::Path,
    process::{Child, Command, Stdio},
};

use anyhow::{Context as _, Result};

/// Waits for the end of its input, which is the end of this process, and then kills the server. Both servers name
/// their data folder on the command line: a number that is another's by then is left alone.
pub(super) fn guard(pid: u32, folder: &Path) -> Result<Child> {
    let script =
        r#"cat >/dev/null; if grep -q -- "$1" "/proc/$0/cmdline" 2>/dev/null; then kill -QUIT "$0"; fi"#;
    let mut command = Command::new("sh");
    command.args(["-c", script, &pid.to_string()]).arg(folder);
    Ok(command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()).spawn()?)
}

pub(super) fn signal(name: &str, pids: &[String]) -> Result<()> {
    // Some may end by themselves meanwhile; whether all are gone is looked at by the caller.
    Command::new("kill")
        .arg(format!("-{name}"))
        .args(pids)
        .stderr(Stdio::null())
        .status()
        .context("send a signal")?;
    Ok(())
}

/// The numbers of the processes that this one started.
pub(super) fn children_of(parent: u32) -> Result<Vec<String>> {
    let mut children = Vec::new();
    for process in fs::read_dir("/proc")? {
        let process = process?;
        let Ok(stat) = fs::read_to_string(process.path().join("stat")) else { continue };
        // The name stands in brackets and may hold anything; the parent is the second field behind it.
        let behind = stat.rsplit_once(')').map_or("", |(_, behind)| behind);
        if behind.split_whitespace().nth(1) == Some(parent.to_string().as_str()) {
            children.push(process.file_name().to_string_lossy().into_owned());
        }
    }
    Ok(children)
}
