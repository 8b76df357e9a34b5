//! Decisions for hosts: proxies that forward requests themselves, and ask us whether they may.
//!
//! nginx, Caddy, Traefik and others ask over HTTP, each at an endpoint of its own; Envoy over HTTP or gRPC. They differ in
//! where the original request is to be read, and in how an answer must look. Whatever goes wrong, the answer is a
//! denial that the host understands as one: never an error of the transport.

mod check;
mod endpoint;
mod original;
mod restrictions;

use std::convert::Infallible;
use std::net::IpAddr;
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use gate::{Admission, Facts, IdentityHeaders, Permit, Refusal, Refused, Restriction};
use http::header::{CACHE_CONTROL, CONNECTION};
use http::request::Parts;
use http::uri::PathAndQuery;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode, Uri};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::server::conn::http2;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use session::UnixTime;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tonic::server::{Grpc, UnaryService};
use tonic_prost::ProstCodec;

use self::check::{CheckRequest, CheckResponse};
use self::endpoint::{Endpoint, Refusals};
use self::original::{Flaw, Original, Source};
use self::restrictions::NotUnderstood;
use super::answer;
use super::asker::Asker;
use super::cors::Cors;
use super::record::{Decision, Record};
use super::secured::given_up;
use super::way_in::{Asked, WayIn, asks_for_https};
use super::{Front, Sparingly, arrival, limited};
use crate::audit::Audit;
use crate::client::Client;
use crate::config::{ClientSettings, Handling};
use crate::downstream::Downstream;
use crate::limits::{Connections, InFlight};
use crate::live::{Live, View};
use crate::metrics::Metrics;
use crate::mode::Mode;
use crate::socket::Stream;

/// What one runtime needs to decide for hosts.
pub(crate) struct Decisions {
    /// With the gate.
    pub(crate) live: View,
    pub(crate) audit: Audit,
    pub(crate) metrics: Arc<Metrics>,
    /// Owns the requests of HTTP/2 connections.
    pub(crate) tasks: TaskTracker,
    /// About questions.
    pub(crate) warnings: Sparingly,
    /// Those of its listener.
    pub(crate) connections: Arc<Connections>,
}

impl Front for Decisions {
    fn admit(&self, stream: Stream, peer: IpAddr) -> Option<Stream> {
        let live = self.live.current();
        let is_proxy = live.trusted_hosts.trusts(peer);
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
        let first = timeout(IDLE_HOST, stream.begins_with_http2());
        // An error, or no byte at all, means that somebody hung up.
        let begins_with_http2 = tokio::select! {
            first = first => first,
            () = given_up(&stop) => return,
        };
        match begins_with_http2 {
            Ok(Ok(true)) => self.serve_http2(stream, peer, stop).await,
            Ok(Ok(false)) => self.serve_http1(stream, peer, stop).await,
            Ok(Err(_)) | Err(_) => {}
        }
    }
}

impl Decisions {
    async fn serve_http1(self: Rc<Self>, stream: Stream, peer: IpAddr, stop: CancellationToken) {
        let limits = ClientSettings {
            idle: IDLE_HOST,
            ..self.live.current().client
        };
        let mut client = Client::new(stream, limits, stop);
        while let Some(request) = client.next().await {
            let answered = match request {
                Ok(request) => {
                    let (asking, _) = request.into_parts();
                    let answering = pin!(self.answer_http(&asking, peer));
                    let answered = client.unless_gone(answering).await;
                    // nginx announces the body of the request that it asks about, unless it is told not to, and never sends
                    // it: the next question on this connection would be taken for that body.
                    if !client.skip_body().await {
                        client.end();
                    }
                    answered
                }
                Err(violation) => {
                    let (audit, metrics) = (&self.audit, &self.metrics);
                    let came = &client.connection.input;
                    let refused =
                        super::unreadable(violation, came, Mode::Decisions, peer, audit, metrics);
                    Some(refused)
                }
            };
            // Without an answer the host has left, and the record of the question has said so.
            let Some((answer, mut record)) = answered else {
                return;
            };
            let sent = client.answer(answer, &record.bytes_out).await;
            record.ends(sent);
        }
    }

