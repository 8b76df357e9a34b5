//! The keys of an issuer, and which algorithms each may serve.

use core::fmt;

use jsonwebtoken::crypto::aws_lc;
use jsonwebtoken::{Algorithm, DecodingKey};
use serde::Deserialize;
use serde_json::Value;

use crate::Secret;
use crate::base64url::decoded;
use crate::error::OpenError;
use crate::json;
use crate::jwe::UnverifiedKid;
use crate::jws::JwsHeader;
use crate::secret::counted;

/// The keys of one issuer. Immutable: when the issuer changes its keys, make another set.
///
/// | key | algorithms |
/// |---|---|
/// | the shared secret, of 32, 48 or 64 bytes or more | HS256; HS384; HS512 (RFC 7518 section 3.2) |
/// | RSA, 2048 to 8192 bits | RS256, RS384, RS512, PS256, PS384, PS512 |
/// | EC, P-256 | ES256 |
/// | EC, P-384 | ES384 |
/// | OKP, Ed25519 | EdDSA, also called Ed25519 (RFC 8037, RFC 9864) |
///
/// A published key that names its `alg` serves only that algorithm. A published key is ignored if it is of another type, is
/// not for verifying signatures (`use`, `key_ops`), lacks a member, or is symmetric, because a published key is not secret.
pub struct JwtKeys {
    secret: Option<JwtKey>,
    published: Vec<PublishedKey>,
}

impl JwtKeys {
    /// The largest JWKS, in bytes: 256 KiB.
    pub const MAX_JWKS_LEN: usize = 256 * 1024;

    /// The largest number of keys in a JWKS, counting those that are ignored.
    pub const MAX_KEYS: usize = 64;

    /// Takes a secret that is shared with the issuer, and the text of the JWKS (RFC 7517 section 5) that the issuer published. A
    /// set without either opens nothing.
    ///
    /// # Errors
    /// [`JwtKeysError::ShortSecret`] for the secret, any other variant for the JWKS.
    pub fn new(secret: Option<&Secret>, jwks: Option<&str>) -> Result<Self, JwtKeysError> {
        Ok(Self {
            secret: secret.map(JwtKey::shared).transpose()?,
            published: jwks.map_or(Ok(Vec::new()), published_keys)?,
        })
    }

    /// The number of published keys that are used.
    #[must_use]
    pub fn published(&self) -> usize {
        self.published.len()
    }

    /// The pair of key and algorithm that an unverified header selects.
    pub(super) fn key_for(
        &self,
        header: &JwsHeader<'_>,
    ) -> Result<(&JwtKey, Algorithm), OpenError> {
        let is_named = |(name, _): &Named| *name == header.alg;
        if HMAC.iter().any(is_named) {
            // The secret has no name, so a `kid` in the token cannot contradict it; some issuers write one.
            let secret = self
                .secret
                .as_ref()
                .ok_or(OpenError::UnsupportedAlgorithm)?;
            return secret.serving(&header.alg);
        }
        if ![RSA, P256, P384, ED25519]
            .iter()
            .any(|names| names.iter().any(is_named))
        {
            return Err(OpenError::UnsupportedAlgorithm);
        }
        match &header.unverified_kid {
            UnverifiedKid::Absent => {
                let able = |own: &&PublishedKey| own.key.serving(&header.alg).is_ok();
                let mut able = self.published.iter().filter(able);
                match (able.next(), able.next()) {
                    (Some(only), None) => only.key.serving(&header.alg),
                    _ => Err(OpenError::UnknownKey),
                }
            }
            UnverifiedKid::NotText => Err(OpenError::UnknownKey),
            UnverifiedKid::Text(kid) => {
                let is_meant = |own: &&PublishedKey| own.kid.as_deref() == Some(kid);
                let meant = self.published.iter().find(is_meant);
                meant.ok_or(OpenError::UnknownKey)?.key.serving(&header.alg)
            }
        }
    }
}

impl fmt::Debug for JwtKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JwtKeys")
            .field("secret", &self.secret.is_some())
            .field("published", &self.published.len())
            .finish_non_exhaustive()
    }
}

