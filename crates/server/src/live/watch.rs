//! Notices changed configuration files.
//!
//! Files are polled, once a second by default. Notifications of the kernel (inotify) do not come for files on network file
//! systems that are changed elsewhere, and they concern one directory entry: in a Kubernetes ConfigMap or Secret a symbolic link
//! in the middle of a chain (`..data`) is swapped, an editor replaces the file, and a file for an `include` pattern may not exist
//! yet. Polling follows all links, costs one system call for each file, and misses nothing.

use std::future::pending;
use std::time::Duration;

use tokio::task::spawn_blocking;
use tokio::time::sleep;

use crate::config::{FileDigests, FileMetadata, Files};

/// The last state of the files.
#[derive(Debug, Default)]
pub(super) struct Watch {
    seen: Option<FileMetadata>,
}

impl Watch {
    /// Ready when `files` differ from `contents` and are stable, so that a burst of writes counts as one change. `every` is the
    /// interval of polling; zero turns it off.
    pub(super) async fn changed(&mut self, files: &Files, contents: &FileDigests, every: Duration) {
        if every.is_zero() {
            return pending().await;
        }
        loop {
            sleep(every).await;
            let state = read_metadata(files).await;
            if state.is_none() || self.seen == state {
                continue;
            }
            self.seen = once_stable(files, state).await;
            // Usually the files were only touched. Times do not say what was in a file when it was read, so contents are
            // compared.
            let files = files.clone();
            let found = spawn_blocking(move || files.contents()).await;
            if found.is_ok_and(|found| found != *contents) {
                return;
            }
        }
    }
}

/// The state of the files once it is stable.
async fn once_stable(files: &Files, mut state: Option<FileMetadata>) -> Option<FileMetadata> {
    for _ in 0..MOST_POLLS {
        sleep(STABLE_FOR).await;
        let again = read_metadata(files).await;
        if again == state {
            break;
        }
        state = again;
    }
    state
}

async fn read_metadata(files: &Files) -> Option<FileMetadata> {
    let files = files.clone();
    // A file system may block.
    spawn_blocking(move || files.metadata()).await.ok()
}

/// How long files have to stay unchanged. File times have the resolution of the kernel's ticks, at most 10 ms.
const STABLE_FOR: Duration = Duration::from_millis(100);

/// How often files that keep changing are looked at again, because some writers never stop.
const MOST_POLLS: usize = 50;
