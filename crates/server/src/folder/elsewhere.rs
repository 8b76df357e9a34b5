//! Work that waits for a disk, done on other threads.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::task::spawn_blocking;
use tokio::time::timeout;

use super::error::FolderError;
use crate::downstream::Downstream;

/// The threads that one folder may keep waiting for its disk. A network file system that hangs holds these, and no others.
#[derive(Clone, Debug)]
pub(super) struct Elsewhere {
    slots: Arc<Semaphore>,
    patience: Duration,
}

impl Elsewhere {
    pub(super) fn new(patience: Duration) -> Self {
        Self {
            slots: Arc::new(Semaphore::new(MOST_THREADS)),
            patience,
        }
    }

    /// Runs this on another thread, unless the client hangs up meanwhile.
    ///
    /// # Errors
    /// When the client has hung up, or it takes too long.
    pub(super) async fn run<T: Send + 'static>(
        &self,
        client: &mut impl Downstream,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, FolderError> {
        let working = async {
            let slot = Arc::clone(&self.slots).acquire_owned().await;
            let work = move || {
                // Given back when the work is done, also when nobody waits for it any more.
                let _slot = slot;
                work()
            };
            spawn_blocking(work).await
        };
        let working = Box::pin(timeout(self.patience, working));
        let done = client.unless_gone(working).await;
        let done = done.ok_or(FolderError::ClientGone)?;
        let done = done.map_err(|_| FolderError::TimedOut(self.patience))?;
        done.map_err(|error| FolderError::Broken(std::io::Error::other(error)))
    }
}

/// For each folder and runtime. A disk has its own queue; more threads only make it longer.
const MOST_THREADS: usize = 16;
