//! The log on standard error: everything but audit lines.
//!
//! Log lines are written on the serving threads, which must never wait for a reader of standard error; so an [`Output`]
//! writes them. A panic is a log line too.

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

/// The format of log lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LogFormat {
    /// One JSON object for each line.
    Json,
    /// Text for humans.
    Text,
}

/// The running log, until [`finish`](Self::finish).
#[derive(Debug)]
pub(crate) struct Logging(Output);

impl Logging {
    /// Starts the log of the process. `directives` filter its lines, as in `RUST_LOG`.
    pub(crate) fn start(format: LogFormat, directives: &str) -> io::Result<Self> {
        let buffer = Buffer::new(Arc::clone(&LOST));
        let buffers = vec![Arc::clone(&buffer)];
        // Each line wakes the thread, so it need not wake by itself.
        let pause = |_, _| Duration::MAX;
        let output = Output::start("log", io::stderr(), buffers, pause, report)?;
        let writer = LogWriter {
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
        panic::set_hook(Box::new(log_panic));
        Ok(Self(output))
    }

    /// Writes the remaining lines and ends the log, within this time.
    pub(crate) fn finish(self, within: Duration) {
        self.0.finish(within);
    }
}

/// The number of log lines that were lost.
pub(crate) fn lost() -> u64 {
    LOST.load(Ordering::Relaxed)
}

/// The counter of lost log lines. The process has one log, so one counter is enough.
static LOST: LazyLock<Arc<AtomicU64>> = LazyLock::new(Arc::default);

/// Reports lost lines when the log can be written again.
fn report(loss: Loss) {
    if let Loss::Dropped(dropped) = loss {
        tracing::warn!(
            dropped,
            "log lines were dropped: standard error is read too slowly"
        );
    }
}

/// The writer of the logger.
#[derive(Debug)]
struct LogWriter {
    buffer: Arc<Buffer>,
    thread: Thread,
}

impl<'w> MakeWriter<'w> for LogWriter {
    type Writer = &'w LogWriter;

    fn make_writer(&'w self) -> &'w LogWriter {
        self
    }
}

impl Write for &LogWriter {
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
fn log_panic(panic: &PanicHookInfo<'_>) {
    let payload = panic.payload_as_str().unwrap_or("(no message)");
    let location = panic.location().map(ToString::to_string);
    let location = location.unwrap_or_default();
    let thread = thread::current();
    let thread = thread.name().unwrap_or("(unnamed)");
    // There is a backtrace only if RUST_BACKTRACE is set.
    let backtrace = Backtrace::capture();
    if backtrace.status() == BacktraceStatus::Captured {
        tracing::error!(thread, location, %backtrace, "panicked: {payload}");
    } else {
        tracing::error!(thread, location, "panicked: {payload}");
    }
}
