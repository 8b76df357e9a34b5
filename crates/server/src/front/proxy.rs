//! The proxy: decides on each request of a connection, forwards what is permitted, answers the rest.

use std::net::IpAddr;
use std::num::NonZeroU16;
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use gate::{Access, Admission, Admitted, Arrival, Facts, Permit, Refusal, Refused, Rewrite, Route};
use http::header::{HOST, STRICT_TRANSPORT_SECURITY};
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode};
use http1::{Length, ResponseHead, Violation};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::answer;
use super::answerable::Answerable;
use super::arrival::{self, Peer};
use super::asker::Asker;
use super::cors::Cors;
use super::onward::{self, Added};
use super::passed::is_stream;
use super::record::{Decision, Record};
use super::target::{self, Target};
use super::way_in::{Asked, WayIn};
use super::{HTTPS_REQUIRED, Sparingly, acme, files, limited, streaming, tunnel};
use crate::aside::aside;
use crate::audit::Audit;
use crate::client::{Client, Rested};
use crate::config::Handling;
use crate::deadline::Deadline;
use crate::ended::{Ended, Sent, is_our_limit};
use crate::folder;
use crate::limits::InFlight;
use crate::live::{Current, Live, View};
use crate::metrics::Metrics;
use crate::mode::Mode;
use crate::service::Service;
use crate::socket::Stream;
use crate::upstream::{Exchanging, Upgraded, UpstreamError};

/// What one runtime needs to serve requests.
pub(crate) struct Proxy {
    /// With the gate.
    pub(crate) live: View,
    pub(crate) audit: Audit,
    pub(crate) metrics: Arc<Metrics>,
    /// About the upstream.
    pub(crate) upstream_warnings: Sparingly,
    /// The tasks of the connections that are served.
    pub(crate) connections: TaskTracker,
}

/// A client that has connected, or goes on.
pub(super) struct Connected {
    pub(super) client: Rested,
    pub(super) peer: Peer,
    /// Whether it may begin with HTTP/2.
    pub(super) is_new: bool,
}

/// What became of a connection of HTTP/1.1.
pub(super) enum Served {
    Over,
    /// It begins with the preface of HTTP/2, where that is spoken.
    OverHttp2(Stream),
    /// Nothing has come for a while. It goes on when something does, for so long at most.
    Rests(Connected, Duration),
}

impl Proxy {
    /// Serves one connection of HTTP/1.1 until it ends or rests, or `stop` asks for an end after the requests in flight.
    pub(super) async fn serve(
        self: Rc<Self>,
        connected: Connected,
        stop: CancellationToken,
    ) -> Served {
        let Connected {
            client,
            peer,
            mut is_new,
        } = connected;
        let limits = self.live.current().client;
        let mut client = Client::go_on(client, limits, stop);
        while let Some(request) = client.next().await {
            match request {
                Ok(mut request) => self.answer(&mut request, &peer, &mut client).await,
                Err(Violation::Http2) if is_new && limits.http2 && !peer.secure => {
                    return Served::OverHttp2(client.into_http2());
                }
                Err(violation) => {
                    let came = &client.connection.input;
                    let (refused, mut record) = self.unreadable(violation, came, &peer);
                    let sent = client.answer(refused, &record.bytes_out).await;
                    record.ends(sent);
                }
            }
            is_new = false;
        }
        match client.into_rested() {
            None => Served::Over,
            Some((client, limit)) => {
                let connected = Connected {
                    client,
                    peer,
                    is_new,
                };
                Served::Rests(connected, limit)
            }
        }
    }
}

/// An answer of the upstream on its way to the client. By reference, so that it is in the future of the whole request once.
struct Passing<'x, 'l, E> {
    answer: &'x ResponseHead,
    exchange: &'x mut E,
    handling: &'l Handling,
    /// What it promises of HTTPS.
    hsts: Option<&'l HeaderValue>,
    /// The request's place among those in flight.
    place: Option<InFlight<'l>>,
    deadline: Deadline,
}

