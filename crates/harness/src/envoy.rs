//! A real Envoy, in front of a service.

use anyhow::Result;

use crate::process::{Process, command_with_death_signal};
use crate::repository;
use crate::server::Server;

/// Starts Envoy with one listener on a free loopback port. `text` returns the whole configuration for a port.
///
/// # Errors
/// When Envoy is missing or refuses the configuration.
pub async fn envoy(text: impl Fn(u16) -> String) -> Result<Server> {
    let program = repository().join("target/tools/envoy/envoy/_bin/envoy");
    Server::start("Envoy", |folder, port| {
        std::fs::write(folder.join("envoy.yaml"), text(port))?;
        let mut command = command_with_death_signal(&program, INSTALL, None)?;
        command
            .arg("-c")
            .arg(folder.join("envoy.yaml"))
            .args(["--log-level", "warning", "--concurrency", "1"])
            // Lets several Envoys run side by side without sharing anything.
            .arg("--use-dynamic-base-id");
        Process::spawn(&mut command, INSTALL)
    })
    .await
}

/// The text for error messages in place of a package's name.
const INSTALL: &str = "(Debian has none; `cargo xtask test` fetches it)";
