//! A real Caddy, in front of a service.

use std::path::PathBuf;

use anyhow::Result;

use crate::process::{Process, command_with_death_signal};
use crate::repository;
use crate::server::Server;

/// The version of Caddy. Since 2.6 its `forward_auth` has changed how it treats headers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CaddyVersion {
    /// Debian's: 2.6.2 in Debian 12 and 13.
    Debian,
    /// That of `tests/fronts/caddy.txt`: 2.11.7.
    Pinned,
}

impl CaddyVersion {
    fn program(self) -> PathBuf {
        match self {
            Self::Debian => "caddy".into(),
            Self::Pinned => repository().join("target/tools/caddy/scripts/caddy"),
        }
    }

    /// Returns the package that provides it, for the message that it is missing.
    fn package(self) -> &'static str {
        match self {
            Self::Debian => "caddy",
            Self::Pinned => "(Debian's is older; `cargo xtask test` fetches this one)",
        }
    }
}

/// Starts Debian's Caddy with one site on a free loopback port. `text` returns the whole configuration for a port.
///
/// # Errors
/// When Caddy is missing or refuses the configuration.
pub async fn caddy(text: impl Fn(u16) -> String) -> Result<Server> {
    caddy_of(CaddyVersion::Debian, text).await
}

/// Starts Caddy of this version with one site on a free loopback port. `text` returns the whole configuration for a port.
///
/// # Errors
/// When Caddy is missing or refuses the configuration.
pub async fn caddy_of(version: CaddyVersion, text: impl Fn(u16) -> String) -> Result<Server> {
    Server::start("Caddy", |folder, port| {
        // Otherwise every Caddy would use the same port for its control socket.
        let text = text(port);
        let whole = match text.strip_prefix("{\n") {
            Some(options) => format!("{{\n\tadmin off\n{options}"),
            None => format!("{{\n\tadmin off\n}}\n{text}"),
        };
        std::fs::write(folder.join("Caddyfile"), whole)?;
        let mut command = command_with_death_signal(version.program(), version.package(), None)?;
        command
            .args(["run", "--adapter", "caddyfile", "--config"])
            .arg(folder.join("Caddyfile"))
            .env("HOME", folder)
            .env("XDG_CONFIG_HOME", folder)
            .env("XDG_DATA_HOME", folder);
        Process::spawn(&mut command, version.package())
    })
    .await
}
