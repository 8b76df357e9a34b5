//! A client's connection: its requests one after the other, and their answers.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Buf, Bytes};
use http::header::{CONNECTION, CONTENT_LENGTH, DATE};
use http::{HeaderValue, Method, Request, Response, StatusCode, Version};
use http1::{
    Decoder, Field, LARGEST_HEAD, Length, Persistence, Piece, Received, RequestReader, Violation,
};
use jiff::fmt::rfc2822::DateTimePrinter;
use socket2::SockRef;
use tokio::io::AsyncWriteExt;
use tokio::time::timeout;
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};

use crate::clock;
use crate::config::ClientSettings;
use crate::connection::{Allowance, Connection};
use crate::ended::{Ended, Sent};
use crate::socket::Stream;
use crate::transfer::Transfer;

/// A client's connection.
pub(crate) struct Client {
    pub(crate) connection: Connection,
    limits: ClientSettings,
    reader: RequestReader,
    stop: CancellationToken,
    stopped: Pin<Box<WaitForCancellationFutureOwned>>,
    /// The current request.
    current: Current,
    /// What is left of its body.
    body: Decoder,
    /// Where the answer begins in what is sent.
    answer_at: u64,
    /// Whether the connection ends with a reset.
    resets: bool,
}

/// What has to be known of a request when it is answered.
#[derive(Clone, Copy, Debug)]
struct Current {
    is_head: bool,
    version: Version,
    /// Whether another request may follow.
    persistent: bool,
    /// Whether the client waits for a word before it sends the body.
    awaits_continue: bool,
    /// Whether the body is on its way to somebody else, who has not seen its end.
    lent: bool,
    /// In bytes: how long the body may be.
    body_limit: u64,
}

impl Client {
    /// `stop` asks for an end after the request in flight.
    pub(crate) fn new(stream: Stream, limits: ClientSettings, stop: CancellationToken) -> Self {
        Self {
            connection: Connection::new(stream, Allowance::at_once(limits.idle), limits.body),
            limits,
            reader: RequestReader::default(),
            stopped: Box::pin(stop.clone().cancelled_owned()),
            stop,
            current: Current {
                is_head: false,
                version: Version::HTTP_11,
                persistent: true,
                awaits_continue: false,
                lent: false,
                body_limit: u64::MAX,
            },
            body: Decoder::new(Length::NONE),
            answer_at: 0,
            resets: false,
        }
    }

    /// The next request. None when there is none: it was the last one, the client hung up or keeps us waiting, or we are to
    /// stop.
    ///
    /// # Errors
    ///
    /// [`Violation`] when what came is no request; then nothing that follows can be read.
    pub(crate) async fn next(&mut self) -> Option<Result<Request<Length>, Violation>> {
        let Current {
            persistent, lent, ..
        } = self.current;
        if !persistent || lent || !self.discard_body().await {
            self.hang_up().await;
            return None;
        }
        self.connection.rest();
        self.connection.allow(Allowance::at_once(self.limits.idle));
        let mut is_inside = false;
        loop {
            match self.reader.read(&mut self.connection.input) {
                Ok(Some(received)) => return Some(Ok(self.begin(received))),
                Ok(None) => {}
                Err(violation) => {
                    self.end();
                    return Some(Err(violation));
                }
            }
            if !is_inside && !self.connection.input.is_empty() {
                is_inside = true;
                self.connection.allow(Allowance {
                    in_all: self.limits.header,
                    at_once: self.limits.header,
                    rate: None,
                });
            }
            if !poll_fn(|context| self.poll_more(context, is_inside)).await {
                return None;
            }
        }
    }

    /// Ready with whether more of a request came; nothing more will when the client hung up or keeps us waiting, or when we
    /// are to stop and no request has begun.
    fn poll_more(&mut self, context: &mut Context<'_>, is_inside: bool) -> Poll<bool> {
        if let Poll::Ready(read) = self.connection.poll_fill(context) {
            return Poll::Ready(read.is_ok_and(|count| count > 0));
        }
        let stopped = !is_inside && self.stopped.as_mut().poll(context).is_ready();
        // A request may have come that the runtime has not heard of.
        if stopped && self.connection.is_idle_now() {
            return Poll::Ready(false);
        }
        Poll::Pending
    }

    fn begin(&mut self, received: Received) -> Request<Length> {
        let Received {
            request,
            persistent,
            expects_continue,
        } = received;
        let length = *request.body();
        self.current = Current {
            is_head: *request.method() == Method::HEAD,
            version: request.version(),
            persistent,
            awaits_continue: expects_continue && length != Length::NONE,
            lent: false,
            body_limit: u64::MAX,
        };
        self.body = Decoder::new(length);
        request
    }

