//! Checks the claims of Better Auth's cookie cache, after its signature or tag was verified.

use crate::cookie::CacheStrategy;
use crate::error::OpenError;
use crate::json::{self, Kept};
use crate::jwe::RepeatedClaims;
use crate::session::{
    ClaimsText, Session, TOLERANCE, check_not_before, check_repeated, expiry, issued_at, time,
};
use crate::standing::{OwnStanding, StandingClaims};
use crate::subject::subject;
use crate::text_claim::TextClaim;
use crate::{ClaimDemands, Format, SessionToken, UnixTime};

/// What is known about a cached session before its claims are read.
pub(super) struct CachedSession<'c> {
    pub(super) strategy: CacheStrategy,
    pub(super) version: &'c str,
    pub(super) repeated: &'c RepeatedClaims<'c>,
}

impl CachedSession<'_> {
    /// Checks the claims of a cache that was verified (`dist/cookies/cache.mjs`, `dist/api/routes/session.mjs`): their
    /// types, that they belong to this token and version, and that both the cache and the session are still valid.
    pub(super) fn admit(
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
                // Decryption has a tolerance, but the library then compares again without one.
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

        // The library itself treats an address as verified only if this is `true`, so `null` means that it is not verified.
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

/// Whether `session.userId` is `user.id`. The library converts the former to text, whatever its type.
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
