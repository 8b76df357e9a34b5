//! A verified session, and the checks that make it one.

mod checks;

use core::fmt;
use core::time::Duration;
use std::sync::Arc;

use aws_lc_rs::digest;
use base64::prelude::{BASE64_URL_SAFE_NO_PAD, Engine as _};
use serde_json::{Map, Value};

use self::checks::names_audience;
pub(crate) use self::checks::{
    TOLERANCE, check_not_before, check_repeated, expiry, issued_at, time,
};
use crate::error::OpenError;
use crate::json::{self, Kept};
use crate::jwe::RepeatedClaims;
use crate::standing::{OwnStanding, StandingClaims};
use crate::subject::{is_subject, numbered_subject};
use crate::text_claim::TextClaim;
use crate::{Format, UnixTime};

/// Demands on the claims beyond the format's own rules. The default demands nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ClaimDemands {
    /// The exact value that `iss` must have.
    pub issuer: Option<String>,
    /// The value that `aud` must be, or contain if it is an array of strings (RFC 7519 section 4.1.3).
    pub audience: Option<String>,
    /// The largest age of `iat`, with 15 seconds of tolerance. A session without `iat` is refused.
    pub max_age: Option<Duration>,
    /// The name of the claim that holds the user's id, in place of `sub`: a member of the outermost object, by its exact
    /// name, dots included. It may be `email`, `name` or `jti`, but not another claim that has a meaning of its own (`exp`, `iss`,
    /// `email_verified`). Has no effect on formats that name the user elsewhere (Better Auth, and sessions that are looked up).
    pub subject_claim: Option<String>,
    /// The name of the claim that holds the time of sign-in, in seconds since 1970, for applications that keep it when they
    /// renew a session: see [`Session::signed_in_at`].
    pub sign_in_claim: Option<String>,
}

impl ClaimDemands {
    /// When a session without `exp` ends, in seconds. Only signed session cookies may lack `exp`, because an application's own
    /// `encode()` may leave it out, and only where a maximum age ends the session instead.
    fn end_without_expiry(&self, format: Format, iat: Option<f64>) -> Result<f64, OpenError> {
        match self.max_age {
            Some(max_age) if format == Format::AuthJsSigned => iat
                .map(|iat| iat + max_age.as_secs_f64())
                .ok_or(OpenError::MissingIssueTime),
            Some(_) | None => Err(OpenError::MissingExpiry),
        }
    }

    /// Checks the maximum age, if one is demanded.
    ///
    /// # Errors
    /// [`OpenError::MissingIssueTime`] or [`OpenError::TooOld`].
    pub(crate) fn check_age(
        &self,
        issued_at: Option<UnixTime>,
        now: UnixTime,
    ) -> Result<(), OpenError> {
        let Some(max_age) = self.max_age else {
            return Ok(());
        };
        let issued_at = issued_at.ok_or(OpenError::MissingIssueTime)?;
        if now.saturating_since(issued_at) > max_age.saturating_add(TOLERANCE_SPAN) {
            return Err(OpenError::TooOld { issued_at });
        }
        Ok(())
    }
}

/// A verified session: it was written with the key and not changed since, or the application's store knows it; and it was
/// valid at the time it was opened.
///
/// There are three ways to get one: [`SealedSession::open`](crate::SealedSession::open) for sessions that are in the
/// request, [`SessionToken::open`](crate::SessionToken::open) for those that the application's store holds, and
/// [`Jwt::open`](crate::Jwt::open) for the signed token of a configured issuer.
#[must_use]
pub struct Session {
    /// The claims as JSON. The texts below are ranges of it where possible.
    pub(crate) claims: ClaimsText,
    pub(crate) format: Format,
    pub(crate) subject: TextClaim,
    pub(crate) id: TextClaim,
    pub(crate) email: Option<TextClaim>,
    pub(crate) name: Option<TextClaim>,
    pub(crate) standing: OwnStanding,
    pub(crate) issued_at: Option<UnixTime>,
    pub(crate) expires_at: UnixTime,
}

/// The claims as a JSON object.
#[derive(Debug)]
pub(crate) enum ClaimsText {
    /// The text that was decrypted or signed, for this request.
    Own(String),
    /// A text that a cache shares between requests.
    Shared(Arc<str>),
}

impl ClaimsText {
    fn as_str(&self) -> &str {
        match self {
            Self::Own(text) => text,
            Self::Shared(text) => text,
        }
    }
}

