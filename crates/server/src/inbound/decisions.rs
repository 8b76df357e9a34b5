//! Decisions for calling proxies, which forward requests themselves and ask the gate whether they may.
//!
//! nginx, Caddy, Traefik and others ask over HTTP, each at its own endpoint; Envoy asks over HTTP or gRPC. They differ in where
//! they describe the original request, and in the form of the answer. If something goes wrong, the answer is a denial that the
//! calling proxy understands, not a transport error. The exception is a gRPC message that cannot be read or arrives too slowly:
//! it is answered with a gRPC error.

mod check;
mod connection;
mod endpoint;
mod grpc;
mod original;
mod restrictions;

use std::net::IpAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use gate::{Admission, Facts, Permit, Refusal, Refused, Restriction};
use http::header::{CACHE_CONTROL, CONNECTION};
use http::request::Parts;
use http::uri::PathAndQuery;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode, Uri};
use http_body_util::Full;
use hyper::body::Incoming;
use session::UnixTime;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use self::endpoint::{Endpoint, RefusalStyle};
use self::original::{OriginalError, OriginalRequest, RequestSource};
use self::restrictions::UnsupportedParameter;
use super::answer;
use super::client_kind::ClientKind;
use super::cors::Cors;
use super::record::{Decision, Record};
use super::secured::grace_period_over;
use super::sign_in_offer::{BrowserRequest, SignInOffer, requests_https};
use super::{ConnectionHandler, WarningLimiter, arrival, limited};
use crate::audit::Audit;
use crate::config::Handling;
use crate::limits::{Connections, InFlight};
use crate::live::{Live, View};
use crate::metrics::Metrics;
use crate::mode::Mode;
use crate::socket::Stream;

/// What one runtime needs to decide for calling proxies.
pub(crate) struct DecisionServer {
    /// The live configuration, which has the gate.
    pub(crate) live: View,
    pub(crate) audit: Audit,
    pub(crate) metrics: Arc<Metrics>,
    /// The tasks of requests on HTTP/2 connections.
    pub(crate) tasks: TaskTracker,
    /// Limits warnings about decision requests.
    pub(crate) warnings: WarningLimiter,
    /// The connections of the decision listener.
    pub(crate) connections: Arc<Connections>,
}

impl ConnectionHandler for DecisionServer {
    fn admit(&self, stream: Stream, peer: IpAddr) -> Option<Stream> {
        let live = self.live.current();
        let is_proxy = live.calling_proxies.trusts(peer);
        super::admitted(
            stream,
            peer,
            is_proxy,
            &live,
            &self.connections,
            &self.metrics,
        )
    }

    async fn serve(self: Rc<Self>, mut stream: Stream, peer: IpAddr, stop: CancellationToken) {
        let first = timeout(IDLE_CALLING_PROXY, stream.begins_with_http2());
        // On an error, or without a first byte, the calling proxy has hung up or sends nothing.
        let begins_with_http2 = tokio::select! {
            first = first => first,
            () = grace_period_over(&stop) => return,
        };
        match begins_with_http2 {
            Ok(Ok(true)) => self.serve_http2(stream, peer, stop).await,
            Ok(Ok(false)) => self.serve_http1(stream, peer, stop).await,
            Ok(Err(_)) | Err(_) => {}
        }
    }
}

impl DecisionServer {
    /// Answers one decision request on an HTTP/2 connection, which may be a gRPC call.
    async fn answer_http2(
        self: Rc<Self>,
        request: Request<Incoming>,
        peer: IpAddr,
    ) -> Response<tonic::body::Body> {
        if check::is_check(&request) {
            return self.answer_grpc(request, peer).await;
        }
        let (parts, _) = request.into_parts();
        let (answer, record) = self.answer_http(&parts, peer).await;
        record.handed_over(answer.body().len());
        answer.map(|body| tonic::body::Body::new(Full::new(body)))
    }

