//! A request and its answer on their way between a client's side and a server's, of which at least one speaks HTTP/2.

use std::future::{Future, poll_fn};
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use http::StatusCode;
use http1::{ResponseHead, is_interim};
use tokio::time::{Sleep, sleep};

use super::exchange::LONGEST_HOLD;
use crate::front::record::Record;
use crate::streamed::{BodyFrame, Origin, Streamed};
use crate::transfer::Broken;

/// An exchange that is under way.
#[derive(Debug)]
pub(super) struct Streaming<O> {
    pub(super) origin: O,
    request: RequestBody,
    /// Whether anything of the request's body has come from its client.
    pub(super) has_taken_body: bool,
}

/// What is left of the request's body.
#[derive(Debug)]
enum RequestBody {
    /// It is held back until this time is over, or the server asks for it (RFC 9110 §10.1.1).
    Held(Pin<Box<Sleep>>),
    /// All of it has been put, and perhaps not all of it sent.
    Put,
    /// Nobody takes it any more.
    Refused,
    /// It is sent.
    Sent,
    /// It comes piece by piece.
    UnderWay,
}

/// Who failed before there was an answer.
#[derive(Debug)]
pub(super) enum Failed {
    /// The request's body became too long, or broke off.
    Body(Broken),
    /// The client left.
    Gone,
    /// The server.
    Origin(io::Error),
}

impl<O: Origin> Streaming<O> {
    /// A request whose head has begun at the server's side, with a body or without.
    pub(super) fn begun(origin: O, has_body: bool, client: &mut impl Streamed) -> Self {
        let request = match has_body {
            true if client.awaits_word() => RequestBody::Held(Box::pin(sleep(LONGEST_HOLD))),
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

    /// Whether the request is whole at the server.
    pub(super) fn has_sent_request(&self) -> bool {
        matches!(self.request, RequestBody::Sent)
    }

    /// Sends the request, and waits for the head of the answer.
    pub(super) async fn head(
        &mut self,
        client: &mut impl Streamed,
        record: &Record<'_>,
    ) -> Result<ResponseHead, Failed> {
        poll_fn(|context| {
            loop {
                // The request leaves before anything is waited for.
                let client_failed = self.poll_request(context, client, record);
                let was_held = self.is_held();
                if let Poll::Ready(head) = self.poll_answer(context, client) {
                    return Poll::Ready(head.map_err(Failed::Origin));
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

    /// Lets the client's body go on that was held back, and tells the client to send it, if that is needed.
    fn release(&mut self, context: &mut Context<'_>, client: &mut impl Streamed, tells: bool) {
        client.forward_body();
        self.request = RequestBody::UnderWay;
        if tells {
            client.invite(context);
        }
    }

    /// Moves the request on. Ready when its client has failed.
    fn poll_request(
        &mut self,
        context: &mut Context<'_>,
        client: &mut impl Streamed,
        record: &Record<'_>,
    ) -> Poll<Failed> {
        if let RequestBody::Held(time) = &mut self.request {
            let is_over = time.as_mut().poll(context).is_ready();
            // A client need not wait for ever, and neither does one for a server that does not know what it waits for.
            if is_over || client.has_sent_ahead(context) {
                self.release(context, client, is_over);
            }
        }
        match self.poll_sending(context, client, record) {
            Poll::Ready(Err(broken)) => return Poll::Ready(Failed::Body(broken)),
            Poll::Ready(Ok(())) | Poll::Pending => {}
        }
        client.poll_gone(context).map(|()| Failed::Gone)
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
            self.origin.suspend(false);
            if ready!(self.origin.poll_room(context)).is_err() {
                // It may have answered without reading all of the request. If it has not, reading fails too.
                self.refuse_request();
                return Poll::Ready(Ok(()));
            }
            match self.request {
                RequestBody::Held(_) => return Poll::Pending,
                RequestBody::Put => self.request = RequestBody::Sent,
                RequestBody::Refused | RequestBody::Sent => {}
                RequestBody::UnderWay => {
                    let Poll::Ready(next) = client.poll_body(context) else {
                        self.origin.suspend(true);
                        return Poll::Pending;
                    };
                    self.has_taken_body = true;
                    let next = next?;
                    record.passed_in(next.length());
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

    /// Passes the answer's body on to the client, with the head that has begun there.
    pub(super) async fn relay(
        &mut self,
        client: &mut impl Streamed,
        record: &Record<'_>,
    ) -> Result<(), Broken> {
        let (mut answer, mut taken) = (AnswerBody::default(), 0);
        poll_fn(|context| {
            // First, because it may be the server's turn from then on, whose clock runs only while it is waited for.
            let client_failed = self.poll_request(context, client, record);
            let relayed = self.poll_relay(&mut answer, &mut taken, context, client);
            let passed = taken.saturating_sub(client.waiting() as u64);
            record.bytes_out.set(passed);
            if relayed.is_ready() {
                return relayed;
            }
            if client.is_being_answered() {
                record.head_left();
            }
            match ready!(client_failed) {
                Failed::Body(Broken::Limit) => Poll::Ready(Err(Broken::Limit)),
                Failed::Body(Broken::Sink(error) | Broken::Source(error)) => {
                    Poll::Ready(Err(Broken::Sink(error)))
                }
                Failed::Gone => {
                    let gone = io::ErrorKind::ConnectionAborted.into();
                    Poll::Ready(Err(Broken::Sink(gone)))
                }
                Failed::Origin(error) => Poll::Ready(Err(Broken::Source(error))),
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
                        // The head leaves before anything else is there.
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

/// Where the body of an answer is.
#[derive(Debug, Default)]
enum AnswerBody {
    /// What comes next is with the server.
    #[default]
    Awaited,
    /// Its end is on its way to the client.
    End,
    /// A piece of it is.
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
