//! A connection to a client or a server, with its buffers and the time limits on reading and writing.

mod time_budget;

use std::future::poll_fn;
use std::io::{self, IoSlice};
use std::mem;
use std::num::NonZeroU64;
use std::os::fd::BorrowedFd;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Buf, BytesMut};
use http1::Violation;
use tokio::io::AsyncWrite;
use tokio_util::io::poll_read_buf;

pub(crate) use self::time_budget::TimeBudget;
use crate::send_queue::{self, PendingSend};
use crate::socket::Stream;
use crate::tls::socket::Sealed;
use crate::wait_timer::WaitTimer;

/// A connection to a client or to the upstream.
///
/// Reads append to `input`; the parser takes bytes from its front. Writers append to `output`, which leaves with
/// [`poll_send`](Self::poll_send), so that what belongs together leaves in one system call.
#[derive(Debug)]
pub(crate) struct Connection {
    /// `None` only while [`send_together`](Self::send_together) waits.
    stream: Option<Box<Stream>>,
    /// Bytes that were read and not parsed yet.
    pub(crate) input: BytesMut,
    /// Bytes to be sent.
    pub(crate) output: Vec<u8>,
    /// How many bytes of `output` have been sent.
    sent: usize,
    /// How many bytes were sent before those in `output`.
    flushed: u64,
    /// The size of the next read buffer, in bytes.
    room: usize,
    reading: WaitTimer,
    /// Whether the read timer is suspended, because the gate does not wait for the other side.
    suspended: bool,
    budget: TimeBudget,
    received: u64,
    writing: WaitTimer,
    /// How long the other side may accept no bytes.
    stalled: Duration,
    /// The lowest rate, in bytes a second, at which the other side may take a message. `None` is no limit.
    least_rate: Option<NonZeroU64>,
    /// How many bytes of the current message the other side has taken.
    taken: u64,
}

impl Connection {
    /// A connection. `budget` limits the wait for the first bytes, `stalled` the wait for each write.
    pub(crate) fn new(
        stream: impl Into<Box<Stream>>,
        budget: TimeBudget,
        stalled: Duration,
    ) -> Self {
        Self {
            stream: Some(stream.into()),
            input: BytesMut::new(),
            output: Vec::new(),
            sent: 0,
            flushed: 0,
            room: LEAST_ROOM,
            reading: WaitTimer::default(),
            suspended: false,
            budget,
            received: 0,
            writing: WaitTimer::default(),
            stalled,
            least_rate: None,
            taken: 0,
        }
    }

    /// Sets the lowest rate at which the other side has to take a message, in bytes a second. The time for which it may stall is
    /// added to what the rate allows.
    pub(crate) fn taking_at_least(self, rate: Option<NonZeroU64>) -> Self {
        Self {
            least_rate: rate,
            ..self
        }
    }

    /// Starts the write timer and the byte count for a new message to the other side.
    pub(crate) fn begin_message(&mut self) {
        self.taken = 0;
        self.writing.renew();
    }

    /// Sets the time budget for what is read from now on, and restarts the read timer.
    pub(crate) fn set_read_budget(&mut self, budget: TimeBudget) {
        self.budget = budget;
        self.received = 0;
        self.reading.renew();
    }

    /// Restarts the read timer: the other side did not have to send anything until now.
    pub(crate) fn restart_read_timer(&mut self) {
        self.reading.renew();
    }

    /// Suspends or restarts the read timer. It runs only while the gate waits for this connection, not while this connection
    /// waits for the other one of the exchange.
    pub(crate) fn suspend_timer(&mut self, suspended: bool) {
        self.suspended = suspended;
        if suspended {
            self.reading.renew();
        }
    }

    /// Whether the read timer is suspended.
    pub(crate) fn is_timer_suspended(&self) -> bool {
        self.suspended
    }

    /// Reads what is available into `input`, within the time budget. Ready with 0 at the end of the stream.
    ///
    /// # Errors
    ///
    /// When reading fails, or with `TimedOut` when the time budget is spent.
    pub(crate) fn poll_fill(&mut self, context: &mut Context<'_>) -> Poll<io::Result<usize>> {
        if let Poll::Ready(read) = self.poll_read(context) {
            self.reading.progressed();
            return Poll::Ready(read);
        }
        if self.suspended {
            return Poll::Pending;
        }
        let TimeBudget {
            total,
            per_wait,
            rate,
        } = self.budget;
        let earned = rate.map_or(0, |rate| self.received / rate);
        let total = total.saturating_add(Duration::from_secs(earned));
        ready!(self.reading.poll_spent(context, total, per_wait));
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }

    /// Reads what is available into `input`, without a time limit. Ready with 0 at the end of the stream.
    pub(crate) fn poll_read(&mut self, context: &mut Context<'_>) -> Poll<io::Result<usize>> {
        if self.input.capacity() - self.input.len() < LEAST_ROOM / 2 {
            self.input.reserve(self.room);
        }
        let room = self.input.capacity() - self.input.len();
        let stream = self.stream.as_mut().expect(IN_SEND_QUEUE);
        let read = poll_read_buf(Pin::new(stream), context, &mut self.input);
        if let Poll::Ready(Ok(count)) = read {
            self.received += count as u64;
            // More is probably waiting, so large bodies are read in fewer, larger pieces.
            if count == room {
                self.room = MOST_ROOM.min(self.room * 2);
            }
        }
        read
    }

    /// Queues `output` until every other ready task has run, and then sends what the socket takes, in one system call with
    /// the output of the other tasks. The rest, and errors, are left to [`poll_send`](Self::poll_send).
    pub(crate) async fn send_together(&mut self) {
        let mut stream = self.stream.take().expect(IN_SEND_QUEUE);
        // Over TLS the encrypted bytes are queued, and they cannot be taken back.
        let (bytes, sent) = match stream.seal(&self.output[self.sent..]) {
            Some(Sealed { bytes, sent }) => {
                self.sent = self.output.len();
                (bytes, sent)
            }
            None => (mem::take(&mut self.output), self.sent),
        };
        let pending = PendingSend {
            stream,
            bytes,
            sent,
        };
        let give_back = |pending: PendingSend| {
            let PendingSend {
                mut stream,
                bytes,
                sent,
            } = pending;
            if stream.tls().is_some() {
                stream.put_back(Sealed { bytes, sent });
            } else {
                (self.output, self.sent) = (bytes, sent);
            }
            self.stream = Some(stream);
        };
        send_queue::send(pending, give_back).await;
    }

    /// Sends what is in `output`.
    pub(crate) fn poll_flush(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll_send(context, &mut BytesMut::new(), &mut 0)
    }

    /// Sends all of `output`.
    pub(crate) async fn flush(&mut self) -> io::Result<()> {
        poll_fn(|context| self.poll_flush(context)).await
    }

    /// Sends all of `output`, and then `left` bytes from the front of `source`, counting `left` down to 0.
    pub(crate) fn poll_send(
        &mut self,
        context: &mut Context<'_>,
        source: &mut BytesMut,
        left: &mut usize,
    ) -> Poll<io::Result<()>> {
        loop {
            let first = &self.output[self.sent..];
            let second = &source[..*left];
            let mut stream = Pin::new(self.stream.as_mut().expect(IN_SEND_QUEUE));
            let written = match (first.is_empty(), second.is_empty()) {
                (false, false) => {
                    let slices = [IoSlice::new(first), IoSlice::new(second)];
                    stream.poll_write_vectored(context, &slices)
                }
                (false, true) => stream.poll_write(context, first),
                (true, false) => stream.poll_write(context, second),
                (true, true) if stream.is_holding() => {
                    // Mapped to 1, because a write of 0 bytes is an error below.
                    stream.poll_drain(context).map_ok(|()| 1)
                }
                (true, true) => break,
            };
            let is_all_taken = first.is_empty() && second.is_empty();
            let Poll::Ready(written) = written else {
                ready!(self.poll_timed_out(context));
                return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
            };
            let written = written?;
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.writing.progressed();
            if is_all_taken {
                continue;
            }
            self.taken += written as u64;
            let of_first = written.min(first.len());
            self.sent += of_first;
            source.advance(written - of_first);
            *left -= written - of_first;
        }
        self.output.clear();
        self.flushed += self.sent as u64;
        self.sent = 0;
        Poll::Ready(Ok(()))
    }

