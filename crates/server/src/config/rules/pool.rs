//! How the servers of a service share its requests, and what becomes of those that fail.

use std::hash::{Hash, Hasher};
use std::num::NonZeroU32;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use rustls::ClientConfig;
use rustls::pki_types::ServerName;

use crate::config::files::ContentDigest;
use wire::proxy_protocol::ProxyVersion;

/// What is configured of a service beside its servers and how long they may take.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct PoolSettings {
    pub(crate) balance: Balance,
    /// How many of 100 requests may be sent a second time.
    pub(crate) retry_percent: u32,
    /// After so many failures in a row a server gets no requests for a while. `None`: it always does.
    pub(crate) eject_after: Option<NonZeroU32>,
    /// How long, the first time.
    pub(crate) eject_time: Duration,
    /// How old a connection may become.
    pub(crate) max_age: Option<Duration>,
    /// For how many seconds servers keep idle connections. `None`: as they say, or as the most impatient do.
    pub(crate) keep_alive: Option<u32>,
    /// How many connections there may be to each server, from all runtimes together.
    pub(crate) max_connections: Option<NonZeroU32>,
    pub(crate) health: Option<HealthSettings>,
    pub(crate) tls: ServiceTls,
    /// In which version of the PROXY protocol servers are told who the client is.
    pub(crate) proxy_protocol: Option<ProxyVersion>,
}

/// Which server gets a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Balance {
    /// The same one for the same user, as long as it is there.
    ByUser,
    /// The one with the fewest requests under way.
    LeastRequests,
    /// Each in its turn.
    RoundRobin,
}

/// How servers are asked whether they are well.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct HealthSettings {
    pub(crate) check: HealthCheck,
    /// How often.
    pub(crate) interval: Duration,
}

/// What a server has to do to be well.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum HealthCheck {
    /// Answer a request for this path with 2xx or 3xx.
    Http(String),
    /// Take a connection.
    Tcp,
}

/// How TLS is spoken with the servers whose URLs begin with `https://`.
#[derive(Clone, Debug, Default)]
pub(crate) struct ServiceTls {
    /// `None` where no server speaks it.
    pub(crate) config: Option<Arc<ClientConfig>>,
    /// The name that certificates must be for, in place of the host of the URL.
    pub(crate) name: Option<ServerName<'static>>,
    /// The files that it was read from, and the keys that name them.
    pub(crate) files: Vec<(&'static str, PathBuf)>,
    /// What was in these files.
    pub(super) contents: Vec<Option<ContentDigest>>,
}

impl PartialEq for ServiceTls {
    fn eq(&self, other: &Self) -> bool {
        let said = |tls: &Self| (tls.config.is_some(), tls.name.clone(), tls.files.clone());
        said(self) == said(other) && self.contents == other.contents
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
