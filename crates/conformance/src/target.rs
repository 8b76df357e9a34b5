//! The gateway under test.

use std::net::SocketAddr;
use std::time::Duration;

use crate::profile::Profile;

/// The gateway under test. It must be configured to forward everything to `upstream`, make everything below `public_path` public,
/// and demand a session for everything else.
#[derive(Clone, Debug)]
pub struct Target {
    /// The address on which it accepts requests.
    pub proxy: SocketAddr,
    /// The address on which it accepts cleartext HTTP/2. Without it, `proxy` is tried.
    pub http2: Option<SocketAddr>,
    /// The address of its upstream, where the recorder listens.
    pub upstream: SocketAddr,
    /// The value of `Host`.
    pub host: String,
    /// The folder that needs no session, such as `/public/`.
    pub public_path: String,
    /// A path that needs a session, such as `/private`.
    pub protected_path: String,
    /// The cookie of a session, `name=value`.
    pub cookie: Option<String>,
    /// The user of that session, as in the first identity header.
    pub user: Option<String>,
    /// The kind of gateway.
    pub profile: &'static Profile,
    /// Its identity headers, in place of the profile's; the first one names the user.
    pub identity_headers: Vec<String>,
    /// Its forward-auth endpoint: address, and path with query.
    pub check: Option<(SocketAddr, String)>,
    /// The time after which it must have disconnected a slow client.
    pub slow_limit: Option<Duration>,
    /// The time after which an exchange is considered to hang.
    pub timeout: Duration,
    /// Whether addresses outside of this machine may be used.
    pub may_be_remote: bool,
}

impl Target {
    /// Describes a gateway on this machine, with the paths `/public/` and `/private`.
    pub fn new(profile: &'static Profile, proxy: SocketAddr, upstream: SocketAddr) -> Self {
        Self {
            proxy,
            http2: None,
            upstream,
            host: proxy.to_string(),
            public_path: "/public/".to_owned(),
            protected_path: "/private".to_owned(),
            cookie: None,
            user: None,
            profile,
            identity_headers: profile
                .identity
                .iter()
                .copied()
                .map(str::to_owned)
                .collect(),
            check: None,
            slow_limit: None,
            timeout: Duration::from_secs(2),
            may_be_remote: false,
        }
    }

    /// Returns an address outside of this machine, which may not be used without consent.
    pub(crate) fn remote_address(&self) -> Option<SocketAddr> {
        let check = self.check.as_ref().map(|(address, _)| *address);
        let all = [Some(self.proxy), Some(self.upstream), self.http2, check];
        all.into_iter()
            .flatten()
            .find(|address| !address.ip().is_loopback() && !self.may_be_remote)
    }

    /// Returns the public path with a slash at its end.
    pub(crate) fn public_folder(&self) -> String {
        format!("{}/", self.public_path.trim_end_matches('/'))
    }

    /// Returns the protected path without a slash at its end.
    pub(crate) fn protected(&self) -> &str {
        self.protected_path.trim_end_matches('/')
    }

    /// Returns the host without its port.
    pub(crate) fn bare_host(&self) -> &str {
        let (host, port) = self.host.rsplit_once(':').unwrap_or((&self.host, ""));
        match port.chars().all(|char| char.is_ascii_digit()) {
            true => host,
            false => &self.host,
        }
    }

    /// Returns the name of the session cookie, and its value.
    pub fn cookie_parts(&self) -> Option<(&str, &str)> {
        self.cookie.as_deref()?.split_once('=')
    }
}
