//! How each kind of server is started.

use std::path::Path;

use anyhow::Result;
use harness::{Postgres, free_port, mint};
use xtask::step::root;

use super::http::Address;
use super::kind::{Kind, Socket, Users, Wire};
use super::lab::{Lab, nginx};
use super::routes;
use super::service::{Program, Service};
use super::target::Target;

/// Starts a server of this kind that allows this many connections, on all cores or, with an upstream of its own, on the
/// first `cores`.
///
/// # Errors
/// When the server does not start.
pub(crate) fn start(
    kind: Kind,
    cores: Option<usize>,
    connections: usize,
    lab: &Lab,
) -> Result<Target> {
    let (upstream, own_upstream) = match cores {
        None if kind.speaks_grpc() => (lab.grpc_service(), None),
        None => (lab.upstream(), None),
        Some(_) => {
            let address = Address::Tcp(free_port());
            let upstream = lab.another_upstream(&address, cores)?;
            (address, Some(upstream))
        }
    };
    let start = Start {
        lab,
        cores,
        connections,
        listen_options: if kind == Kind::NginxEven {
            " reuseport"
        } else {
            ""
        },
        upstream: upstream.to_string(),
    };
    let (address, services) = start.server(kind)?;
    Ok(Target {
        kind,
        cores,
        address,
        services,
        _own_upstream: own_upstream,
    })
}

/// Starts a gate with TLS in front of this service.
///
/// # Errors
/// When the server does not start.
pub(crate) fn start_before(upstream: &Address, lab: &Lab) -> Result<Target> {
    let start = Start {
        lab,
        cores: None,
        connections: FEW,
        listen_options: "",
        upstream: upstream.to_string(),
    };
    let kind = Kind::GateTls;
    let (address, services) = start.server(kind)?;
    Ok(Target {
        kind,
        cores: None,
        address,
        services,
        _own_upstream: None,
    })
}

/// The parameters with which a target is started.
struct Start<'a> {
    lab: &'a Lab,
    cores: Option<usize>,
    connections: usize,
    /// The options behind the listen address in a configuration.
    listen_options: &'static str,
    /// `host:port`.
    upstream: String,
}

