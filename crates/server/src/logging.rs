//! The log on standard error: everything that is no audit line.
//!
//! Log lines are made on the threads that serve, so none of these may ever wait for a reader of standard error: an
//! [`Output`] carries them there. A panic is a line of the log too.

use std::backtrace::{Backtrace, BacktraceStatus};
use std::io::{self, IsTerminal, Write};
use std::panic::{self, PanicHookInfo};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LazyLock};
use std::thread::{self, Thread};
use std::time::Duration;

use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::MakeWriter;

use crate::output::{Buffer, Loss, Output};

/// How log lines look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LogFormat {
    /// One JSON object a line.
    Json,
    /// For people.
    Text,
}

/// The log at work, until [`finish`](Self::finish).
#[derive(Debug)]
pub(crate) struct Logging(Output);

impl Logging {
    /// Starts it for the whole process. `directives` say which lines are wanted, as in `RUST_LOG`.
    pub(crate) fn start(format: LogFormat, directives: &str) -> io::Result<Self> {
        let buffer = Buffer::new(Arc::clone(&LOST));
        let buffers = vec![Arc::clone(&buffer)];
        // Somebody wakes it for each line.
        let pause = |_, _| Duration::MAX;
        let output = Output::start("log", io::stderr(), buffers, pause, report)?;
        let writer = Writer {
            buffer,
            thread: output.waker(),
        };
        let filter = EnvFilter::try_new(directives).unwrap_or_else(|_| EnvFilter::new("info"));
        let logger = tracing_subscriber::fmt()
            .with_env_filter(filter)
            .with_writer(writer);
        match format {
            LogFormat::Json => logger
                .json()
                .flatten_event(true)
                .with_current_span(false)
                .with_span_list(false)
                .init(),
            LogFormat::Text => logger
                .with_target(false)
                .with_ansi(io::stderr().is_terminal())
                .init(),
        }
        panic::set_hook(Box::new(panicked));
        Ok(Self(output))
    }

    /// Writes what is left, if that takes no longer than this.
    pub(crate) fn finish(self, within: Duration) {
        self.0.finish(within);
    }
}

/// How many lines of the log nobody will read.
pub(crate) fn lost() -> u64 {
    LOST.load(Ordering::Relaxed)
}

/// There is one log for the process, and one number for it.
static LOST: LazyLock<Arc<AtomicU64>> = LazyLock::new(Arc::default);

/// Says what was lost, when the log flows again. When it cannot be written at all there is nobody to tell.
fn report(loss: Loss) {
    if let Loss::Dropped(dropped) = loss {
        tracing::warn!(
            dropped,
            "log lines were dropped: standard error is read too slowly"
        );
    }
}

/// Where the logger writes its lines.
#[derive(Debug)]
struct Writer {
    buffer: Arc<Buffer>,
    thread: Thread,
}

impl<'w> MakeWriter<'w> for Writer {
    type Writer = &'w Writer;

    fn make_writer(&'w self) -> &'w Writer {
        self
    }
}

impl Write for &Writer {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        if self.buffer.add(|text| text.extend_from_slice(line)) {
            self.thread.unpark();
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Logs a panic, which would otherwise be written by the thread that panics.
fn panicked(panic: &PanicHookInfo<'_>) {
    let payload = panic.payload_as_str().unwrap_or("(no message)");
    let location = panic.location().map(ToString::to_string);
    let location = location.unwrap_or_default();
    let thread = thread::current();
    let thread = thread.name().unwrap_or("(unnamed)");
    // There is one only where RUST_BACKTRACE asks for it.
    let backtrace = Backtrace::capture();
    if backtrace.status() == BacktraceStatus::Captured {
        tracing::error!(thread, location, %backtrace, "panicked: {payload}");
    } else {
        tracing::error!(thread, location, "panicked: {payload}");
    }
}
