//! A client's connection: its requests one after the other, and their answers.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Buf, Bytes};
use http::header::{CONNECTION, CONTENT_LENGTH, DATE};
use http::{HeaderValue, Request, Response, StatusCode};
use http1::{
    Field, HTTP2_PREFACE, LARGEST_HEAD, Length, MOST_DISCARDED, Piece, ResponseHead,
    ServerConnection, Violation,
};
use jiff::fmt::rfc2822::DateTimePrinter;
use socket2::SockRef;
use tokio::io::AsyncWriteExt;
use tokio::time::{Sleep, sleep, timeout};
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};

use crate::clock;
use crate::config::ClientSettings;
use crate::connection::{Allowance, Connection};
use crate::ended::{Ended, Sent, is_our_limit};
use crate::interim;
use crate::link::Link;
use crate::owner::Owner;
use crate::patience::Patience;
use crate::socket::Stream;
use crate::transfer::{Sink, Source, Transfer};

/// A client's connection.
pub(crate) struct Client {
    pub(crate) connection: Connection,
    /// What its bytes mean.
    pub(crate) http: ServerConnection,
    limits: ClientSettings,
    stop: CancellationToken,
    stopped: Pin<Box<WaitForCancellationFutureOwned>>,
    /// How long a request is still waited for since then.
    retiring: Option<Pin<Box<Sleep>>>,
    /// In bytes: how long the body of the current request may be.
    body_limit: u64,
    /// Where the answer begins in what is sent.
    answer_at: u64,
    /// Whether the connection ends with a reset.
    resets: bool,
    /// Whether the client has shut down its sending side.
    has_finished: bool,
    /// How long we have waited since for somebody who may have left.
    leaving: Patience,
    /// The connection to a service that is its owner's alone.
    own: Option<Box<Own>>,
    /// How long a request is waited for at hand; for the rest of its time it rests.
    at_hand: Duration,
    /// Whether it does.
    rests: bool,
}

/// A connection to the server of this identity that is its owner's alone.
type Own = (Rc<()>, Owner, Box<Link>);

/// What is left of a client whose connection rests.
pub(crate) struct Rested {
    stream: Box<Stream>,
    own: Option<Box<Own>>,
}

impl Rested {
    /// Waits until something comes. False when the client has hung up.
    pub(crate) async fn readable(&self) -> bool {
        // Polled by hand, which takes the place of the last wait for it: that holds on to the memory of a task that has ended.
        poll_fn(|context| self.stream.poll_readable(context)).await
    }
}

impl From<Stream> for Rested {
    /// A connection that has carried nothing yet.
    fn from(stream: Stream) -> Self {
        Self {
            stream: Box::new(stream),
            own: None,
        }
    }
}

/// What came while a request was waited for.
enum More {
    /// More bytes.
    Came,
    /// Nothing, for longer than that may take.
    Late,
    /// Nothing, and nothing will.
    Nothing,
    /// Nothing, and we are to stop.
    Retired,
}

impl Client {
    /// `stop` asks for an end after the request in flight.
    pub(crate) fn new(stream: Stream, limits: ClientSettings, stop: CancellationToken) -> Self {
        let client = Self::go_on(stream.into(), limits, stop);
        Self {
            at_hand: limits.idle,
            ..client
        }
    }

    /// The same, which may [rest](Self::into_rested), and may have done so.
    pub(crate) fn go_on(rested: Rested, limits: ClientSettings, stop: CancellationToken) -> Self {
        let Rested { stream, own } = rested;
        let connection = Connection::new(stream, Allowance::at_once(limits.idle), limits.body);
        Self {
            connection: connection.taking_at_least(limits.download_rate),
            http: ServerConnection::new(limits.head),
            limits,
            stopped: Box::pin(stop.clone().cancelled_owned()),
            retiring: None,
            stop,
            body_limit: u64::MAX,
            answer_at: 0,
            resets: false,
            has_finished: false,
            leaving: Patience::default(),
            own,
            at_hand: limits.idle.min(BEFORE_REST),
            rests: false,
        }
    }

    /// What is left of it when [`next`](Self::next) has ended because no request comes for a while, and how long one may still
    /// be waited for.
    pub(crate) fn into_rested(self) -> Option<(Rested, Duration)> {
        let Self {
            connection,
            own,
            limits,
            at_hand,
            rests,
            ..
        } = self;
        let stream = connection.into_resting();
        let left = limits.idle.saturating_sub(at_hand);
        rests.then_some((Rested { stream, own }, left))
    }

