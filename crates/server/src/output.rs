//! Buffered output to a standard stream.
//!
//! Lines go into buffers, which a separate thread writes. So nothing waits for a slow or stalled reader: a buffer is
//! bounded, and lines that do not fit are counted. A reader that is gone does not end the process either.

use std::fs::File;
use std::io::{self, Write};
use std::mem;
use std::os::fd::AsFd;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{self, Receiver};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, Thread};
use std::time::Duration;

use crate::vital;

/// A buffer of lines.
#[derive(Debug)]
pub(crate) struct Buffer {
    lines: Mutex<Lines>,
    /// How many lines were lost, in all buffers that share this counter.
    lost: Arc<AtomicU64>,
}

#[derive(Debug, Default)]
struct Lines {
    text: Vec<u8>,
    dropped: u64,
}

impl Buffer {
    /// An empty buffer with this counter of lost lines.
    pub(crate) fn new(lost: Arc<AtomicU64>) -> Arc<Self> {
        let lines = Mutex::default();
        Arc::new(Self { lines, lost })
    }

    /// Lets `write` add a line. If the buffer is full, counts the line as lost and returns false.
    pub(crate) fn add(&self, write: impl FnOnce(&mut Vec<u8>)) -> bool {
        let mut lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        let has_room = lines.text.len() <= FULL_BUFFER;
        if has_room {
            write(&mut lines.text);
        } else {
            lines.dropped += 1;
            self.lost.fetch_add(1, Ordering::Relaxed);
        }
        has_room
    }

    /// The buffer's content.
    #[cfg(test)]
    pub(crate) fn text(&self) -> Vec<u8> {
        self.lines.lock().unwrap().text.clone()
    }
}

/// Why lines were lost. Their number is added to the counter that was passed to [`Buffer::new`].
#[derive(Debug)]
pub(crate) enum Loss {
    /// This many lines did not fit into the buffer, because the reader is too slow.
    Dropped(u64),
    /// Writing to the stream fails. After this report, there is no other until a write has succeeded.
    Unwritable(io::Error),
}

/// The thread that writes lines to a standard stream.
#[derive(Debug)]
pub(crate) struct Output {
    stops: Arc<AtomicBool>,
    thread: Thread,
    ended: Receiver<()>,
}

impl Output {
    /// Starts a thread with this name, which writes `buffers` to `stream` again and again. Between two rounds it waits for the
    /// time that `pause` returns, given the last pause and the number of bytes in the fullest buffer, or until it is
    /// [woken](Self::waker). It calls `lost` for lost lines.
    pub(crate) fn start(
        name: &'static str,
        stream: impl AsFd,
        buffers: Vec<Arc<Buffer>>,
        pause: fn(Duration, usize) -> Duration,
        lost: impl FnMut(Loss) + Send + 'static,
    ) -> io::Result<Self> {
        let stops = Arc::new(AtomicBool::new(false));
        let (end, ended) = mpsc::channel();
        let mut writer = BufferWriter {
            stream: File::from(stream.as_fd().try_clone_to_owned()?),
            spare: Vec::new(),
            is_failing: false,
            lost,
        };
        let stop = Arc::clone(&stops);
        let thread = thread::Builder::new()
            .name(name.to_owned())
            .spawn(move || {
                // Dropped when the thread ends, however that happens.
                let (_end, _part) = (end, vital::part(name));
                let mut last = Duration::ZERO;
                loop {
                    let is_last = stop.load(Ordering::Acquire);
                    last = pause(last, writer.write_all_buffers(&buffers));
                    if is_last {
                        return;
                    }
                    thread::park_timeout(last);
                }
            })?;
        let thread = thread.thread().clone();
        Ok(Self {
            stops,
            thread,
            ended,
        })
    }

    /// The thread, which writes the buffers at once when it is unparked.
    pub(crate) fn waker(&self) -> Thread {
        self.thread.clone()
    }

    /// Writes the remaining lines and ends the thread, within this time. If the reader is stalled, the lines are lost.
    pub(crate) fn finish(self, within: Duration) {
        self.stops.store(true, Ordering::Release);
        self.thread.unpark();
        // Nothing is ever sent: this returns when the thread ends, or after the time limit.
        let _ = self.ended.recv_timeout(within);
    }
}