    async fn serve_http2(self: Rc<Self>, stream: Stream, peer: IpAddr, stop: CancellationToken) {
        let largest_head = self.live.current().client.head.bytes;
        let service = service_fn(|request| {
            let decisions = Rc::clone(&self);
            async move { Ok::<_, Infallible>(decisions.answer_http2(request, peer).await) }
        });
        let connection = http2::Builder::new(LocalExecutor(self.tasks.clone()))
            .timer(TokioTimer::new())
            .keep_alive_interval(Some(PING))
            .max_concurrent_streams(MOST_STREAMS)
            .max_header_list_size(u32::try_from(largest_head).unwrap_or(u32::MAX))
            .serve_connection(TokioIo::new(stream), service);
        let mut connection = pin!(connection);
        tokio::select! {
            // An error means that somebody hung up, or does not speak HTTP/2.
            _ = connection.as_mut() => return,
            () = stop.cancelled() => connection.as_mut().graceful_shutdown(),
        }
        let _ = connection.await;
    }

    /// Answers one question of an HTTP/2 connection, which may come over gRPC.
    async fn answer_http2(
        self: Rc<Self>,
        request: Request<Incoming>,
        peer: IpAddr,
    ) -> Response<tonic::body::Body> {
        if check::is_asked(&request) {
            return self.answer_grpc(request, peer).await;
        }
        let (asking, _) = request.into_parts();
        let (answer, record) = self.answer_http(&asking, peer).await;
        record.handed_over(answer.body().len());
        answer.map(|body| tonic::body::Body::new(Full::new(body)))
    }