/// Why a [`JwtKeys`] cannot be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum JwtKeysError {
    /// Two keys of the JWKS that would be used have the same `kid`.
    #[error("two keys of the JWKS have the same kid")]
    DuplicateKid,
    /// The JWKS is not a strict JSON object with an array `keys`.
    #[error("the JWKS is not a strict JSON object with an array `keys`")]
    Malformed,
    /// The JWKS is longer than [`JwtKeys::MAX_JWKS_LEN`].
    #[error("the JWKS is larger than 256 KiB")]
    Oversize,
    /// The secret is shorter than the shortest hash, 32 bytes (RFC 7518 section 3.2).
    #[error("the secret has only {}; HS256 needs 32, HS384 48 and HS512 64", counted(*.bytes))]
    ShortSecret {
        /// The number of bytes there are.
        bytes: usize,
    },
    /// The JWKS has more than [`JwtKeys::MAX_KEYS`] keys.
    #[error("the JWKS has more than 64 keys")]
    TooManyKeys,
}

/// A key, and the algorithms that a key of its type can serve.
pub(crate) struct JwtKey {
    material: DecodingKey,
    algorithms: &'static [Named],
}

/// A published key, and its name at the issuer.
struct PublishedKey {
    kid: Option<String>,
    key: JwtKey,
}

