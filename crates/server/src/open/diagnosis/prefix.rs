//! The prefix of cookie names that says that a browser sends them over https alone.

use session::CookieName;

/// The name that the same cookie has on https, or on http.
pub(super) fn other_prefix(name: &CookieName) -> Option<CookieName> {
    match name.as_str().strip_prefix(SECURE) {
        Some(plain) => plain.parse().ok(),
        None => format!("{SECURE}{name}").parse().ok(),
    }
}

/// The prefix of cookies that a browser sends over https alone.
pub(super) const SECURE: &str = "__Secure-";
