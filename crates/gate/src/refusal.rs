//! Why a request may not enter: many reasons for the log, a few classes for the client.

use session::{OpenError, Session};
use thiserror::Error;

use crate::{
    Admission, Ambiguity, ClaimedOrigin, LookupSource, RateLimited, RevokedBy, Route, StoreError,
};

/// A request that may not enter, and the route that governs it.
#[derive(Debug)]
pub struct Refused<'g> {
    /// `None` when no single route governs the request.
    pub route: Option<&'g Route>,
    /// Why the request may not enter.
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
    /// Refuses a request before a route is chosen.
    fn from(refusal: Refusal) -> Self {
        Self {
            route: None,
            refusal,
        }
    }
}

/// Why a request may not enter. For the log and the metrics; the client learns only its [`RefusalClass`].
#[derive(Debug, Error)]
pub enum Refusal {
    /// The path or the method could be read as another one, which another route governs; or no honest client sends the path.
    #[error("{}", .0.summary())]
    AmbiguousPath(Ambiguity),
    /// The route is closed to everybody.
    #[error("the route is closed")]
    Denied,
    /// The session is valid, but the user is a guest, and guests may not enter.
    #[error("the user is a guest, who has never signed up")]
    Guest(Box<Session>),
    /// The user's row says that the user may not enter anywhere: banned, deleted, or not active.
    #[error("the user is not active")]
    Inactive(Box<Admission>),
    /// The rule looks at a value of the session or the user's row whose type cannot be compared with what the rule demands.
    #[error("a value that the rule checks cannot be compared with what it demands")]
    Incomparable(Incomparable),
    /// The request carries a signed token, and the issuer's keys were never received, so the token cannot be verified.
    #[error("the issuer's keys are not known yet")]
    NoIssuerKeys,
    /// The request has a valid session, and no route matches it.
    #[error("no route matches the request")]
    NoRoute(Box<Admission>),
    /// The request carries no session at all.
    #[error("the request carries no session")]
    NoSession,
    /// The request carries the token of a session that has to be looked up, and no session store is configured.
    #[error("the session must be looked up, and no session store is configured")]
    NoSessionStore {
        /// Why the session cached beside the token cannot be used, if there was one.
        cache: Option<OpenError>,
        /// Whether the application will not renew the cache: it does not for a session without "remember me", nor for an admin
        /// who impersonates a user.
        not_renewed: bool,
    },
    /// The request may change something, and it comes from a page of another origin or does not say from where.
    #[error(
        "a request that may change something must come from a page of this host, as Sec-Fetch-Site or Origin shows; {0}"
    )]
    OtherOrigin(ClaimedOrigin),
    /// The client, its user, or all clients together exceed a rate limit.
    #[error(transparent)]
    RateLimited(RateLimited),
    /// The request would enter, but the calling proxy does not let this user enter.
    #[error("the calling proxy does not let this user enter")]
    Restricted(Box<Admission>),
    /// The session was revoked, or all sessions of its user, or of all users, that were issued before a certain time.
    #[error(transparent)]
    Revoked(RevokedSession),
    /// A store does not answer, so it is unknown whether the session or its user still exists, or was revoked.
    #[error(transparent)]
    Store(StoreRefusal),
    /// The path of the request is not known, and routes differ by path.
    #[error("the path is not known, and routes differ by path")]
    UnknownPath,
    /// The session is valid, but the rule has a condition on the session, its user or the request that is not met.
    #[error("the request does not meet the rule's condition")]
    Unmet(Box<Admission>),
    /// A value about the user cannot be written into its header.
    #[error("a value about the user cannot be encoded in the route's headers")]
    Unwritable(Box<Admission>),
    /// The session is valid, but identifies its user only by an e-mail address that is not verified.
    #[error("the session identifies its user only by an unverified e-mail address")]
    UnverifiedAddress(Box<Session>),
    /// No store has the session of this token: it was signed out, or never existed.
    #[error("no such session")]
    UnknownSession(LookupSource),
    /// The session is valid, but its user no longer exists.
    #[error("no such user")]
    UnknownUser(UnknownUser),
    /// The session in the request does not open.
    #[error(transparent)]
    Unopened(#[from] OpenError),
}

/// A session with a value that cannot be compared with what a rule demands.
#[derive(Debug)]
pub struct Incomparable {
    /// The grounds on which the request would have entered.
    pub admission: Box<Admission>,
    /// The name of the value and its type, without the value itself.
    pub what: Box<str>,
}

/// A session that was revoked.
#[derive(Debug, Error)]
#[error("{by}")]
pub struct RevokedSession {
    /// The grounds on which the request would have entered.
    pub admission: Box<Admission>,
    /// What revoked it.
    pub by: RevokedBy,
}

/// A session that could not be looked up, or whose user or revocation could not be checked.
#[derive(Debug, Error)]
#[error("{error}")]
pub struct StoreRefusal {
    /// The session, opened and verified, unless the session itself could not be looked up.
    pub session: Option<Box<Session>>,
    /// Why the authoritative store did not answer.
    pub error: StoreError,
}

/// A session whose user is not in a store.
#[derive(Debug)]
pub struct UnknownUser {
    /// The session, opened and verified.
    pub session: Box<Session>,
    /// The store that answered.
    pub source: LookupSource,
}

/// The class of a refusal, which is all that the client learns about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RefusalClass {
    /// The request is ambiguous: 400, and the connection is closed, unless a calling proxy asked.
    BadRequest,
    /// The user or the request is not allowed, and signing in would not help: 403.
    Forbid,
    /// The user is known, but no route matches: 404.
    NotFound,
    /// The client has to sign in first: 302 to the sign-in page for a browser, 401 for other clients.
    SignIn,
    /// A rate limit is exceeded: 429, try again later.
    TooMany,
    /// An authoritative store, or the issuer whose keys are needed, is unavailable: 503, try again later.
    Unavailable,
}

impl Refusal {
    /// Returns the stable code of this refusal in the audit log and the metrics.
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

    /// Returns the class of this refusal. The client does not learn what is wrong with a session.
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

    /// Returns the grounds on which the request would have entered, if it was refused after its user was known.
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

    /// Returns the session, if it was opened before the refusal.
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

    /// Returns the store that answered the lookup of the session.
    pub fn session_check(&self) -> Option<LookupSource> {
        if let Refusal::UnknownSession(source) = self {
            return Some(*source);
        }
        self.admission()?.found_in()
    }

    /// Returns the store that answered the lookup of the user.
    pub fn user_check(&self) -> Option<LookupSource> {
        if let Refusal::UnknownUser(unknown) = self {
            return Some(unknown.source);
        }
        self.admission()?.checked_by()
    }
}
