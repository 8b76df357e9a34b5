//! A real Caddy, in front of a service.

use std::net::SocketAddr;

use anyhow::Result;

use crate::process::{Process, leashed};
use crate::server::Server;

/// A Caddy with one site on a free loopback port. Stopped on drop.
#[derive(Debug)]
pub struct Caddy(Server);

impl Caddy {
    /// Starts one with the whole configuration that `text` gives for a port, save for the global options.
    ///
    /// # Errors
    /// When Caddy is missing or refuses the configuration.
    pub async fn from_config(text: impl Fn(u16) -> String) -> Result<Self> {
        let server = Server::start("Caddy", |folder, port| {
            // Else its control socket would be the same port for every one.
            let whole = format!("{{\n\tadmin off\n}}\n{}", text(port));
            std::fs::write(folder.join("Caddyfile"), whole)?;
            let mut command = leashed("caddy", "caddy", None)?;
            command
                .args(["run", "--adapter", "caddyfile", "--config"])
                .arg(folder.join("Caddyfile"))
                .env("HOME", folder)
                .env("XDG_CONFIG_HOME", folder)
                .env("XDG_DATA_HOME", folder);
            Process::spawn(&mut command, "caddy")
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