    /// The connection as it was before the preface of HTTP/2 was taken from it, which was all that was taken.
    pub(crate) fn into_http2(self) -> Stream {
        let Self { connection, .. } = self;
        connection.into_stream(HTTP2_PREFACE)
    }

    /// The next request. None when there is none: it was the last one, the client hung up or keeps us waiting, or we are to
    /// stop; or none for a while, and the client may [rest](Self::into_rested).
    ///
    /// # Errors
    ///
    /// [`Violation`] when what came is no request; then nothing that follows can be read.
    pub(crate) async fn next(&mut self) -> Option<Result<Box<Request<Length>>, Violation>> {
        if !self.http.is_persistent() || !self.discard_body().await {
            self.hang_up().await;
            return None;
        }
        self.connection.rest();
        self.connection.allow(Allowance::at_once(self.at_hand));
        let mut is_inside = false;
        loop {
            let read = self.http.next_request(&mut self.connection.input);
            if let Some(request) = read.transpose() {
                self.body_limit = u64::MAX;
                self.gets_more();
                return Some(request);
            }
            if !is_inside && !self.connection.input.is_empty() {
                is_inside = true;
                self.connection.allow(Allowance {
                    in_all: self.limits.header,
                    at_once: self.limits.header,
                    rate: None,
                });
            }
            match poll_fn(|context| self.poll_more(context, is_inside)).await {
                More::Came => {}
                More::Late if is_inside => return Some(Err(self.http.give_up())),
                More::Late if self.at_hand < self.limits.idle && self.stop.is_cancelled() => {
                    // It ends soon, as below.
                    self.at_hand = self.limits.idle;
                    self.connection.allow(Allowance::at_once(self.at_hand));
                }
                More::Late => {
                    self.rests = self.at_hand < self.limits.idle;
                    return None;
                }
                More::Nothing => return None,
                More::Retired => {
                    self.linger(LONGEST_RETIREMENT).await;
                    return None;
                }
            }
        }
    }

    /// Ready with whether more of a request came; nothing more will when the client hung up or keeps us waiting, or when we
    /// are to stop and no request has begun.
    fn poll_more(&mut self, context: &mut Context<'_>, is_inside: bool) -> Poll<More> {
        match self.connection.poll_fill(context) {
            Poll::Ready(Ok(1..)) => return Poll::Ready(More::Came),
            Poll::Ready(Err(error)) if is_our_limit(&error) => return Poll::Ready(More::Late),
            Poll::Ready(Ok(0) | Err(_)) => return Poll::Ready(More::Nothing),
            Poll::Pending => {}
        }
        // A request may have come that the runtime has not heard of.
        if !is_inside && self.poll_retired(context).is_ready() && self.connection.is_idle_now() {
            return Poll::Ready(More::Retired);
        }
        Poll::Pending
    }

    /// Ready when we are to stop, and the next request has been waited for since: one that was on its way when we were told to
    /// is still answered, and its answer says that the connection ends. HTTP/1.1 has no other way to say so.
    fn poll_retired(&mut self, context: &mut Context<'_>) -> Poll<()> {
        ready!(self.stopped.as_mut().poll(context));
        let retiring = self
            .retiring
            .get_or_insert_with(|| Box::pin(sleep(BEFORE_RETIREMENT)));
        retiring.as_mut().poll(context)
    }

    /// Ready when the client has hung up. What it sends beforehand is kept for later, up to a limit.
    ///
    /// One that has shut down its sending side may still read, as `nc -N` does, or may be gone, which looks the same. So an
    /// answer that comes soon, or goes on, is still sent to it; what takes longer is given up.
    pub(crate) fn poll_gone(&mut self, context: &mut Context<'_>) -> Poll<()> {
        while !self.has_finished {
            if self.connection.input.len() >= LARGEST_HEAD {
                return Poll::Pending;
            }
            match ready!(self.connection.poll_read(context)) {
                Ok(0) => self.has_finished = true,
                Ok(_) => {}
                Err(_) => return Poll::Ready(()),
            }
        }
        self.leaving
            .poll_spent(context, Duration::MAX, LONGEST_FAREWELL)
    }

    /// Notes that there is something for the client, which shows whether it still reads.
    pub(crate) fn gets_more(&mut self) {
        if self.has_finished {
            self.leaving.renew();
        }
    }

    /// Lets the current request's body go on to somebody who reads it. Unless its end is seen there, no other request is read: it
    /// might be a part of this body.
    pub(crate) fn forward_body(&mut self) -> Transfer {
        self.begin_body();
        Transfer::new().up_to(self.body_limit)
    }

