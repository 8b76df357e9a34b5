//! Better Auth: a signed token, and beside it a cookie in which the session is cached.
//!
//! The token, in the cookie `session_token`, names a session in the application's store; its signature says that the
//! application made it, and nothing about whether the session still lives. So that not every request has to ask the
//! store, the session itself can stand in a second cookie, `session_data`, for some minutes: the cookie cache. It comes in
//! three strategies, all bound to the secret (Better Auth 1.7, `dist/cookies/index.mjs`, `dist/crypto/jwt.mjs`):
//!
//! | strategy | text | protected by |
//! |---|---|---|
//! | compact | base64url of `{"session":P,"expiresAt":N,"signature":S}` | HMAC-SHA-256 over the members of P and N |
//! | jwt | a JWS (RFC 7515) | HS256 |
//! | jwe | a JWE (RFC 7516) | A256CBC-HS512 |
//!
//! A cache that does not hold is no denial: the store is asked, as the application itself does
//! (`dist/api/routes/session.mjs`).

use aws_lc_rs::hmac;
use base64::prelude::{BASE64_STANDARD, Engine as _};

use crate::base64url::{decode, decode_exactly};
use crate::cookie::{CacheStrategy, CookieCache};
use crate::error::{OpenError, Segment};
use crate::json::{self, Kept};
use crate::jwe::{Header, Jwe, MAX_HEADER_LEN, RepeatedClaims, UnverifiedKid};
use crate::jws::{Jws, JwsHeader};
use crate::key::{ContentKey, Derivation, KeyBytes, MAX_GUESSES};
use crate::session::{
    ClaimsText, Session, TOLERANCE, check_not_before, check_repeated, expiry, issued_at, time,
};
use crate::standing::{OwnStanding, StandingClaims};
use crate::subject::subject;
use crate::text_claim::TextClaim;
use crate::{ClaimDemands, Format, Secret, SessionToken, UnixTime};

/// Everything that opens the cookies of one Better Auth application.
pub(crate) struct BetterAuthKeys {
    /// Of the current secret, which alone signs.
    mac: hmac::Key,
    /// Of every secret, the current one first.
    encryption: Vec<ContentKey>,
    /// What is believed of the cache; `None` believes nothing.
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
    /// `dont_remember`, verify as well. They are told apart by their form: a token is 32 letters and digits
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
        let mut bytes = [0; 32];
        match BASE64_STANDARD.decode_slice(signature, &mut bytes) {
            Ok(32) => {}
            Ok(_) | Err(_) => return Err(OpenError::MalformedSessionToken),
        }
        hmac::verify(&self.mac, token.as_bytes(), &bytes)
            .map_err(|_| OpenError::RejectedSignature)?;
        Ok(SessionToken::new(token, Format::BetterAuthToken))
    }

    /// Whether `value` is `text` with a signature of the application behind a dot.
    pub(crate) fn has_signed(&self, text: &[u8], value: &[u8]) -> bool {
        let signature = value
            .strip_prefix(text)
            .and_then(|rest| rest.strip_prefix(b"."));
        let mut bytes = [0; 32];
        signature.is_some_and(|signature| {
            matches!(BASE64_STANDARD.decode_slice(signature, &mut bytes), Ok(32))
                && hmac::verify(&self.mac, text, &bytes).is_ok()
        })
    }

    /// Whether `value` is a session token and its signature, for whichever cookie: the token alone, or as the admin plugin
    /// signs it, with a colon and a flag behind it (`dist/plugins/admin/routes.mjs`).
    pub(crate) fn signs_token(&self, value: &[u8]) -> bool {
        let Some(dot) = memchr::memchr(b'.', value) else {
            return false;
        };
        let (signed, signature) = (&value[..dot], &value[dot + 1..]);
        let Some((token, rest)) = signed.split_at_checked(TOKEN_LEN) else {
            return false;
        };
        let mut bytes = [0; 32];
        token.iter().all(u8::is_ascii_alphanumeric)
            && matches!(rest, [] | [b':', ..])
            && BASE64_STANDARD.decode_slice(signature, &mut bytes) == Ok(32)
            && hmac::verify(&self.mac, signed, &bytes).is_ok()
    }

    /// Whether `value` is a cached session of the strategy `compact`.
    pub(crate) fn signs_compact(&self, value: &[u8]) -> bool {
        value.starts_with(COMPACT_START) && self.compact(value).is_ok()
    }

    /// Whether `value` is a cached session of the strategy `jwt`, and not another token that the application signed.
    pub(crate) fn signs_jwt(&self, value: &[u8]) -> bool {
        let is_session = |claims: Vec<u8>| memchr::memmem::find(&claims, b"\"session\":").is_some();
        self.jwt(value).is_ok_and(is_session)
    }

    /// Whether `value` is a cached session of the strategy `jwe`.
    pub(crate) fn encrypts(&self, value: &[u8]) -> bool {
        self.jwe(value, &mut [0; MAX_HEADER_LEN]).is_ok()
    }

    /// Whether the cache is believed at all.
    pub(crate) fn trusts_cache(&self) -> bool {
        self.cache.is_some()
    }

    /// Verifies the cached session that stands beside `token`.
    ///
    /// # Errors
    /// Why the cache does not hold. The store has to be asked then.
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
        let cached = Cached {
            strategy,
            version: &cache.version,
            repeated: &repeated,
        };
        cached.admit(claims, token, demands, now)
    }

    /// The signed text of a compact cache: the members of the session with `expiresAt` behind them.
    ///
    /// Better Auth parses the JSON and writes it anew to verify it. Without JavaScript's own writer that cannot be done
    /// faithfully, and need not: what the library writes is always in one order and without white space, so the signed
    /// text can be cut out of the very bytes. Whatever somebody else put together in another way does not verify.
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
        // Milliseconds. Anything more would be signed text that the library leaves out when it writes the JSON anew.
        if !signed[session + EXPIRES_AT.len()..]
            .iter()
            .all(u8::is_ascii_digit)
        {
            return Err(malformed);
        }
        let (start, end) = (b"{\"session\":".len(), signed.len());
        text.truncate(start + end);
        text.drain(..start);
        // The brace that closes the session moves behind `expiresAt`.
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

    /// Any HMAC would do for Better Auth; it only ever writes HS256.
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

