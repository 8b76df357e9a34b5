//! Disk I/O on blocking threads.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::task::spawn_blocking;
use tokio::time::timeout;

use super::error::FolderError;
use crate::downstream::Downstream;

/// The blocking threads of one folder. A network file system that hangs blocks only these.
#[derive(Clone, Debug)]
pub(super) struct BlockingThreads {
    slots: Arc<Semaphore>,
    time_limit: Duration,
}

impl BlockingThreads {
    pub(super) fn new(time_limit: Duration) -> Self {
        Self {
            slots: Arc::new(Semaphore::new(MOST_THREADS)),
            time_limit,
        }
    }

    /// Runs `work` on a blocking thread, unless the client hangs up meanwhile.
    ///
    /// # Errors
    /// When the client has hung up, or the work takes too long.
    pub(super) async fn run<T: Send + 'static>(
        &self,
        client: &mut impl Downstream,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, FolderError> {
        let working = Box::pin(self.in_time(work));
        let done = client.unless_gone(working).await;
        done.ok_or(FolderError::ClientGone)?
    }

    /// Runs `work` on a blocking thread.
    ///
    /// # Errors
    /// When the work takes too long.
    async fn in_time<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, FolderError> {
        let working = async {
            let slot = Arc::clone(&self.slots).acquire_owned().await;
            let work = move || {
                // Released when the work is done, even if no task waits for it any more.
                let _slot = slot;
                work()
            };
            spawn_blocking(work).await
        };
        let done = timeout(self.time_limit, working).await;
        let done = done.map_err(|_| FolderError::TimedOut(self.time_limit))?;
        done.map_err(|error| FolderError::Broken(std::io::Error::other(error)))
    }
}

/// Threads for each folder and runtime. More would only make the disk's queue longer.
const MOST_THREADS: usize = 16;

#[cfg(test)]
mod tests {
    use std::sync::{Mutex, mpsc};

    use super::*;

    /// A test has no disk that hangs, so threads wait as they would for one.
    #[tokio::test]
    async fn hanging_disk_blocks_its_threads_and_no_request_beyond_the_limit() {
        let blocking = BlockingThreads::new(Duration::from_millis(20));
        let (disk, answers) = mpsc::channel::<()>();
        let answers = Arc::new(Mutex::new(answers));
        let hung = (0..MOST_THREADS).map(|_| {
            let answers = Arc::clone(&answers);
            blocking.in_time(move || answers.lock().is_ok_and(|disk| disk.recv().is_ok()))
        });
        for waited in futures_util::future::join_all(hung).await {
            assert!(
                matches!(waited, Err(FolderError::TimedOut(_))),
                "{waited:?}"
            );
        }
        let other = blocking.in_time(|| 7).await;
        assert!(matches!(other, Err(FolderError::TimedOut(_))), "{other:?}");
        // The disk answers, and all threads are free again.
        drop(disk);
        let threads = u32::try_from(MOST_THREADS).expect("a few");
        drop(blocking.slots.acquire_many(threads).await);
        assert!(matches!(blocking.in_time(|| 7).await, Ok(7)));
    }
}
