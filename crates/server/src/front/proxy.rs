//! The proxy: decides on each request of a connection, forwards what is permitted, answers the rest.

use std::net::IpAddr;
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;

use bytes::Bytes;
use gate::{Facts, Gate, Permit, TrustedProxies};
use http::header::{CONTENT_LENGTH, HOST};
use http::uri::PathAndQuery;
use http::{HeaderValue, Method, Request, Response, StatusCode};
use http1::Length;
use tokio_util::sync::CancellationToken;

use super::answer::{self, Asker};
use super::record::{Decision, Record};
use super::target::{self, Target};
use super::{Front, Sparingly, arrival, tunnel};
use crate::audit::Audit;
use crate::client::Client;
use crate::config::{ClientSettings, SignIn};
use crate::connection::Connection;
use crate::metrics::Metrics;
use crate::mode::Mode;
use crate::socket::Stream;
use crate::store::{Sessions, Users};
use crate::upstream::{Exchange, Upstream, UpstreamError};

/// What one runtime needs to serve requests.
pub(crate) struct Proxy {
    pub(crate) gate: Arc<Gate<Users, Sessions>>,
    pub(crate) upstream: Rc<Upstream>,
    pub(crate) audit: Audit,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) sign_in: Option<SignIn>,
    pub(crate) trusted_proxies: TrustedProxies,
    pub(crate) client: ClientSettings,
    /// About the upstream.
    pub(crate) upstream_warnings: Sparingly,
}

impl Front for Proxy {
    async fn serve(self: Rc<Self>, stream: Stream, peer: IpAddr, stop: CancellationToken) {
        let mut client = Client::new(stream, self.client, stop);
        while let Some(request) = client.next().await {
            match request {
                Ok(request) => self.answer(request, peer, &mut client).await,
                Err(violation) => {
                    let (audit, metrics) = (&self.audit, &self.metrics);
                    let refused = super::unreadable(violation, Mode::Proxy, peer, audit, metrics);
                    client.answer(refused).await;
                }
            }
        }
    }
}

/// What becomes of a request.
enum Outcome {
    /// Its client has hung up.
    Abandoned,
    /// We answer it.
    Answered(Response<Bytes>),
    /// It became a WebSocket.
    Joined(Response<Length>, Box<Connection>),
    /// The upstream answers it.
    Passed(Response<Length>, Exchange),
}

impl Proxy {
    /// Answers one request.
    async fn answer(&self, mut request: Request<Length>, peer: IpAddr, client: &mut Client) {
        let arrival = arrival::direct(peer, request.headers(), &self.trusted_proxies);
        let mut record = Record::start(Mode::Proxy, arrival, &self.audit, &self.metrics);
        let host = request.headers().get(HOST).cloned();
        record.asks(request.method().clone(), host, Some(request.uri().clone()));
        let asker = Asker::of(request.method(), request.headers());
        let outcome = match target::settle(&mut request) {
            Ok(Target::Path) => self.decide(request, asker, client, &mut record).await,
            Ok(Target::Server) => {
                record.decided(Decision::Options);
                Outcome::Answered(answer::options())
            }
            Err(malformed) => {
                record.decided(Decision::Rejected(malformed.reason()));
                let (status, id) = (malformed.status(), record.request_id());
                Outcome::Answered(answer::malformed(status, asker, id))
            }
        };
        match outcome {
            Outcome::Abandoned => client.end(),
            Outcome::Answered(mut response) => {
                record.answers(&mut response);
                client.answer(response).await;
            }
            Outcome::Joined(mut response, upstream) => {
                record.answers(&mut response);
                client.begin_answer(&mut response, Length::NONE);
                client.end();
                tunnel::join(&mut client.connection, *upstream).await;
            }
            Outcome::Passed(mut response, exchange) => {
                record.answers(&mut response);
                exchange.relay(client, response).await;
            }
        }
    }

