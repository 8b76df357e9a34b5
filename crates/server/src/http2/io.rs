//! The bytes of a connection on which a client speaks HTTP/2, watched as they pass.

use std::cell::Cell;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::frames::Frames;
use crate::patience::Patience;
use crate::socket::Stream;

/// A connection whose client may neither flood it nor leave it unread.
pub(super) struct Watched {
    stream: Stream,
    frames: Frames,
    /// Whether it does; then nothing more is read.
    floods: Rc<Cell<bool>>,
    writing: Patience,
    /// How long the client may take nothing of what is to go out.
    stalled: Duration,
}

impl Watched {
    /// Nothing has been read of it. `floods` is set once the client floods it.
    pub(super) fn new(stream: Stream, stalled: Duration, floods: Rc<Cell<bool>>) -> Self {
        Self {
            stream,
            frames: Frames::new(),
            floods,
            writing: Patience::default(),
            stalled,
        }
    }

    fn stream(&mut self) -> Pin<&mut Stream> {
        Pin::new(&mut self.stream)
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
        if self.floods.get() {
            return Poll::Pending;
        }
        let before = buffer.filled().len();
        ready!(self.stream().poll_read(context, buffer))?;
        let came = &buffer.filled()[before..];
        if self.frames.are_too_many(came) {
            self.floods.set(true);
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
            self.frames.sent(count);
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
        let shut = self.stream().poll_shutdown(context);
        self.unless_stalled(context, shut)
    }
}
