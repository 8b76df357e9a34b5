//! A child process whose output is read line by line, and that never outlives its owner.

use std::io::{BufRead, BufReader, Read};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail, ensure};
use tokio::sync::watch;
use tokio::time::timeout;

use crate::TIMEOUT;

/// A running program, killed and reaped on drop.
#[derive(Debug)]
pub(crate) struct Process {
    name: String,
    child: Child,
    /// Whether it leads a group of processes that ends with it.
    leads_group: bool,
    /// Every line of its standard output so far.
    pub(crate) stdout: Lines,
    /// Every line of its standard error so far.
    pub(crate) stderr: Lines,
}

impl Process {
    /// Starts `command`. `package` is the package to install when the program is missing.
    ///
    /// # Errors
    /// When the program cannot be started; the message names the package.
    pub(crate) fn spawn(command: &mut Command, package: &str) -> Result<Self> {
        Self::spawn_reading(command.stdin(Stdio::null()), package)
    }

    /// Starts `command` with the standard input that it already has.
    ///
    /// # Errors
    /// When the program cannot be started; the message names the package.
    pub(crate) fn spawn_reading(command: &mut Command, package: &str) -> Result<Self> {
        let name = command.get_program().to_string_lossy().into_owned();
        let mut child = command
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .with_context(|| missing(&name, package))?;
        let stdout = Lines::read(child.stdout.take().expect("stdout is piped"));
        let stderr = Lines::read(child.stderr.take().expect("stderr is piped"));
        Ok(Self {
            name,
            child,
            leads_group: false,
            stdout,
            stderr,
        })
    }

    /// Starts `command` for a server with worker processes, which would otherwise outlive the server when it is killed.
    ///
    /// # Errors
    /// When the program cannot be started; the message names the package.
    pub(crate) fn spawn_with_workers(command: &mut Command, package: &str) -> Result<Self> {
        let mut process = Self::spawn(command.process_group(0), package)?;
        process.leads_group = true;
        Ok(process)
    }

    /// Makes everything that it starts end with it. The command must lead a process group.
    pub(crate) fn into_group_leader(mut self) -> Self {
        self.leads_group = true;
        self
    }

    /// Sends the signal called `name` (`TERM`, `QUIT`, `STOP`).
    pub(crate) fn signal(&self, name: &str) -> Result<()> {
        let status = Command::new("kill")
            .args(["-s", name, &self.child.id().to_string()])
            .stderr(Stdio::null())
            .status()
            .with_context(|| missing("kill", "procps"))?;
        ensure!(status.success(), "{} is not running any more", self.name);
        Ok(())
    }

    /// Waits until the program has ended: first for the end of its output, which is an event, then for its status.
    pub(crate) async fn wait(&mut self) -> Result<ExitStatus> {
        self.stdout.ended().await?;
        self.stderr.ended().await?;
        Ok(self.child.wait()?)
    }

