//! One request and its answer, between a client's connection and one to a server.

use std::future::{Future, poll_fn};
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use gate::Admitted;
use http::StatusCode;
use http1::{ClientConnection, Length, ResponseHead, is_interim};
use tokio::time::{Sleep, sleep};

use super::error::UpstreamError;
use super::server::Server;
use crate::client::Client;
use crate::connection::{TimeBudget, invalid};
use crate::exchange_end::{ExchangeEnd, Sent, is_our_limit};
use crate::inbound::record::Record;
use crate::link::Link;
use crate::transfer::{BodySink, BodySource, Broken, Transfer};

/// A request and its answer on a connection to a server.
#[derive(Debug)]
pub(crate) struct Exchange {
    /// Boxed, because it is moved several times with every request.
    connection: Box<Link>,
    /// The state of HTTP/1.1 on the connection.
    http: ClientConnection,
    /// The client's body, until it has been sent.
    sending: Option<Transfer>,
    /// Set while the client's body is held back: until this time is over, or the server requests it (RFC 9110 §10.1.1).
    held: Option<Pin<Box<Sleep>>>,
    /// Whether the connection is reserved for its client, because a request has authenticated it.
    is_bound: bool,
    /// Whether the whole answer was relayed.
    is_relayed: bool,
    /// For how many seconds the server keeps an idle connection, if it has said so.
    keep_alive: Option<u32>,
    server: Rc<Server>,
}

impl Exchange {
    /// Writes the request head, which is sent by [`head`](Self::head). A client that waits for `100 Continue` keeps waiting.
    pub(super) fn begin(
        mut connection: Box<Link>,
        server: Rc<Server>,
        admitted: &Admitted<'_, Length>,
        client: &mut Client,
    ) -> Self {
        let length = *admitted.body();
        let holds = client.holds_body();
        let (output, fields) = (&mut connection.output, admitted.fields());
        let (method, target) = (admitted.method(), admitted.target());
        let http = ClientConnection::begin_request(output, method, target, fields, length, holds);
        let sends = length != Length::NONE && !holds;
        Self {
            connection,
            http,
            sending: sends.then(|| client.forward_body()),
            held: holds.then(|| Box::pin(sleep(LONGEST_HOLD))),
            is_bound: admitted.binds_connection(),
            is_relayed: false,
            keep_alive: None,
            server,
        }
    }

    /// Reserves the connection for the client.
    pub(super) fn bind(&mut self) {
        self.is_bound = true;
    }

    /// Sends the request, and waits for the response head. The server's read timer restarts while the body is being sent,
    /// and is suspended while the gate waits for the client.
    pub(super) async fn head(
        &mut self,
        client: &mut Client,
        record: &Record<'_>,
    ) -> Result<ResponseHead, UpstreamError> {
        self.connection.suspend_timer(false);
        self.connection.restart_read_timer();
        match &mut self.sending {
            None => self.connection.send_together().await,
            Some(sending) => {
                let sink = BodySink {
                    connection: &mut self.connection,
                    body: self.http.request(),
                };
                // An error of the body shows below.
                let _ = sending.begin(client.source(), sink).await;
            }
        }
        poll_fn(|context| {
            loop {
                // The request is sent before any wait.
                let client_failed = self.poll_client(context, client, record);
                let held = self.held.is_some();
                if let Poll::Ready(head) = self.poll_head(context, client) {
                    return Poll::Ready(head);
                }
                if let Poll::Ready(failed) = client_failed {
                    return Poll::Ready(Err(failed.into()));
                }
                if self.held.is_some() == held {
                    return Poll::Pending;
                }
            }
        })
        .await
    }

