//! The listener that redirects every request to its URL with `https://`.

use std::net::IpAddr;
use std::rc::Rc;
use std::sync::Arc;

use bytes::Bytes;
use http::header::{HOST, HeaderValue, LOCATION};
use http::uri::PathAndQuery;
use http::{Request, Response, StatusCode};
use http1::Length;
use tokio_util::sync::CancellationToken;

use super::arrival::{self, Peer};
use super::client_kind::ClientKind;
use super::proxied::Proxied;
use super::record::{Decision, Record};
use super::target::{self, Target};
use super::{ConnectionHandler, WarningLimiter, acme, answer};
use crate::audit::Audit;
use crate::client::Client;
use crate::config::RequestHost;
use crate::limits::Connections;
use crate::live::{Live, View};
use crate::metrics::Metrics;
use crate::mode::Mode;
use crate::socket::Stream;

/// What one runtime needs to redirect clients.
pub(crate) struct Redirect {
    pub(crate) live: View,
    pub(crate) audit: Audit,
    pub(crate) metrics: Arc<Metrics>,
    /// The ports of the listeners, in the order of the live configuration.
    pub(crate) ports: Arc<[Option<u16>]>,
    /// The connections of the redirect listener.
    pub(crate) connections: Arc<Connections>,
    /// The index of the listener among the live ones.
    pub(crate) listener: usize,
    pub(crate) warnings: WarningLimiter,
}

impl ConnectionHandler for Redirect {
    fn admit(&self, stream: Stream, peer: IpAddr) -> Option<Stream> {
        let live = self.live.current();
        let is_proxy = live.trusted_proxies.trusts(peer);
        let (connections, metrics) = (&self.connections, &self.metrics);
        super::admitted(stream, peer, is_proxy, &live, connections, metrics)
    }

    async fn serve(self: Rc<Self>, mut stream: Stream, mut peer: IpAddr, stop: CancellationToken) {
        let live = self.live.current();
        let proxied = self.proxied(&live);
        if proxied.is_expected(peer) {
            let accepted = tokio::select! {
                accepted = proxied.accept(stream, peer) => accepted,
                () = stop.cancelled() => None,
            };
            match accepted {
                Some(accepted) => (stream, peer) = accepted,
                None => return,
            }
        }
        let mut client = Client::new(stream, self.live.current().client, stop);
        while let Some(request) = client.next().await {
            let (mut response, mut record) = match request {
                Ok(request) => self.answer(*request, peer),
                Err(violation) => {
                    let (audit, metrics) = (&self.audit, &self.metrics);
                    let received = &client.connection.input;
                    super::unreadable(violation, received, Mode::Redirect, peer, audit, metrics)
                }
            };
            record.prepare_answer(&mut response);
            let sent = client.answer(response, &record.bytes_out).await;
            record.end(sent);
        }
    }
}

impl Redirect {
    fn proxied<'s>(&'s self, live: &'s Live) -> Proxied<'s> {
        Proxied {
            live,
            listener: self.listener,
            connections: &self.connections,
            metrics: &self.metrics,
            warnings: &self.warnings,
        }
    }

    fn answer(&self, mut request: Request<Length>, peer: IpAddr) -> (Response<Bytes>, Record<'_>) {
        let live = self.live.current();
        let arrival = arrival::direct(&Peer::plain(peer), request.headers(), &live.trusted_proxies);
        let mut record = Record::start(Mode::Redirect, arrival, &self.audit, &self.metrics);
        let host = request.headers().get(HOST).cloned();
        record.set_request(request.method().clone(), host, Some(request.uri().clone()));
        let client_kind = ClientKind::of(request.method(), request.headers());
        let response = match target::normalize_target(&mut request) {
            Ok(Target::Path | Target::Server) => match acme::proof(&live, &request) {
                Some(proof) => {
                    record.decided(Decision::Proved);
                    proof
                }
                None => self.redirect_to(&live, &request, client_kind, &mut record),
            },
            Err(malformed) => {
                record.decided(Decision::Rejected(malformed.reason()));
                answer::malformed(malformed.status(), client_kind, record.request_id())
            }
        };
        (response, record)
    }

    fn redirect_to(
        &self,
        live: &Live,
        request: &Request<Length>,
        client_kind: ClientKind,
        record: &mut Record<'_>,
    ) -> Response<Bytes> {
        match location(live, request, &self.ports) {
            Some(location) => {
                record.decided(Decision::Redirected);
                permanently(location)
            }
            None => {
                record.decided(Decision::Rejected("unknown_host"));
                let status = StatusCode::MISDIRECTED_REQUEST;
                answer::malformed(status, client_kind, record.request_id())
            }
        }
    }
}

/// The request's URL with `https://`, if its hostname is known from `PUBLIC_URL`, a route or a certificate. A hostname that a
/// client made up never becomes a `Location`.
fn location(live: &Live, request: &Request<Length>, ports: &[Option<u16>]) -> Option<HeaderValue> {
    let host = request.headers().get(HOST);
    let host = host.and_then(|host| host.to_str().ok());
    let requested_host = host.and_then(RequestHost::read);
    let by_name = || {
        let name = requested_host.as_ref()?.plain_name()?;
        let is_ours = live.gate.routes.has_host(name) || is_certified(live, name);
        let mut secure = live.listeners.iter().zip(ports).filter(|_| is_ours);
        let (_, port) = secure.find(|(listener, _)| listener.tls.is_some())?;
        Some(match (*port)? {
            443 => format!("https://{name}"),
            port => format!("https://{name}:{port}"),
        })
    };
    let origin = live
        .https
        .origin(requested_host.as_ref())
        .or_else(by_name)?;
    let path = request.uri().path_and_query();
    let path = path.map_or("/", PathAndQuery::as_str);
    // `OPTIONS *` has no path.
    let path = if path.starts_with('/') { path } else { "/" };
    HeaderValue::try_from(format!("{origin}{path}")).ok()
}

/// Whether a listener has a certificate for this hostname.
fn is_certified(live: &Live, name: &str) -> bool {
    let name = name.trim_matches(['[', ']']);
    let mut tls = live
        .listeners
        .iter()
        .filter_map(|listener| listener.tls.as_ref());
    tls.any(|tls| tls.covers_host(name))
}

/// A redirect with 308, so that a form is sent again unchanged (RFC 9110 §15.4.9).
fn permanently(location: HeaderValue) -> Response<Bytes> {
    let mut response = Response::new(Bytes::new());
    *response.status_mut() = StatusCode::PERMANENT_REDIRECT;
    response.headers_mut().insert(LOCATION, location);
    response
}