/// Prints the output of a command. It is not an error if the reader has gone, as `head` does.
///
/// # Errors
/// If the output cannot be written although the reader is there.
pub(crate) fn print(text: &str) -> io::Result<()> {
    let mut stream = io::stdout().lock();
    match stream
        .write_all(text.as_bytes())
        .and_then(|()| stream.flush())
    {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        written => written,
    }
}

/// Prints a message on standard error. Errors are ignored.
pub(crate) fn print_error(text: &str) {
    let _ = io::stderr().lock().write_all(text.as_bytes());
}

/// Writes directly to a standard stream, for at most this long.
pub(crate) fn write_within(
    mut stream: impl Write + Send + 'static,
    text: String,
    within: Duration,
) {
    let (end, ended) = mpsc::channel::<()>();
    let writing = thread::Builder::new().spawn(move || {
        let _end = end;
        // An error cannot be reported anywhere.
        let _ = stream.write_all(text.as_bytes());
    });
    if writing.is_ok() {
        let _ = ended.recv_timeout(within);
    }
}

/// Writes buffers. It swaps each for an empty one first, so that nothing waits for the write.
struct BufferWriter<L> {
    stream: File,
    spare: Vec<u8>,
    /// Whether the last write failed, so that a failure is reported once.
    is_failing: bool,
    lost: L,
}

impl<L: FnMut(Loss)> BufferWriter<L> {
    /// Writes all buffers, and returns how many bytes the fullest one held.
    fn write_all_buffers(&mut self, buffers: &[Arc<Buffer>]) -> usize {
        let mut fullest = 0;
        for buffer in buffers {
            let dropped = {
                let mut lines = buffer.lines.lock().unwrap_or_else(PoisonError::into_inner);
                mem::swap(&mut lines.text, &mut self.spare);
                mem::take(&mut lines.dropped)
            };
            fullest = fullest.max(self.spare.len());
            let unwritten = self.write();
            buffer.lost.fetch_add(unwritten, Ordering::Relaxed);
            if dropped > 0 {
                (self.lost)(Loss::Dropped(dropped));
            }
            self.spare.clear();
            self.spare.shrink_to(KEPT_CAPACITY);
        }
        fullest
    }

    /// Writes the lines, and returns how many could not be written.
    fn write(&mut self) -> u64 {
        let mut left = &self.spare[..];
        while !left.is_empty() {
            let now = match IS_SHARED.load(Ordering::Relaxed) {
                true => atomic_prefix(left),
                false => left,
            };
            let error = match self.stream.write(now) {
                Ok(0) => io::ErrorKind::WriteZero.into(),
                Ok(written) => {
                    self.is_failing = false;
                    left = &left[written..];
                    continue;
                }
                Err(error) => error,
            };
            if error.kind() == io::ErrorKind::Interrupted {
                continue;
            }
            // A process that shares the stream, such as a shell or Node, has made it non-blocking.
            if error.kind() == io::ErrorKind::WouldBlock {
                thread::sleep(RETRY_INTERVAL);
                continue;
            }
            if !mem::replace(&mut self.is_failing, true) {
                (self.lost)(Loss::Unwritable(error));
            }
            return memchr::memchr_iter(b'\n', left).count() as u64;
        }
        0
    }
}

/// Notes that another process writes to the same standard streams from now on. Lines are then written in pieces that the
/// kernel does not interleave.
pub(crate) fn share() {
    IS_SHARED.store(true, Ordering::Relaxed);
}

static IS_SHARED: AtomicBool = AtomicBool::new(false);

/// As many whole lines as a pipe takes atomically (`PIPE_BUF`), but at least one.
fn atomic_prefix(lines: &[u8]) -> &[u8] {
    let Some(most) = lines.get(..libc::PIPE_BUF) else {
        return lines;
    };
    let end = memchr::memrchr(b'\n', most).or_else(|| memchr::memchr(b'\n', lines));
    end.map_or(lines, |end| &lines[..=end])
}

/// The size in bytes from which a buffer is full: some 5,000 audit lines, a quarter of a second at the highest rate that one core
/// can decide.
pub(crate) const FULL_BUFFER: usize = 2 << 20;

/// The capacity in bytes that a buffer keeps after it was written.
const KEPT_CAPACITY: usize = 64 << 10;

