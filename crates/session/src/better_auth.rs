//! Better Auth: a signed token, and beside it a cookie in which the session is cached.
//!
//! The token, in the cookie `session_token`, names a session in the application's store. Its signature proves that the
//! application made it, and says nothing about whether the session is still valid. To save lookups, a second cookie,
//! `session_data`, can hold the session itself for some minutes: the cookie cache. It comes in three strategies, all bound to
//! the secret (Better Auth 1.7, `dist/cookies/index.mjs`, `dist/crypto/jwt.mjs`):
//!
//! | strategy | text | protected by |
//! |---|---|---|
//! | compact | base64url of `{"session":P,"expiresAt":N,"signature":S}` | HMAC-SHA-256 over the members of P and N |
//! | jwt | a JWS (RFC 7515) | HS256 |
//! | jwe | a JWE (RFC 7516) | A256CBC-HS512 |
//!
//! A cache that is not valid does not refuse the session: the session is looked up in the store, as the application itself does
//! (`dist/api/routes/session.mjs`).

mod cached;

use aws_lc_rs::hmac;
use base64::prelude::{BASE64_STANDARD, Engine as _};

use self::cached::CachedSession;

use crate::base64url::{decode, decode_exactly};
use crate::cookie::{CacheStrategy, CookieCache};
use crate::error::{OpenError, Segment};
use crate::jwe::{Header, Jwe, MAX_HEADER_LEN, RepeatedClaims, UnverifiedKid};
use crate::jws::{Jws, JwsHeader};
use crate::key::{ContentKey, Derivation, KeyBytes, MAX_GUESSES};
use crate::{ClaimDemands, Format, Secret, Session, SessionToken, UnixTime};

/// The keys that open the cookies of one Better Auth application.
pub(crate) struct BetterAuthKeys {
    /// Derived from the current secret, the only one that signs.
    mac: hmac::Key,
    /// Derived from every secret, the current one first.
    encryption: Vec<ContentKey>,
    /// The demands on a cookie cache; `None` ignores every cache.
    cache: Option<CookieCache>,
}

impl BetterAuthKeys {
    pub(crate) fn derive(secrets: &[Secret], cache: Option<CookieCache>) -> Self {
        let current = secrets.first().map(Secret::expose).unwrap_or_default();
        let derive = |secret| ContentKey::new(&KeyBytes::derive(secret, Derivation::BetterAuth));
        Self {
            mac: hmac::Key::new(hmac::HMAC_SHA256, current),
            encryption: secrets.iter().map(derive).collect(),
            cache,
        }
    }

    pub(crate) fn encryption_keys(&self) -> &[ContentKey] {
        &self.encryption
    }

    /// Verifies `token.signature`.
    ///
    /// The signature does not cover the cookie's name, so the values of other signed cookies, such as `true` of
    /// `dont_remember`, verify as well. The form tells them apart: a token is 32 letters and digits
    /// (`dist/db/internal-adapter.mjs`).
    ///
    /// # Errors
    /// [`OpenError::MalformedSessionToken`] or [`OpenError::RejectedSignature`].
    pub(crate) fn open_token(&self, value: &[u8]) -> Result<SessionToken, OpenError> {
        let dot = value.iter().rposition(|byte| *byte == b'.');
        let (token, signature) = dot
            .map(|dot| (&value[..dot], &value[dot + 1..]))
            .ok_or(OpenError::MalformedSessionToken)?;
        let token = str::from_utf8(token)
            .ok()
            .filter(|token| token.len() == TOKEN_LEN)
            .filter(|token| token.bytes().all(|byte| byte.is_ascii_alphanumeric()))
            .ok_or(OpenError::MalformedSessionToken)?;
        let signature = decoded_signature(signature).ok_or(OpenError::MalformedSessionToken)?;
        hmac::verify(&self.mac, token.as_bytes(), &signature)
            .map_err(|_| OpenError::RejectedSignature)?;
        Ok(SessionToken::new(token, Format::BetterAuthToken))
    }

    /// Whether `value` is `text`, a dot, and the application's signature of `text`.
    pub(crate) fn has_signed(&self, text: &[u8], value: &[u8]) -> bool {
        let signature = value
            .strip_prefix(text)
            .and_then(|rest| rest.strip_prefix(b"."));
        signature.is_some_and(|signature| self.verifies(text, signature))
    }

    /// Whether `value` is a signed session token, of any cookie: the token alone, or followed by a colon and a flag, as the admin
    /// plugin signs it (`dist/plugins/admin/routes.mjs`).
    pub(crate) fn is_signed_token(&self, value: &[u8]) -> bool {
        let Some(dot) = memchr::memchr(b'.', value) else {
            return false;
        };
        let (signed, signature) = (&value[..dot], &value[dot + 1..]);
        let Some((token, rest)) = signed.split_at_checked(TOKEN_LEN) else {
            return false;
        };
        token.iter().all(u8::is_ascii_alphanumeric)
            && matches!(rest, [] | [b':', ..])
            && self.verifies(signed, signature)
    }