/// What becomes of a request.
enum Outcome<E> {
    /// Its client has hung up.
    Abandoned,
    /// We answer it.
    Answered(Response<Bytes>),
    /// A folder answers it.
    Found(folder::Answer),
    /// It became a WebSocket.
    Joined(ResponseHead, Upgraded),
    /// The upstream answers it.
    Passed(ResponseHead, E),
}

impl Proxy {
    /// Notes that a client of HTTP/2 has not kept to its rules, for which reason its connection or stream has ended.
    pub(crate) fn client_breaks_off(&self, peer: IpAddr, reason: &'static str) {
        let arrival = arrival::unreadable(peer);
        let mut record = Record::start(Mode::Proxy, arrival, &self.audit, &self.metrics);
        record.decided(Decision::Rejected(reason));
        record.ends(Sent::nothing(Ended::Cut));
    }

    /// Refuses what a client has sent in place of a request.
    #[cold]
    pub(crate) fn unreadable(
        &self,
        violation: Violation,
        came: &[u8],
        peer: &Peer,
    ) -> (Response<Bytes>, Record<'_>) {
        let (mode, audit, metrics) = (Mode::Proxy, &self.audit, &self.metrics);
        let (mut refused, record) =
            super::unreadable(violation, came, mode, peer.address, audit, metrics);
        promise(&mut refused, self.live.current().https.promised_to(peer));
        (refused, record)
    }

    /// Answers one request.
    pub(crate) async fn answer<D: Answerable>(
        &self,
        request: &mut Request<Length>,
        peer: &Peer,
        client: &mut D,
    ) {
        let live = self.live.current();
        let arrival = arrival::direct(peer, request.headers(), &live.trusted_proxies);
        let mut record = Record::start(Mode::Proxy, arrival, &self.audit, &self.metrics);
        let host = request.headers().get(HOST).cloned();
        record.asks(request.method().clone(), host, Some(request.uri().clone()));
        let place = InFlight::enter(self.metrics.in_flight(), live.limits.in_flight);
        let mut deadline = Deadline::after(client.total_time());
        let ours = |response| (live.handling(None), Outcome::Answered(response));
        let (handling, outcome) = match target::settle(request) {
            Ok(_) if place.is_none() => {
                record.decided(Decision::Rejected("overloaded"));
                let (status, id) = (StatusCode::SERVICE_UNAVAILABLE, record.request_id());
                ours(answer::status(status, asker(request), id))
            }
            Ok(Target::Path) => {
                let decided = {
                    let deciding = pin!(self.decide(&live, request, client, &mut record));
                    deadline.unless_over(deciding).await
                };
                decided.unwrap_or_else(|| ours(out_of_time(request, &mut record)))
            }
            Ok(Target::Server) => {
                record.decided(Decision::Options);
                ours(answer::options())
            }
            Err(malformed) => {
                record.decided(Decision::Rejected(malformed.reason()));
                let (status, id) = (malformed.status(), record.request_id());
                ours(answer::malformed(status, asker(request), id))
            }
        };
        let proxies = &live.trusted_proxies;
        let hsts = (live.https).promised(request.headers(), &record.arrival, proxies);
        match outcome {
            Outcome::Abandoned => abandon(client, &mut record),
            Outcome::Answered(mut response) => {
                describe(&mut response, request.headers(), handling, hsts);
                answer_ourselves(response, client, &mut record).await;
            }
            Outcome::Found(mut found) => {
                if let Some(hsts) = hsts {
                    found.promises(hsts);
                }
                let (record, deadline) = (&mut record, &mut deadline);
                aside(self.send_file(found, request, client, record, deadline)).await;
            }
            Outcome::Joined(answer, upstream) => {
                let added = Added::nothing();
                let fields = onward::fields(&answer, false, &added, record.request_id());
                let fields = fields.chain(gate::websocket_fields());
                client.begin_answer(answer.status, answer.reason(), fields, Length::NONE);
                record.begins(answer.status, true);
                // It may last for days, and the service has more to do with it than we.
                drop(place);
                client.end();
                let lease = self.lease(&live, handling, request, &record);
                let code = live.limits.session_end;
                let code = code.map_or(POLICY_VIOLATION, NonZeroU16::get);
                let ended = aside(client.join(upstream, &record, lease, code)).await;
                let began = client.is_being_answered();
                record.ends(Sent { ended, began });
            }
            Outcome::Passed(answer, mut exchange) => {
                let passing = Passing {
                    answer: &answer,
                    exchange: &mut exchange,
                    handling,
                    hsts,
                    place,
                    deadline,
                };
                let passed = self.pass_on(passing, &live, request, client, &mut record);
                let failed = passed.await;
                exchange.end(client, &record);
                if let Some(response) = failed {
                    aside(answer_ourselves(response, client, &mut record)).await;
                }
            }
        }
    }

