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
use crate::ended::is_our_limit;
use crate::link::Link;
use crate::owner::Owner;
use crate::socket::Stream;
use crate::wait_timer::WaitTimer;

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
    leaving: WaitTimer,
    /// The connection to a service that is its owner's alone.
    own: Option<Box<Own>>,
    /// How long a request is waited for at hand; for the rest of its time it rests.
    at_hand: Duration,
    /// Whether it does.
    parks: bool,
}

/// A connection to the server of this identity that is its owner's alone.
type Own = (Rc<()>, Owner, Box<Link>);

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
        let client = Self::resume(stream.into(), limits, stop);
        Self {
            at_hand: limits.idle,
            ..client
        }
    }

    /// The same, which may [rest](Self::into_parked), and may have done so.
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
            retiring: None,
            stop,
            body_limit: u64::MAX,
            answer_at: 0,
            resets: false,
            has_finished: false,
            leaving: WaitTimer::default(),
            own,
            at_hand: limits.idle.min(BEFORE_PARKING),
            parks: false,
        }
    }

    /// What is left of it when [`next`](Self::next) has ended because no request comes for a while, and how long one may still
    /// be waited for.
    pub(crate) fn into_parked(self) -> Option<(ParkedClient, Duration)> {
        let Self {
            connection,
            own,
            limits,
            at_hand,
            parks,
            ..
        } = self;
        let stream = connection.into_parked();
        let left = limits.idle.saturating_sub(at_hand);
        parks.then_some((ParkedClient { stream, own }, left))
    }

    /// The connection as it was before the preface of HTTP/2 was taken from it, which was all that was taken.
    pub(crate) fn into_http2(self) -> Stream {
        let Self { connection, .. } = self;
        connection.into_stream(HTTP2_PREFACE)
    }

    /// The next request. None when there is none: it was the last one, the client hung up or keeps us waiting, or we are to
    /// stop; or none for a while, and the client may [rest](Self::into_parked).
    ///
    /// # Errors
    ///
    /// [`Violation`] when what came is no request; then nothing that follows can be read.
    pub(crate) async fn next(&mut self) -> Option<Result<Box<Request<Length>>, Violation>> {
        if !self.http.is_persistent() || !self.discard_body().await {
            self.hang_up().await;
            return None;
        }
        self.connection.release_memory();
        self.connection
            .set_read_budget(TimeBudget::per_wait(self.at_hand));
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
                More::Came => {}
                More::Late if is_inside => return Some(Err(self.http.give_up())),
                More::Late if self.at_hand < self.limits.idle && self.stop.is_cancelled() => {
                    // It ends soon, as below.
                    self.at_hand = self.limits.idle;
                    self.connection
                        .set_read_budget(TimeBudget::per_wait(self.at_hand));
                }
                More::Late => {
                    self.parks = self.at_hand < self.limits.idle;
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

    /// How long an exchange may take in all, if that is limited.
    pub(crate) fn total_time(&self) -> Option<Duration> {
        self.limits.total
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
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client")
            .field("connection", &self.connection)
            .field("http", &self.http)
            .finish_non_exhaustive()
    }
}

/// How long an answer may take to begin, or pause, for a client that has shut down its sending side and is not heard of again.
const LONGEST_FAREWELL: Duration = Duration::from_secs(10);

/// How long a request is waited for at hand. A page and what belongs to it come within that.
const BEFORE_PARKING: Duration = Duration::from_secs(1);

/// How long an open connection may still bring a request after we are asked to stop. Whoever uses it more often than that hears
/// with an answer that it ends; what comes at the very moment in which a quiet one is closed is lost, as with every server.
const BEFORE_RETIREMENT: Duration = Duration::from_secs(1);

/// For a request that has crossed our end on its way, so that its client sees an orderly end: then nobody has read the request, and it may be
/// sent again (RFC 9112 §9.3.1).
const LONGEST_RETIREMENT: Duration = Duration::from_millis(500);
