//! A real nginx, as an upstream or in front of one.

use std::net::SocketAddr;

use anyhow::{Context, Result};

use crate::process::{Process, command_with_death_signal};
use crate::server::Server;

/// An nginx with one server on a free loopback port. Stopped on drop.
#[derive(Debug)]
pub struct Nginx(Server);

impl Nginx {
    /// Starts nginx with `fragment` in its `server` block, such as `location / { return 200 "$http_x_user_id"; }`.
    ///
    /// # Errors
    /// When nginx is missing or refuses the configuration.
    pub async fn start(fragment: &str) -> Result<Self> {
        Self::from_config(|port| {
            format!(
                "events {{ worker_connections 256; }}
http {{
    server {{
        listen 127.0.0.1:{port};
        {fragment}
    }}
}}
"
            )
        })
        .await
    }

    /// Starts nginx with the whole configuration that `text` returns for a port. Only settings that name files outside of its
    /// folder, or make it a daemon, are overridden.
    ///
    /// # Errors
    /// When nginx is missing or refuses the configuration.
    pub async fn from_config(text: impl Fn(u16) -> String) -> Result<Self> {
        let server = Server::start("nginx", |folder, port| {
            let (before, after) = text(port)
                .split_once("http {")
                .map(|(before, after)| (before.to_owned(), after.to_owned()))
                .context("an nginx configuration has an http block")?;
            let whole = format!("{before}http {{\n{IN_FOLDER}{after}");
            std::fs::write(folder.join("nginx.conf"), whole)?;
            let mut command = command_with_death_signal("nginx", "nginx", None)?;
            command.arg("-p").arg(folder).args([
                "-e",
                "stderr",
                "-c",
                "nginx.conf",
                "-g",
                ONE_PROCESS,
            ]);
            Process::spawn(&mut command, "nginx")
        })
        .await?;
        Ok(Self(server))
    }

    /// The address on which it listens.
    pub fn address(&self) -> SocketAddr {
        self.0.address()
    }

    /// Returns `http://127.0.0.1:port`.
    pub fn url(&self) -> String {
        format!("http://{}", self.address())
    }

    /// Its folder, which is where relative paths in the configuration point.
    pub fn folder(&self) -> &std::path::Path {
        self.0.folder.path()
    }

    /// What it has printed so far.
    pub fn transcript(&self) -> String {
        self.0.transcript()
    }
}

/// One process: there is no worker to hand privileges to, and a KILL leaves no child behind.
const ONE_PROCESS: &str = "daemon off; master_process off; pid nginx.pid; error_log stderr notice;";

/// Places in its own folder for what Debian's nginx keeps in folders of the system.
const IN_FOLDER: &str = "    access_log off;
    client_body_temp_path body; proxy_temp_path proxy; fastcgi_temp_path fastcgi;
    uwsgi_temp_path uwsgi; scgi_temp_path scgi;
";
