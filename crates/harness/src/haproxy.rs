//! A real HAProxy, in front of a service.

use std::net::SocketAddr;

use anyhow::Result;

use crate::process::{Process, leashed};
use crate::server::Server;

/// An HAProxy with one frontend on a free loopback port. Stopped on drop.
#[derive(Debug)]
pub struct Haproxy(Server);

impl Haproxy {
    /// Starts one with the whole configuration that `text` gives for a port, and a Lua script that lies beside it as
    /// `sessiongate.lua`.
    ///
    /// # Errors
    /// When HAProxy is missing or refuses the configuration.
    pub async fn from_config(text: impl Fn(u16) -> String, script: &str) -> Result<Self> {
        let server = Server::start("HAProxy", |folder, port| {
            std::fs::write(folder.join("haproxy.cfg"), text(port))?;
            std::fs::write(folder.join("sessiongate.lua"), script)?;
            let mut command = leashed("haproxy", "haproxy", None)?;
            // In the foreground, and one process.
            command
                .args(["-db", "-C"])
                .arg(folder)
                .args(["-f", "haproxy.cfg"]);
            Process::spawn(&mut command, "haproxy")
        })
        .await?;
        Ok(Self(server))
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.0.address()
    }

    /// What it has printed so far.
    pub fn transcript(&self) -> String {
        self.0.transcript()
    }
}
