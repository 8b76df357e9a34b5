//! Why a request may not enter. Many reasons inside, few faces outside.

use session::{OpenError, Session};
use thiserror::Error;

use crate::{
    Admission, Ambiguity, LookupSource, RateLimited, RevokedBy, Route, SaidOrigin, StoreError,
};

/// A request that may not enter, and the route that says so.
#[derive(Debug)]
pub struct Refused<'g> {
    /// `None` when no single route governs the request.
    pub route: Option<&'g Route>,
    /// Why not.
    pub refusal: Refusal,
}

impl<'g> Refused<'g> {
    pub(crate) fn by(route: &'g Route, refusal: Refusal) -> Self {
        Self {
            route: Some(route),
            refusal,
        }
    }
}

impl From<Refusal> for Refused<'_> {
    /// Before a route was chosen.
    fn from(refusal: Refusal) -> Self {
        Self {
            route: None,
            refusal,
        }
    }
}

/// Why a request may not enter. For the log and the metrics; a stranger sees only its [`RefusalClass`].
#[derive(Debug, Error)]
pub enum Refusal {
    /// The path could be read as another one, which another route governs; or it is one that no honest client sends.
    #[error("{}", .0.in_short())]
    AmbiguousPath(Ambiguity),
    /// The route is closed to everybody.
    #[error("the route is closed")]
    Denied,
    /// The session is good, but it is a guest's, and guests may not enter.
    #[error("the user is a guest, who has never signed up")]
    Guest(Box<Session>),
    /// The user's row says that the user may not enter anywhere: banned, deleted, not active.
    #[error("the user is not active")]
    Inactive(Box<Admission>),
    /// The rule asks for something that the session or the user's row holds in a kind that cannot be compared with it.
    #[error("a value that the rule looks at cannot be compared with what it demands")]
    Incomparable(Incomparable),
    /// The request carries a signed token, and the issuer's keys were never to be had: nobody can say whether it is good.
    #[error("the issuer's keys are not known yet")]
    NoIssuerKeys,
    /// The request has a good session, and no route matches it.
    #[error("no route matches the request")]
    NoRoute(Box<Admission>),
    /// The request carries no session at all.
    #[error("the request carries no session")]
    NoSession,
    /// The request carries the token of a session that would have to be looked up, and there is nowhere to.
    #[error("the session must be looked up, and no session store is configured")]
    NoSessionStore {
        /// Why the session that was cached beside the token does not count, if there was one.
        cache: Option<OpenError>,
        /// Whether the cache has ended for good: the application does not write it anew for a session without "remember
        /// me", nor for an admin who impersonates a user.
        not_renewed: bool,
    },
    /// The request changes something, and comes from a page of another origin, or does not say from where.
    #[error(
        "a request that may change something must come from a page of this host, as Sec-Fetch-Site or Origin says; {0}"
    )]
    OtherOrigin(SaidOrigin),
    /// The client, its user or everybody together asks too often.
    #[error(transparent)]
    RateLimited(RateLimited),
    /// The request would enter, but its user is not one of those whom the calling proxy lets enter.
    #[error("the calling proxy lets other users enter")]
    Restricted(Box<Admission>),
    /// The session was good, and somebody has revoked it, or everything of its user or of everybody from its time.
    #[error(transparent)]
    Revoked(RevokedSession),
    /// The session is good, but nobody can say whether its user still exists.
    #[error(transparent)]
    Store(StoreRefusal),
    /// Nobody says which path the request asks for, and routes differ by it.
    #[error("the path is not known, and routes differ")]
    UnknownPath,
    /// The session is good, and the rule demands more of it, of its user, or of where the request comes from.
    #[error("the rule demands something that the user does not have")]
    Unmet(Box<Admission>),
    /// Something that the service is to be told about the user does not fit into the header that is to say it.
    #[error("what is known of the user cannot be written into the headers of the route")]
    Unwritable(Box<Admission>),
    /// The session is good, but it knows its user by nothing else than an e-mail address, which nobody has verified.
    #[error("the user is known by an e-mail address alone, and the session calls it unverified")]
    UnverifiedAddress(Box<Session>),
    /// No store knows the session of this token: it was signed out, or never was.
    #[error("no such session")]
    UnknownSession(LookupSource),
    /// The session is good, but its user does not exist any more.
    #[error("no such user")]
    UnknownUser(UnknownUser),
    /// What the request carries as its session does not open.
    #[error(transparent)]
    Unopened(#[from] OpenError),
}

/// A session, and something about it that cannot be compared.
#[derive(Debug)]
pub struct Incomparable {
    /// On what grounds the request would have entered.
    pub admission: Box<Admission>,
    /// Which value it is and of which kind, without the value.
    pub what: Box<str>,
}

/// A session that was revoked.
#[derive(Debug, Error)]
#[error("{by}")]
pub struct RevokedSession {
    /// On what grounds the request would have entered.
    pub admission: Box<Admission>,
    /// What has revoked it.
    pub by: RevokedBy,
}

/// A session that could not be looked up, or whose user could not be checked.
#[derive(Debug, Error)]
#[error("{error}")]
pub struct StoreRefusal {
    /// The session, opened and verified, if it is the user who could not be checked.
    pub session: Option<Box<Session>>,
    /// What the store of truth said.
    pub error: StoreError,
}

/// A session whose user a store does not know.
#[derive(Debug)]
pub struct UnknownUser {
    /// The session, opened and verified.
    pub session: Box<Session>,
    /// The store that said so.
    pub source: LookupSource,
}

