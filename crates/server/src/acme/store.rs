//! The store of account, certificates and challenges: a folder, or PostgreSQL.
//!
//! It holds a few small texts, each under a kind and a name. All nodes that share it see a change when they read it next,
//! about once a second.

use std::time::Duration;

use super::folder::FolderStore;
use super::stored::{AcmeStoreError, StoredKind, StoredText};
use crate::config::{AcmePlace, AcmeSettings};
use stores::{Pools, SharedRows};

/// A store of texts.
pub(super) enum Store {
    Folder(FolderStore),
    Rows(Box<SharedRows>),
}

impl Store {
    /// Opens the configured store. A folder is created if necessary.
    ///
    /// # Errors
    /// When the folder cannot be used.
    pub(super) fn open(settings: &AcmeSettings, pools: &Pools) -> Result<Self, AcmeStoreError> {
        match &settings.place {
            AcmePlace::Folder(path) => {
                let scope = scope(&settings.directory_url);
                Ok(Self::Folder(FolderStore::open(path, &scope)?))
            }
            AcmePlace::Postgres(database) => {
                let holder = format!("{:032x}", fastrand::u128(..));
                let rows = SharedRows::open(database, pools, &settings.directory_url, holder);
                let rows = rows.expect("the settings name a PostgreSQL");
                Ok(Self::Rows(Box::new(rows)))
            }
        }
    }

    /// All texts, with their versions.
    pub(super) async fn list(&self) -> Result<Vec<StoredText>, AcmeStoreError> {
        match self {
            Self::Folder(folder) => folder.list().await,
            Self::Rows(rows) => {
                rows.prepare().await?;
                let rows = rows.list().await?;
                let kept = rows.into_iter().filter_map(|row| {
                    Some(StoredText {
                        kind: StoredKind::ALL
                            .into_iter()
                            .find(|kind| kind.label() == row.kind)?,
                        name: row.name,
                        version: row.version,
                    })
                });
                Ok(kept.collect())
            }
        }
    }

    /// The text under this name, if there is one.
    pub(super) async fn get(
        &self,
        kind: StoredKind,
        name: &str,
    ) -> Result<Option<String>, AcmeStoreError> {
        match self {
            Self::Folder(folder) => folder.get(kind, name).await,
            Self::Rows(rows) => Ok(rows.get(kind.label(), name).await?),
        }
    }

    /// Stores a text, or replaces it.
    pub(super) async fn put(
        &self,
        kind: StoredKind,
        name: &str,
        text: &str,
    ) -> Result<(), AcmeStoreError> {
        match self {
            Self::Folder(folder) => folder.put(kind, name, text).await,
            Self::Rows(rows) => Ok(rows.put(kind.label(), name, text).await?),
        }
    }

    /// Removes a text, if there is one.
    pub(super) async fn remove(&self, kind: StoredKind, name: &str) -> Result<(), AcmeStoreError> {
        match self {
            Self::Folder(folder) => folder.remove(kind, name).await,
            Self::Rows(rows) => Ok(rows.remove(kind.label(), name).await?),
        }
    }

    /// Tries to take the lock for ordering, and returns whether it did.
    pub(super) async fn lock(&self) -> Result<bool, AcmeStoreError> {
        match self {
            Self::Folder(folder) => folder.lock().await,
            Self::Rows(rows) => Ok(rows.lock(LOCK, TERM).await?),
        }
    }

    /// Releases the lock.
    pub(super) async fn unlock(&self) -> Result<(), AcmeStoreError> {
        match self {
            Self::Folder(folder) => {
                folder.unlock();
                Ok(())
            }
            Self::Rows(rows) => Ok(rows.unlock(LOCK).await?),
        }
    }
}

/// The folder name for a server's directory URL, because accounts belong to one server.
pub(super) fn scope(directory_url: &str) -> String {
    let rest = directory_url.trim_start_matches("https://");
    let plain = |letter: char| match letter.is_ascii_alphanumeric() || letter == '.' {
        true => letter.to_ascii_lowercase(),
        false => '-',
    };
    rest.chars().map(plain).collect()
}

const LOCK: &str = "order";

/// How long the lock is valid, which is longer than an order may take.
const TERM: Duration = Duration::from_secs(6 * 60);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_acme_server_has_its_own_folder() {
        assert_eq!(
            scope("https://acme-v02.api.letsencrypt.org/directory"),
            "acme-v02.api.letsencrypt.org-directory"
        );
        assert_eq!(
            scope("https://localhost:14000/dir?a=../b"),
            "localhost-14000-dir-a-..-b"
        );
    }
}
