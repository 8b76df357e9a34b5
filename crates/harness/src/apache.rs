//! A real Apache httpd, as a service.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};

use crate::process::{Account, Process, command_with_death_signal, is_root};
use crate::server::Server;

/// An Apache httpd (mpm_event) with one listener on a free loopback port. Stopped on drop.
#[derive(Debug)]
pub struct Apache(Server);

impl Apache {
    /// Starts Apache with the configuration that `prepare` returns for its folder, after `prepare` has put there what the server
    /// needs. That configuration is appended to one that loads modules and sets the listener.
    ///
    /// # Errors
    /// When Apache is missing or refuses the configuration.
    pub async fn start(prepare: impl Fn(&Path) -> Result<String>) -> Result<Self> {
        let server = Server::start("apache2", |folder, port| {
            let text = prelude(folder, port)? + &prepare(folder)?;
            std::fs::write(folder.join("httpd.conf"), text)?;
            // Apache refuses to serve as root.
            let account = match is_root() {
                true => Account::named("www-data").or_else(|| Account::named("nobody")),
                false => None,
            };
            if let Some(account) = &account {
                set_owner(folder, account)?;
            }
            let mut command =
                command_with_death_signal("apache2", "apache2-bin", account.as_ref())?;
            command
                .arg("-d")
                .arg(folder)
                .args(["-f", "httpd.conf", "-DFOREGROUND"])
                .env("HOME", folder);
            Process::spawn_with_workers(&mut command, "apache2-bin")
        })
        .await?;
        Ok(Self(server))
    }

    /// The address on which it listens.
    pub fn address(&self) -> SocketAddr {
        self.0.address()
    }

    /// Its folder.
    pub fn folder(&self) -> &Path {
        self.0.folder()
    }

    /// What it has written to its error log so far.
    pub fn transcript(&self) -> String {
        let log = std::fs::read_to_string(self.folder().join("error.log"));
        self.0.transcript() + &log.unwrap_or_default()
    }
}

/// Returns the beginning of every configuration: few and small processes, and nothing outside of the folder.
fn prelude(folder: &Path, port: u16) -> Result<String> {
    let modules = Path::new("/usr/lib/apache2/modules");
    let mut text = format!(
        "ServerRoot {folder}
DefaultRuntimeDir {folder}
PidFile httpd.pid
ErrorLog error.log
Listen 127.0.0.1:{port}
StartServers 1
ServerLimit 2
ThreadsPerChild 32
MaxRequestWorkers 64
",
        folder = folder.display()
    );
    for name in MODULES {
        let file = modules.join(format!("mod_{name}.so"));
        writeln!(text, "LoadModule {name}_module {}", file.display())?;
    }
    text += "ServerName 127.0.0.1\nScriptSock cgid.sock\n";
    Ok(text)
}

/// Gives the folder, and everything in it, to an account.
fn set_owner(folder: &Path, account: &Account) -> Result<()> {
    let Account { uid, gid } = account;
    let status = Command::new("chown")
        .args(["-R", &format!("{uid}:{gid}")])
        .arg(folder)
        .status()
        .context("cannot start `chown`")?;
    ensure!(status.success(), "chown failed on {}", folder.display());
    Ok(())
}

/// The modules that pages and tests need; the one that serves connections comes first.
const MODULES: [&str; 9] = [
    "mpm_event",
    "alias",
    "authz_core",
    "cgid",
    "dav",
    "dav_fs",
    "env",
    "http2",
    "setenvif",
];
