//! The cases: which servers are compared, and under which load.
//!
//! To add a case, add a function here; to add a kind of server, add a variant of [`Kind`] and a configuration in `bench/`.

use super::kind::{Kind, Socket, Users, Wire};
use super::lab::Cookies;
use super::load::Load;
use super::{routes, unary};

/// Servers that are measured in turn, round after round.
#[derive(Debug)]
pub(crate) struct Case {
    pub(crate) name: &'static str,
    pub(crate) title: &'static str,
    /// The first one is the reference for the others.
    pub(crate) entries: Vec<Entry>,
}

/// One server, and the load on it.
#[derive(Debug)]
pub(crate) struct Entry {
    /// Its name within the case.
    pub(crate) key: &'static str,
    pub(crate) label: &'static str,
    pub(crate) kind: Kind,
    /// The number of cores it may use; all if `None`.
    pub(crate) cores: Option<usize>,
    pub(crate) load: Load,
    pub(crate) path: &'static str,
    pub(crate) cookies: Cookies,
    /// Whether `--quick` leaves it out.
    thorough: bool,
}

/// Returns every case; with `quick`, only the entries that the goals need.
pub(crate) fn all(quick: bool) -> Vec<Case> {
    let mut cases = vec![
        proxy(),
        proxy_512(),
        users(),
        many_routes(),
        refused(),
        tls(),
        handshakes(false),
        handshakes(true),
        http2(),
        http2_few(),
        grpc(),
        audit(),
        large(),
        files("static-4k", "A file of 4 KiB, 32 connections", "/4k.html"),
        files("static-1m", "A file of 1 MiB, 32 connections", "/1m.html"),
        decisions(),
        decisions_h2load(),
        latency(),
        cores(),
    ];
    for case in &mut cases {
        case.entries.retain(|entry| !quick || !entry.thorough);
    }
    cases.retain(|case| !case.entries.is_empty());
    cases
}

/// Returns the cases of what the gate does most, without the other servers.
pub(crate) fn of_the_gate() -> Vec<Case> {
    let mut cases = vec![proxy(), refused(), decisions(), tls(), http2_few(), grpc()];
    for case in &mut cases {
        case.entries.retain(|entry| entry.kind.is_gate());
    }
    cases
}

fn proxy() -> Case {
    let mut entries = proxies();
    entries.push(entry("predecessor", Kind::Predecessor));
    Case {
        name: "proxy",
        title: "Proxying, 32 connections; servers that authenticate open the session of every request; users in memory",
        entries,
    }
}

fn proxy_512() -> Case {
    let load = Load::Wrk { connections: 512 };
    let entries = proxies().into_iter();
    Case {
        name: "proxy-512",
        title: "Proxying, 512 connections; servers that authenticate open the session of every request; users in memory",
        entries: entries.map(|entry| entry.load(load).thorough()).collect(),
    }
}

fn proxies() -> Vec<Entry> {
    vec![
        entry("nginx", Kind::Nginx),
        entry("gate", GATE),
        entry("nginx-telling", Kind::NginxHeaders).thorough(),
        entry("nginx-even", Kind::NginxEven).thorough(),
        entry("haproxy", Kind::Haproxy),
        entry("caddy", Kind::Caddy),
        entry("envoy", Kind::Envoy),
        entry("nginx-asking", Kind::NginxAuthRequest(Socket::Tcp)),
        entry("nginx-asking-unix", Kind::NginxAuthRequest(Socket::Unix)).thorough(),
        entry("nginx-asking-cached", Kind::NginxAuthRequestCached).thorough(),
        entry("envoy-asking-http", Kind::EnvoyExtAuthz(Wire::Http)).thorough(),
        entry("envoy-asking-grpc", Kind::EnvoyExtAuthz(Wire::Grpc)).thorough(),
        entry("node", Kind::Node),
    ]
}

fn users() -> Case {
    let memory = Kind::Gate(Users::MemoryForLong);
    let redis = Kind::Gate(Users::Redis);
    let database = Kind::Gate(Users::Database);
    Case {
        name: "users",
        title: "Where the gate finds the user, 32 connections",
        entries: vec![
            entry("nginx", Kind::Nginx),
            entry("same", memory)
                .label("memory, the same user and token in every request")
                .cookies(Cookies::Same),
            entry("many", memory)
                .label("memory, a different user and token in every request")
                .cookies(Cookies::Many),
            entry("redis", redis)
                .label("Redis, a different user in every request")
                .cookies(Cookies::Many),
            entry("database", database)
                .label("PostgreSQL, a different user in every request")
                .cookies(Cookies::Many),
        ],
    }
}

