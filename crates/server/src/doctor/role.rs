//! Determines the purpose of a cookie from its name.

/// The purpose of a framework's cookie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum CookieRole {
    /// Better Auth's cache of the session (`session_data`).
    Cache,
    /// The URL to return to after sign-in.
    Callback,
    /// Protection against cross-site request forgery.
    Csrf,
    /// The state of a sign-in in progress: `state`, `nonce`, `pkce.code_verifier`.
    Flow,
    /// The session, or its token.
    Session,
}

impl CookieRole {
    /// The purpose of a cookie with this name; `None` for one that is unrelated to sessions. `read` are the names that the
    /// gate reads.
    pub(super) fn of(name: &str, read: &[String]) -> Option<Self> {
        let whole = without_chunk(name);
        let bare = bare(whole);
        // The frameworks' names: Auth.js `packages/core/src/lib/utils/cookie.ts`, NextAuth `core/lib/cookie.js`,
        // Better Auth `dist/cookies/index.mjs`.
        let is_framework = ["authjs.", "next-auth.", "better-auth."]
            .iter()
            .any(|prefix| bare.starts_with(prefix));
        match bare {
            _ if bare.ends_with("session_data") => Some(Self::Cache),
            _ if bare.ends_with("session-token") || bare.ends_with("session_token") => {
                Some(Self::Session)
            }
            _ if read.iter().any(|known| known == whole) => Some(Self::Session),
            _ if !is_framework => None,
            _ if bare.ends_with(".csrf-token") => Some(Self::Csrf),
            _ if bare.ends_with(".callback-url") => Some(Self::Callback),
            _ if FLOW.iter().any(|step| bare.ends_with(step)) => Some(Self::Flow),
            _ => None,
        }
    }

    /// Whether the value signs its holder in.
    pub(super) fn is_session(self) -> bool {
        match self {
            Self::Cache | Self::Session => true,
            Self::Callback | Self::Csrf | Self::Flow => false,
        }
    }
}

/// The name without a chunk number, as in `authjs.session-token.0`.
pub(super) fn without_chunk(name: &str) -> &str {
    match name.rsplit_once('.') {
        Some((whole, chunk))
            if !chunk.is_empty() && chunk.bytes().all(|it| it.is_ascii_digit()) =>
        {
            whole
        }
        Some(_) | None => name,
    }
}

/// The name without the prefix `__Host-` or `__Secure-`.
pub(super) fn bare(name: &str) -> &str {
    let mut prefixes = ["__Host-", "__Secure-"].iter();
    prefixes
        .find_map(|prefix| name.strip_prefix(prefix))
        .unwrap_or(name)
}

/// The name of the session cookie that belongs to a CSRF cookie: Auth.js and NextAuth use `__Host-` for the CSRF cookie and
/// `__Secure-` for the session cookie, or no prefix for both.
pub(super) fn session_beside_csrf(csrf: &str) -> Option<String> {
    let family = bare(csrf).strip_suffix("csrf-token")?;
    let prefix = if csrf == bare(csrf) { "" } else { "__Secure-" };
    Some(format!("{prefix}{family}session-token"))
}

const FLOW: [&str; 4] = [".state", ".nonce", ".pkce.code_verifier", ".challenge"];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cookie_names_tell_their_role() {
        let read = ["sid".to_owned()];
        for (name, role) in [
            ("__Secure-authjs.session-token", Some(CookieRole::Session)),
            ("authjs.session-token.12", Some(CookieRole::Session)),
            ("next-auth.session-token", Some(CookieRole::Session)),
            ("__Secure-shop.session_token", Some(CookieRole::Session)),
            ("better-auth.session_data.0", Some(CookieRole::Cache)),
            ("__Host-authjs.csrf-token", Some(CookieRole::Csrf)),
            (
                "__Secure-next-auth.callback-url",
                Some(CookieRole::Callback),
            ),
            ("authjs.pkce.code_verifier", Some(CookieRole::Flow)),
            ("better-auth.state", Some(CookieRole::Flow)),
            ("sid.1", Some(CookieRole::Session)),
            ("csrf-token", None),
            ("_ga", None),
            ("better-auth.dont_remember", None),
        ] {
            assert_eq!(CookieRole::of(name, &read), role, "{name}");
        }
    }

    #[test]
    fn a_session_cookie_is_expected_beside_the_csrf_cookie() {
        for (csrf, session) in [
            ("__Host-authjs.csrf-token", "__Secure-authjs.session-token"),
            ("next-auth.csrf-token", "next-auth.session-token"),
        ] {
            assert_eq!(session_beside_csrf(csrf).as_deref(), Some(session));
        }
        assert_eq!(session_beside_csrf("csrftoken"), None);
    }
}
