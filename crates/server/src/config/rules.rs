//! Routes as configured, and what becomes of requests that enter by them.

mod columns;
mod conditions;
mod header_names;
mod methods;
mod pool;
mod pool_keys;
mod profiles;
mod routes;
mod services;
mod unused;
mod weaker;

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use gate::{Access, HeaderProfile, IdentityHeaders, PathPattern, Route, Routes};
use http::HeaderValue;
use http1::Length;

pub(super) use self::columns::{RuleColumns, StoreColumns};
pub(super) use self::conditions::active;
pub(crate) use self::pool::{Balance, HealthCheck, HealthSettings, PoolSettings};
pub(super) use self::pool_keys::{UsualPool, weighted};
pub(super) use self::routes::{BuiltRoutes, RealmNames, make};
pub(super) use self::services::{Services, of_one_server};
pub(super) use self::unused::realms_without_groups;
use super::cors::AllowedOrigin;
use super::folder::FolderSettings;
use super::limits::RateLimit;
use super::sign_in::SignIn;
use super::stack::Stack;

/// The routes, and everything that they refer to beside realms.
#[derive(Debug)]
pub(crate) struct Rules {
    /// Which rule governs a request.
    pub(crate) routes: Routes,
    /// Under which names identities are written.
    pub(crate) profiles: Vec<HeaderProfile>,
    /// What becomes of a request, by the id of its route; the last is for requests that no route matches.
    pub(crate) handling: Vec<Handling>,
    /// Where requests go.
    pub(crate) services: Vec<ServiceSettings>,
}

/// What becomes of a request beside the decision.
#[derive(Clone, Debug, Default)]
pub(crate) struct Handling {
    /// Where it goes, by its place among the services; `None` where only decisions are made.
    pub(crate) service: Option<usize>,
    /// The realm whose users come by it, by its place among the realms.
    pub(crate) realm: usize,
    /// The host that the service is asked for, in place of the request's own.
    pub(crate) host: Option<HeaderValue>,
    /// How many bytes its body may have.
    pub(crate) body_limit: Option<u64>,
    /// How often it may be asked for: all of these.
    pub(crate) rates: Vec<RateLimit>,
    /// The origins whose pages may read our refusals.
    pub(crate) cors_origins: Vec<AllowedOrigin>,
    /// Where people are sent to sign in.
    pub(crate) sign_in: Option<SignIn>,
    /// Whether the service hears that the request came through us.
    pub(crate) via: bool,
    /// Whether answers are for their users alone, whatever the service says to shared caches.
    pub(crate) keeps_private: bool,
}

/// A service.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum ServiceSettings {
    /// A folder, whose files are sent.
    Folder(FolderSettings),
    /// Servers, to which requests are passed on.
    Upstream(UpstreamSettings),
}

impl ServiceSettings {
    /// Its servers, if it has any.
    pub(crate) fn upstream(&self) -> Option<&UpstreamSettings> {
        match self {
            Self::Folder(_) => None,
            Self::Upstream(upstream) => Some(upstream),
        }
    }
}

/// One server or several, which share the requests.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct UpstreamSettings {
    /// At least one.
    pub(crate) servers: Vec<ServerSettings>,
    /// How long a connection may take to open.
    pub(crate) connect_timeout: Duration,
    /// How long an answer may take to begin, and pause between two pieces of its body.
    pub(crate) timeout: Duration,
    pub(crate) pool: PoolSettings,
}

/// A server of a service.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct ServerSettings {
    pub(crate) address: ServerAddress,
    /// How many requests it gets where one with the weight 1 gets one.
    pub(crate) weight: u32,
}

/// Where a server of a service is.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum ServerAddress {
    /// Where HTTP/2 is spoken in the clear: behind a name or an address, without brackets, and a port.
    Http2 { host: String, port: u16 },
    /// Behind a name or an address, without brackets, and a port, with TLS or without.
    Tcp {
        host: String,
        port: u16,
        secure: bool,
    },
    /// Behind a Unix socket.
    Unix(PathBuf),
}

impl fmt::Display for ServerAddress {
    /// As it is configured.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (scheme, host, port) = match self {
            Self::Http2 { host, port } => ("h2c", host, port),
            Self::Tcp { host, port, secure } => {
                (if *secure { "https" } else { "http" }, host, port)
            }
            Self::Unix(path) => return write!(f, "unix:{}", path.display()),
        };
        match host.contains(':') {
            true => write!(f, "{scheme}://[{host}]:{port}"),
            false => write!(f, "{scheme}://{host}:{port}"),
        }
    }
}

/// How long a service may take.
#[derive(Clone, Copy, Debug)]
pub(super) struct Timeouts {
    pub(super) connect: Duration,
    pub(super) answer: Duration,
}

/// What routes may leave out.
#[derive(Debug)]
pub(super) struct Usual {
    pub(super) forwards_session: bool,
    pub(super) via: bool,
    pub(super) cors_origins: Vec<AllowedOrigin>,
    /// Whether a route may do without a service, because decisions are made for others.
    pub(super) decides_for_others: bool,
    /// Whether the top level names a service in a way that cannot be read, and has been told so.
    pub(super) has_wrong_upstream: bool,
    /// Whether a part of a file could not be read. What is named may be there.
    pub(super) is_partial: bool,
}

impl Handling {
    /// Whether a body is larger than it may be, as far as its length is known beforehand.
    pub(crate) fn refuses_body(&self, length: Length) -> bool {
        match (length, self.body_limit) {
            (Length::Exactly(bytes), Some(limit)) => bytes > limit,
            (Length::Chunked | Length::UntilClose | Length::Exactly(_), _) => false,
        }
    }
}

impl Rules {
    /// One service, all of which but `public` demands a session; or none, where only decisions are made.
    pub(super) fn of_one_service(
        public: Vec<PathPattern>,
        service: Option<ServiceSettings>,
        usual: Usual,
    ) -> Self {
        let routes = Routes::of_one_service(public, usual.forwards_session);
        let handling = Handling {
            service: service.as_ref().map(|_| 0),
            cors_origins: usual.cors_origins,
            via: usual.via,
            ..Handling::default()
        };
        let of_route = |route: &Route| Handling {
            keeps_private: route.access != Access::Public,
            ..handling.clone()
        };
        let mut of_routes: Vec<_> = routes.all().iter().map(of_route).collect();
        of_routes.push(handling);
        Self {
            handling: of_routes,
            routes,
            profiles: vec![IdentityHeaders::Ours.profile().clone()],
            services: service.into_iter().collect(),
        }
    }

    /// Says of what routes there are, and of what they leave out, what is hardly meant.
    pub(super) fn doubts(&self, stack: &Stack, warnings: &mut Vec<String>) {
        methods::name_unusual(stack, warnings);
        weaker::name_them(stack, &self.routes, warnings);
        unused::name_tables(stack, warnings);
    }

    /// Sends people whom any route refuses for want of a session to this page.
    pub(super) fn send_to_sign_in(&mut self, sign_in: Option<&SignIn>) {
        for handling in &mut self.handling {
            handling.sign_in = sign_in.cloned();
        }
    }
}
