//! What an exchange with a server is, for whoever has a request to forward and wherever its client's body comes from.

use std::rc::Rc;
use std::time::Duration;

use gate::Admitted;
use http1::{Length, ResponseHead};

use super::error::UpstreamError;
use super::over_http2::Http2Origin;
use super::server::Server;
use super::websocket::Upgraded;
use crate::downstream::Downstream;
use crate::ended::Sent;
use crate::front::record::Record;
use crate::link::Link;

/// A client's side of exchanges, whose requests can be forwarded.
pub(crate) trait Forwards: Downstream + Sized {
    /// One of its requests on its way to a server, and the answer.
    type Exchange: Exchanging<Self>;
}

/// A request on its connection to a server, and what of it is still under way.
pub(crate) trait Exchanging<D>: Sized {
    /// Begins a request on a connection of HTTP/1.1, where it leaves with [`head`](Self::head). A client that waits for the
    /// service's word before it sends its body waits on.
    fn begin(
        connection: Box<Link>,
        server: Rc<Server>,
        admitted: &Admitted<'_, Length>,
        client: &mut D,
    ) -> Self;

    /// Goes on with a request whose head has been sent on a stream.
    fn begin_over_http2(
        origin: Http2Origin,
        server: Rc<Server>,
        admitted: &Admitted<'_, Length>,
        client: &mut D,
    ) -> Self;

    /// Lets nobody else use the connection from now on.
    fn bind(&mut self);

    /// Sends the request, and waits for the head of the answer.
    async fn head(
        &mut self,
        client: &mut D,
        record: &Record<'_>,
    ) -> Result<ResponseHead, UpstreamError>;

    /// Whether not a byte of an answer has come.
    fn is_unanswered(&self) -> bool;

    /// Whether anything of the request's body has been taken from its client, so that it cannot be sent again.
    fn has_taken_body(&self) -> bool;

    /// Lets the answer pause for so long, which goes on for as long as somebody listens.
    fn may_pause(&mut self, limit: Duration);

    /// Passes the answer's body on to the client, with the head that has begun there. `record` is told how it goes on.
    ///
    /// # Errors
    /// When the upstream failed, or the request's body became too long, before anything of the head had left. The head is taken
    /// back then, and the client can be told.
    async fn relay(&mut self, client: &mut D, record: &Record<'_>) -> Result<Sent, UpstreamError>;

    /// Ends the exchange. A connection that can carry the next request is kept for one: of anybody, or of the owner to whom it is
    /// bound. Where nobody knows who that is, it ends. The next answer may pause no longer than others.
    fn end(self, client: &mut D, record: &Record<'_>);

    /// The bare connection, or stream, after an answer that makes a WebSocket of it.
    fn into_upgraded(self) -> Option<Upgraded>;
}
