//! The outcome of an inspection.

use std::ops::Not;

use serde::Serialize;
use serde_json::{Map, Value};
use session::{CookieName, KeyRingError, UnixTime};

use super::cache_expiry::CacheExpiry;

/// The outcome of an inspection.
#[derive(Debug)]
pub(crate) enum Outcome {
    /// A valid session.
    Session {
        /// Its cookie, or `None` if it was in `Authorization`.
        cookie: Option<CookieName>,
        /// Its format, by its stable name.
        format: &'static str,
        /// All its claims.
        claims: Map<String, Value>,
        /// When it expires.
        expires_at: UnixTime,
        /// How long it is valid as a cookie cache of Better Auth, if it is one.
        cache: Option<CacheExpiry>,
    },
    /// A session token, whose session only the app's store knows. It is genuine, if its format has a signature.
    Token {
        /// Its cookie, or `None` if it was in `Authorization`.
        cookie: Option<CookieName>,
        /// Its format, by its stable name.
        format: &'static str,
        /// The token.
        token: String,
        /// Whether a cookie cache beside it is ignored, because `TRUST_COOKIE_CACHE` is off.
        ignores_cache: bool,
    },
    /// No valid session.
    Refused(RefusedSession),
}

/// Why there is no valid session.
#[derive(Debug, Serialize)]
pub(crate) struct RefusedSession {
    /// The reason code in the audit log.
    pub(crate) reason: &'static str,
    /// The reason in words.
    pub(crate) message: String,
    /// The likely cause, if it could be found.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) likely_cause: Option<String>,
    /// The name of the cookie that the reason is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) cookie: Option<String>,
    /// The format of that cookie, by its stable name: found by opening it, or from its shape.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) format: Option<&'static str>,
    /// Whether a gate would still look up the session, because the token beside a refused cookie cache is genuine.
    #[serde(rename = "lookup_required", skip_serializing_if = "Not::not")]
    pub(crate) needs_lookup: bool,
    /// Whether the value was decrypted or verified, and refused because of its claims.
    #[serde(skip)]
    pub(crate) is_verified: bool,
}

/// Why a header cannot be inspected.
#[derive(Debug, thiserror::Error)]
pub(crate) enum InspectionError {
    /// The secrets and cookies do not fit together.
    #[error(transparent)]
    KeyRing(#[from] KeyRingError),
}
