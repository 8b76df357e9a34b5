//! The client towards services. It accepts only admitted requests, streams both bodies, and pools connections.
//!
//! A request and its answer run in the task of the client's connection: there is no channel between the two sides, and no
//! other task to wake.

mod balance;
mod budget;
mod channels;
mod dialer;
mod error;
mod exchange;
mod exchanging;
mod from_http1;
mod health;
mod member;
mod opening;
mod over_http1;
mod over_http2;
mod server;
mod streamed_exchange;
mod streaming;
mod websocket;

use std::io::ErrorKind;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use gate::Admitted;
use http1::{Length, ResponseHead};
use smallvec::SmallVec;

use self::balance::{BalanceKey, Balancer};
use self::budget::Budget;
pub(crate) use self::error::UpstreamError;
pub(crate) use self::exchanging::{Exchanging, Forwards};
pub(crate) use self::health::Checks;
pub(crate) use self::member::{Member, Members};
use self::opening::{Need, OpenedLink};
use self::over_http2::{Http2Origin, OutgoingRequest};
use self::server::Server;
pub(crate) use self::server::own_host;
pub(crate) use self::streamed_exchange::StreamedExchange;
pub(crate) use self::websocket::{Upgraded, accept as websocket_accept};
use crate::boxed::boxed;
use crate::config::UpstreamSettings;
use crate::inbound::record::Record;

/// A service as one runtime sees it: its servers, and the connections to them.
#[derive(Debug)]
pub(crate) struct Upstream {
    servers: Vec<Rc<Server>>,
    balancer: Balancer,
    budget: Budget,
}

impl Upstream {
    /// A service without connections yet.
    pub(crate) fn new(settings: &UpstreamSettings, members: &Arc<Members>) -> Self {
        let server = |member: &Arc<_>| Rc::new(Server::new(Arc::clone(member), settings));
        Self {
            servers: members.all.iter().map(server).collect(),
            balancer: Balancer::new(settings.pool.balance, Arc::clone(members)),
            budget: Budget::new(settings.pool.retry_percent),
        }
    }

    /// Sends an admitted request with the client's body, and returns the response head. `record` counts the bytes of the
    /// body. If a server takes no connection, another one is tried; a request that may be repeated is also sent to another
    /// server if the first has not answered.
    pub(crate) async fn forward<D: Forwards>(
        &self,
        admitted: Admitted<'_, Length>,
        client: &mut D,
        record: &Record<'_>,
        realm: &str,
    ) -> Result<(ResponseHead, D::Exchange), UpstreamError> {
        if let [only] = &self.servers[..] {
            let admitted = admitted.with_default_host(&only.host);
            let attempt = Attempt {
                waits: true,
                counts: false,
                again: false,
            };
            return only.forward(&admitted, client, record, attempt).await;
        }
        let key = key(record, realm);
        let mut tried = SmallVec::<[usize; 8]>::new();
        let mut choice = match self.owned_by(client) {
            Some(own) => own,
            None => self.balancer.choose(&tried, key).unwrap_or_default(),
        };
        self.budget.request();
        let mut again = false;
        let admitted = admitted.with_default_host(&self.servers[choice].host);
        loop {
            tried.push(choice);
            let server = &self.servers[choice];
            record.sent_to(&server.audit_name);
            let is_last = tried.len() == self.servers.len();
            let attempt = Attempt {
                waits: is_last,
                counts: self.balancer.counts(),
                again,
            };
            let forwarded = server.forward(&admitted, client, record, attempt);
            let error = match forwarded.await {
                Ok(answered) => {
                    server.member.record_answer();
                    return Ok(answered);
                }
                Err(error) => error,
            };
            server.record_failure(&error);
            if is_last || !self.may_retry_elsewhere(&error, &admitted, record) {
                return Err(error);
            }
            let Some(next) = self.balancer.choose(&tried, key) else {
                return Err(error);
            };
            again |= !error.is_before_request();
            choice = next;
        }
    }

