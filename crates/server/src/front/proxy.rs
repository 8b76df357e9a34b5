//! The proxy: decides on each request of a connection, forwards what is permitted, answers the rest.

use std::net::IpAddr;
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;

use bytes::Bytes;
use gate::{Facts, Gate, Permit, Rule, TrustedProxies};
use http::header::HOST;
use http::{Method, Request, Response, StatusCode};
use http1::{Answered, Field, Length};
use tokio_util::sync::CancellationToken;

use super::answer;
use super::asker::Asker;
use super::cors::Cors;
use super::record::{Decision, Record};
use super::target::{self, Target};
use super::way_in::{Asked, WayIn};
use super::{Front, Sparingly, arrival, tunnel};
use crate::audit::Audit;
use crate::client::Client;
use crate::config::{ClientSettings, SignIn};
use crate::connection::Connection;
use crate::ended::{Ended, Sent};
use crate::live::View;
use crate::metrics::Metrics;
use crate::mode::Mode;
use crate::socket::Stream;
use crate::store::{Sessions, Users};
use crate::upstream::{Exchange, Upstream, UpstreamError};

/// What one runtime needs to serve requests.
pub(crate) struct Proxy {
    /// With the gate.
    pub(crate) live: View,
    pub(crate) upstream: Rc<Upstream>,
    pub(crate) audit: Audit,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) sign_in: Option<SignIn>,
    pub(crate) cors: Cors,
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
                    let (refused, record) =
                        super::unreadable(violation, Mode::Proxy, peer, audit, metrics);
                    let sent = client.answer(refused, &record.bytes_out).await;
                    record.ends(sent);
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
    Joined(Answered, Box<Connection>),
    /// The upstream answers it.
    Passed(Answered, Exchange),
}

impl Proxy {
    /// Answers one request.
    async fn answer(&self, mut request: Request<Length>, peer: IpAddr, client: &mut Client) {
        let arrival = arrival::direct(peer, request.headers(), &self.trusted_proxies);
        let mut record = Record::start(Mode::Proxy, arrival, &self.audit, &self.metrics);
        let host = request.headers().get(HOST).cloned();
        record.asks(request.method().clone(), host, Some(request.uri().clone()));
        let outcome = match target::settle(&mut request) {
            Ok(Target::Path) => {
                let live = self.live.current();
                let (gate, record) = (&live.gate, &mut record);
                self.decide(gate, &request, client, record).await
            }
            Ok(Target::Server) => {
                record.decided(Decision::Options);
                Outcome::Answered(answer::options())
            }
            Err(malformed) => {
                record.decided(Decision::Rejected(malformed.reason()));
                let (status, id) = (malformed.status(), record.request_id());
                Outcome::Answered(answer::malformed(status, asker(&request), id))
            }
        };
        match outcome {
            Outcome::Abandoned => {
                client.end();
                record.ends(Sent::nothing(Ended::ClientLeft));
            }
            Outcome::Answered(mut response) => {
                let asked = request.headers();
                self.cors.describe(asked, response.headers_mut());
                answer_ourselves(response, client, record).await;
            }
            Outcome::Joined(answer, upstream) => {
                let fields = passed_on(&answer, false, record.request_id());
                let fields = fields.chain(gate::websocket_fields());
                client.begin_answer(answer.status, fields, Length::NONE);
                record.begins(answer.status, true);
                client.end();
                let ended = tunnel::join(&mut client.connection, *upstream, &record).await;
                let began = client.is_being_answered();
                record.ends(Sent { ended, began });
            }
            Outcome::Passed(answer, exchange) => {
                let is_head = *request.method() == Method::HEAD;
                let fields = passed_on(&answer, is_head, record.request_id());
                let framed = client.begin_answer(answer.status, fields, answer.length);
                record.begins(answer.status, is_stream(&answer));
                match exchange.relay(client, answer.length, framed, &record).await {
                    Ok(sent) => record.ends(sent),
                    Err(error) => {
                        let mut response = self.upstream_failed(&error, &request, &mut record);
                        let asked = request.headers();
                        self.cors.describe(asked, response.headers_mut());
                        answer_ourselves(response, client, record).await;
                    }
                }
            }
        }
    }

    async fn decide(
        &self,
        gate: &Gate<Users, Sessions>,
        request: &Request<Length>,
        client: &mut Client,
        record: &mut Record<'_>,
    ) -> Outcome {
        let facts = Facts {
            method: request.method(),
            path: Some(request.uri().path()),
            headers: request.headers(),
            arrival: &record.arrival,
        };
        if let Some(answer) = self.preflight(gate, &facts) {
            record.decided(Decision::Preflight);
            return Outcome::Answered(answer);
        }
        let decided = {
            let deciding = pin!(gate.decide(&facts, record.now));
            client.unless_gone(deciding).await
        };
        match decided {
            None => Outcome::Abandoned,
            Some(Ok(permit)) => self.forward(permit, request, client, record).await,
            Some(Err(refusal)) => {
                let asker = asker(request);
                let (answer, asked) = (
                    refusal.answer(),
                    Asked::of(request, &record.arrival, record.now),
                );
                let way_in = WayIn::of(self.sign_in.as_ref(), answer, asker, &asked);
                record.redirect_loop = way_in.is_loop();
                let answer = answer::refusal(answer, asker, way_in, record.request_id());
                record.decided(Decision::Refused(refusal));
                Outcome::Answered(answer)
            }
        }
    }

