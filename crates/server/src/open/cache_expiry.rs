//! The lifetime of Better Auth's cookie cache: minutes, regardless of the session's lifetime.

use std::ops::Not;

use serde::Serialize;
use serde_json::{Map, Value};
use session::{Format, KeyRing, UnixTime};

use super::diagnosis;
use super::inspection::Inspection;

/// When a cookie cache expires, and what happens then.
#[derive(Debug, Serialize)]
pub(crate) struct CacheExpiry {
    /// The seconds until it expires, from the time of the inspection.
    expires_in: u64,
    /// Whether the app never renews it, because the session is one without "remember me" or is impersonated.
    #[serde(skip_serializing_if = "Not::not")]
    not_renewed: bool,
    #[serde(skip)]
    ends_at: UnixTime,
}

impl CacheExpiry {
    /// The term of the cookie cache that contains a session; `None` for any other session.
    pub(super) fn of_cache(
        format: Format,
        claims: &Map<String, Value>,
        keys: &KeyRing,
        inspection: &Inspection<'_>,
    ) -> Option<Self> {
        let number = |name| claims.get(name).and_then(Value::as_f64);
        let millis = match format {
            Format::BetterAuthCompact => number("expiresAt")?,
            Format::BetterAuthJwe | Format::BetterAuthJwt => number("exp")? * 1000.0,
            Format::AuthJs
            | Format::AuthJsDatabase
            | Format::AuthJsSigned
            | Format::BetterAuthToken
            | Format::Jwt
            | Format::NextAuth => return None,
        };
        // The session opened, so it is a valid time; the conversion saturates.
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "fractions of a millisecond do not matter, and there is no time before 1970"
        )]
        let ends_at = UnixTime::from_millis(millis as u64);
        Some(Self {
            expires_in: ends_at.saturating_since(inspection.now).as_secs(),
            not_renewed: session::cache_is_not_renewed(keys, [inspection.cookie_header]),
            ends_at,
        })
    }

    /// The term in words, with the text about the session itself.
    pub(super) fn text(&self, session: &str, now: UnixTime) -> String {
        let left = self.ends_at.saturating_since(now);
        let left = match left.as_secs() {
            0..600 => format!("{} s", left.as_secs()),
            _ => diagnosis::span(left),
        };
        let then = match self.not_renewed {
            true => {
                "the app does not renew it after it expires, because the session is one without \"remember me\" or of \
                 an admin who impersonates a user: then a gate queries the app's session store, and without one \
                 refuses the session for good"
            }
            false => {
                "then a gate queries the app's session store; without one it refuses the session until the app has \
                 renewed the cache"
            }
        };
        format!(
            "this is its cookie cache, which is valid for another {left}; {then}. About the session itself: {session}"
        )
    }
}
