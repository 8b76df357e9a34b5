//! Relays a request and its answer between a client's and a server's side, at least one of which speaks HTTP/2.

use std::future::{Future, poll_fn};
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use http::StatusCode;
use http1::{ResponseHead, is_interim};
use tokio::time::{Sleep, sleep};

use super::exchange::LONGEST_HOLD;
use crate::inbound::record::Record;
use crate::streamed::{BodyFrame, Streamed, StreamedOrigin};
use crate::transfer::Broken;

/// An exchange in progress.
#[derive(Debug)]
pub(super) struct Streaming<O> {
    pub(super) origin: O,
    request: RequestBody,
    /// Whether any of the request's body has arrived from its client.
    pub(super) has_taken_body: bool,
}

/// The state of the request's body.
#[derive(Debug)]
enum RequestBody {
    /// It is held back until this time is over, or the server asks for it (RFC 9110 §10.1.1).
    Held(Pin<Box<Sleep>>),
    /// All of it is buffered, and some of it may be unsent.
    Put,
    /// The server takes no more of it.
    Refused,
    /// All of it is sent.
    Sent,
    /// It is forwarded piece by piece.
    UnderWay,
}

/// Why there is no answer.
#[derive(Debug)]
pub(super) enum StreamingFailure {
    /// The request's body became too long, or broke off.
    Body(Broken),
    /// The client went away.
    Gone,
    /// The server failed.
    Origin(io::Error),
}

impl<O: StreamedOrigin> Streaming<O> {
    /// An exchange whose request head has been begun at the server's side.
    pub(super) fn begun(origin: O, has_body: bool, client: &mut impl Streamed) -> Self {
        let request = match has_body {
            true if client.awaits_continue() => RequestBody::Held(Box::pin(sleep(LONGEST_HOLD))),
            true => {
                client.forward_body();
                RequestBody::UnderWay
            }
            false => RequestBody::Put,
        };
        Self {
            origin,
            request,
            has_taken_body: false,
        }
    }

    /// Whether the whole request has been sent.
    pub(super) fn has_sent_request(&self) -> bool {
        matches!(self.request, RequestBody::Sent)
    }

    /// Sends the request, and waits for the response head.
    pub(super) async fn head(
        &mut self,
        client: &mut impl Streamed,
        record: &Record<'_>,
    ) -> Result<ResponseHead, StreamingFailure> {
        poll_fn(|context| {
            loop {
                // The request is sent before any wait.
                let client_failed = self.poll_request(context, client, record);
                let was_held = self.is_held();
                if let Poll::Ready(head) = self.poll_answer(context, client) {
                    return Poll::Ready(head.map_err(StreamingFailure::Origin));
                }
                if let Poll::Ready(failed) = client_failed {
                    return Poll::Ready(Err(failed));
                }
                if self.is_held() == was_held {
                    return Poll::Pending;
                }
            }
        })
        .await
    }

    fn poll_answer(
        &mut self,
        context: &mut Context<'_>,
        client: &mut impl Streamed,
    ) -> Poll<io::Result<ResponseHead>> {
        loop {
            let answered = ready!(self.origin.poll_head(context))?;
            match answered.status {
                StatusCode::CONTINUE if self.is_held() => self.release(context, client, true),
                StatusCode::CONTINUE => {}
                status if is_interim(status) => client.pass_interim(context, &answered),
                _ => {
                    if self.is_held() {
                        self.refuse_request();
                    }
                    return Poll::Ready(Ok(answered));
                }
            }
        }
    }

    fn is_held(&self) -> bool {
        matches!(self.request, RequestBody::Held(_))
    }

    fn refuse_request(&mut self) {
        self.origin.abandon();
        self.request = RequestBody::Refused;
    }

    /// Begins to forward a body that was held back. `tells` sends the client `100 Continue`.
    fn release(&mut self, context: &mut Context<'_>, client: &mut impl Streamed, tells: bool) {
        client.forward_body();
        self.request = RequestBody::UnderWay;
        if tells {
            client.send_continue(context);
        }
    }

    /// Forwards the request. Ready when its client has failed.
    fn poll_request(
        &mut self,
        context: &mut Context<'_>,
        client: &mut impl Streamed,
        record: &Record<'_>,
    ) -> Poll<StreamingFailure> {
        if let RequestBody::Held(time) = &mut self.request {
            let is_over = time.as_mut().poll(context).is_ready();
            // The client gets its `100 Continue` after a while, because some servers ignore the expectation.
            if is_over || client.has_sent_ahead(context) {
                self.release(context, client, is_over);
            }
        }
        match self.poll_sending(context, client, record) {
            Poll::Ready(Err(broken)) => return Poll::Ready(StreamingFailure::Body(broken)),
            Poll::Ready(Ok(())) | Poll::Pending => {}
        }
        client.poll_gone(context).map(|()| StreamingFailure::Gone)
    }

