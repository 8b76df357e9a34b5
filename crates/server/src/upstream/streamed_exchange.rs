//! Exchanges in which at least one side speaks HTTP/2.

use std::io;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use gate::Admitted;
use http::HeaderMap;
use http1::{Length, ResponseHead};

use super::error::UpstreamError;
use super::exchanging::Exchanging;
use super::over_http1::Http1Origin;
use super::over_http2::Http2Origin;
use super::server::Server;
use super::streaming::{Streaming, StreamingFailure};
use super::websocket::Upgraded;
use crate::connection::TimeBudget;
use crate::exchange_end::{ExchangeEnd, Sent, is_our_limit};
use crate::inbound::record::Record;
use crate::link::Link;
use crate::streamed::{BodyFrame, Streamed, StreamedOrigin};
use crate::transfer::Broken;

/// An exchange in which at least one side speaks HTTP/2.
pub(crate) struct StreamedExchange {
    streaming: Streaming<AnyOrigin>,
    /// Whether the connection is reserved for its user.
    is_bound: bool,
    /// Whether the answer asks for credentials that authenticate a connection (NTLM, Negotiate).
    binds_client: bool,
    /// Whether the whole answer was relayed.
    is_relayed: bool,
    /// For how many seconds the server keeps an idle connection, if it has said so.
    keep_alive: Option<u32>,
    server: Rc<Server>,
}

/// A server's side, over either version of HTTP.
enum AnyOrigin {
    Http1(Http1Origin),
    /// Boxed, because it is larger.
    Http2(Box<Http2Origin>),
}

impl<D: Streamed> Exchanging<D> for StreamedExchange {
    fn begin(
        connection: Box<Link>,
        server: Rc<Server>,
        admitted: &Admitted<'_, Length>,
        client: &mut D,
    ) -> Self {
        let origin = Http1Origin::begin(connection, admitted, client.awaits_continue());
        Self::begun(AnyOrigin::Http1(origin), server, admitted, client)
    }

    fn begin_over_http2(
        origin: Http2Origin,
        server: Rc<Server>,
        admitted: &Admitted<'_, Length>,
        client: &mut D,
    ) -> Self {
        let origin = AnyOrigin::Http2(Box::new(origin));
        Self::begun(origin, server, admitted, client)
    }

    fn bind(&mut self) {
        self.is_bound = true;
    }

    async fn head(
        &mut self,
        client: &mut D,
        record: &Record<'_>,
    ) -> Result<ResponseHead, UpstreamError> {
        if let AnyOrigin::Http1(origin) = &mut self.streaming.origin {
            origin.connection.send_together().await;
        }
        let answered = self.streaming.head(client, record).await;
        let answered = answered.map_err(|failed| match failed {
            StreamingFailure::Body(Broken::Limit) => UpstreamError::BodyTooLong,
            StreamingFailure::Body(Broken::Sink(error) | Broken::Source(error)) => {
                UpstreamError::ClientBody(error)
            }
            StreamingFailure::Gone => UpstreamError::ClientGone,
            StreamingFailure::Origin(error) => self.broken(error),
        })?;
        self.binds_client = answered.binds_connection();
        self.is_bound |= self.binds_client;
        self.keep_alive = answered.keep_alive;
        Ok(answered)
    }

    fn is_unanswered(&self) -> bool {
        match &self.streaming.origin {
            AnyOrigin::Http1(origin) => origin.connection.input.is_empty(),
            AnyOrigin::Http2(_) => true,
        }
    }

    fn has_taken_body(&self) -> bool {
        self.streaming.has_taken_body
    }

    fn may_pause(&mut self, limit: Duration) {
        match &mut self.streaming.origin {
            AnyOrigin::Http1(origin) => origin
                .connection
                .set_read_budget(TimeBudget::per_wait(limit)),
            AnyOrigin::Http2(origin) => origin.may_pause(limit),
        }
    }

