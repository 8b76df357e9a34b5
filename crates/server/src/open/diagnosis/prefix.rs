//! The prefix of cookie names that browsers send only over HTTPS.

use session::CookieName;

/// The name that the cookie has over HTTPS instead of HTTP, or the reverse.
pub(super) fn other_prefix(name: &CookieName) -> Option<CookieName> {
    match name.as_str().strip_prefix(SECURE) {
        Some(plain) => plain.parse().ok(),
        None => format!("{SECURE}{name}").parse().ok(),
    }
}

/// The prefix of cookies that browsers send only over HTTPS.
pub(super) const SECURE: &str = "__Secure-";