    /// Passes an answer of the upstream on. Gives an answer of our own where it failed before anything of it had left.
    async fn pass_on<D: Answerable>(
        &self,
        passing: Passing<'_, '_, D::Exchange>,
        live: &Live,
        request: &Request<Length>,
        client: &mut D,
        record: &mut Record<'_>,
    ) -> Option<Response<Bytes>> {
        let Passing {
            answer,
            exchange,
            handling,
            hsts,
            place,
            mut deadline,
        } = passing;
        let is_head = *request.method() == Method::HEAD;
        let added = Added::to(answer, handling.keeps_private, hsts);
        let fields = onward::fields(answer, is_head, &added, record.request_id());
        client.begin_answer(answer.status, answer.reason(), fields, answer.length);
        let is_stream = is_stream(answer);
        record.begins(answer.status, is_stream);
        let _place = place.filter(|_| !is_stream);
        let relayed = if is_stream {
            exchange.may_pause(live.limits.stream_idle);
            let lease = self.lease(live, handling, request, record);
            Some(aside(streaming::relay(exchange, client, record, lease)).await)
        } else {
            if client.is_calling() {
                exchange.may_pause(live.limits.stream_idle);
            }
            let relaying = pin!(exchange.relay(client, record));
            deadline.unless_over(relaying).await
        };
        let mut response = match relayed {
            Some(Ok(sent)) => {
                record.ends(sent);
                return None;
            }
            Some(Err(error)) => self.upstream_failed(&error, request, record),
            None => aside(cut_off(client, request, record)).await?,
        };
        describe(&mut response, request.headers(), handling, hsts);
        Some(response)
    }