fn many_routes() -> Case {
    let entries = [
        entry("nginx-routes", Kind::NginxRoutes),
        entry("gate-routes", Kind::GateRoutes),
        entry("nginx", Kind::Nginx).thorough(),
        entry("gate", GATE).label("**sessiongate**, one route"),
    ];
    Case {
        name: "routes",
        title: "1,000 routes on 100 hosts, 32 connections",
        entries: entries.map(|entry| entry.path(routes::PATH)).into(),
    }
}

fn refused() -> Case {
    Case {
        name: "refused",
        title: "Refused requests, 32 connections",
        entries: vec![
            entry("nginx", Kind::Nginx).label("nginx, which refuses no request"),
            entry("permitted", GATE).label("permitted, for comparison"),
            entry("no-cookie", GATE)
                .label("no cookie")
                .cookies(Cookies::None),
            entry("wrong-tag", GATE)
                .label("wrong tag")
                .cookies(Cookies::WrongTag),
        ],
    }
}

fn tls() -> Case {
    Case {
        name: "tls",
        title: "Proxying over TLS 1.3, 32 kept connections; the gate opens the session of every request",
        entries: vec![entry("nginx", Kind::NginxTls), entry("gate", Kind::GateTls)],
    }
}

/// One request for each TLS connection: with full handshakes, or by clients that resume with a ticket.
fn handshakes(resumes: bool) -> Case {
    let load = Load::Handshakes {
        threads: 8,
        resumes,
    };
    let (name, title) = match resumes {
        false => (
            "tls-full",
            "A full TLS 1.3 handshake for every request, ECDSA with P-256, 8 at a time",
        ),
        true => (
            "tls-resumed",
            "A TLS 1.3 handshake resumed with a ticket for every request, 8 at a time",
        ),
    };
    let entries = [entry("nginx", Kind::NginxTls), entry("gate", Kind::GateTls)];
    Case {
        name,
        title,
        entries: entries.map(|entry| entry.load(load)).into(),
    }
}

fn http2() -> Case {
    let title = "HTTP/2 over TLS 1.3, 32 connections with 32 requests under way on each; the gate opens the session of every request";
    streams("http2", title, 32)
}

fn http2_few() -> Case {
    streams(
        "http2-few",
        "HTTP/2 over TLS 1.3, 8 connections with 32 requests under way on each; the gate opens the session of every request",
        8,
    )
}

/// Many requests on each connection, as browsers and HTTP clients send them.
fn streams(name: &'static str, title: &'static str, connections: u32) -> Case {
    let load = Load::Http2 {
        connections,
        streams: 32,
    };
    let kinds = [
        ("nginx", Kind::NginxHttp2),
        ("gate", Kind::GateTls),
        ("caddy", Kind::CaddyTls),
    ];
    let entries = kinds.map(|(key, kind)| entry(key, kind).load(load));
    Case {
        name,
        title,
        entries: entries.into(),
    }
}

/// Unary gRPC calls, without TLS.
fn grpc() -> Case {
    let load = Load::Unary {
        connections: 32,
        streams: 32,
    };
    let kinds = [("envoy", Kind::EnvoyGrpc), ("gate", Kind::GateGrpc)];
    let entries = kinds.map(|(key, kind)| entry(key, kind).load(load).path(unary::PATH));
    Case {
        name: "grpc",
        title: "Unary gRPC, 32 connections with 32 calls under way on each; the gate opens the session of every call",
        entries: entries.into(),
    }
}

fn audit() -> Case {
    Case {
        name: "audit",
        title: "The audit log, 32 connections",
        entries: vec![
            entry("nginx", Kind::Nginx).thorough(),
            entry("on", GATE)
                .label("**sessiongate**, audit log on")
                .thorough(),
            entry("off", Kind::GateUnlogged).thorough(),
        ],
    }
}

