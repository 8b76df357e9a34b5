//! One side's connection: what came and is not used yet, what is to go out, and how long each may take.

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
/// Reading fills `input` as far as there is room; whoever understands the bytes takes them from its front. Writing is put
/// into `output` and leaves with [`poll_send`](Self::poll_send), so that what belongs together leaves in one system call.
#[derive(Debug)]
pub(crate) struct Connection {
    /// Elsewhere only while [`send_together`](Self::send_together) waits.
    stream: Option<Box<Stream>>,
    /// What came and nobody has taken yet.
    pub(crate) input: BytesMut,
    /// What is to go out.
    pub(crate) output: Vec<u8>,
    /// So much of `output` has gone out.
    sent: usize,
    /// So much of what was in `output` before has.
    flushed: u64,
    /// How much room the next read gets.
    room: usize,
    reading: WaitTimer,
    /// Whether the other side is not waited for at present, so that its clock stands.
    suspended: bool,
    budget: TimeBudget,
    received: u64,
    writing: WaitTimer,
    /// How long the other side may take nothing of what is to go out.
    stalled: Duration,
    /// For so many bytes of a message that it took, it may take one second more for all of it. `None`: as long as it likes.
    least_rate: Option<NonZeroU64>,
    /// So many bytes of the message it took.
    taken: u64,
}

impl Connection {
    /// `budget` is for the first bytes, `stalled` for every write.
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

    /// The same, whose other side takes so many bytes a second of a message, beyond the time that it may take nothing.
    pub(crate) fn taking_at_least(self, rate: Option<NonZeroU64>) -> Self {
        Self {
            least_rate: rate,
            ..self
        }
    }

    /// Begins a message to the other side: it has taken nothing of it, and has not been waited for.
    pub(crate) fn begin_message(&mut self) {
        self.taken = 0;
        self.writing.renew();
    }

    /// Starts a new phase: nothing has been waited so far.
    pub(crate) fn set_read_budget(&mut self, budget: TimeBudget) {
        self.budget = budget;
        self.received = 0;
        self.reading.renew();
    }

    /// Notes that the other side need not have sent anything so far.
    pub(crate) fn restart_read_timer(&mut self) {
        self.reading.renew();
    }

    /// Stops the clock of the other side, or starts it anew: it runs only while that side is waited for, and not while it waits
    /// itself for somebody else.
    pub(crate) fn suspend_timer(&mut self, suspended: bool) {
        self.suspended = suspended;
        if suspended {
            self.reading.renew();
        }
    }

    /// Whether the clock of the other side stands.
    pub(crate) fn is_timer_suspended(&self) -> bool {
        self.suspended
    }

    /// Reads what there is; ready with 0 once the other side has sent everything.
    ///
    /// # Errors
    ///
    /// When reading fails, or nothing has come for longer than allowed.
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

    /// The same, for as long as it takes.
    pub(crate) fn poll_read(&mut self, context: &mut Context<'_>) -> Poll<io::Result<usize>> {
        if self.input.capacity() - self.input.len() < LEAST_ROOM / 2 {
            self.input.reserve(self.room);
        }
        let room = self.input.capacity() - self.input.len();
        let stream = self.stream.as_mut().expect(AT_HAND);
        let read = poll_read_buf(Pin::new(stream), context, &mut self.input);
        if let Poll::Ready(Ok(count)) = read {
            self.received += count as u64;
            // More is waiting, most likely: large bodies take fewer, larger reads.
            if count == room {
                self.room = MOST_ROOM.min(self.room * 2);
            }
        }
        read
    }