    /// Whether the program is still running.
    pub(crate) fn running(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// The id of the process.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Returns what the program has printed, for an error message.
    pub(crate) fn transcript(&self) -> String {
        let mut lines = self.stdout.all();
        lines.extend(self.stderr.all());
        lines.join("\n")
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // These calls fail only when the program has already ended, which is their purpose.
        if self.leads_group {
            let group = format!("-{}", self.child.id());
            let mut kill = Command::new("kill");
            let _ = kill
                .args(["-s", "KILL", "--", &group])
                .stderr(Stdio::null())
                .status();
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The lines a program has printed so far, and those to come.
#[derive(Clone, Debug)]
pub struct Lines {
    transcript: watch::Receiver<Transcript>,
    reading: Arc<(Mutex<Reading>, Condvar)>,
}

/// What the reader of an output does after it has read a line.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Reading {
    #[default]
    Active,
    Stalled,
    Stopped,
}

#[derive(Debug, Default)]
struct Transcript {
    lines: Vec<String>,
    ended: bool,
}

impl Lines {
    fn read(output: impl Read + Send + 'static) -> Self {
        let (sender, receiver) = watch::channel(Transcript::default());
        let reading: Arc<(Mutex<Reading>, Condvar)> = Arc::default();
        let shared = Arc::clone(&reading);
        std::thread::spawn(move || {
            let mut output = BufReader::new(output);
            let mut line = Vec::new();
            while may_read(&shared)
                && output
                    .read_until(b'\n', &mut line)
                    .is_ok_and(|length| length > 0)
            {
                let text = String::from_utf8_lossy(&line)
                    .trim_end_matches(['\n', '\r'])
                    .to_owned();
                sender.send_modify(|transcript| transcript.lines.push(text));
                line.clear();
            }
            drop(output);
            sender.send_modify(|transcript| transcript.ended = true);
        });
        Self {
            transcript: receiver,
            reading,
        }
    }

    /// Stops reading after the next line, until [`resume`](Self::resume), so that the program's output fills up.
    pub fn stall(&self) {
        self.set_reading(Reading::Stalled);
    }

    /// Reads on after [`stall`](Self::stall).
    pub fn resume(&self) {
        self.set_reading(Reading::Active);
    }

    /// Closes the output after the next line, so that later writes of the program fail.
    pub fn close(&self) {
        self.set_reading(Reading::Stopped);
    }

    fn set_reading(&self, state: Reading) {
        let (reading, changed) = &*self.reading;
        *reading.lock().expect("the reader does not panic") = state;
        changed.notify_all();
    }

    /// Returns all lines so far.
    pub fn all(&self) -> Vec<String> {
        self.transcript.borrow().lines.clone()
    }

    /// Waits for the first line, printed already or not, for which `wanted` returns a value.
    ///
    /// # Errors
    /// When the output ends, or [`TIMEOUT`] runs out, without such a line; the message holds the lines seen.
    pub async fn wait_for<T>(&self, mut wanted: impl FnMut(&str) -> Option<T>) -> Result<T> {
        let mut receiver = self.transcript.clone();
        let mut read = 0;
        let search = async {
            loop {
                {
                    let transcript = receiver.borrow_and_update();
                    for line in &transcript.lines[read..] {
                        if let Some(found) = wanted(line) {
                            return Ok(found);
                        }
                    }
                    read = transcript.lines.len();
                    if transcript.ended {
                        bail!("the output ended");
                    }
                }
                receiver
                    .changed()
                    .await
                    .map_err(|_| anyhow!("the output ended"))?;
            }
        };
        match timeout(TIMEOUT, search).await {
            Ok(found) => found,
            Err(_) => Err(anyhow!("waited for {TIMEOUT:?}")),
        }
        .with_context(|| {
            format!(
                "the expected line did not appear; output so far:\n{}",
                self.all().join("\n")
            )
        })
    }

    /// Waits until the program has closed this output.
    ///
    /// # Errors
    /// When that takes longer than [`TIMEOUT`].
    pub async fn ended(&self) -> Result<()> {
        let mut receiver = self.transcript.clone();
        timeout(TIMEOUT, receiver.wait_for(|transcript| transcript.ended))
            .await
            .with_context(|| {
                format!(
                    "still running after {TIMEOUT:?}; output so far:\n{}",
                    self.all().join("\n")
                )
            })?
            .map_err(|_| anyhow!("the thread that reads the output has ended"))?;
        Ok(())
    }
}

/// Waits while the reader is stalled. Returns false when it must stop.
fn may_read((reading, changed): &(Mutex<Reading>, Condvar)) -> bool {
    let reading = reading
        .lock()
        .expect("no thread panics while it holds the lock");
    let reading = changed.wait_while(reading, |reading| *reading == Reading::Stalled);
    *reading.expect("no thread panics while it holds the lock") == Reading::Active
}

/// Returns a command for `program` (a name, or a path), which the kernel kills when the thread that started it ends for any
/// reason. With `user`, which needs root, it runs as that user.
///
/// # Errors
/// When the program is not installed; the message names `package`.
pub(crate) fn command_with_death_signal(
    program: impl AsRef<Path>,
    package: &str,
    user: Option<&Account>,
) -> Result<Command> {
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "KILL"]);
    if let Some(Account { uid, gid }) = user {
        command.args([
            "--reuid",
            &uid.to_string(),
            "--regid",
            &gid.to_string(),
            "--clear-groups",
        ]);
    }
    let program = program.as_ref();
    // Servers live in `sbin`, which is not on every user's PATH. Joining an absolute path gives that path.
    let folders = ["/usr/local/bin", "/usr/bin", "/usr/sbin", "/bin", "/sbin"].map(Path::new);
    let found = folders
        .iter()
        .map(|folder| folder.join(program))
        .find(|path| path.exists());
    command
        .arg("--")
        .arg(found.with_context(|| missing(&program.to_string_lossy(), package))?);
    Ok(command)
}

/// An unprivileged account of this machine.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Account {
    pub(crate) uid: u32,
    pub(crate) gid: u32,
}

impl Account {
    /// Finds the account called `name` in `/etc/passwd`.
    pub(crate) fn named(name: &str) -> Option<Self> {
        let accounts = std::fs::read_to_string("/etc/passwd").ok()?;
        accounts.lines().find_map(|line| {
            let mut fields = line.split(':');
            (fields.next()? == name).then_some(())?;
            let uid = fields.nth(1)?.parse().ok()?;
            let gid = fields.next()?.parse().ok()?;
            Some(Self { uid, gid })
        })
    }
}

/// Whether this process is root.
pub fn is_root() -> bool {
    std::fs::read_to_string("/proc/self/status")
        .is_ok_and(|status| status.lines().any(|line| line.starts_with("Uid:\t0\t")))
}

/// Runs a command to its end on a separate thread and returns its standard output.
///
/// # Errors
/// When it cannot be started (the message names `package`) or fails (the message holds what it printed).
pub async fn run(mut command: Command, package: &str) -> Result<String> {
    let name = command.get_program().to_string_lossy().into_owned();
    let package = package.to_owned();
    tokio::task::spawn_blocking(move || {
        let output = command
            .stdin(Stdio::null())
            .output()
            .with_context(|| missing(&name, &package))?;
        let stdout = String::from_utf8_lossy(&output.stdout).into_owned();
        let stderr = String::from_utf8_lossy(&output.stderr);
        ensure!(
            output.status.success(),
            "{name} failed ({}): {stdout}{stderr}",
            output.status
        );
        Ok(stdout)
    })
    .await?
}

/// Calls `attempt` every 20 ms until it returns a value, for conditions that another program does not announce by an event.
///
/// # Errors
/// When [`TIMEOUT`] runs out; the message says `what` was awaited.
pub async fn poll<T>(what: &str, attempt: impl AsyncFnMut() -> Option<T>) -> Result<T> {
    poll_for(TIMEOUT, what, attempt).await
}

/// Calls `attempt` as [`poll`] does, with another timeout.
pub(crate) async fn poll_for<T>(
    limit: Duration,
    what: &str,
    mut attempt: impl AsyncFnMut() -> Option<T>,
) -> Result<T> {
    let repeat = async {
        loop {
            if let Some(value) = attempt().await {
                return value;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    timeout(limit, repeat)
        .await
        .with_context(|| format!("waited for {limit:?}: {what}"))
}

fn missing(program: &str, package: &str) -> String {
    format!("cannot start `{program}`; install it with: sudo apt-get install -y {package}")
}