    /// Whether `signature` is the application's signature of `text`, in base64.
    fn verifies(&self, text: &[u8], signature: &[u8]) -> bool {
        decoded_signature(signature)
            .is_some_and(|signature| hmac::verify(&self.mac, text, &signature).is_ok())
    }

    /// Whether `value` is a cached session of the strategy `compact`.
    pub(crate) fn is_compact_cache(&self, value: &[u8]) -> bool {
        value.starts_with(COMPACT_START) && self.compact(value).is_ok()
    }

    /// Whether `value` is a cached session of the strategy `jwt`, and not another token that the application signed.
    pub(crate) fn is_jwt_cache(&self, value: &[u8]) -> bool {
        let is_session = |claims: Vec<u8>| memchr::memmem::find(&claims, b"\"session\":").is_some();
        self.jwt(value).is_ok_and(is_session)
    }

    /// Whether `value` is a cached session of the strategy `jwe`.
    pub(crate) fn is_jwe_cache(&self, value: &[u8]) -> bool {
        self.jwe(value, &mut [0; MAX_HEADER_LEN]).is_ok()
    }

    /// Whether cookie caches are used at all.
    pub(crate) fn trusts_cache(&self) -> bool {
        self.cache.is_some()
    }

    /// Verifies the cached session that came with `token`.
    ///
    /// # Errors
    /// Why the cache is rejected. The session then has to be looked up.
    pub(crate) fn open_cache(
        &self,
        value: &[u8],
        token: &SessionToken,
        demands: &ClaimDemands,
        now: UnixTime,
    ) -> Result<Session, OpenError> {
        let malformed = OpenError::MalformedToken {
            segment: Segment::Structure,
        };
        let cache = self.cache.as_ref().ok_or(malformed.clone())?;
        let strategy = match memchr::memchr_iter(b'.', value).count() {
            0 => CacheStrategy::Compact,
            2 => CacheStrategy::Jwt,
            4 => CacheStrategy::Jwe,
            _ => return Err(malformed),
        };
        if cache.strategy.is_some_and(|only| only != strategy) {
            return Err(malformed);
        }
        let mut buffer = [0; MAX_HEADER_LEN];
        let (claims, repeated) = match strategy {
            CacheStrategy::Compact => (self.compact(value)?, RepeatedClaims::default()),
            CacheStrategy::Jwe => self.jwe(value, &mut buffer)?,
            CacheStrategy::Jwt => (self.jwt(value)?, RepeatedClaims::default()),
        };
        let claims = String::from_utf8(claims).map_err(|_| OpenError::MalformedClaims)?;
        let cached = CachedSession {
            strategy,
            version: &cache.version,
            repeated: &repeated,
        };
        cached.admit(claims, token, demands, now)
    }

    /// Verifies a compact cache, and returns the signed text: the members of the session, followed by `expiresAt`.
    ///
    /// To verify the cache, Better Auth parses the JSON and serializes it again. Only JavaScript's own serializer reproduces that
    /// text exactly, but none is needed here: the library always writes the members in one order and without white space, so
    /// the signed text is cut out of the bytes received. JSON that is laid out in another way does not verify.
    fn compact(&self, value: &[u8]) -> Result<Vec<u8>, OpenError> {
        let malformed = OpenError::MalformedToken {
            segment: Segment::Payload,
        };
        let mut text = decode(value, Segment::Payload)?;
        let outer = text
            .strip_prefix(b"{\"session\":")
            .and_then(|rest| rest.strip_suffix(b"\"}"))
            .ok_or(malformed.clone())?;
        let (outer, signature) = outer
            .split_at_checked(outer.len().saturating_sub(SIGNATURE_LEN))
            .ok_or(malformed.clone())?;
        let signature: [u8; 32] = decode_exactly(signature, Segment::Signature)?;
        let signed = outer
            .strip_suffix(b",\"signature\":\"")
            .ok_or(malformed.clone())?;
        let session = memchr::memmem::rfind(signed, EXPIRES_AT).ok_or(malformed.clone())?;
        // Milliseconds. Anything else would be signed text that the library drops when it serializes the JSON again.
        if !signed[session + EXPIRES_AT.len()..]
            .iter()
            .all(u8::is_ascii_digit)
        {
            return Err(malformed);
        }
        let (start, end) = (b"{\"session\":".len(), signed.len());
        text.truncate(start + end);
        text.drain(..start);
        // Move the brace that closes the session to the end, after `expiresAt`.
        text.remove(session);
        text.push(b'}');
        hmac::verify(&self.mac, &text, &signature).map_err(|_| OpenError::RejectedSignature)?;
        Ok(text)
    }

