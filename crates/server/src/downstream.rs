//! The client's side of an exchange, whichever version of HTTP it speaks: a connection of HTTP/1.1 with its current request, or
//! a stream of HTTP/2.
//!
//! The code that decides and answers is generic over [`Downstream`] and compiled once for each version.

use std::cell::Cell;
use std::future::poll_fn;
use std::net::SocketAddr;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::{Response, StatusCode};
use http1::{Field, Length};
use socket2::SockRef;

use crate::client::Client;
use crate::exchange_end::Sent;
use crate::link::Link;
use crate::owner::Owner;

/// The client's side of one exchange.
pub(crate) trait Downstream {
    /// The limit on the time of the whole exchange, if there is one.
    fn total_time(&self) -> Option<Duration>;

    /// Whether the request is a gRPC call. Its head does not say whether the call is a stream of messages.
    fn is_grpc_call(&self) -> bool;

    /// Ready when the client has gone away.
    fn poll_gone(&mut self, context: &mut Context<'_>) -> Poll<()>;

    /// Whether the client waits for `100 Continue` before it sends the request's body.
    fn awaits_continue(&self) -> bool;

    /// Limits the request's body to this many bytes. Call it before the body is forwarded.
    fn limit_body(&mut self, bytes: u64);

    /// Adapts an answer of the gate itself to this version of HTTP.
    fn adapt(&self, response: &mut Response<Bytes>);

    /// Sends an answer of the gate itself. `passed` is set to the number of body bytes that were sent.
    async fn answer(&mut self, response: Response<Bytes>, passed: &Cell<u64>) -> Sent;

    /// Writes the head of an answer whose body has this length. `fields` contain nothing about framing or the connection.
    fn begin_answer<'f>(
        &mut self,
        status: StatusCode,
        reason: &[u8],
        fields: impl IntoIterator<Item = Field<'f>>,
        length: Length,
    );

    /// Whether any of the answer was sent to the client.
    fn is_being_answered(&self) -> bool;

    /// Takes back an answer that has begun, if none of it was sent, so that another one can be sent. Returns whether it could.
    fn take_back_answer(&mut self) -> bool;

    /// Cuts off an answer that has begun, so that no client takes it for complete.
    fn abort_answer(&mut self);

    /// Cuts off an answer whose deadline has passed, and tells the client why if the protocol allows it.
    async fn cut_short(&mut self) {
        self.abort_answer();
    }

    /// Ends an answer that has begun as if it were complete. Returns whether the client got any of it.
    async fn finish_answer(&mut self) -> bool;

    /// The local address that the client has connected to.
    fn reached(&mut self) -> Option<SocketAddr>;

    /// Makes the request the last one on its connection.
    fn end(&mut self);

    /// Whether the client has an owned connection to the server with this identity.
    fn owns_connection_to(&self, server: &Rc<()>) -> bool;

    /// Takes the owned connection to the server with this identity, if it is reserved for this owner.
    fn take_owned(
        &mut self,
        server: &Rc<()>,
        owner: impl FnOnce() -> Option<Owner>,
    ) -> Option<Box<Link>>;

    /// Awaits a future. `None` if the client goes away first. The future is pinned by the caller, because moving a large one
    /// takes longer than most of them run.
    async fn unless_gone<F>(&mut self, mut future: F) -> Option<F::Output>
    where
        F: Future + Unpin,
    {
        poll_fn(|context| {
            if let Poll::Ready(output) = Pin::new(&mut future).poll(context) {
                return Poll::Ready(Some(output));
            }
            self.poll_gone(context).map(|()| None)
        })
        .await
    }
}

impl Downstream for Client {
    fn total_time(&self) -> Option<Duration> {
        Client::total_time(self)
    }

    /// Always false: gRPC needs HTTP/2.
    fn is_grpc_call(&self) -> bool {
        false
    }

    fn poll_gone(&mut self, context: &mut Context<'_>) -> Poll<()> {
        Client::poll_gone(self, context)
    }

    fn awaits_continue(&self) -> bool {
        self.holds_body()
    }

    fn limit_body(&mut self, bytes: u64) {
        Client::limit_body(self, bytes);
    }

    fn adapt(&self, _: &mut Response<Bytes>) {}

    async fn answer(&mut self, response: Response<Bytes>, passed: &Cell<u64>) -> Sent {
        Client::answer(self, response, passed).await
    }

    fn begin_answer<'f>(
        &mut self,
        status: StatusCode,
        reason: &[u8],
        fields: impl IntoIterator<Item = Field<'f>>,
        length: Length,
    ) {
        Client::begin_answer(self, status, reason, fields, length);
    }

    fn is_being_answered(&self) -> bool {
        Client::is_being_answered(self)
    }

    fn take_back_answer(&mut self) -> bool {
        Client::take_back_answer(self)
    }

    fn abort_answer(&mut self) {
        Client::abort_answer(self);
    }

    async fn finish_answer(&mut self) -> bool {
        Client::finish_answer(self).await
    }

    fn reached(&mut self) -> Option<SocketAddr> {
        let address = SockRef::from(&*self.connection.stream()).local_addr();
        address.ok().and_then(|address| address.as_socket())
    }

    fn end(&mut self) {
        Client::end(self);
    }

    fn owns_connection_to(&self, server: &Rc<()>) -> bool {
        Client::owns_connection_to(self, server)
    }

    fn take_owned(
        &mut self,
        server: &Rc<()>,
        owner: impl FnOnce() -> Option<Owner>,
    ) -> Option<Box<Link>> {
        Client::take_owned(self, server, owner)
    }
}
