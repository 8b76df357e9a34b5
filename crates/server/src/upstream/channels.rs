//! The connections of one runtime to a server that speaks HTTP/2. As many requests as the server allows share one.

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::io;
use std::rc::{Rc, Weak};
use std::time::Duration;

use bytes::Bytes;
use h2::Ping;
use h2::client::{Builder, Connection, SendRequest};
use tokio::sync::Mutex;
use tokio::time::sleep;

use crate::http2::messages::broken;
use crate::link::UnderWay;
use crate::socket::Stream;

/// Connections that are open.
#[derive(Debug, Default)]
pub(super) struct Channels {
    open: RefCell<Vec<Rc<Channel>>>,
    /// Whoever opens one more; the others wait whether there will be room on it.
    opening: Mutex<()>,
}

/// A connection.
#[derive(Debug)]
struct Channel {
    requests: SendRequest<Bytes>,
    /// So many requests are under way.
    active: Cell<usize>,
    /// Whether no others are to begin.
    is_over: Cell<bool>,
}

/// A place for one request on a connection.
#[derive(Debug)]
pub(super) struct Turn {
    pub(super) requests: SendRequest<Bytes>,
    /// Whether the connection was there before.
    pub(super) is_reused: bool,
    /// Counts the request among those that are under way, where these are counted.
    pub(super) under_way: Option<UnderWay>,
    channel: Rc<Channel>,
}

impl Channels {
    /// A place for a request, on a connection that has room or on one that `connect` opens.
    ///
    /// # Errors
    /// When no connection can be had.
    pub(super) async fn turn(
        self: &Rc<Self>,
        connect: impl Future<Output = io::Result<Stream>>,
    ) -> io::Result<Turn> {
        if let Some(turn) = self.free().await {
            return Ok(turn);
        }
        let _opening = self.opening.lock().await;
        if let Some(turn) = self.free().await {
            return Ok(turn);
        }
        let stream = connect.await?;
        let handshake = terms().handshake(stream).await;
        let (requests, mut connection) = handshake.map_err(broken)?;
        let ping = connection.ping_pong();
        let channel = Rc::new(Channel {
            requests,
            active: Cell::new(0),
            is_over: Cell::new(false),
        });
        // Nobody waits for it when we stop: it ends with the runtime.
        let driving = drive(connection, Rc::downgrade(self), Rc::clone(&channel));
        tokio::task::spawn_local(driving);
        // How many requests it takes at a time a server says before anything else (RFC 9113 §3.4). Those that came before would be
        // refused beyond that.
        if let Some(mut ping) = ping {
            ping.ping(Ping::opaque()).await.map_err(broken)?;
        }
        let turn = channel.turn(false).await;
        self.open.borrow_mut().push(channel);
        turn
    }

    /// A place on a connection that is open.
    async fn free(&self) -> Option<Turn> {
        loop {
            let channel = {
                let mut open = self.open.borrow_mut();
                open.retain(|channel| !channel.is_over.get());
                open.iter().find(|channel| channel.has_room()).cloned()
            }?;
            if let Ok(turn) = channel.turn(true).await {
                return Some(turn);
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

    async fn turn(self: &Rc<Self>, is_reused: bool) -> io::Result<Turn> {
        // Counted at once, so that others see that there is less room.
        self.active.set(self.active.get() + 1);
        let mut turn = Turn {
            requests: self.requests.clone(),
            is_reused,
            under_way: None,
            channel: Rc::clone(self),
        };
        let ready = poll_fn(|context| turn.requests.poll_ready(context)).await;
        ready.map(|()| turn).map_err(broken)
    }
}

impl Turn {
    /// Lets no other request begin on the connection.
    pub(super) fn leave_alone(&self) {
        self.channel.is_over.set(true);
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        let active = &self.channel.active;
        active.set(active.get() - 1);
    }
}

/// Moves a connection's bytes until it ends, or has had nothing to do for a while.
async fn drive(
    connection: Connection<Stream, Bytes>,
    channels: Weak<Channels>,
    channel: Rc<Channel>,
) {
    let mut connection = Box::pin(connection);
    let mut was_idle = false;
    let has_ended = loop {
        tokio::select! {
            // An error shows to those whose requests are under way.
            _ = connection.as_mut() => break true,
            () = sleep(BETWEEN_LOOKS) => {}
        }
        let is_idle = channel.active.get() == 0;
        let is_over = channel.is_over.get() || channels.strong_count() == 0;
        if is_over || is_idle && was_idle {
            break false;
        }
        was_idle = is_idle;
    };
    channel.is_over.set(true);
    if let Some(channels) = channels.upgrade() {
        channels.forget(&channel);
    }
    // With the last handle it ends, when its requests have.
    drop(channel);
    if !has_ended {
        let _ = connection.await;
    }
}

/// What servers are told, and may do.
fn terms() -> Builder {
    let mut terms = Builder::new();
    terms
        .enable_push(false)
        .initial_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_send_buffer_size(MOST_BUFFERED)
        .max_header_list_size(LARGEST_HEAD);
    terms
}

/// In bytes: so much of an answer may be under way, and wait here, for a stream and for all of them.
const STREAM_WINDOW: u32 = 256 * 1024;
const CONNECTION_WINDOW: u32 = 4 * 1024 * 1024;

/// In bytes, of the request of a stream that wait for the connection.
const MOST_BUFFERED: usize = 64 * 1024;

/// In bytes, as over HTTP/1.1.
const LARGEST_HEAD: u32 = http1::LARGEST_HEAD as u32;

/// A connection that had nothing to do when two looks came by is closed.
const BETWEEN_LOOKS: Duration = Duration::from_secs(30);
