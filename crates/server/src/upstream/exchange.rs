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
use crate::connection::{Allowance, invalid};
use crate::ended::{Ended, Sent, is_our_limit};
use crate::front::record::Record;
use crate::link::Link;
use crate::transfer::{Broken, Sink, Source, Transfer};

/// A request on its connection to the upstream, and what of it is still under way.
#[derive(Debug)]
pub(crate) struct Exchange {
    /// In a box, because it goes from hand to hand with every request.
    connection: Box<Link>,
    /// What its bytes mean.
    http: ClientConnection,
    /// The client's body, until it has been sent.
    sending: Option<Transfer>,
    /// The client's body is held back until this time is over, or the server asks for it (RFC 9110 §10.1.1).
    held: Option<Pin<Box<Sleep>>>,
    /// Whether the connection is its client's alone: what follows on it is done in the name of that one.
    is_bound: bool,
    /// Whether the whole answer went on.
    is_relayed: bool,
    /// For how many seconds the server keeps the connection, as far as it has said so.
    keep_alive: Option<u32>,
    server: Rc<Server>,
}

impl Exchange {
    /// Writes the head of a request, which leaves with [`head`](Self::head). A client that waits for the service's word before
    /// it sends its body waits on.
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

    /// Lets nobody else use the connection from now on.
    pub(super) fn bind(&mut self) {
        self.is_bound = true;
    }

    /// Sends the request, and waits for the head of the answer. The clock starts anew while the client's body still makes
    /// its way, and stands while the client is waited for.
    pub(super) async fn head(
        &mut self,
        client: &mut Client,
        record: &Record<'_>,
    ) -> Result<ResponseHead, UpstreamError> {
        self.connection.suspend(false);
        self.connection.forgive();
        match &mut self.sending {
            None => self.connection.send_together().await,
            Some(sending) => {
                let sink = Sink {
                    connection: &mut self.connection,
                    body: self.http.request(),
                };
                // A flaw of the body shows below.
                let _ = sending.begin(client.source(), sink).await;
            }
        }
        poll_fn(|context| {
            loop {
                // The request leaves before anything is waited for.
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

    /// Lets the client's body go on that was held back, and tells the client to send it, if that is needed.
    fn release(&mut self, context: &mut Context<'_>, client: &mut Client, tells: bool) {
        self.held = None;
        self.sending = Some(client.forward_body());
        if tells {
            client.invite(context);
        }
    }

    /// Waits for what decides about a body that is held back. Ready when the client has failed.
    fn poll_held(&mut self, context: &mut Context<'_>, client: &mut Client) -> Poll<ClientFailed> {
        let Some(held) = &mut self.held else {
            return Poll::Pending;
        };
        let is_over = held.as_mut().poll(context).is_ready();
        if client.poll_gone(context).is_ready() {
            return Poll::Ready(ClientFailed::Gone);
        }
        // A client need not wait for ever, and neither does one for a server that does not know what it waits for.
        if is_over || client.has_sent_ahead() {
            self.release(context, client, is_over);
        }
        Poll::Pending
    }

    /// What it means that the upstream's connection broke.
    fn broken(&self, error: io::Error) -> UpstreamError {
        if is_our_limit(&error) {
            UpstreamError::TimedOut(self.server.patience)
        } else {
            UpstreamError::Exchange(error)
        }
    }

    /// Moves the request on. Ready when its client has failed.
    fn poll_client(
        &mut self,
        context: &mut Context<'_>,
        client: &mut Client,
        record: &Record<'_>,
    ) -> Poll<ClientFailed> {
        if self.held.is_some() {
            // A failure shows where its answer is waited for.
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
                let sink = Sink {
                    connection: &mut self.connection,
                    body: self.http.request(),
                };
                let sent = sending.poll(context, client.source(), sink);
                if sending.taken() != before {
                    self.connection.forgive();
                }
                record.bytes_in.set(sending.passed(&self.connection));
                self.connection.suspend(sending.awaits_source());
                ready!(sent)
            }
        };
        match sent {
            Ok(()) => self.sending = None,
            Err(Broken::Limit) => return Poll::Ready(ClientFailed::BodyTooLong),
            Err(Broken::Source(error)) => return Poll::Ready(ClientFailed::Body(error)),
            // It may have answered without reading all of the request. If it has not, reading fails too.
            Err(Broken::Sink(_)) => {
                self.http.abandon_request();
                self.sending = None;
            }
        }
        client.poll_gone(context).map(|()| ClientFailed::Gone)
    }

    /// Whether not a byte of an answer has come.
    pub(super) fn is_unanswered(&self) -> bool {
        self.connection.input.is_empty()
    }

    /// Passes the answer's body on to the client, with the head that stands in the client's output. Where
    /// either side breaks off, the client's connection ends before the answer does, so that it cannot be taken for a whole
    /// one. `record` is told how it goes on.
    ///
    /// # Errors
    /// When the upstream failed, or the request's body became too long, before anything of the head had left. The head is taken back then, and the client can be told.
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
                Ok(Sent::WHOLE)
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
                client.break_off();
                Ok(Sent {
                    ended: Ended::from(&broken),
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
                    record.head_left();
                }
                let was_suspended = self.connection.is_suspended();
                let failed = self.poll_client(context, client, record);
                if let Poll::Ready(failed) = failed {
                    return Poll::Ready(Err(failed.into()));
                }
                // The server is waited for again, so its clock has to be looked at.
                if !was_suspended || self.connection.is_suspended() {
                    return Poll::Pending;
                }
            }
        })
        .await
    }

    /// Lets the answer pause for so long, which goes on for as long as somebody listens.
    pub(crate) fn may_pause(&mut self, limit: Duration) {
        self.connection.allow(Allowance::at_once(limit));
    }

    /// Ends the exchange. A connection that can carry the next request is kept for one: of anybody, or of the owner to whom it is
    /// bound. Where nobody knows who that is, it ends. The next answer may pause no longer than others.
    pub(crate) fn end(mut self, client: &mut Client, record: &Record<'_>) {
        if !self.is_relayed || !self.http.is_reusable() || self.sending.is_some() {
            return;
        }
        self.may_pause(self.server.patience);
        self.connection.under_way = None;
        if !self.is_bound {
            let has_to_be_quiet = self.http.has_to_be_quiet();
            self.server
                .keep(self.connection, has_to_be_quiet, self.keep_alive);
        } else if let Some(owner) = record.owner() {
            client.own(Rc::clone(&self.server.identity), owner, self.connection);
        }
    }

    /// The answer's body.
    fn source(&mut self) -> Source<'_> {
        Source {
            connection: &mut self.connection,
            body: self.http.body(),
        }
    }

    /// The bare connection, after an answer that makes it something else.
    pub(crate) fn into_connection(self) -> Box<Link> {
        self.connection
    }
}

/// How a client fails whose request is under way.
#[derive(Debug)]
enum ClientFailed {
    /// Its body broke off.
    Body(io::Error),
    /// Its body is longer than it may be.
    BodyTooLong,
    /// It hung up.
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
    /// What it means for the answer on its way to that client.
    fn from(failed: ClientFailed) -> Self {
        match failed {
            ClientFailed::Body(error) => Self::Sink(error),
            ClientFailed::BodyTooLong => Self::Limit,
            ClientFailed::Gone => Self::Sink(io::ErrorKind::ConnectionAborted.into()),
        }
    }
}

/// How long a body is held back for a server that says nothing: some do not know the expectation. curl waits as long.
pub(super) const LONGEST_HOLD: Duration = Duration::from_secs(1);
