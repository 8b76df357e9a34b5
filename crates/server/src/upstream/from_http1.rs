//! Exchanges of HTTP/1.1 clients, with servers of either version.

use std::rc::Rc;
use std::time::Duration;

use gate::Admitted;
use http1::{Length, ResponseHead};

use super::error::UpstreamError;
use super::exchange::Exchange;
use super::exchanging::{Exchanging, Forwards};
use super::over_http2::Http2Origin;
use super::server::Server;
use super::streamed_exchange::StreamedExchange;
use super::websocket::Upgraded;
use crate::boxed::boxed;
use crate::client::Client;
use crate::exchange_end::Sent;
use crate::inbound::record::Record;
use crate::link::Link;

/// An exchange of an HTTP/1.1 client.
pub(crate) enum ClientExchange {
    Http1(Exchange),
    /// Boxed, as are its futures, so that exchanges over HTTP/1.1 stay small.
    Http2(Box<StreamedExchange>),
}

impl Forwards for Client {
    type Exchange = ClientExchange;
}

impl Exchanging<Client> for ClientExchange {
    fn begin(
        connection: Box<Link>,
        server: Rc<Server>,
        admitted: &Admitted<'_, Length>,
        client: &mut Client,
    ) -> Self {
        Self::Http1(Exchange::begin(connection, server, admitted, client))
    }

    fn begin_over_http2(
        origin: Http2Origin,
        server: Rc<Server>,
        admitted: &Admitted<'_, Length>,
        client: &mut Client,
    ) -> Self {
        let exchange = StreamedExchange::begin_over_http2(origin, server, admitted, client);
        Self::Http2(Box::new(exchange))
    }

    fn bind(&mut self) {
        match self {
            Self::Http1(exchange) => exchange.bind(),
            Self::Http2(exchange) => Exchanging::<Client>::bind(&mut **exchange),
        }
    }

    async fn head(
        &mut self,
        client: &mut Client,
        record: &Record<'_>,
    ) -> Result<ResponseHead, UpstreamError> {
        match self {
            Self::Http1(exchange) => exchange.head(client, record).await,
            Self::Http2(exchange) => boxed(exchange.head(client, record)).await,
        }
    }

    fn is_unanswered(&self) -> bool {
        match self {
            Self::Http1(exchange) => exchange.is_unanswered(),
            Self::Http2(exchange) => Exchanging::<Client>::is_unanswered(&**exchange),
        }
    }

    fn has_taken_body(&self) -> bool {
        match self {
            // Not called: only HTTP/2 servers can ask for HTTP/1.1.
            Self::Http1(_) => true,
            Self::Http2(exchange) => Exchanging::<Client>::has_taken_body(&**exchange),
        }
    }

    fn may_pause(&mut self, limit: Duration) {
        match self {
            Self::Http1(exchange) => exchange.may_pause(limit),
            Self::Http2(exchange) => Exchanging::<Client>::may_pause(&mut **exchange, limit),
        }
    }

    async fn relay(
        &mut self,
        client: &mut Client,
        record: &Record<'_>,
    ) -> Result<Sent, UpstreamError> {
        match self {
            Self::Http1(exchange) => exchange.relay(client, record).await,
            Self::Http2(exchange) => boxed(exchange.relay(client, record)).await,
        }
    }

    fn end(self, client: &mut Client, record: &Record<'_>) {
        match self {
            Self::Http1(exchange) => exchange.end(client, record),
            Self::Http2(exchange) => exchange.end(client, record),
        }
    }

    fn into_upgraded(self) -> Option<Upgraded> {
        match self {
            Self::Http1(exchange) => Some(Upgraded::Connection(exchange.into_connection())),
            Self::Http2(exchange) => Exchanging::<Client>::into_upgraded(*exchange),
        }
    }
}
