//! The connections of one runtime to a server that speaks HTTP/2. Each carries as many requests as the server allows.

use std::cell::{Cell, RefCell};
use std::future::{pending, poll_fn};
use std::io;
use std::rc::{Rc, Weak};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use h2::Ping;
use h2::client::{Builder, Connection, SendRequest};
use tokio::sync::{Mutex, Notify, OwnedSemaphorePermit};
use tokio::time::{Instant, sleep, sleep_until};

use super::error::UpstreamError;
use super::member::Member;
use crate::http2::messages::broken;
use crate::link::UnderWay;
use crate::socket::Stream;

/// The open connections.
#[derive(Debug, Default)]
pub(super) struct Channels {
    open: RefCell<Vec<Rc<Channel>>>,
    /// Locked by the task that opens another connection; the others wait for room on it.
    opening: Mutex<()>,
    /// Notifies that task, if connections are limited, that a request has ended.
    freed: Rc<Notify>,
}

/// A connection over HTTP/2.
#[derive(Debug)]
struct Channel {
    requests: SendRequest<Bytes>,
    /// The number of requests in flight.
    active: Cell<usize>,
    /// Whether no more requests may begin.
    is_over: Cell<bool>,
    /// Whether a request has begun since the last idle check.
    is_used: Cell<bool>,
    freed: Rc<Notify>,
    /// Counts it among the connections to its server, if they are limited.
    _place: Option<OwnedSemaphorePermit>,
}

/// A newly opened connection.
#[derive(Debug)]
pub(super) struct NewConnection {
    pub(super) stream: Stream,
    pub(super) place: Option<OwnedSemaphorePermit>,
    /// When it takes no more requests, if its age is limited.
    pub(super) ends: Option<Instant>,
    /// The server, if connections to it are limited.
    pub(super) limited: Option<Arc<Member>>,
    /// For how many seconds the server keeps idle connections, if that is configured.
    pub(super) keep_alive: Option<u32>,
}

/// The result of opening a connection.
pub(super) enum ConnectOutcome {
    New(NewConnection),
    /// No more connections are allowed, but there may be room on another one.
    Full,
    /// The server speaks HTTP/1.1, as another connection has shown.
    Http1,
}

/// The result of looking for a stream for a request.
pub(super) enum StreamOutcome {
    /// The server has chosen HTTP/1.1. Contains the connection on which it did, if that was opened for this request.
    Http1(Option<NewConnection>),
    Http2(ReservedStream),
}

/// A reserved stream for one request on a connection.
#[derive(Debug)]
pub(super) struct ReservedStream {
    pub(super) requests: SendRequest<Bytes>,
    /// Whether the connection was open before.
    pub(super) is_reused: bool,
    /// Counts the request among those in flight, if requests are counted.
    pub(super) under_way: Option<UnderWay>,
    channel: Rc<Channel>,
}

impl Channels {
    /// Reserves a stream on a connection that has room, or on one that `connect` opens. Only one task opens a connection at a
    /// time; `connect` gets a [`Notify`], which notifies it that a request has ended.
    ///
    /// # Errors
    /// When there is no connection.
    pub(super) async fn reserve_stream(
        self: &Rc<Self>,
        mut connect: impl AsyncFnMut(&Notify) -> Result<ConnectOutcome, UpstreamError>,
    ) -> Result<StreamOutcome, UpstreamError> {
        if let Some(reserved) = self.free().await {
            return Ok(StreamOutcome::Http2(reserved));
        }
        let _opening = self.opening.lock().await;
        loop {
            if let Some(reserved) = self.free().await {
                return Ok(StreamOutcome::Http2(reserved));
            }
            let fresh = match connect(&self.freed).await? {
                ConnectOutcome::New(fresh) => fresh,
                ConnectOutcome::Full => continue,
                ConnectOutcome::Http1 => return Ok(StreamOutcome::Http1(None)),
            };
            let is_http1 = fresh.stream.tls().is_some() && !fresh.stream.has_agreed_on_http2();
            return match is_http1 {
                true => Ok(StreamOutcome::Http1(Some(fresh))),
                false => {
                    let adopted = self.adopt(fresh).await;
                    adopted
                        .map(StreamOutcome::Http2)
                        .map_err(UpstreamError::Connect)
                }
            };
        }
    }