    async fn relay(&mut self, client: &mut D, record: &Record<'_>) -> Result<Sent, UpstreamError> {
        if self.binds_client && client.requires_http1() {
            return Ok(Sent::nothing(ExchangeEnd::CutOff));
        }
        match self.streaming.relay(client, record).await {
            Ok(()) => {
                self.is_relayed = true;
                Ok(Sent::COMPLETE)
            }
            Err(Broken::Limit) if client.take_back_answer() => Err(UpstreamError::BodyTooLong),
            Err(Broken::Source(error)) if client.take_back_answer() => Err(self.broken(error)),
            Err(broken) => {
                client.abort_answer();
                Ok(Sent {
                    ended: ExchangeEnd::from(&broken),
                    began: client.is_being_answered(),
                })
            }
        }
    }

    /// Closes a connection that a user has authenticated: it is unknown which streams of an HTTP/2 client belong to the same
    /// user.
    fn end(self, _: &mut D, _: &Record<'_>) {
        let is_whole = self.is_relayed && self.streaming.has_sent_request();
        let AnyOrigin::Http1(origin) = self.streaming.origin else {
            return;
        };
        let Http1Origin {
            mut connection,
            http,
        } = origin;
        if is_whole && !self.is_bound && http.is_reusable() {
            connection.set_read_budget(TimeBudget::per_wait(self.server.time_limit));
            connection.under_way = None;
            let is_bodiless = http.is_bodiless();
            self.server.keep(connection, is_bodiless, self.keep_alive);
        }
    }

    fn into_upgraded(self) -> Option<Upgraded> {
        match self.streaming.origin {
            AnyOrigin::Http1(origin) => Some(Upgraded::Connection(origin.connection)),
            AnyOrigin::Http2(origin) => origin.into_websocket().map(Upgraded::Stream),
        }
    }
}

impl StreamedExchange {
    fn begun(
        origin: AnyOrigin,
        server: Rc<Server>,
        admitted: &Admitted<'_, Length>,
        client: &mut impl Streamed,
    ) -> Self {
        let has_body = *admitted.body() != Length::NONE;
        Self {
            streaming: Streaming::begun(origin, has_body, client),
            is_bound: admitted.binds_connection(),
            binds_client: false,
            is_relayed: false,
            keep_alive: None,
            server,
        }
    }

    fn broken(&self, error: io::Error) -> UpstreamError {
        if !is_our_limit(&error) {
            return UpstreamError::Exchange(error);
        }
        if let AnyOrigin::Http2(origin) = &self.streaming.origin {
            origin.mark_suspect();
        }
        UpstreamError::TimedOut(self.server.time_limit)
    }
}

impl StreamedOrigin for AnyOrigin {
    fn poll_head(&mut self, context: &mut Context<'_>) -> Poll<io::Result<ResponseHead>> {
        match self {
            Self::Http1(origin) => origin.poll_head(context),
            Self::Http2(origin) => origin.poll_head(context),
        }
    }

    fn poll_body(&mut self, context: &mut Context<'_>) -> Poll<io::Result<BodyFrame>> {
        match self {
            Self::Http1(origin) => origin.poll_body(context),
            Self::Http2(origin) => origin.poll_body(context),
        }
    }

    fn poll_room(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Self::Http1(origin) => origin.poll_room(context),
            Self::Http2(origin) => origin.poll_room(context),
        }
    }

    fn put(&mut self, piece: Bytes) {
        match self {
            Self::Http1(origin) => origin.put(piece),
            Self::Http2(origin) => origin.put(piece),
        }
    }

    fn finish(&mut self, trailers: Option<HeaderMap>) {
        match self {
            Self::Http1(origin) => origin.finish(trailers),
            Self::Http2(origin) => origin.finish(trailers),
        }
    }

    fn abandon(&mut self) {
        match self {
            Self::Http1(origin) => origin.abandon(),
            Self::Http2(origin) => origin.abandon(),
        }
    }

    fn suspend_timer(&mut self, suspended: bool) {
        match self {
            Self::Http1(origin) => origin.suspend_timer(suspended),
            Self::Http2(origin) => origin.suspend_timer(suspended),
        }
    }
}
