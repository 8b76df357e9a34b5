//! The client's side of a connection: bytes are checked before the HTTP library sees them, and nobody keeps us
//! waiting for ever.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep, sleep_until};

use super::framing::{Framing, Phase};
use crate::config::ClientSettings;
use crate::patience::Patience;
use crate::socket::Stream;

/// A client's connection.
#[derive(Debug)]
pub(crate) struct ClientIo {
    stream: Stream,
    framing: Framing,
    state: ConnectionState,
    limits: ClientSettings,
    reading: Patience,
    writing: Patience,
    idle: Option<Pin<Box<Sleep>>>,
    phase: Phase,
    /// Bytes of the current body, for the least rate that we accept.
    received: u64,
}

impl ClientIo {
    pub(crate) fn new(stream: Stream, limits: ClientSettings, state: ConnectionState) -> Self {
        Self {
            stream,
            framing: Framing::default(),
            state,
            limits,
            reading: Patience::default(),
            writing: Patience::default(),
            idle: None,
            phase: Phase::Between,
            received: 0,
        }
    }

    /// The bare connection, once it carries something else than HTTP.
    pub(crate) fn into_stream(self) -> Stream {
        self.stream
    }

    /// Fails when the client has kept us waiting for too long.
    fn poll_waited(&mut self, context: &mut Context<'_>) -> Poll<io::Error> {
        let (in_all, at_once) = match self.phase {
            Phase::Between => return self.poll_idle(context),
            Phase::Head => (self.limits.header, self.limits.header),
            Phase::Body => {
                let earned = Duration::from_secs(self.received / LEAST_BODY_RATE);
                (self.limits.body + earned, self.limits.body)
            }
        };
        ready!(self.reading.poll_spent(context, in_all, at_once));
        Poll::Ready(io::ErrorKind::TimedOut.into())
    }

    /// Fails when no answer has been under way for too long. The HTTP library asks for the next request as soon as it
    /// has one, and not again when that one is answered: so the clock is looked at when the time would be over.
    fn poll_idle(&mut self, context: &mut Context<'_>) -> Poll<io::Error> {
        let limit = self.limits.idle;
        let timer = self
            .idle
            .get_or_insert_with(|| Box::pin(sleep_until(self.state.idle_until(limit))));
        loop {
            ready!(timer.as_mut().poll(context));
            let until = self.state.idle_until(limit);
            if until <= timer.deadline() {
                return Poll::Ready(io::ErrorKind::TimedOut.into());
            }
            timer.as_mut().reset(until);
        }
    }

    /// Checks what was just read. Where it stops being good it is cut off, and a line is put in its place that the
    /// HTTP library refuses wherever one is due: in turn, behind the answers to the requests before it.
    fn check(&mut self, buffer: &mut ReadBuf<'_>, start: usize) {
        self.reading.progressed();
        let bytes = &buffer.filled()[start..];
        let count = bytes.len();
        if let Err((_, good)) = self.framing.follow(bytes) {
            self.state.refuse();
            buffer.set_filled(start + good);
            let room = buffer.remaining().min(REFUSED_LINE.len());
            buffer.put_slice(&REFUSED_LINE[..room]);
            return;
        }
        let phase = self.framing.phase();
        if phase != self.phase {
            self.phase = phase;
            self.received = 0;
            self.reading.renew();
        }
        self.received += count as u64;
    }
}

impl AsyncRead for ClientIo {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.state.is_refused() {
            return Poll::Ready(Ok(()));
        }
        let start = buffer.filled().len();
        match Pin::new(&mut self.stream).poll_read(context, buffer) {
            Poll::Pending => self.poll_waited(context).map(Err),
            Poll::Ready(Ok(())) if buffer.filled().len() > start => {
                self.check(buffer, start);
                Poll::Ready(Ok(()))
            }
            done => done,
        }
    }
}

impl AsyncWrite for ClientIo {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.written(context, written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(context, slices);
        self.written(context, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

impl ClientIo {
    /// A client that takes nothing of its answer is given up like one that sends nothing of its request.
    fn written<T>(
        &mut self,
        context: &mut Context<'_>,
        written: Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        if written.is_ready() {
            self.writing.progressed();
            self.writing.renew();
            return written;
        }
        let limit = self.limits.body;
        self.writing
            .poll_spent(context, limit, limit)
            .map(|()| Err(io::ErrorKind::TimedOut.into()))
    }
}

/// What a connection and the requests on it know of each other.
#[derive(Clone, Debug)]
pub(crate) struct ConnectionState(Arc<Flags>);

#[derive(Debug)]
struct Flags {
    opened: Instant,
    /// Milliseconds from `opened` to the end of the last answer, or [`BUSY`].
    idle_since: AtomicU64,
    refused: AtomicBool,
}

/// An answer is under way.
const BUSY: u64 = u64::MAX;

impl ConnectionState {
    /// The state of a connection that has just been opened.
    pub(crate) fn new() -> Self {
        let flags = Flags {
            opened: Instant::now(),
            idle_since: AtomicU64::new(0),
            refused: AtomicBool::new(false),
        };
        Self(Arc::new(flags))
    }

    /// Says that an answer is under way until the returned value is dropped.
    pub(crate) fn busy(&self) -> Busy {
        self.0.idle_since.store(BUSY, Ordering::Relaxed);
        Busy(self.clone())
    }

    /// Whether the bytes on this connection stopped being HTTP as we accept it.
    pub(crate) fn is_refused(&self) -> bool {
        self.0.refused.load(Ordering::Relaxed)
    }

    /// When no answer will have been under way for so long.
    fn idle_until(&self, limit: Duration) -> Instant {
        match self.0.idle_since.load(Ordering::Relaxed) {
            BUSY => Instant::now() + limit,
            since => self.0.opened + Duration::from_millis(since) + limit,
        }
    }

    fn refuse(&self) {
        self.0.refused.store(true, Ordering::Relaxed);
    }
}

/// An answer is under way on a connection.
#[derive(Debug)]
pub(crate) struct Busy(ConnectionState);

impl Drop for Busy {
    fn drop(&mut self) {
        let flags = &self.0.0;
        let since = u64::try_from(flags.opened.elapsed().as_millis()).unwrap_or(BUSY - 1);
        flags.idle_since.store(since, Ordering::Relaxed);
    }
}

/// The first byte can stand nowhere in HTTP. The rest ends a head, because the library does not look at one that came in
/// pieces before its end is there.
const REFUSED_LINE: &[u8] = b"\0\r\n\r\n";

/// In bytes a second, beyond the time that a body may take anyway: a client that drips its body byte by byte holds
/// a connection to the upstream for nothing. Apache's `mod_reqtimeout` demands the same.
const LEAST_BODY_RATE: u64 = 500;
