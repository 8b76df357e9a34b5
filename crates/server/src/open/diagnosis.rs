//! Finds out why a session does not open. No cause is a guess: each one was tried, counted or measured.
//!
//! A gate must not try keys other than its own. But the operator who runs this command has the secrets, and wants to know
//! the cause.

mod identify;
mod keys;
mod misspellings;
mod nothing;
mod prefix;
mod shape;

use std::time::Duration;

use serde_json::Value;
use session::{
    ClaimDemands, CookieName, Format, KeyRing, OpenError, Opened, SealedSession, SessionCookie,
    SessionToken, UnixTime,
};

pub(super) use self::nothing::of_nothing;
use super::inspection::Inspection;
use super::pasted::Pasted;
pub(super) use keys::is_about_claims;
use keys::{FailedPart, FailedSession};
pub(super) use misspellings::misspellings;

/// The likely reason why a session does not open; `found` is its cookie.
pub(super) fn of_session(
    inspection: &Inspection<'_>,
    found: Option<&SessionCookie>,
    error: &OpenError,
) -> Option<String> {
    let failed = FailedSession {
        inspection,
        found,
        part: FailedPart::Whole,
    };
    let name = found.map(SessionCookie::name);
    failed
        .other_cookie(named(error).or(name))
        .or_else(|| cause(&failed, name, error))
}

/// The likely reason why Better Auth's cookie cache beside the genuine `token` is not valid.
pub(super) fn of_cache(
    inspection: &Inspection<'_>,
    found: Option<&SessionCookie>,
    token: &SessionToken,
    error: &OpenError,
) -> Option<String> {
    let failed = FailedSession {
        inspection,
        found,
        part: FailedPart::Cache(token),
    };
    let name = found.and_then(SessionCookie::data_name);
    if let OpenError::Expired { .. } = error
        && KeyRing::of_groups(&inspection.groups())
            .is_ok_and(|keys| session::cache_is_not_renewed(&keys, [inspection.cookie_header]))
    {
        return Some(
            "the cache has expired, and the app does not renew it: the session is one without \"remember me\" \
             (`rememberMe: false`) or of an admin who impersonates a user. A gate needs a session store for it"
                .to_owned(),
        );
    }
    if let OpenError::Expired { at } = error {
        return Some(format!(
            "the cache expired {} ago, which is normal after some minutes: Better Auth then queries its store and renews \
             the cache",
            span(inspection.now.saturating_since(*at))
        ));
    }
    cause(&failed, name, error)
}

