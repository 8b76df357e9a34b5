//! The settings of a service's servers: how they share requests, and how failures are handled.

use std::hash::{Hash, Hasher};
use std::num::NonZeroU32;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use rustls::ClientConfig;
use rustls::pki_types::ServerName;

use crate::config::files::ContentDigest;
use wire::proxy_protocol::ProxyVersion;

/// The settings of a service's servers and of the connections to them.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct PoolSettings {
    pub(crate) balance: Balance,
    /// How many requests in 100 may be retried.
    pub(crate) retry_percent: u32,
    /// The number of consecutive failures after which a server gets no requests for a while. `None`: never.
    pub(crate) eject_after: Option<NonZeroU32>,
    /// How long an ejected server gets no requests, the first time.
    pub(crate) eject_time: Duration,
    /// The age after which a connection is no longer reused.
    pub(crate) max_age: Option<Duration>,
    /// How many seconds servers keep idle connections open. `None`: as long as their `Keep-Alive` says, or a short default.
    pub(crate) keep_alive: Option<u32>,
    /// The most connections to each server, from all runtimes together.
    pub(crate) max_connections: Option<NonZeroU32>,
    pub(crate) health: Option<HealthSettings>,
    pub(crate) tls: ServiceTls,
    /// The version of the PROXY protocol that tells servers the client's address.
    pub(crate) proxy_protocol: Option<ProxyVersion>,
}

/// How the server for a request is chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Balance {
    /// Always the same server for a user, as long as it is available.
    ByUser,
    /// The server with the fewest requests in progress.
    LeastRequests,
    /// Each server in turn.
    RoundRobin,
}

/// The settings of health checks.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct HealthSettings {
    pub(crate) check: HealthCheck,
    /// The interval between checks, and the timeout of each.
    pub(crate) interval: Duration,
}

/// What a server must do to be healthy.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum HealthCheck {
    /// Answer a GET of this path with 2xx or 3xx.
    Http(String),
    /// Accept a connection.
    Tcp,
}

/// The TLS settings for servers whose URLs begin with `https://`.
#[derive(Clone, Debug, Default)]
pub(crate) struct ServiceTls {
    /// The TLS client configuration; `None` if no server uses TLS.
    pub(crate) config: Option<Arc<ClientConfig>>,
    /// The name to expect in certificates, instead of the URL's host.
    pub(crate) name: Option<ServerName<'static>>,
    /// The files used, each with the key that names it.
    pub(crate) files: Vec<(&'static str, PathBuf)>,
    /// The digests of these files.
    pub(super) contents: Vec<Option<ContentDigest>>,
}

impl PartialEq for ServiceTls {
    fn eq(&self, other: &Self) -> bool {
        let comparable = |tls: &Self| (tls.config.is_some(), tls.name.clone(), tls.files.clone());
        comparable(self) == comparable(other) && self.contents == other.contents
    }
}

impl Eq for ServiceTls {}

impl Hash for ServiceTls {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.config.is_some().hash(state);
        self.name.hash(state);
        self.files.hash(state);
    }
}

impl Default for PoolSettings {
    fn default() -> Self {
        Self {
            balance: Balance::RoundRobin,
            retry_percent: 20,
            eject_after: NonZeroU32::new(3),
            eject_time: Duration::from_secs(10),
            max_age: Some(Duration::from_secs(300)),
            keep_alive: None,
            max_connections: None,
            health: None,
            tls: ServiceTls::default(),
            proxy_protocol: None,
        }
    }
}
