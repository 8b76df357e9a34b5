//! TLS towards clients, as curl, OpenSSL and Python's `ssl` see it.

mod clients;
mod close_notify;
mod connection_limits;
mod connections;
mod https;
mod reloads;
mod server_names;
mod versions;

use std::net::SocketAddr;
use std::process::Command;

use anyhow::{Context, Result};
use harness::{Authority, Echo, Gate, GateCommand, KeyPair, Mint, run};
use tempfile::TempDir;

use crate::support::gate;

/// A gate with TLS for `localhost` and `127.0.0.1`, in front of a recording upstream.
struct Site {
    echo: Echo,
    gate: Gate,
    authority: Authority,
    certificate: KeyPair,
    folder: TempDir,
}

impl Site {
    async fn start<const N: usize>(settings: [(&str, &str); N]) -> Result<Self> {
        Self::start_with(|command, _| command.envs(settings)).await
    }

    /// Starts a gate whose command `settings` completes, given the authority.
    async fn start_with(
        settings: impl FnOnce(GateCommand, &Authority) -> GateCommand,
    ) -> Result<Self> {
        let (echo, folder) = (Echo::start().await?, tempfile::tempdir()?);
        let authority = Authority::make(folder.path()).await?;
        let certificate = authority.server("server", HERE).await?;
        let command = with_certificate(gate(&echo.url()), &certificate);
        let gate = settings(command, &authority).start().await?;
        Ok(Self {
            echo,
            gate,
            authority,
            certificate,
            folder,
        })
    }

    fn port(&self) -> u16 {
        self.gate.proxy.port()
    }

    /// Returns the URL of a path on this site.
    fn url(&self, path: &str) -> String {
        format!("https://localhost:{}{path}", self.port())
    }

    /// Runs curl with these arguments; returns the answer.
    async fn curl(&self, words: &[&str]) -> Result<Answer> {
        curl(&self.authority, words).await
    }

    /// Runs a Python script, after [`PRELUDE`], with the port, the authority, and these arguments; returns its output.
    async fn python(&self, script: &str, words: &[&str]) -> Result<String> {
        let mut command = Command::new("python3");
        command
            .args(["-c", &format!("{PRELUDE}\n{script}")])
            .arg(self.port().to_string())
            .arg(&self.authority.certificate)
            .args(words);
        run(command, "python3").await
    }

    /// Runs `openssl s_client` with these arguments and a request; returns its output.
    async fn openssl(&self, words: &str) -> Result<String> {
        let mut command = Command::new("sh");
        let (address, authority) = (self.gate.proxy, self.authority.certificate.display());
        command.args([
            "-c",
            &format!(
                r"printf 'GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n' \
                | openssl s_client -connect {address} -CAfile {authority} -ign_eof {words} 2>&1"
            ),
        ]);
        run(command, "openssl").await
    }
}

/// An answer that curl received.
#[derive(Debug)]
struct Answer {
    status: u16,
    head: String,
    body: String,
}

impl Answer {
    /// Returns the value of a header.
    fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| {
            let (other, value) = line.split_once(':')?;
            other.eq_ignore_ascii_case(name).then_some(value.trim())
        })
    }
}

/// Adds this certificate to the command of a gate.
fn with_certificate(command: GateCommand, pair: &KeyPair) -> GateCommand {
    command
        .env("TLS_CERT_FILE", pair.certificate.display().to_string())
        .env("TLS_KEY_FILE", pair.key.display().to_string())
}

/// Runs curl with these arguments and trust in `authority`; returns the answer.
async fn curl(authority: &Authority, words: &[&str]) -> Result<Answer> {
    let mut command = Command::new("curl");
    command
        .args(["-sS", "-i", "-m", "25", "--http1.1", "--noproxy", "*"])
        .arg("--cacert")
        .arg(&authority.certificate)
        .args(words);
    let text = run(command, "curl").await?;
    let text = text
        .strip_prefix("HTTP/1.1 100 Continue\r\n\r\n")
        .unwrap_or(&text);
    let (head, body) = text.split_once("\r\n\r\n").context("a head")?;
    let status = head.split(' ').nth(1).context("a status")?;
    Ok(Answer {
        status: status.parse()?,
        head: head.to_owned(),
        body: body.to_owned(),
    })
}

/// Returns the value of `--resolve` and the URL with which curl requests this host at this address.
fn resolved(host: &str, address: SocketAddr) -> (String, String) {
    let port = address.port();
    (
        format!("{host}:{port}:{}", address.ip()),
        format!("https://{host}:{port}/"),
    )
}

/// Returns the header with the session cookie of a user.
fn cookie(user: &str) -> String {
    format!("Cookie: {}", Mint::user(user).authjs())
}

const HERE: &str = "DNS:localhost,IP:127.0.0.1";

/// Functions for connections of Python's `ssl`, which report an end without close_notify: `suppress_ragged_eofs` is off.
const PRELUDE: &str = r#"
import hashlib, http.client, json, os, shutil, socket, ssl, sys, time
port, authority, words = int(sys.argv[1]), sys.argv[2], sys.argv[3:]

def context(version=None):
    made = ssl.create_default_context(cafile=authority)
    if version:
        made.minimum_version = made.maximum_version = version
    return made

def connect(using=None, session=None, name="localhost"):
    plain = socket.create_connection(("127.0.0.1", port), timeout=25)
    return (using or context()).wrap_socket(
        plain, server_hostname=name, session=session, suppress_ragged_eofs=False)

def request(path="/", more=""):
    return f"GET {path} HTTP/1.1\r\nHost: localhost\r\n{more}\r\n".encode()

def answer(connection):
    """One answer with Content-Length: its status and its body."""
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        piece = connection.recv(1)
        assert piece, ("the connection ended", head)
        head += piece
    fields = dict(line.lower().split(b": ", 1) for line in head.split(b"\r\n")[1:-2])
    left, body = int(fields.get(b"content-length", 0)), b""
    while len(body) < left:
        body += connection.recv(left - len(body))
    return int(head.split(b" ")[1]), body

def ask(connection, path="/", more=""):
    connection.sendall(request(path, more))
    return answer(connection)

def reload():
    """Reloads the gate whose admin listener is the last argument."""
    host, number = words[-1].rsplit(":", 1)
    admin = http.client.HTTPConnection(host, int(number), timeout=25)
    admin.request("POST", "/reload", body="")
    answered = admin.getresponse()
    return answered.status, answered.read().decode()
"#;
