//! Why an exchange with an upstream failed.

use std::io;
use std::time::Duration;

use thiserror::Error;

use crate::ended::Ended;

/// Why the upstream gave no answer.
#[derive(Debug, Error)]
pub(crate) enum UpstreamError {
    /// There may be no more connections, and none has become free in time.
    #[error("all connections to the server were taken for {} s (max_connections)", .0.as_secs())]
    Busy(Duration),
    /// The client's body is longer than it may be, which showed only as it came.
    #[error("the client's body is longer than it may be")]
    BodyTooLong,
    /// The client's body broke off; the upstream is not to blame.
    #[error("the client's body broke off: {0}")]
    ClientBody(io::Error),
    /// The client hung up, and nobody waits for an answer.
    #[error("the client hung up")]
    ClientGone,
    /// No connection.
    #[error("cannot connect: {0}")]
    Connect(io::Error),
    /// The exchange broke.
    #[error("{0}")]
    Exchange(io::Error),
    /// The server takes the request over HTTP/1.1 alone, and has said so when a part of its body was gone.
    #[error(
        "the server takes this request over HTTP/1.1 alone (HTTP_1_1_REQUIRED), and said so only when a part of its body was gone; \
         let it speak HTTP/1.1 alone, or take such requests over HTTP/2"
    )]
    Http1Wanted,
    /// No connection in time.
    #[error("no connection within {} s", .0.as_secs())]
    NotConnected(Duration),
    /// It took too long.
    #[error("no answer within {} s", .0.as_secs())]
    TimedOut(Duration),
    /// The exchange broke before a byte of an answer had come.
    #[error("{0}")]
    Unanswered(io::Error),
}

impl UpstreamError {
    /// Whether nothing of the request can have reached anybody, so that another server may be asked.
    pub(super) fn is_before_request(&self) -> bool {
        match self {
            Self::Busy(_) | Self::Connect(_) | Self::NotConnected(_) => true,
            Self::BodyTooLong
            | Self::ClientBody(_)
            | Self::ClientGone
            | Self::Exchange(_)
            | Self::Http1Wanted
            | Self::TimedOut(_)
            | Self::Unanswered(_) => false,
        }
    }

    /// Whether the request has left, and nothing of an answer has come.
    pub(super) fn is_unanswered(&self) -> bool {
        matches!(self, Self::Unanswered(_))
    }

    /// Whether the server is to blame.
    pub(super) fn blames_server(&self) -> bool {
        match self {
            Self::Connect(_)
            | Self::Exchange(_)
            | Self::NotConnected(_)
            | Self::TimedOut(_)
            | Self::Unanswered(_) => true,
            Self::BodyTooLong
            | Self::Busy(_)
            | Self::ClientBody(_)
            | Self::ClientGone
            | Self::Http1Wanted => false,
        }
    }

    /// Who ended the exchange with it. `None` when nobody did: a client that waits for an answer to its malformed body, or to one
    /// that is too long, gets one.
    pub(crate) fn ended(&self) -> Option<Ended> {
        match self {
            Self::BodyTooLong => None,
            Self::ClientBody(error) if error.kind() == io::ErrorKind::InvalidData => None,
            Self::ClientBody(error) => Some(Ended::with_client(error)),
            Self::ClientGone => Some(Ended::ClientLeft),
            Self::Connect(_) | Self::Exchange(_) | Self::Http1Wanted | Self::Unanswered(_) => {
                Some(Ended::UpstreamBroke)
            }
            Self::Busy(_) | Self::NotConnected(_) | Self::TimedOut(_) => Some(Ended::Cut),
        }
    }
}
