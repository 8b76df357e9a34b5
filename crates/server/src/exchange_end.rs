//! How an exchange, a request and its answer, has ended.

use std::io;

use crate::transfer::Broken;

/// How an exchange ended, and which side ended it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ExchangeEnd {
    /// The client hung up before its request or the answer was complete.
    ClientLeft,
    /// The gate, for example because a limit was reached or the gate stops.
    CutOff,
    /// The gate, because the session of the exchange has expired.
    SessionExpired,
    /// The gate, because the session was revoked, or the request would no longer be permitted.
    SessionRevoked,
    /// The upstream, which broke off or sent no valid answer.
    UpstreamBroke,
    /// No side: the exchange is complete.
    Complete,
}

impl ExchangeEnd {
    /// The value of `ended` in audit lines and metrics.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::ClientLeft => "client_left",
            Self::CutOff => "cut",
            Self::SessionExpired => "session_expired",
            Self::SessionRevoked => "session_revoked",
            Self::UpstreamBroke => "upstream_broke",
            Self::Complete => "whole",
        }
    }

    /// How the exchange ended if the client's connection has this error.
    pub(crate) fn with_client(error: &io::Error) -> Self {
        if is_our_limit(error) {
            Self::CutOff
        } else {
            Self::ClientLeft
        }
    }

    /// How the exchange ended if the upstream's connection has this error.
    pub(crate) fn with_upstream(error: &io::Error) -> Self {
        if is_our_limit(error) {
            Self::CutOff
        } else {
            Self::UpstreamBroke
        }
    }
}

impl From<&Broken> for ExchangeEnd {
    /// How an exchange ended whose answer broke off on its way from the upstream to the client.
    fn from(broken: &Broken) -> Self {
        match broken {
            Broken::Limit => Self::CutOff,
            Broken::Sink(error) => Self::with_client(error),
            Broken::Source(error) => Self::with_upstream(error),
        }
    }
}

/// Whether the error is a time limit of the gate. The kernel reports a vanished peer with the same kind, but with a code of
/// its own.
pub(crate) fn is_our_limit(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::TimedOut && error.raw_os_error().is_none()
}

/// The result of sending an answer to a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Sent {
    /// How the exchange ended.
    pub(crate) ended: ExchangeEnd,
    /// Whether the client got any of the answer.
    pub(crate) began: bool,
}

impl Sent {
    /// The whole answer was sent.
    pub(crate) const COMPLETE: Self = Self {
        ended: ExchangeEnd::Complete,
        began: true,
    };

    /// Nothing was sent, and the exchange ended like this.
    pub(crate) fn nothing(ended: ExchangeEnd) -> Self {
        Self {
            ended,
            began: false,
        }
    }
}