    /// Sends of what is in `output` as much as goes out at once, when every other task has had its turn, and together with
    /// what they have to send. The rest, and errors, are for [`poll_send`](Self::poll_send).
    pub(crate) async fn send_together(&mut self) {
        let mut stream = self.stream.take().expect(AT_HAND);
        // With TLS the encrypted bytes are what is sent together with others', and they cannot be taken back.
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

    /// The same, and waits until it is sent.
    pub(crate) async fn flush(&mut self) -> io::Result<()> {
        poll_fn(|context| self.poll_flush(context)).await
    }

    /// Sends what is in `output`, and then so many bytes from the front of `source`; counts `left` down to 0.
    pub(crate) fn poll_send(
        &mut self,
        context: &mut Context<'_>,
        source: &mut BytesMut,
        left: &mut usize,
    ) -> Poll<io::Result<()>> {
        loop {
            let first = &self.output[self.sent..];
            let second = &source[..*left];
            let mut stream = Pin::new(self.stream.as_mut().expect(AT_HAND));
            let written = match (first.is_empty(), second.is_empty()) {
                (false, false) => {
                    let slices = [IoSlice::new(first), IoSlice::new(second)];
                    stream.poll_write_vectored(context, &slices)
                }
                (false, true) => stream.poll_write(context, first),
                (true, false) => stream.poll_write(context, second),
                (true, true) if stream.is_holding() => {
                    // As good as a byte: something has gone out.
                    stream.poll_drain(context).map_ok(|()| 1)
                }
                (true, true) => break,
            };
            let is_all_taken = first.is_empty() && second.is_empty();
            let Poll::Ready(written) = written else {
                ready!(self.poll_too_slow(context));
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

    /// Sends bytes of a file from this offset on, at most so many, when `output` is sent. Ready with how many went.
    pub(crate) fn poll_send_file(
        &mut self,
        context: &mut Context<'_>,
        file: BorrowedFd<'_>,
        offset: u64,
        count: usize,
    ) -> Poll<io::Result<usize>> {
        debug_assert!(self.output.is_empty(), "what was put there leaves first");
        let stream = self.stream.as_ref().expect(AT_HAND);
        let Poll::Ready(sent) = stream.poll_send_file(context, file, offset, count) else {
            ready!(self.poll_too_slow(context));
            return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
        };
        self.writing.progressed();
        let count = *sent.as_ref().unwrap_or(&0) as u64;
        self.taken += count;
        self.flushed += count;
        Poll::Ready(sent)
    }

    /// Ready when the other side has taken nothing for too long, or too little in all.
    fn poll_too_slow(&mut self, context: &mut Context<'_>) -> Poll<()> {
        let earned = |rate| self.stalled + Duration::from_secs(self.taken / rate);
        let total = self.least_rate.map_or(Duration::MAX, earned);
        self.writing.poll_spent(context, total, self.stalled)
    }

    /// Where what is put into `output` next will stand in all that was ever put there.
    pub(crate) fn position(&self) -> u64 {
        self.flushed + self.output.len() as u64
    }

    /// Whether anything has gone out of what was put into `output` from this position on.
    pub(crate) fn has_sent(&self, position: u64) -> bool {
        self.flushed + self.sent as u64 > position
    }

    /// Takes out of `output` what was put there from this position on, if nothing of it has gone out.
    pub(crate) fn take_back(&mut self, position: u64) -> bool {
        let is_here = !self.has_sent(position);
        if is_here {
            let start = usize::try_from(position - self.flushed);
            self.output.truncate(start.unwrap_or(usize::MAX));
        }
        is_here
    }

    /// How many bytes of `output` have not gone out.
    pub(crate) fn unsent(&self) -> usize {
        self.output.len() - self.sent
    }

    /// Gives back the memory that a large body took, before a wait that may be long.
    pub(crate) fn release_memory(&mut self) {
        self.output.shrink_to(LEAST_ROOM);
        self.stream().release_memory();
        if self.room > LEAST_ROOM && self.input.is_empty() {
            self.input = BytesMut::new();
            self.room = LEAST_ROOM;
        }
    }

    /// Whether an idle connection is still one: the other side has neither closed it nor said anything unasked.
    ///
    /// Costs no system call, because the kernel has told the runtime when something happened.
    pub(crate) fn poll_read_while_idle(&mut self, context: &mut Context<'_>) -> bool {
        self.input.is_empty() && self.poll_read(context).is_pending()
    }

    /// The same, looked up in the kernel: also what happened since the runtime last asked it.
    pub(crate) fn is_idle_now(&self) -> bool {
        self.stream.as_ref().expect(AT_HAND).is_quiet()
    }

    /// The bare connection, on which these bytes are to be read again, and then what nobody has taken yet.
    pub(crate) fn into_stream(self, taken: &[u8]) -> Stream {
        let ahead = [taken, &self.input].concat();
        let stream = self.stream.expect(AT_HAND);
        stream.with_ahead(ahead.into())
    }

    /// The bare connection, on which nothing is waited to be read or sent, and which holds as little memory as it can.
    pub(crate) fn into_parked(self) -> Box<Stream> {
        let mut stream = self.stream.expect(AT_HAND);
        if !stream.is_holding() {
            stream.put_back(Sealed::default());
        }
        stream
    }

    /// The bare connection, once it carries something else than messages.
    pub(crate) fn stream(&mut self) -> &mut Stream {
        self.stream.as_mut().expect(AT_HAND)
    }
}

/// The error of a connection whose bytes are no message.
pub(crate) fn invalid(violation: Violation) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, violation)
}

/// Sending borrows the connection until the stream is back, so nobody sees it without.
const AT_HAND: &str = "the stream is elsewhere only while it is in the send queue";

/// In bytes. Heads and small bodies fit, so that most connections never hold more.
const LEAST_ROOM: usize = 8 * 1024;

/// In bytes. A larger read saves hardly any time.
const MOST_ROOM: usize = 64 * 1024;

#[cfg(test)]
mod tests;
