//! What is kept, wherever that is.

use std::io;

use thiserror::Error;

use stores::SharedRowsError;

/// What a text is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Kind {
    /// The account with its key, as JSON.
    Account,
    /// The key of a certificate and its chain, as PEM.
    Certificate,
    /// What a running order has to show, as JSON.
    Challenge,
    /// When an order has failed, as JSON.
    Failure,
}

/// A text that is there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Kept {
    pub(super) kind: Kind,
    pub(super) name: String,
    /// Another one each time that the text is written.
    pub(super) version: String,
}

/// Why something cannot be read or written.
#[derive(Debug, Error)]
pub(super) enum KeepError {
    #[error("ACME_STORE: cannot {0} `{1}`: {2}")]
    Folder(&'static str, String, io::Error),
    #[error("ACME_STORE: {0}")]
    Rows(#[from] SharedRowsError),
}

impl Kind {
    pub(super) const ALL: [Self; 4] = [
        Self::Account,
        Self::Certificate,
        Self::Challenge,
        Self::Failure,
    ];

    /// What it is called in the place.
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Account => "account",
            Self::Certificate => "certificate",
            Self::Challenge => "challenge",
            Self::Failure => "failure",
        }
    }
}
