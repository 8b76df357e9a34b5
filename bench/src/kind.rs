//! The kinds of servers that are measured.

use super::routes;

/// A kind of server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Caddy,
    /// Caddy as a proxy that speaks TLS, and HTTP/2 if asked.
    CaddyTls,
    /// The gate's listener for decisions, asked over HTTP as nginx asks.
    Decisions(Socket),
    /// The same listener, asked as Envoy asks over gRPC.
    DecisionsGrpc,
    Envoy,
    /// Envoy as a proxy for gRPC.
    EnvoyGrpc,
    /// Envoy that asks the gate.
    EnvoyAsking(Wire),
    /// The gate as a proxy that knows its users from here.
    Gate(Users),
    /// The gate as a proxy for gRPC, its users in memory.
    GateGrpc,
    /// The gate as a proxy with a file of many routes, its users in memory.
    GateRoutes,
    /// The gate as the server of a folder, its users in memory.
    GateStatic,
    /// The gate as a proxy that speaks TLS, its users in memory.
    GateTls,
    /// The gate as a proxy without its audit log, its users in memory.
    GateUnlogged,
    Haproxy,
    /// nginx as a proxy.
    Nginx,
    /// nginx that asks the gate.
    NginxAsking(Socket),
    /// nginx that asks the gate over TCP, and keeps what it says for five seconds.
    NginxAskingCached,
    /// nginx as a proxy, with as many connections for one of its processes as for the other. Otherwise the one that happens to
    /// wait takes most of them.
    NginxEven,
    /// nginx as a proxy that speaks TLS, and HTTP/2 if asked.
    NginxHttp2,
    /// nginx as a proxy with as many locations as [`Kind::GateRoutes`] has routes.
    NginxRoutes,
    /// nginx that answers by itself.
    NginxReturning(Socket),
    /// nginx as the server of a folder, with `sendfile`.
    NginxStatic,
    /// nginx as a proxy that speaks TLS, and looks at no session.
    NginxTls,
    /// nginx as a proxy that tells the upstream as much as the gate does, always of the same user.
    NginxTelling,
    Node,
    Predecessor,
}

/// Where the gate finds the users of its sessions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Users {
    Database,
    Memory,
    /// In memory, for longer than the measurement lasts.
    MemoryForLong,
    Redis,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Socket {
    Tcp,
    Unix,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wire {
    Grpc,
    Http,
}

impl Kind {
    /// Its name in a table.
    pub(crate) fn label(self) -> &'static str {
        match self {
            Self::Caddy | Self::CaddyTls => "Caddy",
            Self::Decisions(Socket::Tcp) => "**sessiongate**, HTTP",
            Self::Decisions(Socket::Unix) => "**sessiongate**, HTTP through a Unix socket",
            Self::DecisionsGrpc => "**sessiongate**, gRPC",
            Self::Envoy | Self::EnvoyGrpc => "Envoy",
            Self::EnvoyAsking(Wire::Grpc) => "Envoy + ext_authz, gRPC → sessiongate",
            Self::EnvoyAsking(Wire::Http) => "Envoy + ext_authz, HTTP → sessiongate",
            Self::Gate(_) | Self::GateGrpc | Self::GateTls => "**sessiongate**",
            Self::GateRoutes => "**sessiongate**, 1,000 routes on 100 hosts",
            Self::GateStatic => "**sessiongate**, a folder",
            Self::GateUnlogged => "**sessiongate**, audit log off",
            Self::Haproxy => "HAProxy",
            Self::Nginx | Self::NginxHttp2 | Self::NginxTls => "nginx",
            Self::NginxAsking(Socket::Tcp) => "nginx + auth_request → sessiongate",
            Self::NginxAsking(Socket::Unix) => "the same through a Unix socket",
            Self::NginxAskingCached => "the same over TCP, decisions kept for 5 s",
            Self::NginxEven => "nginx, connections spread evenly (`reuseport`)",
            Self::NginxRoutes => "nginx, 1,000 locations on 100 hosts",
            Self::NginxReturning(Socket::Tcp) => "nginx `return 200`",
            Self::NginxReturning(Socket::Unix) => "nginx `return 200` through a Unix socket",
            Self::NginxStatic => "nginx, a folder, `sendfile`",
            Self::NginxTelling => "nginx, which writes the same header fields",
            Self::Node => "Node.js with @auth/core",
            Self::Predecessor => "nginx + Lua, a process for each request",
        }
    }

    /// Whether it is the gate alone.
    pub(crate) fn is_gate(self) -> bool {
        matches!(
            self,
            Self::Decisions(_)
                | Self::DecisionsGrpc
                | Self::Gate(_)
                | Self::GateGrpc
                | Self::GateRoutes
                | Self::GateStatic
                | Self::GateTls
                | Self::GateUnlogged
        )
    }

    /// Whether it sends files of its own.
    pub(crate) fn has_files(self) -> bool {
        matches!(self, Self::GateStatic | Self::NginxStatic)
    }

    /// Whether it is asked over TLS.
    pub(crate) fn speaks_tls(self) -> bool {
        matches!(
            self,
            Self::CaddyTls | Self::GateTls | Self::NginxHttp2 | Self::NginxTls
        )
    }

    /// Whether it forwards gRPC.
    pub(crate) fn speaks_grpc(self) -> bool {
        matches!(self, Self::EnvoyGrpc | Self::GateGrpc)
    }

    /// Whether it lets only sessions in.
    pub(crate) fn authenticates(self) -> bool {
        match self {
            Self::Caddy
            | Self::CaddyTls
            | Self::Envoy
            | Self::EnvoyGrpc
            | Self::Haproxy
            | Self::Nginx
            | Self::NginxEven
            | Self::NginxHttp2
            | Self::NginxRoutes
            | Self::NginxReturning(_)
            | Self::NginxStatic
            | Self::NginxTelling
            | Self::NginxTls => false,
            Self::Decisions(_)
            | Self::DecisionsGrpc
            | Self::EnvoyAsking(_)
            | Self::Gate(_)
            | Self::GateGrpc
            | Self::GateRoutes
            | Self::GateStatic
            | Self::GateTls
            | Self::GateUnlogged
            | Self::NginxAsking(_)
            | Self::NginxAskingCached
            | Self::Node
            | Self::Predecessor => true,
        }
    }

    /// Whether it tells the upstream whose a request is.
    pub(crate) fn tells_user(self) -> bool {
        self.authenticates() || self == Self::NginxTelling
    }

    /// The path at which it is asked, for what a proxy would be asked at `path`.
    pub(crate) fn path(self, path: &str) -> &str {
        if self == Self::DecisionsGrpc {
            "/envoy.service.auth.v3.Authorization/Check"
        } else if self.reads_original() {
            "/auth/nginx"
        } else {
            path
        }
    }

    /// The headers it needs beside a cookie.
    pub(crate) fn headers(self) -> Vec<(String, String)> {
        if matches!(self, Self::GateRoutes | Self::NginxRoutes) {
            return vec![("Host".to_owned(), routes::HOST.to_owned())];
        }
        let original = [
            ("X-Original-Method", "GET"),
            ("X-Original-URL", "http://127.0.0.1/"),
        ];
        let headers = original.map(|(name, value)| (name.to_owned(), value.to_owned()));
        let headers = headers.into_iter().filter(|_| self.reads_original());
        headers.collect()
    }

    /// Whether it is told about a request in headers.
    fn reads_original(self) -> bool {
        matches!(self, Self::Decisions(_))
    }
}