    /// Answers one decision request over plain HTTP. The caller ends the record when the answer is sent.
    async fn answer_http(&self, parts: &Parts, peer: IpAddr) -> (Response<Bytes>, Record<'_>) {
        let live = self.live.current();
        let arrival = arrival::relayed(peer, &parts.headers, &live.calling_proxies);
        let endpoint = Endpoint::of(&parts.uri);
        let mode = endpoint.map_or(Mode::Decisions, |endpoint| endpoint.mode);
        let mut record = Record::start(mode, arrival, &self.audit, &self.metrics);
        let mut response = match endpoint {
            None => {
                record.decided(Decision::Rejected("unknown_endpoint"));
                answer::status(
                    StatusCode::NOT_FOUND,
                    ClientKind::Program,
                    record.request_id(),
                )
            }
            Some(endpoint) => {
                let headers = &parts.headers;
                let question = DecisionRequest {
                    original: endpoint.source.read(parts),
                    restriction: endpoint.restriction(parts),
                    headers,
                    refusal_style: endpoint.refusal_style,
                };
                match self.decide(&live, question, &mut record).await {
                    Ok(permit) => {
                        let response = allow(&permit, &endpoint, headers);
                        record.decided(Decision::Permitted(permit.into_admission()));
                        response
                    }
                    Err(refused) => refused,
                }
            }
        };
        // The connection is the calling proxy's, so a client's bad request must not close it.
        response.headers_mut().remove(CONNECTION);
        record.prepare_answer(&mut response);
        (response, record)
    }

    /// Decides on the request that a calling proxy asks about.
    ///
    /// Refusals are noted in the record here; the caller notes a permit.
    async fn decide<'g>(
        &self,
        live: &'g Live,
        question: DecisionRequest<'_>,
        record: &mut Record<'_>,
    ) -> Result<Permit<'g>, Response<Bytes>> {
        let headers = question.headers;
        let known = question.original.as_ref();
        let client_kind =
            ClientKind::behind_proxy(known.map_or(&Method::GET, |known| &known.method), headers);
        let denied = |record: &Record<'_>| {
            answer::status(StatusCode::FORBIDDEN, client_kind, record.request_id())
        };
        if !record.arrival.trusted_peer {
            record.decided(Decision::Rejected("untrusted_proxy"));
            return Err(denied(record));
        }
        let in_flight = self.metrics.in_flight();
        let Some(_place) = InFlight::enter(in_flight, live.limits.in_flight) else {
            record.decided(Decision::Rejected("overloaded"));
            let status = question
                .refusal_style
                .status(StatusCode::SERVICE_UNAVAILABLE);
            let mut overloaded = answer::status(
                StatusCode::SERVICE_UNAVAILABLE,
                client_kind,
                record.request_id(),
            );
            *overloaded.status_mut() = status;
            return Err(overloaded);
        };
        let original = match question.original {
            Ok(original) => original,
            Err(error) => {
                self.warn(error, record);
                record.decided(Decision::Rejected(error.reason()));
                return Err(denied(record));
            }
        };
        record.set_request(
            original.method.clone(),
            HeaderValue::from_str(original.host.as_str()).ok(),
            original.path.clone().map(Uri::from),
        );
        let in_headers = restrictions::check_headers(headers);
        let restriction = match in_headers.and(question.restriction) {
            Ok(restriction) => restriction,
            Err(unknown) => {
                self.warn_unknown(&unknown, record);
                record.decided(Decision::Rejected("unknown_restriction"));
                return Err(denied(record));
            }
        };
        let facts = Facts {
            method: &original.method,
            host: Some(original.host.as_str()),
            path: original.path.as_ref().map(PathAndQuery::path),
            headers,
            arrival: &record.arrival,
        };
        let permit = Self::permit(live, &facts, record.now).await;
        if let Ok(permit) = &permit
            && restriction.names_groups()
            && !permit.has_groups_source()
        {
            self.warn_unknown(&restrictions::groups_without_any(), record);
            record.decided(Decision::Rejected("unknown_restriction"));
            return Err(denied(record));
        }
        match permit.and_then(|permit| permit.restricted_to(&restriction)) {
            Ok(permit) => {
                record.set_route(permit.route().name.to_string());
                Ok(permit)
            }
            Err(refused) => {
                let handling = live.handling(refused.route);
                let lacking = live.gate.unmet(&refused, &facts, record.now);
                if let Some(route) = refused.route {
                    record.set_route(route.name.to_string());
                }
                record.set_unmet(lacking);
                let refusal_style = question.refusal_style;
                let origin = live.calling_proxies.origin(record.arrival.peer, headers);
                let is_https = requests_https(headers, &origin);
                let path = original.path.as_ref();
                let browser_request = BrowserRequest {
                    host: Some(original.host.as_str()),
                    is_https,
                    path_and_query: path.map_or("/", PathAndQuery::as_str),
                    headers,
                    now: record.now,
                };
                let answer = refuse(
                    &refused,
                    handling,
                    client_kind,
                    &browser_request,
                    refusal_style,
                    record,
                );
                record.decided(Decision::Refused(refused.refusal));
                Err(answer)
            }
        }
    }

    /// Decides on a request, within the rate limits.
    async fn permit<'g>(
        live: &'g Live,
        facts: &Facts<'_>,
        now: UnixTime,
    ) -> Result<Permit<'g>, Refused<'g>> {
        let client = facts.arrival.client;
        limited::by_address(live, client).await?;
        let route = limited::by_route(live, facts).await?;
        let mut decided = live.gate.decide_by(route, facts, now).await;
        limited::by_user(live, facts.arrival, &mut decided).await;
        decided
    }

    /// Logs what is wrong with a decision request, at most once a second: clients can provoke some errors, and the audit log
    /// has all of them.
    fn warn(&self, error: OriginalError, record: &Record<'_>) {
        if self.warnings.allows(record.now) {
            let request_id = record.request_id();
            tracing::warn!(request_id, flaw = %error, "a calling proxy sent a decision request that does not \
                properly describe the original request");
        }
    }

    /// Logs, at most once a second, that a calling proxy demands something of the user that the gate does not understand.
    fn warn_unknown(&self, unknown: &UnsupportedParameter, record: &Record<'_>) {
        if self.warnings.allows(record.now) {
            let request_id = record.request_id();
            tracing::warn!(
                request_id,
                "a calling proxy restricts access by {unknown}, which the gate does not support; the request is \
                 refused. Remove it from the proxy's configuration, or see docs/decisions.md for what is supported"
            );
        }
    }
}

