//! The proxy: decides on each request of a connection, forwards what is permitted, answers the rest.

use std::convert::Infallible;
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;
use std::sync::Arc;

use gate::{Arrival, Facts, Gate, Permit, TrustedProxies};
use http::uri::PathAndQuery;
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response, StatusCode};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::answer::{self, Asker};
use super::record::{Decision, Record};
use super::target::{self, Target};
use super::{AnswerBody, ClientIo, ConnectionState, tunnel};
use crate::audit::Audit;
use crate::config::{ClientSettings, SignIn};
use crate::metrics::Metrics;
use crate::store::{Sessions, Users};
use crate::upstream::{self, RequestBody, Upstream, UpstreamBody, UpstreamError};

/// What one runtime needs to serve requests.
pub(crate) struct Proxy {
    pub(crate) gate: Arc<Gate<Users, Sessions>>,
    pub(crate) upstream: Rc<Upstream>,
    pub(crate) audit: Audit,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) sign_in: Option<SignIn>,
    pub(crate) trusted_proxies: TrustedProxies,
    pub(crate) client: ClientSettings,
    /// Owns the tunnels.
    pub(crate) tasks: TaskTracker,
}

impl Proxy {
    /// Serves one connection until it ends or `stop` asks for an end after the request in flight.
    pub(crate) async fn serve(
        self: Rc<Self>,
        stream: TcpStream,
        peer: SocketAddr,
        stop: CancellationToken,
    ) {
        // Without these options a connection is slower, or the notice of a vanished peer comes later; it still works.
        let _ = stream
            .set_nodelay(true)
            .and_then(|()| upstream::keep_alive(&stream));
        let state = ConnectionState::new();
        let io = TokioIo::new(ClientIo::new(stream, self.client, state.clone()));
        let service = service_fn(|request| {
            let (proxy, busy) = (Rc::clone(&self), state.busy());
            async move {
                let response = proxy.answer(request, peer.ip()).await;
                Ok::<_, Infallible>(response.map(|body| body.keeping(busy)))
            }
        });
        let connection = http1::Builder::new()
            .max_buf_size(LARGEST_HEAD)
            .serve_connection(io, service)
            .with_upgrades();
        let mut connection = std::pin::pin!(connection);
        let ended = tokio::select! {
            ended = connection.as_mut() => ended,
            () = stop.cancelled() => {
                connection.as_mut().graceful_shutdown();
                connection.await
            }
        };
        if state.is_refused() || ended.is_err_and(|error| error.is_parse()) {
            self.record_unreadable(peer.ip());
        }
    }

    /// Answers one request.
    async fn answer(&self, mut request: Request<Incoming>, peer: IpAddr) -> Response<AnswerBody> {
        let arrival = self.arrival(peer, request.headers());
        let mut record = Record::start(arrival, &request, &self.audit, &self.metrics);
        let asker = Asker::of(request.method(), request.headers());
        let mut response = match target::settle(&mut request) {
            Ok(Target::Path) => self.decide(request, asker, &mut record).await,
            Ok(Target::Server) => {
                record.decided(Decision::Options);
                answer::options()
            }
            Err(malformed) => {
                record.decided(Decision::Malformed(malformed));
                answer::malformed(malformed.status(), asker, record.request_id())
            }
        };
        let request_id =
            HeaderValue::from_str(record.request_id()).expect("a request id is visible ASCII");
        response.headers_mut().insert(X_REQUEST_ID, request_id);
        record.finish(response.status());
        response
    }

    async fn decide(
        &self,
        request: Request<Incoming>,
        asker: Asker,
        record: &mut Record<'_>,
    ) -> Response<AnswerBody> {
        let facts = Facts {
            method: request.method(),
            path: request.uri().path(),
            headers: request.headers(),
            arrival: &record.arrival,
        };
        match self.gate.decide(&facts, record.now).await {
            Ok(permit) => self.forward(permit, request, asker, record).await,
            Err(refusal) => {
                let path_and_query = request
                    .uri()
                    .path_and_query()
                    .map_or("/", PathAndQuery::as_str);
                let sign_in = self.sign_in.as_ref();
                let answer = answer::refusal(
                    refusal.answer(),
                    asker,
                    sign_in,
                    path_and_query,
                    record.request_id(),
                );
                record.decided(Decision::Refused(refusal));
                answer
            }
        }
    }

