//! A real Caddy, in front of a service.

use anyhow::Result;

use crate::process::{Process, leashed};
use crate::server::Server;

/// Starts a Caddy with one site on a free loopback port, by the whole configuration that `text` gives for a port, save
/// for the global options.
///
/// # Errors
/// When Caddy is missing or refuses the configuration.
pub async fn caddy(text: impl Fn(u16) -> String) -> Result<Server> {
    Server::start("Caddy", |folder, port| {
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
    .await
}