/// What is known about a cached session before its claims are read.
struct Cached<'c> {
    strategy: CacheStrategy,
    version: &'c str,
    repeated: &'c RepeatedClaims<'c>,
}

impl Cached<'_> {
    /// Checks the claims of a cache that was verified (`dist/cookies/cache.mjs`, `dist/api/routes/session.mjs`): their
    /// types, that they belong to this token and version, and that both the cache and the session are still valid.
    fn admit(
        &self,
        claims: String,
        token: &SessionToken,
        demands: &ClaimDemands,
        now: UnixTime,
    ) -> Result<Session, OpenError> {
        let wanted = [
            "session.id",
            "session.token",
            "session.userId",
            "session.expiresAt",
            "session.createdAt",
            "user.id",
            "user.email",
            "user.name",
            "updatedAt",
            "version",
            "expiresAt",
            "exp",
            "nbf",
            "iat",
            "aud",
            "iss",
            "sub",
            "user.emailVerified",
            "user.isAnonymous",
            "session.impersonatedBy",
        ];
        let [
            session_id,
            session_token,
            session_user,
            session_end,
            session_start,
            user_id,
            email,
            name,
            updated_at,
            version,
            expires_at,
            exp,
            nbf,
            iat,
            aud,
            iss,
            sub,
            email_verified,
            is_anonymous,
            impersonated_by,
        ] = json::members_by_path(&claims, wanted).map_err(|_| OpenError::MalformedClaims)?;
        check_repeated(self.repeated, [&aud, &iss, &sub])?;

        let malformed = |claim| OpenError::MalformedClaim { claim };
        let _ = session_id
            .as_ref()
            .and_then(Kept::as_text)
            .ok_or(malformed("session.id"))?;
        let session_token = session_token
            .as_ref()
            .and_then(Kept::as_text)
            .ok_or(malformed("session.token"))?;
        let session_end = session_end
            .as_ref()
            .and_then(Kept::as_text)
            .and_then(UnixTime::from_iso)
            .ok_or(malformed("session.expiresAt"))?;
        let subject = subject(user_id, "user.id")?;
        let email = email
            .and_then(Kept::into_text)
            .ok_or(malformed("user.email"))?;
        let name = name
            .and_then(Kept::into_text)
            .ok_or(malformed("user.name"))?;
        let _ = time(updated_at.as_ref(), "updatedAt")?.ok_or(malformed("updatedAt"))?;
        let version = match &version {
            None => "1",
            Some(version) => match version.as_text().ok_or(malformed("version"))? {
                "" => "1",
                version => version,
            },
        };

        match self.strategy {
            CacheStrategy::Compact => {
                let end = time(expires_at.as_ref(), "expiresAt")?;
                let end = end.ok_or(OpenError::MissingExpiry)?;
                let at = expiry(end / 1000.0)?;
                if end < now.millis() as f64 {
                    return Err(OpenError::Expired { at });
                }
            }
            CacheStrategy::Jwe | CacheStrategy::Jwt => {
                let exp = time(exp.as_ref(), "exp")?.ok_or(OpenError::MissingExpiry)?;
                let at = expiry(exp)?;
                // The layer of the JWE has a tolerance, but then the library compares again, without one.
                let (expired, tolerance) = match self.strategy {
                    CacheStrategy::Jwe => (exp * 1000.0 < now.millis() as f64, TOLERANCE),
                    CacheStrategy::Compact | CacheStrategy::Jwt => (exp <= now.secs() as f64, 0.0),
                };
                if expired {
                    return Err(OpenError::Expired { at });
                }
                let nbf = time(nbf.as_ref(), "nbf")?;
                check_not_before(nbf, now.secs() as f64 + tolerance)?;
                issued_at(time(iat.as_ref(), "iat")?, now)?;
            }
        }
        if session_end < now {
            return Err(OpenError::Expired { at: session_end });
        }
        if session_token != token.expose() {
            return Err(OpenError::WrongToken);
        }
        if !same_user(session_user.as_ref(), &subject) {
            return Err(malformed("session.userId"));
        }
        if version != self.version {
            return Err(OpenError::WrongCacheVersion);
        }
        let issued_at = session_start
            .as_ref()
            .and_then(Kept::as_text)
            .and_then(UnixTime::from_iso);
        demands.check_age(issued_at, now)?;

        // The library itself takes an address for verified only where this is `true`, so `null` is a no.
        let no_if_null = |claim| match claim == Kept::Null {
            true => Kept::Bool(false),
            false => claim,
        };
        let email_verified = email_verified.map(no_if_null);
        let standing = StandingClaims {
            email_verified: [email_verified, None],
            is_anonymous: [is_anonymous, None],
            impersonated_by,
        };
        let standing = OwnStanding::of(&claims, standing);
        let [subject, email, name] =
            [subject, email, name].map(|text| TextClaim::of(&claims, text));
        Ok(Session {
            format: match self.strategy {
                CacheStrategy::Compact => Format::BetterAuthCompact,
                CacheStrategy::Jwe => Format::BetterAuthJwe,
                CacheStrategy::Jwt => Format::BetterAuthJwt,
            },
            subject,
            id: token.shared_id(),
            email: Some(email),
            name: Some(name),
            standing,
            issued_at,
            expires_at: session_end,
            claims: ClaimsText::Own(claims),
        })
    }
}

