//! The client's side of an exchange, whichever version of HTTP it speaks: a connection of HTTP/1.1 with its current request, or
//! a stream of HTTP/2.
//!
//! Whoever decides and answers is written once, for either; which one it is is known when it is compiled.

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
use crate::ended::Sent;
use crate::link::Link;
use crate::owner::Owner;

/// The client's side of one exchange.
pub(crate) trait Downstream {
    /// How long the exchange may take in all, if that is limited.
    fn total_time(&self) -> Option<Duration>;

    /// Whether the request is a call of gRPC, which may be a stream of messages, and may not: nothing in its head says which.
    fn is_calling(&self) -> bool;

    /// Ready when the client has left, so that nobody waits for the answer.
    fn poll_gone(&mut self, context: &mut Context<'_>) -> Poll<()>;

    /// Whether the client waits for a word before it sends the body of its request.
    fn awaits_word(&self) -> bool;

    /// Limits the body of the request to so many bytes, before it goes on to anybody.
    fn limit_body(&mut self, bytes: u64);

    /// Changes an answer of our own into what a client of this version of HTTP expects.
    fn adapt(&self, response: &mut Response<Bytes>);

    /// Sends an answer of our own, and says what became of it. `passed` counts the bytes of its body.
    async fn answer(&mut self, response: Response<Bytes>, passed: &Cell<u64>) -> Sent;

    /// Begins an answer whose body will come with this length. Its fields say nothing about framing and the connection.
    fn begin_answer<'f>(
        &mut self,
        status: StatusCode,
        reason: &[u8],
        fields: impl IntoIterator<Item = Field<'f>>,
        length: Length,
    );

    /// Whether the client got anything of the answer.
    fn is_being_answered(&self) -> bool;

    /// Takes back an answer that has begun, if nothing of it has left yet: then there can be another one.
    fn take_back_answer(&mut self) -> bool;

    /// Ends an answer that has begun, of which the rest will not come, so that nobody takes it for whole.
    fn break_off(&mut self);

    /// Ends an answer that has begun and has no more time, where the client can read why.
    async fn cut_short(&mut self) {
        self.break_off();
    }

    /// Ends an answer that has begun as if it were whole. Says whether the client got anything of it.
    async fn finish_answer(&mut self) -> bool;

    /// Our address, as the client has reached it.
    fn reached(&mut self) -> Option<SocketAddr>;

    /// Notes that what follows the request cannot be told any more.
    fn end(&mut self);

    /// Whether it has a connection of its own to the server of this identity.
    fn owns_connection_to(&self, server: &Rc<()>) -> bool;

    /// The connection to the server of this identity that is the owner's alone.
    fn take_own(
        &mut self,
        server: &Rc<()>,
        owner: impl FnOnce() -> Option<Owner>,
    ) -> Option<Box<Link>>;

    /// Waits for something else than the client, unless it leaves meanwhile: then nobody waits for the answer. The future
    /// is pinned where it was made, because moving a large one takes longer than most of them do.
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

    /// It takes HTTP/2.
    fn is_calling(&self) -> bool {
        false
    }

    fn poll_gone(&mut self, context: &mut Context<'_>) -> Poll<()> {
        Client::poll_gone(self, context)
    }

    fn awaits_word(&self) -> bool {
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

    fn break_off(&mut self) {
        Client::break_off(self);
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

    fn take_own(
        &mut self,
        server: &Rc<()>,
        owner: impl FnOnce() -> Option<Owner>,
    ) -> Option<Box<Link>> {
        Client::take_own(self, server, owner)
    }
}
