//! A real Envoy, in front of a service.

use anyhow::Result;

use crate::process::{Process, leashed};
use crate::repository;
use crate::server::Server;

/// Starts an Envoy with one listener on a free loopback port, by the whole configuration that `text` gives for a port.
///
/// # Errors
/// When Envoy is missing or refuses the configuration.
pub async fn envoy(text: impl Fn(u16) -> String) -> Result<Server> {
    let program = repository().join("target/tools/envoy/envoy/_bin/envoy");
    Server::start("Envoy", |folder, port| {
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
    .await
}

/// Stands where the name of a package would.
const INSTALL: &str = "(Debian has none; `cargo xtask test` fetches it)";
