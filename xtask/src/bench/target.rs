//! What is measured, and how each is started.

use anyhow::{Context, Result, ensure};
use harness::{Postgres, free_port, mint};

use super::http::{Address, Connection, get};
use super::lab::{Cookies, Lab, USERS, nginx, user};
use super::service::{Program, Service};
use crate::step::{command, root};

/// A kind of server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Caddy,
    /// The gate's listener for decisions, asked over HTTP as nginx asks.
    Decisions(Socket),
    /// The same listener, asked as Envoy asks over gRPC.
    DecisionsGrpc,
    Envoy,
    /// Envoy that asks the gate.
    EnvoyAsking(Wire),
    /// The gate as a proxy that knows its users from here.
    Gate(Users),
    Haproxy,
    /// nginx as a proxy.
    Nginx,
    /// nginx that asks the gate.
    NginxAsking(Socket),
    /// nginx that asks the gate over TCP, and keeps what it says for a second.
    NginxAskingCached,
    /// nginx that answers by itself.
    NginxReturning(Socket),
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

/// A server that runs, with all that it needs for itself. Stopped on drop.
#[derive(Debug)]
pub(crate) struct Target {
    pub(crate) kind: Kind,
    pub(crate) cores: Option<usize>,
    pub(crate) address: Address,
    services: Vec<Service>,
}

impl Kind {
    /// Whether it lets only sessions in.
    pub(crate) fn authenticates(self) -> bool {
        match self {
            Self::Caddy | Self::Envoy | Self::Haproxy | Self::Nginx | Self::NginxReturning(_) => {
                false
            }
            Self::Decisions(_)
            | Self::DecisionsGrpc
            | Self::EnvoyAsking(_)
            | Self::Gate(_)
            | Self::NginxAsking(_)
            | Self::NginxAskingCached
            | Self::Node
            | Self::Predecessor => true,
        }
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

    /// Starts it, on so many cores, or on all.
    ///
    /// # Errors
    /// When it does not come up.
    pub(crate) fn start(self, cores: Option<usize>, lab: &Lab) -> Result<Target> {
        let start = Start {
            lab,
            cores: cores.unwrap_or(lab.cores),
            pinned: cores.map(|cores| format!("0-{}", cores - 1)),
        };
        let port = free_port();
        let tcp = Address::Tcp(port);
        let (address, services) = match self {
            Self::Caddy => {
                let words = "caddy run --adapter caddyfile --config CONFIGURATION";
                let caddy = start.configured("caddy", words, "Caddyfile", port, None)?;
                (tcp, vec![caddy])
            }
            Self::Decisions(socket) => start.decisions(socket)?,
            Self::DecisionsGrpc => start.decisions(Socket::Tcp)?,
            Self::Envoy => (tcp, vec![start.envoy("envoy.yaml", port, None)?]),
            Self::EnvoyAsking(wire) => {
                let (gate, mut services) = start.decisions(Socket::Tcp)?;
                let configuration = match wire {
                    Wire::Grpc => "envoy-ext-authz-grpc.yaml",
                    Wire::Http => "envoy-ext-authz-http.yaml",
                };
                services.push(start.envoy(configuration, port, Some(&gate))?);
                (tcp, services)
            }
            Self::Gate(users) => {
                let gate = start.gate(
                    users,
                    vec![
                        ("LISTEN", tcp.to_string()),
                        ("UPSTREAM", format!("http://{}", lab.upstream())),
                    ],
                    &tcp,
                )?;
                (tcp, vec![gate])
            }
            Self::Haproxy => {
                let words = "haproxy -db -f CONFIGURATION";
                (
                    tcp,
                    vec![start.configured("haproxy", words, "haproxy.cfg", port, None)?],
                )
            }
            Self::Nginx => (tcp, vec![start.nginx("nginx.conf", port, None)?]),
            Self::NginxAsking(socket) => {
                let (gate, mut services) = start.decisions(socket)?;
                services.push(start.nginx("nginx-auth-request.conf", port, Some(&gate))?);
                (tcp, services)
            }
            Self::NginxAskingCached => {
                let (gate, mut services) = start.decisions(Socket::Tcp)?;
                services.push(start.nginx("nginx-auth-request-cached.conf", port, Some(&gate))?);
                (tcp, services)
            }
            Self::NginxReturning(socket) => {
                let address = start.address(socket);
                let nginx = lab.answering_nginx(&address, start.cores)?;
                (address, vec![nginx])
            }
            Self::Node => {
                let server = root().join("bench/node/server.mjs");
                let program = Program {
                    name: "node",
                    words: vec!["node".to_owned(), server.display().to_string()],
                    environment: vec![
                        ("AUTH_SECRET", mint::SECRET.to_owned()),
                        ("CORES", start.cores.to_string()),
                        ("LISTEN", tcp.to_string()),
                        ("UPSTREAM", lab.upstream()),
                    ],
                    cores: start.pinned.clone(),
                };
                let node = lab.start_plain(&program, &tcp)?;
                (tcp, vec![node])
            }
            Self::Predecessor => (
                tcp,
                vec![start.nginx("predecessor/nginx.conf", port, None)?],
            ),
        };
        Ok(Target {
            kind: self,
            cores,
            address,
            services,
        })
    }
}

/// How a target is started.
struct Start<'a> {
    lab: &'a Lab,
    cores: usize,
    pinned: Option<String>,
}

