//! A client's connection: its requests one after the other, and their answers.

mod answer;
mod body;
mod closing;
mod parked;

use std::fmt;
use std::future::poll_fn;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use http::Request;
use http1::{HTTP2_PREFACE, LARGEST_HEAD, Length, ServerConnection, Violation};
use tokio::time::{Sleep, sleep};
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};

pub(crate) use self::closing::{LONGEST_LINGER, LONGEST_PAUSE};
pub(crate) use self::parked::ParkedClient;
use crate::config::ClientSettings;
use crate::connection::{Connection, TimeBudget};
use crate::exchange_end::is_our_limit;
use crate::link::Link;
use crate::owner::Owner;
use crate::socket::Stream;
use crate::wait_timer::WaitTimer;

/// A client's connection.
pub(crate) struct Client {
    pub(crate) connection: Connection,
    /// The state of HTTP/1.1 on the connection, which interprets its bytes.
    pub(crate) http: ServerConnection,
    limits: ClientSettings,
    stop: CancellationToken,
    stopped: Pin<Box<WaitForCancellationFutureOwned>>,
    /// How long the gate still waits for a request after it was asked to stop.
    stopping: Option<Pin<Box<Sleep>>>,
    /// The largest body that the current request may still have, in bytes.
    body_limit: u64,
    /// The position in the output where the answer begins.
    answer_at: u64,
    /// Whether the connection ends with a reset.
    resets: bool,
    /// Whether the client has shut down its sending side.
    has_finished: bool,
    /// Measures the wait for a client that may have left.
    half_closed: WaitTimer,
    /// The connection to a service that is reserved for its owner.
    own: Option<Box<OwnedLink>>,
    /// How long this task waits for a request before the connection is parked.
    before_parking: Duration,
    /// Whether the connection will be parked.
    parks: bool,
}

/// The identity of a server, and a connection to it that is reserved for one owner.
type OwnedLink = (Rc<()>, Owner, Box<Link>);

/// The outcome of a wait for more of a request.
enum ReadOutcome {
    /// More bytes have arrived.
    Received,
    /// Nothing has come within the time limit.
    TimedOut,
    /// Nothing more will come: the client hung up, or the connection failed.
    Closed,
    /// No request has begun, and the gate stops.
    Stopping,
}

impl Client {
    /// Creates a client whose connection is never parked. When `stop` is canceled, the connection ends after the request in
    /// flight.
    pub(crate) fn new(stream: Stream, limits: ClientSettings, stop: CancellationToken) -> Self {
        let client = Self::resume(stream.into(), limits, stop);
        Self {
            before_parking: limits.idle,
            ..client
        }
    }

    /// Creates a client whose connection [may be parked](Self::into_parked), new or parked before.
    pub(crate) fn resume(
        parked: ParkedClient,
        limits: ClientSettings,
        stop: CancellationToken,
    ) -> Self {
        let ParkedClient { stream, own } = parked;
        let connection = Connection::new(stream, TimeBudget::per_wait(limits.idle), limits.body);
        Self {
            connection: connection.taking_at_least(limits.download_rate),
            http: ServerConnection::new(limits.head),
            limits,
            stopped: Box::pin(stop.clone().cancelled_owned()),
            stopping: None,
            stop,
            body_limit: u64::MAX,
            answer_at: 0,
            resets: false,
            has_finished: false,
            half_closed: WaitTimer::default(),
            own,
            before_parking: limits.idle.min(BEFORE_PARKING),
            parks: false,
        }
    }

    /// Returns the parked client and how long it may stay parked, after [`next`](Self::next) has ended because no request came
    /// for a while. `None` if the connection has ended.
    pub(crate) fn into_parked(self) -> Option<(ParkedClient, Duration)> {
        let Self {
            connection,
            own,
            limits,
            before_parking,
            parks,
            ..
        } = self;
        let stream = connection.into_parked();
        let left = limits.idle.saturating_sub(before_parking);
        parks.then_some((ParkedClient { stream, own }, left))
    }

    /// Returns the connection with the preface of HTTP/2 put back before what was read after it.
    pub(crate) fn into_http2(self) -> Stream {
        let Self { connection, .. } = self;
        connection.into_stream(HTTP2_PREFACE)
    }

