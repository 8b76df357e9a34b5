//! The vectors of the session crate: what the real libraries wrote, and changed copies of it.

use serde::Deserialize;
use session::CacheStrategy;

use crate::{App, Kind, Request, agree};

/// Asks both opinions about every vector.
///
/// # Panics
/// When they disagree, or one of them refuses a valid session.
pub fn check() {
    let vectors = include_str!("../../crates/session/tests/data/sessions.json");
    let vectors: Vec<Vector> = serde_json::from_str(vectors).expect("vectors");
    for vector in vectors {
        let app = vector.app();
        let request = Request {
            cookie: vector.cookie_header.into_bytes(),
            authorization: vector.authorization.map(String::into_bytes),
            now: vector.now,
        };
        let opinion = agree(&app, &app.ring(), &request);
        let opened = match vector.format.as_str() {
            "better-auth-signed-token" => opinion.token.is_some() || opinion.session.is_some(),
            _ => opinion.session.is_some(),
        };
        assert_eq!(opened, vector.expect == "valid", "{}", vector.name);
    }
}

#[derive(Deserialize)]
struct Vector {
    name: String,
    format: String,
    secrets: Vec<String>,
    salt: Option<String>,
    cookie_name: String,
    cookie_header: String,
    authorization: Option<String>,
    now: u64,
    expect: String,
    cache_version: Option<String>,
    token_cookie_name: Option<String>,
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