    /// Answers one question that came over plain HTTP. The record ends when the answer is sent.
    async fn answer_http(&self, asking: &Parts, peer: IpAddr) -> (Response<Bytes>, Record<'_>) {
        let live = self.live.current();
        let arrival = arrival::relayed(peer, &asking.headers, &live.trusted_hosts);
        let endpoint = Endpoint::of(&asking.uri);
        let mode = endpoint.map_or(Mode::Decisions, |endpoint| endpoint.mode);
        let mut record = Record::start(mode, arrival, &self.audit, &self.metrics);
        let mut response = match endpoint {
            None => {
                record.decided(Decision::Rejected("unknown_endpoint"));
                answer::status(StatusCode::NOT_FOUND, Asker::Program, record.request_id())
            }
            Some(endpoint) => {
                let headers = &asking.headers;
                let question = Question {
                    original: endpoint.source.read(asking),
                    restriction: endpoint.restriction(asking),
                    headers,
                    refusals: endpoint.refusals,
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
        // The connection is the host's, and the client who asked for something impossible is not at its other end.
        response.headers_mut().remove(CONNECTION);
        record.answers(&mut response);
        (response, record)
    }

    async fn answer_grpc(
        self: Rc<Self>,
        request: Request<Incoming>,
        peer: IpAddr,
    ) -> Response<tonic::body::Body> {
        let limit = self.live.current().client.body;
        let check = Check {
            decisions: self,
            peer,
        };
        let mut grpc = Grpc::new(ProstCodec::default());
        let answered = timeout(limit, grpc.unary(check, request)).await;
        answered.unwrap_or_else(|_| {
            tonic::Status::deadline_exceeded("the question took too long to arrive").into_http()
        })
    }

    /// Answers a question that came over gRPC. `metadata` are the headers of the call itself.
    async fn check(
        &self,
        check: &CheckRequest,
        metadata: &HeaderMap,
        peer: IpAddr,
    ) -> CheckResponse {
        let (headers, original) = match check.headers() {
            Ok(headers) => (headers, check.original()),
            Err(flaw) => (HeaderMap::new(), Err(flaw)),
        };
        let live = self.live.current();
        let arrival = arrival::relayed(peer, &headers, &live.trusted_hosts);
        let mut record = Record::start(Mode::EnvoyGrpc, arrival, &self.audit, &self.metrics);
        let question = Question {
            original,
            restriction: restrictions::none_in_headers(metadata).and_then(|()| check.restriction()),
            headers: &headers,
            refusals: Refusals::PassedOn,
        };
        match self.decide(&live, question, &mut record).await {
            Ok(permit) => {
                let names = IdentityHeaders::Ours;
                let mut allowed = Response::new(());
                allowed.headers_mut().extend(permit.identity(names));
                let forged = permit.forged(names, &headers);
                record.decided(Decision::Permitted(permit.into_admission()));
                record.answers(&mut allowed);
                record.handed_over(0);
                CheckResponse::allowed(allowed.headers(), &forged)
            }
            Err(mut refused) => {
                refused.headers_mut().remove(CONNECTION);
                record.answers(&mut refused);
                record.handed_over(refused.body().len());
                CheckResponse::denied(refused)
            }
        }
    }

    /// Decides about the request that a host asks about.
    ///
    /// Whoever gets the permit notes its grounds in the record; refusals are noted here.
    async fn decide<'g>(
        &self,
        live: &'g Live,
        question: Question<'_>,
        record: &mut Record<'_>,
    ) -> Result<Permit<'g>, Response<Bytes>> {
        let headers = question.headers;
        let known = question.original.as_ref();
        let asker = Asker::behind_proxy(known.map_or(&Method::GET, |known| &known.method), headers);
        let denied =
            |record: &Record<'_>| answer::status(StatusCode::FORBIDDEN, asker, record.request_id());
        if !record.arrival.trusted_peer {
            record.decided(Decision::Rejected("untrusted_proxy"));
            return Err(denied(record));
        }
        let in_flight = self.metrics.in_flight();
        let Some(_place) = InFlight::enter(in_flight, live.limits.in_flight) else {
            record.decided(Decision::Rejected("overloaded"));
            let status = question.refusals.status(StatusCode::SERVICE_UNAVAILABLE);
            let mut overloaded =
                answer::status(StatusCode::SERVICE_UNAVAILABLE, asker, record.request_id());
            *overloaded.status_mut() = status;
            return Err(overloaded);
        };
        let original = match question.original {
            Ok(original) => original,
            Err(flaw) => {
                self.warn(flaw, record);
                record.decided(Decision::Rejected(flaw.reason()));
                return Err(denied(record));
            }
        };
        record.asks(
            original.method.clone(),
            HeaderValue::from_str(original.host.as_str()).ok(),
            original.path.clone().map(Uri::from),
        );
        let in_headers = restrictions::none_in_headers(headers);
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
            && !permit.knows_groups()
        {
            self.warn_unknown(&restrictions::groups_without_any(), record);
            record.decided(Decision::Rejected("unknown_restriction"));
            return Err(denied(record));
        }
        match permit.and_then(|permit| permit.restricted_to(&restriction)) {
            Ok(permit) => {
                record.governed_by(permit.route().name.to_string());
                Ok(permit)
            }
            Err(refused) => {
                let handling = live.handling(refused.route);
                let lacking = live.gate.lacking(&refused, &facts, record.now);
                if let Some(route) = refused.route {
                    record.governed_by(route.name.to_string());
                }
                record.lacks(lacking);
                let refusals = question.refusals;
                let origin = live.trusted_hosts.origin(record.arrival.peer, headers);
                let is_https = asks_for_https(headers, &origin);
                let path = original.path.as_ref();
                let asked = Asked {
                    host: Some(original.host.as_str()),
                    is_https,
                    path_and_query: path.map_or("/", PathAndQuery::as_str),
                    headers,
                    now: record.now,
                };
                let answer = refuse(&refused, handling, asker, &asked, refusals, record);
                record.decided(Decision::Refused(refused.refusal));
                Err(answer)
            }
        }
    }

    /// Decides about a request within the limits on how often somebody may ask.
    async fn permit<'g>(
        live: &'g Live,
        facts: &Facts<'_>,
        now: UnixTime,
    ) -> Result<Permit<'g>, Refused<'g>> {
        let client = facts.arrival.client;
        limited::first(live, client).await?;
        let route = limited::route(live, facts).await?;
        let mut decided = live.gate.decide_by(route, facts, now).await;
        limited::last(live, facts.arrival, &mut decided).await;
        decided
    }

    /// Says what is wrong with a question, once in a while: clients can provoke some flaws, and all are in the audit log.
    fn warn(&self, flaw: Flaw, record: &Record<'_>) {
        if self.warnings.may(record.now) {
            let request_id = record.request_id();
            tracing::warn!(request_id, %flaw, "a host asked about a request that it does not describe");
        }
    }

