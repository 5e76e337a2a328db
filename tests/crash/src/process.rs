//! A process of the test's own: killed, frozen, and gone when the test is, also where it panics.
//!
//! Signals are sent by `kill` with the number of a child that was not waited for yet, so they reach nobody else.

use std::{
    fs::File,
    io::Read as _,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};

/// A child with its standard error in a file. It ends by itself when its standard input is closed.
#[derive(Debug)]
pub struct Process {
    child: Child,
    log: PathBuf,
    /// What will thaw it.
    thaw: Option<Child>,
}

impl Process {
    /// Starts it; what it tells is added to `log`.
    ///
    /// # Errors
    /// Where it cannot be started.
    pub fn start(command: &mut Command, log: &Path) -> Result<Self> {
        let told = File::options().create(true).append(true).open(log)?;
        let child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(told).spawn();
        let child = child.with_context(|| format!("start {}", command.get_program().display()))?;
        Ok(Self { child, log: log.to_owned(), thaw: None })
    }

    /// Its number.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// SIGKILL, and waits for its end.
    ///
    /// # Errors
    /// Where it had ended by itself: a process under test that gives up is a failure.
    pub fn kill(&mut self) -> Result<()> {
        self.forget_thaw();
        let ended = self.child.try_wait()?;
        self.child.kill()?;
        self.child.wait()?;
        ensure!(ended.is_none(), "a process had ended by itself ({ended:?}); see {}", self.log.display());
        Ok(())
    }

    /// SIGSTOP; SIGCONT follows after `length`, whatever becomes of this process.
    ///
    /// # Errors
    /// Where it had ended by itself.
    pub fn freeze(&mut self, length: Duration) -> Result<()> {
        ensure!(self.is_running()?, "a process had ended by itself; see {}", self.log.display());
        let seconds = format!("{:.3}", length.as_secs_f64());
        let mut thaw = Command::new("sh");
        thaw.args(["-c", "kill -STOP $0 && sleep $1; kill -CONT $0", &self.pid().to_string(), &seconds]);
        self.thaw = Some(thaw.spawn().context("freeze a process")?);
        Ok(())
    }

    /// Whether it is frozen.
    ///
    /// # Errors
    /// What the system says.
    pub fn is_frozen(&mut self) -> Result<bool> {
        let Some(thaw) = &mut self.thaw else { return Ok(false) };
        Ok(thaw.try_wait()?.is_none())
    }

    /// Nobody signals a number that is another's by then.
    fn forget_thaw(&mut self) {
        if let Some(mut thaw) = self.thaw.take() {
            let _ = thaw.kill();
            let _ = thaw.wait();
        }
    }

    /// Whether it still runs.
    ///
    /// # Errors
    /// What the system says.
    pub fn is_running(&mut self) -> Result<bool> {
        Ok(self.child.try_wait()?.is_none())
    }

    /// Asks it to end, by the end of its input, and gives what it printed.
    ///
    /// # Errors
    /// Where it does not end in time or not well.
    pub fn stop(mut self, deadline: Duration) -> Result<String> {
        drop(self.child.stdin.take());
        let end = Instant::now() + deadline;
        let status: ExitStatus = loop {
            if let Some(status) = self.child.try_wait()? {
                break status;
            }
            ensure!(Instant::now() < end, "a process did not stop; see {}", self.log.display());
            std::thread::sleep(Duration::from_millis(20));
        };
        ensure!(status.success(), "a process ended with {status}; see {}", self.log.display());
        let mut printed = String::new();
        self.child.stdout.take().context("its output was taken")?.read_to_string(&mut printed)?;
        Ok(printed)
    }

    /// What it has told so far, and those before it that wrote to the same file.
    ///
    /// # Errors
    /// Where the file cannot be read.
    pub fn told(&self) -> Result<String> {
        Ok(std::fs::read_to_string(&self.log)?)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.forget_thaw();
        // A child that was waited for is not signalled: its number may be another's.
        if matches!(self.child.try_wait(), Ok(None)) {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}