impl Start<'_> {
    /// The gate as a listener for decisions.
    fn decisions(&self, socket: Socket) -> Result<(Address, Vec<Service>)> {
        let address = self.address(socket);
        let settings = vec![
            ("AUTH_LISTEN", address.to_string()),
            // The workers of an nginx that root has started are somebody else.
            ("AUTH_SOCKET_MODE", "666".to_owned()),
        ];
        let gate = self.gate(Users::Memory, settings, &address)?;
        Ok((address, vec![gate]))
    }

    fn gate(
        &self,
        users: Users,
        settings: Vec<(&str, String)>,
        address: &Address,
    ) -> Result<Service> {
        let mut environment = vec![
            ("ADMIN_LISTEN", "127.0.0.1:0".to_owned()),
            ("AUTH_SECRET", mint::SECRET.to_owned()),
            ("DATABASE_URL", self.lab.postgres.url(Postgres::DATABASE)),
            ("ENABLE_DB_CHECK", "true".to_owned()),
            ("WORKERS", self.cores.to_string()),
        ];
        let forget = ("MEMORY_CACHE_TTL", "0".to_owned());
        match users {
            Users::Database => environment.push(forget),
            Users::Memory => {}
            Users::MemoryForLong => environment.push(("MEMORY_CACHE_TTL", "86400".to_owned())),
            Users::Redis => {
                environment.push(forget);
                environment.push(("REDIS_URL", self.lab.redis.url()));
                environment.push(("REDIS_CACHE_TTL", "86400".to_owned()));
            }
        }
        environment.extend(settings);
        let program = Program {
            name: "sessiongate",
            words: vec![self.lab.gate.display().to_string(), "serve".to_owned()],
            environment,
            cores: self.pinned.clone(),
        };
        self.lab.start_plain(&program, address)
    }

    fn nginx(&self, configuration: &str, port: u16, gate: Option<&Address>) -> Result<Service> {
        self.configured("nginx", &nginx().join(" "), configuration, port, gate)
    }

    fn envoy(&self, configuration: &str, port: u16, gate: Option<&Address>) -> Result<Service> {
        let envoy = root().join("target/tools/envoy/envoy/_bin/envoy");
        let words = format!(
            "{} --config-path CONFIGURATION --concurrency {} --disable-hot-restart --log-level warn",
            envoy.display(),
            self.cores
        );
        self.configured("envoy", &words, configuration, port, gate)
    }

    /// Starts a program with a configuration that is told where to listen and whom to ask.
    fn configured(
        &self,
        name: &str,
        words: &str,
        configuration: &str,
        port: u16,
        gate: Option<&Address>,
    ) -> Result<Service> {
        let address = Address::Tcp(port);
        let upstream = self.lab.upstream();
        let port_of = |address: &str| address.rsplit(':').next().unwrap_or_default().to_owned();
        let gate = gate.map(Address::to_string).unwrap_or_default();
        let values = [
            ("CORES", self.cores.to_string()),
            (
                "FOLDER",
                root().join("bench/predecessor").display().to_string(),
            ),
            ("GATE_PORT", port_of(&gate)),
            ("GATE", gate),
            ("LISTEN", address.to_string()),
            ("PORT", port.to_string()),
            ("UPSTREAM_PORT", port_of(&upstream)),
            ("UPSTREAM", upstream),
        ];
        let program = Program {
            name,
            words: words.split(' ').map(str::to_owned).collect(),
            environment: vec![("AUTH_SECRET", mint::SECRET.to_owned())],
            cores: self.pinned.clone(),
        };
        self.lab.start(program, configuration, &values, &address)
    }

    fn address(&self, socket: Socket) -> Address {
        let port = free_port();
        match socket {
            Socket::Tcp => Address::Tcp(port),
            Socket::Unix => Address::Unix(self.lab.folder().join(format!("{port}.sock"))),
        }
    }
}

