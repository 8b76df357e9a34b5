//! Why a session did not open.

use crate::{CookieName, UnixTime};

/// Why the session in a request cannot be opened.
///
/// The variants are for the operator's log and never contain a byte of the token. Do not answer requests differently for
/// different variants: which check failed is of use only to an attacker.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OpenError {
    /// The request has several `Authorization` fields, and two readers could pick different ones.
    #[error("the request has more than one Authorization header")]
    AmbiguousAuthorization,
    /// The session cookie has several values and the caller needs one, has more than four, is both plain and in chunks, or has
    /// repeated chunks that do not form complete sets. Frameworks disagree about which value to use, and a subdomain can add a
    /// cookie of its own ("cookie tossing").
    #[error("cookie {name} has more than one value")]
    AmbiguousCookie {
        /// The cookie's name, without a chunk suffix.
        name: CookieName,
    },
    /// The session or its cookie cache has ended: `exp`, Better Auth's `expiresAt` or the end in the application's store lies in
    /// the past, by more than the tolerance of the format.
    #[error("the session expired at {}", at.secs())]
    Expired {
        /// When it ended.
        at: UnixTime,
    },
    /// The expiry lies beyond the year 9999, which is a mistake.
    #[error(
        "claim exp is after the year 9999; it counts seconds, and this value may be in milliseconds"
    )]
    ExpiryOutOfRange,
    /// The header repeats a claim with another value (RFC 7519 section 5.3).
    #[error("the header and the claims disagree about {claim}")]
    HeaderMismatch {
        /// The name of the claim.
        claim: &'static str,
    },
    /// `iat` lies more than the tolerance in the future.
    #[error("the session was issued in the future, at {}", at.secs())]
    IssuedInFuture {
        /// When, according to `iat`.
        at: UnixTime,
    },
    /// The `Authorization: Bearer` value is empty or has a broken percent escape.
    #[error("the Bearer value is malformed")]
    MalformedBearer,
    /// A chunk of the session cookie is numbered in a way no framework writes (`.00`).
    #[error("cookie {name} has a chunk with a malformed number")]
    MalformedChunk {
        /// The cookie's name, without the chunk suffix.
        name: CookieName,
    },
    /// The cookie should hold a token that the application's store knows, and its value cannot be one. Better
    /// Auth's is 32 letters and digits, a dot, and a signature of 44 characters of base64; Auth.js's is 1 to 512 visible
    /// characters.
    #[error("the session token is malformed")]
    MalformedSessionToken,
    /// A claim has a type or value that the format does not allow.
    #[error("claim {claim} is malformed{}", expected(claim))]
    MalformedClaim {
        /// The name of the claim.
        claim: &'static str,
    },
    /// The decrypted or signed text is not a strict JSON object: invalid UTF-8, a syntax error, a duplicate member, or too deeply
    /// nested.
    #[error("the claims are not a strict JSON object")]
    MalformedClaims,
    /// The token's header is longer than 1 KiB, or not a strict JSON object.
    #[error("the token's header is not a strict JSON object of at most 1 KiB")]
    MalformedHeader,
    /// The value is not a compact token: it has the wrong number of segments, a segment of the wrong length, or text that is
    /// not canonical base64url.
    #[error("the token's {segment} is malformed")]
    MalformedToken {
        /// The first part found wrong.
        segment: Segment,
    },
    /// A chunk of the session cookie is missing although a later one is there.
    #[error("chunk {index} of cookie {name} is missing")]
    MissingChunk {
        /// The cookie's name, without the chunk suffix.
        name: CookieName,
        /// The number of the first chunk missing.
        index: usize,
    },
    /// There is no `exp`. The frameworks' decoders accept such a token forever. This crate accepts it only as a signed session
    /// cookie, and only with a [maximum age](crate::ClaimDemands::max_age).
    #[error("claim exp is missing")]
    MissingExpiry,
    /// There is no `iat`, and [`ClaimDemands::max_age`](crate::ClaimDemands::max_age) needs one.
    #[error("claim iat is missing, but a maximum age is required")]
    MissingIssueTime,
    /// The claim `sub`, or the one that [`ClaimDemands::subject_claim`](crate::ClaimDemands::subject_claim) names instead, is
    /// missing or empty: the session names no user.
    #[error("the claim that identifies the user is missing or empty")]
    MissingSubject,
    /// Better Auth's cached session is there, but not the session token that it belongs to.
    #[error("cookie {name}, which holds the session token, is missing")]
    MissingToken {
        /// The name of the cookie that is missing.
        name: CookieName,
    },
    /// `nbf` lies more than the tolerance in the future.
    #[error("the session is not valid before {}", from.secs())]
    NotYetValid {
        /// From when on it is valid, according to `nbf`.
        from: UnixTime,
    },
    /// The session cookie or Bearer value is longer than 64 KiB, or has more than 100 chunks.
    #[error("the token is larger than 64 KiB or 100 chunks")]
    Oversize,
    /// The authentication tag does not match: the token was sealed with another key, or changed.
    #[error("the authentication tag does not match")]
    RejectedTag,
    /// The signature does not match: the value was signed with another secret, or changed.
    #[error("the signature does not match")]
    RejectedSignature,
    /// `iat` lies further back than [`ClaimDemands::max_age`](crate::ClaimDemands::max_age) allows.
    #[error("the session is too old, issued at {}", issued_at.secs())]
    TooOld {
        /// When it was issued, according to `iat`.
        issued_at: UnixTime,
    },
    /// The header names a key (`kid`) that neither the ring nor the issuer has, or names no key although several are possible.
    #[error("the token does not name a known key")]
    UnknownKey,
    /// The format does not use this `alg` or `enc`, or the token's key does not support it.
    #[error("the token names an algorithm that neither its format nor its key allows")]
    UnsupportedAlgorithm,
    /// The header has a member that changes how the token must be read: `zip` (compression, with which a small token can be
    /// expensive), `crit`, `b64`, or a `typ` for another purpose. No framework writes these.
    #[error("the token's header has the unsupported member {member}")]
    UnsupportedHeader {
        /// The member's name.
        member: &'static str,
    },
    /// `aud` neither is nor contains [`ClaimDemands::audience`](crate::ClaimDemands::audience).
    #[error("claim aud does not name the required audience")]
    WrongAudience,
    /// The version of the cached session is not [`CookieCache::version`](crate::CookieCache::version): the application has
    /// declared it outdated.
    #[error("the cached session's version is not the application's")]
    WrongCacheVersion,
    /// `iss` is not [`ClaimDemands::issuer`](crate::ClaimDemands::issuer).
    #[error("claim iss is not the required issuer")]
    WrongIssuer,
    /// The cached session belongs to another session token than the one in the request.
    #[error("the cached session belongs to another session token")]
    WrongToken,
}

