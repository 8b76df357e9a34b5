//! The parts that the process cannot work without.
//!
//! A panic in one connection ends only that connection. But without a thread that accepts connections, or a task that renews
//! keys, the process would look alive with a dead part. So such a part holds a [`VitalPart`]: when it panics, the process ends
//! with an error, and its supervisor starts a new one.

use std::borrow::Cow;
use std::io;
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;

use thiserror::Error;

/// Why the process has to end.
#[derive(Debug, Error)]
pub(crate) enum VitalFailure {
    /// A part of it cannot go on.
    #[error("{0} failed: {1}")]
    Failed(Cow<'static, str>, io::Error),
    /// A part of it panicked; the log has the place and the message.
    #[error("{0} panicked")]
    Panicked(Cow<'static, str>),
}

/// Reports of ended parts, for the main thread: one for each worker, and one for any other part that panics.
pub(crate) type PartReports = Receiver<Result<(), VitalFailure>>;

/// Starts to collect reports of ended parts.
pub(crate) fn reports() -> PartReports {
    let (sender, reports) = mpsc::channel();
    *listener() = Some(sender);
    reports
}

/// A part that the process cannot do without, while it runs.
#[derive(Debug)]
pub(crate) struct VitalPart {
    name: Cow<'static, str>,
}

/// Declares the caller's thread or task vital for as long as it holds this value.
pub(crate) fn part(name: impl Into<Cow<'static, str>>) -> VitalPart {
    VitalPart { name: name.into() }
}

impl VitalPart {
    /// Reports how the part has ended.
    pub(crate) fn ended(mut self, result: io::Result<()>) {
        let name = std::mem::take(&mut self.name);
        report(result.map_err(|error| VitalFailure::Failed(name, error)));
    }
}

impl Drop for VitalPart {
    fn drop(&mut self) {
        if thread::panicking() {
            let name = std::mem::take(&mut self.name);
            report(Err(VitalFailure::Panicked(name)));
        }
    }
}

fn report(ending: Result<(), VitalFailure>) {
    if let Some(listener) = &*listener() {
        // The receiver is gone if the process is ending already.
        let _ = listener.send(ending);
    }
}

/// The sender of reports. There is one for the process, like the panic hook.
static LISTENER: Mutex<Option<Sender<Result<(), VitalFailure>>>> = Mutex::new(None);

fn listener() -> MutexGuard<'static, Option<Sender<Result<(), VitalFailure>>>> {
    LISTENER.lock().unwrap_or_else(PoisonError::into_inner)
}
