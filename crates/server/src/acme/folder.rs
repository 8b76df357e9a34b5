//! Stores account, certificates and challenges in a folder that no other user can read.

use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::task::spawn_blocking;

use super::stored::{AcmeStoreError, StoredKind, StoredText};
use client_tls::named_file;

/// A folder with a subfolder for each kind of text.
pub(super) struct FolderStore {
    root: PathBuf,
    /// The lock file, while this process orders.
    lock: Arc<Mutex<Option<File>>>,
}

impl FolderStore {
    /// Creates the folder `scope` in `path`, and `path` itself.
    ///
    /// # Errors
    /// When one of them cannot be created.
    pub(super) fn open(path: &Path, scope: &str) -> Result<Self, AcmeStoreError> {
        let root = path.join(scope);
        for kind in StoredKind::ALL {
            let folder = folder_of(&root, kind);
            let mut builder = DirBuilder::new();
            builder
                .recursive(true)
                .mode(0o700)
                .create(&folder)
                .map_err(cannot("create the folder", &folder))?;
        }
        let mode = fs::metadata(path).map(|folder| folder.mode() & 0o777);
        if mode.is_ok_and(|mode| mode & 0o077 != 0) {
            let path = path.display();
            tracing::warn!(
                "ACME_STORE: other users can read `{path}`, which contains private keys; run `chmod 700` on it"
            );
        }
        Ok(Self::at(path, scope))
    }

    /// The folder `scope` in `path`, without creating it.
    pub(super) fn at(path: &Path, scope: &str) -> Self {
        Self {
            root: path.join(scope),
            lock: Arc::default(),
        }
    }

    pub(super) async fn list(&self) -> Result<Vec<StoredText>, AcmeStoreError> {
        let root = self.root.clone();
        blocking(move || {
            let mut kept = Vec::new();
            for kind in StoredKind::ALL {
                let folder = folder_of(&root, kind);
                list(&folder, kind, &mut kept).map_err(cannot("look into", &folder))?;
            }
            Ok(kept)
        })
        .await
    }

    pub(super) async fn get(
        &self,
        kind: StoredKind,
        name: &str,
    ) -> Result<Option<String>, AcmeStoreError> {
        let path = self.path(kind, name);
        blocking(move || {
            let read = named_file::read(&path, LONGEST);
            match read.and_then(|bytes| String::from_utf8(bytes).map_err(io::Error::other)) {
                Ok(text) => Ok(Some(text)),
                Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
                Err(error) => Err(cannot("read", &path)(error)),
            }
        })
        .await
    }

    pub(super) async fn put(
        &self,
        kind: StoredKind,
        name: &str,
        text: &str,
    ) -> Result<(), AcmeStoreError> {
        let (path, text) = (self.path(kind, name), text.to_owned());
        blocking(move || replace(&path, text.as_bytes()).map_err(cannot("write", &path))).await
    }

    pub(super) async fn remove(&self, kind: StoredKind, name: &str) -> Result<(), AcmeStoreError> {
        let path = self.path(kind, name);
        blocking(move || match fs::remove_file(&path) {
            Err(error) if error.kind() != ErrorKind::NotFound => {
                Err(cannot("remove", &path)(error))
            }
            Ok(()) | Err(_) => Ok(()),
        })
        .await
    }

    /// Tries to take the lock, and returns whether it did. The system releases the lock when this process ends.
    pub(super) async fn lock(&self) -> Result<bool, AcmeStoreError> {
        let (path, held) = (self.root.join("lock"), Arc::clone(&self.lock));
        blocking(move || {
            let mut options = OpenOptions::new();
            let options = options.create(true).truncate(false).write(true).mode(0o600);
            let file = options.open(&path).map_err(cannot("open", &path))?;
            match file.try_lock() {
                Ok(()) => {
                    *held.lock().unwrap_or_else(PoisonError::into_inner) = Some(file);
                    Ok(true)
                }
                Err(TryLockError::WouldBlock) => Ok(false),
                Err(TryLockError::Error(error)) => Err(cannot("lock", &path)(error)),
            }
        })
        .await
    }

