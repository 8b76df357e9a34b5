//! Checks the vectors of the session crate: sessions that the real libraries wrote, and changed copies of them.

#[path = "../../crates/session/tests/common/vector.rs"]
mod vector;

use session::CacheStrategy;

use self::vector::{Expect, Vector};
use crate::{App, Kind, Request, compare};

/// Compares the session crate with the reference on every vector.
///
/// # Panics
/// When they disagree, or the session crate's verdict is not the one that the vector expects.
pub fn check() {
    for vector in vector::all() {
        let app = vector.app();
        let request = Request {
            cookie: vector.cookie_header.into_bytes(),
            authorization: vector.authorization.map(String::into_bytes),
            now: vector.now,
        };
        let outcome = compare(&app, &app.ring(), &request);
        let opened = match vector.format.as_str() {
            "better-auth-signed-token" => outcome.token.is_some() || outcome.session.is_some(),
            _ => outcome.session.is_some(),
        };
        assert_eq!(opened, vector.expect == Expect::Valid, "{}", vector.name);
    }
}

impl Vector {
    fn app(&self) -> App {
        let kind = match self.format.as_str() {
            "nextauth-v4" => Kind::NextAuth,
            format if format.starts_with("better-auth") => Kind::BetterAuth,
            _ => Kind::AuthJs,
        };
        let strategy = match self.format.as_str() {
            "better-auth-compact" => Some(CacheStrategy::Compact),
            "better-auth-jwe" => Some(CacheStrategy::Jwe),
            "better-auth-jwt" => Some(CacheStrategy::Jwt),
            _ => None,
        };
        let cookie_name = self.token_cookie_name.as_ref().unwrap_or(&self.cookie_name);
        App {
            kind,
            secrets: self.secrets.clone(),
            cookie_name: cookie_name.clone(),
            data_name: cookie_name.replace("session_token", "session_data"),
            salt: self.salt.clone().unwrap_or_default(),
            strategy,
            version: self.cache_version.clone().unwrap_or("1".to_owned()),
        }
    }
}
