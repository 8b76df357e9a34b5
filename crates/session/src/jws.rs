//! The structure of a signed token: three segments, and the header that says how it is signed.
//!
//! A JWS in compact form (RFC 7515 section 7.1) is `header.payload.signature`, each unpadded base64url. Everything here is
//! still unverified: it decides only which key is tried.

use std::borrow::Cow;

use crate::base64url::decoded_text;
use crate::error::{OpenError, Segment};
use crate::json::{self, Kept};
use crate::jwe::{MAX_HEADER_LEN, UnverifiedKid};

/// A token split into its segments, as text. Nothing is decoded or verified yet.
pub(crate) struct Jws<'t> {
    pub(crate) header: &'t [u8],
    pub(crate) payload: &'t [u8],
    pub(crate) signature: &'t [u8],
    /// Header and payload with the dot between them: the bytes that the signature covers, never a re-encoding.
    pub(crate) signed: &'t [u8],
}

impl<'t> Jws<'t> {
    /// Splits `token` at its dots.
    ///
    /// # Errors
    /// [`OpenError::MalformedToken`] when there are not three segments, or one is empty.
    pub(crate) fn split(token: &'t [u8]) -> Result<Self, OpenError> {
        let malformed = |segment| Err(OpenError::MalformedToken { segment });
        let mut dots = memchr::memchr_iter(b'.', token);
        let (Some(first), Some(second), None) = (dots.next(), dots.next(), dots.next()) else {
            return malformed(Segment::Structure);
        };
        let jws = Self {
            header: &token[..first],
            payload: &token[first + 1..second],
            signature: &token[second + 1..],
            signed: &token[..second],
        };
        for (text, segment) in [
            (jws.header, Segment::Header),
            (jws.payload, Segment::Payload),
            (jws.signature, Segment::Signature),
        ] {
            if text.is_empty() {
                return malformed(segment);
            }
        }
        Ok(jws)
    }
}

/// What an unverified header says about the token.
pub(crate) struct JwsHeader<'h> {
    pub(crate) alg: Cow<'h, str>,
    pub(crate) typ: Option<Kept<'h>>,
    pub(crate) unverified_kid: UnverifiedKid<'h>,
}

impl<'h> JwsHeader<'h> {
    /// Decodes the header's segment into `buffer` and reads it.
    ///
    /// # Errors
    /// [`OpenError::MalformedHeader`], [`OpenError::UnsupportedAlgorithm`] or [`OpenError::UnsupportedHeader`].
    pub(crate) fn read(
        segment: &[u8],
        buffer: &'h mut [u8; MAX_HEADER_LEN],
    ) -> Result<Self, OpenError> {
        let text = decoded_text(segment, buffer).ok_or(OpenError::MalformedHeader)?;
        let [alg, b64, crit, kid, typ, zip] =
            json::few_members(text, ["alg", "b64", "crit", "kid", "typ", "zip"])
                .map_err(|_| OpenError::MalformedHeader)?;
        for (member, present) in [
            ("b64", b64.is_some()),
            ("crit", crit.is_some()),
            ("zip", zip.is_some()),
        ] {
            if present {
                return Err(OpenError::UnsupportedHeader { member });
            }
        }
        let Some(Kept::Text(alg)) = alg else {
            return Err(OpenError::UnsupportedAlgorithm);
        };
        Ok(Self {
            alg,
            typ,
            unverified_kid: UnverifiedKid::of(kid),
        })
    }
}
