//! What the foreign servers that stand in front of a service have in common: a port, a folder, a configuration.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;

use anyhow::{Context, Result, bail};
use tempfile::TempDir;
use tokio::net::TcpStream;

use crate::poll;
use crate::port::free_port;
use crate::process::Process;

/// A server with one listener on a free loopback port. Stopped on drop, and its folder removed.
#[derive(Debug)]
pub(crate) struct Server {
    // Before the folder: fields drop in order.
    process: Process,
    pub(crate) port: u16,
    pub(crate) folder: TempDir,
}

impl Server {
    /// Starts one with what `launch` does for a folder of its own and a free port, and tries another port when that one
    /// was taken in the meantime.
    ///
    /// # Errors
    /// When it ends instead of listening; the message holds what it said.
    pub(crate) async fn start(
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
            match server.up().await {
                Ok(()) => return Ok(server),
                Err(error) if is_taken(&format!("{error:#}")) => {}
                Err(error) => return Err(error).with_context(|| format!("{name} did not come up")),
            }
        }
        bail!("{name} found no free port in {ATTEMPTS} attempts")
    }

    /// Where it listens.
    pub(crate) fn address(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.port).into()
    }

    /// What it has printed so far.
    pub(crate) fn transcript(&self) -> String {
        self.process.transcript()
    }

    /// Waits until it takes connections: not all of these servers say so.
    async fn up(&mut self) -> Result<()> {
        let address = self.address();
        let running = poll("the server to listen", async || {
            if TcpStream::connect(address).await.is_ok() {
                return Some(true);
            }
            (!self.process.running()).then_some(false)
        })
        .await
        .with_context(|| self.process.transcript())?;
        if !running {
            // Everything it had to say, before it is quoted.
            self.process.wait().await?;
            bail!("it ended: {}", self.process.transcript());
        }
        Ok(())
    }
}

/// Whether this is what a server says whose port is not free.
fn is_taken(message: &str) -> bool {
    message.contains("in use") || message.contains("cannot bind socket")
}

/// Another process may take a free port before the server does.
const ATTEMPTS: usize = 5;
