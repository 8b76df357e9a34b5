//! The proxy: decides on each request of a connection, forwards what is permitted, answers the rest.

use std::net::IpAddr;
use std::rc::Rc;
use std::sync::Arc;

use gate::{Facts, Gate, Permit, TrustedProxies};
use http::header::HOST;
use http::uri::PathAndQuery;
use http::{Request, Response, StatusCode};
use hyper::body::Incoming;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::answer::{self, Asker};
use super::arrival::{self, X_REQUEST_ID};
use super::record::{Decision, Record};
use super::target::{self, Target};
use super::{AnswerBody, Front, tunnel};
use crate::audit::Audit;
use crate::config::{ClientSettings, SignIn};
use crate::metrics::Metrics;
use crate::mode::Mode;
use crate::socket::Stream;
use crate::store::{Sessions, Users};
use crate::upstream::{RequestBody, Upstream, UpstreamBody, UpstreamError};

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

impl Front for Proxy {
    async fn serve(self: Rc<Self>, stream: Stream, peer: IpAddr, stop: CancellationToken) {
        let answer = |request| {
            let proxy = Rc::clone(&self);
            async move { proxy.answer(request, peer).await }
        };
        if super::serve_http1(stream, self.client, stop, answer).await {
            Record::unreadable(Mode::Proxy, peer, &self.audit, &self.metrics);
        }
    }
}

impl Proxy {
    /// Answers one request.
    async fn answer(&self, mut request: Request<Incoming>, peer: IpAddr) -> Response<AnswerBody> {
        let arrival = arrival::direct(peer, request.headers(), &self.trusted_proxies);
        let mut record = Record::start(Mode::Proxy, arrival, &self.audit, &self.metrics);
        let host = request.headers().get(HOST).cloned();
        record.asks(request.method().clone(), host, Some(request.uri().clone()));
        let asker = Asker::of(request.method(), request.headers());
        let mut response = match target::settle(&mut request) {
            Ok(Target::Path) => self.decide(request, asker, &mut record).await,
            Ok(Target::Server) => {
                record.decided(Decision::Options);
                answer::options()
            }
            Err(malformed) => {
                record.decided(Decision::Rejected(malformed.reason()));
                answer::malformed(malformed.status(), asker, record.request_id())
            }
        };
        let headers = response.headers_mut();
        headers.insert(X_REQUEST_ID, record.arrival.request_id.clone());
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
            path: Some(request.uri().path()),
            headers: request.headers(),
            arrival: &record.arrival,
        };
        match self.gate.decide(&facts, record.now).await {
            Ok(permit) => self.forward(permit, request, asker, record).await,
            Err(refusal) => {
                let path = request
                    .uri()
                    .path_and_query()
                    .map_or("/", PathAndQuery::as_str);
                let host = request
                    .headers()
                    .get(HOST)
                    .and_then(|host| host.to_str().ok());
                let sign_in = || Some(self.sign_in.as_ref()?.location(host, path));
                let answer = answer::refusal(refusal.answer(), asker, sign_in, record.request_id());
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
