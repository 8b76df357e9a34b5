//! The texts in the store, and the errors of either kind of store.

use std::io;

use thiserror::Error;

use stores::SharedRowsError;

/// The kinds of texts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum StoredKind {
    /// The account with its key, as JSON.
    Account,
    /// The key of a certificate and its chain, as PEM.
    Certificate,
    /// The challenge of a running order, as JSON.
    Challenge,
    /// The failures of orders, as JSON.
    Failure,
}

/// A text in the store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct StoredText {
    pub(super) kind: StoredKind,
    pub(super) name: String,
    /// The version, which changes with each write.
    pub(super) version: String,
}

/// Why the store cannot be read or written.
#[derive(Debug, Error)]
pub(super) enum AcmeStoreError {
    #[error("ACME_STORE: cannot {0} `{1}`: {2}")]
    Folder(&'static str, String, io::Error),
    #[error("ACME_STORE: {0}")]
    Rows(#[from] SharedRowsError),
}

impl StoredKind {
    pub(super) const ALL: [Self; 4] = [
        Self::Account,
        Self::Certificate,
        Self::Challenge,
        Self::Failure,
    ];

    /// The kind's name in the store.
    pub(super) fn label(self) -> &'static str {
        match self {
            Self::Account => "account",
            Self::Certificate => "certificate",
            Self::Challenge => "challenge",
            Self::Failure => "failure",
        }
    }
}
