//! A real PgBouncer in front of a [`Postgres`].

use std::os::unix::fs::chown;
use std::process::Command;

use anyhow::{Context, Result, bail};
use tempfile::TempDir;

use crate::port::free_port;
use crate::postgres::Postgres;
use crate::process::{Account, Process, command_with_death_signal, is_root};

/// A PgBouncer on a free loopback port. Clients need the password of [`Postgres::USER`]. Stopped on drop.
#[derive(Debug)]
pub struct PgBouncer {
    // Before the folder: fields drop in order.
    _process: Process,
    port: u16,
    _folder: TempDir,
}

impl PgBouncer {
    /// Starts a PgBouncer that gives each transaction to any of `pool_size` connections to `postgres` (`pool_mode=transaction`).
    ///
    /// # Errors
    /// When PgBouncer is missing or does not come up.
    pub async fn start(postgres: &Postgres, pool_size: usize) -> Result<Self> {
        Self::start_in_mode(postgres, "transaction", pool_size).await
    }

    /// Starts a PgBouncer with another `pool_mode`: `session`, `statement`.
    ///
    /// # Errors
    /// When PgBouncer is missing or does not come up.
    pub async fn start_in_mode(postgres: &Postgres, mode: &str, pool_size: usize) -> Result<Self> {
        for _ in 0..ATTEMPTS {
            match Self::attempt(postgres, mode, pool_size).await {
                Err(error) if format!("{error:#}").contains("in use") => {}
                outcome => return outcome,
            }
        }
        bail!("pgbouncer found no free port in {ATTEMPTS} attempts")
    }

    /// Returns `127.0.0.1:port`.
    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    async fn attempt(postgres: &Postgres, mode: &str, pool_size: usize) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let port = free_port();
        let users = folder.path().join("users.txt");
        let settings = folder.path().join("pgbouncer.ini");
        let (user, password) = (Postgres::USER, Postgres::PASSWORD);
        std::fs::write(&users, format!("\"{user}\" \"{password}\"\n"))?;
        let (database, behind, users_file) = (Postgres::DATABASE, postgres.port(), users.display());
        let text = format!(
            "[databases]\n\
             {database} = host=127.0.0.1 port={behind}\n\
             [pgbouncer]\n\
             listen_addr = 127.0.0.1\n\
             listen_port = {port}\n\
             unix_socket_dir =\n\
             auth_type = scram-sha-256\n\
             auth_file = {users_file}\n\
             pool_mode = {mode}\n\
             default_pool_size = {pool_size}\n\
             max_client_conn = 200\n"
        );
        std::fs::write(&settings, text)?;
        // PgBouncer refuses to run as root.
        let account = match is_root() {
            true => Some(
                Account::named("postgres")
                    .or_else(|| Account::named("nobody"))
                    .context("this machine has neither a `postgres` nor a `nobody` account")?,
            ),
            false => None,
        };
        if let Some(Account { uid, gid }) = account {
            for path in [folder.path(), &users, &settings] {
                chown(path, Some(uid), Some(gid))?;
            }
        }
        let mut command: Command =
            command_with_death_signal("pgbouncer", "pgbouncer", account.as_ref())?;
        command.arg(&settings);
        let process = Process::spawn(&mut command, "pgbouncer")?;
        process
            .stderr
            .wait_for(|line| line.contains("process up:").then_some(()))
            .await
            .context("pgbouncer did not start")?;
        Ok(Self {
            _process: process,
            port,
            _folder: folder,
        })
    }
}

/// How often a start is tried: another process may take a free port before the server does.
const ATTEMPTS: usize = 5;