    /// Decides on a request, and forwards it if it may enter. Also gives what is configured for its route.
    async fn decide<'l, D: Answerable>(
        &self,
        live: &'l Current,
        request: &Request<Length>,
        client: &mut D,
        record: &mut Record<'l>,
    ) -> (&'l Handling, Outcome<D::Exchange>) {
        let headers = request.headers();
        let facts = facts(request, &record.arrival);
        if let Err(refused) = limited::first(live, record.arrival.client).await {
            return refuse(refused, Vec::new(), live, request, record);
        }
        if !record.arrival.secure
            && let Some(proof) = acme::proof(live, request)
        {
            record.decided(Decision::Proved);
            return (live.handling(None), Outcome::Answered(proof));
        }
        let proxies = &live.trusted_proxies;
        if live.https.refuses(headers, &record.arrival, proxies) {
            let answer = answer::https_required(asker(request), record.request_id());
            record.decided(Decision::Rejected(HTTPS_REQUIRED));
            return (live.handling(None), Outcome::Answered(answer));
        }
        if let Some((route, answer)) = preflight(live, &facts) {
            record.governed_by(&*route.name);
            record.decided(Decision::Preflight);
            return (live.handling(Some(route)), Outcome::Answered(answer));
        }
        let governing = limited::route(live, &facts).await;
        let mut decided = match governing {
            Ok(route) => {
                let deciding = pin!(live.gate.decide_by(route, &facts, record.now));
                client.unless_gone(deciding).await
            }
            Err(refused) => Some(Err(refused)),
        };
        if let Some(decided) = &mut decided {
            limited::last(live, &record.arrival, decided).await;
        }
        match decided {
            None => (live.handling(None), Outcome::Abandoned),
            Some(Ok(permit)) => {
                let route = permit.route();
                record.governed_by(&*route.name);
                let handling = live.handling(Some(route));
                let forwarding = self.forward(permit, live, handling, request, client, record);
                (handling, forwarding.await)
            }
            Some(Err(refused)) => {
                let lacking = live.gate.lacking(&refused, &facts, record.now);
                refuse(refused, lacking, live, request, record)
            }
        }
    }

    async fn forward<'l, D: Answerable>(
        &self,
        permit: Permit<'l>,
        live: &'l Current,
        handling: &'l Handling,
        request: &Request<Length>,
        client: &mut D,
        record: &mut Record<'l>,
    ) -> Outcome<D::Exchange> {
        let is_public = permit.route().access == Access::Public;
        let (admitted, admission) = admit(permit, request, &record.arrival, handling);
        record.decided(Decision::Permitted(admission));
        let Some(service) = live.service(handling) else {
            let (status, asker) = (StatusCode::NOT_FOUND, asker(request));
            return Outcome::Answered(answer::status(status, asker, record.request_id()));
        };
        if handling.refuses_body(*request.body()) {
            let (status, asker) = (StatusCode::PAYLOAD_TOO_LARGE, asker(request));
            return Outcome::Answered(answer::malformed(status, asker, record.request_id()));
        }
        let upstream = match service {
            Service::Upstream(upstream) => upstream,
            Service::Folder(folder) => {
                let (asked, warnings) = ((request, is_public), &self.upstream_warnings);
                let finding = files::find(folder, admitted, asked, client, record, warnings);
                return aside(finding).await.into();
            }
        };
        if let Some(limit) = handling.body_limit {
            client.limit_body(limit);
        }
        let realm = &live.gate.realms[handling.realm].name;
        let (answer, exchange) = match upstream.forward(admitted, client, record, realm).await {
            Ok(answered) => answered,
            Err(UpstreamError::ClientGone) => return Outcome::Abandoned,
            Err(error) => {
                return Outcome::Answered(self.upstream_failed(&error, request, record));
            }
        };
        let is_upgrade = answer.status == StatusCode::SWITCHING_PROTOCOLS;
        let becomes_websocket = tunnel::is_granted(&answer) && tunnel::is_requested(request);
        // Nobody asked for another protocol: a 101 would leave both sides with different ideas of what follows.
        if is_upgrade && !becomes_websocket {
            record.upstream = Some("bad_upgrade");
            record.ended = Some(Ended::UpstreamBroke);
            let (status, asker) = (StatusCode::BAD_GATEWAY, asker(request));
            let answer = answer::status(status, asker, record.request_id());
            return Outcome::Answered(answer);
        }
        record.service_answers(answer.status);
        if !becomes_websocket {
            return Outcome::Passed(answer, exchange);
        }
        match exchange.into_upgraded() {
            Some(upgraded) => Outcome::Joined(answer, upgraded),
            // A stream has an answer by now.
            None => Outcome::Abandoned,
        }
    }

    /// Sends what a folder has.
    async fn send_file<D: Answerable>(
        &self,
        found: folder::Answer,
        request: &Request<Length>,
        client: &mut D,
        record: &mut Record<'_>,
        deadline: &mut Deadline,
    ) {
        record.begins(found.status, false);
        let sent = {
            let sending = pin!(client.send_file(found, record));
            deadline.unless_over(sending).await
        };
        let refused = match sent {
            Some(Ok(sent)) => return record.ends(sent),
            Some(Err(error)) => {
                let refused = files::refusal(&error, request, record, &self.upstream_warnings);
                let Some(refused) = refused else {
                    return abandon(client, record);
                };
                refused
            }
            None => match cut_off(client, request, record).await {
                Some(refused) => refused,
                None => return,
            },
        };
        answer_ourselves(refused, client, record).await;
    }

    #[cold]
    fn upstream_failed(
        &self,
        error: &UpstreamError,
        request: &Request<Length>,
        record: &mut Record<'_>,
    ) -> Response<Bytes> {
        let (status, result) = match error {
            UpstreamError::BodyTooLong => (StatusCode::PAYLOAD_TOO_LARGE, "body_too_long"),
            UpstreamError::ClientBody(error) if is_our_limit(error) => {
                (StatusCode::REQUEST_TIMEOUT, "client_body")
            }
            UpstreamError::ClientBody(_) | UpstreamError::ClientGone => {
                (StatusCode::BAD_REQUEST, "client_body")
            }
            UpstreamError::Connect(_) => (StatusCode::BAD_GATEWAY, "connect_failed"),
            UpstreamError::Busy(_) => (StatusCode::SERVICE_UNAVAILABLE, "busy"),
            UpstreamError::Exchange(_)
            | UpstreamError::Http1Wanted
            | UpstreamError::Unanswered(_) => (StatusCode::BAD_GATEWAY, "broken"),
            UpstreamError::NotConnected(_) | UpstreamError::TimedOut(_) => {
                (StatusCode::GATEWAY_TIMEOUT, "timed_out")
            }
        };
        record.upstream = Some(result);
        record.ended = error.ended();
        if status.is_server_error() && self.upstream_warnings.may(record.now) {
            tracing::warn!(request_id = record.request_id(), %error, "the upstream gave no answer");
        }
        answer::status(status, asker(request), record.request_id())
    }
}

