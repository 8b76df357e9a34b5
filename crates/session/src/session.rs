//! A verified session, and the checks that make it one.

use core::fmt;
use core::time::Duration;
use std::borrow::Cow;

use serde_json::{Map, Value};

use crate::error::OpenError;
use crate::json::{self, Kept};
use crate::jwe::RepeatedClaims;
use crate::{Format, UnixTime};

/// What the operator demands of the claims beyond the format's own rules. The default demands nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ClaimDemands {
    /// The exact value that `iss` must have.
    pub issuer: Option<String>,
    /// The value that `aud` must be, or, being an array of strings, contain (RFC 7519 section 4.1.3).
    pub audience: Option<String>,
    /// How long ago `iat` may be, give or take the 15 seconds of tolerance. Demands that there is an `iat`.
    pub max_age: Option<Duration>,
}

/// A verified session: somebody with the key wrote it, nobody changed it, and it is valid at the time it was opened.
///
/// There is one way to get one: [`SealedSession::open`](crate::SealedSession::open).
#[must_use]
pub struct Session {
    /// The decrypted text. The claims below are ranges of it where possible.
    claims: String,
    format: Format,
    subject: TextClaim,
    id: Option<TextClaim>,
    email: Option<TextClaim>,
    name: Option<TextClaim>,
    issued_at: Option<UnixTime>,
    expires_at: UnixTime,
}

impl Session {
    /// Checks the claims of a token whose tag was verified.
    ///
    /// The frameworks' decoder (`jose`, `lib/jwt_claims_set.js`) checks the types of `exp`, `nbf` and `iat`, and `exp`
    /// and `nbf` against the clock in whole seconds with a tolerance of 15. It requires no claim. A gate must: without
    /// `exp` a session would never end, and without `sub` it would name nobody.
    pub(crate) fn admit(
        plaintext: Vec<u8>,
        format: Format,
        repeated: &RepeatedClaims<'_>,
        demands: &ClaimDemands,
        now: UnixTime,
    ) -> Result<Self, OpenError> {
        let claims = String::from_utf8(plaintext).map_err(|_| OpenError::MalformedClaims)?;
        let wanted = [
            "sub", "exp", "iat", "nbf", "iss", "aud", "jti", "email", "name",
        ];
        let [sub, exp, iat, nbf, iss, aud, jti, email, name] =
            json::members(&claims, wanted).map_err(|_| OpenError::MalformedClaims)?;

        for (in_header, claim, name) in [
            (&repeated.aud, &aud, "aud"),
            (&repeated.iss, &iss, "iss"),
            (&repeated.sub, &sub, "sub"),
        ] {
            if !agree(in_header.as_ref(), claim.as_ref()) {
                return Err(OpenError::HeaderMismatch { claim: name });
            }
        }

        let now_secs = now.secs() as f64;
        let nbf = time(nbf.as_ref(), "nbf")?;
        let iat = time(iat.as_ref(), "iat")?;
        let exp = time(exp.as_ref(), "exp")?.ok_or(OpenError::MissingExpiry)?;
        if exp > LAST_EXPIRY {
            return Err(OpenError::ExpiryOutOfRange);
        }
        let expires_at = UnixTime::from_numeric_date(exp);
        if exp <= now_secs - TOLERANCE {
            return Err(OpenError::Expired { at: expires_at });
        }
        if let Some(nbf) = nbf.filter(|nbf| *nbf > now_secs + TOLERANCE) {
            return Err(OpenError::NotYetValid {
                from: UnixTime::from_numeric_date(nbf),
            });
        }
        let issued_at = iat.map(UnixTime::from_numeric_date);
        if let (Some(iat), Some(at)) = (iat, issued_at)
            && iat > now_secs + TOLERANCE
        {
            return Err(OpenError::IssuedInFuture { at });
        }

        if let Some(max_age) = demands.max_age {
            let issued_at = issued_at.ok_or(OpenError::MissingIssueTime)?;
            if now.saturating_since(issued_at) > max_age.saturating_add(Duration::from_secs(15)) {
                return Err(OpenError::TooOld { issued_at });
            }
        }
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

        let subject = TextClaim::of(&claims, subject(sub)?);
        let [id, email, name] = [jti, email, name].map(|claim| match claim {
            Some(Kept::Text(text)) => Some(TextClaim::of(&claims, text)),
            Some(Kept::Number(_) | Kept::Other | Kept::Texts(_)) | None => None,
        });
        Ok(Self {
            claims,
            format,
            subject,
            id,
            email,
            name,
            issued_at,
            expires_at,
        })
    }

    /// The user's id: claim `sub`, 1 to 1024 bytes without control characters.
    #[must_use]
    pub fn subject(&self) -> &str {
        self.subject.text(&self.claims)
    }

    /// Which library wrote the session.
    #[must_use]
    pub fn format(&self) -> Format {
        self.format
    }