    /// Sends at most `count` bytes of `file` from `offset` on. `output` must be empty. Ready with the number of bytes sent.
    pub(crate) fn poll_send_file(
        &mut self,
        context: &mut Context<'_>,
        file: BorrowedFd<'_>,
        offset: u64,
        count: usize,
    ) -> Poll<io::Result<usize>> {
        debug_assert!(self.output.is_empty(), "buffered bytes are sent first");
        let stream = self.stream.as_ref().expect(IN_SEND_QUEUE);
        let Poll::Ready(sent) = stream.poll_send_file(context, file, offset, count) else {
            ready!(self.poll_timed_out(context));
            return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
        };
        self.writing.progressed();
        let count = *sent.as_ref().unwrap_or(&0) as u64;
        self.taken += count;
        self.flushed += count;
        Poll::Ready(sent)
    }

    /// Ready when the other side has taken no bytes for too long, or the message too slowly.
    fn poll_timed_out(&mut self, context: &mut Context<'_>) -> Poll<()> {
        let earned = |rate| self.stalled + Duration::from_secs(self.taken / rate);
        let total = self.least_rate.map_or(Duration::MAX, earned);
        self.writing.poll_spent(context, total, self.stalled)
    }

    /// The position of the next byte of `output` in everything that was ever written to this connection.
    pub(crate) fn position(&self) -> u64 {
        self.flushed + self.output.len() as u64
    }

    /// Whether any byte from this position on has been sent.
    pub(crate) fn has_sent(&self, position: u64) -> bool {
        self.flushed + self.sent as u64 > position
    }

    /// Removes from `output` everything from this position on, if none of it has been sent. Returns whether it could.
    pub(crate) fn take_back(&mut self, position: u64) -> bool {
        let is_here = !self.has_sent(position);
        if is_here {
            let start = usize::try_from(position - self.flushed);
            self.output.truncate(start.unwrap_or(usize::MAX));
        }
        is_here
    }

    /// How many bytes of `output` have not been sent.
    pub(crate) fn unsent(&self) -> usize {
        self.output.len() - self.sent
    }

    /// Releases the memory that a large body needed, before a wait that may be long.
    pub(crate) fn release_memory(&mut self) {
        self.output.shrink_to(LEAST_ROOM);
        self.stream().release_memory();
        if self.room > LEAST_ROOM && self.input.is_empty() {
            self.input = BytesMut::new();
            self.room = LEAST_ROOM;
        }
    }

    /// Reads from an idle connection. Returns true if it is still usable: the other side has neither closed it nor sent
    /// anything.
    ///
    /// Makes no system call unless the kernel has notified the runtime of an event on the connection.
    pub(crate) fn poll_read_while_idle(&mut self, context: &mut Context<'_>) -> bool {
        self.input.is_empty() && self.poll_read(context).is_pending()
    }

    /// Whether an idle connection is still usable, according to the kernel. Unlike
    /// [`poll_read_while_idle`](Self::poll_read_while_idle) this sees events of which the runtime has not been notified yet, and
    /// costs a system call.
    pub(crate) fn is_idle_now(&self) -> bool {
        self.stream.as_ref().expect(IN_SEND_QUEUE).is_quiet()
    }

    /// Returns the bare stream. Reads from it return `taken` first, and then the rest of `input`.
    pub(crate) fn into_stream(self, taken: &[u8]) -> Stream {
        let ahead = [taken, &self.input].concat();
        let stream = self.stream.expect(IN_SEND_QUEUE);
        stream.with_ahead(ahead.into())
    }

    /// Returns the bare stream of an idle connection, which takes as little memory as possible.
    pub(crate) fn into_parked(self) -> Box<Stream> {
        let mut stream = self.stream.expect(IN_SEND_QUEUE);
        if !stream.is_holding() {
            stream.put_back(Sealed::default());
        }
        stream
    }

    /// The bare stream, for bytes that are not HTTP messages.
    pub(crate) fn stream(&mut self) -> &mut Stream {
        self.stream.as_mut().expect(IN_SEND_QUEUE)
    }
}

/// The error for bytes that are not a valid HTTP message.
pub(crate) fn invalid(violation: Violation) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, violation)
}

/// `send_together` borrows the connection until the stream is back, so no other method sees it missing.
const IN_SEND_QUEUE: &str = "the stream is elsewhere only while it is in the send queue";

/// In bytes. Heads and small bodies fit, so most connections never need more.
const LEAST_ROOM: usize = 8 * 1024;

/// In bytes. Larger reads save hardly any time.
const MOST_ROOM: usize = 64 * 1024;

#[cfg(test)]
mod tests;
