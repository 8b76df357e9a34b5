//! The `sessiongate` binary under test.

mod address;

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::os::fd::OwnedFd;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Command, ExitStatus, Stdio};
use std::sync::Arc;

use anyhow::{Context, Result, bail};
use serde_json::Value;

pub use self::address::DecisionListener;
use self::address::bound_address;
use crate::TIMEOUT;
use crate::client::{Client, Request, Response};
use crate::process::{Lines, Process, command_with_death_signal, is_root};

/// A running gate, with its listeners on free loopback ports. Killed on drop.
#[derive(Debug)]
pub struct Gate {
    process: Process,
    /// The address of the proxy; `127.0.0.1:0`, where nothing can listen, if there are no services.
    pub proxy: SocketAddr,
    /// The listener for calling proxies, if it is configured.
    pub decisions: Option<DecisionListener>,
    /// The address of the admin listener.
    pub admin: SocketAddr,
}

/// How a [`Gate`] is started: the program, its arguments, and its whole environment.
#[derive(Clone, Debug)]
pub struct GateCommand {
    binary: PathBuf,
    words: Vec<String>,
    environment: Vec<(String, String)>,
    is_unprivileged: bool,
    /// The socket at file descriptor 3.
    socket: Option<Arc<TcpListener>>,
    has_successors: bool,
}

/// The exit status and the output of a gate that has ended.
#[derive(Debug)]
pub struct Finished {
    /// Its exit status.
    pub status: ExitStatus,
    /// Its standard output.
    pub stdout: String,
    /// Its standard error.
    pub stderr: String,
}

impl Gate {
    /// Returns a command for the binary at `binary` (`env!("CARGO_BIN_EXE_sessiongate")` in the server's own tests), with
    /// `LISTEN` and `ADMIN_LISTEN` on free loopback ports.
    pub fn command(binary: impl Into<PathBuf>) -> GateCommand {
        GateCommand {
            binary: binary.into(),
            words: vec!["serve".to_owned()],
            environment: Vec::new(),
            is_unprivileged: false,
            socket: None,
            has_successors: false,
        }
        .env("LISTEN", "127.0.0.1:0")
        .env("ADMIN_LISTEN", "127.0.0.1:0")
    }

    /// Opens a new connection to the proxy.
    ///
    /// # Errors
    /// When the proxy does not accept it.
    pub async fn connect(&self) -> Result<Client> {
        Client::connect(self.proxy).await
    }

    /// Returns the TCP address of its decisions listener.
    ///
    /// # Errors
    /// When it has no such listener, or a Unix socket instead.
    pub fn decisions_port(&self) -> Result<SocketAddr> {
        match &self.decisions {
            Some(DecisionListener::Tcp(address)) => Ok(*address),
            other => bail!("the decisions listener is {other:?}, not a TCP port"),
        }
    }

    /// Waits for the address of another listener than those that every gate has; the log calls it `name`, such as `redirect`.
    ///
    /// # Errors
    /// When the gate does not log it.
    pub async fn listener(&self, name: &str) -> Result<SocketAddr> {
        let line = self
            .process
            .stderr
            .wait_for(|line| bound_address(line, name));
        Ok(line.await?.parse()?)
    }

    /// Sends one request to the proxy over a new connection.
    ///
    /// # Errors
    /// When the connection breaks or the answer is not strict HTTP/1.1.
    pub async fn send(&self, request: &Request) -> Result<Response> {
        self.connect().await?.send(request).await
    }

    /// Sends `GET target` to the admin listener.
    ///
    /// # Errors
    /// When the connection breaks or the answer is not strict HTTP/1.1.
    pub async fn admin(&self, target: &str) -> Result<Response> {
        Client::connect(self.admin).await?.get(target).await
    }

    /// Returns the value of the first sample in `/metrics` whose line starts with `name` and holds every one of `labels`
    /// (`reason="expired"`); 0 when there is none.
    ///
    /// # Errors
    /// When the listener does not answer, or the value is not a number.
    pub async fn metric<const N: usize>(&self, name: &str, labels: [&str; N]) -> Result<f64> {
        let text = self.admin("/metrics").await?.text();
        let sample = text.lines().find(|line| {
            let rest = line.strip_prefix(name);
            rest.is_some_and(|rest| rest.starts_with(['{', ' ']))
                && labels.iter().all(|label| line.contains(label))
        });
        match sample.and_then(|line| line.rsplit_once(' ')) {
            Some((_, value)) => Ok(value.parse()?),
            None => Ok(0.0),
        }
    }

    /// Returns the audit lines so far: every line of standard output that is a JSON object.
    pub fn audit_lines(&self) -> Vec<Value> {
        self.process
            .stdout
            .all()
            .iter()
            .filter_map(|line| audit_line(line))
            .collect()
    }

    /// Waits for an audit line for which `wanted` returns true.
    ///
    /// # Errors
    /// When none comes; the message holds the lines that came.
    pub async fn wait_for_audit(&self, mut wanted: impl FnMut(&Value) -> bool) -> Result<Value> {
        self.process
            .stdout
            .wait_for(|line| audit_line(line).filter(&mut wanted))
            .await
    }

    /// Its standard output.
    pub fn stdout(&self) -> Lines {
        self.process.stdout.clone()
    }

    /// Its standard error.
    pub fn stderr(&self) -> Lines {
        self.process.stderr.clone()
    }

    /// The id of its process.
    pub fn id(&self) -> u32 {
        self.process.id()
    }

    /// Sends it the signal called `name`, such as `TERM`, `INT` or `HUP`.
    ///
    /// # Errors
    /// When the gate has already ended.
    pub fn signal(&self, name: &str) -> Result<()> {
        self.process.signal(name)
    }