impl Session {
    /// Checks the claims of a token whose tag or signature was verified.
    ///
    /// The frameworks' decoder (`jose`, `lib/jwt_claims_set.js`) checks the types of `exp`, `nbf` and `iat`, and `exp` and `nbf`
    /// against the clock in whole seconds with a tolerance of 15. It requires no claim. A gate must: without `exp` a session
    /// would never end, and without `sub` it would name no user.
    ///
    /// The id of a token without `jti` is the hash of `token`, its text.
    pub(crate) fn admit(
        plaintext: Vec<u8>,
        token: &[u8],
        format: Format,
        repeated: &RepeatedClaims<'_>,
        demands: &ClaimDemands,
        now: UnixTime,
    ) -> Result<Self, OpenError> {
        let claims = String::from_utf8(plaintext).map_err(|_| OpenError::MalformedClaims)?;
        let own_subject = demands.subject_claim.as_deref();
        let wanted = [
            "sub",
            "exp",
            "iat",
            "nbf",
            "iss",
            "aud",
            "jti",
            "email",
            "name",
            "email_verified",
            "emailVerified",
            "isAnonymous",
            "is_anonymous",
            "impersonatedBy",
            own_subject.unwrap_or("sub"),
        ];
        let [
            sub,
            exp,
            iat,
            nbf,
            iss,
            aud,
            jti,
            email,
            name,
            email_verified,
            camel_email_verified,
            camel_is_anonymous,
            is_anonymous,
            impersonated_by,
            named,
        ] = json::members(&claims, wanted).map_err(|_| OpenError::MalformedClaims)?;

        check_repeated(repeated, [&aud, &iss, &sub])?;

        let now_secs = now.secs() as f64;
        let nbf = time(nbf.as_ref(), "nbf")?;
        let iat = time(iat.as_ref(), "iat")?;
        let exp = match time(exp.as_ref(), "exp")? {
            Some(exp) => exp,
            None => demands.end_without_expiry(format, iat)?,
        };
        let expires_at = expiry(exp)?;
        if exp <= now_secs - TOLERANCE {
            return Err(OpenError::Expired { at: expires_at });
        }
        check_not_before(nbf, now_secs + TOLERANCE)?;
        let issued_at = issued_at(iat, now)?;
        demands.check_age(issued_at, now)?;
        if let Some(issuer) = &demands.issuer
            && !iss.is_some_and(|iss| iss.is_text(issuer))
        {
            return Err(OpenError::WrongIssuer);
        }
        if let Some(audience) = &demands.audience
            && !names_audience(aud.as_ref(), audience)
        {
            return Err(OpenError::WrongAudience);
        }

        let subject = match own_subject {
            None | Some("sub") => numbered_subject(sub, "sub"),
            // These members are read for another purpose too, so their values are in those variables.
            Some("email") => numbered_subject(email.clone(), "email"),
            Some("jti") => numbered_subject(jti.clone(), "jti"),
            Some("name") => numbered_subject(name.clone(), "name"),
            Some(_) => numbered_subject(named, "configured as SUBJECT_CLAIM"),
        };
        let subject = TextClaim::of(&claims, subject?);
        let standing = StandingClaims {
            email_verified: [email_verified, camel_email_verified],
            is_anonymous: [is_anonymous, camel_is_anonymous],
            impersonated_by,
        };
        let standing = OwnStanding::of(&claims, standing);
        let [id, email, name] = [jti, email, name].map(|claim| {
            let text = claim.and_then(Kept::into_text)?;
            Some(TextClaim::of(&claims, text))
        });
        let id = id.filter(|id| is_subject(id.text(&claims)));
        let id = id.unwrap_or_else(|| TextClaim::Own(hash(token)));
        Ok(Self {
            claims: ClaimsText::Own(claims),
            format,
            subject,
            id,
            email,
            name,
            standing,
            issued_at,
            expires_at,
        })
    }

    /// The user's id: claim `sub`, or the one that [`ClaimDemands::subject_claim`] names, or `user.id` of Better Auth; 1 to
    /// 1024 bytes without control characters.
    #[must_use]
    pub fn subject(&self) -> &str {
        self.subject.text(self.claims.as_str())
    }

    /// The format: which library wrote the session, and how it is protected.
    #[must_use]
    pub fn format(&self) -> Format {
        self.format
    }

    /// The session's own id: the same for every request with the same credential, and never the credential itself. It is the
    /// claim `jti` if that is 1 to 1024 bytes of text without control characters; for a session with a token in the
    /// application's store the SHA-256 of that token; otherwise the SHA-256 of the whole credential, in base64url. Auth.js and
    /// NextAuth write a new `jti` each time they renew a session; Better Auth and stored sessions keep their token.
    #[must_use]
    pub fn id(&self) -> &str {
        self.id.text(self.claims.as_str())
    }

    /// When the session was written: claim `iat`, or `session.createdAt` of Better Auth. `None` when it is not known.
    #[must_use]
    pub fn issued_at(&self) -> Option<UnixTime> {
        self.issued_at
    }

