//! Noticing that files have changed.
//!
//! Files are looked at once in a second; nothing is asked of the kernel. Its notices (inotify) do not come for files on NFS and
//! other network file systems that somebody changes elsewhere, and they are about one directory entry: a ConfigMap or Secret of
//! Kubernetes is a chain of symbolic links of which the middle one (`..data`) is swapped, an editor puts a new file in the place
//! of the old one, and a file that a pattern of `include` names is not there yet. A look follows all links, costs one system call
//! for each file, and cannot be missed.

use std::future::pending;
use std::time::Duration;

use tokio::task::spawn_blocking;
use tokio::time::sleep;

use crate::config::{FileDigests, FileMetadata, Files};

/// What was seen of the files last.
#[derive(Debug, Default)]
pub(super) struct Watch {
    seen: Option<FileMetadata>,
}

impl Watch {
    /// Ready when there is something in `files` that is not in `contents`, and they have come to rest, so that a burst of writes
    /// counts as one. They are looked at once in `every`.
    pub(super) async fn changed(&mut self, files: &Files, contents: &FileDigests, every: Duration) {
        if every.is_zero() {
            return pending().await;
        }
        loop {
            sleep(every).await;
            let looks = look(files).await;
            if looks.is_none() || self.seen == looks {
                continue;
            }
            self.seen = at_rest(files, looks).await;
            // Most often somebody has only touched them; and what was in them when they were read is not known by looks.
            let files = files.clone();
            let found = spawn_blocking(move || files.contents()).await;
            if found.is_ok_and(|found| found != *contents) {
                return;
            }
        }
    }
}

/// How the files look when nobody writes any more.
async fn at_rest(files: &Files, mut looks: Option<FileMetadata>) -> Option<FileMetadata> {
    for _ in 0..MOST_LOOKS {
        sleep(REST).await;
        let again = look(files).await;
        if again == looks {
            break;
        }
        looks = again;
    }
    looks
}

async fn look(files: &Files) -> Option<FileMetadata> {
    let files = files.clone();
    // A file system may keep us waiting.
    spawn_blocking(move || files.look()).await.ok()
}

/// For how long nothing must have changed. Times of files are of the kernel's ticks, which are no longer than 10 ms.
const REST: Duration = Duration::from_millis(100);

/// Somebody who never stops writing does not keep us from reading.
const MOST_LOOKS: usize = 50;
