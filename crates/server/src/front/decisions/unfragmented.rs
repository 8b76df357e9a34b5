//! A connection on which a host asks over HTTP/2, watched for paths with a `#`, which `hyper` drops together with what stands behind
//! it: a host that forwards such a path would be told of another one.
//!
//! Nothing says which of the questions that come out of `hyper` has it. So from the first such head on no question on the connection
//! is answered with a yes, and the connection ends: the host asks again on another one.

use std::cell::Cell;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::Notify;
use wire::fragments::Fragments;

use crate::socket::Stream;

/// A connection that is watched.
pub(super) struct Unfragmented {
    stream: Stream,
    fragments: Fragments,
    verdict: Rc<Verdict>,
}

/// Whether a path with a `#` has come, or nobody can say.
#[derive(Default)]
pub(super) struct Verdict {
    has_fragment: Cell<bool>,
    fell: Notify,
}

impl Verdict {
    pub(super) fn has_fragment(&self) -> bool {
        self.has_fragment.get()
    }

    /// Waits until one has come.
    pub(super) async fn falls(&self) {
        self.fell.notified().await;
    }
}

impl Unfragmented {
    /// Nothing has been read of it. `longest_head` is what is taken of a head, in bytes.
    pub(super) fn new(stream: Stream, longest_head: usize, verdict: Rc<Verdict>) -> Self {
        Self {
            stream,
            fragments: Fragments::new(longest_head),
            verdict,
        }
    }

    fn stream(&mut self) -> Pin<&mut Stream> {
        Pin::new(&mut self.stream)
    }
}

impl AsyncRead for Unfragmented {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        ready!(self.stream().poll_read(context, buffer))?;
        let mut has_fragment = false;
        let fragments = &mut self.fragments;
        fragments.follow(&buffer.filled()[before..], |_| has_fragment = true);
        if has_fragment || fragments.is_lost() {
            self.verdict.has_fragment.set(true);
            self.verdict.fell.notify_one();
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Unfragmented {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.stream().poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.stream().poll_write_vectored(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.stream().poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.stream().poll_shutdown(context)
    }
}