    /// When the user signed in, as far as the session says: the earlier of claim `iat` and the one that
    /// [`ClaimDemands::sign_in_claim`] names, because Auth.js and NextAuth write a new `iat` each time that they renew a session
    /// (`@auth/core` `src/jwt.ts`). `None` when such a session lacks one of the two claims, or the named claim is not a number.
    /// Better Auth, stored sessions and signed tokens keep their time of issue, so the claim is not read.
    #[must_use]
    pub fn signed_in_at(&self, demands: &ClaimDemands) -> Option<UnixTime> {
        let is_renewed = match self.format {
            Format::AuthJs | Format::AuthJsSigned | Format::NextAuth => true,
            Format::AuthJsDatabase
            | Format::BetterAuthCompact
            | Format::BetterAuthJwe
            | Format::BetterAuthJwt
            | Format::BetterAuthToken
            | Format::Jwt => false,
        };
        let claim = demands.sign_in_claim.as_ref().filter(|_| is_renewed);
        let Some(claim) = claim else {
            return self.issued_at;
        };
        let signed_in = self.claims().get(claim).and_then(Value::as_f64)?;
        Some(self.issued_at?.min(UnixTime::from_numeric_date(signed_in)))
    }

    /// Whether the session was written after `other`. If both were written at the same time, or neither says when, whether it
    /// ends later. A session that does not say when it was written is the earlier one.
    #[must_use]
    pub fn is_later_than(&self, other: &Self) -> bool {
        (self.issued_at, self.expires_at) > (other.issued_at, other.expires_at)
    }

    /// When the session ends: claim `exp` without the 15 seconds of tolerance, or `session.expiresAt` of Better Auth.
    /// A cookie cache ends earlier; then the session has to be looked up.
    #[must_use]
    pub fn expires_at(&self) -> UnixTime {
        self.expires_at
    }

    /// The user's e-mail address: claim `email`, or `user.email` of Better Auth, if it is a string. It is what the application
    /// wrote, and may contain any characters, even control characters.
    #[must_use]
    pub fn email(&self) -> Option<&str> {
        self.email
            .as_ref()
            .map(|email| email.text(self.claims.as_str()))
    }

    /// The user's name: claim `name`, or `user.name` of Better Auth, if it is a string. It is what the application wrote, and
    /// may contain any characters, even control characters.
    #[must_use]
    pub fn name(&self) -> Option<&str> {
        self.name
            .as_ref()
            .map(|name| name.text(self.claims.as_str()))
    }

    /// Whether the user's e-mail address was verified; `None` when the session does not say. Read from `email_verified` or
    /// `emailVerified`; see [`means_verified`](crate::means_verified) for the values that mean yes.
    #[must_use]
    pub fn email_verified(&self) -> Option<bool> {
        self.standing.email_verified
    }

    /// Whether the user is a guest, who has never signed up: `isAnonymous` of Better Auth.
    #[must_use]
    pub fn is_anonymous(&self) -> bool {
        self.standing.is_anonymous
    }

    /// The id of the user who impersonates this one: `impersonatedBy` of Better Auth. It is what the application wrote, and may
    /// contain any characters, even control characters.
    #[must_use]
    pub fn impersonated_by(&self) -> Option<&str> {
        self.standing.standing(self.claims.as_str()).impersonated_by
    }

    /// All claims, as the JSON object that was decrypted or signed: strict, and without duplicate members. Better Auth's has the
    /// members `session` and `user`. For a stored session it has the values of the store's columns, under the names of the
    /// registered claims.
    #[must_use]
    pub fn claims_json(&self) -> &str {
        self.claims.as_str()
    }

    /// All claims, parsed. Each call parses them again, so that a caller that needs none does not pay for them.
    #[must_use]
    pub fn claims(&self) -> Map<String, Value> {
        serde_json::from_str(self.claims_json())
            .expect("admission read the claims as a strict JSON object")
    }
}

impl fmt::Debug for Session {
    /// Shows the subject and the expiry, and no other claims: those are private.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session")
            .field("subject", &self.subject())
            .field("format", &self.format)
            .field("expires_at", &self.expires_at)
            .finish_non_exhaustive()
    }
}

/// SHA-256 in base64url: an id for a token, from which the token cannot be recovered.
pub(crate) fn hash(token: &[u8]) -> Arc<str> {
    let mut text = [0; 43];
    BASE64_URL_SAFE_NO_PAD
        .encode_slice(digest::digest(&digest::SHA256, token), &mut text)
        .expect("32 bytes are 43 characters");
    str::from_utf8(&text).expect("base64 is ASCII").into()
}

/// [`TOLERANCE`] as a duration.
const TOLERANCE_SPAN: Duration = Duration::from_secs(15);

#[cfg(test)]
mod tests;