    fn poll_head(
        &mut self,
        context: &mut Context<'_>,
        client: &mut Client,
    ) -> Poll<Result<ResponseHead, UpstreamError>> {
        loop {
            let read = self.http.next_answer(&mut self.connection.input);
            match read.map_err(invalid).map_err(UpstreamError::Exchange)? {
                Some(answered) if answered.status == StatusCode::CONTINUE => {
                    if self.held.is_some() {
                        self.release(context, client, true);
                    }
                }
                Some(answered) if is_interim(answered.status) => {
                    client.pass_interim(context, &answered);
                }
                Some(answered) => {
                    if self.held.take().is_some() {
                        self.http.abandon_request();
                    }
                    self.is_bound |= answered.binds_connection();
                    self.keep_alive = answered.keep_alive;
                    return Poll::Ready(Ok(answered));
                }
                None => match ready!(self.connection.poll_fill(context)) {
                    Ok(0) => {
                        let closed = io::ErrorKind::UnexpectedEof.into();
                        return Poll::Ready(Err(UpstreamError::Exchange(closed)));
                    }
                    Ok(_) => {}
                    Err(error) => return Poll::Ready(Err(self.broken(error))),
                },
            }
        }
    }

    /// Begins to forward a body that was held back. `tells` sends the client `100 Continue`.
    fn release(&mut self, context: &mut Context<'_>, client: &mut Client, tells: bool) {
        self.held = None;
        self.sending = Some(client.forward_body());
        if tells {
            client.send_continue(context);
        }
    }

    /// Waits until a body that is held back may be forwarded. Ready when the client has failed.
    fn poll_held(&mut self, context: &mut Context<'_>, client: &mut Client) -> Poll<ClientFailed> {
        let Some(held) = &mut self.held else {
            return Poll::Pending;
        };
        let is_over = held.as_mut().poll(context).is_ready();
        if client.poll_gone(context).is_ready() {
            return Poll::Ready(ClientFailed::Gone);
        }
        // The client gets its `100 Continue` after a while, because some servers ignore the expectation.
        if is_over || client.has_sent_ahead() {
            self.release(context, client, is_over);
        }
        Poll::Pending
    }

    /// The error for a broken connection to the server.
    fn broken(&self, error: io::Error) -> UpstreamError {
        if is_our_limit(&error) {
            UpstreamError::TimedOut(self.server.time_limit)
        } else {
            UpstreamError::Exchange(error)
        }
    }

    /// Forwards the request. Ready when its client has failed.
    fn poll_client(
        &mut self,
        context: &mut Context<'_>,
        client: &mut Client,
        record: &Record<'_>,
    ) -> Poll<ClientFailed> {
        if self.held.is_some() {
            // The error shows when the answer is read.
            let _ = self.connection.poll_flush(context);
            let failed = self.poll_held(context, client);
            if failed.is_ready() || self.held.is_some() {
                return failed;
            }
        }
        let sent = match &mut self.sending {
            None => ready!(self.connection.poll_flush(context)).map_err(Broken::Sink),
            Some(sending) => {
                let before = sending.taken();
                let sink = BodySink {
                    connection: &mut self.connection,
                    body: self.http.request(),
                };
                let sent = sending.poll(context, client.source(), sink);
                if sending.taken() != before {
                    self.connection.restart_read_timer();
                }
                record.bytes_in.set(sending.passed(&self.connection));
                self.connection.suspend_timer(sending.awaits_source());
                ready!(sent)
            }
        };
        match sent {
            Ok(()) => self.sending = None,
            Err(Broken::Limit) => return Poll::Ready(ClientFailed::BodyTooLong),
            Err(Broken::Source(error)) => return Poll::Ready(ClientFailed::Body(error)),
            // The server may have answered without reading all of the request. If not, reading fails too.
            Err(Broken::Sink(_)) => {
                self.http.abandon_request();
                self.sending = None;
            }
        }
        client.poll_gone(context).map(|()| ClientFailed::Gone)
    }

    /// Whether no byte of an answer has arrived.
    pub(super) fn is_unanswered(&self) -> bool {
        self.connection.input.is_empty()
    }