    /// The same, for somebody who takes it piece by piece.
    pub(crate) fn begin_body(&mut self) {
        self.connection.allow(self.for_body());
        self.http.forward_body();
    }

    /// Counts a piece of the current request's body, and says whether it may be that long.
    pub(crate) fn has_room_for(&mut self, bytes: u64) -> bool {
        let left = self.body_limit.checked_sub(bytes);
        self.body_limit = left.unwrap_or(0);
        left.is_some()
    }

    /// Whether the client waits for a word before it sends the body of the current request, and has sent nothing of it.
    pub(crate) fn holds_body(&self) -> bool {
        self.http.awaits_continue() && !self.has_sent_ahead()
    }

    /// Whether something has come that nobody has read yet.
    pub(crate) fn has_sent_ahead(&self) -> bool {
        !self.connection.input.is_empty()
    }

    /// Tells the client to send the body.
    pub(crate) fn invite(&mut self, context: &mut Context<'_>) {
        self.interim(context, StatusCode::CONTINUE, b"Continue", []);
    }

    /// Passes on an answer that comes before the answer, as far as the client can read one and has read those before.
    pub(crate) fn pass_interim(&mut self, context: &mut Context<'_>, interim: &ResponseHead) {
        let (status, reason) = (interim.status, interim.reason());
        self.interim(context, status, reason, interim::fields(interim));
    }

