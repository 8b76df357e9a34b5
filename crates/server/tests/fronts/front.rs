//! The fronts: all proxies that forward to a service and let the gate decide.

use std::net::SocketAddr;

use anyhow::{Context, Result};
use harness::{CaddyVersion, DecisionListener, Echo, Gate, GateCommand, Nginx, Server, mint};

use crate::documents::{block, replace_literal};
use crate::traefik::Traefik;

/// A running front that asks one gate and forwards to one upstream. Dropping it stops the front.
#[derive(Debug)]
pub(crate) struct Front {
    program: Program,
    /// The address for clients.
    pub(crate) address: SocketAddr,
}

/// The kinds of fronts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Debian's Caddy, 2.6.2.
    Caddy,
    /// Caddy 2.11.7.
    CaddyPinned,
    EnvoyGrpc,
    EnvoyHttp,
    Haproxy,
    Nginx,
    NginxCached,
    NginxSocket,
    /// The gate itself as the proxy.
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

/// The service to which a front forwards.
pub(crate) trait Service {
    /// The address on which the service listens.
    fn address(&self) -> SocketAddr;
}

impl Service for Echo {
    fn address(&self) -> SocketAddr {
        self.address()
    }
}

/// A service that the caller has started.
impl Service for SocketAddr {
    fn address(&self) -> SocketAddr {
        *self
    }
}

impl Kind {
    /// The name of the front in the audit log.
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

    /// The status for a path with two readings: nginx knows no refusals except 401 and 403.
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

    /// The status of every request with a session while the store does not answer: Envoy over HTTP would take a 5xx for a failed
    /// decision request.
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

    /// The status of every request while the gate is down; `None` if the front is then down, too.
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

    /// Whether the front refuses a gRPC call with a status of gRPC.
    pub(crate) fn speaks_grpc(self) -> bool {
        matches!(self, Self::EnvoyGrpc | Self::EnvoyHttp)
    }
}

/// Returns the command of a gate for this kind of front: a proxy of `echo`, or only a listener for decisions.
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
    /// Starts a front that forwards to the service `echo` and asks `gate`.
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

    /// Returns what the front has printed so far, for the message of a failed test.
    pub(crate) fn transcript(&self) -> String {
        match &self.program {
            Program::Other(server) => server.transcript(),
            Program::Nginx(nginx) => nginx.transcript(),
            Program::Itself | Program::Traefik(_) => String::new(),
        }
    }
}

/// Starts a Caddy with this configuration, made from the documented one or replacing it.
pub(crate) async fn caddy(
    version: CaddyVersion,
    text: &str,
    gate: SocketAddr,
    echo: &impl Service,
) -> Result<Server> {
    let text = replace_literal(text, GATE, &gate.to_string())?;
    let text = replace_literal(&text, SERVICE, &echo.address().to_string())?;
    replace_literal(&text, ":8080 {", "")?;
    let options = match version {
        CaddyVersion::Debian => String::new(),
        CaddyVersion::Pinned => block("caddy.md", "caddyfile", 1)?,
    };
    harness::caddy_of(version, |port| {
        // The documented site, but on the loopback address and a free port.
        let site = format!(":{port} {{\n\tbind 127.0.0.1\n");
        options.clone() + &text.replacen(":8080 {\n", &site, 1)
    })
    .await
}

/// Starts an Envoy with this configuration, made from a documented one or replacing it.
pub(crate) async fn envoy(text: &str, gate: SocketAddr, echo: &impl Service) -> Result<Server> {
    let port = |port: u16| format!("port_value: {port}");
    let text = replace_literal(text, &port(9091), &port(gate.port()))?;
    let text = replace_literal(&text, &port(3000), &port(echo.address().port()))?;
    let listen = |port: u16| format!("address: 127.0.0.1, port_value: {port}");
    let text = replace_literal(&text, "address: 0.0.0.0, port_value: 8080", &listen(8080))?;
    harness::envoy(|port| text.replace(&listen(8080), &listen(port))).await
}

/// Starts an HAProxy with this script, made from the documented one or replacing it.
pub(crate) async fn haproxy(script: &str, gate: SocketAddr, echo: &impl Service) -> Result<Server> {
    let text = block("haproxy.md", "haproxy", 0)?;
    let text = replace_literal(&text, SERVICE, &echo.address().to_string())?;
    replace_literal(&text, "bind :8080", "")?;
    let script = replace_literal(script, GATE, &gate.to_string())?;
    harness::haproxy(
        |port| text.replace("bind :8080", &format!("bind 127.0.0.1:{port}")),
        &script,
    )
    .await
}

/// Returns the gate's listener for decisions, as nginx writes its address.
fn listener(gate: &Gate) -> Result<String> {
    let decisions = gate.decisions.as_ref();
    Ok(
        match decisions.context("the gate has a listener for decisions")? {
            DecisionListener::Tcp(address) => address.to_string(),
            DecisionListener::Unix(path) => format!("unix:{}", path.display()),
        },
    )
}

/// Starts an nginx with this configuration, made from the documented one or replacing it.
pub(crate) async fn nginx(text: &str, gate: &str, echo: &impl Service) -> Result<Nginx> {
    let text = replace_literal(text, GATE, gate)?;
    let text = replace_literal(&text, SERVICE, &echo.address().to_string())?;
    replace_literal(&text, "listen 8080;", "")?;
    Nginx::from_config(|port| text.replace("listen 8080;", &format!("listen 127.0.0.1:{port};")))
        .await
}

/// Returns the configuration that caches decisions, assembled as the page says, with entries that last as long as any test may
/// take.
fn with_cache() -> Result<String> {
    let text = block("nginx.md", "nginx", 0)?;
    let (in_http, in_location) = (
        block("nginx.md", "nginx", 1)?,
        block("nginx.md", "nginx", 2)?,
    );
    let in_http = replace_literal(&in_http, "/run/nginx-gate", "remembered")?;
    let in_http = replace_literal(&in_http, "inactive=1m", "inactive=1h")?;
    let in_location = replace_literal(&in_location, "200 5s", "200 1h")?;
    let upstream = "    upstream gate {\n";
    let text = replace_literal(&text, upstream, &format!("{in_http}\n{upstream}"))?;
    let internal = "            internal;\n";
    replace_literal(&text, internal, &format!("{internal}{in_location}"))
}

/// The addresses of the gate and of the service in the documented configurations.
const GATE: &str = "127.0.0.1:9091";
const SERVICE: &str = "127.0.0.1:3000";
