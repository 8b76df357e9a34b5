//! Signed tokens of a configured issuer: JWTs (RFC 7519) that machines and APIs send as `Authorization: Bearer`.
//!
//! JWT libraries have failed where the token chooses the key and the algorithm (RFC 8725 section 2): a token that says
//! `none`, or one that an attacker signed by HMAC with the issuer's *public* key. Here a token chooses neither. [`JwtKeys`]
//! holds keys, each with the few algorithms that a key of its type can serve. The header only selects one of these pairs, and
//! a pair that does not exist is an unknown key. Keys that a header contains or points to (`jwk`, `x5c`, `jku`, `x5u`) are
//! never read.

mod keys;

use core::fmt;

use crate::base64url::decode;
use crate::cookies::MAX_TOKEN_LEN;
use crate::error::{OpenError, Segment};
use crate::json::Kept;
use crate::jwe::{MAX_HEADER_LEN, RepeatedClaims, UnverifiedKid};
use crate::jws::{Jws, JwsHeader};
use crate::{ClaimDemands, Format, Session, UnixTime};

pub(crate) use self::keys::JwtKey;
pub use self::keys::{JwtKeys, JwtKeysError};

/// A signed token in a request. [`open`](Self::open) verifies it; before that nothing in it can be trusted.
///
/// ```
/// use session::{Format, Jwt, JwtDemands, JwtKeys, Secret, UnixTime};
/// # use jsonwebtoken::{EncodingKey, Header, encode};
/// # use serde_json::json;
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let secret = Secret::new("3q2+7wAAc0Y1m5C0p0mXq8xJY2Z1b2xkZXI=");
/// let keys = JwtKeys::new(Some(&secret), None)?;
/// let demands = JwtDemands::new("https://issuer.example", "orders-api");
///
/// // What the issuer signed:
/// let claims = json!({
///     "iss": "https://issuer.example", "aud": "orders-api", "sub": "billing-job", "exp": 1_900_000_000_u64
/// });
/// # let token = encode(&Header::default(), &claims, &EncodingKey::from_secret(secret.expose()))?;
/// let authorization = format!("Bearer {token}");
///
/// let jwt = Jwt::find([authorization.as_bytes()])?.ok_or("no token")?;
/// let session = jwt.open(&keys, &demands, UnixTime::from_secs(1_899_999_000))?;
/// assert_eq!((session.subject(), session.format()), ("billing-job", Format::Jwt));
/// # Ok(())
/// # }
/// ```
#[must_use]
pub struct Jwt<'a> {
    text: &'a [u8],
}

impl<'a> Jwt<'a> {
    /// Finds the token in a request's `Authorization` header values: scheme `Bearer`, in any case (RFC 9110 section 11.1), and
    /// three segments. `Ok(None)` means that there is no such token, although there may be one of another kind.
    ///
    /// # Errors
    /// [`OpenError::AmbiguousAuthorization`] or [`OpenError::Oversize`].
    pub fn find(
        authorization: impl IntoIterator<Item = &'a [u8]>,
    ) -> Result<Option<Self>, OpenError> {
        let mut authorization = authorization.into_iter();
        let (Some(value), other) = (authorization.next(), authorization.next()) else {
            return Ok(None);
        };
        if other.is_some() {
            return Err(OpenError::AmbiguousAuthorization);
        }
        let Some((scheme, text)) = value.split_at_checked(SCHEME.len()) else {
            return Ok(None);
        };
        let text = text.trim_ascii();
        if !scheme.eq_ignore_ascii_case(SCHEME) || memchr::memchr_iter(b'.', text).count() != 2 {
            return Ok(None);
        }
        if text.len() > MAX_TOKEN_LEN {
            return Err(OpenError::Oversize);
        }
        Ok(Some(Self { text }))
    }