    fn interim<'f>(
        &mut self,
        context: &mut Context<'_>,
        status: StatusCode,
        reason: &[u8],
        fields: impl IntoIterator<Item = Field<'f>>,
    ) {
        if self.connection.unsent() > 0 {
            return;
        }
        let output = &mut self.connection.output;
        self.http.write_interim(output, status, reason, fields);
        // What does not find room in the socket leaves with the answer. A failure shows there too.
        let _ = self.connection.poll_flush(context);
    }

    /// The body of the current request.
    pub(crate) fn source(&mut self) -> Source<'_> {
        Source {
            connection: &mut self.connection,
            body: self.http.body(),
        }
    }

    /// The body of the answer.
    pub(crate) fn sink(&mut self) -> Sink<'_> {
        Sink {
            connection: &mut self.connection,
            body: self.http.answer(),
        }
    }

    /// How long an exchange may take in all, if that is limited.
    pub(crate) fn total_time(&self) -> Option<Duration> {
        self.limits.total
    }

    /// Limits the body of the current request to so many bytes, before it is [forwarded](Self::forward_body) to anybody.
    pub(crate) fn limit_body(&mut self, bytes: u64) {
        self.body_limit = bytes;
    }

    /// Whether it has a connection of its own to the server of this identity.
    pub(crate) fn owns_connection_to(&self, server: &Rc<()>) -> bool {
        let mut own = self.own.iter();
        own.any(|own| Rc::ptr_eq(&own.0, server))
    }

    /// The connection to the server of this identity that is the owner's alone. A request in flight has it. One that is somebody
    /// else's ends: whoever comes by the same connection of ours now is not the one who was there before.
    pub(crate) fn take_own(
        &mut self,
        server: &Rc<()>,
        owner: impl FnOnce() -> Option<Owner>,
    ) -> Option<Box<Link>> {
        let own = self.own.take_if(|own| Rc::ptr_eq(&own.0, server))?;
        let (_, whose, connection) = *own;
        (owner() == Some(whose)).then_some(connection)
    }

    /// Keeps a connection for one owner alone, until the client hangs up.
    pub(crate) fn own(&mut self, server: Rc<()>, owner: Owner, connection: Box<Link>) {
        self.own = Some(Box::new((server, owner, connection)));
    }

    /// Lets the current request be the last one: what follows it can no longer be told.
    pub(crate) fn end(&mut self) {
        self.http.end();
    }

    /// Ends an answer that has begun, of which the rest will not come. Where its framing says no end, an ordinary end of the
    /// connection would make it whole, also for a cache; so that is a reset.
    pub(crate) fn break_off(&mut self) {
        self.end();
        self.resets = self.http.answer().length() == Length::UntilClose;
    }

    /// Ends an answer that has begun as if it were whole: with its last chunk, or with the end of the connection. Says whether the
    /// client got anything of it.
    pub(crate) async fn finish_answer(&mut self) -> bool {
        if !self.http.answer().is_finished() {
            self.http.answer().finish(&mut self.connection.output);
        }
        if self.connection.flush().await.is_err() {
            self.end();
        }
        self.is_being_answered()
    }

    /// Begins an answer whose body will come with this length. Its fields say nothing about framing and the connection.
    pub(crate) fn begin_answer<'f>(
        &mut self,
        status: StatusCode,
        reason: &[u8],
        fields: impl IntoIterator<Item = Field<'f>>,
        length: Length,
    ) {
        if self.stop.is_cancelled() {
            self.end();
        }
        self.answer_at = self.connection.position();
        self.connection.begin_message();
        let output = &mut self.connection.output;
        let http = &mut self.http;
        http.begin_answer(output, status, reason, fields, length);
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
        // Where its body went on without being seen to its end, nothing can follow.
        if !self.http.is_persistent() {
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
        if self.http.is_to_head() && !body.is_empty() {
            headers.insert(CONTENT_LENGTH, body.len().into());
        }
        let length = Length::Exactly(body.len() as u64);
        let reason = status.canonical_reason().unwrap_or_default();
        let fields = http1::fields(headers);
        self.begin_answer(status, reason.as_bytes(), fields, length);
        let body = if self.http.is_to_head() {
            &[]
        } else {
            &body[..]
        };
        self.connection.output.extend_from_slice(body);
        self.connection.send_together().await;
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

    /// Takes the body of the current request as far as it has come. Says whether that is all of it.
    pub(crate) async fn skip_body(&mut self) -> bool {
        poll_fn(|context| {
            loop {
                match self.http.skip_body(&mut self.connection.input) {
                    Ok(Piece::End) => return Poll::Ready(true),
                    Ok(Piece::Data(_) | Piece::Unknown) => {}
                    Err(_) => return Poll::Ready(false),
                }
                match self.connection.poll_read(context) {
                    Poll::Ready(Ok(1..)) => {}
                    Poll::Ready(Ok(0) | Err(_)) | Poll::Pending => return Poll::Ready(false),
                }
            }
        })
        .await
    }

    /// Reads the rest of a body that nobody wants, so that the next request can be read. False when it is too long for that.
    async fn discard_body(&mut self) -> bool {
        let mut discarded = 0;
        loop {
            match self.http.body().next(&mut self.connection.input) {
                Ok(Piece::Data(length)) => {
                    self.connection.input.advance(length);
                    self.http.body().consumed(length);
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
        let body = self.http.body().next(&mut self.connection.input);
        let is_over = matches!(body, Ok(Piece::End));
        if is_over && self.connection.input.is_empty() && self.connection.is_idle_now() {
            return;
        }
        self.linger(LONGEST_LINGER).await;
    }

    /// Says that nothing more will come, and reads what the client still sends, for so long at most: a connection that is closed
    /// while something comes is reset. Some clients read no answer before they have sent all of a body (`http.client` of Python).
    async fn linger(&mut self, limit: Duration) {
        let linger = async {
            self.connection.stream().shutdown().await?;
            loop {
                self.connection.input.clear();
                let read = poll_fn(|context| self.connection.poll_read(context));
                if timeout(LONGEST_PAUSE, read).await?? == 0 {
                    return io::Result::Ok(());
                }
            }
        };
        // Whatever happens here, the connection is over.
        let _ = timeout(limit, linger).await;
    }

    /// A client that drips its body byte by byte holds a connection to the upstream for nothing.
    fn for_body(&self) -> Allowance {
        Allowance {
            in_all: self.limits.body,
            at_once: self.limits.body,
            rate: self.limits.upload_rate,
        }
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client")
            .field("connection", &self.connection)
            .field("http", &self.http)
            .finish_non_exhaustive()
    }
}

/// The time for an answer that has none (RFC 9110 §6.6.1), made once a second.
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

/// How long an answer may take to begin, or pause, for a client that has shut down its sending side and is not heard of again.
const LONGEST_FAREWELL: Duration = Duration::from_secs(10);

/// How long in all, and with what pauses, a client is read that still sends what nobody waits for. nginx reads it
/// for 30 s too, whatever it sends (`lingering_time`, 1.22).
pub(crate) const LONGEST_LINGER: Duration = Duration::from_secs(30);
pub(crate) const LONGEST_PAUSE: Duration = Duration::from_secs(2);

/// How long a request is waited for at hand. A page and what belongs to it come within that.
const BEFORE_REST: Duration = Duration::from_secs(1);

/// How long an open connection may still bring a request after we are asked to stop. Whoever uses it more often than that hears
/// with an answer that it ends; what comes at the very moment in which a quiet one is closed is lost, as with every server.
const BEFORE_RETIREMENT: Duration = Duration::from_secs(1);

/// For a request that has crossed our end on its way, so that its client sees an orderly end: then nobody has read the request, and it may be
/// sent again (RFC 9112 §9.3.1).
const LONGEST_RETIREMENT: Duration = Duration::from_millis(500);