    /// The session's own id: claim `jti`, if it is a string. The frameworks write a new one each time they renew it.
    #[must_use]
    pub fn id(&self) -> Option<&str> {
        self.id.as_ref().map(|id| id.text(&self.claims))
    }

    /// When the session was written: claim `iat`.
    #[must_use]
    pub fn issued_at(&self) -> Option<UnixTime> {
        self.issued_at
    }

    /// When the session ends: claim `exp`, without the 15 seconds of tolerance.
    #[must_use]
    pub fn expires_at(&self) -> UnixTime {
        self.expires_at
    }

    /// Claim `email`, if it is a string. It is what the application wrote: any text, control characters not excluded.
    #[must_use]
    pub fn email(&self) -> Option<&str> {
        self.email.as_ref().map(|email| email.text(&self.claims))
    }

    /// Claim `name`, if it is a string. It is what the application wrote: any text, control characters not excluded.
    #[must_use]
    pub fn name(&self) -> Option<&str> {
        self.name.as_ref().map(|name| name.text(&self.claims))
    }

    /// All claims, as the JSON object that was decrypted: strict, and without duplicate members.
    #[must_use]
    pub fn claims_json(&self) -> &str {
        &self.claims
    }

    /// All claims. Parsed at each call: a decision that needs none should not pay for them.
    #[must_use]
    pub fn claims(&self) -> Map<String, Value> {
        serde_json::from_str(&self.claims).expect("admit() read the claims as a strict JSON object")
    }
}

impl fmt::Debug for Session {
    /// Who and how long; not the other claims, which are the user's own business.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session")
            .field("subject", &self.subject())
            .field("format", &self.format)
            .field("expires_at", &self.expires_at)
            .finish_non_exhaustive()
    }
}

/// A string claim, without a copy if JSON wrote it without escapes.
enum TextClaim {
    /// The range of the claims' text.
    Within {
        start: usize,
        end: usize,
    },
    Unescaped(Box<str>),
}

impl TextClaim {
    /// `text`, if it is borrowed, is a part of `claims`.
    fn of(claims: &str, text: Cow<'_, str>) -> Self {
        match text {
            Cow::Borrowed(text) => {
                let start = text.as_ptr().addr() - claims.as_ptr().addr();
                Self::Within {
                    start,
                    end: start + text.len(),
                }
            }
            Cow::Owned(text) => Self::Unescaped(text.into()),
        }
    }

    fn text<'s>(&'s self, claims: &'s str) -> &'s str {
        match self {
            Self::Within { start, end } => &claims[*start..*end],
            Self::Unescaped(text) => text,
        }
    }
}

/// Whether a claim that the header may repeat is repeated truly (RFC 7519 section 5.3).
fn agree(in_header: Option<&Kept<'_>>, claim: Option<&Kept<'_>>) -> bool {
    match in_header {
        None => true,
        // Not looked into, so not known to be equal.
        Some(Kept::Other) => false,
        Some(Kept::Number(_) | Kept::Text(_) | Kept::Texts(_)) => in_header == claim,
    }
}

/// A claim that is a time in seconds, where there is one.
fn time(claim: Option<&Kept<'_>>, name: &'static str) -> Result<Option<f64>, OpenError> {
    match claim {
        None => Ok(None),
        Some(Kept::Number(secs)) => Ok(Some(*secs)),
        Some(Kept::Other | Kept::Text(_) | Kept::Texts(_)) => {
            Err(OpenError::MalformedClaim { claim: name })
        }
    }
}

/// Claim `sub`, fit to be written into a header or a log line.
fn subject(claim: Option<Kept<'_>>) -> Result<Cow<'_, str>, OpenError> {
    match claim {
        None => Err(OpenError::MissingSubject),
        Some(Kept::Text(sub)) if sub.is_empty() => Err(OpenError::MissingSubject),
        Some(Kept::Text(sub))
            if sub.len() <= MAX_SUBJECT_LEN && !sub.contains(char::is_control) =>
        {
            Ok(sub)
        }
        Some(Kept::Number(_) | Kept::Other | Kept::Text(_) | Kept::Texts(_)) => {
            Err(OpenError::MalformedClaim { claim: "sub" })
        }
    }
}

fn names_audience(aud: Option<&Kept<'_>>, audience: &str) -> bool {
    match aud {
        Some(Kept::Text(one)) => one == audience,
        Some(Kept::Texts(many)) => many.iter().any(|one| one == audience),
        Some(Kept::Number(_) | Kept::Other) | None => false,
    }
}

/// How many seconds the clocks of application and gate may differ (`clockTolerance` in both frameworks' `jwt.ts`).
const TOLERANCE: f64 = 15.0;

/// 9999-12-31T23:59:59Z in seconds.
const LAST_EXPIRY: f64 = 253_402_300_799.0;

/// Far more than any database uses for an id, and little enough for a header field.
const MAX_SUBJECT_LEN: usize = 1024;

#[cfg(test)]
mod tests;
