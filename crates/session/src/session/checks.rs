//! The checks on claims that several formats share.

use crate::UnixTime;
use crate::error::OpenError;
use crate::json::Kept;
use crate::jwe::RepeatedClaims;

/// Refuses a header that repeats `aud`, `iss` or `sub` with another value than that of the claims, which are passed in that
/// order.
pub(crate) fn check_repeated(
    repeated: &RepeatedClaims<'_>,
    [aud, iss, sub]: [&Option<Kept<'_>>; 3],
) -> Result<(), OpenError> {
    for (in_header, claim, name) in [
        (&repeated.aud, aud, "aud"),
        (&repeated.iss, iss, "iss"),
        (&repeated.sub, sub, "sub"),
    ] {
        if !agree(in_header.as_ref(), claim.as_ref()) {
            return Err(OpenError::HeaderMismatch { claim: name });
        }
    }
    Ok(())
}

/// Whether a claim has the same value in the header, if it is repeated there (RFC 7519 section 5.3).
fn agree(in_header: Option<&Kept<'_>>, claim: Option<&Kept<'_>>) -> bool {
    match in_header {
        None => true,
        // The contents of such a value are not kept, so they cannot be compared.
        Some(Kept::Other) => false,
        Some(_) => in_header == claim,
    }
}

/// The number in a claim that is a time, if the claim is there. The format determines its unit.
pub(crate) fn time(claim: Option<&Kept<'_>>, name: &'static str) -> Result<Option<f64>, OpenError> {
    let Some(claim) = claim else {
        return Ok(None);
    };
    let secs = claim.as_number();
    secs.map(Some)
        .ok_or(OpenError::MalformedClaim { claim: name })
}

/// `exp` as a point in time, not later than the year 9999.
pub(crate) fn expiry(exp: f64) -> Result<UnixTime, OpenError> {
    if exp > LAST_EXPIRY {
        return Err(OpenError::ExpiryOutOfRange);
    }
    Ok(UnixTime::from_numeric_date(exp))
}

/// Refuses a token that becomes valid after `latest`, in seconds.
pub(crate) fn check_not_before(nbf: Option<f64>, latest: f64) -> Result<(), OpenError> {
    match nbf {
        Some(nbf) if nbf > latest => Err(OpenError::NotYetValid {
            from: UnixTime::from_numeric_date(nbf),
        }),
        Some(_) | None => Ok(()),
    }
}

/// `iat` as a point in time that is not in the future, with the tolerance.
pub(crate) fn issued_at(iat: Option<f64>, now: UnixTime) -> Result<Option<UnixTime>, OpenError> {
    let Some(iat) = iat else { return Ok(None) };
    let at = UnixTime::from_numeric_date(iat);
    if iat > now.secs() as f64 + TOLERANCE {
        return Err(OpenError::IssuedInFuture { at });
    }
    Ok(Some(at))
}

pub(super) fn names_audience(aud: Option<&Kept<'_>>, audience: &str) -> bool {
    match aud {
        Some(Kept::Text(one)) => one == audience,
        Some(Kept::Texts(many)) => many.iter().any(|one| one == audience),
        Some(Kept::Bool(_) | Kept::Integer(_) | Kept::Null | Kept::Number(_) | Kept::Other)
        | None => false,
    }
}

/// How many seconds the clocks of the application and the gate may differ (`clockTolerance` in both frameworks' `jwt.ts`).
pub(crate) const TOLERANCE: f64 = 15.0;

/// [`UnixTime::LAST_EXPIRY`] in seconds.
const LAST_EXPIRY: f64 = 253_402_300_799.0;
