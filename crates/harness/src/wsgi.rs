//! A small WSGI application, whose mount point a header sets, as in many applications.

use std::net::SocketAddr;

use anyhow::{Context, Result};

use crate::process::{Process, command_with_death_signal};

/// A WSGI application on Python's own server, which answers with the scheme and the path that it reads in a request. It is
/// wrapped in the middleware that Flask's documentation made common (`ReverseProxied`): `X-Script-Name` is cut from the path, and
/// `X-Scheme` is the scheme. Stopped on drop.
#[derive(Debug)]
pub struct Wsgi {
    _process: Process,
    /// The address on which it listens.
    pub address: SocketAddr,
}

impl Wsgi {
    /// Starts it on a free port.
    ///
    /// # Errors
    /// When Python is missing.
    pub async fn start() -> Result<Self> {
        let mut command = command_with_death_signal("python3", "python3", None)?;
        command.args(["-u", "-c", SCRIPT]);
        let process = Process::spawn(&mut command, "python3")?;
        let listening = |line: &str| line.strip_prefix("listening ")?.parse::<u16>().ok();
        let port = process.stdout.wait_for(listening).await;
        let port = port.with_context(|| process.transcript())?;
        Ok(Self {
            _process: process,
            address: ([127, 0, 0, 1], port).into(),
        })
    }
}

const SCRIPT: &str = r#"
from wsgiref.simple_server import make_server

class ReverseProxied:
    def __init__(self, app):
        self.app = app

    def __call__(self, environ, start_response):
        prefix = environ.get("HTTP_X_SCRIPT_NAME", "") or environ.get("HTTP_SCRIPT_NAME", "")
        if prefix:
            environ["SCRIPT_NAME"] = prefix
            if environ["PATH_INFO"].startswith(prefix):
                environ["PATH_INFO"] = environ["PATH_INFO"][len(prefix):]
        scheme = environ.get("HTTP_X_SCHEME", "")
        if scheme:
            environ["wsgi.url_scheme"] = scheme
        return self.app(environ, start_response)

def page(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [f"{environ['wsgi.url_scheme']} {environ['PATH_INFO']}".encode()]

server = make_server("127.0.0.1", 0, ReverseProxied(page))
print(f"listening {server.server_port}")
server.serve_forever()
"#;
