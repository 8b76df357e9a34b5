//! The proxy: decides on each request of a connection, forwards the permitted ones and answers the others.

mod decide;
mod forward;
mod own_answer;

use std::net::IpAddr;
use std::num::NonZeroU16;
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::HOST;
use http::{HeaderValue, Method, Request, Response, StatusCode};
use http1::{Length, ResponseHead, Violation};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

pub(super) use self::decide::facts;
pub(crate) use self::decide::{admit, preflight};
use self::own_answer::{
    abandon, add_headers, add_hsts, client_kind, cut_off, send_own_answer, timed_out_answer,
};
use super::answer;
use super::answer_type::is_stream;
use super::answerable::Answerable;
use super::arrival::{self, Peer};
use super::forwarded_answer::{self, Added};
use super::record::{Decision, Record};
use super::target::{self, Target};
use super::{WarningLimiter, files, streaming};
use crate::audit::Audit;
use crate::boxed::boxed;
use crate::client::{Client, ParkedClient};
use crate::config::Handling;
use crate::deadline::Deadline;
use crate::exchange_end::{ExchangeEnd, Sent};
use crate::folder;
use crate::limits::InFlight;
use crate::live::{Live, View};
use crate::metrics::Metrics;
use crate::mode::Mode;
use crate::socket::Stream;
use crate::upstream::{Exchanging, Upgraded};

/// What one runtime needs to serve requests.
pub(crate) struct Proxy {
    /// The live configuration, with the gate.
    pub(crate) live: View,
    pub(crate) audit: Audit,
    pub(crate) metrics: Arc<Metrics>,
    /// Limits warnings about services.
    pub(crate) upstream_warnings: WarningLimiter,
    /// The tasks of connections.
    pub(crate) connections: TaskTracker,
}

/// A client with a new connection, or one that was parked.
pub(super) struct ConnectedClient {
    pub(super) client: ParkedClient,
    pub(super) peer: Peer,
    /// Whether no request has come yet, so that the client may begin with HTTP/2.
    pub(super) is_new: bool,
}

/// How serving an HTTP/1.1 connection has ended.
pub(super) enum Served {
    Over,
    /// The client begins with the preface of HTTP/2, which this listener accepts.
    OverHttp2(Stream),
    /// The connection is idle and can be parked, for at most this long.
    Parked(ConnectedClient, Duration),
}

impl Proxy {
    /// Serves one HTTP/1.1 connection until it ends or is to be parked. When `stop` is canceled, the connection ends after the
    /// request in flight.
    pub(super) async fn serve(
        self: Rc<Self>,
        connected: ConnectedClient,
        stop: CancellationToken,
    ) -> Served {
        let ConnectedClient {
            client,
            peer,
            mut is_new,
        } = connected;
        let limits = self.live.current().client;
        let mut client = Client::resume(client, limits, stop);
        while let Some(request) = client.next().await {
            match request {
                Ok(mut request) => self.answer(&mut request, &peer, &mut client).await,
                Err(Violation::Http2) if is_new && limits.http2 && !peer.secure => {
                    return Served::OverHttp2(client.into_http2());
                }
                Err(violation) => {
                    let received = &client.connection.input;
                    let (refused, mut record) = self.unreadable(violation, received, &peer);
                    let sent = client.answer(refused, &record.bytes_out).await;
                    record.end(sent);
                }
            }
            is_new = false;
        }
        match client.into_parked() {
            None => Served::Over,
            Some((client, limit)) => {
                let connected = ConnectedClient {
                    client,
                    peer,
                    is_new,
                };
                Served::Parked(connected, limit)
            }
        }
    }
}

/// A service's answer on its way to the client. It holds references, so that the future of the request stores the answer only
/// once.
struct RelayedAnswer<'x, 'l, E> {
    answer: &'x ResponseHead,
    exchange: &'x mut E,
    handling: &'l Handling,
    /// The `Strict-Transport-Security` to add.
    hsts: Option<&'l HeaderValue>,
    /// Counts the request among those in flight.
    place: Option<InFlight<'l>>,
    deadline: Deadline,
}

/// How a request is answered.
enum RequestOutcome<E> {
    /// Not at all: its client has gone away.
    Abandoned,
    /// By the gate itself.
    Answered(Response<Bytes>),
    /// By a folder.
    Found(folder::FileResponse),
    /// By a service that accepts a WebSocket.
    Joined(ResponseHead, Upgraded),
    /// By a service.
    Passed(ResponseHead, E),
}

impl Proxy {
    /// Records that a connection or stream has ended because its client broke the rules of HTTP/2.
    pub(crate) fn record_violation(&self, peer: IpAddr, reason: &'static str) {
        let arrival = arrival::unreadable(peer);
        let mut record = Record::start(Mode::Proxy, arrival, &self.audit, &self.metrics);
        record.decided(Decision::Rejected(reason));
        record.end(Sent::nothing(ExchangeEnd::CutOff));
    }

