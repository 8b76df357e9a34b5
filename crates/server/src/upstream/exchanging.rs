//! An exchange with a server, for either version of HTTP on either side.

use std::rc::Rc;
use std::time::Duration;

use gate::Admitted;
use http1::{Length, ResponseHead};

use super::error::UpstreamError;
use super::over_http2::Http2Origin;
use super::server::Server;
use super::websocket::Upgraded;
use crate::downstream::Downstream;
use crate::exchange_end::Sent;
use crate::inbound::record::Record;
use crate::link::Link;

/// A client's side whose requests can be forwarded.
pub(crate) trait Forwards: Downstream + Sized {
    /// The type of its exchanges.
    type Exchange: Exchanging<Self>;
}

/// A request and its answer on a connection to a server.
pub(crate) trait Exchanging<D>: Sized {
    /// Begins a request on an HTTP/1.1 connection; it is sent by [`head`](Self::head). A client that waits for `100
    /// Continue` keeps waiting.
    fn begin(
        connection: Box<Link>,
        server: Rc<Server>,
        admitted: &Admitted<'_, Length>,
        client: &mut D,
    ) -> Self;

    /// Continues a request whose head was sent on an HTTP/2 stream.
    fn begin_over_http2(
        origin: Http2Origin,
        server: Rc<Server>,
        admitted: &Admitted<'_, Length>,
        client: &mut D,
    ) -> Self;

    /// Reserves the connection for the client.
    fn bind(&mut self);

    /// Sends the request, and waits for the response head.
    async fn head(
        &mut self,
        client: &mut D,
        record: &Record<'_>,
    ) -> Result<ResponseHead, UpstreamError>;

    /// Whether no byte of an answer has arrived.
    fn is_unanswered(&self) -> bool;

    /// Whether any of the request's body has been consumed, so that it cannot be sent again.
    fn has_taken_body(&self) -> bool;

    /// Limits each further wait for the server to this time.
    fn may_pause(&mut self, limit: Duration);

    /// Relays the answer's body to the client, after the head that was begun on the client's side. `record` counts the bytes.
    ///
    /// # Errors
    /// When the server failed, or the request's body became too long, before any of the head was sent. The head is taken back, so
    /// that another answer can be sent.
    async fn relay(&mut self, client: &mut D, record: &Record<'_>) -> Result<Sent, UpstreamError>;

    /// Ends the exchange. A reusable connection returns to the pool, or stays reserved for its owner; it is closed if the
    /// owner is unknown. The limit on pauses is reset.
    fn end(self, client: &mut D, record: &Record<'_>);

    /// The bare connection or stream, after an answer that accepts a WebSocket.
    fn into_upgraded(self) -> Option<Upgraded>;
}