    /// The server to which the client has an owned connection, if there is one.
    fn owned_by(&self, client: &impl Forwards) -> Option<usize> {
        let is_own = |server: &Rc<Server>| client.owns_connection_to(&server.identity);
        self.servers.iter().position(is_own)
    }

    /// Whether a request may go to another server after this failure: if none of it was sent, or if it is
    /// [repeatable](is_repeatable), no part of an answer has arrived (RFC 9110 §9.2.2), and the retry budget allows it.
    fn may_retry_elsewhere(
        &self,
        error: &UpstreamError,
        admitted: &Admitted<'_, Length>,
        record: &Record<'_>,
    ) -> bool {
        if error.is_before_request() {
            record.count_retry("unsent");
            return true;
        }
        if !error.is_unanswered() || !is_repeatable(admitted) {
            return false;
        }
        let may = self.budget.may_repeat();
        record.count_retry(if may { "repeated" } else { "over_budget" });
        may
    }
}

/// Whether a request is idempotent and has no body, so that it can be sent again.
fn is_repeatable(admitted: &Admitted<'_, Length>) -> bool {
    *admitted.body() == Length::NONE && admitted.method().is_idempotent()
}

/// The key by which a server is chosen.
fn key<'k>(record: &'k Record<'_>, realm: &'k str) -> BalanceKey<'k> {
    match record.session() {
        Some(session) => BalanceKey::User {
            realm,
            id: session.subject(),
        },
        None => BalanceKey::Address(record.arrival.client),
    }
}

/// How a request is sent to a server.
#[derive(Clone, Copy, Debug)]
struct Attempt {
    /// Whether the request waits for a connection if their number is limited and reached.
    waits: bool,
    /// Whether the request is counted among those in flight.
    counts: bool,
    /// Whether the request was sent to another server before.
    again: bool,
}