    pub(super) fn unlock(&self) {
        *self.lock.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// The path of a text. Names are hostnames or fixed words, without slashes.
    fn path(&self, kind: StoredKind, name: &str) -> PathBuf {
        let file = format!("{name}.{}", extension(kind));
        folder_of(&self.root, kind).join(file)
    }
}

fn folder_of(root: &Path, kind: StoredKind) -> PathBuf {
    root.join(kind.label())
}

fn extension(kind: StoredKind) -> &'static str {
    match kind {
        StoredKind::Certificate => "pem",
        StoredKind::Account | StoredKind::Challenge | StoredKind::Failure => "json",
    }
}

fn list(folder: &Path, kind: StoredKind, kept: &mut Vec<StoredText>) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let name = entry.file_name();
        let Some((name, end)) = name.to_str().and_then(|name| name.rsplit_once('.')) else {
            continue;
        };
        // Files with a leading dot are still being written.
        if end != extension(kind) || name.starts_with('.') {
            continue;
        }
        // The file may have been replaced meanwhile.
        if let Ok(file) = entry.metadata() {
            kept.push(StoredText {
                kind,
                name: name.to_owned(),
                version: format!("{} {} {}", file.ino(), file.mtime(), file.mtime_nsec()),
            });
        }
    }
    Ok(())
}

/// Replaces a file atomically.
fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let folder = path.parent().unwrap_or(Path::new("."));
    let new = folder.join(format!(".{:032x}", fastrand::u128(..)));
    let written = write(&new, bytes).and_then(|()| fs::rename(&new, path));
    if written.is_err() {
        let _ = fs::remove_file(&new);
    }
    written?;
    // Without this, the old file may be back after a power failure.
    File::open(folder)?.sync_all()
}

fn write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut options = OpenOptions::new();
    let mut file = options
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

/// Runs file I/O on a blocking thread.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, AcmeStoreError> + Send + 'static,
) -> Result<T, AcmeStoreError> {
    let done = spawn_blocking(work).await;
    done.unwrap_or_else(|_| {
        let error = io::Error::other("the thread for it panicked");
        Err(AcmeStoreError::Folder(
            "use",
            "the folder".to_owned(),
            error,
        ))
    })
}

fn cannot(what: &'static str, path: &Path) -> impl Fn(io::Error) -> AcmeStoreError {
    let path = path.display().to_string();
    move |error| AcmeStoreError::Folder(what, path.clone(), error)
}

/// The largest file that is read, in bytes: far more than a chain of certificates takes.
const LONGEST: u64 = 256 << 10;

#[cfg(test)]
mod tests {
    use super::*;

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().mode() & 0o777
    }

    #[tokio::test]
    async fn stored_files_are_private_and_replaced_atomically() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("acme");
        let kept = FolderStore::open(&path, "ca").unwrap();
        let (kind, name) = (StoredKind::Certificate, "app.example.com");
        assert_eq!(kept.get(kind, name).await.unwrap(), None);
        kept.put(kind, name, "one").await.unwrap();
        let first = kept.list().await.unwrap();
        kept.put(kind, name, "two").await.unwrap();
        let second = kept.list().await.unwrap();
        assert_eq!((first.len(), second.len()), (1, 1));
        assert_eq!(second[0].name, name);
        assert_ne!(first, second);
        assert_eq!(kept.get(kind, name).await.unwrap().as_deref(), Some("two"));
        let file = path.join("ca/certificate/app.example.com.pem");
        assert_eq!((mode(&path), mode(&file)), (0o700, 0o600));
        kept.remove(kind, name).await.unwrap();
        kept.remove(kind, name).await.unwrap();
        assert_eq!(kept.list().await.unwrap(), []);
    }

    #[tokio::test]
    async fn one_orders_at_a_time() {
        let folder = tempfile::tempdir().unwrap();
        let one = FolderStore::open(folder.path(), "ca").unwrap();
        let other = FolderStore::open(folder.path(), "ca").unwrap();
        assert!(one.lock().await.unwrap());
        assert!(!other.lock().await.unwrap());
        one.unlock();
        assert!(other.lock().await.unwrap());
    }
}
