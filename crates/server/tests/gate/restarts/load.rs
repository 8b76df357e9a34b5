//! Clients that keep their connections: wrk, with or without TLS, and with TLS also a client of HTTP/2.

use std::fs;
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};

use anyhow::{Context, Result, bail};
use harness::{Authority, Echo, GateCommand, Mint, poll};
use tempfile::TempDir;

use super::streams::Streams;

/// The protocols of the clients.
pub(super) enum Protocols {
    /// HTTP/1.1 without TLS.
    Clear,
    /// HTTP/1.1 and HTTP/2 over TLS, with a certificate of this authority.
    Tls(Box<(Authority, TempDir)>),
}

impl Protocols {
    /// Returns TLS with a new authority.
    pub(super) async fn tls() -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let authority = Authority::make(folder.path()).await?;
        authority.server("server", "DNS:localhost").await?;
        Ok(Self::Tls(Box::new((authority, folder))))
    }

    /// Adds the TLS settings to a gate, if it needs them.
    pub(super) fn of(&self, gate: GateCommand) -> GateCommand {
        let Self::Tls(secure) = self else {
            return gate;
        };
        let file = |name: &str| secure.1.path().join(name).display().to_string();
        gate.env("TLS_CERT_FILE", file("server.pem"))
            .env("TLS_KEY_FILE", file("server.key"))
    }

    fn name(&self) -> &'static str {
        match self {
            Self::Clear => "HTTP/1.1",
            Self::Tls(_) => "HTTP/1.1 over TLS",
        }
    }
}

/// wrk with sixteen connections, each of which pauses for some milliseconds between two requests; with TLS, also [`Streams`].
pub(super) struct Load {
    wrk: Option<Child>,
    name: &'static str,
    streams: Option<Streams>,
    _folder: TempDir,
}

impl Load {
    /// Starts to send requests to the gate at this address.
    pub(super) fn start(gate: SocketAddr, protocols: &Protocols) -> Result<Self> {
        let (scheme, streams) = match protocols {
            Protocols::Clear => ("http", None),
            Protocols::Tls(secure) => ("https", Some(Streams::start(gate, &secure.0)?)),
        };
        let folder = tempfile::tempdir()?;
        let script = folder.path().join("script.lua");
        fs::write(&script, SCRIPT)?;
        let mut wrk = Command::new("setpriv");
        let wrk = wrk
            .args(["--pdeathsig", "KILL", "--", "wrk"])
            .args(["-t1", "-c16", "-d3600", "--timeout", "30", "-s"])
            .arg(script)
            .args(["-H", &format!("Cookie: {}", Mint::user("ada").authjs())])
            .arg(format!("{scheme}://{gate}/"))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .context("cannot start wrk; install it with: sudo apt-get install -y wrk")?;
        Ok(Self {
            wrk: Some(wrk),
            name: protocols.name(),
            streams,
            _folder: folder,
        })
    }

    /// Waits until some more requests have reached the service.
    pub(super) async fn wait_for_requests(&mut self, echo: &Echo) -> Result<()> {
        if let Some(streams) = &mut self.streams {
            streams.wait_for_answers().await?;
        }
        let before = echo.seen().len();
        poll("more requests", async || {
            (echo.seen().len() > before + 50).then_some(())
        })
        .await
    }

    /// Ends the load, prints its counts, and verifies that nothing has failed.
    pub(super) async fn end(mut self, what: &str) -> Result<()> {
        if let Some(streams) = self.streams.take() {
            streams.end(what).await?;
        }
        let what = format!("{what}, {}", self.name);
        let wrk = self.wrk.take().context("it runs")?;
        let mut kill = Command::new("kill");
        kill.args(["-s", "INT", &wrk.id().to_string()]);
        harness::run(kill, "procps").await?;
        let output = tokio::task::spawn_blocking(|| wrk.wait_with_output()).await??;
        let text = String::from_utf8(output.stdout)?;
        let counts = text.lines().find_map(|line| line.strip_prefix("counts "));
        let counts = counts.with_context(|| text.clone())?;
        println!("{what}: {counts}");
        let (requests, failures) = counts.split_once(", ").context("two kinds of counts")?;
        let failed = failures.chars().any(|char| ('1'..='9').contains(&char));
        if failed || requests.starts_with("0 ") {
            bail!("{what}: {counts}\n{text}");
        }
        Ok(())
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        if let Some(mut wrk) = self.wrk.take() {
            let _ = wrk.kill();
            let _ = wrk.wait();
        }
    }
}

const SCRIPT: &str = r#"
function delay() return 5 end
function done(summary, latency, requests)
  local errors = summary.errors
  io.write(string.format(
    "counts %d requests, failed: connect %d, read %d, write %d, status %d, timeout %d\n",
    summary.requests, errors.connect, errors.read, errors.write, errors.status, errors.timeout))
end
"#;