    /// Relays the answer's body to the client, after the head in the client's output. If either side breaks off, the
    /// client's connection is cut, so that the answer cannot look complete. `record` counts the bytes.
    ///
    /// # Errors
    /// When the server failed, or the request's body became too long, before any of the head was sent. The head is taken back, so
    /// that another answer can be sent.
    pub(crate) async fn relay(
        &mut self,
        client: &mut Client,
        record: &Record<'_>,
    ) -> Result<Sent, UpstreamError> {
        let mut receiving = Transfer::new();
        let begun = receiving.begin(self.source(), client.sink()).await;
        let relayed = match begun {
            Ok(()) => self.relay_rest(&mut receiving, client, record).await,
            Err(broken) => Err(broken),
        };
        record.bytes_out.set(receiving.passed(&client.connection));
        match relayed {
            Ok(()) => {
                self.is_relayed = true;
                Ok(Sent::COMPLETE)
            }
            Err(Broken::Limit) if client.take_back_answer() => {
                record.bytes_out.set(0);
                Err(UpstreamError::BodyTooLong)
            }
            Err(Broken::Source(error)) if client.take_back_answer() => {
                record.bytes_out.set(0);
                Err(self.broken(error))
            }
            Err(broken) => {
                client.abort_answer();
                Ok(Sent {
                    ended: ExchangeEnd::from(&broken),
                    began: client.is_being_answered(),
                })
            }
        }
    }

    async fn relay_rest(
        &mut self,
        receiving: &mut Transfer,
        client: &mut Client,
        record: &Record<'_>,
    ) -> Result<(), Broken> {
        poll_fn(|context| {
            loop {
                let before = receiving.taken();
                let relayed = receiving.poll(context, self.source(), client.sink());
                if relayed.is_ready() {
                    return relayed;
                }
                if receiving.taken() != before {
                    client.gets_more();
                }
                record.bytes_out.set(receiving.passed(&client.connection));
                if client.is_being_answered() {
                    record.head_sent();
                }
                let was_suspended = self.connection.is_timer_suspended();
                let failed = self.poll_client(context, client, record);
                if let Poll::Ready(failed) = failed {
                    return Poll::Ready(Err(failed.into()));
                }
                // The gate waits for the server again, so its read timer has to be polled.
                if !was_suspended || self.connection.is_timer_suspended() {
                    return Poll::Pending;
                }
            }
        })
        .await
    }

    /// Limits each further wait for the server to this time.
    pub(crate) fn may_pause(&mut self, limit: Duration) {
        self.connection.set_read_budget(TimeBudget::per_wait(limit));
    }

    /// Ends the exchange. A reusable connection returns to the pool, or stays reserved for its owner; it is closed if the
    /// owner is unknown. The limit on pauses is reset.
    pub(crate) fn end(mut self, client: &mut Client, record: &Record<'_>) {
        if !self.is_relayed || !self.http.is_reusable() || self.sending.is_some() {
            return;
        }
        self.may_pause(self.server.time_limit);
        self.connection.under_way = None;
        if !self.is_bound {
            let is_bodiless = self.http.is_bodiless();
            self.server
                .keep(self.connection, is_bodiless, self.keep_alive);
        } else if let Some(owner) = record.owner() {
            client.own(Rc::clone(&self.server.identity), owner, self.connection);
        }
    }

    /// The answer's body.
    fn source(&mut self) -> BodySource<'_> {
        BodySource {
            connection: &mut self.connection,
            body: self.http.body(),
        }
    }

    /// The bare connection, after an answer that switches protocols.
    pub(crate) fn into_connection(self) -> Box<Link> {
        self.connection
    }
}

/// How a client fails during its request.
#[derive(Debug)]
enum ClientFailed {
    /// The client's body broke off.
    Body(io::Error),
    /// The client's body is longer than its limit.
    BodyTooLong,
    /// The client hung up.
    Gone,
}

impl From<ClientFailed> for UpstreamError {
    fn from(failed: ClientFailed) -> Self {
        match failed {
            ClientFailed::Body(error) => Self::ClientBody(error),
            ClientFailed::BodyTooLong => Self::BodyTooLong,
            ClientFailed::Gone => Self::ClientGone,
        }
    }
}

impl From<ClientFailed> for Broken {
    /// The client's failure, as a failure to relay the answer to it.
    fn from(failed: ClientFailed) -> Self {
        match failed {
            ClientFailed::Body(error) => Self::Sink(error),
            ClientFailed::BodyTooLong => Self::Limit,
            ClientFailed::Gone => Self::Sink(io::ErrorKind::ConnectionAborted.into()),
        }
    }
}

/// How long a body is held back for a server that sends no `100 Continue`: some ignore the expectation. curl waits as long.
pub(super) const LONGEST_HOLD: Duration = Duration::from_secs(1);