/// An algorithm, and its name in headers.
type Named = (&'static str, Algorithm);

impl JwtKey {
    /// A shared secret. It serves each hash that is not longer than itself: HMAC is as strong as the shorter of the two.
    fn shared(secret: &Secret) -> Result<Self, JwtKeysError> {
        let bytes = secret.len();
        let algorithms = match bytes {
            0..32 => return Err(JwtKeysError::ShortSecret { bytes }),
            32..48 => &HMAC[..1],
            48..64 => &HMAC[..2],
            64.. => HMAC,
        };
        let material = DecodingKey::from_secret(secret.expose());
        Ok(Self {
            material,
            algorithms,
        })
    }

    /// The secret of an application, which may sign its own sessions with any of the three algorithms, whatever the secret's
    /// length: `jsonwebtoken` and `jose` allow that, and the choice is the application's.
    pub(crate) fn of_app(secret: &Secret) -> Self {
        Self {
            material: DecodingKey::from_secret(secret.expose()),
            algorithms: HMAC,
        }
    }

    /// This key with the algorithm called `alg`, if the key serves it.
    pub(crate) fn serving(&self, alg: &str) -> Result<(&Self, Algorithm), OpenError> {
        let named = self.algorithms.iter().find(|(name, _)| *name == alg);
        let (_, algorithm) = named.ok_or(OpenError::UnsupportedAlgorithm)?;
        Ok((self, *algorithm))
    }

    pub(crate) fn verify(
        &self,
        algorithm: Algorithm,
        signed: &[u8],
        signature: &Vec<u8>,
    ) -> Result<(), OpenError> {
        // Always this backend, whatever features of the library other crates in the build enable.
        let new_verifier = aws_lc::DEFAULT_PROVIDER.verifier_factory;
        new_verifier(&algorithm, &self.material)
            .map_err(|_| OpenError::UnsupportedAlgorithm)?
            .verify(signed, signature)
            .map_err(|_| OpenError::RejectedSignature)
    }
}

/// The members of a JSON Web Key (RFC 7517 section 4, RFC 7518 section 6, RFC 8037 section 2) that matter here.
#[derive(Deserialize)]
struct Jwk {
    kty: String,
    #[serde(rename = "use")]
    public_key_use: Option<String>,
    key_ops: Option<Vec<String>>,
    alg: Option<String>,
    kid: Option<String>,
    crv: Option<String>,
    n: Option<String>,
    e: Option<String>,
    x: Option<String>,
    y: Option<String>,
}

fn published_keys(jwks: &str) -> Result<Vec<PublishedKey>, JwtKeysError> {
    #[derive(Deserialize)]
    struct Jwks {
        keys: Vec<Value>,
    }
    if jwks.len() > JwtKeys::MAX_JWKS_LEN {
        return Err(JwtKeysError::Oversize);
    }
    json::members(jwks, []).map_err(|_| JwtKeysError::Malformed)?;
    let jwks: Jwks = serde_json::from_str(jwks).map_err(|_| JwtKeysError::Malformed)?;
    if jwks.keys.len() > JwtKeys::MAX_KEYS {
        return Err(JwtKeysError::TooManyKeys);
    }
    // RFC 7517 section 5: ignore keys that are not understood.
    let jwks = jwks
        .keys
        .into_iter()
        .filter_map(|jwk| Jwk::deserialize(jwk).ok());
    let keys: Vec<_> = jwks.filter_map(Jwk::into_key).collect();
    let mut kids: Vec<_> = keys.iter().filter_map(|own| own.kid.as_deref()).collect();
    kids.sort_unstable();
    if kids.windows(2).any(|pair| matches!(pair, [a, b] if a == b)) {
        return Err(JwtKeysError::DuplicateKid);
    }
    Ok(keys)
}

impl Jwk {
    /// The key, if it can verify signatures here.
    fn into_key(self) -> Option<PublishedKey> {
        let for_signatures = self
            .public_key_use
            .as_deref()
            .is_none_or(|text| text == "sig");
        let for_verifying = |ops: &Vec<String>| ops.iter().any(|op| op == "verify");
        if !for_signatures || !self.key_ops.as_ref().is_none_or(for_verifying) {
            return None;
        }
        let (material, algorithms) = match (self.kty.as_str(), self.crv.as_deref()) {
            ("RSA", _) => (self.rsa()?, RSA),
            ("EC", Some("P-256")) => (self.ec(32)?, P256),
            ("EC", Some("P-384")) => (self.ec(48)?, P384),
            ("OKP", Some("Ed25519")) => (self.ed25519()?, ED25519),
            _ => return None,
        };
        let algorithms = match &self.alg {
            None => algorithms,
            Some(alg) => {
                let at = algorithms.iter().position(|(name, _)| name == alg)?;
                algorithms.get(at..=at)?
            }
        };
        Some(PublishedKey {
            kid: self.kid,
            key: JwtKey {
                material,
                algorithms,
            },
        })
    }

    fn rsa(&self) -> Option<DecodingKey> {
        let (n, e) = (
            decoded(self.n.as_ref()?.as_bytes())?,
            decoded(self.e.as_ref()?.as_bytes())?,
        );
        // Some issuers write leading zeros, which RFC 7518 section 6.3.1.1 forbids; they do not count toward the size.
        let zeros = n.iter().take_while(|byte| **byte == 0).count();
        let n = &n[zeros..];
        let bits = n.len() * 8 - n.first()?.leading_zeros() as usize;
        RSA_BITS
            .contains(&bits)
            .then(|| DecodingKey::from_rsa_raw_components(n, &e))
    }

    fn ec(&self, coordinate_len: usize) -> Option<DecodingKey> {
        let (x, y) = (
            decoded(self.x.as_ref()?.as_bytes())?,
            decoded(self.y.as_ref()?.as_bytes())?,
        );
        // The uncompressed form of SEC 1 section 2.3.3. Whether the point is on the curve is checked with each use.
        let fits = [&x, &y].iter().all(|bytes| bytes.len() == coordinate_len);
        fits.then(|| DecodingKey::from_ec_der(&[&[4], x.as_slice(), y.as_slice()].concat()))
    }

    fn ed25519(&self) -> Option<DecodingKey> {
        let x = decoded(self.x.as_ref()?.as_bytes())?;
        (x.len() == 32).then(|| DecodingKey::from_ed_der(&x))
    }
}

/// Larger keys cost too much per request; smaller keys are not secure (RFC 7518 section 3.3).
const RSA_BITS: core::ops::RangeInclusive<usize> = 2048..=8192;

/// HMAC algorithms, in the order of the secret's length that they need.
const HMAC: &[Named] = &[
    ("HS256", Algorithm::HS256),
    ("HS384", Algorithm::HS384),
    ("HS512", Algorithm::HS512),
];

const RSA: &[Named] = &[
    ("RS256", Algorithm::RS256),
    ("RS384", Algorithm::RS384),
    ("RS512", Algorithm::RS512),
    ("PS256", Algorithm::PS256),
    ("PS384", Algorithm::PS384),
    ("PS512", Algorithm::PS512),
];

const P256: &[Named] = &[("ES256", Algorithm::ES256)];

const P384: &[Named] = &[("ES384", Algorithm::ES384)];

const ED25519: &[Named] = &[("EdDSA", Algorithm::EdDSA), ("Ed25519", Algorithm::EdDSA)];
