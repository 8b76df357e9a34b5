//! The byte stream below `h2`, which watches for floods and refused streams.

use std::cell::Cell;
use std::io::{self, IoSlice};
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Sleep, sleep};

use super::flood::Window;
use super::resets::Resets;
use crate::socket::Stream;
use crate::wait_timer::WaitTimer;

/// What was noticed on a client's connection.
#[derive(Default)]
pub(super) struct Observations {
    /// Whether the client floods the connection. If so, nothing more is read from it.
    pub(super) floods: Cell<bool>,
    /// Streams that `h2` has reset because the client broke the rules, until they are taken.
    pub(super) broken: Cell<Vec<u32>>,
}

/// A client's connection that detects floods and refused streams, and limits how long a write may stall.
pub(super) struct WatchedConnection {
    stream: Stream,
    frames: Window,
    resets: Resets,
    observed: Rc<Observations>,
    writing: WaitTimer,
    /// How long the client may accept no bytes.
    stalled: Duration,
    /// Set while the connection is being closed: the deadline for reading what the client still sends, and how many bytes of it
    /// may still be read.
    closing: Option<(Pin<Box<Sleep>>, usize)>,
}

impl WatchedConnection {
    /// Wraps a connection from which nothing has been read.
    pub(super) fn new(stream: Stream, stalled: Duration, observed: Rc<Observations>) -> Self {
        Self {
            stream,
            frames: Window::new(),
            resets: Resets::new(),
            observed,
            writing: WaitTimer::default(),
            stalled,
            closing: None,
        }
    }

    fn stream(&mut self) -> Pin<&mut Stream> {
        Pin::new(&mut self.stream)
    }

    /// Reads what the client still sends until it closes its side. An earlier close would reset the connection, and the
    /// client could lose the end of the last answers (for HTTP/1.1, see RFC 9112 §9.6).
    fn poll_closing(&mut self, context: &mut Context<'_>) -> Poll<()> {
        let mut rest = [MaybeUninit::uninit(); 4096];
        let listening = || (Box::pin(sleep(LONGEST_CLOSING)), MOST_WHILE_CLOSING);
        let (latest, left) = self.closing.get_or_insert_with(listening);
        while *left > 0 && latest.as_mut().poll(context).is_pending() {
            let mut room = ReadBuf::uninit(&mut rest);
            let read = ready!(Pin::new(&mut self.stream).poll_read(context, &mut room));
            let count = room.filled().len();
            if read.is_err() || count == 0 {
                break;
            }
            *left = left.saturating_sub(count);
        }
        Poll::Ready(())
    }

    /// Counts and parses bytes that have been sent: the first `count` bytes of `slices`.
    fn note_sent(&mut self, slices: &[IoSlice<'_>], count: usize) {
        self.frames.sent(count);
        let (observed, mut left) = (&self.observed, count);
        for slice in slices {
            let gone = &slice[..left.min(slice.len())];
            left -= gone.len();
            self.resets.follow(gone, |stream| {
                let mut broken = observed.broken.take();
                broken.push(stream);
                observed.broken.set(broken);
            });
        }
    }

    /// The result of a write, or the error that the client has stalled for too long.
    fn unless_stalled<T>(
        &mut self,
        context: &mut Context<'_>,
        written: Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        if written.is_ready() {
            self.writing.progressed();
            self.writing.renew();
            return written;
        }
        let limit = self.stalled;
        ready!(self.writing.poll_spent(context, Duration::MAX, limit));
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }
}

impl AsyncRead for WatchedConnection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.observed.floods.get() {
            return Poll::Pending;
        }
        let before = buffer.filled().len();
        ready!(self.stream().poll_read(context, buffer))?;
        let received = &buffer.filled()[before..];
        if self.frames.exceeds_limit(received) {
            self.observed.floods.set(true);
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for WatchedConnection {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.as_mut()
            .poll_write_vectored(context, &[IoSlice::new(bytes)])
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = self.stream().poll_write_vectored(context, slices);
        if let Poll::Ready(Ok(count)) = written {
            self.note_sent(slices, count);
        }
        self.unless_stalled(context, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = self.stream().poll_flush(context);
        self.unless_stalled(context, flushed)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.closing.is_none() {
            let shut = self.stream().poll_shutdown(context);
            ready!(self.unless_stalled(context, shut))?;
        }
        if !self.observed.floods.get() {
            ready!(self.poll_closing(context));
        }
        Poll::Ready(Ok(()))
    }
}

/// How long a client may take to close its side, and how many bytes it may send until then.
const LONGEST_CLOSING: Duration = Duration::from_secs(1);
const MOST_WHILE_CLOSING: usize = 1024 * 1024;