const RETRY_INTERVAL: Duration = Duration::from_millis(10);

#[cfg(test)]
mod tests {
    use std::io::{PipeReader, Read, pipe};
    use std::os::unix::net::UnixStream;

    use super::*;

    /// An output to a pipe, with its reader, its only buffer, and a receiver of its losses.
    fn started() -> (PipeReader, Arc<Buffer>, Output, Receiver<Loss>) {
        let (reader, writer) = pipe().unwrap();
        let buffer = Buffer::new(Arc::default());
        let (loss, lost) = mpsc::channel();
        let tell = move |what| drop(loss.send(what));
        let forever = |_, _| Duration::MAX;
        let output =
            Output::start("test", &writer, vec![Arc::clone(&buffer)], forever, tell).unwrap();
        (reader, buffer, output, lost)
    }

    fn add_line(buffer: &Buffer, text: &[u8]) -> bool {
        buffer.add(|out| out.extend_from_slice(text))
    }

    #[test]
    fn finish_writes_all_buffered_lines() {
        let (mut reader, buffer, output, _lost) = started();
        add_line(&buffer, b"one\n");
        output.waker().unpark();
        let mut got = [0; 4];
        reader.read_exact(&mut got).unwrap();
        add_line(&buffer, b"two\n");
        output.finish(Duration::MAX);
        let mut rest = String::new();
        reader.read_to_string(&mut rest).unwrap();
        assert_eq!((&got, &*rest), (b"one\n", "two\n"));
    }

    #[test]
    fn stalled_reader_blocks_no_writer() {
        let (mut reader, buffer, output, lost) = started();
        let megabyte = [vec![b'x'; (1 << 20) - 1], vec![b'\n']].concat();
        let mut added = 0;
        while add_line(&buffer, &megabyte) {
            added += 1;
        }
        assert!(!add_line(&buffer, b"one more\n"));
        output.waker().unpark();
        output.finish(Duration::ZERO);
        // When the reader continues, it gets everything that was buffered, and the loss is reported.
        let mut all = Vec::new();
        reader.read_to_end(&mut all).unwrap();
        assert_eq!(all.len(), added << 20);
        assert!(matches!(lost.recv(), Ok(Loss::Dropped(2))));
        assert_eq!(buffer.lost.load(Ordering::Relaxed), 2);
    }

    #[test]
    fn closed_reader_is_reported_once() {
        let (reader, buffer, output, lost) = started();
        drop(reader);
        add_line(&buffer, b"one\ntwo\n");
        output.waker().unpark();
        assert!(matches!(lost.recv(), Ok(Loss::Unwritable(_))));
        add_line(&buffer, b"three\n");
        output.finish(Duration::MAX);
        assert!(lost.recv().is_err());
        assert_eq!(buffer.lost.load(Ordering::Relaxed), 3);
    }

    #[test]
    fn lines_on_a_shared_stream_are_written_whole() {
        let long = [vec![b'x'; 3 * libc::PIPE_BUF], vec![b'\n']].concat();
        let short = b"0123456789\n".repeat(libc::PIPE_BUF);
        let all = [&short[..], &long, b"last\n"].concat();
        let (mut left, mut pieces) = (&all[..], 0);
        while !left.is_empty() {
            let piece = atomic_prefix(left);
            assert!(piece.ends_with(b"\n"));
            assert!(piece.len() <= libc::PIPE_BUF || piece == &long[..]);
            left = &left[piece.len()..];
            pieces += 1;
        }
        assert!(pieces <= 2 + 12, "{pieces}");
    }

    #[test]
    fn non_blocking_stream_loses_no_lines() {
        let (ours, mut theirs) = UnixStream::pair().unwrap();
        ours.set_nonblocking(true).unwrap();
        let buffer = Buffer::new(Arc::default());
        let buffers = vec![Arc::clone(&buffer)];
        add_line(&buffer, &vec![b'\n'; 1 << 20]);
        let output = Output::start("test", &ours, buffers, |_, _| Duration::MAX, drop).unwrap();
        let mut all = vec![0; 1 << 20];
        theirs.read_exact(&mut all).unwrap();
        output.finish(Duration::MAX);
        assert_eq!(buffer.lost.load(Ordering::Relaxed), 0);
    }
}
