//! One line per decision, written when its exchange ends; of one that may last for hours another one when it begins.
//!
//! A line is formatted into a buffer of the runtime that made the decision; an [`Output`] carries full buffers to
//! standard output. So no request waits for a slow reader, no lock is contended, and no system call is made per
//! line. A buffer is bounded: what does not fit is counted and reported, never dropped in silence.

mod entry;
mod json;
mod text;

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

pub(crate) use self::entry::Entry;
use crate::clock;
use crate::config::LogFormat;
use crate::metrics::Metrics;
use crate::output::{Buffer, Loss, Output};
use crate::refusals::{RecentRefusals, Remembered};
use crate::revocations::RevocationChange;

/// Where one runtime writes its lines.
#[derive(Clone, Debug)]
pub(crate) struct Audit {
    buffer: Arc<Buffer>,
    /// `None` for no lines at all.
    format: Option<LogFormat>,
    /// Those of all runtimes.
    refusals: Arc<RecentRefusals>,
    terms: AuditTerms,
}

/// What is told to those who write lines, and by whom lines are written that no runtime writes.
#[derive(Clone, Debug, Default)]
pub(crate) struct AuditTerms {
    /// Whether lines name sessions, by their ids.
    pub(crate) names_sessions: Arc<AtomicBool>,
    /// Where the process writes, once lines are written.
    pub(crate) of_process: Arc<OnceLock<Audit>>,
}

impl Audit {
    /// Lines that nobody reads.
    #[cfg(test)]
    pub(crate) fn unread() -> Self {
        Self {
            buffer: Buffer::new(Arc::default()),
            format: Some(LogFormat::Json),
            refusals: Arc::default(),
            terms: AuditTerms::default(),
        }
    }

    /// What was written.
    #[cfg(test)]
    pub(crate) fn written(&self) -> String {
        String::from_utf8(self.buffer.text()).unwrap()
    }

    /// Keeps a refusal in memory for a while, whether or not lines are written.
    pub(crate) fn remember(&self, refusal: Remembered) {
        self.refusals.remember(refusal);
    }

    /// Whether lines name sessions, by their ids.
    pub(crate) fn names_sessions(&self) -> bool {
        self.terms.names_sessions.load(Ordering::Relaxed)
    }

    /// Writes a line about a revocation.
    pub(crate) fn revoked(&self, change: &RevocationChange) {
        if let Some(format) = self.format {
            let now = clock::now();
            self.buffer.add(|text| change.write(text, now, format));
        }
    }

    /// Writes a line, or counts it when the buffer is full.
    pub(crate) fn record(&self, entry: &Entry<'_>) {
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

/// Shows every entry to somebody beside the log, from now on. There can be one watcher in a process: the demo, which tells of its
/// last refusal.
pub(crate) fn watch(watcher: impl Fn(&Entry<'_>) + Send + Sync + 'static) {
    // A second one is never set.
    let _ = WATCHER.set(Box::new(watcher));
}

type Watcher = dyn Fn(&Entry<'_>) + Send + Sync;

static WATCHER: OnceLock<Box<Watcher>> = OnceLock::new();

/// Starts the thread that carries lines to standard output, with one buffer for each of so many runtimes and one for the
/// process. Without a format nothing is written. What is refused goes into `refusals` too.
pub(crate) fn start(
    runtimes: usize,
    format: Option<LogFormat>,
    metrics: &Metrics,
    refusals: &Arc<RecentRefusals>,
    terms: &AuditTerms,
) -> io::Result<(Output, Vec<Audit>)> {
    let mut audits: Vec<Audit> = (0..=runtimes)
        .map(|_| Audit {
            buffer: Buffer::new(metrics.audit_lost()),
            format,
            refusals: Arc::clone(refusals),
            terms: terms.clone(),
        })
        .collect();
    let buffers = audits
        .iter()
        .map(|audit| Arc::clone(&audit.buffer))
        .collect();
    if let Some(last) = audits.pop() {
        // Lines are started once.
        let _ = terms.of_process.set(last);
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
            tracing::error!(%error, "audit lines cannot be written, and are lost until they can");
        }
    }
}

/// How long to wait for the next lines, after a pause in which the fullest buffer collected so many bytes: as long as one is
/// likely to collect what stays in its core's cache. Otherwise the log of a busy gate pushes everybody else's data out
/// of it, and its buffers take new memory each time.
fn next_pause(last: Duration, fullest: usize) -> Duration {
    let fullest = u32::try_from(fullest.max(1)).unwrap_or(u32::MAX);
    let next = last.saturating_mul(CACHED_BUFFER) / fullest;
    next.clamp(SHORTEST_PAUSE, LONGEST_PAUSE)
}

/// How often lines are carried out. A reader sees them this much later at most.
const LONGEST_PAUSE: Duration = Duration::from_millis(20);
const SHORTEST_PAUSE: Duration = Duration::from_millis(1);

/// In bytes, of a buffer when it is carried out.
const CACHED_BUFFER: u32 = 32 << 10;

#[cfg(test)]
mod tests;
