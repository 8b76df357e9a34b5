//! Everything that can stand in front of a service and let the gate decide.

use std::net::SocketAddr;

use anyhow::{Context, Result};
use harness::{CaddyVersion, DecisionListener, Echo, Gate, GateCommand, Nginx, Server, mint};

use crate::documents::{block, put};
use crate::traefik::Traefik;

/// A front, running, that asks one gate and forwards to one upstream. Stopped on drop.
#[derive(Debug)]
pub(crate) struct Front {
    program: Program,
    /// Where clients connect.
    pub(crate) address: SocketAddr,
}

/// The rows of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Debian's, 2.6.2.
    Caddy,
    /// 2.11.7.
    CaddyPinned,
    EnvoyGrpc,
    EnvoyHttp,
    Haproxy,
    Nginx,
    NginxCached,
    NginxSocket,
    /// The gate itself, which nobody else has to ask.
    Proxy,
    Traefik,
}

#[derive(Debug)]
enum Program {
    Itself,
    Nginx(Nginx),
    Other(Server),
    Traefik(Traefik),
}

/// What a front forwards to.
pub(crate) trait Service {
    /// Where it listens.
    fn address(&self) -> SocketAddr;
}

impl Service for Echo {
    fn address(&self) -> SocketAddr {
        self.address()
    }
}

/// One that somebody else starts.
impl Service for SocketAddr {
    fn address(&self) -> SocketAddr {
        *self
    }
}

impl Kind {
    /// What the audit log calls it.
    pub(crate) fn mode(self) -> &'static str {
        match self {
            Self::Caddy | Self::CaddyPinned => "caddy",
            Self::EnvoyGrpc => "envoy-grpc",
            Self::EnvoyHttp => "envoy",
            Self::Haproxy => "forward-auth",
            Self::Nginx | Self::NginxCached | Self::NginxSocket => "nginx",
            Self::Proxy => "proxy",
            Self::Traefik => "traefik",
        }
    }

    /// Which status a path with two readings gets: nginx knows no refusals but 401 and 403.
    pub(crate) fn ambiguous(self) -> u16 {
        match self {
            Self::Nginx | Self::NginxCached | Self::NginxSocket => 403,
            Self::Caddy
            | Self::CaddyPinned
            | Self::EnvoyGrpc
            | Self::EnvoyHttp
            | Self::Haproxy
            | Self::Proxy
            | Self::Traefik => 400,
        }
    }

    /// Which status every request with a session gets while the store does not answer: Envoy over HTTP would take a 5xx for a
    /// failure to ask.
    pub(crate) fn store_down(self) -> u16 {
        match self {
            Self::EnvoyHttp => 429,
            Self::Caddy
            | Self::CaddyPinned
            | Self::EnvoyGrpc
            | Self::Haproxy
            | Self::Nginx
            | Self::NginxCached
            | Self::NginxSocket
            | Self::Proxy
            | Self::Traefik => 503,
        }
    }

    /// Which status every request gets while the gate is down; none when that takes the front down, too.
    pub(crate) fn gate_down(self) -> Option<u16> {
        match self {
            Self::Caddy | Self::CaddyPinned => Some(502),
            Self::EnvoyGrpc
            | Self::EnvoyHttp
            | Self::Haproxy
            | Self::Nginx
            | Self::NginxCached
            | Self::NginxSocket => Some(503),
            Self::Proxy => None,
            Self::Traefik => Some(500),
        }
    }

    /// Whether it knows gRPC and refuses a call with a status of gRPC.
    pub(crate) fn speaks_grpc(self) -> bool {
        matches!(self, Self::EnvoyGrpc | Self::EnvoyHttp)
    }
}

/// A gate for this kind of front: a proxy of `echo`, or a listener for questions and nothing else.
pub(crate) fn gate(kind: Kind, echo: &impl Service) -> GateCommand {
    let command = Gate::command(env!("CARGO_BIN_EXE_sessiongate"))
        .env("AUTH_SECRET", mint::SECRET)
        .env("LOG_FORMAT", "json");
    match kind {
        Kind::Proxy => command.env("UPSTREAM", format!("http://{}", echo.address())),
        Kind::Caddy
        | Kind::CaddyPinned
        | Kind::EnvoyGrpc
        | Kind::EnvoyHttp
        | Kind::Haproxy
        | Kind::Nginx
        | Kind::NginxCached
        | Kind::NginxSocket
        | Kind::Traefik => command.without("LISTEN").env("AUTH_LISTEN", "127.0.0.1:0"),
    }
}

