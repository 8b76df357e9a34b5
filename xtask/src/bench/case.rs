//! The cases: who is measured beside whom, doing what.
//!
//! A new case is a few lines in [`all`]; a new kind of server is a variant of [`Kind`] and a configuration in `bench/`.

use super::lab::Cookies;
use super::load::Load;
use super::target::{Kind, Socket, Users, Wire};

/// Servers that are measured in turn, round after round.
#[derive(Debug)]
pub(crate) struct Case {
    pub(crate) name: &'static str,
    pub(crate) title: &'static str,
    /// The first one is the reference for the others.
    pub(crate) entries: Vec<Entry>,
}

/// One server, and what is asked of it.
#[derive(Debug)]
pub(crate) struct Entry {
    /// Its name within the case.
    pub(crate) key: &'static str,
    pub(crate) label: &'static str,
    pub(crate) kind: Kind,
    /// How many cores it gets, unless all.
    pub(crate) cores: Option<usize>,
    pub(crate) load: Load,
    pub(crate) path: &'static str,
    pub(crate) cookies: Cookies,
    /// Whether `--quick` leaves it out.
    thorough: bool,
}

/// Every case; with `quick` those parts that the goals rest on.
pub(crate) fn all(quick: bool) -> Vec<Case> {
    let memory = Kind::Gate(Users::Memory);
    let for_long = Kind::Gate(Users::MemoryForLong);
    let proxies = || {
        vec![
            entry("nginx", "nginx", Kind::Nginx),
            entry("gate", "**sessiongate**", memory),
            entry("haproxy", "HAProxy", Kind::Haproxy),
            entry("caddy", "Caddy", Kind::Caddy),
            entry("envoy", "Envoy", Kind::Envoy),
            entry(
                "nginx-asking",
                "nginx + auth_request → sessiongate",
                Kind::NginxAsking(Socket::Tcp),
            ),
            entry(
                "nginx-asking-unix",
                "the same through a Unix socket",
                Kind::NginxAsking(Socket::Unix),
            )
            .thorough(),
            entry(
                "nginx-asking-cached",
                "the same, decisions kept for 1 s",
                Kind::NginxAskingCached,
            )
            .thorough(),
            entry(
                "envoy-asking-http",
                "Envoy + ext_authz, HTTP → sessiongate",
                Kind::EnvoyAsking(Wire::Http),
            )
            .thorough(),
            entry(
                "envoy-asking-grpc",
                "Envoy + ext_authz, gRPC → sessiongate",
                Kind::EnvoyAsking(Wire::Grpc),
            )
            .thorough(),
            entry("node", "Node.js with @auth/core", Kind::Node),
        ]
    };
    let mut with_predecessor = proxies();
    with_predecessor.push(entry(
        "predecessor",
        "nginx + Lua, a process for each request",
        Kind::Predecessor,
    ));
    let many = proxies()
        .into_iter()
        .map(|entry| entry.load(Load::Wrk { connections: 512 }).thorough());
    let paced = Load::Paced { connections: 32 };
    let h2load = Load::H2load { connections: 32 };
    let mut cases = vec![
        case(
            "proxy",
            "Proxying, 32 connections; who authenticates opens the session of every request, user in memory",
            with_predecessor,
        ),
        case("proxy-512", "The same, 512 connections", many.collect()),
        case(
            "users",
            "Where the user is known from, 32 connections",
            vec![
                entry("nginx", "nginx", Kind::Nginx),
                entry("same", "memory, the same token in every request", for_long)
                    .cookies(Cookies::Same),
                entry(
                    "many",
                    "memory, another token and user in every request",
                    for_long,
                )
                .cookies(Cookies::Many),
                entry(
                    "redis",
                    "Redis, another user in every request",
                    Kind::Gate(Users::Redis),
                )
                .cookies(Cookies::Many),
                entry(
                    "database",
                    "PostgreSQL, another user in every request",
                    Kind::Gate(Users::Database),
                )
                .cookies(Cookies::Many),
            ],
        ),
        case(
            "refused",
            "Requests that are refused, 32 connections",
            vec![
                entry("nginx", "nginx, which refuses none", Kind::Nginx),
                entry("permitted", "permitted, for comparison", memory),
                entry("no-cookie", "no cookie", memory).cookies(Cookies::None),
                entry("wrong-tag", "wrong tag", memory).cookies(Cookies::WrongTag),
            ],
        ),
        case(
            "large",
            "An answer of 64 KiB, 32 connections",
            vec![
                entry("nginx", "nginx", Kind::Nginx).path("/64k").thorough(),
                entry("gate", "**sessiongate**", memory)
                    .path("/64k")
                    .thorough(),
                entry("haproxy", "HAProxy", Kind::Haproxy)
                    .path("/64k")
                    .thorough(),
                entry("caddy", "Caddy", Kind::Caddy).path("/64k").thorough(),
                entry("envoy", "Envoy", Kind::Envoy).path("/64k").thorough(),
            ],
        ),
        case(
            "decisions",
            "Decisions over HTTP, 32 connections",
            vec![
                entry(
                    "nginx",
                    "nginx `return 200`",
                    Kind::NginxReturning(Socket::Tcp),
                ),
                entry("gate", "**sessiongate**", Kind::Decisions(Socket::Tcp)),
            ],
        ),
        case(
            "decisions-h2load",
            "Decisions by other ways, 32 connections, h2load",
            vec![
                entry(
                    "nginx",
                    "nginx `return 200`",
                    Kind::NginxReturning(Socket::Tcp),
                )
                .load(h2load)
                .thorough(),
                entry(
                    "nginx-unix",
                    "nginx `return 200`, Unix socket",
                    Kind::NginxReturning(Socket::Unix),
                )
                .load(h2load)
                .thorough(),
                entry("gate", "sessiongate, HTTP", Kind::Decisions(Socket::Tcp))
                    .load(h2load)
                    .thorough(),
                entry(
                    "gate-unix",
                    "sessiongate, HTTP, Unix socket",
                    Kind::Decisions(Socket::Unix),
                )
                .load(h2load)
                .thorough(),
                entry("gate-grpc", "sessiongate, gRPC", Kind::DecisionsGrpc)
                    .load(Load::Grpc { connections: 32 })
                    .thorough(),
            ],
        ),
        case(
            "latency",
            "Latency at 70 % of what nginx takes, 32 connections, paced",
            vec![
                entry("nginx", "nginx", Kind::Nginx).load(paced),
                entry("gate", "**sessiongate**", memory).load(paced),
            ],
        ),
        case(
            "cores",
            "One core and two, 32 connections; load and upstream take what is left of all cores",
            vec![
                entry("nginx-1", "nginx, one core", Kind::Nginx)
                    .cores(1)
                    .thorough(),
                entry("nginx-2", "nginx, two cores", Kind::Nginx)
                    .cores(2)
                    .thorough(),
                entry("gate-1", "sessiongate, one core", memory).cores(1),
                entry("gate-2", "sessiongate, two cores", memory).cores(2),
            ],
        ),
    ];
    for case in &mut cases {
        case.entries.retain(|entry| !quick || !entry.thorough);
    }
    cases.retain(|case| !case.entries.is_empty());
    cases
}

fn case(name: &'static str, title: &'static str, entries: Vec<Entry>) -> Case {
    Case {
        name,
        title,
        entries,
    }
}

/// A short answer, with a session, under 32 connections.
fn entry(key: &'static str, label: &'static str, kind: Kind) -> Entry {
    Entry {
        key,
        label,
        kind,
        cores: None,
        load: Load::Wrk { connections: 32 },
        path: "/",
        cookies: Cookies::One,
        thorough: false,
    }
}

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