    fn jwe<'h>(
        &self,
        value: &[u8],
        buffer: &'h mut [u8; MAX_HEADER_LEN],
    ) -> Result<(Vec<u8>, RepeatedClaims<'h>), OpenError> {
        let jwe = Jwe::split(value)?;
        let usual = |key: &&ContentKey| key.usual_header.as_bytes() == jwe.header;
        if let Some(key) = self.encryption.iter().find(usual) {
            return Ok((key.open(&jwe)?, RepeatedClaims::default()));
        }
        let header = Header::read(jwe.header, buffer)?;
        let fitting = self.encryption.iter().filter(|key| key.enc == header.enc);
        let mut result = Err(OpenError::UnknownKey);
        match &header.unverified_kid {
            UnverifiedKid::Absent => {
                for key in fitting.take(MAX_GUESSES) {
                    result = key.open(&jwe);
                    if !matches!(result, Err(OpenError::RejectedTag)) {
                        break;
                    }
                }
            }
            UnverifiedKid::NotText => {}
            UnverifiedKid::Text(kid) => {
                if let Some(key) = fitting.into_iter().find(|key| *key.kid == **kid) {
                    result = key.open(&jwe);
                }
            }
        }
        Ok((result?, header.repeated))
    }

    /// Verifies a cache of the strategy `jwt`. Better Auth would accept any HMAC, but only ever writes HS256.
    fn jwt(&self, value: &[u8]) -> Result<Vec<u8>, OpenError> {
        let jws = Jws::split(value)?;
        if jws.header != USUAL_HEADER {
            let mut buffer = [0; MAX_HEADER_LEN];
            let header = JwsHeader::read(jws.header, &mut buffer)?;
            if header.alg != "HS256" {
                return Err(OpenError::UnsupportedAlgorithm);
            }
        }
        let signature: [u8; 32] = decode_exactly(jws.signature, Segment::Signature)?;
        hmac::verify(&self.mac, jws.signed, &signature)
            .map_err(|_| OpenError::RejectedSignature)?;
        decode(jws.payload, Segment::Payload)
    }
}

/// The bytes of a signature in standard base64, with padding.
fn decoded_signature(text: &[u8]) -> Option<[u8; 32]> {
    let mut bytes = [0; 32];
    let decoded = BASE64_STANDARD.decode_slice(text, &mut bytes);
    matches!(decoded, Ok(32)).then_some(bytes)
}

/// The text between the members of the cached session and its expiry, in the compact form.
const EXPIRES_AT: &[u8] = b"},\"expiresAt\":";

/// The length of a session token, in letters and digits.
const TOKEN_LEN: usize = 32;

/// The length of 32 bytes in base64url.
const SIGNATURE_LEN: usize = 43;

/// `{"session":{` in base64url: how every cache of the strategy `compact` begins.
const COMPACT_START: &[u8] = b"eyJzZXNzaW9uIjp7";

/// `{"alg":"HS256"}` in base64url: the header of every cache of the strategy `jwt`.
const USUAL_HEADER: &[u8] = b"eyJhbGciOiJIUzI1NiJ9";

#[cfg(test)]
mod tests {
    use base64::prelude::BASE64_URL_SAFE_NO_PAD;

    use super::*;

    #[test]
    fn the_cached_session_is_followed_by_one_number() {
        let secret = Secret::new("x");
        let keys = BetterAuthKeys::derive(std::slice::from_ref(&secret), None);
        let opens = |end: &str| {
            let signed = format!(r#"{{"a":1,"expiresAt":{end}}}"#);
            let signature = hmac::sign(&keys.mac, signed.as_bytes());
            let signature = BASE64_URL_SAFE_NO_PAD.encode(signature);
            let text =
                format!(r#"{{"session":{{"a":1}},"expiresAt":{end},"signature":"{signature}"}}"#);
            let value = BASE64_URL_SAFE_NO_PAD.encode(text);
            keys.compact(value.as_bytes()).is_ok()
        };
        assert!(opens("1900000000000"));
        for end in [" 1", "1 ", "1,\"b\":2", "-1", "1.5", "{}"] {
            assert!(!opens(end), "{end}");
        }
    }

    #[test]
    fn the_usual_header_has_the_right_members() {
        assert_eq!(
            BASE64_URL_SAFE_NO_PAD
                .encode(r#"{"alg":"HS256"}"#)
                .as_bytes(),
            USUAL_HEADER
        );
    }
}
