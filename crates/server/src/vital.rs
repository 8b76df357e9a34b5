//! What the process cannot do without.
//!
//! A panic while one connection is served ends that connection, and nothing else. But without a thread that accepts
//! connections, or a task that renews keys, the process would look alive while a part of it is dead. So such a part holds a
//! [`Part`]: when it panics, the process ends with an error, and whoever supervises it starts a new one.

use std::borrow::Cow;
use std::io;
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;

use thiserror::Error;

/// Why the process has to end.
#[derive(Debug, Error)]
pub(crate) enum Failure {
    /// A part of it cannot go on.
    #[error("{0} failed: {1}")]
    Failed(Cow<'static, str>, io::Error),
    /// A part of it panicked; the log has the place and the message.
    #[error("{0} panicked")]
    Panicked(Cow<'static, str>),
}

/// How parts of the process end, for the thread that started them: each worker once, the others only when they panic.
pub(crate) type Endings = Receiver<Result<(), Failure>>;

/// Starts to listen for the endings of parts.
pub(crate) fn endings() -> Endings {
    let (told, endings) = mpsc::channel();
    *listener() = Some(told);
    endings
}

/// A part that the process cannot do without, while it runs.
#[derive(Debug)]
pub(crate) struct Part {
    name: Cow<'static, str>,
}

/// Makes the caller's thread or task one that the process cannot do without, for as long as it holds this.
pub(crate) fn part(name: impl Into<Cow<'static, str>>) -> Part {
    Part { name: name.into() }
}

impl Part {
    /// Tells how the part ended.
    pub(crate) fn ended(mut self, result: io::Result<()>) {
        let name = std::mem::take(&mut self.name);
        tell(result.map_err(|error| Failure::Failed(name, error)));
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        if thread::panicking() {
            let name = std::mem::take(&mut self.name);
            tell(Err(Failure::Panicked(name)));
        }
    }
}

fn tell(ending: Result<(), Failure>) {
    if let Some(listener) = &*listener() {
        // Nobody listens any more when the process is ending anyway.
        let _ = listener.send(ending);
    }
}

/// Where endings are told. There is one for the process, as there is one panic hook.
static LISTENER: Mutex<Option<Sender<Result<(), Failure>>>> = Mutex::new(None);

fn listener() -> MutexGuard<'static, Option<Sender<Result<(), Failure>>>> {
    LISTENER.lock().unwrap_or_else(PoisonError::into_inner)
}