impl<E> From<files::Outcome> for Outcome<E> {
    fn from(outcome: files::Outcome) -> Self {
        match outcome {
            files::Outcome::Abandoned => Self::Abandoned,
            files::Outcome::Answered(answer) => Self::Found(answer),
            files::Outcome::Refused(response) => Self::Answered(response),
        }
    }
}

/// What is decided on, of a request that came like this.
pub(super) fn facts<'r>(request: &'r Request<Length>, arrival: &'r Arrival) -> Facts<'r> {
    let headers = request.headers();
    Facts {
        method: request.method(),
        host: headers.get(HOST).and_then(|host| host.to_str().ok()),
        path: Some(request.uri().path()),
        headers,
        arrival,
    }
}

/// Ends the record of a request whose client has hung up, and with it the connection.
#[cold]
fn abandon(client: &mut impl Answerable, record: &mut Record<'_>) {
    client.end();
    record.ends(Sent::nothing(Ended::ClientLeft));
}

/// The answer to a preflight of a page whose origin is listed, by the route of the request that the page wants to send. What is
/// public is the service's own affair.
pub(crate) fn preflight<'l>(
    live: &'l Live,
    facts: &Facts<'_>,
) -> Option<(&'l Route, Response<Bytes>)> {
    if facts.method != Method::OPTIONS {
        return None;
    }
    let route = live.gate.routes.of_announced(facts)?;
    let handling = live.handling(Some(route));
    let answer = Cors(&handling.cors_origins).preflight(facts.method, facts.headers)?;
    let needs_session = route.access != Access::Public;
    needs_session.then_some((route, answer))
}

/// What a permit makes of a request: the one that goes to the service, and on what grounds.
pub(crate) fn admit<'r>(
    permit: Permit<'_>,
    request: &'r Request<Length>,
    arrival: &Arrival,
    handling: &'r Handling,
) -> (Admitted<'r, Length>, Admission) {
    let rewrite = Rewrite {
        host: handling.host.as_ref(),
        via: handling.via,
    };
    let (admitted, admission) = permit.admit(request, arrival, rewrite);
    match tunnel::is_requested(request) {
        true => (admitted.asking_for_websocket(), admission),
        false => (admitted, admission),
    }
}

