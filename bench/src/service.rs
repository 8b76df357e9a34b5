//! Starting and stopping the servers under measurement, and those that they need.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::Duration;

use anyhow::{Context, Result, bail};

use super::http::{Address, Connection};

/// A running server that a benchmark has started. Dropping it stops the server.
#[derive(Debug)]
pub(crate) struct Service {
    child: Child,
}

/// How a [`Service`] is started.
#[derive(Clone, Debug)]
pub(crate) struct Program<'a> {
    /// Its name, also used for its folder.
    pub(crate) name: &'a str,
    /// The program and its arguments.
    pub(crate) words: Vec<String>,
    /// Its environment; only `PATH` and `HOME` are added to it.
    pub(crate) environment: Vec<(&'a str, String)>,
    /// The number of cores it may use; all if `None`.
    pub(crate) cores: Option<usize>,
}

impl Service {
    /// Starts the program in `folder` and waits until it accepts a connection at `address`.
    ///
    /// Its standard output goes to `/dev/null`: an audit log then costs its writing but no reader.
    ///
    /// # Errors
    /// When the program cannot be started, ends at once, or does not listen; the error holds the end of its standard error.
    pub(crate) fn start(program: &Program<'_>, folder: &Path, address: &Address) -> Result<Self> {
        let log = folder.join("log");
        // The program ends when this one does, and may open enough files for every connection.
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "TERM", "prlimit", "--nofile=16384:"]);
        let child = command
            .args(pinned(program.cores))
            .args(&program.words)
            .current_dir(folder)
            .env_clear()
            .env("PATH", PATH)
            .env("HOME", folder)
            .envs(
                program
                    .environment
                    .iter()
                    .map(|(name, value)| (name, value)),
            )
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(File::create(&log)?)
            .spawn()
            .with_context(|| format!("cannot start {}", program.name))?;
        let mut service = Self { child };
        for _ in 0..ATTEMPTS {
            if let Some(status) = service.child.try_wait()? {
                bail!("{} ended, {status}: {}", program.name, log_end(&log));
            }
            if Connection::open(address).is_ok() {
                return Ok(service);
            }
            sleep(PAUSE);
        }
        bail!(
            "{} does not listen at {address}: {}",
            program.name,
            log_end(&log)
        );
    }

    /// Returns the id of its first process.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        // Its children end with it only after SIGTERM, not after SIGKILL.
        let _ = Command::new("kill")
            .arg(self.id().to_string())
            .stderr(Stdio::null())
            .status();
        for _ in 0..ATTEMPTS {
            if !matches!(self.child.try_wait(), Ok(None)) {
                return;
            }
            sleep(PAUSE);
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Returns the words before a command that pin it to the first `cores` cores.
pub(crate) fn pinned(cores: Option<usize>) -> Vec<String> {
    let words = cores.map(|cores| format!("taskset -c 0-{}", cores - 1));
    let words = words.iter().flat_map(|words| words.split(' '));
    words.map(str::to_owned).collect()
}

/// Returns the last lines of its standard error.
fn log_end(log: &PathBuf) -> String {
    let text = fs::read_to_string(log).unwrap_or_default();
    let lines: Vec<_> = text.lines().collect();
    lines[lines.len().saturating_sub(20)..].join("\n")
}

/// The search path, with `sbin`, where servers are installed.
const PATH: &str = "/usr/local/bin:/usr/bin:/bin:/usr/local/sbin:/usr/sbin:/sbin";

/// How often to check; with [`PAUSE`], 15 seconds in all: far longer than any server needs.
const ATTEMPTS: u32 = 750;
const PAUSE: Duration = Duration::from_millis(20);