    /// Begins HTTP/2 on a connection, and reserves the first stream on it.
    ///
    /// # Errors
    /// When the server does not speak HTTP/2.
    pub(super) async fn adopt(self: &Rc<Self>, fresh: NewConnection) -> io::Result<ReservedStream> {
        let handshake = terms().handshake(fresh.stream).await;
        let (requests, mut connection) = handshake.map_err(broken)?;
        let ping = connection.ping_pong();
        let channel = Rc::new(Channel {
            requests,
            active: Cell::new(0),
            is_over: Cell::new(fresh.keep_alive == Some(0)),
            is_used: Cell::new(true),
            freed: Rc::clone(&self.freed),
            _place: fresh.place,
        });
        // Not awaited at shutdown: the task ends with the runtime.
        let (channels, driven) = (Rc::downgrade(self), Rc::clone(&channel));
        let idling = IdleTimer::new(fresh.keep_alive, fresh.limited);
        let driving = drive(connection, channels, driven, fresh.ends, idling);
        tokio::task::spawn_local(driving);
        // Waits for the server's settings, which come first (RFC 9113 §3.4): the number of concurrent streams, and whether
        // it accepts WebSockets. Earlier streams could be refused.
        if let Some(mut ping) = ping {
            ping.ping(Ping::opaque()).await.map_err(broken)?;
        }
        let reserved = channel.reserve_stream(false).await;
        self.open.borrow_mut().push(channel);
        reserved
    }

    /// A stream on an open connection with room.
    async fn free(&self) -> Option<ReservedStream> {
        loop {
            let channel = {
                let mut open = self.open.borrow_mut();
                open.retain(|channel| !channel.is_over.get());
                open.iter().find(|channel| channel.has_room()).cloned()
            }?;
            if let Ok(reserved) = channel.reserve_stream(true).await {
                return Some(reserved);
            }
            channel.is_over.set(true);
        }
    }

    fn forget(&self, channel: &Rc<Channel>) {
        let mut open = self.open.borrow_mut();
        open.retain(|other| !Rc::ptr_eq(other, channel));
    }
}

impl Channel {
    fn has_room(&self) -> bool {
        self.active.get() < self.requests.current_max_send_streams()
    }

    async fn reserve_stream(self: &Rc<Self>, is_reused: bool) -> io::Result<ReservedStream> {
        // Counted before the wait, so that other tasks see that there is less room.
        self.active.set(self.active.get() + 1);
        self.is_used.set(true);
        let mut reserved = ReservedStream {
            requests: self.requests.clone(),
            is_reused,
            under_way: None,
            channel: Rc::clone(self),
        };
        let ready = poll_fn(|context| reserved.requests.poll_ready(context)).await;
        ready.map(|()| reserved).map_err(broken)
    }
}

impl ReservedStream {
    /// Prevents further requests on the connection.
    pub(super) fn stop_using(&self) {
        self.channel.is_over.set(true);
    }

    /// Whether the server accepts WebSockets on streams (RFC 8441 §3).
    pub(super) fn takes_websockets(&self) -> bool {
        self.requests.is_extended_connect_protocol_enabled()
    }
}

impl Drop for ReservedStream {
    fn drop(&mut self) {
        let active = &self.channel.active;
        active.set(active.get() - 1);
        self.channel.freed.notify_one();
    }
}