/// `session.userId`, which the library reads as text whatever it is, must be `user.id`.
fn same_user(session_user: Option<&Kept<'_>>, user_id: &str) -> bool {
    match session_user {
        Some(Kept::Text(id)) => *id == user_id,
        // An integer that a float holds exactly.
        Some(number @ (Kept::Integer(_) | Kept::Number(_))) => {
            let id = number.as_number().unwrap_or(f64::NAN);
            id.fract() == 0.0 && id.abs() < 9e15 && format!("{id:.0}") == user_id
        }
        Some(Kept::Bool(_) | Kept::Null | Kept::Other | Kept::Texts(_)) | None => false,
    }
}

/// What stands between the cached session's members and the end of its time, in the compact form.
const EXPIRES_AT: &[u8] = b"},\"expiresAt\":";

/// Letters and digits of a session token.
const TOKEN_LEN: usize = 32;

/// Characters of 32 bytes in base64url.
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
    fn what_follows_the_cached_session_is_one_number() {
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
    fn the_header_that_is_usual_says_what_it_should() {
        use base64::prelude::BASE64_URL_SAFE_NO_PAD;
        assert_eq!(
            BASE64_URL_SAFE_NO_PAD
                .encode(r#"{"alg":"HS256"}"#)
                .as_bytes(),
            USUAL_HEADER
        );
    }
}
