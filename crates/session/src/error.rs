//! Why a session did not open.

use crate::{CookieName, UnixTime};

/// Why what the request carried is no session.
///
/// The variants are for the operator's log and never contain a byte of the token. Whoever answers the request should
/// not let them differ outside: a stranger learns nothing from being told which check failed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OpenError {
    /// The request has several `Authorization` fields, and two readers could pick different ones.
    #[error("the request has more than one Authorization header")]
    AmbiguousAuthorization,
    /// The session cookie occurs twice with different values, or both plain and in chunks. Frameworks pick one by
    /// order, others by another order; a subdomain can add a cookie of its own ("cookie tossing").
    #[error("cookie {name} has more than one value")]
    AmbiguousCookie {
        /// The cookie's name, without a chunk suffix.
        name: CookieName,
    },
    /// `exp` lies more than the tolerance in the past.
    #[error("the session expired at {}", at.secs())]
    Expired {
        /// When, according to `exp`.
        at: UnixTime,
    },
    /// `exp` lies beyond the year 9999: nobody meant a session to last that long.
    #[error(
        "claim exp lies beyond the year 9999; it counts seconds, and perhaps these are milliseconds"
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
    /// The cookie has the place of a token that the application's store knows, and its value cannot be one. Better
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
    /// The decrypted text is no strict JSON object: no UTF-8, a syntax error, a duplicate member, too deep.
    #[error("the claims are not a strict JSON object")]
    MalformedClaims,
    /// The token's header is longer than 1 KiB or no strict JSON object.
    #[error("the token's header is not a strict JSON object of at most 1 KiB")]
    MalformedHeader,
    /// The value is no compact JWE: wrong number of segments, a segment of the wrong length, text that is not
    /// canonical base64url.
    #[error("the token's {segment} is malformed")]
    MalformedToken {
        /// The first part found wrong.
        segment: Segment,
    },
    /// A chunk of the session cookie is missing while a later one is there.
    #[error("cookie {name} lacks chunk {index}")]
    MissingChunk {
        /// The cookie's name, without the chunk suffix.
        name: CookieName,
        /// The number of the first chunk missing.
        index: usize,
    },
    /// There is no `exp`. The frameworks' decoders accept such a token for ever; this one does not.
    #[error("claim exp is missing")]
    MissingExpiry,
    /// There is no `iat`, and [`ClaimDemands::max_age`](crate::ClaimDemands::max_age) needs one.
    #[error("claim iat is missing, and a maximum age is demanded")]
    MissingIssueTime,
    /// There is no `sub`, or what [`ClaimDemands::subject_claim`](crate::ClaimDemands::subject_claim) names in its place,
    /// or it is empty: the session names nobody.
    #[error("the claim that names the user is missing or empty")]
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
        /// From when it is, according to `nbf`.
        from: UnixTime,
    },
    /// The session cookie or Bearer value is longer than 64 KiB, or has more than 100 chunks.
    #[error("the token is larger than 64 KiB or 100 chunks")]
    Oversize,
    /// The authentication tag does not fit: another key, or a token that was changed on the way.
    #[error("the authentication tag does not fit")]
    RejectedTag,
    /// The signature does not fit: another secret, or a value that was changed on the way.
    #[error("the signature does not fit")]
    RejectedSignature,
    /// `iat` lies further back than [`ClaimDemands::max_age`](crate::ClaimDemands::max_age) allows.
    #[error("the session is too old, issued at {}", issued_at.secs())]
    TooOld {
        /// When it was issued, according to `iat`.
        issued_at: UnixTime,
    },
    /// The header names a key (`kid`) that is none of the ring's or the issuer's, or names none where several could be
    /// meant.
    #[error("the token names no key that is known")]
    UnknownKey,
    /// `alg` or `enc` is none that the format uses, or none that the token's key can serve.
    #[error("the token names an algorithm that neither its format nor its key allows")]
    UnsupportedAlgorithm,
    /// The header has a member that changes how the token is to be read: `zip` (compression, a way to make a small
    /// token expensive), `crit`, `b64`, or a `typ` that says it is for something else. No framework writes these.
    #[error("the token's header has the unsupported member {member}")]
    UnsupportedHeader {
        /// The member's name.
        member: &'static str,
    },
    /// `aud` neither is nor contains [`ClaimDemands::audience`](crate::ClaimDemands::audience).
    #[error("claim aud does not name the demanded audience")]
    WrongAudience,
    /// The cached session has another version than [`CookieCache::version`](crate::CookieCache::version): the
    /// application has declared it outdated.
    #[error("the cached session has another version than the application's")]
    WrongCacheVersion,
    /// `iss` is not [`ClaimDemands::issuer`](crate::ClaimDemands::issuer).
    #[error("claim iss is not the demanded issuer")]
    WrongIssuer,
    /// The cached session belongs to another session token than the one beside it.
    #[error("the cached session belongs to another session token")]
    WrongToken,
}

/// What a claim has to be that says a time. Applications that write their tokens themselves often have another form.
fn expected(claim: &str) -> &'static str {
    match claim {
        "exp" | "iat" | "nbf" => {
            ": it has to be a JSON number, of seconds since 1970, and neither a text nor a date"
        }
        "expiresAt" | "updatedAt" => {
            ": it has to be a JSON number, of milliseconds since 1970, and neither a text nor a date"
        }
        "session.expiresAt" => {
            ": it has to be a text such as \"2030-03-17T17:46:40.123Z\", as `JSON.stringify` writes a date, and no number"
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
    /// The whole: not the number of segments that the format has.
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
    /// What is signed.
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
    fn a_time_of_another_form_is_refused_with_the_form_that_it_needs() {
        for (claim, words) in [
            (
                "exp",
                "a JSON number, of seconds since 1970, and neither a text",
            ),
            ("iat", "a JSON number, of seconds"),
            ("expiresAt", "a JSON number, of milliseconds"),
            (
                "session.expiresAt",
                "a text such as \"2030-03-17T17:46:40.123Z\"",
            ),
        ] {
            let said = OpenError::MalformedClaim { claim }.to_string();
            assert!(
                said.starts_with(&format!("claim {claim} is malformed: ")),
                "{said}"
            );
            assert!(said.contains(words), "{said}");
        }
        let said = OpenError::MalformedClaim { claim: "user.name" }.to_string();
        assert_eq!(said, "claim user.name is malformed");
        let said = OpenError::ExpiryOutOfRange.to_string();
        assert!(said.contains("milliseconds"), "{said}");
    }
}
