//! A real PostgreSQL server.

use std::os::unix::fs::chown;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use tempfile::TempDir;

use crate::cert::{CertificateKind, Certificates};
use crate::port::free_port;
use crate::process::{Account, Process, command_with_death_signal, is_root, run};
use crate::template::Template;

/// A PostgreSQL on a free loopback port, with a role `gate` that needs its password and a database `app`.
/// Stopped on drop.
#[derive(Debug)]
pub struct Postgres {
    // Before the folder: fields drop in order.
    process: Option<Process>,
    programs: PathBuf,
    /// PostgreSQL refuses to run as root: as root, this account runs it.
    account: Option<Account>,
    port: u16,
    certificates: Option<Certificates>,
    folder: TempDir,
}

/// How a [`Postgres`] is started.
#[derive(Clone, Copy, Debug, Default)]
pub struct PostgresOptions {
    tls: Option<CertificateKind>,
}

impl Postgres {
    /// The database in which [`Postgres::execute`] runs statements.
    pub const DATABASE: &'static str = "app";
    /// The role that owns the database.
    pub const USER: &'static str = "gate";
    /// The password of that role.
    pub const PASSWORD: &'static str = "postgres-password-of-the-harness";

    /// Starts PostgreSQL without TLS.
    ///
    /// # Errors
    /// When PostgreSQL is missing or does not come up.
    pub async fn start() -> Result<Self> {
        Self::options().start().await
    }

    /// Returns options with which to start a server.
    pub fn options() -> PostgresOptions {
        PostgresOptions::default()
    }

    /// The port on 127.0.0.1 on which it listens.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Returns `127.0.0.1:port`.
    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// Returns the URL `postgres://…` of `database`.
    pub fn url(&self, database: &str) -> String {
        self.url_through(&self.address(), database)
    }

    /// Returns the URL of `database` through a proxy at `address`.
    pub fn url_through(&self, address: &str, database: &str) -> String {
        format!(
            "postgres://{}:{}@{address}/{database}",
            Self::USER,
            Self::PASSWORD
        )
    }

    /// The certificate that a client which verifies the server must trust.
    ///
    /// # Panics
    /// When it was started without TLS.
    pub fn authority(&self) -> &Path {
        &self
            .certificates
            .as_ref()
            .expect("started with TLS")
            .authority
    }

    /// Runs SQL in [`Postgres::DATABASE`] and returns what it selects, unaligned and without headings.
    ///
    /// # Errors
    /// When `psql` is missing, the server does not answer, or a statement fails.
    pub async fn execute(&self, sql: &str) -> Result<String> {
        self.execute_in(Self::DATABASE, sql).await
    }

    /// Ends the server at once, with its connections; its port refuses connections until [`Postgres::start_again`].
    ///
    /// # Errors
    /// When the server does not end.
    pub async fn stop(&mut self) -> Result<()> {
        if let Some(mut process) = self.process.take() {
            // QUIT is PostgreSQL's immediate shutdown; after a KILL its children would run until they notice.
            process.signal("QUIT")?;
            process.wait().await?;
        }
        Ok(())
    }

    /// Starts the server again on the same port, with its data.
    ///
    /// # Errors
    /// When it does not come up.
    pub async fn start_again(&mut self) -> Result<()> {
        let mut command = self.command("postgres")?;
        command
            .arg("-D")
            .arg(self.data())
            .arg("-k")
            .arg(self.folder.path());
        command.args(["-h", "127.0.0.1", "-p", &self.port.to_string()]);
        for setting in [
            "fsync=off",
            "full_page_writes=off",
            "shared_buffers=8MB",
            "max_connections=40",
        ] {
            command.args(["-c", setting]);
        }
        if let Some(certificates) = &self.certificates {
            for (setting, file) in [
                ("ssl_cert_file", &certificates.certificate),
                ("ssl_key_file", &certificates.key),
            ] {
                command.args(["-c", &format!("{setting}={}", file.display())]);
            }
            command.args(["-c", "ssl=on"]);
        }
        let process = Process::spawn(&mut command, "postgresql")?;
        process
            .stderr
            .wait_for(|line| {
                line.contains("database system is ready to accept")
                    .then_some(())
            })
            .await
            .context("postgres did not start")?;
        self.process = Some(process);
        Ok(())
    }

