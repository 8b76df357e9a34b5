//! A real Envoy, in front of a service.

use std::net::SocketAddr;

use anyhow::Result;

use crate::process::{Process, leashed};
use crate::repository;
use crate::server::Server;

/// An Envoy with one listener on a free loopback port. Stopped on drop.
#[derive(Debug)]
pub struct Envoy(Server);

impl Envoy {
    /// Starts one with the whole configuration that `text` gives for a port.
    ///
    /// # Errors
    /// When Envoy is missing or refuses the configuration.
    pub async fn from_config(text: impl Fn(u16) -> String) -> Result<Self> {
        let program = repository().join("target/tools/envoy/envoy/_bin/envoy");
        let server = Server::start("Envoy", |folder, port| {
            std::fs::write(folder.join("envoy.yaml"), text(port))?;
            let mut command = leashed(&program, INSTALL, None)?;
            command
                .arg("-c")
                .arg(folder.join("envoy.yaml"))
                .args(["--log-level", "warning", "--concurrency", "1"])
                // Several of them share nothing.
                .arg("--use-dynamic-base-id");
            Process::spawn(&mut command, INSTALL)
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

/// Stands where the name of a package would.
const INSTALL: &str = "(Debian has none; `cargo xtask test` fetches it)";
