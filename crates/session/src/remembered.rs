//! Better Auth's cookie `dont_remember`: whether the application will ever renew the cookie cache beside a token.

use crate::cookies::{self, Quotes};
use crate::{KeyRing, better_auth::BetterAuthKeys};

/// Whether the application will not renew the cookie cache of this browser's session.
///
/// Better Auth sets `dont_remember`, signed, for a session that was started with `rememberMe: false`, and for an admin who
/// impersonates a user (1.7.25, `dist/cookies/index.mjs` `setSessionCookie`, `dist/plugins/admin/routes.mjs` `impersonateUser`).
/// Where it is set, `get-session` answers from its store without renewing the cookie cache (`dist/api/routes/session.mjs`): once
/// the first cache has ended, only the store knows the session.
///
/// The cookie's name depends on the application's prefix and can be changed, so the end of the name and the signature decide.
/// Returns `false` where the ring ignores cookie caches.
#[must_use]
pub fn cache_is_not_renewed<'a>(
    keys: &KeyRing,
    cookie_headers: impl IntoIterator<Item = &'a [u8]>,
) -> bool {
    let Some(keys) = keys
        .better_auth()
        .filter(|keys: &&BetterAuthKeys| keys.trusts_cache())
    else {
        return false;
    };
    let is_dont_remember = |pair: &[u8]| {
        cookies::name_and_value(pair).is_some_and(|(name, value)| {
            name.ends_with(NAME) && keys.has_signed(MARK, &cookies::decode(value, Quotes::Removed))
        })
    };
    cookie_headers
        .into_iter()
        .flat_map(cookies::pairs)
        .any(is_dont_remember)
}

/// The end of the cookie's name.
const NAME: &[u8] = b"dont_remember";

/// The signed value.
const MARK: &[u8] = b"true";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Secret, SessionCookie, seal};

    /// A ring of one Better Auth application with this secret.
    fn ring(secret: &Secret, is_trusting: bool) -> KeyRing {
        let cookies = SessionCookie::better_auth_defaults("better-auth").unwrap();
        let cookies = cookies.map(|cookie| match is_trusting {
            true => cookie,
            false => cookie.with_cache(None),
        });
        KeyRing::new(std::slice::from_ref(secret), cookies.into()).unwrap()
    }

    #[test]
    fn the_signed_mark_counts_under_any_prefix() {
        let secret = Secret::new("3q2+7wAAc0Y1m5C0p0mXq8xJY2Z1b2xkZXI=");
        let mark = seal::better_auth_token(&secret, "true");
        let keys = ring(&secret, true);
        let is_marked =
            |header: &str| cache_is_not_renewed(&keys, [b"a=b".as_slice(), header.as_bytes()]);
        for name in [
            "better-auth.dont_remember",
            "__Secure-better-auth.dont_remember",
            "shop.dont_remember",
        ] {
            assert!(is_marked(&format!("theme=dark; {name}={mark}")), "{name}");
        }
        for header in [
            "better-auth.dont_remember=true".to_owned(),
            "better-auth.dont_remember=".to_owned(),
            format!("better-auth.dont_remember=x{mark}"),
            format!(
                "better-auth.dont_remember={}",
                seal::better_auth_token(&secret, "false")
            ),
            format!(
                "better-auth.dont_remember={}",
                seal::better_auth_token(&Secret::new("another"), "true")
            ),
            format!("better-auth.session_token={mark}"),
        ] {
            assert!(!is_marked(&header), "{header}");
        }
        let header = format!("better-auth.dont_remember={mark}");
        let asking = ring(&secret, false);
        assert!(!cache_is_not_renewed(&asking, [header.as_bytes()]));
    }
}