    /// The answer to a preflight of a page whose origin is listed. What is public is the service's own affair.
    fn preflight(
        &self,
        gate: &Gate<Users, Sessions>,
        facts: &Facts<'_>,
    ) -> Option<Response<Bytes>> {
        let answer = self.cors.preflight(facts.method, facts.headers)?;
        let needs_session = matches!(gate.policy.rule_for(facts), Ok(Rule::Session));
        needs_session.then_some(answer)
    }

    async fn forward(
        &self,
        permit: Permit<'_>,
        request: &Request<Length>,
        client: &mut Client,
        record: &mut Record<'_>,
    ) -> Outcome {
        // With a body it would be unclear where the WebSocket begins.
        let asks_for_websocket = tunnel::is_requested(request) && *request.body() == Length::NONE;
        let (mut admitted, admission) = permit.admit(request, &record.arrival);
        record.decided(Decision::Permitted(admission));
        if asks_for_websocket {
            admitted = admitted.asking_for_websocket();
        }
        let (answer, exchange) = match self.upstream.forward(admitted, client, record).await {
            Ok(answered) => answered,
            Err(UpstreamError::ClientGone) => return Outcome::Abandoned,
            Err(error) => {
                return Outcome::Answered(self.upstream_failed(&error, request, record));
            }
        };
        let is_upgrade = answer.status == StatusCode::SWITCHING_PROTOCOLS;
        let becomes_websocket = asks_for_websocket && tunnel::is_granted(&answer);
        // Nobody asked for another protocol: a 101 would leave both sides with different ideas of what follows.
        if is_upgrade && !becomes_websocket {
            record.upstream = Some("bad_upgrade");
            record.ended = Some(Ended::UpstreamBroke);
            let (status, asker) = (StatusCode::BAD_GATEWAY, asker(request));
            let answer = answer::status(status, asker, record.request_id());
            return Outcome::Answered(answer);
        }
        record.upstream = Some(class(answer.status));
        if becomes_websocket {
            return Outcome::Joined(answer, exchange.into_connection());
        }
        Outcome::Passed(answer, exchange)
    }

    fn upstream_failed(
        &self,
        error: &UpstreamError,
        request: &Request<Length>,
        record: &mut Record<'_>,
    ) -> Response<Bytes> {
        let (status, result) = match error {
            UpstreamError::ClientBody(_) | UpstreamError::ClientGone => {
                (StatusCode::BAD_REQUEST, "client_body")
            }
            UpstreamError::Connect(_) => (StatusCode::BAD_GATEWAY, "connect_failed"),
            UpstreamError::Exchange(_) => (StatusCode::BAD_GATEWAY, "broken"),
            UpstreamError::TimedOut(_) => (StatusCode::GATEWAY_TIMEOUT, "timed_out"),
        };
        record.upstream = Some(result);
        record.ended = error.ended();
        if status.is_server_error() && self.upstream_warnings.may(record.now) {
            tracing::warn!(request_id = record.request_id(), %error, "the upstream gave no answer");
        }
        answer::status(status, asker(request), record.request_id())
    }
}

/// Who asks. Most requests are never asked this: it is for answers of our own.
fn asker(request: &Request<Length>) -> Asker {
    Asker::of(request.method(), request.headers())
}

/// Sends an answer that is not the upstream's, and ends the record with it.
async fn answer_ourselves(
    mut response: Response<Bytes>,
    client: &mut Client,
    mut record: Record<'_>,
) {
    record.answers(&mut response);
    let sent = client.answer(response, &record.bytes_out).await;
    record.ends(sent);
}

/// Whether an answer goes on for as long as somebody listens: server-sent events, and the pictures of a camera.
fn is_stream(answer: &Answered) -> bool {
    let is_stream = |kind: &[u8]| {
        let kind = kind.split(|byte| *byte == b';').next().unwrap_or_default();
        let kind = kind.trim_ascii();
        STREAMS
            .iter()
            .any(|stream| kind.eq_ignore_ascii_case(stream))
    };
    // What says how long it is ends by itself.
    !matches!(answer.length, Length::Exactly(_)) && answer.values("content-type").any(is_stream)
}

const STREAMS: [&[u8]; 2] = [b"text/event-stream", b"multipart/x-mixed-replace"];

/// The fields with which the upstream's answer goes on: all but those that belong to its connection, under our id for the
/// request. The length of a body that is not sent stays.
fn passed_on<'a>(
    answer: &'a Answered,
    is_head: bool,
    request_id: &'a str,
) -> impl Iterator<Item = Field<'a>> {
    let hop_by_hop = answer.hop_by_hop();
    let describes_body = is_head || answer.status == StatusCode::NOT_MODIFIED;
    let is_number = |length: &&[u8]| !length.is_empty() && length.iter().all(u8::is_ascii_digit);
    let length = describes_body.then(|| answer.values("content-length").next());
    let length = length.flatten().filter(is_number);
    let length = length.map(|length| (&b"content-length"[..], length));
    let id = arrival::X_REQUEST_ID.as_str().as_bytes();
    let is_ours = move |name: &[u8]| hop_by_hop.contains(name) || name.eq_ignore_ascii_case(id);
    let theirs = answer.fields().filter(move |(name, _)| !is_ours(name));
    theirs.chain(length).chain([(id, request_id.as_bytes())])
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