    /// The name of the key that the token claims to be signed with, if it names one. A client can write any name, so use it only
    /// to find the key.
    #[must_use]
    pub fn unverified_kid(&self) -> Option<String> {
        let jws = Jws::split(self.text).ok()?;
        let mut buffer = [0; MAX_HEADER_LEN];
        match JwsHeader::read(jws.header, &mut buffer)
            .ok()?
            .unverified_kid
        {
            UnverifiedKid::Text(kid) => Some(kid.to_string()),
            UnverifiedKid::Absent | UnverifiedKid::NotText => None,
        }
    }

    /// Verifies the signature, then the claims, at the time `now`.
    ///
    /// # Errors
    /// For a token that is malformed, of another key, or changed: [`OpenError::MalformedHeader`],
    /// [`OpenError::MalformedToken`], [`OpenError::RejectedSignature`], [`OpenError::UnknownKey`],
    /// [`OpenError::UnsupportedAlgorithm`], [`OpenError::UnsupportedHeader`]. Only [`OpenError::UnknownKey`] can become
    /// a success with newer keys of the same issuer. For a genuine token whose claims do not hold:
    /// [`OpenError::Expired`], [`OpenError::ExpiryOutOfRange`], [`OpenError::IssuedInFuture`],
    /// [`OpenError::MalformedClaim`], [`OpenError::MalformedClaims`], [`OpenError::MissingExpiry`],
    /// [`OpenError::MissingSubject`], [`OpenError::NotYetValid`], [`OpenError::WrongAudience`] or
    /// [`OpenError::WrongIssuer`].
    pub fn open(
        &self,
        keys: &JwtKeys,
        demands: &JwtDemands,
        now: UnixTime,
    ) -> Result<Session, OpenError> {
        let jws = Jws::split(self.text)?;
        let mut buffer = [0; MAX_HEADER_LEN];
        let header = JwsHeader::read(jws.header, &mut buffer)?;
        check_type(header.typ.as_ref())?;
        let (key, algorithm) = keys.key_for(&header)?;
        key.verify(
            algorithm,
            jws.signed,
            &decode(jws.signature, Segment::Signature)?,
        )?;
        let claims = decode(jws.payload, Segment::Payload)?;
        let repeated = RepeatedClaims::default();
        Session::admit(claims, self.text, Format::Jwt, &repeated, &demands.0, now)
    }
}

impl fmt::Debug for Jwt<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Jwt")
            .field("bytes", &self.text.len())
            .finish_non_exhaustive()
    }
}

/// The issuer and the audience that a token must name. An issuer signs tokens for many audiences with the same keys, so
/// neither can be left out (RFC 8725 sections 3.8 and 3.9).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JwtDemands(ClaimDemands);

impl JwtDemands {
    /// Demands `issuer`, the exact value of `iss`, and `audience`, which `aud` must be or, if it is an array, contain.
    #[must_use]
    pub fn new(issuer: impl Into<String>, audience: impl Into<String>) -> Self {
        Self(ClaimDemands {
            issuer: Some(issuer.into()),
            audience: Some(audience.into()),
            max_age: None,
            subject_claim: None,
            sign_in_claim: None,
        })
    }

    /// Reads the user's id from this claim instead of `sub`: see [`ClaimDemands::subject_claim`].
    #[must_use]
    pub fn with_subject_claim(mut self, claim: Option<String>) -> Self {
        self.0.subject_claim = claim;
        self
    }
}

/// Refuses a token that was signed for another purpose (RFC 8725 section 3.11): `typ` must be absent, `JWT`, or `at+jwt`, the
/// type of access tokens (RFC 9068 section 2.1), in any case, with or without `application/`.
pub(crate) fn check_type(typ: Option<&Kept<'_>>) -> Result<(), OpenError> {
    let is_known = |typ: &str| {
        let typ = typ.to_ascii_lowercase();
        ["jwt", "at+jwt"].contains(&typ.strip_prefix("application/").unwrap_or(&typ))
    };
    match typ {
        None => Ok(()),
        Some(typ) if typ.as_text().is_some_and(is_known) => Ok(()),
        Some(_) => Err(OpenError::UnsupportedHeader { member: "typ" }),
    }
}

const SCHEME: &[u8] = b"Bearer ";

#[cfg(test)]
mod tests;
