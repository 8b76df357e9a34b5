//! The kinds of servers that are measured.

use super::routes;

/// A kind of server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Caddy,
    /// Caddy as a proxy with TLS, and with HTTP/2 for clients that negotiate it.
    CaddyTls,
    /// The gate's listener for decisions, over HTTP as nginx uses it.
    Decisions(Socket),
    /// The gate's listener for decisions, over gRPC as Envoy uses it.
    DecisionsGrpc,
    Envoy,
    /// Envoy as a proxy for gRPC.
    EnvoyGrpc,
    /// Envoy that asks the gate for each decision.
    EnvoyExtAuthz(Wire),
    /// The gate as a proxy that finds its users in this store.
    Gate(Users),
    /// The gate as a proxy for gRPC, its users in memory.
    GateGrpc,
    /// The gate as a proxy with a file of many routes, its users in memory.
    GateRoutes,
    /// The gate serving files from a folder, its users in memory.
    GateStatic,
    /// The gate as a proxy with TLS, its users in memory.
    GateTls,
    /// The gate as a proxy without its audit log, its users in memory.
    GateUnlogged,
    Haproxy,
    /// nginx as a proxy.
    Nginx,
    /// nginx that asks the gate for each decision.
    NginxAuthRequest(Socket),
    /// nginx that asks the gate over TCP and caches each decision for five seconds.
    NginxAuthRequestCached,
    /// nginx as a proxy, with its connections spread evenly over its processes. Otherwise the process that happens to wait
    /// accepts most of them.
    NginxEven,
    /// nginx as a proxy with TLS, and with HTTP/2 for clients that negotiate it.
    NginxHttp2,
    /// nginx as a proxy with as many locations as [`Kind::GateRoutes`] has routes.
    NginxRoutes,
    /// nginx that answers without an upstream.
    NginxReturning(Socket),
    /// nginx serving files from a folder, with `sendfile`.
    NginxStatic,
    /// nginx as a proxy with TLS that reads no session.
    NginxTls,
    /// nginx as a proxy that adds as many headers as the gate does, always for the same user.
    NginxHeaders,
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

/// The properties of a kind.
struct Traits {
    /// The name of the kind in a table.
    label: &'static str,
    is_gate: bool,
    has_files: bool,
    speaks_tls: bool,
    speaks_grpc: bool,
    authenticates: bool,
}

impl Traits {
    /// A server over HTTP/1.1 that authenticates no requests.
    const fn open(label: &'static str) -> Self {
        Self {
            label,
            is_gate: false,
            has_files: false,
            speaks_tls: false,
            speaks_grpc: false,
            authenticates: false,
        }
    }

    /// A server that requires a session, with the gate as one part of it or without the gate.
    const fn closed(label: &'static str) -> Self {
        Self {
            authenticates: true,
            ..Self::open(label)
        }
    }

    /// The gate alone.
    const fn gate(label: &'static str) -> Self {
        Self {
            is_gate: true,
            ..Self::closed(label)
        }
    }

    const fn with_files(mut self) -> Self {
        self.has_files = true;
        self
    }

    const fn over_tls(mut self) -> Self {
        self.speaks_tls = true;
        self
    }

    const fn for_grpc(mut self) -> Self {
        self.speaks_grpc = true;
        self
    }
}

impl Kind {
    const fn traits(self) -> Traits {
        match self {
            Self::Caddy => Traits::open("Caddy"),
            Self::CaddyTls => Traits::open("Caddy").over_tls(),
            Self::Decisions(Socket::Tcp) => Traits::gate("**sessiongate**, HTTP"),
            Self::Decisions(Socket::Unix) => {
                Traits::gate("**sessiongate**, HTTP through a Unix socket")
            }
            Self::DecisionsGrpc => Traits::gate("**sessiongate**, gRPC"),
            Self::Envoy => Traits::open("Envoy"),
            Self::EnvoyGrpc => Traits::open("Envoy").for_grpc(),
            Self::EnvoyExtAuthz(Wire::Grpc) => {
                Traits::closed("Envoy + ext_authz, gRPC → sessiongate")
            }
            Self::EnvoyExtAuthz(Wire::Http) => {
                Traits::closed("Envoy + ext_authz, HTTP → sessiongate")
            }
            Self::Gate(_) => Traits::gate("**sessiongate**"),
            Self::GateGrpc => Traits::gate("**sessiongate**").for_grpc(),
            Self::GateRoutes => Traits::gate("**sessiongate**, 1,000 routes on 100 hosts"),
            Self::GateStatic => Traits::gate("**sessiongate**, a folder").with_files(),
            Self::GateTls => Traits::gate("**sessiongate**").over_tls(),
            Self::GateUnlogged => Traits::gate("**sessiongate**, audit log off"),
            Self::Haproxy => Traits::open("HAProxy"),
            Self::Nginx => Traits::open("nginx"),
            Self::NginxAuthRequest(Socket::Tcp) => {
                Traits::closed("nginx + auth_request → sessiongate")
            }
            Self::NginxAuthRequest(Socket::Unix) => {
                Traits::closed("nginx + auth_request → sessiongate, Unix socket")
            }
            Self::NginxAuthRequestCached => {
                Traits::closed("nginx + auth_request → sessiongate, decisions cached for 5 s")
            }
            Self::NginxEven => Traits::open("nginx, connections spread evenly (`reuseport`)"),
            Self::NginxHttp2 | Self::NginxTls => Traits::open("nginx").over_tls(),
            Self::NginxRoutes => Traits::open("nginx, 1,000 locations on 100 hosts"),
            Self::NginxReturning(Socket::Tcp) => Traits::open("nginx `return 200`"),
            Self::NginxReturning(Socket::Unix) => {
                Traits::open("nginx `return 200` through a Unix socket")
            }
            Self::NginxStatic => Traits::open("nginx, a folder, `sendfile`").with_files(),
            Self::NginxHeaders => Traits::open("nginx, which writes the same header fields"),
            Self::Node => Traits::closed("Node.js with @auth/core"),
            Self::Predecessor => Traits::closed("nginx + Lua, a process for each request"),
        }
    }

    /// The name of the kind in a table.
    pub(crate) fn label(self) -> &'static str {
        self.traits().label
    }

    /// Whether the kind is the gate alone.
    pub(crate) fn is_gate(self) -> bool {
        self.traits().is_gate
    }

    /// Whether the server serves files itself.
    pub(crate) fn has_files(self) -> bool {
        self.traits().has_files
    }

    /// Whether clients connect over TLS.
    pub(crate) fn speaks_tls(self) -> bool {
        self.traits().speaks_tls
    }

    /// Whether the server forwards gRPC.
    pub(crate) fn speaks_grpc(self) -> bool {
        self.traits().speaks_grpc
    }

    /// Whether the server requires a session.
    pub(crate) fn authenticates(self) -> bool {
        self.traits().authenticates
    }

    /// Whether the server tells the upstream which user sent a request.
    pub(crate) fn sends_user(self) -> bool {
        self.authenticates() || self == Self::NginxHeaders
    }

    /// Returns the path to request from this server where a proxy would get `path`.
    pub(crate) fn path(self, path: &str) -> &str {
        if self == Self::DecisionsGrpc {
            "/envoy.service.auth.v3.Authorization/Check"
        } else if self.reads_original() {
            "/auth/nginx"
        } else {
            path
        }
    }

    /// Returns the headers that a request to this server needs besides a cookie.
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

    /// Whether headers of the decision request describe the original request.
    fn reads_original(self) -> bool {
        matches!(self, Self::Decisions(_))
    }
}
