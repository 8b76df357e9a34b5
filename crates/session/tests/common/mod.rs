//! Shared by the tests: secrets, one clock, sealed sessions.
#![allow(dead_code, reason = "each test binary uses its own part")]

use serde_json::{Map, Value, json};
use session::{
    ClaimDemands, CookieName, KeyRing, OpenError, Opened, SealedSession, Secret, Session,
    SessionCookie, UnixTime, seal,
};

pub(crate) const NOW: UnixTime = UnixTime::from_secs(1_900_000_000);

pub(crate) const SECURE: &str = "__Secure-authjs.session-token";
pub(crate) const PLAIN: &str = "authjs.session-token";
pub(crate) const V4_SECURE: &str = "__Secure-next-auth.session-token";
pub(crate) const V4_PLAIN: &str = "next-auth.session-token";

pub(crate) fn secret() -> Secret {
    Secret::new("the current secret, 32 bytes or more")
}

pub(crate) fn old_secret() -> Secret {
    Secret::new("the previous secret, 32 bytes or more")
}

/// A ring of the default cookies, with the current secret and the previous one.
pub(crate) fn ring() -> KeyRing {
    KeyRing::new(&[secret(), old_secret()], SessionCookie::defaults().into()).expect("a ring")
}

pub(crate) fn name(name: &str) -> CookieName {
    name.parse().expect("a cookie name")
}

pub(crate) fn claims(subject: &str) -> Map<String, Value> {
    let claims =
        json!({"sub": subject, "iat": NOW.secs() - 60, "exp": NOW.secs() + 3600, "jti": "j-1"});
    claims.as_object().expect("an object").clone()
}

/// A token of the format that belongs to the cookie.
pub(crate) fn token(cookie: &str, subject: &str) -> String {
    if cookie.contains("next-auth") {
        seal::nextauth(&secret(), &claims(subject), [3; 12])
    } else {
        seal::authjs(&secret(), &name(cookie), &claims(subject), [3; 16])
    }
}

/// The subject of the session in a request, if the request has a session.
pub(crate) fn subject(
    cookies: &[&str],
    authorization: &[&str],
) -> Result<Option<String>, OpenError> {
    let session = open(&ring(), cookies, authorization)?;
    Ok(session.map(|session| session.subject().to_owned()))
}

pub(crate) fn open(
    keys: &KeyRing,
    cookies: &[&str],
    authorization: &[&str],
) -> Result<Option<Session>, OpenError> {
    let cookies = cookies.iter().map(|text| text.as_bytes());
    let authorization = authorization.iter().map(|text| text.as_bytes());
    let Some(sealed) = SealedSession::find(keys, cookies, authorization)? else {
        return Ok(None);
    };
    sealed
        .open(keys, &ClaimDemands::default(), NOW)
        .map(|opened| Some(whole(opened)))
}

/// The session; panics if it has to be looked up.
pub(crate) fn whole(opened: Opened) -> Session {
    match opened {
        Opened::Session(session) => session,
        Opened::Lookup { .. } => panic!("{opened:?}"),
    }
}
