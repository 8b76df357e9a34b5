//! A server under measurement, or one that a server under measurement needs.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::Duration;

use anyhow::{Context, Result, bail};

use super::http::{Address, Connection};

/// A running server that a benchmark has started. Stopped on drop.
#[derive(Debug)]
pub(crate) struct Service {
    child: Child,
}

/// How a [`Service`] is started.
#[derive(Clone, Debug)]
pub(crate) struct Program<'a> {
    /// Its name, which is its folder's name too.
    pub(crate) name: &'a str,
    /// Program and words.
    pub(crate) words: Vec<String>,
    /// Its environment; nothing else is in it but `PATH` and `HOME`.
    pub(crate) environment: Vec<(&'a str, String)>,
    /// How many cores it may use, unless all.
    pub(crate) cores: Option<usize>,
}

impl Service {
    /// Starts it in `folder` and waits until it accepts a connection at `address`.
    ///
    /// Its standard output goes to `/dev/null`: there an audit log costs its writing, and nobody's reading.
    ///
    /// # Errors
    /// When it cannot be started, or ends at once; the error holds what it said.
    pub(crate) fn start(program: &Program<'_>, folder: &Path, address: &Address) -> Result<Self> {
        let log = folder.join("log");
        // It ends when this program does, and has files enough for every connection.
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
                bail!("{} ended, {status}: {}", program.name, said(&log));
            }
            if Connection::open(address).is_ok() {
                return Ok(service);
            }
            sleep(PAUSE);
        }
        bail!(
            "{} does not listen at {address}: {}",
            program.name,
            said(&log)
        );
    }

    /// The number of its first process.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        // It takes its children along only when it is asked to end.
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

/// The words before a command that keep it on the first `cores` cores.
pub(crate) fn pinned(cores: Option<usize>) -> Vec<String> {
    let words = cores.map(|cores| format!("taskset -c 0-{}", cores - 1));
    let words = words.iter().flat_map(|words| words.split(' '));
    words.map(str::to_owned).collect()
}

/// The end of what it wrote to its standard error.
fn said(log: &PathBuf) -> String {
    let text = fs::read_to_string(log).unwrap_or_default();
    let lines: Vec<_> = text.lines().collect();
    lines[lines.len().saturating_sub(20)..].join("\n")
}

/// Servers live in `sbin`.
const PATH: &str = "/usr/local/bin:/usr/bin:/bin:/usr/local/sbin:/usr/sbin:/sbin";

/// Together 15 seconds: far above what any of them needs.
const ATTEMPTS: u32 = 750;
const PAUSE: Duration = Duration::from_millis(20);
