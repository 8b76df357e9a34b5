//! Exchanges with a server over HTTP/1.1 for clients that speak another version.

use std::io;
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use gate::Admitted;
use http::HeaderMap;
use http1::{Answered, ClientConnection, Length, Piece};

use super::error::UpstreamError;
use super::exchanging::Exchanging;
use super::server::Server;
use super::streaming::{Failed, Streaming};
use crate::connection::{Allowance, invalid};
use crate::ended::{Ended, Sent, is_our_limit};
use crate::front::record::Record;
use crate::link::Link;
use crate::streamed::{BodyFrame, Origin, Streamed};
use crate::transfer::Broken;

/// A request that did not come over HTTP/1.1, on a connection to a server that speaks it.
#[derive(Debug)]
pub(crate) struct StreamedExchange {
    streaming: Streaming<Http1Origin>,
    /// Whether the connection is that of one user from now on, so that nobody else may use it.
    is_bound: bool,
    /// Whether the answer asks for credentials that would be those of a connection.
    binds_client: bool,
    /// Whether the whole answer went on.
    is_relayed: bool,
    /// For how many seconds the server keeps the connection, as far as it has said so.
    keep_alive: Option<u32>,
    server: Rc<Server>,
}

/// A server's side over HTTP/1.1.
#[derive(Debug)]
struct Http1Origin {
    connection: Box<Link>,
    http: ClientConnection,
}

impl<D: Streamed> Exchanging<D> for StreamedExchange {
    fn begin(
        mut connection: Box<Link>,
        server: Rc<Server>,
        admitted: &Admitted<'_, Length>,
        client: &mut D,
    ) -> Self {
        let length = *admitted.body();
        let holds = client.holds_body();
        let (output, fields) = (&mut connection.output, admitted.fields());
        let (method, target) = (admitted.method(), admitted.target());
        let http = ClientConnection::begin_request(output, method, target, fields, length, holds);
        connection.suspend(false);
        connection.forgive();
        let origin = Http1Origin { connection, http };
        Self {
            streaming: Streaming::begun(origin, length != Length::NONE, client),
            is_bound: admitted.binds_connection(),
            binds_client: false,
            is_relayed: false,
            keep_alive: None,
            server,
        }
    }

    fn bind(&mut self) {
        self.is_bound = true;
    }

    async fn head(
        &mut self,
        client: &mut D,
        record: &Record<'_>,
    ) -> Result<Answered, UpstreamError> {
        self.streaming.origin.connection.send_together().await;
        let answered = self.streaming.head(client, record).await;
        let answered = answered.map_err(|failed| match failed {
            Failed::Body(Broken::Limit) => UpstreamError::BodyTooLong,
            Failed::Body(Broken::Sink(error) | Broken::Source(error)) => {
                UpstreamError::ClientBody(error)
            }
            Failed::Gone => UpstreamError::ClientGone,
            Failed::Origin(error) => self.broken(error),
        })?;
        self.streaming.origin.http.body().keep_trailers();
        self.binds_client = answered.binds_connection();
        self.is_bound |= self.binds_client;
        self.keep_alive = answered.keep_alive;
        Ok(answered)
    }

    fn is_unanswered(&self) -> bool {
        self.streaming.origin.connection.input.is_empty()
    }

    fn may_pause(&mut self, limit: Duration) {
        let connection = &mut self.streaming.origin.connection;
        connection.allow(Allowance::at_once(limit));
    }

    async fn relay(&mut self, client: &mut D, record: &Record<'_>) -> Result<Sent, UpstreamError> {
        if self.binds_client && client.asks_for_http1() {
            return Ok(Sent::nothing(Ended::Cut));
        }
        match self.streaming.relay(client, record).await {
            Ok(()) => {
                self.is_relayed = true;
                Ok(Sent::WHOLE)
            }
            Err(Broken::Limit) if client.take_back_answer() => Err(UpstreamError::BodyTooLong),
            Err(Broken::Source(error)) if client.take_back_answer() => Err(self.broken(error)),
            Err(broken) => {
                client.break_off();
                Ok(Sent {
                    ended: Ended::from(&broken),
                    began: client.is_being_answered(),
                })
            }
        }
    }

    /// A connection that a user has authenticated ends: streams of one client come and go, and nobody can tell which of them belong
    /// together.
    fn end(self, _: &mut D, _: &Record<'_>) {
        let is_whole = self.is_relayed && self.streaming.has_sent_request();
        let Http1Origin {
            mut connection,
            http,
        } = self.streaming.origin;
        if is_whole && !self.is_bound && http.is_reusable() {
            connection.allow(Allowance::at_once(self.server.patience));
            connection.under_way = None;
            let has_to_be_quiet = http.has_to_be_quiet();
            self.server
                .keep(connection, has_to_be_quiet, self.keep_alive);
        }
    }

    fn into_connection(self) -> Box<Link> {
        self.streaming.origin.connection
    }
}

impl StreamedExchange {
    fn broken(&self, error: io::Error) -> UpstreamError {
        if is_our_limit(&error) {
            UpstreamError::TimedOut(self.server.patience)
        } else {
            UpstreamError::Exchange(error)
        }
    }
}

impl Origin for Http1Origin {
    fn poll_head(&mut self, context: &mut Context<'_>) -> Poll<io::Result<Answered>> {
        loop {
            let read = self.http.next_answer(&mut self.connection.input);
            if let Some(answered) = read.map_err(invalid)? {
                return Poll::Ready(Ok(answered));
            }
            if ready!(self.connection.poll_fill(context))? == 0 {
                return Poll::Ready(Err(io::ErrorKind::UnexpectedEof.into()));
            }
        }
    }

    fn poll_body(&mut self, context: &mut Context<'_>) -> Poll<io::Result<BodyFrame>> {
        loop {
            let (body, input) = (self.http.body(), &mut self.connection.input);
            match body.next(input).map_err(invalid)? {
                Piece::Data(length) => {
                    let piece = input.split_to(length).freeze();
                    body.consumed(length);
                    return Poll::Ready(Ok(BodyFrame::Data(piece)));
                }
                Piece::End => return Poll::Ready(Ok(BodyFrame::End(body.take_trailers()))),
                Piece::Unknown => {}
            }
            if ready!(self.connection.poll_fill(context))? == 0 && !self.http.body().close() {
                return Poll::Ready(Err(io::ErrorKind::UnexpectedEof.into()));
            }
        }
    }

    fn poll_room(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.connection.poll_flush(context)
    }

    fn put(&mut self, piece: Bytes) {
        self.connection.forgive();
        let output = &mut self.connection.output;
        self.http.request().write(output, &piece);
    }

    /// What a client says behind its body stays behind: services add trailers to the fields of a request, where they would claim
    /// what has been removed there.
    fn finish(&mut self, _: Option<HeaderMap>) {
        self.connection.forgive();
        self.http.request().finish(&mut self.connection.output);
    }

    fn abandon(&mut self) {
        self.http.abandon_request();
    }

    fn suspend(&mut self, suspended: bool) {
        self.connection.suspend(suspended);
    }
}
