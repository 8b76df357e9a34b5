//! A real ACME server: Pebble, with which Let's Encrypt tests clients, and a DNS server that resolves every name to this machine.

use std::path::PathBuf;
use std::process::Command;

use anyhow::Result;
use serde_json::json;
use tempfile::TempDir;

use crate::authority::Authority;
use crate::port::free_port;
use crate::process::{Process, command_with_death_signal, run};
use crate::server::Server;

/// An ACME server on a free loopback port. Dropping it stops it, and it keeps nothing.
#[derive(Debug)]
pub struct Pebble {
    pebble: Option<Server>,
    port: u16,
    _names: Server,
    management: u16,
    authority: Authority,
    folder: TempDir,
}

impl Pebble {
    /// Starts a server that validates all hostnames at these ports of this machine: HTTP-01, and TLS-ALPN-01.
    ///
    /// # Errors
    /// When Pebble or `openssl` is missing or does not come up.
    pub async fn start(http: u16, tls: u16) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let authority = Authority::make(folder.path()).await?;
        let names = "DNS:localhost,IP:127.0.0.1";
        let certificate = authority.server("pebble", names).await?;
        let dns = free_port();
        // Newer versions answer over HTTPS too, on another port, which several of them could not share.
        let help = Command::new("pebble-challtestsrv").arg("-help").output();
        let has_doh = help.is_ok_and(|help| String::from_utf8_lossy(&help.stderr).contains("-doh"));
        let names = Server::start("pebble-challtestsrv", |_, port| {
            let mut command = command_with_death_signal("pebble-challtestsrv", "pebble", None)?;
            command
                .args(["-http01", "", "-https01", "", "-tlsalpn01", ""])
                .args(["-dns01", &format!("127.0.0.1:{dns}")])
                .args(["-management", &format!("127.0.0.1:{port}")])
                .args(["-defaultIPv4", "127.0.0.1", "-defaultIPv6", ""]);
            if has_doh {
                command.args(["-doh", ""]);
            }
            Process::spawn(&mut command, "pebble")
        })
        .await?;
        let management = free_port();
        let pebble = Server::start("Pebble", |folder, port| {
            let config = json!({ "pebble": {
                "listenAddress": format!("127.0.0.1:{port}"),
                "managementListenAddress": format!("127.0.0.1:{management}"),
                "certificate": certificate.certificate,
                "privateKey": certificate.key,
                "httpPort": http,
                "tlsPort": tls,
                "ocspResponderURL": "",
                "externalAccountBindingRequired": false,
            }});
            let file = folder.join("pebble.json");
            std::fs::write(&file, config.to_string())?;
            let mut command = command_with_death_signal("pebble", "pebble", None)?;
            command
                .arg("-config")
                .arg(&file)
                .args(["-dnsserver", &format!("127.0.0.1:{dns}")])
                // Pebble waits for up to 15 s before it validates, to reveal clients that do not wait.
                .env("PEBBLE_VA_NOSLEEP", "1");
            Process::spawn(&mut command, "pebble")
        })
        .await?;
        Ok(Self {
            port: pebble.port,
            pebble: Some(pebble),
            _names: names,
            management,
            authority,
            folder,
        })
    }

    /// Returns the URL of its directory.
    pub fn directory_url(&self) -> String {
        format!("https://localhost:{}/dir", self.port)
    }

    /// Returns the path of the certificate that its ACME clients must trust.
    pub fn authority(&self) -> String {
        self.authority.certificate.display().to_string()
    }

    /// What it has printed so far.
    pub fn transcript(&self) -> String {
        let pebble = self.pebble.as_ref();
        pebble.map_or_else(String::new, Server::transcript)
    }

    /// Ends it; from then on its port refuses connections.
    pub fn stop(&mut self) {
        self.pebble = None;
    }

    /// Downloads the root certificate of the certificates that it issues. It changes with each start.
    ///
    /// # Errors
    /// When Pebble does not answer.
    pub async fn root(&self) -> Result<PathBuf> {
        let file = self.folder.path().join("root.pem");
        let mut curl = Command::new("curl");
        curl.args(["--silent", "--fail", "--cacert"])
            .arg(&self.authority.certificate)
            .arg("--output")
            .arg(&file)
            .arg(format!("https://localhost:{}/roots/0", self.management));
        run(curl, "curl").await?;
        Ok(file)
    }
}
