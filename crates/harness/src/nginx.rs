//! A real nginx, as an upstream.

use anyhow::{Context, Result, bail};
use tempfile::TempDir;

use crate::port::free_port;
use crate::process::{Process, leashed};

/// An nginx with one server on a free loopback port. Stopped on drop.
#[derive(Debug)]
pub struct Nginx {
    // Before the folder: fields drop in order.
    _process: Process,
    port: u16,
    folder: TempDir,
}

impl Nginx {
    /// Starts one whose `server` block holds `fragment`: `location / { return 200 "$http_x_user_id"; }`.
    ///
    /// # Errors
    /// When nginx is missing or refuses the configuration.
    pub async fn start(fragment: &str) -> Result<Self> {
        for _ in 0..ATTEMPTS {
            let (folder, port) = (tempfile::tempdir()?, free_port());
            std::fs::write(
                folder.path().join("nginx.conf"),
                configuration(port, fragment),
            )?;
            // One process: nothing to hand privileges to, nothing left behind by a KILL.
            let mut command = leashed("nginx", "nginx", None)?;
            command
                .arg("-p")
                .arg(folder.path())
                .args(["-e", "stderr", "-c", "nginx.conf"]);
            let process = Process::spawn(&mut command, "nginx")?;
            // Written after the sockets are bound.
            let up = process
                .stderr
                .wait_for(|line| line.contains("event method").then_some(()))
                .await;
            match up {
                Ok(()) => {
                    return Ok(Self {
                        _process: process,
                        port,
                        folder,
                    });
                }
                Err(error) if format!("{error:#}").contains("in use") => {}
                Err(error) => return Err(error).context("nginx did not come up"),
            }
        }
        bail!("nginx found no free port in {ATTEMPTS} attempts")
    }

    /// `http://127.0.0.1:port`.
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Its folder, which is where relative paths in the configuration point.
    pub fn folder(&self) -> &std::path::Path {
        self.folder.path()
    }
}

fn configuration(port: u16, fragment: &str) -> String {
    format!(
        "daemon off; master_process off; pid nginx.pid; error_log stderr notice;
events {{ worker_connections 256; }}
http {{
    access_log off;
    client_body_temp_path body; proxy_temp_path proxy; fastcgi_temp_path fastcgi;
    uwsgi_temp_path uwsgi; scgi_temp_path scgi;
    server {{
        listen 127.0.0.1:{port};
        {fragment}
    }}
}}
"
    )
}

/// Another process may take a free port before the server does.
const ATTEMPTS: usize = 5;