/// Renders a refusal in the style that the calling proxy understands.
fn refuse(
    refused: &Refused<'_>,
    handling: &Handling,
    client_kind: ClientKind,
    browser_request: &BrowserRequest<'_>,
    refusal_style: RefusalStyle,
    record: &mut Record<'_>,
) -> Response<Bytes> {
    let answer = refused.refusal.class();
    let offer = SignInOffer::of(
        handling.sign_in.as_ref(),
        answer,
        client_kind,
        browser_request,
    );
    record.redirect_loop = offer.is_loop();
    let mut response = answer::refusal(answer, client_kind, offer, record.request_id());
    if let Refusal::RateLimited(limited) = &refused.refusal {
        answer::add_rate_limit_headers(response.headers_mut(), &limited.exceeded);
    }
    Cors(&handling.cors_origins).add_headers(browser_request.headers, response.headers_mut());
    *response.status_mut() = refusal_style.status(response.status());
    response
}

/// A decision request, as far as it could be read.
struct DecisionRequest<'h> {
    /// The original request, on which the gate decides.
    original: Result<OriginalRequest, OriginalError>,
    /// What the calling proxy demands of the user beyond a session.
    restriction: Result<Restriction, UnsupportedParameter>,
    /// The headers of the original request, as far as the calling proxy forwards them.
    headers: &'h HeaderMap,
    refusal_style: RefusalStyle,
}

/// The answer that permits a request.
fn allow(permit: &Permit<'_>, endpoint: &Endpoint, request_headers: &HeaderMap) -> Response<Bytes> {
    let mut response = Response::new(Bytes::new());
    *response.status_mut() = endpoint.allows_with;
    let headers = response.headers_mut();
    headers.extend(permit.identity(endpoint.identity));
    if matches!(endpoint.source, RequestSource::Line { .. }) {
        let forged = permit.forged(endpoint.identity, request_headers);
        let names: Vec<_> = forged.iter().map(HeaderName::as_str).collect();
        let names = HeaderValue::from_str(&names.join(",")).ok();
        headers.extend(
            names
                .filter(|names| !names.is_empty())
                .map(|names| (X_ENVOY_AUTH_HEADERS_TO_REMOVE, names)),
        );
    }
    // An answer that depends on more than session and path must not be cached under a key made of these.
    match permit.admission() {
        Admission::Public | Admission::Session { .. } => {}
        Admission::Bypass | Admission::Preflight => {
            headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        }
    }
    response
}

/// Tells Envoy which headers of the original request to remove (ext_authz over HTTP).
const X_ENVOY_AUTH_HEADERS_TO_REMOVE: HeaderName =
    HeaderName::from_static("x-envoy-auth-headers-to-remove");

/// Calling proxies keep idle connections for up to an hour (Envoy's default). The gate must not be the first to close one,
/// because the proxy may just be sending a request.
const IDLE_CALLING_PROXY: Duration = Duration::from_secs(3700);
