//! The errors of a folder.

use std::io;
use std::time::Duration;

use http::StatusCode;
use thiserror::Error;

use crate::exchange_end::ExchangeEnd;

/// Why a folder does not answer with a file.
#[derive(Debug, Error)]
pub(crate) enum FolderError {
    /// The disk, or the folder itself, has failed.
    #[error("{0}")]
    Broken(io::Error),
    /// The client has gone away.
    #[error("the client hung up")]
    ClientGone,
    /// The method is neither GET nor HEAD.
    #[error("files accept only GET and HEAD")]
    Method,
    /// There is no such file, or it is not served.
    #[error("there is no such file")]
    NotFound,
    /// A precondition failed: the client wants another version of the file.
    #[error("the file has changed (precondition failed)")]
    Precondition,
    /// The range is not satisfiable.
    #[error("the file has only {length} bytes")]
    Range {
        /// In bytes.
        length: u64,
    },
    /// The disk took too long.
    #[error("the disk did not answer within {} s", .0.as_secs())]
    TimedOut(Duration),
}

impl FolderError {
    /// The status of the answer; `None` if the client has gone away.
    pub(crate) fn status(&self) -> Option<StatusCode> {
        Some(match self {
            Self::Broken(_) => StatusCode::INTERNAL_SERVER_ERROR,
            Self::ClientGone => return None,
            Self::Method => StatusCode::METHOD_NOT_ALLOWED,
            Self::NotFound => StatusCode::NOT_FOUND,
            Self::Precondition => StatusCode::PRECONDITION_FAILED,
            Self::Range { .. } => StatusCode::RANGE_NOT_SATISFIABLE,
            Self::TimedOut(_) => StatusCode::GATEWAY_TIMEOUT,
        })
    }

    /// Who ended the exchange with this error; `None` if it goes on.
    pub(crate) fn ended(&self) -> Option<ExchangeEnd> {
        match self {
            Self::Broken(_) => Some(ExchangeEnd::UpstreamBroke),
            Self::ClientGone => Some(ExchangeEnd::ClientLeft),
            Self::TimedOut(_) => Some(ExchangeEnd::CutOff),
            Self::Method | Self::NotFound | Self::Precondition | Self::Range { .. } => None,
        }
    }
}
