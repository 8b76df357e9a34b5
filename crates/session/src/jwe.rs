//! The structure of an encrypted token: five segments, and the header that says how it is encrypted.
//!
//! A session is a JWE in compact form (RFC 7516 section 7.1), `header..iv.ciphertext.tag`, each segment unpadded
//! base64url. Under `alg=dir` both sides know the key, so the second segment, the encrypted key, is empty. Everything here is
//! still unverified: it decides only which key is tried.

use std::borrow::Cow;

use crate::base64url::decoded_text;
use crate::error::{OpenError, Segment};
use crate::json::{self, Kept};

/// A token split into its segments, as text. Nothing is decoded or verified yet.
pub(crate) struct Jwe<'t> {
    /// The header's text, which the tag authenticates as associated data: never a re-encoding.
    pub(crate) header: &'t [u8],
    pub(crate) iv: &'t [u8],
    pub(crate) ciphertext: &'t [u8],
    pub(crate) tag: &'t [u8],
}

impl<'t> Jwe<'t> {
    /// Splits `token` at its dots.
    ///
    /// # Errors
    /// [`OpenError::MalformedToken`] when there are not five segments, the second is not empty, or one of the others is empty.
    pub(crate) fn split(token: &'t [u8]) -> Result<Self, OpenError> {
        let malformed = |segment| Err(OpenError::MalformedToken { segment });
        let mut dots = memchr::memchr_iter(b'.', token);
        let dots = [
            dots.next(),
            dots.next(),
            dots.next(),
            dots.next(),
            dots.next(),
        ];
        let [Some(a), Some(b), Some(c), Some(d), None] = dots else {
            return malformed(Segment::Structure);
        };
        let jwe = Self {
            header: &token[..a],
            iv: &token[b + 1..c],
            ciphertext: &token[c + 1..d],
            tag: &token[d + 1..],
        };
        if b > a + 1 {
            return malformed(Segment::EncryptedKey);
        }
        for (text, segment) in [
            (jwe.header, Segment::Header),
            (jwe.iv, Segment::Iv),
            (jwe.ciphertext, Segment::Ciphertext),
            (jwe.tag, Segment::Tag),
        ] {
            if text.is_empty() {
                return malformed(segment);
            }
        }
        Ok(jwe)
    }
}

/// A content encryption algorithm (`enc`) that one of the formats uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Enc {
    /// AES-256-CBC with HMAC-SHA-512 (RFC 7518 section 5.2.5).
    A256CbcHs512,
    /// AES-256-GCM (RFC 7518 section 5.3).
    A256Gcm,
}

impl Enc {
    /// The value of the header's `enc` member.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::A256CbcHs512 => "A256CBC-HS512",
            Self::A256Gcm => "A256GCM",
        }
    }

    /// The number of key bytes.
    pub(crate) const fn key_len(self) -> usize {
        match self {
            Self::A256CbcHs512 => 64,
            Self::A256Gcm => 32,
        }
    }
}

/// What an unverified header says about the token; its `alg` is `dir`.
pub(crate) struct Header<'h> {
    pub(crate) enc: Enc,
    pub(crate) unverified_kid: UnverifiedKid<'h>,
    pub(crate) repeated: RepeatedClaims<'h>,
}

/// The header's `kid` member: the key that the token claims to be sealed with.
pub(crate) enum UnverifiedKid<'h> {
    /// The header has no `kid`.
    Absent,
    /// `kid` is not a string, so no key has this name.
    NotText,
    /// It names a key.
    Text(Cow<'h, str>),
}

impl<'h> UnverifiedKid<'h> {
    pub(crate) fn of(kid: Option<Kept<'h>>) -> Self {
        match kid {
            None => Self::Absent,
            Some(Kept::Text(kid)) => Self::Text(kid),
            Some(
                Kept::Bool(_)
                | Kept::Integer(_)
                | Kept::Null
                | Kept::Number(_)
                | Kept::Other
                | Kept::Texts(_),
            ) => Self::NotText,
        }
    }
}

/// Claims that the header repeats (RFC 7519 section 5.3). They must equal the real claims, once those are known.
#[derive(Default)]
pub(crate) struct RepeatedClaims<'h> {
    pub(crate) aud: Option<Kept<'h>>,
    pub(crate) iss: Option<Kept<'h>>,
    pub(crate) sub: Option<Kept<'h>>,
}