impl Server {
    async fn forward<D: Forwards>(
        self: &Rc<Self>,
        admitted: &Admitted<'_, Length>,
        client: &mut D,
        record: &Record<'_>,
        attempt: Attempt,
    ) -> Result<(ResponseHead, D::Exchange), UpstreamError> {
        let counts = attempt.counts;
        let mut need = Need {
            // An idempotent request can be sent again (RFC 9112 §9.3.1).
            repeatable: is_repeatable(admitted),
            announced_client: self.announced_client(record),
            waits: attempt.waits,
            over_http1: self.must_use_http1(admitted, client),
            again: attempt.again,
        };
        loop {
            if self.speaks_http2.get() && !need.over_http1 {
                let forwarding =
                    self.forward_over_http2(admitted, (&mut need, counts), client, record);
                match boxed(forwarding).await {
                    Some(forwarded) => return forwarded,
                    None => need.over_http1 = true,
                }
            }
            let own = client.take_owned(&self.identity, || record.owner());
            let own = own
                .filter(|own| own.announced_client == need.announced_client && own.is_idle_now());
            let (is_own, kept) = match own {
                Some(own) => (true, Some(own)),
                None => (
                    false,
                    self.take_idle(need.repeatable, need.announced_client).await,
                ),
            };
            let OpenedLink { mut link, reused } = match kept {
                Some(link) => OpenedLink { link, reused: true },
                None => match boxed(self.open(client, need)).await? {
                    Some(opened) => opened,
                    // The server speaks HTTP/2 by now.
                    None => continue,
                },
            };
            if counts {
                link.under_way = Some(self.member.begin_request());
            }
            let mut exchange = D::Exchange::begin(link, Rc::clone(self), admitted, client);
            if is_own {
                exchange.bind();
            }
            if need.again {
                exchange.may_pause(self.left(record)?);
            }
            match exchange.head(client, record).await {
                Ok(answered) => {
                    if need.again {
                        exchange.may_pause(self.time_limit);
                    }
                    return Ok((answered, exchange));
                }
                // `InvalidData`: the server has sent bytes that are not an answer, and they are no longer in the input.
                Err(UpstreamError::Exchange(error))
                    if exchange.is_unanswered() && error.kind() != ErrorKind::InvalidData =>
                {
                    // The server closed an idle connection just as it was used again.
                    if !reused || !need.repeatable {
                        return Err(UpstreamError::Unanswered(error));
                    }
                    need.again = true;
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// The time left for the answer to a request that is sent again. In all, its client waits no longer than for a request
    /// that is sent once.
    fn left(&self, record: &Record<'_>) -> Result<Duration, UpstreamError> {
        let left = self.time_limit.checked_sub(record.elapsed());
        left.ok_or(UpstreamError::TimedOut(self.time_limit))
    }

    /// Whether a request goes over HTTP/1.1 although the server may choose HTTP/2: NTLM and Negotiate authenticate a
    /// connection, and an HTTP/2 connection is shared by clients.
    fn must_use_http1(&self, admitted: &Admitted<'_, Length>, client: &impl Forwards) -> bool {
        let is_bound = || admitted.binds_connection() || client.owns_connection_to(&self.identity);
        self.channels.is_some() && self.member.dialer.negotiates() && is_bound()
    }

    /// Forwards a request over HTTP/2. `None` when the server speaks HTTP/1.1, or accepts this request only over HTTP/1.1.
    async fn forward_over_http2<D: Forwards>(
        self: &Rc<Self>,
        admitted: &Admitted<'_, Length>,
        (need, counts): (&mut Need, bool),
        client: &mut D,
        record: &Record<'_>,
    ) -> Option<Result<(ResponseHead, D::Exchange), UpstreamError>> {
        let key = websocket::key(admitted);
        let mut refused = 0;
        loop {
            let mut reserved = match self.reserve_stream(client, *need).await {
                Ok(reserved) => reserved?,
                Err(error) => return Some(Err(error)),
            };
            if key.is_some() && !reserved.takes_websockets() {
                return None;
            }
            reserved.under_way = counts.then(|| self.member.begin_request());
            let reused = reserved.is_reused;
            let new_request = OutgoingRequest {
                admitted,
                expects_continue: client.awaits_continue(),
                websocket: key,
                secure: self.member.dialer.address.speaks_tls(),
            };
            let origin = match Http2Origin::begin(reserved, new_request, self.time_limit) {
                Ok(origin) => origin,
                // The connection ended just as it was used again, and nothing has been sent.
                Err(_) if reused => continue,
                Err(error) => return Some(Err(UpstreamError::Connect(error))),
            };
            let mut exchange =
                D::Exchange::begin_over_http2(origin, Rc::clone(self), admitted, client);
            if need.again {
                match self.left(record) {
                    Ok(left) => exchange.may_pause(left),
                    Err(error) => return Some(Err(error)),
                }
            }
            match exchange.head(client, record).await {
                Ok(answered) => {
                    if need.again {
                        exchange.may_pause(self.time_limit);
                    }
                    return Some(Ok((answered, exchange)));
                }
                Err(UpstreamError::Exchange(error)) if over_http2::is_unanswered(&error) => {
                    if !reused || !need.repeatable || refused == MOST_REFUSED {
                        return Some(Err(UpstreamError::Unanswered(error)));
                    }
                    // A connection that has ended is not tried again. One on which streams are refused stays in use.
                    refused += u32::from(over_http2::is_refusal(&error));
                    need.again = true;
                }
                Err(UpstreamError::Exchange(error)) if over_http2::requires_http1(&error) => {
                    return match exchange.has_taken_body() {
                        true => Some(Err(UpstreamError::Http1Required)),
                        false => None,
                    };
                }
                Err(error) => return Some(Err(error)),
            }
        }
    }

    /// Notes an error if it is a failure of the server.
    fn record_failure(&self, error: &UpstreamError) {
        if !error.is_server_failure() {
            return;
        }
        if let Some(time) = self.member.record_failure() {
            let (server, seconds) = (&self.member.name, time.as_secs());
            tracing::warn!(%server, seconds, %error, "a server of a service was ejected after failures, and gets no \
                requests for a while");
        }
    }
}

/// How often a request is sent again over HTTP/2 after the server has refused its stream.
const MOST_REFUSED: u32 = 2;