impl Target {
    /// The processes that are accounted to it.
    pub(crate) fn processes(&self) -> Vec<u32> {
        self.services.iter().map(Service::id).collect()
    }

    /// Sees that it does what it is measured doing: that what it lets in reaches the upstream whole and, when it
    /// authenticates, under the user's name; and that then nothing without a session gets in.
    ///
    /// # Errors
    /// When it does not.
    pub(crate) fn verify(&self, lab: &Lab) -> Result<()> {
        if self.kind == Kind::DecisionsGrpc {
            return self.verify_calls(lab);
        }
        let (kind, user) = (self.kind, user(0));
        let request = |path: &str, cookies: Cookies| {
            let mut headers = kind.headers();
            if let Some(cookie) = lab.first_cookie(cookies)? {
                headers.push(("Cookie".to_owned(), cookie));
            }
            anyhow::Ok(get(kind.path(path), &headers))
        };
        // Some answers to refused requests have no length, which a connection does not survive.
        let connect = || Connection::open(&self.address);
        if kind.authenticates() {
            for cookies in [Cookies::None, Cookies::WrongTag] {
                let mut connection = connect()?;
                let status = connection.ask(&request("/", cookies)?)?.status;
                ensure!(status == 401, "{kind:?} answers {status} to {cookies:?}");
            }
        }
        let mut connection = connect()?;
        let seen = connection.ask(&request("/seen", Cookies::One)?)?;
        ensure!(seen.status == 200, "{kind:?} answers {}", seen.status);
        if let Kind::Decisions(_) = kind {
            let said = seen.header("x-user-id");
            ensure!(said == Some(&user), "{kind:?} says it is {said:?}");
            return Ok(());
        }
        let said = String::from_utf8_lossy(seen.body);
        let expected = if kind.authenticates() { &user } else { "" };
        ensure!(said == expected, "the upstream of {kind:?} saw {said:?}");
        for (path, length) in [("/", 72), ("/64k", 64 * 1024)] {
            let answered = connection.ask(&request(path, Cookies::One)?)?.body.len();
            ensure!(
                answered == length,
                "{kind:?} answers {answered} bytes at {path}"
            );
        }
        Ok(())
    }

    /// The same, by gRPC: every answer is 200, and only its body says what is meant.
    fn verify_calls(&self, lab: &Lab) -> Result<()> {
        for (cookies, enters) in [(Cookies::One, true), (Cookies::WrongTag, false)] {
            let body = lab.folder().join("call");
            std::fs::write(&body, lab.call(cookies)?)?;
            let mut nghttp = command(
                "nghttp --header=te:trailers --header=content-type:application/grpc --data",
            );
            nghttp
                .arg(body)
                .arg(format!("http://{}{}", self.address, self.kind.path("/")));
            let nghttp = nghttp.output().context("cannot start nghttp")?;
            let said = String::from_utf8_lossy(&nghttp.stdout);
            ensure!(
                said.contains(&user(0)) == enters,
                "a call with {cookies:?} says {said:?}"
            );
        }
        Ok(())
    }

    /// Has every user looked up once, so that they are remembered.
    ///
    /// # Errors
    /// When one is refused.
    pub(crate) fn meet_everybody(&self, lab: &Lab) -> Result<()> {
        let cookies = std::fs::read_to_string(lab.cookies(Cookies::Many))?;
        let cookies: Vec<_> = cookies.lines().collect();
        std::thread::scope(|scope| {
            let threads = cookies.chunks(USERS / 8).map(|cookies| {
                scope.spawn(move || {
                    let mut connection = Connection::open(&self.address)?;
                    for cookie in cookies {
                        let headers = [("Cookie".to_owned(), (*cookie).to_owned())];
                        let status = connection.ask(&get("/", &headers))?.status;
                        ensure!(status == 200, "{:?} answers {status}", self.kind);
                    }
                    Ok(())
                })
            });
            let threads: Vec<_> = threads.collect();
            threads
                .into_iter()
                .try_for_each(|thread| thread.join().ok().context("a thread failed")?)
        })
    }
}
