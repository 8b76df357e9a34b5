//! The audit log: one line for each decision, written when its exchange ends. An exchange that may last for hours has
//! another line when it begins.
//!
//! A line is formatted into the buffer of its runtime, and an [`Output`] writes the buffers to standard output. So no
//! request waits for a slow reader, a buffer's lock is hardly ever contended, and there is no system call for each line. Buffers
//! are bounded: lines that do not fit are counted and reported.

mod entry;
mod json;
mod text;

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

pub(crate) use self::entry::AuditEntry;
use crate::clock;
use crate::config::LogFormat;
use crate::metrics::Metrics;
use crate::output::{Buffer, Loss, Output};
use crate::refusals::{RecentRefusal, RecentRefusals};
use crate::revocations::RevocationChange;

/// The audit log of one runtime.
#[derive(Clone, Debug)]
pub(crate) struct Audit {
    buffer: Arc<Buffer>,
    /// `None` if no lines are written.
    format: Option<LogFormat>,
    /// The recent refusals of all runtimes.
    refusals: Arc<RecentRefusals>,
    shared: SharedAuditState,
}

/// The state that the audit logs of all runtimes share.
#[derive(Clone, Debug, Default)]
pub(crate) struct SharedAuditState {
    /// Whether lines contain session ids.
    pub(crate) names_sessions: Arc<AtomicBool>,
    /// The audit log for lines about the process as a whole; empty until it is started.
    pub(crate) of_process: Arc<OnceLock<Audit>>,
}

impl Audit {
    /// An audit log without an output.
    #[cfg(test)]
    pub(crate) fn without_output() -> Self {
        Self {
            buffer: Buffer::new(Arc::default()),
            format: Some(LogFormat::Json),
            refusals: Arc::default(),
            shared: SharedAuditState::default(),
        }
    }

    /// The lines in the buffer.
    #[cfg(test)]
    pub(crate) fn written(&self) -> String {
        String::from_utf8(self.buffer.text()).unwrap()
    }

    /// Keeps a refusal in memory for a while, even if no lines are written.
    pub(crate) fn keep_refusal(&self, refusal: RecentRefusal) {
        self.refusals.keep_refusal(refusal);
    }

    /// Whether lines contain session ids.
    pub(crate) fn names_sessions(&self) -> bool {
        self.shared.names_sessions.load(Ordering::Relaxed)
    }

    /// Writes a line about a revocation.
    pub(crate) fn revoked(&self, change: &RevocationChange) {
        if let Some(format) = self.format {
            let now = clock::now();
            self.buffer.add(|text| change.write(text, now, format));
        }
    }

    /// Writes a line, or counts it when the buffer is full.
    pub(crate) fn record(&self, entry: &AuditEntry<'_>) {
        if let Some(watcher) = WATCHER.get() {
            watcher(entry);
        }
        let Some(format) = self.format else {
            return;
        };
        self.buffer.add(|line| match format {
            LogFormat::Json => json::write(line, entry),
            LogFormat::Text => text::write(line, entry),
        });
    }
}

/// Calls `watcher` with every entry from now on. There can be one watcher in a process: the demo, which shows its last
/// refusal.
pub(crate) fn watch(watcher: impl Fn(&AuditEntry<'_>) + Send + Sync + 'static) {
    // It is set only once.
    let _ = WATCHER.set(Box::new(watcher));
}

type Watcher = dyn Fn(&AuditEntry<'_>) + Send + Sync;

static WATCHER: OnceLock<Box<Watcher>> = OnceLock::new();

/// Starts the thread that writes audit lines to standard output, with a buffer for each runtime and one for the process.
/// Without a format no lines are written. Refusals go into `refusals` too.
pub(crate) fn start(
    runtimes: usize,
    format: Option<LogFormat>,
    metrics: &Metrics,
    refusals: &Arc<RecentRefusals>,
    shared: &SharedAuditState,
) -> io::Result<(Output, Vec<Audit>)> {
    let mut audits: Vec<Audit> = (0..=runtimes)
        .map(|_| Audit {
            buffer: Buffer::new(metrics.audit_lost()),
            format,
            refusals: Arc::clone(refusals),
            shared: shared.clone(),
        })
        .collect();
    let buffers = audits
        .iter()
        .map(|audit| Arc::clone(&audit.buffer))
        .collect();
    if let Some(last) = audits.pop() {
        // The audit log is started once.
        let _ = shared.of_process.set(last);
    }
    let output = Output::start("audit", io::stdout(), buffers, next_pause, report)?;
    Ok((output, audits))
}

fn report(loss: Loss) {
    match loss {
        Loss::Dropped(dropped) => tracing::error!(
            dropped,
            "audit lines were dropped: standard output is read too slowly"
        ),
        Loss::Unwritable(error) => {
            tracing::error!(%error, "audit lines cannot be written, and are lost until they can be written again");
        }
    }
}

/// Returns the next pause, after one in which the fullest buffer collected this many bytes. It is about as long as it takes to
/// collect what stays in the core's cache. Otherwise the log of a busy gate would evict other data from the cache, and its
/// buffers would take new memory each time.
fn next_pause(last: Duration, fullest: usize) -> Duration {
    let fullest = u32::try_from(fullest.max(1)).unwrap_or(u32::MAX);
    let next = last.saturating_mul(CACHED_BUFFER) / fullest;
    next.clamp(SHORTEST_PAUSE, LONGEST_PAUSE)
}

/// The bounds of the pause between writes. A reader sees a line at most this much later.
const LONGEST_PAUSE: Duration = Duration::from_millis(20);
const SHORTEST_PAUSE: Duration = Duration::from_millis(1);

/// How many bytes a buffer should contain when it is written.
const CACHED_BUFFER: u32 = 32 << 10;

#[cfg(test)]
mod tests;