    /// Waits for something else than the client, unless it hangs up meanwhile: then nobody waits for the answer. The future
    /// is pinned where it was made, because moving a large one takes longer than most of them do.
    pub(crate) async fn unless_gone<F>(&mut self, mut future: F) -> Option<F::Output>
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

    /// Ready when the client has hung up. What it sends beforehand is kept for later, up to a limit.
    pub(crate) fn poll_gone(&mut self, context: &mut Context<'_>) -> Poll<()> {
        while self.connection.input.len() < LARGEST_HEAD {
            if let Ok(0) | Err(_) = ready!(self.connection.poll_read(context)) {
                return Poll::Ready(());
            }
        }
        Poll::Pending
    }

    /// The current request's body, on its way to somebody who reads it in this framing. Unless its end is
    /// [noted](Self::body_ended), no other request is read: it might be a part of this body.
    pub(crate) fn send_body(&mut self, length: Length) -> Transfer {
        self.connection.allow(self.for_body());
        let body = std::mem::replace(&mut self.body, Decoder::new(Length::NONE));
        let invitation: &[u8] = match std::mem::take(&mut self.current.awaits_continue) {
            true => b"HTTP/1.1 100 Continue\r\n\r\n",
            false => b"",
        };
        self.current.lent = true;
        Transfer::new(body, length)
            .inviting(invitation)
            .up_to(self.current.body_limit)
    }

    /// Limits the body of the current request to so many bytes, before it is [sent](Self::send_body) to anybody.
    pub(crate) fn limit_body(&mut self, bytes: u64) {
        self.current.body_limit = bytes;
    }

    /// Notes that the body's end was seen by whoever it was sent to.
    pub(crate) fn body_ended(&mut self) {
        self.current.lent = false;
    }

    /// Lets the current request be the last one: what follows it can no longer be told.
    pub(crate) fn end(&mut self) {
        self.current.persistent = false;
    }

    /// Ends an answer that has begun, of which the rest will not come. In this framing an ordinary end of the connection would
    /// make it whole, also for a cache; so that is a reset.
    pub(crate) fn break_off(&mut self, framed: Length) {
        self.end();
        self.resets = framed == Length::UntilClose;
    }