fn large() -> Case {
    let kinds = [
        ("nginx", Kind::Nginx),
        ("gate", GATE),
        ("haproxy", Kind::Haproxy),
        ("caddy", Kind::Caddy),
        ("envoy", Kind::Envoy),
    ];
    let entries = kinds.map(|(key, kind)| entry(key, kind).path("/64k").thorough());
    Case {
        name: "large",
        title: "Answers of 64 KiB, 32 connections",
        entries: entries.into(),
    }
}

fn files(name: &'static str, title: &'static str, path: &'static str) -> Case {
    let kinds = [("nginx", Kind::NginxStatic), ("gate", Kind::GateStatic)];
    let entries = kinds.map(|(key, kind)| entry(key, kind).path(path));
    Case {
        name,
        title,
        entries: entries.into(),
    }
}

fn decisions() -> Case {
    Case {
        name: "decisions",
        title: "Decisions over HTTP, 32 connections",
        entries: vec![
            entry("nginx", Kind::NginxReturning(Socket::Tcp)),
            entry("gate", Kind::Decisions(Socket::Tcp)),
        ],
    }
}

fn decisions_h2load() -> Case {
    let http = Load::H2load { connections: 32 };
    let grpc = Load::Grpc { connections: 32 };
    let ways = [
        ("nginx", Kind::NginxReturning(Socket::Tcp), http),
        ("nginx-unix", Kind::NginxReturning(Socket::Unix), http),
        ("gate", Kind::Decisions(Socket::Tcp), http),
        ("gate-unix", Kind::Decisions(Socket::Unix), http),
        ("gate-grpc", Kind::DecisionsGrpc, grpc),
    ];
    let entries = ways.map(|(key, kind, load)| entry(key, kind).load(load).thorough());
    Case {
        name: "decisions-h2load",
        title: "Decisions over HTTP, Unix sockets and gRPC, 32 connections, h2load",
        entries: entries.into(),
    }
}

fn latency() -> Case {
    let paced = Load::Paced { connections: 32 };
    Case {
        name: "latency",
        title: "Latency at 70 % of the throughput of nginx, 32 connections, paced",
        entries: vec![
            entry("nginx", Kind::Nginx).load(paced),
            entry("gate", GATE).load(paced),
            entry("nginx-even", Kind::NginxEven).load(paced).thorough(),
            entry("haproxy", Kind::Haproxy).load(paced).thorough(),
        ],
    }
}

fn cores() -> Case {
    let on = |key, kind, cores, label| entry(key, kind).cores(cores).label(label);
    Case {
        name: "cores",
        title: "One core and two, 32 connections; shared with the load and the upstream",
        entries: vec![
            on("nginx-1", Kind::Nginx, 1, "nginx, one core").thorough(),
            on("nginx-2", Kind::Nginx, 2, "nginx, two cores").thorough(),
            on("gate-1", GATE, 1, "sessiongate, one core"),
            on("gate-2", GATE, 2, "sessiongate, two cores"),
        ],
    }
}

/// An entry with the usual load: a short answer, one session, 32 connections.
fn entry(key: &'static str, kind: Kind) -> Entry {
    Entry {
        key,
        label: kind.label(),
        kind,
        cores: None,
        load: Load::Wrk { connections: 32 },
        path: "/",
        cookies: Cookies::One,
        thorough: false,
    }
}

/// The gate as a proxy, as most cases measure it.
const GATE: Kind = Kind::Gate(Users::Memory);

impl Entry {
    /// Whether every answer must be a refusal.
    pub(crate) fn refused(&self) -> bool {
        let no_session = matches!(self.cookies, Cookies::None | Cookies::WrongTag);
        no_session && self.kind.authenticates()
    }

    fn cookies(self, cookies: Cookies) -> Self {
        Self { cookies, ..self }
    }

    fn cores(self, cores: usize) -> Self {
        let cores = Some(cores);
        Self { cores, ..self }
    }

    fn label(self, label: &'static str) -> Self {
        Self { label, ..self }
    }

    fn load(self, load: Load) -> Self {
        Self { load, ..self }
    }

    fn path(self, path: &'static str) -> Self {
        Self { path, ..self }
    }

    fn thorough(self) -> Self {
        let thorough = true;
        Self { thorough, ..self }
    }
}