    /// Starts a standby of this server, which accepts no writes until `SELECT pg_promote()`.
    ///
    /// # Errors
    /// When the copy cannot be made, or the standby does not come up.
    pub async fn standby(&self) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        if let Some(Account { uid, gid }) = self.account {
            chown(folder.path(), Some(uid), Some(gid))?;
        }
        let mut command = self.command("pg_basebackup")?;
        command.arg("-D").arg(folder.path().join("data"));
        command.args(["--checkpoint=fast", "--no-sync", "--write-recovery-conf"]);
        command.args(["--dbname", &self.url("postgres")]);
        run(command, "postgresql").await?;
        let mut standby = Self {
            process: None,
            programs: self.programs.clone(),
            account: self.account,
            port: free_port(),
            certificates: None,
            folder,
        };
        standby.start_again().await?;
        Ok(standby)
    }

    async fn execute_in(&self, database: &str, sql: &str) -> Result<String> {
        let mut command = Command::new("psql");
        command.args([
            "-X",
            "-q",
            "-A",
            "-t",
            "-v",
            "ON_ERROR_STOP=1",
            "-c",
            sql,
            &self.url(database),
        ]);
        Ok(run(command, "postgresql-client")
            .await?
            .trim_end()
            .to_owned())
    }

    async fn initialize(&self) -> Result<()> {
        let password = self.folder.path().join("password");
        std::fs::write(&password, Self::PASSWORD)?;
        if let Some(Account { uid, gid }) = self.account {
            let certificates = self
                .certificates
                .iter()
                .flat_map(|made| [&made.certificate, &made.key]);
            for path in certificates
                .map(PathBuf::as_path)
                .chain([self.folder.path(), &password])
            {
                chown(path, Some(uid), Some(gid))?;
            }
        }
        let template = Template::of(&self.programs, self.account.as_ref());
        if template.copy_to(&self.data()).await? {
            return Ok(());
        }
        let mut command = self.command("initdb")?;
        command
            .arg("-D")
            .arg(self.data())
            .arg("--pwfile")
            .arg(&password);
        command.args([
            "-U",
            Self::USER,
            "-A",
            "scram-sha-256",
            "-E",
            "UTF8",
            "--locale=C",
        ]);
        command.args(["--no-sync", "--no-instructions"]);
        run(command, "postgresql").await?;
        template.keep(&self.data()).await
    }

    fn command(&self, program: &str) -> Result<Command> {
        command_with_death_signal(
            self.programs.join(program),
            "postgresql",
            self.account.as_ref(),
        )
    }

    fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        if let Some(process) = &mut self.process {
            // An orderly shutdown also ends its children and removes its files; the drop of `process` then waits at most for a
            // KILL.
            let _ = process.signal("QUIT");
            for _ in 0..200 {
                if !process.running() {
                    break;
                }
                std::thread::sleep(std::time::Duration::from_millis(10));
            }
        }
    }
}

impl PostgresOptions {
    /// Accepts TLS, with a certificate signed by an authority of its own.
    #[must_use]
    pub fn tls(self) -> Self {
        self.tls_with(CertificateKind::Signed)
    }

    /// Accepts TLS, with a certificate of this kind.
    #[must_use]
    pub fn tls_with(mut self, kind: CertificateKind) -> Self {
        self.tls = Some(kind);
        self
    }

    /// Makes a database cluster and starts the server.
    ///
    /// # Errors
    /// When PostgreSQL (or, with TLS, `openssl`) is missing or does not come up.
    pub async fn start(self) -> Result<Postgres> {
        let folder = tempfile::tempdir()?;
        let certificates = match self.tls {
            Some(kind) => Some(Certificates::make_kind(folder.path(), kind).await?),
            None => None,
        };
        let account = match is_root() {
            true => Some(
                Account::named("postgres")
                    .or_else(|| Account::named("nobody"))
                    .context("this machine has neither a `postgres` nor a `nobody` account")?,
            ),
            false => None,
        };
        let mut postgres = Postgres {
            process: None,
            programs: programs()?,
            account,
            port: free_port(),
            certificates,
            folder,
        };
        postgres.initialize().await?;
        for _ in 0..ATTEMPTS {
            match postgres.start_again().await {
                Ok(()) => {
                    let create = format!("CREATE DATABASE {}", Postgres::DATABASE);
                    postgres.execute_in("postgres", &create).await?;
                    return Ok(postgres);
                }
                Err(error) if format!("{error:#}").contains("in use") => {
                    postgres.port = free_port();
                }
                Err(error) => return Err(error),
            }
        }
        bail!("postgres found no free port in {ATTEMPTS} attempts")
    }
}

/// Returns the folder of the newest PostgreSQL that Debian's packages have installed.
fn programs() -> Result<PathBuf> {
    let newest = std::fs::read_dir("/usr/lib/postgresql")
        .ok()
        .and_then(|versions| {
            versions
                .filter_map(|version| Some(version.ok()?.path()))
                .filter(|version| version.join("bin/initdb").exists())
                .max_by_key(|version| version.file_name()?.to_str()?.parse::<u32>().ok())
        });
    newest
        .map(|version| version.join("bin"))
        .context("no PostgreSQL server found; install it with: sudo apt-get install -y postgresql")
}

/// How often a start is tried: another process may take a free port before the server does.
const ATTEMPTS: usize = 5;