impl Start<'_> {
    /// Starts a server of this kind; returns its address and its programs.
    fn server(&self, kind: Kind) -> Result<(Address, Vec<Service>)> {
        let port = free_port();
        let tcp = Address::Tcp(port);
        Ok(match kind {
            Kind::Caddy => {
                let words = "caddy run --adapter caddyfile --config CONFIGURATION";
                let caddy = self.configured("caddy", words, "Caddyfile", port, None)?;
                (tcp, vec![caddy])
            }
            Kind::CaddyTls => {
                let words = "caddy run --adapter caddyfile --config CONFIGURATION";
                let caddy = self.configured("caddy", words, "Caddyfile-tls", port, None)?;
                (tcp, vec![caddy])
            }
            Kind::Decisions(socket) => self.decisions(socket)?,
            Kind::DecisionsGrpc => self.decisions(Socket::Tcp)?,
            Kind::Envoy => (tcp, vec![self.envoy("envoy.yaml", port, None)?]),
            Kind::EnvoyGrpc => (tcp, vec![self.envoy("envoy-grpc.yaml", port, None)?]),
            Kind::EnvoyExtAuthz(wire) => {
                let (gate, mut services) = self.decisions(Socket::Tcp)?;
                let configuration = match wire {
                    Wire::Grpc => "envoy-ext-authz-grpc.yaml",
                    Wire::Http => "envoy-ext-authz-http.yaml",
                };
                services.push(self.envoy(configuration, port, Some(&gate))?);
                (tcp, services)
            }
            Kind::Gate(users) => {
                let gate = self.proxy(users, Vec::new(), &tcp)?;
                (tcp, vec![gate])
            }
            Kind::GateGrpc => {
                let service = ("UPSTREAM", format!("grpc://{}", self.upstream));
                let gate = self.proxy(Users::Memory, vec![service], &tcp)?;
                (tcp, vec![gate])
            }
            Kind::GateRoutes => {
                let file = self.lab.file("routes.toml", &routes::for_gate())?;
                let file = ("SESSIONGATE_CONFIG", file);
                let gate = self.proxy(Users::Memory, vec![file], &tcp)?;
                (tcp, vec![gate])
            }
            Kind::GateTls => {
                let gate = self.proxy(Users::Memory, self.certificate(), &tcp)?;
                (tcp, vec![gate])
            }
            Kind::GateStatic => {
                let folder = ("UPSTREAM", format!("dir:{}", self.lab.files().display()));
                let gate = self.proxy(Users::Memory, vec![folder], &tcp)?;
                (tcp, vec![gate])
            }
            Kind::GateUnlogged => {
                let off = ("AUDIT_LOG", "false".to_owned());
                let gate = self.proxy(Users::Memory, vec![off], &tcp)?;
                (tcp, vec![gate])
            }
            Kind::Haproxy => {
                let words = "haproxy -db -f CONFIGURATION";
                (
                    tcp,
                    vec![self.configured("haproxy", words, "haproxy.cfg", port, None)?],
                )
            }
            Kind::Nginx | Kind::NginxEven => (tcp, vec![self.nginx("nginx.conf", port, None)?]),
            Kind::NginxAuthRequest(socket) => {
                let (gate, mut services) = self.decisions(socket)?;
                services.push(self.nginx("nginx-auth-request.conf", port, Some(&gate))?);
                (tcp, services)
            }
            Kind::NginxAuthRequestCached => {
                let (gate, mut services) = self.decisions(Socket::Tcp)?;
                services.push(self.nginx("nginx-auth-request-cached.conf", port, Some(&gate))?);
                (tcp, services)
            }
            Kind::NginxReturning(socket) => {
                let address = self.address(socket);
                let nginx = self.lab.another_upstream(&address, self.cores)?;
                (address, vec![nginx])
            }
            Kind::NginxHttp2 => (tcp, vec![self.nginx("nginx-http2.conf", port, None)?]),
            Kind::NginxRoutes => (tcp, vec![self.nginx("nginx-routes.conf", port, None)?]),
            Kind::NginxStatic => (tcp, vec![self.nginx("nginx-static.conf", port, None)?]),
            Kind::NginxTls => (tcp, vec![self.nginx("nginx-tls.conf", port, None)?]),
            Kind::NginxHeaders => (tcp, vec![self.nginx("nginx-headers.conf", port, None)?]),
            Kind::Node => {
                let server = root().join("bench/node/server.mjs");
                let program = Program {
                    name: "node",
                    words: vec!["node".to_owned(), server.display().to_string()],
                    environment: vec![
                        ("AUTH_SECRET", mint::SECRET.to_owned()),
                        ("CORES", self.workers()),
                        ("LISTEN", tcp.to_string()),
                        ("UPSTREAM", self.upstream.clone()),
                    ],
                    cores: self.cores,
                };
                let node = self.lab.start_plain(&program, &tcp)?;
                (tcp, vec![node])
            }
            Kind::Predecessor => (tcp, vec![self.nginx("predecessor/nginx.conf", port, None)?]),
        })
    }

    /// Returns the TLS settings of a gate.
    fn certificate(&self) -> Vec<(&'static str, String)> {
        let pair = &self.lab.certificate;
        let shown = |path: &Path| path.display().to_string();
        vec![
            ("TLS_CERT_FILE", shown(&pair.certificate)),
            ("TLS_KEY_FILE", shown(&pair.key)),
        ]
    }

    /// Starts the gate with a listener for decisions.
    fn decisions(&self, socket: Socket) -> Result<(Address, Vec<Service>)> {
        let address = self.address(socket);
        let settings = vec![
            ("AUTH_LISTEN", address.to_string()),
            // The workers of an nginx that root has started run as another user.
            ("AUTH_SOCKET_MODE", "666".to_owned()),
        ];
        let gate = self.gate(Users::Memory, settings, &address)?;
        Ok((address, vec![gate]))
    }

    /// Starts the gate as a proxy.
    fn proxy(
        &self,
        users: Users,
        more: Vec<(&'static str, String)>,
        address: &Address,
    ) -> Result<Service> {
        let mut settings = vec![
            ("LISTEN", address.to_string()),
            ("UPSTREAM", format!("http://{}", self.upstream)),
        ];
        settings.extend(more);
        self.gate(users, settings, address)
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
            ("WORKERS", self.workers()),
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
            cores: self.cores,
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
            self.workers()
        );
        self.configured("envoy", &words, configuration, port, gate)
    }

    /// Starts a program with a configuration whose placeholders name its address, its upstream and the gate to ask.
    fn configured(
        &self,
        name: &str,
        words: &str,
        configuration: &str,
        port: u16,
        gate: Option<&Address>,
    ) -> Result<Service> {
        let address = Address::Tcp(port);
        let port_of = |address: &str| address.rsplit(':').next().unwrap_or_default().to_owned();
        let gate = gate.map(Address::to_string).unwrap_or_default();
        let values = [
            (
                "CERTIFICATE",
                self.lab.certificate.certificate.display().to_string(),
            ),
            ("CONNECTIONS", self.connections.to_string()),
            ("CORES", self.workers()),
            (
                "FOLDER",
                root().join("bench/predecessor").display().to_string(),
            ),
            ("FILES", self.lab.files().display().to_string()),
            ("GATE_PORT", port_of(&gate)),
            ("GATE", gate),
            ("KEY", self.lab.certificate.key.display().to_string()),
            ("LISTEN", format!("{address}{}", self.listen_options)),
            ("COUNT", routes::COUNT.to_string()),
            ("PORT", port.to_string()),
            ("SERVERS", routes::for_nginx(&address.to_string())),
            ("UPSTREAM_PORT", port_of(&self.upstream)),
            ("UPSTREAM", self.upstream.clone()),
        ];
        let program = Program {
            name,
            words: words.split(' ').map(str::to_owned).collect(),
            environment: vec![("AUTH_SECRET", mint::SECRET.to_owned())],
            cores: self.cores,
        };
        self.lab.start(program, configuration, &values, &address)
    }

    /// Returns the number of threads or processes of a server: one for each core.
    fn workers(&self) -> String {
        self.cores.unwrap_or(self.lab.cores).to_string()
    }

    fn address(&self, socket: Socket) -> Address {
        let port = free_port();
        match socket {
            Socket::Tcp => Address::Tcp(port),
            Socket::Unix => Address::Unix(self.lab.folder().join(format!("{port}.sock"))),
        }
    }
}

/// Enough connections for most cases.
pub(crate) const FEW: usize = 4_096;

/// More connections than a crowd has.
pub(crate) const CROWDED: usize = 14_000;