    fn poll_sending(
        &mut self,
        context: &mut Context<'_>,
        client: &mut impl Streamed,
        record: &Record<'_>,
    ) -> Poll<Result<(), Broken>> {
        loop {
            if let RequestBody::Refused | RequestBody::Sent = self.request {
                return Poll::Ready(Ok(()));
            }
            self.origin.suspend_timer(false);
            if ready!(self.origin.poll_room(context)).is_err() {
                // The server may have answered without reading all of the request. If not, reading fails too.
                self.refuse_request();
                return Poll::Ready(Ok(()));
            }
            match self.request {
                RequestBody::Held(_) => return Poll::Pending,
                RequestBody::Put => self.request = RequestBody::Sent,
                RequestBody::Refused | RequestBody::Sent => {}
                RequestBody::UnderWay => {
                    let Poll::Ready(next) = client.poll_body(context) else {
                        self.origin.suspend_timer(true);
                        return Poll::Pending;
                    };
                    self.has_taken_body = true;
                    let next = next?;
                    record.count_bytes_in(next.length());
                    let trailers = match next {
                        BodyFrame::Data(piece) => {
                            self.origin.put(piece);
                            continue;
                        }
                        BodyFrame::End(trailers) => trailers,
                        BodyFrame::Last(piece) => {
                            self.origin.put(piece);
                            None
                        }
                    };
                    self.origin.finish(trailers);
                    self.request = RequestBody::Put;
                }
            }
        }
    }

    /// Relays the answer's body to the client, after the head that was begun on the client's side.
    pub(super) async fn relay(
        &mut self,
        client: &mut impl Streamed,
        record: &Record<'_>,
    ) -> Result<(), Broken> {
        let (mut answer, mut taken) = (AnswerBody::default(), 0);
        poll_fn(|context| {
            // First, because afterwards the exchange may wait for the server, whose timer runs only then.
            let client_failed = self.poll_request(context, client, record);
            let relayed = self.poll_relay(&mut answer, &mut taken, context, client);
            let passed = taken.saturating_sub(client.waiting() as u64);
            record.bytes_out.set(passed);
            if relayed.is_ready() {
                return relayed;
            }
            if client.is_being_answered() {
                record.head_sent();
            }
            match ready!(client_failed) {
                StreamingFailure::Body(Broken::Limit) => Poll::Ready(Err(Broken::Limit)),
                StreamingFailure::Body(Broken::Sink(error) | Broken::Source(error)) => {
                    Poll::Ready(Err(Broken::Sink(error)))
                }
                StreamingFailure::Gone => {
                    let gone = io::ErrorKind::ConnectionAborted.into();
                    Poll::Ready(Err(Broken::Sink(gone)))
                }
                StreamingFailure::Origin(error) => Poll::Ready(Err(Broken::Source(error))),
            }
        })
        .await
    }

    fn poll_relay(
        &mut self,
        answer: &mut AnswerBody,
        taken: &mut u64,
        context: &mut Context<'_>,
        client: &mut impl Streamed,
    ) -> Poll<Result<(), Broken>> {
        loop {
            if let AnswerBody::Awaited = answer {
                match self.origin.poll_body(context) {
                    Poll::Ready(frame) => {
                        let frame = frame.map_err(Broken::Source)?;
                        *taken += frame.length();
                        *answer = put(client, frame);
                    }
                    Poll::Pending => {
                        // The head is sent before the first piece of the body comes.
                        ready!(client.poll_room(context)).map_err(Broken::Sink)?;
                        return Poll::Pending;
                    }
                }
            }
            ready!(client.poll_room(context)).map_err(Broken::Sink)?;
            match answer {
                AnswerBody::Awaited | AnswerBody::Piece => *answer = AnswerBody::Awaited,
                AnswerBody::End => return Poll::Ready(Ok(())),
            }
        }
    }
}

/// The state of the answer's body.
#[derive(Debug, Default)]
enum AnswerBody {
    /// The next piece has to come from the server.
    #[default]
    Awaited,
    /// The end is being sent to the client.
    End,
    /// A piece is being sent to the client.
    Piece,
}

fn put(client: &mut impl Streamed, frame: BodyFrame) -> AnswerBody {
    match frame {
        BodyFrame::Data(piece) => {
            client.put(piece);
            AnswerBody::Piece
        }
        BodyFrame::End(trailers) => {
            client.finish(trailers);
            AnswerBody::End
        }
        BodyFrame::Last(piece) => {
            client.put(piece);
            client.finish(None);
            AnswerBody::End
        }
    }
}
