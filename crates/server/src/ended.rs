//! How an exchange ends: a request and its answer, from the first byte to the last.

use std::io;

use crate::transfer::Broken;

/// Who ended an exchange.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ended {
    /// The client hung up before its request or the answer was whole.
    ClientLeft,
    /// We did: something took longer than it may.
    Cut,
    /// We did: the session has ended by which it had entered.
    SessionExpired,
    /// We did: the session by which it had entered, or its user, was revoked.
    SessionRevoked,
    /// The upstream broke off, or what it sent is no answer.
    UpstreamBroke,
    /// Nobody: it is complete.
    Whole,
}

impl Ended {
    /// The word for it in audit lines and metrics.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::ClientLeft => "client_left",
            Self::Cut => "cut",
            Self::SessionExpired => "session_expired",
            Self::SessionRevoked => "session_revoked",
            Self::UpstreamBroke => "upstream_broke",
            Self::Whole => "whole",
        }
    }

    /// With this error on the client's connection.
    pub(crate) fn with_client(error: &io::Error) -> Self {
        if is_our_limit(error) {
            Self::Cut
        } else {
            Self::ClientLeft
        }
    }

    /// With this error on the upstream's connection.
    pub(crate) fn with_upstream(error: &io::Error) -> Self {
        if is_our_limit(error) {
            Self::Cut
        } else {
            Self::UpstreamBroke
        }
    }
}

impl From<&Broken> for Ended {
    /// How an answer ended whose way from the upstream to the client broke.
    fn from(broken: &Broken) -> Self {
        match broken {
            Broken::Limit => Self::Cut,
            Broken::Sink(error) => Self::with_client(error),
            Broken::Source(error) => Self::with_upstream(error),
        }
    }
}

/// Whether it is one of our limits that is over. The kernel has the same kind of error for a peer that vanished.
pub(crate) fn is_our_limit(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::TimedOut && error.raw_os_error().is_none()
}

/// What became of an answer on its way to a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Sent {
    /// How that ended.
    pub(crate) ended: Ended,
    /// Whether the client got anything of it.
    pub(crate) began: bool,
}

impl Sent {
    /// All of it was sent.
    pub(crate) const WHOLE: Self = Self {
        ended: Ended::Whole,
        began: true,
    };

    /// Nothing was, for this reason.
    pub(crate) fn nothing(ended: Ended) -> Self {
        Self {
            ended,
            began: false,
        }
    }
}
