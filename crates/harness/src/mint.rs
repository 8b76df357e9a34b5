//! Genuine session cookies, sealed by the `session` crate as the frameworks seal them.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{Map, Value};
use session::{CookieName, Secret, seal};

/// A secret that start-up accepts: long enough, and not a known default.
pub const SECRET: &str = "harness-secret-7f3kQ9xW2mVb8Rz1LtYc5NdJ0p";

/// The cookie that Auth.js v5 uses over plain HTTP.
pub const AUTHJS: &str = "authjs.session-token";

/// The cookie that NextAuth v4 uses over plain HTTP.
pub const NEXTAUTH: &str = "next-auth.session-token";

/// A session to be sealed: under [`SECRET`], and valid for an hour, unless changed.
#[derive(Clone, Debug)]
pub struct Mint {
    secret: String,
    cookie: Option<String>,
    claims: Map<String, Value>,
}

impl Mint {
    /// Makes a session of the user with this id.
    pub fn user(id: &str) -> Self {
        Self {
            secret: SECRET.to_owned(),
            cookie: None,
            claims: Map::new(),
        }
        .claim("sub", id)
        .claim("iat", now())
        .claim("jti", format!("jti-{}", unique()))
        .expiring_in(3600)
    }

    /// Sets a claim, in place of an earlier value.
    #[must_use]
    pub fn claim(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.claims.insert(name.to_owned(), value.into());
        self
    }

    /// Leaves a claim out.
    #[must_use]
    pub fn without(mut self, name: &str) -> Self {
        self.claims.remove(name);
        self
    }

    /// Sets its expiry to this many seconds from now; a negative number is in the past.
    #[must_use]
    pub fn expiring_in(self, seconds: i64) -> Self {
        self.claim("exp", now() + seconds)
    }

    /// Sets its time of issue to this many seconds ago.
    #[must_use]
    pub fn issued_ago(self, seconds: i64) -> Self {
        self.claim("iat", now() - seconds)
    }

    /// Seals it under another secret.
    #[must_use]
    pub fn secret(mut self, secret: &str) -> Self {
        secret.clone_into(&mut self.secret);
        self
    }

    /// Seals it for a cookie of another name, and sends it in that cookie.
    #[must_use]
    pub fn named(mut self, cookie: &str) -> Self {
        self.cookie = Some(cookie.to_owned());
        self
    }

    /// Returns the token as Auth.js v5 makes it.
    pub fn authjs_token(&self) -> String {
        seal::authjs(&self.key(), &self.name(AUTHJS), &self.claims, iv())
    }

    /// Returns the cookie, `name=value`, as Auth.js v5 sets it; long ones in chunks, as `a=…; b=…`.
    pub fn authjs(&self) -> String {
        self.in_cookies(AUTHJS, &self.authjs_token(), seal::AUTHJS_CHUNK_LEN)
    }

    /// Returns the cookie as [`Mint::authjs`] does, but in chunks of `length` bytes.
    pub fn authjs_chunked(&self, length: usize) -> String {
        self.in_cookies(AUTHJS, &self.authjs_token(), length)
    }

    /// Returns the cookie as earlier releases of `@auth/core` set it: A256GCM, without the id of a key.
    pub fn authjs_gcm(&self) -> String {
        let token = seal::authjs_gcm(&self.key(), &self.name(AUTHJS), &self.claims, iv());
        self.in_cookies(AUTHJS, &token, seal::AUTHJS_CHUNK_LEN)
    }

    /// Returns the token as NextAuth v4 makes it.
    pub fn nextauth_token(&self) -> String {
        seal::nextauth(&self.key(), &self.claims, iv())
    }

    /// Returns the cookie, `name=value`, as NextAuth v4 sets it; long ones in chunks.
    pub fn nextauth(&self) -> String {
        self.in_cookies(NEXTAUTH, &self.nextauth_token(), seal::NEXTAUTH_CHUNK_LEN)
    }

    fn in_cookies(&self, cookie: &str, token: &str, chunk: usize) -> String {
        let cookies = seal::chunks(&self.name(cookie), token, chunk);
        let pairs: Vec<_> = cookies
            .iter()
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        pairs.join("; ")
    }

    fn key(&self) -> Secret {
        Secret::new(self.secret.as_bytes())
    }

    fn name(&self, default: &str) -> CookieName {
        self.cookie
            .as_deref()
            .unwrap_or(default)
            .parse()
            .expect("a cookie name")
    }
}

/// Returns the current time, in seconds since 1970.
pub fn now() -> i64 {
    i64::try_from(since_epoch().as_secs()).expect("before the year 292277026596")
}

#[expect(
    clippy::disallowed_methods,
    reason = "a running gate accepts only sessions that are valid now"
)]
fn since_epoch() -> std::time::Duration {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .expect("after 1970")
}

/// Returns an initialization vector that does not repeat: tests need it to be unique, not to be secret.
fn iv<const N: usize>() -> [u8; N] {
    let mut iv = [0; N];
    iv[..4].copy_from_slice(&std::process::id().to_be_bytes());
    iv[4..12].copy_from_slice(&unique().to_be_bytes());
    iv
}

/// Returns a number that differs on every call, and between processes that start at different nanoseconds.
fn unique() -> u64 {
    static CALLS: AtomicU64 = AtomicU64::new(0);
    let call = CALLS.fetch_add(1, Ordering::Relaxed) & 0xffff_ffff;
    u64::from(since_epoch().subsec_nanos()) << 32 | call
}