impl<'h> Header<'h> {
    /// Decodes the header's segment into `buffer` and reads it.
    ///
    /// # Errors
    /// [`OpenError::MalformedHeader`], [`OpenError::UnsupportedAlgorithm`] or [`OpenError::UnsupportedHeader`].
    pub(crate) fn read(
        segment: &[u8],
        buffer: &'h mut [u8; MAX_HEADER_LEN],
    ) -> Result<Self, OpenError> {
        let text = decoded_text(segment, buffer).ok_or(OpenError::MalformedHeader)?;
        let [alg, aud, crit, enc, iss, kid, sub, zip] = json::few_members(
            text,
            ["alg", "aud", "crit", "enc", "iss", "kid", "sub", "zip"],
        )
        .map_err(|_| OpenError::MalformedHeader)?;

        if crit.is_some() {
            return Err(OpenError::UnsupportedHeader { member: "crit" });
        }
        if zip.is_some() {
            return Err(OpenError::UnsupportedHeader { member: "zip" });
        }
        // No other algorithms are accepted. NextAuth v4 accepts any algorithm that its library knows, even password-based ones
        // that make the server compute ten thousand rounds for an unauthenticated token.
        if !alg.is_some_and(|alg| alg.is_text("dir")) {
            return Err(OpenError::UnsupportedAlgorithm);
        }
        let enc = [Enc::A256CbcHs512, Enc::A256Gcm]
            .into_iter()
            .find(|known| enc.as_ref().is_some_and(|enc| enc.is_text(known.as_str())))
            .ok_or(OpenError::UnsupportedAlgorithm)?;
        Ok(Self {
            enc,
            unverified_kid: UnverifiedKid::of(kid),
            repeated: RepeatedClaims { aud, iss, sub },
        })
    }
}

/// The largest header to accept, in bytes, decoded. The frameworks write at most 130 bytes.
pub(crate) const MAX_HEADER_LEN: usize = 1024;

#[cfg(test)]
mod tests {
    use base64::prelude::{BASE64_URL_SAFE_NO_PAD, Engine as _};

    use super::*;

    fn read(json: &str) -> Result<Enc, OpenError> {
        let segment = BASE64_URL_SAFE_NO_PAD.encode(json);
        Header::read(segment.as_bytes(), &mut [0; MAX_HEADER_LEN]).map(|header| header.enc)
    }

    #[test]
    fn only_direct_encryption_with_two_algorithms_is_supported() {
        assert_eq!(read(r#"{"alg":"dir","enc":"A256GCM"}"#), Ok(Enc::A256Gcm));
        assert_eq!(
            read(r#"{"enc":"A256CBC-HS512","alg":"dir","typ":"JWT"}"#),
            Ok(Enc::A256CbcHs512)
        );
        for json in [
            r#"{"alg":"none","enc":"A256GCM"}"#,
            r#"{"alg":["dir"],"enc":"A256GCM"}"#,
            r#"{"alg":"dir"}"#,
            r#"{"enc":"A256GCM"}"#,
            r#"{"alg":"dir","enc":"a256gcm"}"#,
        ] {
            assert_eq!(read(json), Err(OpenError::UnsupportedAlgorithm), "{json}");
        }
    }

    #[test]
    fn compression_and_critical_members_are_refused() {
        let zip = Err(OpenError::UnsupportedHeader { member: "zip" });
        assert_eq!(read(r#"{"alg":"dir","enc":"A256GCM","zip":null}"#), zip);
        let crit = Err(OpenError::UnsupportedHeader { member: "crit" });
        assert_eq!(read(r#"{"alg":"dir","enc":"A256GCM","crit":[]}"#), crit);
    }

    #[test]
    fn the_header_is_bounded() {
        let padded = |len: usize| {
            let bare = r#"{"alg":"dir","enc":"A256GCM","x":""}"#.len();
            read(&format!(
                r#"{{"alg":"dir","enc":"A256GCM","x":"{}"}}"#,
                "x".repeat(len - bare)
            ))
        };
        assert_eq!(padded(1024), Ok(Enc::A256Gcm));
        assert_eq!(padded(1025), Err(OpenError::MalformedHeader));
        assert_eq!(padded(60_000), Err(OpenError::MalformedHeader));
    }

    #[test]
    fn a_token_has_five_segments_and_the_second_is_empty() {
        let flaw = |token: &str| match Jwe::split(token.as_bytes()) {
            Ok(_) => None,
            Err(OpenError::MalformedToken { segment }) => Some(segment),
            Err(other) => panic!("{other}"),
        };
        assert_eq!(flaw("h..i.c.t"), None);
        assert_eq!(flaw("h.k.i.c.t"), Some(Segment::EncryptedKey));
        assert_eq!(flaw("..i.c.t"), Some(Segment::Header));
        assert_eq!(flaw("h...c.t"), Some(Segment::Iv));
        assert_eq!(flaw("h..i..t"), Some(Segment::Ciphertext));
        assert_eq!(flaw("h..i.c."), Some(Segment::Tag));
        for token in ["", "h", "h..i.c", "h..i.c.t.", "......"] {
            assert_eq!(flaw(token), Some(Segment::Structure), "{token}");
        }
    }
}