impl Front {
    /// Starts one in front of the service `echo`, asking `gate`.
    pub(crate) async fn start(kind: Kind, gate: &Gate, echo: &impl Service) -> Result<Self> {
        let program = match kind {
            Kind::Caddy | Kind::CaddyPinned => {
                let version = if kind == Kind::CaddyPinned {
                    CaddyVersion::Pinned
                } else {
                    CaddyVersion::Debian
                };
                let text = block("caddy.md", "caddyfile", 0)?;
                Program::Other(caddy(version, &text, gate.decisions_port()?, echo).await?)
            }
            Kind::EnvoyGrpc | Kind::EnvoyHttp => {
                let number = usize::from(kind == Kind::EnvoyGrpc);
                let text = block("envoy.md", "yaml", number)?;
                Program::Other(envoy(&text, gate.decisions_port()?, echo).await?)
            }
            Kind::Haproxy => {
                let script = block("haproxy.md", "lua", 0)?;
                Program::Other(haproxy(&script, gate.decisions_port()?, echo).await?)
            }
            Kind::Nginx | Kind::NginxSocket => {
                let text = block("nginx.md", "nginx", 0)?;
                Program::Nginx(nginx(&text, &listener(gate)?, echo).await?)
            }
            Kind::NginxCached => {
                Program::Nginx(nginx(&with_cache()?, &listener(gate)?, echo).await?)
            }
            Kind::Proxy => Program::Itself,
            Kind::Traefik => Program::Traefik(
                Traefik::start(&block("traefik.md", "yaml", 0)?, gate, echo).await?,
            ),
        };
        let address = match &program {
            Program::Other(server) => server.address(),
            Program::Itself => gate.proxy,
            Program::Nginx(nginx) => nginx.address(),
            Program::Traefik(traefik) => traefik.address(),
        };
        Ok(Self { program, address })
    }

    /// What it has printed so far, for the message of a test that fails.
    pub(crate) fn transcript(&self) -> String {
        match &self.program {
            Program::Other(server) => server.transcript(),
            Program::Nginx(nginx) => nginx.transcript(),
            Program::Itself | Program::Traefik(_) => String::new(),
        }
    }
}

/// A Caddy with this configuration in place of, or made of, the documented one.
pub(crate) async fn caddy(
    version: CaddyVersion,
    text: &str,
    gate: SocketAddr,
    echo: &impl Service,
) -> Result<Server> {
    let text = put(text, GATE, &gate.to_string())?;
    let text = put(&text, SERVICE, &echo.address().to_string())?;
    put(&text, ":8080 {", "")?;
    let options = match version {
        CaddyVersion::Debian => String::new(),
        CaddyVersion::Pinned => block("caddy.md", "caddyfile", 1)?,
    };
    harness::caddy_of(version, |port| {
        // The same sites on every address, but for one machine only.
        let site = format!(":{port} {{\n\tbind 127.0.0.1\n");
        options.clone() + &text.replacen(":8080 {\n", &site, 1)
    })
    .await
}

/// An Envoy with this configuration in place of, or made of, a documented one.
pub(crate) async fn envoy(text: &str, gate: SocketAddr, echo: &impl Service) -> Result<Server> {
    let port = |port: u16| format!("port_value: {port}");
    let text = put(text, &port(9091), &port(gate.port()))?;
    let text = put(&text, &port(3000), &port(echo.address().port()))?;
    let listen = |port: u16| format!("address: 127.0.0.1, port_value: {port}");
    let text = put(&text, "address: 0.0.0.0, port_value: 8080", &listen(8080))?;
    harness::envoy(|port| text.replace(&listen(8080), &listen(port))).await
}

/// An HAProxy with this script in place of, or made of, the documented one.
pub(crate) async fn haproxy(script: &str, gate: SocketAddr, echo: &impl Service) -> Result<Server> {
    let text = block("haproxy.md", "haproxy", 0)?;
    let text = put(&text, SERVICE, &echo.address().to_string())?;
    put(&text, "bind :8080", "")?;
    let script = put(script, GATE, &gate.to_string())?;
    harness::haproxy(
        |port| text.replace("bind :8080", &format!("bind 127.0.0.1:{port}")),
        &script,
    )
    .await
}

/// Where nginx asks the gate.
fn listener(gate: &Gate) -> Result<String> {
    let decisions = gate.decisions.as_ref();
    Ok(match decisions.context("the gate takes questions")? {
        DecisionListener::Tcp(address) => address.to_string(),
        DecisionListener::Unix(path) => format!("unix:{}", path.display()),
    })
}

/// An nginx with this configuration in place of, or made of, the documented one.
pub(crate) async fn nginx(text: &str, gate: &str, echo: &impl Service) -> Result<Nginx> {
    let text = put(text, GATE, gate)?;
    let text = put(&text, SERVICE, &echo.address().to_string())?;
    put(&text, "listen 8080;", "")?;
    Nginx::from_config(|port| text.replace("listen 8080;", &format!("listen 127.0.0.1:{port};")))
        .await
}

/// The configuration that remembers decisions, put together as the page says, and remembering for as long as any test
/// may take.
fn with_cache() -> Result<String> {
    let text = block("nginx.md", "nginx", 0)?;
    let (in_http, in_location) = (
        block("nginx.md", "nginx", 1)?,
        block("nginx.md", "nginx", 2)?,
    );
    let in_http = put(&in_http, "/run/nginx-gate", "remembered")?;
    let in_http = put(&in_http, "inactive=1m", "inactive=1h")?;
    let in_location = put(&in_location, "200 5s", "200 1h")?;
    let upstream = "    upstream gate {\n";
    let text = put(&text, upstream, &format!("{in_http}\n{upstream}"))?;
    let internal = "            internal;\n";
    put(&text, internal, &format!("{internal}{in_location}"))
}

/// Where the documented configurations look for the gate, and for the service.
const GATE: &str = "127.0.0.1:9091";
const SERVICE: &str = "127.0.0.1:3000";