/// What a stranger may see of a refusal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RefusalClass {
    /// The request has no single meaning: 400, and the connection is closed.
    BadRequest,
    /// Known, but not allowed: 403.
    Forbid,
    /// Known, but nothing is there: 404.
    NotFound,
    /// Sign in first: 302 to the sign-in page for a browser, 401 for everything else.
    SignIn,
    /// Asked too often: 429, try again later.
    TooMany,
    /// A store of truth, or an issuer without whose keys nothing can be said, is down: 503, try again later.
    Unavailable,
}

impl Refusal {
    /// The stable code of this refusal in the audit log and the metrics.
    pub fn reason(&self) -> &'static str {
        match self {
            Refusal::AmbiguousPath(_) => "ambiguous_path",
            Refusal::Denied => "route_denied",
            Refusal::Guest(_) => "anonymous",
            Refusal::Inactive(_) => "user_disabled",
            Refusal::Incomparable(_) => "rule_incomparable",
            Refusal::NoIssuerKeys => "issuer_unavailable",
            Refusal::NoRoute(_) => "no_route",
            Refusal::NoSession => "no_credential",
            Refusal::NoSessionStore {
                not_renewed: true, ..
            } => "cache_not_renewed",
            Refusal::NoSessionStore {
                cache: Some(flaw), ..
            } => flaw.reason(),
            Refusal::NoSessionStore { cache: None, .. } => "no_session_store",
            Refusal::OtherOrigin(_) => "cross_origin",
            Refusal::RateLimited(_) => "rate_limited",
            Refusal::Restricted(_) => "restricted",
            Refusal::Revoked(_) => "revoked",
            Refusal::Store(_) => "store_unavailable",
            Refusal::UnknownPath => "unknown_path",
            Refusal::UnknownSession(_) => "session_missing",
            Refusal::UnknownUser(_) => "user_missing",
            Refusal::Unmet(_) => "rule_denied",
            Refusal::Unopened(error) => error.reason(),
            Refusal::UnverifiedAddress(_) => "email_unverified",
            Refusal::Unwritable(_) => "header_unwritable",
        }
    }

    /// The face of this refusal. Everything that is wrong with a session looks the same from outside.
    pub fn class(&self) -> RefusalClass {
        match self {
            Refusal::AmbiguousPath(_) => RefusalClass::BadRequest,
            // The app's sign-in page is where a guest becomes a user.
            Refusal::Guest(_)
            | Refusal::NoSession
            | Refusal::NoSessionStore { .. }
            | Refusal::Revoked(_)
            | Refusal::UnknownSession(_)
            | Refusal::Unopened(_) => RefusalClass::SignIn,
            Refusal::NoIssuerKeys | Refusal::Store(_) => RefusalClass::Unavailable,
            Refusal::NoRoute(_) => RefusalClass::NotFound,
            Refusal::RateLimited(_) => RefusalClass::TooMany,
            Refusal::Denied
            | Refusal::Inactive(_)
            | Refusal::Incomparable(_)
            | Refusal::OtherOrigin(_)
            | Refusal::Restricted(_)
            | Refusal::UnknownPath
            | Refusal::UnknownUser(_)
            | Refusal::Unmet(_)
            | Refusal::UnverifiedAddress(_)
            | Refusal::Unwritable(_) => RefusalClass::Forbid,
        }
    }

    /// On what grounds the request would have entered, where it was refused after its user was known.
    pub fn admission(&self) -> Option<&Admission> {
        match self {
            Refusal::Inactive(admission)
            | Refusal::Incomparable(Incomparable { admission, .. })
            | Refusal::NoRoute(admission)
            | Refusal::Restricted(admission)
            | Refusal::Revoked(RevokedSession { admission, .. })
            | Refusal::Unmet(admission)
            | Refusal::Unwritable(admission) => Some(admission),
            Refusal::RateLimited(limited) => limited.admission.as_deref(),
            Refusal::AmbiguousPath(_)
            | Refusal::Denied
            | Refusal::Guest(_)
            | Refusal::NoIssuerKeys
            | Refusal::NoSession
            | Refusal::NoSessionStore { .. }
            | Refusal::OtherOrigin(_)
            | Refusal::Store(_)
            | Refusal::UnknownPath
            | Refusal::UnknownSession(_)
            | Refusal::UnknownUser(_)
            | Refusal::Unopened(_)
            | Refusal::UnverifiedAddress(_) => None,
        }
    }

    /// The session, when it was opened before the refusal.
    pub fn session(&self) -> Option<&Session> {
        if let Refusal::Guest(session) | Refusal::UnverifiedAddress(session) = self {
            return Some(session);
        }
        if let Refusal::Store(refusal) = self {
            return refusal.session.as_deref();
        }
        if let Refusal::UnknownUser(unknown) = self {
            return Some(&unknown.session);
        }
        self.admission()?.session()
    }

    /// The store that was asked for the session, and answered.
    pub fn session_check(&self) -> Option<LookupSource> {
        if let Refusal::UnknownSession(source) = self {
            return Some(*source);
        }
        self.admission()?.found_in()
    }

    /// The store that was asked for the user, and answered.
    pub fn user_check(&self) -> Option<LookupSource> {
        if let Refusal::UnknownUser(unknown) = self {
            return Some(unknown.source);
        }
        self.admission()?.checked_by()
    }
}
