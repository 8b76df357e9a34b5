//! Why a request may not enter. Many reasons inside, few faces outside.

use session::{OpenError, Session};
use thiserror::Error;

use crate::{Admission, Source, StoreError};

/// Why a request may not enter. For the log and the metrics; a stranger sees only its [`Answer`].
#[derive(Debug, Error)]
pub enum Refusal {
    /// The path could be read as another one, for which another rule holds.
    #[error("the path can be read in more than one way")]
    AmbiguousPath,
    /// The session is good, but it is a guest's, and guests may not enter.
    #[error("the user is a guest, who has never signed up")]
    Guest(Box<Session>),
    /// The request carries a signed token, and the issuer's keys were never to be had: nobody can say whether it is good.
    #[error("the issuer's keys are not known yet")]
    NoIssuerKeys,
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
    /// The request would enter, but its user is not one of those whom the calling proxy lets enter.
    #[error("the calling proxy lets other users enter")]
    Restricted(Box<Admission>),
    /// The session is good, but nobody can say whether its user still exists.
    #[error(transparent)]
    Store(StoreRefusal),
    /// The session is good, but it knows its user by nothing else than an e-mail address, which nobody has verified.
    #[error("the user is known by an e-mail address alone, and the session calls it unverified")]
    UnverifiedAddress(Box<Session>),
    /// No store knows the session of this token: it was signed out, or never was.
    #[error("no such session")]
    UnknownSession(Source),
    /// The session is good, but its user does not exist any more.
    #[error("no such user")]
    UnknownUser(UnknownUser),
    /// What the request carries as its session does not open.
    #[error(transparent)]
    Unopened(#[from] OpenError),
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
    pub source: Source,
}

/// What a stranger may see of a refusal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// The request has no single meaning: 400, and the connection is closed.
    BadRequest,
    /// Known, but not allowed: 403.
    Forbid,
    /// Sign in first: 302 to the sign-in page for a browser, 401 for everything else.
    SignIn,
    /// A store of truth, or an issuer without whose keys nothing can be said, is down: 503, try again later.
    Unavailable,
}

impl Refusal {
    /// The stable code of this refusal in the audit log and the metrics.
    pub fn reason(&self) -> &'static str {
        match self {
            Refusal::AmbiguousPath => "ambiguous_path",
            Refusal::Guest(_) => "anonymous",
            Refusal::NoIssuerKeys => "issuer_unavailable",
            Refusal::NoSession => "no_credential",
            Refusal::NoSessionStore {
                not_renewed: true, ..
            } => "cache_not_renewed",
            Refusal::NoSessionStore {
                cache: Some(flaw), ..
            } => flaw.reason(),
            Refusal::NoSessionStore { cache: None, .. } => "no_session_store",
            Refusal::Restricted(_) => "restricted",
            Refusal::Store(_) => "store_unavailable",
            Refusal::UnknownSession(_) => "session_missing",
            Refusal::UnknownUser(_) => "user_missing",
            Refusal::Unopened(error) => error.reason(),
            Refusal::UnverifiedAddress(_) => "email_unverified",
        }
    }

    /// The face of this refusal. Everything that is wrong with a session looks the same from outside.
    pub fn answer(&self) -> Answer {
        match self {
            Refusal::AmbiguousPath => Answer::BadRequest,
            // The app's sign-in page is where a guest becomes a user.
            Refusal::Guest(_)
            | Refusal::NoSession
            | Refusal::NoSessionStore { .. }
            | Refusal::UnknownSession(_)
            | Refusal::Unopened(_) => Answer::SignIn,
            Refusal::NoIssuerKeys | Refusal::Store(_) => Answer::Unavailable,
            Refusal::Restricted(_) | Refusal::UnknownUser(_) | Refusal::UnverifiedAddress(_) => {
                Answer::Forbid
            }
        }
    }

    /// The session, when it was opened before the refusal.
    pub fn session(&self) -> Option<&Session> {
        match self {
            Refusal::AmbiguousPath
            | Refusal::NoIssuerKeys
            | Refusal::NoSession
            | Refusal::NoSessionStore { .. }
            | Refusal::UnknownSession(_)
            | Refusal::Unopened(_) => None,
            Refusal::Restricted(admission) => admission.session(),
            Refusal::Store(refusal) => refusal.session.as_deref(),
            Refusal::Guest(session) | Refusal::UnverifiedAddress(session) => Some(session),
            Refusal::UnknownUser(unknown) => Some(&unknown.session),
        }
    }

    /// The store that was asked for the session, and answered.
    pub fn session_check(&self) -> Option<Source> {
        match self {
            Refusal::Restricted(admission) => admission.found_in(),
            Refusal::UnknownSession(source) => Some(*source),
            Refusal::AmbiguousPath
            | Refusal::Guest(_)
            | Refusal::NoIssuerKeys
            | Refusal::NoSession
            | Refusal::NoSessionStore { .. }
            | Refusal::Store(_)
            | Refusal::UnknownUser(_)
            | Refusal::Unopened(_)
            | Refusal::UnverifiedAddress(_) => None,
        }
    }

    /// The store that was asked for the user, and answered.
    pub fn user_check(&self) -> Option<Source> {
        match self {
            Refusal::Restricted(admission) => admission.checked_by(),
            Refusal::AmbiguousPath
            | Refusal::Guest(_)
            | Refusal::NoIssuerKeys
            | Refusal::NoSession
            | Refusal::NoSessionStore { .. }
            | Refusal::Store(_)
            | Refusal::UnknownSession(_)
            | Refusal::Unopened(_)
            | Refusal::UnverifiedAddress(_) => None,
            Refusal::UnknownUser(unknown) => Some(unknown.source),
        }
    }
}
