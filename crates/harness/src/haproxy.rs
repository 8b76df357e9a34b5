//! A real HAProxy, in front of a service.

use anyhow::Result;

use crate::process::{Process, command_with_death_signal};
use crate::server::Server;

/// Starts HAProxy with one frontend on a free loopback port. `text` returns the whole configuration for a port, and `script` is a
/// Lua script that lies beside it as `sessiongate.lua`.
///
/// # Errors
/// When HAProxy is missing or refuses the configuration.
pub async fn haproxy(text: impl Fn(u16) -> String, script: &str) -> Result<Server> {
    Server::start("HAProxy", |folder, port| {
        std::fs::write(folder.join("haproxy.cfg"), text(port))?;
        std::fs::write(folder.join("sessiongate.lua"), script)?;
        let mut command = command_with_death_signal("haproxy", "haproxy", None)?;
        // In the foreground, as one process.
        command
            .args(["-db", "-C"])
            .arg(folder)
            .args(["-f", "haproxy.cfg"]);
        Process::spawn(&mut command, "haproxy")
    })
    .await
}