    async fn forward(
        &self,
        permit: Permit<'_>,
        mut request: Request<Incoming>,
        asker: Asker,
        record: &mut Record<'_>,
    ) -> Response<AnswerBody> {
        let client = tunnel::is_requested(&request).then(|| hyper::upgrade::on(&mut request));
        request.extensions_mut().clear();
        let (mut admitted, admission) =
            permit.admit(request.map(RequestBody::new), &record.arrival);
        record.decided(Decision::Permitted(admission));
        if client.is_some() {
            admitted = admitted.asking_for_websocket();
        }
        let answer = self.upstream.forward(admitted).await;
        match (answer, client) {
            (Ok(mut response), Some(client)) if tunnel::is_granted(&response) => {
                let upstream = hyper::upgrade::on(&mut response);
                self.tasks.spawn_local(tunnel::join(client, upstream));
                let mut response = pass_on(response, record);
                gate::stamp_websocket(response.headers_mut());
                response
            }
            // Nobody asked for this protocol: a 101 would leave both sides with different ideas of what follows.
            (Ok(response), _) if response.status() == StatusCode::SWITCHING_PROTOCOLS => {
                record.upstream = Some("bad_upgrade");
                answer::status(StatusCode::BAD_GATEWAY, asker, record.request_id())
            }
            (Ok(response), _) => pass_on(response, record),
            (Err(error), _) => upstream_failed(&error, asker, record),
        }
    }

    /// How the request reached us. A listed proxy may name the request; everyone else gets a new name.
    fn arrival(&self, peer: IpAddr, headers: &HeaderMap) -> Arrival {
        let peer = peer.to_canonical();
        let trusted_peer = self.trusted_proxies.trusts(peer);
        let given = headers
            .get(X_REQUEST_ID)
            .filter(|_| trusted_peer)
            .and_then(|id| id.to_str().ok());
        let is_usable = |id: &&str| {
            matches!(id.len(), 1..=128) && id.bytes().all(|byte| byte.is_ascii_graphic())
        };
        let request_id = given
            .filter(is_usable)
            .map_or_else(new_request_id, str::to_owned);
        Arrival {
            peer,
            client: self.trusted_proxies.client(peer, headers),
            trusted_peer,
            request_id,
        }
    }

    /// Bytes that never became a request are a decision too: nobody probes the gate unseen.
    fn record_unreadable(&self, peer: IpAddr) {
        let peer = peer.to_canonical();
        let arrival = Arrival {
            peer,
            client: peer,
            trusted_peer: false,
            request_id: new_request_id(),
        };
        let mut record = Record::start(arrival, &Request::new(()), &self.audit, &self.metrics);
        record.decided(Decision::Unreadable);
        record.finish(StatusCode::BAD_REQUEST);
    }
}

/// The upstream's answer without what belongs to its connection.
fn pass_on(response: Response<UpstreamBody>, record: &mut Record<'_>) -> Response<AnswerBody> {
    record.upstream = Some(class(response.status()));
    let mut response = response.map(AnswerBody::upstream);
    response.extensions_mut().clear();
    gate::remove_hop_by_hop(response.headers_mut());
    response
}

fn upstream_failed(
    error: &UpstreamError,
    asker: Asker,
    record: &mut Record<'_>,
) -> Response<AnswerBody> {
    let (status, result) = match error {
        UpstreamError::ClientBody => (StatusCode::BAD_REQUEST, "client_body"),
        UpstreamError::Connect(_) => (StatusCode::BAD_GATEWAY, "connect_failed"),
        UpstreamError::Exchange(_) => (StatusCode::BAD_GATEWAY, "broken"),
        UpstreamError::TimedOut(_) => (StatusCode::GATEWAY_TIMEOUT, "timed_out"),
    };
    record.upstream = Some(result);
    if status.is_server_error() {
        tracing::warn!(request_id = record.request_id(), %error, "the upstream gave no answer");
    }
    answer::status(status, asker, record.request_id())
}

fn class(status: StatusCode) -> &'static str {
    match status.as_u16() {
        100..=199 => "1xx",
        200..=299 => "2xx",
        300..=399 => "3xx",
        400..=499 => "4xx",
        _ => "5xx",
    }
}

/// 128 random bits. They need not be secret, only different everywhere, so a fast generator will do.
fn new_request_id() -> String {
    format!("{:032x}", fastrand::u128(..))
}

const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// In bytes: eight session chunks of 4 KiB and the other headers fit; more is 431.
const LARGEST_HEAD: usize = 64 * 1024;
