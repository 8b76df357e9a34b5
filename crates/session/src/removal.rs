//! Recognizes everything that could be used as a session, so that it is not forwarded to a service that must not get the session.
//!
//! That is more than the session cookie. Better Auth signs a cookie's value and not its name, so a token that was signed for
//! another cookie becomes a session token when a client sends it under that name (1.7.25):
//!
//! - `session_token_multi-<token>` of every account that is signed in in the browser (`plugins/multi-session`),
//! - `admin_session`, whose value is the token of an admin who impersonates another user, a colon and a flag
//!   (`plugins/admin/routes.mjs`).
//!
//! Other signed cookies stay: `dont_remember`, `two_factor`, `trust_device`, `state`, `oauth_state` and `account_data` are not
//! sessions.

use crate::KeyRing;
use crate::better_auth::BetterAuthKeys;
use crate::cookie::SessionCookie;
use crate::cookies::{MAX_TOKEN_LEN, percent_decode, recognize_text};
use crate::jwe::{Header, Jwe, MAX_HEADER_LEN};
use crate::signed::SigningKeys;

impl KeyRing {
    /// Whether a cookie of this name holds a session of the ring, or part of one.
    pub(crate) fn is_session_name(&self, own: &[u8]) -> bool {
        let own = without_prefix(own);
        self.cookies().any(|cookie| is_of_family(cookie, own))
    }

    /// Whether a value opens or verifies as a session, or as part of one, under any cookie name and at any age.
    pub(crate) fn is_session_value(&self, value: &[u8]) -> bool {
        if value.len() > MAX_TOKEN_LEN {
            return false;
        }
        let better_auth = |verifies: fn(&BetterAuthKeys, &[u8]) -> bool| {
            self.better_auth().is_some_and(|keys| verifies(keys, value))
        };
        match memchr::memchr_iter(b'.', value).count() {
            0 => better_auth(BetterAuthKeys::is_compact_cache),
            1 => better_auth(BetterAuthKeys::is_signed_token),
            2 => {
                let is_signed = |keys: &SigningKeys| keys.is_signed(value);
                better_auth(BetterAuthKeys::is_jwt_cache) || self.signing().is_some_and(is_signed)
            }
            4 => self.opens_encrypted(value) || better_auth(BetterAuthKeys::is_jwe_cache),
            _ => false,
        }
    }

    /// Whether the value of an `Authorization` header holds a session of the ring, read as the frameworks read it: the scheme
    /// in any case, followed by any white space (Better Auth `dist/plugins/bearer/index.mjs`).
    #[must_use]
    pub fn is_session_bearer(&self, authorization: &[u8]) -> bool {
        let Some((scheme, token)) = authorization.trim_ascii().split_at_checked(BEARER.len())
        else {
            return false;
        };
        let token = token.trim_ascii();
        let end = memchr::memchr2(b' ', b'\t', token).unwrap_or(token.len());
        scheme.eq_ignore_ascii_case(BEARER) && self.is_session_value(&percent_decode(&token[..end]))
    }

    fn opens_encrypted(&self, value: &[u8]) -> bool {
        let mut buffer = [0; MAX_HEADER_LEN];
        let Ok(jwe) = Jwe::split(value) else {
            return false;
        };
        let keys = Header::read(jwe.header, &mut buffer)
            .and_then(|header| self.keys_of_unknown_cookie(&header));
        keys.is_ok_and(|keys| keys.iter().any(|(_, key)| key.open(&jwe).is_ok()))
    }
}

/// Whether a name, without its prefix, belongs to this cookie or to another in which its application keeps sessions.
fn is_of_family(cookie: &SessionCookie, own: &[u8]) -> bool {
    let own_names = [Some(cookie.name()), cookie.data_name()];
    own_names.into_iter().flatten().any(|name| {
        let name = without_prefix(name.as_str().as_bytes());
        recognize_text(own, name).is_some()
            || cookie.is_better_auth() && (is_multi_session(own, name) || is_sibling(own, name))
    })
}

/// Whether the name is the name of the session token with a suffix: one of several accounts in the browser.
fn is_multi_session(own: &[u8], name: &[u8]) -> bool {
    own.strip_prefix(name)
        .is_some_and(|rest| rest.starts_with(b"_multi-"))
}

/// Whether the two names differ only in the last part, and Better Auth keeps sessions under both parts.
fn is_sibling(own: &[u8], name: &[u8]) -> bool {
    let prefix = SESSION_NAME_PARTS
        .iter()
        .find_map(|part| name.strip_suffix(*part));
    prefix
        .and_then(|prefix| own.strip_prefix(prefix))
        .is_some_and(|part| {
            SESSION_NAME_PARTS
                .iter()
                .any(|known| part.starts_with(known))
        })
}

/// A cookie's name without `__Secure-` or `__Host-`, prefixes that have a meaning for browsers (RFC 6265bis section 4.1.3).
fn without_prefix(name: &[u8]) -> &[u8] {
    let prefixes = [&b"__Secure-"[..], b"__Host-"];
    prefixes
        .iter()
        .find_map(|prefix| name.strip_prefix(*prefix))
        .unwrap_or(name)
}

/// The last parts of the names of Better Auth's cookies that hold sessions.
const SESSION_NAME_PARTS: [&[u8]; 3] = [b"session_token", b"session_data", b"admin_session"];

const BEARER: &[u8] = b"bearer ";
