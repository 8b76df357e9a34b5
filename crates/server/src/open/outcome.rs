//! What comes out when a header is looked at.

use std::ops::Not;

use serde::Serialize;
use serde_json::{Map, Value};
use session::{CookieName, KeyRingError, UnixTime};

use super::term::Term;

/// What came out.
#[derive(Debug)]
pub(crate) enum Outcome {
    /// A session, whole and valid.
    Session {
        /// Where it was, if not in `Authorization`.
        cookie: Option<CookieName>,
        /// Its format, in a stable word.
        format: &'static str,
        /// Everything it says.
        claims: Map<String, Value>,
        /// When it ends.
        expires_at: UnixTime,
        /// For how long it counts, if it is the cookie cache of Better Auth.
        cache: Option<Term>,
    },
    /// A genuine token, about which only the app's store can say more.
    Token {
        /// Where it was, if not in `Authorization`.
        cookie: Option<CookieName>,
        /// Its format, in a stable word.
        format: &'static str,
        /// The token.
        token: String,
        /// Whether a cookie cache beside it is not believed, because `TRUST_COOKIE_CACHE` is off.
        ignores_cache: bool,
    },
    /// No session.
    Refused(RefusedSession),
}

/// Why there is no session.
#[derive(Debug, Serialize)]
pub(crate) struct RefusedSession {
    /// The code that the audit log would show.
    pub(crate) reason: &'static str,
    /// The same in words.
    pub(crate) message: String,
    /// What probably went wrong, where that could be found out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) likely_cause: Option<String>,
    /// The name of the cookie that matters.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) cookie: Option<String>,
    /// What that cookie holds, in the stable word of a format: found out by opening it, or told by its shape.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) format: Option<&'static str>,
    /// Whether a gate would still ask the app's store, because the token beside a refused cookie cache is genuine.
    #[serde(rename = "lookup_required", skip_serializing_if = "Not::not")]
    pub(crate) needs_lookup: bool,
    /// Whether the value was decrypted or verified, and refused for what it says.
    #[serde(skip)]
    pub(crate) is_verified: bool,
}

/// Why a header cannot be inspected.
#[derive(Debug, thiserror::Error)]
pub(crate) enum InspectionError {
    /// The secrets or cookies do not go together.
    #[error(transparent)]
    KeyRing(#[from] KeyRingError),
}