/// The form that a claim with a time must have. Applications that write their tokens themselves often use another.
fn expected(claim: &str) -> &'static str {
    match claim {
        "exp" | "iat" | "nbf" => {
            ": it must be a JSON number of seconds since 1970, not a string or a date"
        }
        "expiresAt" | "updatedAt" => {
            ": it must be a JSON number of milliseconds since 1970, not a string or a date"
        }
        "session.expiresAt" => {
            ": it must be a string such as \"2030-03-17T17:46:40.123Z\", as `JSON.stringify` writes a date, not a number"
        }
        _ => "",
    }
}

impl OpenError {
    /// A stable code in `snake_case` for logs and metrics.
    #[must_use]
    pub const fn reason(&self) -> &'static str {
        match self {
            Self::AmbiguousAuthorization => "ambiguous_authorization",
            Self::AmbiguousCookie { .. } => "ambiguous_cookie",
            Self::Expired { .. } => "expired",
            Self::ExpiryOutOfRange => "expiry_out_of_range",
            Self::HeaderMismatch { .. } => "header_mismatch",
            Self::IssuedInFuture { .. } => "issued_in_future",
            Self::MalformedBearer => "malformed_bearer",
            Self::MalformedChunk { .. } => "malformed_chunk",
            Self::MalformedClaim { .. } => "malformed_claim",
            Self::MalformedClaims => "malformed_claims",
            Self::MalformedHeader => "malformed_header",
            Self::MalformedToken { .. } => "malformed_token",
            Self::MalformedSessionToken => "malformed_session_token",
            Self::MissingChunk { .. } => "missing_chunk",
            Self::MissingExpiry => "missing_expiry",
            Self::MissingIssueTime => "missing_issue_time",
            Self::MissingSubject => "missing_subject",
            Self::MissingToken { .. } => "missing_token",
            Self::NotYetValid { .. } => "not_yet_valid",
            Self::Oversize => "oversize",
            Self::RejectedSignature => "rejected_signature",
            Self::RejectedTag => "rejected_tag",
            Self::TooOld { .. } => "too_old",
            Self::UnknownKey => "unknown_key",
            Self::UnsupportedAlgorithm => "unsupported_algorithm",
            Self::UnsupportedHeader { .. } => "unsupported_header",
            Self::WrongAudience => "wrong_audience",
            Self::WrongCacheVersion => "wrong_cache_version",
            Self::WrongIssuer => "wrong_issuer",
            Self::WrongToken => "wrong_token",
        }
    }
}

/// A part of a compact token, in the order of the text: a JWE (RFC 7516 section 7.1), a JWS (RFC 7515 section 7.1), or
/// Better Auth's compact cache, which is a payload alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Segment {
    /// The whole token: the number of segments is wrong.
    Structure,
    /// The protected header.
    Header,
    /// The encrypted key, which is empty under `alg=dir`.
    EncryptedKey,
    /// The initialization vector.
    Iv,
    /// The ciphertext.
    Ciphertext,
    /// The authentication tag.
    Tag,
    /// The payload, which is signed.
    Payload,
    /// The signature.
    Signature,
}

impl core::fmt::Display for Segment {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(match self {
            Self::Structure => "structure",
            Self::Header => "header",
            Self::EncryptedKey => "encrypted key",
            Self::Iv => "initialization vector",
            Self::Ciphertext => "ciphertext",
            Self::Tag => "authentication tag",
            Self::Payload => "payload",
            Self::Signature => "signature",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_malformed_time_is_refused_with_the_required_form() {
        for (claim, words) in [
            ("exp", "a JSON number of seconds since 1970, not a string"),
            ("iat", "a JSON number of seconds"),
            ("expiresAt", "a JSON number of milliseconds"),
            (
                "session.expiresAt",
                "a string such as \"2030-03-17T17:46:40.123Z\"",
            ),
        ] {
            let message = OpenError::MalformedClaim { claim }.to_string();
            assert!(
                message.starts_with(&format!("claim {claim} is malformed: ")),
                "{message}"
            );
            assert!(message.contains(words), "{message}");
        }
        let message = OpenError::MalformedClaim { claim: "user.name" }.to_string();
        assert_eq!(message, "claim user.name is malformed");
        let message = OpenError::ExpiryOutOfRange.to_string();
        assert!(message.contains("milliseconds"), "{message}");
    }
}