/// Notes a refusal and for want of which conditions it is one, and renders it. Also gives what is configured for its route.
#[cold]
fn refuse<'l, E>(
    refused: Refused<'l>,
    lacking: Vec<String>,
    live: &'l Live,
    request: &Request<Length>,
    record: &mut Record<'l>,
) -> (&'l Handling, Outcome<E>) {
    let handling = live.handling(refused.route);
    record.lacks(lacking);
    let (asker, answer) = (asker(request), refused.refusal.class());
    let proxies = &live.trusted_proxies;
    let asked = Asked::of(request, &record.arrival, proxies, record.now);
    let way_in = WayIn::of(handling.sign_in.as_ref(), answer, asker, &asked);
    record.redirect_loop = way_in.is_loop();
    let mut answer = answer::refusal(answer, asker, way_in, record.request_id());
    if let Refusal::RateLimited(limited) = &refused.refusal {
        answer::say_limit(answer.headers_mut(), &limited.exceeded);
    }
    if let Some(route) = refused.route {
        record.governed_by(&*route.name);
    }
    record.decided(Decision::Refused(refused.refusal));
    (handling, Outcome::Answered(answer))
}

/// Ends an answer for which there is no more time. Gives one that says so, where nothing of the first has left.
#[cold]
async fn cut_off(
    client: &mut impl Answerable,
    request: &Request<Length>,
    record: &mut Record<'_>,
) -> Option<Response<Bytes>> {
    if client.take_back_answer() {
        return Some(out_of_time(request, record));
    }
    client.cut_short().await;
    let (ended, began) = (Ended::Cut, client.is_being_answered());
    record.ends(Sent { ended, began });
    None
}

/// Answers a request for which there is no more time.
#[cold]
fn out_of_time(request: &Request<Length>, record: &mut Record<'_>) -> Response<Bytes> {
    match record.is_decided() {
        true => record.upstream = Some("timed_out"),
        false => record.decided(Decision::Rejected("request_timeout")),
    }
    record.ended = Some(Ended::Cut);
    let (status, asker) = (StatusCode::GATEWAY_TIMEOUT, asker(request));
    answer::status(status, asker, record.request_id())
}

/// Who asks. Most requests are never asked this: it is for answers of our own.
fn asker(request: &Request<Length>) -> Asker {
    Asker::of(request.method(), request.headers())
}

/// Adds to an answer of our own what the route and the settings of HTTPS say.
fn describe(
    response: &mut Response<Bytes>,
    asked: &HeaderMap,
    handling: &Handling,
    hsts: Option<&HeaderValue>,
) {
    Cors(&handling.cors_origins).describe(asked, response.headers_mut());
    promise(response, hsts);
}

/// Adds to an answer of our own what is promised of HTTPS.
fn promise(response: &mut Response<Bytes>, hsts: Option<&HeaderValue>) {
    if let Some(hsts) = hsts {
        let headers = response.headers_mut();
        headers.insert(STRICT_TRANSPORT_SECURITY, hsts.clone());
    }
}

/// Sends an answer that is not the upstream's, and ends the record with it.
async fn answer_ourselves(
    mut response: Response<Bytes>,
    client: &mut impl Answerable,
    record: &mut Record<'_>,
) {
    client.adapt(&mut response);
    record.answers(&mut response);
    let sent = client.answer(response, &record.bytes_out).await;
    record.ends(sent);
}

/// "Policy violation" (RFC 6455 §7.4.1), for a WebSocket that ends with a revocation where none ends with its session.
const POLICY_VIOLATION: u16 = 1008;

#[cfg(test)]
mod tests;