/// The format of the cookie `name`, by its stable name; `None` if it is unknown.
pub(super) fn format_of(inspection: &Inspection<'_>, name: &CookieName) -> Option<&'static str> {
    let value = Pasted::new(inspection.cookie_header).value(name);
    match identify::opens(inspection, name, &value) {
        Some(identity) => Some(identity.format),
        None => shape::format(&value),
    }
}

/// The first cookie, with any name, that contains a session or looks like one.
pub(super) fn unknown_cookie(inspection: &Inspection<'_>) -> Option<CookieName> {
    let pasted = Pasted::new(inspection.cookie_header);
    let opens =
        |name: &CookieName| identify::opens(inspection, name, &pasted.value(name)).is_some();
    let looks = |name: &CookieName| shape::format(&pasted.value(name)).is_some();
    let names = whole_names(&pasted);
    let found = names.iter().find(|name| opens(name));
    found
        .or_else(|| names.iter().find(|name| looks(name)))
        .cloned()
}

/// The names of the cookies, each once. A chunk has the name of its cookie, without the number.
fn whole_names(pasted: &Pasted<'_>) -> Vec<CookieName> {
    let mut names: Vec<CookieName> = Vec::new();
    for name in pasted.names() {
        let whole = without_number(&name).parse().unwrap_or(name);
        if !names.contains(&whole) {
            names.push(whole);
        }
    }
    names
}

/// The likely cause of an error; `name` is the cookie that the error is about.
fn cause(
    failed: &FailedSession<'_>,
    name: Option<&CookieName>,
    error: &OpenError,
) -> Option<String> {
    let now = failed.inspection.now;
    let pasted = Pasted::new(failed.inspection.cookie_header);
    match error {
        OpenError::AmbiguousAuthorization => None,
        OpenError::AmbiguousCookie { name } => Some(duplicate(failed, &pasted, name)),
        OpenError::Expired { .. }
        | OpenError::IssuedInFuture { .. }
        | OpenError::NotYetValid { .. } => of_time(failed.inspection, error),
        OpenError::MissingChunk { name, index } => Some(missing_chunk(&pasted, name, *index)),
        OpenError::MalformedChunk { name } => {
            let odd = |own: &CookieName| {
                let number = own.as_str().strip_prefix(name.as_str())?.strip_prefix(".0")?;
                number.bytes().all(|byte| byte.is_ascii_digit()).then(|| own.clone())
            };
            let own = pasted.names().filter_map(|own| odd(&own)).find(|own| own.as_str().len() > name.as_str().len() + 2)?;
            Some(format!("no framework gives a chunk the number in {own}"))
        }
        OpenError::MissingExpiry | OpenError::MissingSubject if failed.is_better_auth() => None,
        OpenError::MissingExpiry => Some(
            "the app writes its tokens with an `encode` of its own, or its `jwt` callback drops `exp`; without it a \
             session would never expire"
                .to_owned(),
        ),
        OpenError::MissingSubject => Some(
            "the app's `jwt` callback drops `sub`, or the user has no id; the session does not identify a user".to_owned(),
        ),
        OpenError::MissingToken { name } => Some(match token_in_other_cookie(failed.inspection, &pasted) {
            Some(cause) => cause,
            None => format!(
                "the cookie cache is there, but the cookie {name} is missing: copy both"
            ),
        }),
        OpenError::WrongCacheVersion => Some(format!(
            "the app's `session.cookieCache.version` is not {:?}; give it with `--cache-version`, and \
             BETTER_AUTH_CACHE_VERSION to the gate",
            failed.inspection.recognized.cache.as_ref().map_or("1", |cache| &*cache.version)
        )),
        OpenError::WrongAudience => wrong_claim(failed.inspection, "TOKEN_AUDIENCE", "aud"),
        OpenError::WrongIssuer => wrong_claim(failed.inspection, "TOKEN_ISSUER", "iss"),
        OpenError::TooOld { issued_at } => Some(format!(
            "it was issued {} ago, but TOKEN_MAX_AGE allows {}",
            span(now.saturating_since(*issued_at)),
            span(failed.inspection.demands.max_age.unwrap_or_default())
        )),
        OpenError::WrongToken => Some(
            "the cache is left over from an earlier sign-in than the token beside it".to_owned(),
        ),
        OpenError::MalformedBearer
        | OpenError::MalformedHeader
        | OpenError::MalformedSessionToken
        | OpenError::MalformedToken { .. } => name
            .and_then(|name| identify::other_framework(failed, &pasted, name))
            .or_else(|| failed.other_key(error))
            .or_else(|| shape::of(failed, &pasted, name)),
        OpenError::RejectedSignature
        | OpenError::RejectedTag
        | OpenError::UnknownKey
        | OpenError::UnsupportedAlgorithm => name
            .and_then(|name| identify::other_framework(failed, &pasted, name))
            .or_else(|| failed.other_key(error))
            .or_else(|| shape::cut(failed, &pasted, name))
            .or_else(|| failed.no_key(error)),
        OpenError::ExpiryOutOfRange
        | OpenError::HeaderMismatch { .. }
        | OpenError::MalformedClaim { .. }
        | OpenError::MalformedClaims
        | OpenError::MissingIssueTime
        | OpenError::Oversize
        | OpenError::UnsupportedHeader { .. } => None,
    }
}

/// Compares a session's time with the time of the inspection.
pub(super) fn of_time(inspection: &Inspection<'_>, error: &OpenError) -> Option<String> {
    let now = inspection.now;
    #[expect(
        clippy::wildcard_enum_match_arm,
        reason = "the other errors are not about the clock"
    )]
    match error {
        OpenError::Expired { at } => Some(format!(
            "it expired {} ago, at {}; the app renews a session only when the app itself is visited",
            span(now.saturating_since(*at)),
            date(*at)
        )),
        OpenError::IssuedInFuture { at } => Some(format!(
            "it was issued {} from now; compare the clocks of the app and of this machine",
            span(at.saturating_since(now))
        )),
        OpenError::NotYetValid { from } => Some(format!(
            "it becomes valid in {}; compare the clocks of the app and of this machine",
            span(from.saturating_since(now))
        )),
        _ => None,
    }
}

/// The likely cause of a wrong claim: the variable that requires a value, and the value in the session.
fn wrong_claim(inspection: &Inspection<'_>, variable: &str, claim: &str) -> Option<String> {
    let keys = KeyRing::of_groups(&inspection.groups()).ok()?;
    let sealed =
        SealedSession::find(&keys, [inspection.cookie_header], inspection.authorization).ok()??;
    let opened = sealed.open(&keys, &ClaimDemands::default(), inspection.now);
    let actual = match opened {
        Ok(Opened::Session(session)) => session.claims().get(claim).map(Value::to_string),
        Ok(Opened::Lookup { .. }) | Err(_) => None,
    };
    Some(format!(
        "the gate has {variable} set, but the session's claim is {}",
        actual.as_deref().unwrap_or("missing")
    ))
}