    /// Begins an answer whose body will come with this length, and says how that is to be framed for this client. Its
    /// fields say nothing about framing and the connection.
    pub(crate) fn begin_answer<'f>(
        &mut self,
        status: StatusCode,
        fields: impl IntoIterator<Item = Field<'f>>,
        length: Length,
    ) -> Length {
        if self.stop.is_cancelled()
            || self.current.awaits_continue
            || self.body.left().is_some_and(|left| left > MOST_DISCARDED)
        {
            self.end();
        }
        let is_http_10 = self.current.version == Version::HTTP_10;
        let framed = match length {
            Length::Exactly(_) => length,
            Length::Chunked | Length::UntilClose if is_http_10 => Length::UntilClose,
            Length::Chunked | Length::UntilClose => Length::Chunked,
        };
        let has_body = http1::has_body(self.current.is_head, status);
        if framed == Length::UntilClose && has_body {
            self.end();
        }
        let persistence = match (self.current.persistent, is_http_10) {
            _ if status == StatusCode::SWITCHING_PROTOCOLS => Persistence::Implied,
            (true, false) => Persistence::Implied,
            (true, true) => Persistence::KeepAlive,
            (false, _) => Persistence::Close,
        };
        let said = has_body.then_some(framed);
        self.answer_at = self.connection.position();
        http1::write_response(
            &mut self.connection.output,
            status,
            fields,
            said,
            persistence,
        );
        framed
    }

    /// Whether the client got anything of the answer.
    pub(crate) fn is_being_answered(&self) -> bool {
        self.connection.has_sent(self.answer_at)
    }

    /// Takes back an answer that has begun, if nothing of it has left yet: then there can be another one.
    pub(crate) fn take_back_answer(&mut self) -> bool {
        self.connection.take_back(self.answer_at)
    }

    /// Sends an answer of our own, and says what became of it. `passed` counts the bytes of its body.
    pub(crate) async fn answer(
        &mut self,
        mut response: Response<Bytes>,
        passed: &Cell<u64>,
    ) -> Sent {
        if self.current.lent {
            self.end();
        }
        let body = std::mem::take(response.body_mut());
        let status = response.status();
        let headers = response.headers_mut();
        if headers
            .remove(CONNECTION)
            .is_some_and(|option| option == "close")
        {
            self.end();
        }
        headers.insert(DATE, date());
        if self.current.is_head && !body.is_empty() {
            headers.insert(CONTENT_LENGTH, body.len().into());
        }
        let length = Length::Exactly(body.len() as u64);
        self.begin_answer(status, http1::fields(headers), length);
        let body = if self.current.is_head { &[] } else { &body[..] };
        self.connection.output.extend_from_slice(body);
        self.connection.post().await;
        let flushed = self.connection.flush().await;
        let passed_on = body.len().saturating_sub(self.connection.unsent());
        passed.set(passed_on as u64);
        match flushed {
            Ok(()) => Sent::WHOLE,
            Err(error) => {
                self.end();
                Sent {
                    ended: Ended::with_client(&error),
                    began: self.is_being_answered(),
                }
            }
        }
    }

    /// Reads the rest of a body that nobody wants, so that the next request can be read. False when it is too long for that.
    async fn discard_body(&mut self) -> bool {
        let mut discarded = 0;
        loop {
            match self.body.next(&mut self.connection.input) {
                Ok(Piece::Data(length)) => {
                    self.connection.input.advance(length);
                    discarded += length as u64;
                }
                Ok(Piece::End) => return true,
                Ok(Piece::Unknown) => {
                    if discarded == 0 {
                        self.connection.allow(self.for_body());
                    }
                    let read = poll_fn(|context| self.connection.poll_fill(context)).await;
                    if let Ok(0) | Err(_) = read {
                        return false;
                    }
                }
                Err(_) => return false,
            }
            if discarded > MOST_DISCARDED {
                return false;
            }
        }
    }

    /// Closes the connection so that the client still gets its answer: with bytes unread, the kernel would reset it, and the
    /// answer might be lost on the way (RFC 9112 §9.6).
    async fn hang_up(&mut self) {
        if self.resets {
            // What is not sent yet is given up, and the other side told. If that fails, it has hung up.
            let _ = SockRef::from(&*self.connection.stream()).set_linger(Some(Duration::ZERO));
            return;
        }
        let is_over = matches!(self.body.next(&mut self.connection.input), Ok(Piece::End));
        if is_over && self.connection.input.is_empty() && self.connection.is_idle_now() {
            return;
        }
        let linger = async {
            self.connection.stream().shutdown().await?;
            let mut read = 0;
            while read < MOST_LINGERED {
                self.connection.input.clear();
                match poll_fn(|context| self.connection.poll_read(context)).await? {
                    0 => break,
                    count => read += count,
                }
            }
            io::Result::Ok(())
        };
        // Whatever happens here, the connection is over.
        let _ = timeout(LONGEST_LINGER, linger).await;
    }

    /// A client that drips its body byte by byte holds a connection to the upstream for nothing.
    fn for_body(&self) -> Allowance {
        Allowance {
            in_all: self.limits.body,
            at_once: self.limits.body,
            rate: Some(LEAST_BODY_RATE),
        }
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client")
            .field("connection", &self.connection)
            .field("current", &self.current)
            .finish_non_exhaustive()
    }
}

/// The time for an answer of ours (RFC 9110 §6.6.1), made once a second.
pub(crate) fn date() -> HeaderValue {
    thread_local! {
        static DATE_NOW: RefCell<(u64, HeaderValue)> = const { RefCell::new((0, HeaderValue::from_static(""))) };
    }
    let time = clock::now();
    DATE_NOW.with_borrow_mut(|(second, text)| {
        if *second != time.secs() {
            let date = DateTimePrinter::new().timestamp_to_rfc9110_string(&clock::timestamp(time));
            let date = date.expect("no clock of ours is beyond the year 9999");
            *text = HeaderValue::try_from(date).expect("a date is visible ASCII");
            *second = time.secs();
        }
        text.clone()
    })
}

/// In bytes a second, beyond the time that a body may take anyway. Apache's `mod_reqtimeout` demands the same.
const LEAST_BODY_RATE: u64 = 500;

/// In bytes: the rest of a body that is read for nothing, to keep a connection.
const MOST_DISCARDED: u64 = 64 * 1024;

/// In bytes, and how long: what is read of a client that still sends while its connection is being closed.
const MOST_LINGERED: usize = 1024 * 1024;
const LONGEST_LINGER: Duration = Duration::from_secs(2);
