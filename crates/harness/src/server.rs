//! The common part of the servers of other projects: a port, a folder, a configuration.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use tempfile::TempDir;

use crate::TIMEOUT;
use crate::port::free_port;
use crate::process::{Process, poll_for};

/// A server with one listener on a free loopback port. Stopped on drop, and its folder removed.
#[derive(Debug)]
pub struct Server {
    // Before the folder: fields drop in order.
    process: Process,
    pub(crate) port: u16,
    pub(crate) folder: TempDir,
}

impl Server {
    /// Starts a server by calling `launch` with a new folder and a free port, and tries another port if that one was taken in the
    /// meantime.
    ///
    /// # Errors
    /// When it ends instead of listening; the message holds what it printed.
    pub(crate) async fn start(
        name: &str,
        launch: impl Fn(&Path, u16) -> Result<Process>,
    ) -> Result<Self> {
        Self::start_within(TIMEOUT, name, launch).await
    }

    /// Starts a server as [`start`](Self::start) does, for one that may take `limit` until it listens.
    ///
    /// # Errors
    /// When it ends instead of listening; the message holds what it printed.
    pub(crate) async fn start_within(
        limit: Duration,
        name: &str,
        launch: impl Fn(&Path, u16) -> Result<Process>,
    ) -> Result<Self> {
        for _ in 0..ATTEMPTS {
            let (folder, port) = (tempfile::tempdir()?, free_port());
            let mut server = Self {
                process: launch(folder.path(), port)?,
                port,
                folder,
            };
            match server.wait_until_listening(limit).await {
                Ok(()) => return Ok(server),
                Err(error) if format!("{error:#}").contains("in use") => {}
                Err(error) => return Err(error).with_context(|| format!("{name} did not start")),
            }
        }
        bail!("{name} found no free port in {ATTEMPTS} attempts")
    }

    /// The address on which it listens.
    pub fn address(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.port).into()
    }

    /// What it has printed so far.
    pub fn transcript(&self) -> String {
        self.process.transcript()
    }

    /// Its folder, in which it runs.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Waits until it listens. Not all of these servers announce that.
    async fn wait_until_listening(&mut self, limit: Duration) -> Result<()> {
        let (id, port) = (self.process.id(), self.port);
        let running = poll_for(limit, "the server to listen", async || {
            if is_listening(id, port) {
                return Some(true);
            }
            (!self.process.running()).then_some(false)
        })
        .await
        .with_context(|| self.process.transcript())?;
        if !running {
            // Waits for its last output, which the message quotes.
            self.process.wait().await?;
            bail!("it ended: {}", self.process.transcript());
        }
        Ok(())
    }
}

/// Whether this process itself listens on the port: a connection to it might reach another process.
fn is_listening(process: u32, port: u16) -> bool {
    let Ok(descriptors) = std::fs::read_dir(format!("/proc/{process}/fd")) else {
        return false;
    };
    let tables = ["/proc/net/tcp", "/proc/net/tcp6"];
    let sockets = tables.map(|table| std::fs::read_to_string(table).unwrap_or_default());
    let local = format!(":{port:04X}");
    let listening: Vec<_> = sockets
        .iter()
        .flat_map(|table| table.lines())
        .filter_map(|line| {
            let fields: Vec<_> = line.split_whitespace().collect();
            let found = fields.get(1)?.ends_with(&local) && *fields.get(3)? == LISTEN;
            found.then(|| format!("socket:[{}]", fields.get(9).unwrap_or(&"")))
        })
        .collect();
    descriptors
        .flatten()
        .filter_map(|descriptor| std::fs::read_link(descriptor.path()).ok())
        .any(|target| {
            listening
                .iter()
                .any(|socket| target.as_os_str() == &**socket)
        })
}

/// The state of a listening socket in `/proc/net/tcp`.
const LISTEN: &str = "0A";

/// How often a start is tried: another process may take a free port before the server does.
const ATTEMPTS: usize = 5;