/// The name of another cookie that contains Better Auth's session token.
fn token_in_other_cookie(inspection: &Inspection<'_>, pasted: &Pasted<'_>) -> Option<String> {
    whole_names(pasted).into_iter().find_map(|name| {
        let identity = identify::opens(inspection, &name, &pasted.value(&name))?;
        let is_token = identity.format == Format::BetterAuthToken.as_str();
        is_token.then(|| identity.unrecognized_cookie_cause(&name))
    })
}

/// Describes a duplicate cookie: how often it occurs, and which of its values would open.
fn duplicate(failed: &FailedSession<'_>, pasted: &Pasted<'_>, name: &CookieName) -> String {
    let values = pasted.values(name);
    let chunks = pasted.chunks(name);
    if !values.is_empty() && !chunks.is_empty() {
        return format!(
            "the header has the cookie {name} both whole and in chunks, such as {name}.{}: one of the two is left \
            over; delete both in the browser, and sign in again",
            chunks[0].0
        );
    }
    let twice = chunks.windows(2).find(|pair| pair[0].0 == pair[1].0);
    if let Some([(number, _), _]) = twice {
        let count = chunks.iter().filter(|(other, _)| other == number).count();
        return format!("the header has the cookie {name}.{number} {}", times(count));
    }
    let opens = |value: &&[u8]| failed.opens_with(&pasted.with(name, value));
    let opens = values.iter().position(opens);
    let which = match opens {
        Some(index) => format!("; number {} of them opens", index + 1),
        None => String::new(),
    };
    format!(
        "the header has the cookie {name} {} with different values{which}. One may be set for the domain and one for the \
         host, or for different paths; delete them in the browser, and sign in again",
        times(values.len())
    )
}

fn times(count: usize) -> String {
    match count {
        2 => "twice".to_owned(),
        count => format!("{count} times"),
    }
}

/// Describes the missing chunk `index` of the cookie `name`, counted from 1.
fn missing_chunk(pasted: &Pasted<'_>, name: &CookieName, index: usize) -> String {
    let count = pasted.chunks(name).last().map_or(index, |(last, _)| *last) + 1;
    format!(
        "chunk {} of {count} is missing, the cookie {name}.{index}; a proxy on the way drops cookies, or limits the \
         length of a header",
        index + 1
    )
}

/// The name of a cookie without a chunk number.
fn without_number(name: &CookieName) -> &str {
    match name.as_str().rsplit_once('.') {
        Some((name, number)) if number.bytes().all(|byte| byte.is_ascii_digit()) => name,
        Some(_) | None => name.as_str(),
    }
}

/// The cookie that an error is about.
pub(super) fn named(error: &OpenError) -> Option<&CookieName> {
    #[expect(
        clippy::wildcard_enum_match_arm,
        reason = "the other errors are not about a cookie's name"
    )]
    match error {
        OpenError::AmbiguousCookie { name }
        | OpenError::MalformedChunk { name }
        | OpenError::MissingChunk { name, .. }
        | OpenError::MissingToken { name } => Some(name),
        _ => None,
    }
}

/// A duration in words, in the largest unit that fits.
pub(super) fn span(span: Duration) -> String {
    let secs = span.as_secs();
    let (count, unit) = match secs {
        0..60 => (secs, "second"),
        60..3600 => (secs / 60, "minute"),
        3600..86_400 => (secs / 3600, "hour"),
        _ => (secs / 86_400, "day"),
    };
    let plural = if count == 1 { "" } else { "s" };
    format!("{count} {unit}{plural}")
}

fn date(time: UnixTime) -> String {
    let secs = i64::try_from(time.secs()).unwrap_or(i64::MAX);
    match jiff::Timestamp::from_second(secs) {
        Ok(time) => time.to_string(),
        Err(_) => secs.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn span_uses_the_largest_unit_that_fits() {
        for (secs, text) in [
            (0, "0 seconds"),
            (1, "1 second"),
            (59, "59 seconds"),
            (60, "1 minute"),
            (7199, "1 hour"),
            (172_800, "2 days"),
        ] {
            assert_eq!(span(Duration::from_secs(secs)), text);
        }
    }

    #[test]
    fn date_is_in_utc() {
        assert_eq!(date(UnixTime::from_secs(0)), "1970-01-01T00:00:00Z");
    }
}