/// Drives a connection until it ends, is too old, or has been idle for a while.
async fn drive(
    connection: Connection<Stream, Bytes>,
    channels: Weak<Channels>,
    channel: Rc<Channel>,
    ends: Option<Instant>,
    idling: IdleTimer,
) {
    let mut connection = Box::pin(connection);
    let mut idle_for = Duration::ZERO;
    let has_ended = loop {
        tokio::select! {
            // The requests in flight receive the error.
            _ = connection.as_mut() => break true,
            () = sleep(idling.between_looks) => {}
            () = until(ends) => channel.is_over.set(true),
        }
        let is_idle = channel.active.get() == 0;
        idle_for = match is_idle && !channel.is_used.take() {
            true => idle_for + idling.between_looks,
            false => Duration::ZERO,
        };
        let is_unused = is_idle && (idling.is_wanted() || idle_for >= idling.longest);
        if channel.is_over.get() || channels.strong_count() == 0 || is_unused {
            break false;
        }
    };
    channel.is_over.set(true);
    if let Some(channels) = channels.upgrade() {
        channels.forget(&channel);
    }
    // The connection ends with its last handle, after its requests.
    drop(channel);
    if !has_ended {
        let _ = connection.await;
    }
}

/// When an idle connection is closed.
struct IdleTimer {
    between_looks: Duration,
    /// The idle time after which it is closed, perhaps up to one check later.
    longest: Duration,
    /// The server, if the number of connections to it is limited.
    limited: Option<Arc<Member>>,
}

impl IdleTimer {
    /// If the server keeps idle connections for this many seconds, they are closed half a second before that, as over
    /// HTTP/1.1.
    fn new(keep_alive: Option<u32>, limited: Option<Arc<Member>>) -> Self {
        let often = keep_alive.is_some() || limited.is_some();
        let kept = keep_alive.map(|seconds| Duration::from_secs(seconds.into()));
        Self {
            between_looks: if often { BETWEEN_OFTEN } else { LONGEST_IDLE },
            longest: kept.map_or(LONGEST_IDLE, |kept| kept.saturating_sub(2 * BETWEEN_OFTEN)),
            limited,
        }
    }

    /// Whether other requests wait for a connection.
    fn is_wanted(&self) -> bool {
        let limited = self.limited.as_ref();
        limited.is_some_and(|member| member.is_wanted())
    }
}

/// Ready at this time; without a time, never ready.
async fn until(time: Option<Instant>) {
    match time {
        Some(time) => sleep_until(time).await,
        None => pending().await,
    }
}

/// The HTTP/2 settings towards servers.
fn terms() -> Builder {
    let mut terms = Builder::new();
    terms
        .enable_push(false)
        .initial_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_send_buffer_size(MOST_BUFFERED)
        .max_header_list_size(LARGEST_HEAD)
        .data_frame_budget(MOST_OVERHEAD);
    terms
}

/// In bytes: the flow-control windows of a stream and of a connection, which bound what waits in memory.
const STREAM_WINDOW: u32 = 256 * 1024;
const CONNECTION_WINDOW: u32 = 4 * 1024 * 1024;

/// The overhead of small frames that wait to be read, in bytes: the sum by which they fall short of 256 bytes each. Beyond it
/// `h2` ends the connection, and with it the calls of other clients. Four streams of eight-byte messages to clients that do not
/// read reach it.
const MOST_OVERHEAD: usize = 32 * 1024 * 1024;

/// In bytes: how much of a stream's request may wait for the connection.
const MOST_BUFFERED: usize = 64 * 1024;

/// The largest response head, in bytes, as over HTTP/1.1.
const LARGEST_HEAD: u32 = http1::LARGEST_HEAD as u32;

/// The interval of idle checks. A connection that was idle between two of them is closed.
const LONGEST_IDLE: Duration = Duration::from_secs(30);

/// The shorter interval, if connections are limited and others may wait for an idle one, or if the server closes idle
/// connections and a request could cross the close.
const BETWEEN_OFTEN: Duration = Duration::from_millis(500);
