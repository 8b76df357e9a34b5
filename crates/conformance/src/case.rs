//! The description of a case.

use std::fmt;

use crate::judgment::Judgment;
use crate::probe::Probe;

/// A case: a request to send, and what must hold afterwards.
#[derive(Clone, Copy, Debug)]
pub struct Case {
    /// The id, two letters and a number (`FR01`). It does not change when cases are added.
    pub id: &'static str,
    /// The class of vulnerability.
    pub class: Class,
    /// What is sent.
    pub title: &'static str,
    /// What must hold.
    pub expects: &'static str,
    /// The RFC sections and other documents that demand it.
    pub rule: &'static str,
    /// CVE, GHSA and CWE entries of this class; empty if none are known.
    pub known: &'static str,
    /// How much it matters.
    pub level: Level,
    /// What it needs to run.
    pub needs: Needs,
    pub(crate) run: fn(&Probe<'_>) -> Judgment,
}

/// The groups of cases, in the order of reports.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Class {
    /// Ambiguity about where a request ends.
    Smuggling,
    /// Malformed request lines.
    RequestLine,
    /// The requested host.
    Host,
    /// Ambiguity about a path.
    Paths,
    /// Headers that a service reads as the gateway's own.
    HeaderAliases,
    /// Headers that describe the original request.
    RoutingMetadata,
    /// Fields of one connection.
    HopByHop,
    /// Cookies and tokens.
    Credentials,
    /// Requests that are treated as special.
    SpecialCases,
    /// Methods.
    Methods,
    /// Changes of protocol.
    Upgrades,
    /// Malformed responses of the upstream.
    Responses,
    /// State that one request leaves for the next on its connection.
    Connections,
    /// Size limits, and slow clients.
    Limits,
    /// The forward-auth endpoint.
    ForwardAuth,
    /// HTTP/2 that is converted to HTTP/1.1.
    Http2,
}

/// How much a case matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    /// A gateway that fails it can be bypassed, or made to send a wrong identity to its services.
    Must,
    /// A gateway that passes it is safer.
    Should,
}

/// What a case needs to run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Needs {
    /// The address of a forward-auth endpoint.
    pub check: bool,
    /// A listener for cleartext HTTP/2.
    pub http2: bool,
    /// A session cookie.
    pub session: bool,
    /// The time limit for slow clients. Such a case runs in parallel with others.
    pub slow_limit: bool,
    /// To run after all other cases.
    pub last: bool,
}

impl Case {
    /// Creates a case that must hold, without needs.
    pub(crate) const fn new(
        class: Class,
        id: &'static str,
        title: &'static str,
        expects: &'static str,
        run: fn(&Probe<'_>) -> Judgment,
    ) -> Self {
        Self {
            id,
            class,
            title,
            expects,
            rule: "",
            known: "",
            level: Level::Must,
            needs: Needs {
                check: false,
                http2: false,
                session: false,
                slow_limit: false,
                last: false,
            },
            run,
        }
    }

    /// Sets the documents that demand it.
    pub(crate) const fn rule(mut self, rule: &'static str) -> Self {
        self.rule = rule;
        self
    }

    /// Sets published vulnerabilities of this class.
    pub(crate) const fn known(mut self, known: &'static str) -> Self {
        self.known = known;
        self
    }

    pub(crate) const fn should(mut self) -> Self {
        self.level = Level::Should;
        self
    }

    pub(crate) const fn with_session(mut self) -> Self {
        self.needs.session = true;
        self
    }

    pub(crate) const fn with_check(mut self) -> Self {
        self.needs.check = true;
        self
    }

    pub(crate) const fn with_http2(mut self) -> Self {
        self.needs.http2 = true;
        self
    }

    pub(crate) const fn with_slow_limit(mut self) -> Self {
        self.needs.slow_limit = true;
        self
    }

    pub(crate) const fn last(mut self) -> Self {
        self.needs.last = true;
        self
    }
}

impl fmt::Display for Class {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        to.pad(match self {
            Self::Smuggling => "request smuggling",
            Self::RequestLine => "request line",
            Self::Host => "host",
            Self::Paths => "path confusion",
            Self::HeaderAliases => "header aliases",
            Self::RoutingMetadata => "routing metadata",
            Self::HopByHop => "hop-by-hop",
            Self::Credentials => "cookies and tokens",
            Self::SpecialCases => "special cases",
            Self::Methods => "methods",
            Self::Upgrades => "upgrades",
            Self::Responses => "upstream answers",
            Self::Connections => "connections",
            Self::Limits => "limits",
            Self::ForwardAuth => "forward-auth endpoint",
            Self::Http2 => "HTTP/2",
        })
    }
}

impl fmt::Display for Level {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        to.pad(match self {
            Self::Must => "must",
            Self::Should => "should",
        })
    }
}
