//! The proxy's connections: the PROXY header, TLS and the choice of the HTTP version, as the listener is configured.

use std::net::IpAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use rustls::ServerConfig;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use super::arrival::Peer;
use super::proxied::Proxied;
use super::proxy::{ConnectedClient, Proxy};
use super::{ConnectionHandler, WarningLimiter, parked};
use crate::boxed::boxed;
use crate::limits::Connections;
use crate::live::{Live, SharedLive};
use crate::metrics::Metrics;
use crate::socket::Stream;
use crate::tls::handshake::{self, HandshakeError};
use crate::{acme, clock, http2};

/// What one runtime needs to serve one listener of the proxy.
pub(crate) struct ProxyListener {
    pub(crate) proxy: Rc<Proxy>,
    /// The index of the listener among the live ones.
    pub(crate) listener: usize,
    /// The connections of the listener.
    pub(crate) connections: Arc<Connections>,
    pub(crate) live: SharedLive,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) warnings: WarningLimiter,
}

impl ConnectionHandler for ProxyListener {
    /// Counts the connection before the TLS handshake, so that clients that never finish it count too.
    fn admit(&self, stream: Stream, peer: IpAddr) -> Option<Stream> {
        let live = self.live.load();
        let is_proxy = live.trusted_proxies.trusts(peer);
        let (connections, metrics) = (&self.connections, &self.metrics);
        super::admitted(stream, peer, is_proxy, &live, connections, metrics)
    }

    async fn serve(self: Rc<Self>, mut stream: Stream, mut peer: IpAddr, stop: CancellationToken) {
        if self.is_proxied(peer) {
            let accepting = self.accept_for(stream, peer);
            match boxed(unless_stopped(accepting, &stop)).await {
                Some(accepted) => (stream, peer) = accepted,
                None => return,
            }
        }
        let stream = match self.terms() {
            None => stream,
            Some((config, limit)) => {
                let securing = self.secure(stream, config, limit, peer);
                match boxed(unless_stopped(securing, &stop)).await {
                    Some(stream) => stream,
                    None => return,
                }
            }
        };
        let proxy = Rc::clone(&self.proxy);
        if stream.has_agreed_on_http2() {
            return boxed(http2::serve(proxy, stream, peer, stop)).await;
        }
        let connected = ConnectedClient {
            peer: Peer::of(&stream, peer),
            client: stream.into(),
            is_new: true,
        };
        parked::serve(proxy, connected, stop).await;
    }
}

/// Awaits a client that has sent no request yet, unless the gate stops meanwhile.
async fn unless_stopped<T>(
    waiting: impl Future<Output = Option<T>>,
    stop: &CancellationToken,
) -> Option<T> {
    tokio::select! {
        waited = waiting => waited,
        () = grace_period_over(stop) => None,
    }
}

/// Ready when the gate stops waiting for clients that have sent no request yet.
pub(super) async fn grace_period_over(stop: &CancellationToken) {
    stop.cancelled().await;
    sleep(AFTER_STOP).await;
}

impl ProxyListener {
    fn proxied<'s>(&'s self, live: &'s Live) -> Proxied<'s> {
        Proxied {
            live,
            listener: self.listener,
            connections: &self.connections,
            metrics: &self.metrics,
            warnings: &self.warnings,
        }
    }

    fn is_proxied(&self, peer: IpAddr) -> bool {
        self.proxied(&self.live.load()).is_expected(peer)
    }

    async fn accept_for(&self, stream: Stream, proxy: IpAddr) -> Option<(Stream, IpAddr)> {
        let live = self.live.load_full();
        self.proxied(&live).accept(stream, proxy).await
    }

    /// The listener's current TLS configuration, if it has one, and the limit for a handshake.
    fn terms(&self) -> Option<(Arc<ServerConfig>, Duration)> {
        let live = self.live.load();
        let tls = live.listeners[self.listener].tls.as_ref()?;
        Some((Arc::clone(&tls.config), live.client.header))
    }

    async fn secure(
        &self,
        stream: Stream,
        config: Arc<ServerConfig>,
        limit: Duration,
        peer: IpAddr,
    ) -> Option<Stream> {
        let secured = stream
            .secured(async |tcp| handshake::accept(tcp, config, limit).await)
            .await;
        match secured {
            Ok(stream) => {
                let server = stream.tls().and_then(|tls| tls.server());
                // An ACME server has seen the challenge certificate, and sends nothing (RFC 8737 §3).
                if server.and_then(|server| server.alpn_protocol()) == Some(acme::ALPN) {
                    self.metrics.tls_handshake("acme_challenge");
                    return None;
                }
                self.metrics
                    .tls_handshake(server.map_or("full", handshake::kind));
                Some(stream)
            }
            Err(error) => {
                self.metrics.tls_handshake(error.label());
                self.log_failure(&error, peer);
                None
            }
        }
    }

    /// Logs a failed handshake. Failures are counted, and usually logged at debug level only, because scanners cause them all
    /// day. A request without TLS is logged at info level, because a person has probably typed `http://`.
    fn log_failure(&self, error: &HandshakeError, peer: IpAddr) {
        let client = peer.to_canonical();
        match error {
            HandshakeError::PlainHttp if self.warnings.allows(clock::now()) => {
                tracing::info!(%client, "{error}");
            }
            HandshakeError::PlainHttp => {}
            HandshakeError::Gone
            | HandshakeError::TimedOut(_)
            | HandshakeError::Tls(_)
            | HandshakeError::TooLong => {
                tracing::debug!(%client, %error, "the TLS handshake with a client failed");
            }
        }
    }
}

/// How long a client may take for the handshake or its first byte once the gate stops.
const AFTER_STOP: Duration = Duration::from_secs(1);