    /// Refuses bytes that are not a valid request.
    #[cold]
    pub(crate) fn unreadable(
        &self,
        violation: Violation,
        received: &[u8],
        peer: &Peer,
    ) -> (Response<Bytes>, Record<'_>) {
        let (mode, audit, metrics) = (Mode::Proxy, &self.audit, &self.metrics);
        let (mut refused, record) =
            super::unreadable(violation, received, mode, peer.address, audit, metrics);
        add_hsts(
            &mut refused,
            self.live.current().https.hsts_for_unreadable(peer),
        );
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
        record.set_request(request.method().clone(), host, Some(request.uri().clone()));
        let place = InFlight::enter(self.metrics.in_flight(), live.limits.in_flight);
        let mut deadline = Deadline::after(client.total_time());
        let ours = |response| (live.handling(None), RequestOutcome::Answered(response));
        let (handling, outcome) = match target::normalize_target(request) {
            Ok(_) if place.is_none() => {
                record.decided(Decision::Rejected("overloaded"));
                let (status, id) = (StatusCode::SERVICE_UNAVAILABLE, record.request_id());
                ours(answer::status(status, client_kind(request), id))
            }
            Ok(Target::Path) => {
                let decided = {
                    let deciding = pin!(self.decide(&live, request, client, &mut record));
                    deadline.unless_over(deciding).await
                };
                decided.unwrap_or_else(|| ours(timed_out_answer(request, &mut record)))
            }
            Ok(Target::Server) => {
                record.decided(Decision::Options);
                ours(answer::options())
            }
            Err(malformed) => {
                record.decided(Decision::Rejected(malformed.reason()));
                let (status, id) = (malformed.status(), record.request_id());
                ours(answer::malformed(status, client_kind(request), id))
            }
        };
        let proxies = &live.trusted_proxies;
        let hsts = (live.https).hsts_for(request.headers(), &record.arrival, proxies);
        match outcome {
            RequestOutcome::Abandoned => abandon(client, &mut record),
            RequestOutcome::Answered(mut response) => {
                add_headers(&mut response, request.headers(), handling, hsts);
                send_own_answer(response, client, &mut record).await;
            }
            RequestOutcome::Found(mut found) => {
                if let Some(hsts) = hsts {
                    found.add_hsts(hsts);
                }
                let (record, deadline) = (&mut record, &mut deadline);
                boxed(self.send_file(found, request, client, record, deadline)).await;
            }
            RequestOutcome::Joined(answer, upstream) => {
                let added = Added::nothing();
                let fields = forwarded_answer::fields(&answer, false, &added, record.request_id());
                let fields = fields.chain(gate::websocket_fields());
                client.begin_answer(answer.status, answer.reason(), fields, Length::NONE);
                record.begin_answer(answer.status, true);
                // A WebSocket may last for days and costs the gate little, so it does not count as in flight.
                drop(place);
                client.end();
                let lease = self.lease(&live, handling, request, &record);
                let code = live.limits.session_end;
                let code = code.map_or(POLICY_VIOLATION, NonZeroU16::get);
                let ended = boxed(client.join(upstream, &record, lease, code)).await;
                let began = client.is_being_answered();
                record.end(Sent { ended, began });
            }
            RequestOutcome::Passed(answer, mut exchange) => {
                let relayed = RelayedAnswer {
                    answer: &answer,
                    exchange: &mut exchange,
                    handling,
                    hsts,
                    place,
                    deadline,
                };
                let passed = self.pass_on(relayed, &live, request, client, &mut record);
                let failed = passed.await;
                exchange.end(client, &record);
                if let Some(response) = failed {
                    boxed(send_own_answer(response, client, &mut record)).await;
                }
            }
        }
    }

    /// Relays a service's answer. Returns an answer of the gate itself if that failed before any of the service's was sent.
    async fn pass_on<D: Answerable>(
        &self,
        relayed: RelayedAnswer<'_, '_, D::Exchange>,
        live: &Live,
        request: &Request<Length>,
        client: &mut D,
        record: &mut Record<'_>,
    ) -> Option<Response<Bytes>> {
        let RelayedAnswer {
            answer,
            exchange,
            handling,
            hsts,
            place,
            mut deadline,
        } = relayed;
        let is_head = *request.method() == Method::HEAD;
        let added = Added::to(answer, handling.keeps_private, hsts);
        let fields = forwarded_answer::fields(answer, is_head, &added, record.request_id());
        client.begin_answer(answer.status, answer.reason(), fields, answer.length);
        let is_stream = is_stream(answer);
        record.begin_answer(answer.status, is_stream);
        let _place = place.filter(|_| !is_stream);
        let relayed = if is_stream {
            exchange.may_pause(live.limits.stream_idle);
            let lease = self.lease(live, handling, request, record);
            Some(boxed(streaming::relay(exchange, client, record, lease)).await)
        } else {
            if client.is_grpc_call() {
                exchange.may_pause(live.limits.stream_idle);
            }
            let relaying = pin!(exchange.relay(client, record));
            deadline.unless_over(relaying).await
        };
        let mut response = match relayed {
            Some(Ok(sent)) => {
                record.end(sent);
                return None;
            }
            Some(Err(error)) => self.upstream_failed(&error, request, record),
            None => boxed(cut_off(client, request, record)).await?,
        };
        add_headers(&mut response, request.headers(), handling, hsts);
        Some(response)
    }

    /// Sends the answer of a folder.
    async fn send_file<D: Answerable>(
        &self,
        found: folder::FileResponse,
        request: &Request<Length>,
        client: &mut D,
        record: &mut Record<'_>,
        deadline: &mut Deadline,
    ) {
        record.begin_answer(found.status, false);
        let sent = {
            let sending = pin!(client.send_file(found, record));
            deadline.unless_over(sending).await
        };
        let refused = match sent {
            Some(Ok(sent)) => return record.end(sent),
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
        send_own_answer(refused, client, record).await;
    }
}

/// "Policy violation" (RFC 6455 §7.4.1): the close code for a revoked session, if no other code is configured.
const POLICY_VIOLATION: u16 = 1008;

#[cfg(test)]
mod tests;