    /// Sends the signal called `name` to a process that has taken over from the gate.
    ///
    /// # Errors
    /// When that process has already ended.
    pub async fn signal_successor(&self, process: u64, name: &str) -> Result<()> {
        let mut kill = Command::new("kill");
        kill.args(["-s", name, &process.to_string()]);
        crate::run(kill, "procps").await.map(drop)
    }

    /// Whether it is still running.
    pub fn running(&mut self) -> bool {
        self.process.running()
    }

    /// Waits until it has ended by itself.
    ///
    /// # Errors
    /// When it is still running after [`TIMEOUT`].
    pub async fn wait(&mut self) -> Result<ExitStatus> {
        self.process
            .wait()
            .await
            .with_context(|| format!("the gate is still running after {TIMEOUT:?}"))
    }
}

impl GateCommand {
    /// Sets an environment variable, in place of an earlier value.
    #[must_use]
    pub fn env(mut self, name: &str, value: impl Into<String>) -> Self {
        self.environment.retain(|(key, _)| key != name);
        self.environment.push((name.to_owned(), value.into()));
        self
    }

    /// Sets several environment variables.
    #[must_use]
    pub fn envs<'a>(self, pairs: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        pairs
            .into_iter()
            .fold(self, |command, (name, value)| command.env(name, value))
    }

    /// Unsets an environment variable.
    #[must_use]
    pub fn without(mut self, name: &str) -> Self {
        self.environment.retain(|(key, _)| key != name);
        self
    }

    /// Sets the words of the command line, such as `demo`, in place of `serve`.
    #[must_use]
    pub fn args<'a>(mut self, words: impl IntoIterator<Item = &'a str>) -> Self {
        self.words = words.into_iter().map(str::to_owned).collect();
        self
    }

    /// Makes file permissions apply to it, even where the tests run as root.
    #[must_use]
    pub fn unprivileged(mut self) -> Self {
        self.is_unprivileged = true;
        self
    }

    /// Starts the program at another path.
    #[must_use]
    pub fn at(mut self, binary: impl Into<PathBuf>) -> Self {
        self.binary = binary.into();
        self
    }

    /// Lets other processes take over from it; they end with it when it is dropped.
    #[must_use]
    pub fn with_successors(mut self) -> Self {
        self.has_successors = true;
        self
    }

    /// Passes it a socket that the caller keeps, as systemd does, under this name.
    #[must_use]
    pub fn passing(self, socket: &Arc<TcpListener>, name: &str) -> Self {
        Self {
            socket: Some(Arc::clone(socket)),
            ..self.env("LISTEN_FDS", "1").env("LISTEN_FDNAMES", name)
        }
    }

    /// Starts it and waits until every listener that these settings call for has logged its address: the proxy's, unless
    /// `AUTH_LISTEN` is set and `UPSTREAM` is not; that of decisions with `AUTH_LISTEN`; and the admin's.
    ///
    /// # Errors
    /// When it ends before, or does not log an address within [`TIMEOUT`]; the message holds what it printed.
    pub async fn start(self) -> Result<Gate> {
        let process = self.spawn()?;
        let listener = async |name: &str| {
            process
                .stderr
                .wait_for(|line| bound_address(line, name))
                .await
        };
        let decides = self.has("AUTH_LISTEN");
        let proxy = match !decides || self.has("UPSTREAM") {
            true => listener("proxy").await?.parse()?,
            false => (Ipv4Addr::LOCALHOST, 0).into(),
        };
        let decisions = match decides {
            true => Some(listener("decisions").await?.parse()?),
            false => None,
        };
        let admin = listener("admin").await?.parse()?;
        Ok(Gate {
            process,
            proxy,
            decisions,
            admin,
        })
    }

    fn has(&self, name: &str) -> bool {
        self.environment.iter().any(|(key, _)| key == name)
    }

    /// Runs it to its end.
    ///
    /// # Errors
    /// When it has not ended after [`TIMEOUT`].
    pub async fn run(self) -> Result<Finished> {
        let mut process = self.spawn()?;
        let status = process.wait().await?;
        let text = |lines: &Lines| lines.all().join("\n");
        Ok(Finished {
            status,
            stdout: text(&process.stdout),
            stderr: text(&process.stderr),
        })
    }

    fn spawn(&self) -> Result<Process> {
        let mut command = match self.is_unprivileged && is_root() {
            true => {
                let mut command = command_with_death_signal("setpriv", "util-linux", None)?;
                command.args(["--bounding-set=-all", "--inh-caps=-all", "--"]);
                command.arg(&self.binary);
                command
            }
            false => command_with_death_signal(&self.binary, "cargo", None)?,
        };
        if let Some(socket) = &self.socket {
            command = command_with_death_signal("sh", "dash", None)?;
            command.args(["-c", AS_SYSTEMD]).arg(&self.binary);
            command.stdin(OwnedFd::from(socket.try_clone()?));
        } else {
            command.stdin(Stdio::null());
        }
        command
            .args(&self.words)
            .env_clear()
            .envs(self.environment.iter().map(|(name, value)| (name, value)));
        if self.has_successors {
            command.process_group(0);
        }
        let process = Process::spawn_reading(&mut command, "util-linux")?;
        Ok(match self.has_successors {
            true => process.into_group_leader(),
            false => process,
        })
    }
}

/// The socket arrives as the standard input. The shell knows its own process id, which stays the same when it executes the gate.
const AS_SYSTEMD: &str = r#"export LISTEN_PID=$$; exec "$0" "$@" 3<&0 0</dev/null"#;

fn audit_line(line: &str) -> Option<Value> {
    serde_json::from_str(line).ok().filter(Value::is_object)
}
