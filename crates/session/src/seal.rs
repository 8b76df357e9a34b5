//! Writes sessions as the frameworks write them: for tests, demos and development tools.
//!
//! Sealing a session signs a user in, which is the application's job; a gate only opens sessions. Nothing here reads a clock or
//! makes random bytes: initialization vectors are arguments, and must never repeat under the same key. The frameworks' `encode()`
//! adds `iat`, `exp` and `jti` to the claims; here you have to add them yourself.

use aws_lc_rs::hmac;
use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD, Engine as _};
use serde_json::{Map, Value};

use crate::cookie::Library;
use crate::jwe::Enc;
use crate::key::{Derivation, Iv, KeyBytes};
use crate::{CookieName, Secret, UnixTime};

/// The length of a chunk that Auth.js v5 writes: 4096 characters less 160 (`@auth/core` `src/lib/utils/cookie.ts`).
pub const AUTHJS_CHUNK_LEN: usize = 3936;

/// The length of a chunk that NextAuth v4 writes: 4096 characters less 163 (`next-auth` 4 `src/core/lib/cookie.ts`).
pub const NEXTAUTH_CHUNK_LEN: usize = 3933;

/// The length of a chunk of Better Auth's default cookie over plain http; it depends on the cookie's name and attributes
/// (`dist/cookies/session-store.mjs`).
pub const BETTER_AUTH_CHUNK_LEN: usize = 3977;

/// A session as Auth.js v5 writes it today: A256CBC-HS512, with the key's name in the header. It opens only under `cookie`.
#[must_use]
pub fn authjs(
    secret: &Secret,
    cookie: &CookieName,
    claims: &Map<String, Value>,
    iv: [u8; 16],
) -> String {
    let key = encryption_key(secret, Library::AuthJs, cookie.as_str(), Enc::A256CbcHs512);
    key.seal(&key.usual_header(), Iv::Cbc(iv), json(claims).as_bytes())
}

/// A session as `@auth/core` 0.18.1 to 0.22.0 wrote it, which later releases still read: A256GCM, without a key's name.
#[must_use]
pub fn authjs_gcm(
    secret: &Secret,
    cookie: &CookieName,
    claims: &Map<String, Value>,
    iv: [u8; 12],
) -> String {
    let key = encryption_key(secret, Library::AuthJs, cookie.as_str(), Enc::A256Gcm);
    key.seal(&key.usual_header(), Iv::Gcm(iv), json(claims).as_bytes())
}

/// A session as NextAuth v4 writes it: A256GCM. It opens under any cookie name of NextAuth.
#[must_use]
pub fn nextauth(secret: &Secret, claims: &Map<String, Value>, iv: [u8; 12]) -> String {
    let key = encryption_key(secret, Library::NextAuth, "", Enc::A256Gcm);
    key.seal(&key.usual_header(), Iv::Gcm(iv), json(claims).as_bytes())
}

/// Better Auth's `session_token`: the token, a dot, and the HMAC-SHA-256 of the token, percent-encoded as in the cookie. `secret`
/// must be the current one.
#[must_use]
pub fn better_auth_token(secret: &Secret, token: &str) -> String {
    let signature = hmac::sign(&hmac_key(secret), token.as_bytes());
    let signature = BASE64_STANDARD.encode(signature);
    format!(
        "{token}.{}",
        signature
            .replace('+', "%2B")
            .replace('/', "%2F")
            .replace('=', "%3D")
    )
}

/// Better Auth's `session_data`, strategy `compact`. `cached` has the members `session`, `user`, `updatedAt` and
/// `version`; `expires_at` is when the cache ends.
#[must_use]
pub fn better_auth_compact(
    secret: &Secret,
    cached: &Map<String, Value>,
    expires_at: UnixTime,
) -> String {
    let session = json(cached);
    let expires_at = expires_at.millis();
    let members = session.strip_suffix('}').unwrap_or(&session);
    let signed = format!(r#"{members},"expiresAt":{expires_at}}}"#);
    let signature = hmac::sign(&hmac_key(secret), signed.as_bytes());
    let signature = BASE64_URL_SAFE_NO_PAD.encode(signature);
    BASE64_URL_SAFE_NO_PAD.encode(format!(
        r#"{{"session":{session},"expiresAt":{expires_at},"signature":"{signature}"}}"#
    ))
}

/// Better Auth's `session_data`, strategy `jwt`. `cached` has the members of [`better_auth_compact`], and `iat` and
/// `exp`.
#[must_use]
pub fn better_auth_jwt(secret: &Secret, cached: &Map<String, Value>) -> String {
    sign_hs256(secret, r#"{"alg":"HS256"}"#, cached)
}

/// The signed session of an application whose `encode()` is `jsonwebtoken.sign(token, secret)`: HS256.
#[must_use]
pub fn authjs_signed(secret: &Secret, claims: &Map<String, Value>) -> String {
    sign_hs256(secret, r#"{"alg":"HS256","typ":"JWT"}"#, claims)
}

/// Better Auth's `session_data`, strategy `jwe`. `cached` has the members of [`better_auth_jwt`], and `jti`.
#[must_use]
pub fn better_auth_jwe(secret: &Secret, cached: &Map<String, Value>, iv: [u8; 16]) -> String {
    let key = KeyBytes::derive(secret, Derivation::BetterAuth);
    key.seal(&key.usual_header(), Iv::Cbc(iv), json(cached).as_bytes())
}

/// The cookies, as name and value, that carry a token: one under the plain name if the token has at most `limit` bytes
/// (at least 1), otherwise chunks `name.0`, `name.1` and so on of `limit` bytes each, the last one shorter.
#[must_use]
pub fn chunks(name: &CookieName, token: &str, limit: usize) -> Vec<(String, String)> {
    if token.len() <= limit {
        return vec![(name.to_string(), token.to_owned())];
    }
    let mut rest = token;
    let mut cookies = Vec::new();
    while !rest.is_empty() {
        // A token is ASCII; any other text is cut at the next character boundary.
        let end = (limit.max(1)..rest.len())
            .find(|at| rest.is_char_boundary(*at))
            .unwrap_or(rest.len());
        let (chunk, tail) = rest.split_at(end);
        cookies.push((format!("{name}.{}", cookies.len()), chunk.to_owned()));
        rest = tail;
    }
    cookies
}

fn encryption_key(secret: &Secret, library: Library, salt: &str, enc: Enc) -> KeyBytes {
    KeyBytes::derive(secret, Derivation::Encrypted { library, salt, enc })
}

fn sign_hs256(secret: &Secret, header: &str, claims: &Map<String, Value>) -> String {
    let [header, claims] = [header, &json(claims)].map(|text| BASE64_URL_SAFE_NO_PAD.encode(text));
    let signed = format!("{header}.{claims}");
    let signature = hmac::sign(&hmac_key(secret), signed.as_bytes());
    format!("{signed}.{}", BASE64_URL_SAFE_NO_PAD.encode(signature))
}

fn hmac_key(secret: &Secret) -> hmac::Key {
    hmac::Key::new(hmac::HMAC_SHA256, secret.expose())
}

fn json(claims: &Map<String, Value>) -> String {
    serde_json::to_string(claims).expect("a map of JSON values is JSON")
}