    /// Says that a host demands something of the user that nobody here understands, once in a while.
    fn warn_unknown(&self, unknown: &NotUnderstood, record: &Record<'_>) {
        if self.warnings.may(record.now) {
            let request_id = record.request_id();
            tracing::warn!(
                request_id,
                "a host narrows who may enter by {unknown}, which is not understood here; the request is refused. \
                 Remove it from the host's configuration, or see docs/decisions.md for what is understood"
            );
        }
    }
}

/// Renders a refusal of the gate, as far as the host takes it.
fn refuse(
    refused: &Refused<'_>,
    handling: &Handling,
    asker: Asker,
    asked: &Asked<'_>,
    refusals: Refusals,
    record: &mut Record<'_>,
) -> Response<Bytes> {
    let answer = refused.refusal.class();
    let way_in = WayIn::of(handling.sign_in.as_ref(), answer, asker, asked);
    record.redirect_loop = way_in.is_loop();
    let mut response = answer::refusal(answer, asker, way_in, record.request_id());
    if let Refusal::RateLimited(limited) = &refused.refusal {
        answer::say_limit(response.headers_mut(), &limited.exceeded);
    }
    Cors(&handling.cors_origins).describe(asked.headers, response.headers_mut());
    *response.status_mut() = refusals.status(response.status());
    response
}

/// What a host asks.
struct Question<'h> {
    /// The request that it asks about.
    original: Result<Original, Flaw>,
    /// What it demands of the user beyond a session.
    restriction: Result<Restriction, NotUnderstood>,
    /// The headers of the original request, as far as the host passes them on.
    headers: &'h HeaderMap,
    refusals: Refusals,
}

/// The answer that lets a request enter.
fn allow(permit: &Permit<'_>, endpoint: &Endpoint, asked: &HeaderMap) -> Response<Bytes> {
    let mut response = Response::new(Bytes::new());
    *response.status_mut() = endpoint.allows_with;
    let headers = response.headers_mut();
    headers.extend(permit.identity(endpoint.identity));
    if matches!(endpoint.source, Source::Line { .. }) {
        let forged = permit.forged(endpoint.identity, asked);
        let names: Vec<_> = forged.iter().map(HeaderName::as_str).collect();
        let names = HeaderValue::from_str(&names.join(",")).ok();
        headers.extend(
            names
                .filter(|names| !names.is_empty())
                .map(|names| (X_ENVOY_AUTH_HEADERS_TO_REMOVE, names)),
        );
    }
    // What does not rest on the session and the path alone must not be kept under a key made of these.
    match permit.admission() {
        Admission::Public | Admission::Session { .. } => {}
        Admission::Bypass | Admission::Preflight => {
            headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        }
    }
    response
}

/// The gRPC service, for one question.
struct Check {
    decisions: Rc<Decisions>,
    peer: IpAddr,
}

impl UnaryService<CheckRequest> for Check {
    type Response = CheckResponse;
    type Future = std::pin::Pin<
        Box<dyn Future<Output = Result<tonic::Response<CheckResponse>, tonic::Status>>>,
    >;

    fn call(&mut self, request: tonic::Request<CheckRequest>) -> Self::Future {
        let (decisions, peer) = (Rc::clone(&self.decisions), self.peer);
        Box::pin(async move {
            let metadata = request.metadata().as_ref();
            let answer = decisions.check(request.get_ref(), metadata, peer).await;
            Ok(tonic::Response::new(answer))
        })
    }
}

/// Runs the requests of an HTTP/2 connection on the runtime of their connection.
#[derive(Clone)]
struct LocalExecutor(TaskTracker);

impl<F> hyper::rt::Executor<F> for LocalExecutor
where
    F: Future<Output: 'static> + 'static,
{
    fn execute(&self, future: F) {
        self.0.spawn_local(future);
    }
}

/// Names, to Envoy, the headers of the original request that must not travel on (ext_authz over HTTP).
const X_ENVOY_AUTH_HEADERS_TO_REMOVE: HeaderName =
    HeaderName::from_static("x-envoy-auth-headers-to-remove");

/// Hosts keep idle connections for up to an hour (Envoy's default). Whoever closes first, the other may just be sending
/// a question, so it must not be us.
const IDLE_HOST: Duration = Duration::from_secs(3700);

/// How often a host that speaks HTTP/2 is asked whether it is still there.
const PING: Duration = Duration::from_secs(30);

/// Questions at a time on one connection; a host that has more opens another.
const MOST_STREAMS: u32 = 1024;