    async fn decide(
        &self,
        request: Request<Length>,
        asker: Asker,
        client: &mut Client,
        record: &mut Record<'_>,
    ) -> Outcome {
        let facts = Facts {
            method: request.method(),
            path: Some(request.uri().path()),
            headers: request.headers(),
            arrival: &record.arrival,
        };
        let decided = {
            let deciding = pin!(self.gate.decide(&facts, record.now));
            client.unless_gone(deciding).await
        };
        match decided {
            None => Outcome::Abandoned,
            Some(Ok(permit)) => self.forward(permit, request, asker, client, record).await,
            Some(Err(refusal)) => {
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
                Outcome::Answered(answer)
            }
        }
    }

    async fn forward(
        &self,
        permit: Permit<'_>,
        request: Request<Length>,
        asker: Asker,
        client: &mut Client,
        record: &mut Record<'_>,
    ) -> Outcome {
        // With a body it would be unclear where the WebSocket begins.
        let asks_for_websocket = tunnel::is_requested(&request) && *request.body() == Length::NONE;
        let is_head = *request.method() == Method::HEAD;
        let (mut admitted, admission) = permit.admit(request, &record.arrival);
        record.decided(Decision::Permitted(admission));
        if asks_for_websocket {
            admitted = admitted.asking_for_websocket();
        }
        let (mut response, exchange) = match self.upstream.forward(admitted, client).await {
            Ok(answered) => answered,
            Err(error) => return self.upstream_failed(&error, asker, record),
        };
        let is_upgrade = response.status() == StatusCode::SWITCHING_PROTOCOLS;
        let becomes_websocket = asks_for_websocket && tunnel::is_granted(&response);
        // Nobody asked for another protocol: a 101 would leave both sides with different ideas of what follows.
        if is_upgrade && !becomes_websocket {
            record.upstream = Some("bad_upgrade");
            let answer = answer::status(StatusCode::BAD_GATEWAY, asker, record.request_id());
            return Outcome::Answered(answer);
        }
        record.upstream = Some(class(response.status()));
        clean(&mut response, is_head);
        if becomes_websocket {
            gate::stamp_websocket(response.headers_mut());
            return Outcome::Joined(response, exchange.into_connection());
        }
        Outcome::Passed(response, exchange)
    }

    fn upstream_failed(
        &self,
        error: &UpstreamError,
        asker: Asker,
        record: &mut Record<'_>,
    ) -> Outcome {
        let (status, result) = match error {
            UpstreamError::ClientBody(_) => (StatusCode::BAD_REQUEST, "client_body"),
            UpstreamError::ClientGone => return Outcome::Abandoned,
            UpstreamError::Connect(_) => (StatusCode::BAD_GATEWAY, "connect_failed"),
            UpstreamError::Exchange(_) => (StatusCode::BAD_GATEWAY, "broken"),
            UpstreamError::TimedOut(_) => (StatusCode::GATEWAY_TIMEOUT, "timed_out"),
        };
        record.upstream = Some(result);
        if status.is_server_error() && self.upstream_warnings.may(record.now) {
            tracing::warn!(request_id = record.request_id(), %error, "the upstream gave no answer");
        }
        Outcome::Answered(answer::status(status, asker, record.request_id()))
    }
}

/// Removes from the upstream's answer what belongs to its connection. The length of a body that is not sent stays.
fn clean(response: &mut Response<Length>, is_head: bool) {
    let describes_body = is_head || response.status() == StatusCode::NOT_MODIFIED;
    let headers = response.headers_mut();
    let is_number = |length: &&HeaderValue| length.as_bytes().iter().all(u8::is_ascii_digit);
    let length = headers.get(CONTENT_LENGTH).filter(|_| describes_body);
    let length = length.filter(is_number).cloned();
    gate::remove_hop_by_hop(headers);
    if let Some(length) = length {
        headers.insert(CONTENT_LENGTH, length);
    }
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

#[cfg(test)]
mod tests;
