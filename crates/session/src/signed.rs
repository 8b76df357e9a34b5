//! Session cookies that an application signs instead of encrypting them.
//!
//! Auth.js and NextAuth let an application replace `encode()` and `decode()` (`jwt` in their options). Applications that let
//! other services read the session often sign it there, with `jsonwebtoken` or `jose`, by HMAC with the bytes of the same secret.
//! The cookie then holds a JWS (RFC 7515) with the same claims as the encrypted form.
//!
//! The algorithm is HS256, HS384 or HS512. The header selects one of these, and is not trusted further. So a token that says
//! `none`, or that is signed with another kind of key, has no key here.

use aws_lc_rs::digest;

use crate::base64url::decode;
use crate::error::{OpenError, Segment};
use crate::jwe::{MAX_HEADER_LEN, RepeatedClaims};
use crate::jws::{Jws, JwsHeader};
use crate::jwt::{JwtKey, check_type};
use crate::{ClaimDemands, Format, Secret, Session, UnixTime};

/// The keys that verify the signed sessions of one application.
pub(crate) struct SigningKeys {
    /// The keys, of the current secret first.
    keys: Vec<JwtKey>,
    /// Identifies the secrets.
    fingerprint: [u8; 32],
}

impl SigningKeys {
    pub(crate) fn derive(secrets: &[Secret]) -> Self {
        let mut hash = digest::Context::new(&digest::SHA256);
        for secret in secrets {
            hash.update(digest::digest(&digest::SHA256, secret.expose()).as_ref());
        }
        let mut fingerprint = [0; 32];
        fingerprint.copy_from_slice(hash.finish().as_ref());
        Self {
            keys: secrets.iter().map(JwtKey::of_app).collect(),
            fingerprint,
        }
    }

    pub(crate) fn fingerprint(&self) -> &[u8] {
        &self.fingerprint
    }

    /// Verifies the token and its claims. A secret has no name, so each is tried, the current one first; a `kid` in the
    /// header is ignored.
    ///
    /// # Errors
    /// The errors of [`Jwt::open`](crate::Jwt::open) and of a demanded age, except that a token of another secret is
    /// [`OpenError::RejectedSignature`].
    pub(crate) fn open(
        &self,
        token: &[u8],
        demands: &ClaimDemands,
        now: UnixTime,
    ) -> Result<Session, OpenError> {
        let claims = decode(self.verify(token)?.payload, Segment::Payload)?;
        let repeated = RepeatedClaims::default();
        Session::admit(claims, token, Format::AuthJsSigned, &repeated, demands, now)
    }

    /// Whether the application has signed this token, whatever its claims say: sent as the session cookie, it could open.
    pub(crate) fn is_signed(&self, token: &[u8]) -> bool {
        self.verify(token).is_ok()
    }

    fn verify<'t>(&self, token: &'t [u8]) -> Result<Jws<'t>, OpenError> {
        let jws = Jws::split(token)?;
        let mut buffer = [0; MAX_HEADER_LEN];
        let header = JwsHeader::read(jws.header, &mut buffer)?;
        check_type(header.typ.as_ref())?;
        let signature = decode(jws.signature, Segment::Signature)?;
        let mut verified = Err(OpenError::UnknownKey);
        for key in &self.keys {
            let (key, algorithm) = key.serving(&header.alg)?;
            verified = key.verify(algorithm, jws.signed, &signature);
            if verified.is_ok() {
                break;
            }
        }
        verified.map(|()| jws)
    }
}
