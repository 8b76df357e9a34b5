//! Why an exchange with an upstream failed.

use std::io;
use std::time::Duration;

use thiserror::Error;

use crate::exchange_end::ExchangeEnd;

/// Why an exchange with an upstream failed.
#[derive(Debug, Error)]
pub(crate) enum UpstreamError {
    /// All connections that are allowed were in use for too long.
    #[error("all connections to the server were in use for {} s (max_connections)", .0.as_secs())]
    Busy(Duration),
    /// The client's body turned out to be longer than its limit.
    #[error("the client's body is longer than its limit")]
    BodyTooLong,
    /// The client's body broke off, which is not the upstream's fault.
    #[error("the client's body broke off: {0}")]
    ClientBody(io::Error),
    /// The client has gone away.
    #[error("the client hung up")]
    ClientGone,
    /// No connection could be opened.
    #[error("cannot connect: {0}")]
    Connect(io::Error),
    /// The exchange broke.
    #[error("{0}")]
    Exchange(io::Error),
    /// The server accepts the request only over HTTP/1.1, and said so after a part of the body had been sent.
    #[error(
        "the server requires HTTP/1.1 for this request (HTTP_1_1_REQUIRED), but reported that after part of the body \
         had been sent; configure the server to speak only HTTP/1.1, or to accept such requests over HTTP/2"
    )]
    Http1Required,
    /// No connection could be opened in time.
    #[error("no connection within {} s", .0.as_secs())]
    NotConnected(Duration),
    /// The answer took too long.
    #[error("no answer within {} s", .0.as_secs())]
    TimedOut(Duration),
    /// The exchange broke before the first byte of an answer.
    #[error("{0}")]
    Unanswered(io::Error),
}

impl UpstreamError {
    /// Whether none of the request can have reached the server, so that another server may get it.
    pub(super) fn is_before_request(&self) -> bool {
        match self {
            Self::Busy(_) | Self::Connect(_) | Self::NotConnected(_) => true,
            Self::BodyTooLong
            | Self::ClientBody(_)
            | Self::ClientGone
            | Self::Exchange(_)
            | Self::Http1Required
            | Self::TimedOut(_)
            | Self::Unanswered(_) => false,
        }
    }

    /// Whether the request was sent, and no part of an answer has arrived.
    pub(super) fn is_unanswered(&self) -> bool {
        matches!(self, Self::Unanswered(_))
    }

    /// Whether it is the server's failure.
    pub(super) fn is_server_failure(&self) -> bool {
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
            | Self::Http1Required => false,
        }
    }

    /// How this error ends the exchange. `None` if it goes on: the client gets an answer to its malformed or too long body.
    pub(crate) fn ended(&self) -> Option<ExchangeEnd> {
        match self {
            Self::BodyTooLong => None,
            Self::ClientBody(error) if error.kind() == io::ErrorKind::InvalidData => None,
            Self::ClientBody(error) => Some(ExchangeEnd::with_client(error)),
            Self::ClientGone => Some(ExchangeEnd::ClientLeft),
            Self::Connect(_) | Self::Exchange(_) | Self::Http1Required | Self::Unanswered(_) => {
                Some(ExchangeEnd::UpstreamBroke)
            }
            Self::Busy(_) | Self::NotConnected(_) | Self::TimedOut(_) => Some(ExchangeEnd::CutOff),
        }
    }
}
