//! Connections that trusted proxies open on a listener with the PROXY protocol, and the client of each.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::Duration;

use tokio::time::timeout;

use super::proxy_header::{self, NoHeader};
use super::{WarningLimiter, admitted};
use crate::clock;
use crate::limits::Connections;
use crate::live::Live;
use crate::metrics::Metrics;
use crate::socket::Stream;

/// The parts of a listener that are needed to accept connections of proxies.
pub(super) struct Proxied<'l> {
    pub(super) live: &'l Live,
    /// The index of the listener among the live ones.
    pub(super) listener: usize,
    pub(super) connections: &'l Arc<Connections>,
    pub(super) metrics: &'l Metrics,
    pub(super) warnings: &'l WarningLimiter,
}

impl Proxied<'_> {
    /// Whether a connection from this address has to begin with a PROXY header.
    pub(super) fn is_expected(&self, peer: IpAddr) -> bool {
        self.live.listeners[self.listener].proxy_protocol && self.live.trusted_proxies.trusts(peer)
    }

    /// Reads the PROXY header, and counts the connection as the client's if connections are limited. `None` when there is no
    /// valid header, or the client has too many connections.
    ///
    /// If the header names no client, the connection gets an address that no client has. With the proxy's own address, which
    /// is listed, the client's `X-Forwarded-For` would be believed.
    pub(super) async fn accept(
        &self,
        mut stream: Stream,
        peer: IpAddr,
    ) -> Option<(Stream, IpAddr)> {
        let limit = self.live.client.header;
        let client = match timeout(limit, proxy_header::read(&mut stream)).await {
            Ok(Ok(client)) => client.unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED)),
            Ok(Err(NoHeader::Silent)) => return None,
            Ok(Err(error)) => {
                self.warn(peer, &error.to_string());
                return None;
            }
            Err(_) => {
                self.warn(peer, &timeout_message(limit));
                return None;
            }
        };
        let is_proxy = self.live.trusted_proxies.trusts(client);
        let stream = stream.with_limit_guard(None);
        let (connections, metrics) = (self.connections, self.metrics);
        let stream = admitted(stream, client, is_proxy, self.live, connections, metrics)?;
        Some((stream, client))
    }

    fn warn(&self, proxy: IpAddr, error: &str) {
        self.metrics.proxy_header_refused();
        if self.warnings.allows(clock::now()) {
            let proxy = proxy.to_canonical();
            tracing::warn!(%proxy, error, "a connection of a trusted proxy was closed (PROXY_PROTOCOL)");
        }
    }
}

fn timeout_message(limit: Duration) -> String {
    let seconds = limit.as_secs();
    format!("no complete PROXY header arrived within {seconds} s (CLIENT_HEADER_TIMEOUT)")
}
