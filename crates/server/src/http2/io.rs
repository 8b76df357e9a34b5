//! The bytes of a connection on which a client speaks HTTP/2, watched as they pass.

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

/// What is noticed of a client while its bytes pass.
#[derive(Default)]
pub(super) struct Noticed {
    /// Whether it sends too much that carries nothing. Then nothing more is read.
    pub(super) floods: Cell<bool>,
    /// Streams that have been reset because of a rule that it has broken, until somebody takes them.
    pub(super) broken: Cell<Vec<u32>>,
}

/// A connection whose client may neither flood it nor leave it unread.
pub(super) struct Watched {
    stream: Stream,
    frames: Window,
    resets: Resets,
    noticed: Rc<Noticed>,
    writing: WaitTimer,
    /// How long the client may take nothing of what is to go out.
    stalled: Duration,
    /// Once all is said: until when the client is listened to, and how much of it at most.
    farewell: Option<(Pin<Box<Sleep>>, usize)>,
}

impl Watched {
    /// Nothing has been read of it.
    pub(super) fn new(stream: Stream, stalled: Duration, noticed: Rc<Noticed>) -> Self {
        Self {
            stream,
            frames: Window::new(),
            resets: Resets::new(),
            noticed,
            writing: WaitTimer::default(),
            stalled,
            farewell: None,
        }
    }

    fn stream(&mut self) -> Pin<&mut Stream> {
        Pin::new(&mut self.stream)
    }

    /// Reads what the client still says, until it has heard that we have said everything, and closes its side. To close before that
    /// resets the connection, and with it goes what the client has not read of the last answers (RFC 9112 §9.6 has it for HTTP/1.1).
    fn poll_farewell(&mut self, context: &mut Context<'_>) -> Poll<()> {
        let mut rest = [MaybeUninit::uninit(); 4096];
        let listening = || (Box::pin(sleep(LONGEST_FAREWELL)), MOST_IN_FAREWELL);
        let (latest, left) = self.farewell.get_or_insert_with(listening);
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

    /// Takes note of so many bytes that have left.
    fn left(&mut self, slices: &[IoSlice<'_>], count: usize) {
        self.frames.sent(count);
        let (noticed, mut left) = (&self.noticed, count);
        for slice in slices {
            let gone = &slice[..left.min(slice.len())];
            left -= gone.len();
            self.resets.follow(gone, |stream| {
                let mut broken = noticed.broken.take();
                broken.push(stream);
                noticed.broken.set(broken);
            });
        }
    }

    /// The result of writing, or the error that nothing was taken for too long.
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

impl AsyncRead for Watched {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.noticed.floods.get() {
            return Poll::Pending;
        }
        let before = buffer.filled().len();
        ready!(self.stream().poll_read(context, buffer))?;
        let came = &buffer.filled()[before..];
        if self.frames.are_too_many(came) {
            self.noticed.floods.set(true);
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Watched {
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
            self.left(slices, count);
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
        if self.farewell.is_none() {
            let shut = self.stream().poll_shutdown(context);
            ready!(self.unless_stalled(context, shut))?;
        }
        if !self.noticed.floods.get() {
            ready!(self.poll_farewell(context));
        }
        Poll::Ready(Ok(()))
    }
}

/// How long a client may take to close its side, and how many bytes it may send until then.
const LONGEST_FAREWELL: Duration = Duration::from_secs(1);
const MOST_IN_FAREWELL: usize = 1024 * 1024;
