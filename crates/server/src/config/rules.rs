//! The rules of a configuration: routes, and how requests that they match are handled.

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

use gate::{Access, BuiltInProfile, HeaderProfile, PathPattern, Route, Routes};
use http::HeaderValue;
use http1::Length;

pub(super) use self::columns::{RuleColumns, StoreColumns};
pub(super) use self::conditions::active;
pub(crate) use self::pool::{Balance, HealthCheck, HealthSettings, PoolSettings};
pub(super) use self::pool_keys::{ConnectionDefaults, weighted};
pub(super) use self::routes::{BuiltRoutes, RealmColumns, build};
pub(super) use self::services::{Services, of_one_server};
pub(super) use self::unused::realms_without_groups;
use super::cors::AllowedOrigin;
use super::folder::FolderSettings;
use super::limits::RateLimit;
use super::raw_tables::RawTables;
use super::sign_in::SignIn;

/// The routes, and everything that they refer to except realms.
#[derive(Debug)]
pub(crate) struct Rules {
    /// The routes, which decide the rule for a request.
    pub(crate) routes: Routes,
    /// The header profiles.
    pub(crate) profiles: Vec<HeaderProfile>,
    /// How requests are handled, by the id of the route; the last is for requests that match no route.
    pub(crate) handling: Vec<Handling>,
    /// The services.
    pub(crate) services: Vec<ServiceSettings>,
}

/// How requests of a route are handled, apart from the decision.
#[derive(Clone, Debug, Default)]
pub(crate) struct Handling {
    /// The index of the service; `None` if the gate only makes decisions.
    pub(crate) service: Option<usize>,
    /// The index of the realm.
    pub(crate) realm: usize,
    /// The `Host` header for the service, instead of the request's own.
    pub(crate) host: Option<HeaderValue>,
    /// The longest request body in bytes.
    pub(crate) body_limit: Option<u64>,
    /// The rate limits of the route; all of them apply.
    pub(crate) rates: Vec<RateLimit>,
    /// The origins whose pages may read refusals.
    pub(crate) cors_origins: Vec<AllowedOrigin>,
    /// Where browsers are redirected to sign in.
    pub(crate) sign_in: Option<SignIn>,
    /// Whether the service gets a `Via` header.
    pub(crate) via: bool,
    /// Whether responses are marked private, regardless of what the service allows shared caches to store.
    pub(crate) keeps_private: bool,
}

/// A service to which routes send requests.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum ServiceSettings {
    /// A folder whose files are served.
    Folder(FolderSettings),
    /// Servers to which requests are forwarded.
    Upstream(UpstreamSettings),
}

impl ServiceSettings {
    /// The servers, unless the service is a folder.
    pub(crate) fn upstream(&self) -> Option<&UpstreamSettings> {
        match self {
            Self::Folder(_) => None,
            Self::Upstream(upstream) => Some(upstream),
        }
    }
}

/// One or more servers that share the requests.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct UpstreamSettings {
    /// The servers, at least one.
    pub(crate) servers: Vec<ServerSettings>,
    /// The timeout for opening a connection.
    pub(crate) connect_timeout: Duration,
    /// The timeout for a response to begin, and for each further part of it.
    pub(crate) timeout: Duration,
    pub(crate) pool: PoolSettings,
}

/// A server of a service.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct ServerSettings {
    pub(crate) address: ServerAddress,
    /// Its weight: how many requests it gets per request of a server with weight 1.
    pub(crate) weight: u32,
}

/// The address of a server.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum ServerAddress {
    /// HTTP/2 without TLS, at a name or an IP address (without brackets) and a port.
    Http2 { host: String, port: u16 },
    /// HTTP with or without TLS, at a name or an IP address (without brackets) and a port.
    Tcp {
        host: String,
        port: u16,
        secure: bool,
    },
    /// A Unix socket.
    Unix(PathBuf),
}

impl fmt::Display for ServerAddress {
    /// Shows the address as it is configured.
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

/// The timeouts of a service.
#[derive(Clone, Copy, Debug)]
pub(super) struct Timeouts {
    pub(super) connect: Duration,
    pub(super) answer: Duration,
}

/// The defaults for routes.
#[derive(Debug)]
pub(super) struct RouteDefaults {
    pub(super) forwards_session: bool,
    pub(super) via: bool,
    pub(super) cors_origins: Vec<AllowedOrigin>,
    /// Whether a route needs no service, because the gate makes decisions for calling proxies.
    pub(super) decides_for_others: bool,
    /// Whether the service of the top level is invalid, which is reported already.
    pub(super) has_invalid_upstream: bool,
    /// Whether part of a file could not be read, so that names may be defined there.
    pub(super) is_partial: bool,
}

impl Handling {
    /// Whether a body exceeds the limit, if its length is known in advance.
    pub(crate) fn refuses_body(&self, length: Length) -> bool {
        match (length, self.body_limit) {
            (Length::Exactly(bytes), Some(limit)) => bytes > limit,
            (Length::Chunked | Length::UntilClose | Length::Exactly(_), _) => false,
        }
    }
}

impl Rules {
    /// The rules for a single service, which requires a session for everything except `public`; or for no service, if the
    /// gate only makes decisions.
    pub(super) fn of_one_service(
        public: Vec<PathPattern>,
        service: Option<ServiceSettings>,
        defaults: RouteDefaults,
    ) -> Self {
        let routes = Routes::of_one_service(public, defaults.forwards_session);
        let handling = Handling {
            service: service.as_ref().map(|_| 0),
            cors_origins: defaults.cors_origins,
            via: defaults.via,
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
            profiles: vec![BuiltInProfile::Sessiongate.profile().clone()],
            services: service.into_iter().collect(),
        }
    }

    /// Warns about routes that are probably not intended that way.
    pub(super) fn warnings(&self, raw_tables: &RawTables, warnings: &mut Vec<String>) {
        methods::warn_about_unregistered_methods(raw_tables, warnings);
        weaker::warn_about_weaker_routes(raw_tables, &self.routes, warnings);
        unused::warn_about_unused_tables(raw_tables, warnings);
    }

    /// Sets the sign-in page of all routes.
    pub(super) fn set_sign_in_page(&mut self, sign_in: Option<&SignIn>) {
        for handling in &mut self.handling {
            handling.sign_in = sign_in.cloned();
        }
    }
}