    /// Reads the next request. `None` when no request follows: the last one said so, the client hung up or is too slow, the gate
    /// stops, or the client is idle and its connection [can be parked](Self::into_parked).
    ///
    /// # Errors
    ///
    /// [`Violation`] when the bytes are not a valid request; then nothing that follows can be read.
    pub(crate) async fn next(&mut self) -> Option<Result<Box<Request<Length>>, Violation>> {
        if !self.http.is_persistent() || !self.discard_body().await {
            self.hang_up().await;
            return None;
        }
        self.connection.release_memory();
        self.connection
            .set_read_budget(TimeBudget::per_wait(self.before_parking));
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
                self.connection.set_read_budget(TimeBudget {
                    total: self.limits.header,
                    per_wait: self.limits.header,
                    rate: None,
                });
            }
            match poll_fn(|context| self.poll_more(context, is_inside)).await {
                ReadOutcome::Received => {}
                ReadOutcome::TimedOut if is_inside => return Some(Err(self.http.give_up())),
                ReadOutcome::TimedOut
                    if self.before_parking < self.limits.idle && self.stop.is_cancelled() =>
                {
                    // The gate stops, so the connection is not parked. It ends soon, with `ReadOutcome::Stopping`.
                    self.before_parking = self.limits.idle;
                    self.connection
                        .set_read_budget(TimeBudget::per_wait(self.before_parking));
                }
                ReadOutcome::TimedOut => {
                    self.parks = self.before_parking < self.limits.idle;
                    return None;
                }
                ReadOutcome::Closed => return None,
                ReadOutcome::Stopping => {
                    self.linger(LONGEST_STOPPING).await;
                    return None;
                }
            }
        }
    }

    /// Waits for more of a request. [`ReadOutcome::Closed`] means that the client hung up; [`ReadOutcome::Stopping`] that the
    /// gate stops and no request has begun.
    fn poll_more(&mut self, context: &mut Context<'_>, is_inside: bool) -> Poll<ReadOutcome> {
        match self.connection.poll_fill(context) {
            Poll::Ready(Ok(1..)) => return Poll::Ready(ReadOutcome::Received),
            Poll::Ready(Err(error)) if is_our_limit(&error) => {
                return Poll::Ready(ReadOutcome::TimedOut);
            }
            Poll::Ready(Ok(0) | Err(_)) => return Poll::Ready(ReadOutcome::Closed),
            Poll::Pending => {}
        }
        // A request may have arrived that the runtime has not been notified of.
        if !is_inside && self.poll_stopping(context).is_ready() && self.connection.is_idle_now() {
            return Poll::Ready(ReadOutcome::Stopping);
        }
        Poll::Pending
    }

    /// Ready a moment after the gate was asked to stop. A request that was on its way by then is still answered, and its
    /// answer says that the connection ends. HTTP/1.1 has no other way to say so.
    fn poll_stopping(&mut self, context: &mut Context<'_>) -> Poll<()> {
        ready!(self.stopped.as_mut().poll(context));
        let stopping = self
            .stopping
            .get_or_insert_with(|| Box::pin(sleep(BEFORE_STOPPING)));
        stopping.as_mut().poll(context)
    }

    /// Ready when the client has hung up. What it sends beforehand is kept for later, up to a limit.
    ///
    /// A client that has shut down its sending side may still read, as `nc -N` does, or may be gone, which looks the same. So an
    /// answer that begins soon and does not pause for long is still sent; any other is given up.
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
        self.half_closed
            .poll_spent(context, Duration::MAX, LONGEST_HALF_CLOSED)
    }

    /// Notes progress towards the client, which restarts the wait for a client that may have left.
    pub(crate) fn gets_more(&mut self) {
        if self.has_finished {
            self.half_closed.renew();
        }
    }

    /// The limit on the time of a whole exchange, if there is one.
    pub(crate) fn total_time(&self) -> Option<Duration> {
        self.limits.total
    }

    /// Whether the client has a connection to the server of this identity that is reserved for its owner.
    pub(crate) fn owns_connection_to(&self, server: &Rc<()>) -> bool {
        let mut own = self.own.iter();
        own.any(|own| Rc::ptr_eq(&own.0, server))
    }

    /// Takes the connection to the server of this identity that is reserved for the owner. If the current request has
    /// another owner, the connection is closed: a proxy may send the requests of several users over one client connection.
    pub(crate) fn take_owned(
        &mut self,
        server: &Rc<()>,
        owner: impl FnOnce() -> Option<Owner>,
    ) -> Option<Box<Link>> {
        let own = self.own.take_if(|own| Rc::ptr_eq(&own.0, server))?;
        let (_, whose, connection) = *own;
        (owner() == Some(whose)).then_some(connection)
    }

    /// Reserves a connection for one owner until the client hangs up.
    pub(crate) fn own(&mut self, server: Rc<()>, owner: Owner, connection: Box<Link>) {
        self.own = Some(Box::new((server, owner, connection)));
    }

    /// Makes the current request the last one, because the gate no longer knows where the next one would begin.
    pub(crate) fn end(&mut self) {
        self.http.end();
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

/// How long an answer may take to begin, or pause, for a client that has shut down its sending side.
const LONGEST_HALF_CLOSED: Duration = Duration::from_secs(10);

/// How long a connection is idle before it is parked. The requests for a page and its resources come within that time.
const BEFORE_PARKING: Duration = Duration::from_secs(1);

/// How long an open connection may still bring a request after the gate was asked to stop. A client that sends requests more
/// often learns from an answer that the connection ends. A request that arrives just as an idle connection is closed is
/// lost, as with every server.
const BEFORE_STOPPING: Duration = Duration::from_secs(1);

/// How long the gate reads after it has closed its side. A request that was on its way then meets an orderly close, so its client
/// knows that the request was not processed and may send it again (RFC 9112 §9.3.1).
const LONGEST_STOPPING: Duration = Duration::from_millis(500);
