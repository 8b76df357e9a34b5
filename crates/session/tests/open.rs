//! Tests sealing and opening sessions, and the rotation of secrets.

mod common;

use common::{NOW, PLAIN, V4_PLAIN, claims, name, old_secret, open, ring, secret, whole};
use serde_json::{Value, json};
use session::{
    ClaimDemands, Format, KeyRing, OpenError, SealedSession, Secret, SessionCookie, UnixTime, seal,
};

#[test]
fn a_sealed_session_opens_with_the_same_claims() {
    let mut claims = claims("user-1");
    claims.insert(
        "nested".to_owned(),
        json!({"roles": ["a", "b"], "n": 1.5, "text": "q\"\\\n\u{1f511}"}),
    );
    let name = name(PLAIN);
    for (cookie, token, format) in [
        (
            PLAIN,
            seal::authjs(&secret(), &name, &claims, [1; 16]),
            Format::AuthJs,
        ),
        (
            PLAIN,
            seal::authjs_gcm(&secret(), &name, &claims, [1; 12]),
            Format::AuthJs,
        ),
        (
            V4_PLAIN,
            seal::nextauth(&secret(), &claims, [1; 12]),
            Format::NextAuth,
        ),
    ] {
        let session = open(&ring(), &[&format!("{cookie}={token}")], &[])
            .ok()
            .flatten()
            .expect("a session");
        assert_eq!(session.claims(), claims);
        assert_eq!(session.format(), format);
        assert_eq!((session.subject(), session.id()), ("user-1", "j-1"));
        assert_eq!(
            session.issued_at(),
            Some(UnixTime::from_secs(NOW.secs() - 60))
        );
        assert_eq!(session.expires_at(), UnixTime::from_secs(NOW.secs() + 3600));
    }
}

#[test]
fn a_large_session_travels_in_chunks() {
    let mut claims = claims("u");
    claims.insert("picture".to_owned(), Value::from("p".repeat(20_000)));
    let token = seal::authjs(&secret(), &name(PLAIN), &claims, [1; 16]);
    let chunks = seal::chunks(&name(PLAIN), &token, seal::AUTHJS_CHUNK_LEN);
    let names: Vec<_> = chunks.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(
        names[..2],
        ["authjs.session-token.0", "authjs.session-token.1"]
    );
    assert!(
        chunks
            .iter()
            .rev()
            .skip(1)
            .all(|(_, value)| value.len() == 3936)
    );
    let header: Vec<_> = chunks
        .iter()
        .map(|(name, value)| format!("{name}={value}"))
        .collect();
    let session = open(&ring(), &[&header.join("; ")], &[])
        .ok()
        .flatten()
        .expect("a session");
    assert_eq!(session.claims(), claims);
}

#[test]
fn a_token_within_the_limit_is_one_plain_cookie() {
    let name = name("sid");
    assert_eq!(
        seal::chunks(&name, "abcd", 4),
        [("sid".to_owned(), "abcd".to_owned())]
    );
    let expected =
        [("sid.0", "abc"), ("sid.1", "d")].map(|(name, value)| (name.to_owned(), value.to_owned()));
    assert_eq!(seal::chunks(&name, "abcd", 3), expected);
    assert_eq!(seal::chunks(&name, "ab", 0).len(), 2);
}

#[test]
fn auth_js_sessions_of_an_older_secret_open_by_the_key_they_name() {
    let token = seal::authjs(&old_secret(), &name(PLAIN), &claims("u"), [1; 16]);
    assert!(open(&ring(), &[&format!("{PLAIN}={token}")], &[]).is_ok());
    let unnamed = seal::authjs_gcm(&old_secret(), &name(PLAIN), &claims("u"), [1; 12]);
    let verdict = open(&ring(), &[&format!("{PLAIN}={unnamed}")], &[]);
    assert!(matches!(verdict, Err(OpenError::RejectedTag)));
}

#[test]
fn nextauth_sessions_of_an_older_secret_have_ended() {
    let token = seal::nextauth(&old_secret(), &claims("u"), [1; 12]);
    let verdict = open(&ring(), &[&format!("{V4_PLAIN}={token}")], &[]);
    assert!(matches!(verdict, Err(OpenError::RejectedTag)));
}

#[test]
fn an_unknown_secret_is_an_unknown_key_or_a_rejected_tag() {
    let other = Secret::new("nobody configured this");
    let token = seal::authjs(&other, &name(PLAIN), &claims("u"), [1; 16]);
    assert!(matches!(
        open(&ring(), &[&format!("{PLAIN}={token}")], &[]),
        Err(OpenError::UnknownKey)
    ));
    let token = seal::nextauth(&other, &claims("u"), [1; 12]);
    assert!(matches!(
        open(&ring(), &[&format!("{V4_PLAIN}={token}")], &[]),
        Err(OpenError::RejectedTag)
    ));
}

#[test]
fn each_format_refuses_the_other_formats_algorithms() {
    let v5 = seal::authjs(&secret(), &name(PLAIN), &claims("u"), [1; 16]);
    let verdict = open(&ring(), &[&format!("{V4_PLAIN}={v5}")], &[]);
    assert!(matches!(verdict, Err(OpenError::UnsupportedAlgorithm)));
    let v4 = seal::nextauth(&secret(), &claims("u"), [1; 12]);
    assert!(matches!(
        open(&ring(), &[&format!("{PLAIN}={v4}")], &[]),
        Err(OpenError::RejectedTag)
    ));
    let v4_only =
        KeyRing::new(&[secret()], vec![SessionCookie::nextauth(name("sid"))]).expect("a ring");
    let verdict = open(&v4_only, &[], &[&format!("Bearer {v5}")]);
    assert!(matches!(verdict, Err(OpenError::UnsupportedAlgorithm)));
}

#[test]
fn a_session_ends_while_it_is_held_sealed() {
    let keys = ring();
    let header = format!(
        "{V4_PLAIN}={}",
        seal::nextauth(&secret(), &claims("u"), [1; 12])
    );
    let sealed = SealedSession::find(&keys, [header.as_bytes()], [])
        .ok()
        .flatten()
        .expect("a session");
    let end = UnixTime::from_secs(NOW.secs() + 3600);
    let verdict = |now| {
        sealed
            .open(&keys, &ClaimDemands::default(), now)
            .map(|opened| whole(opened).expires_at())
    };
    assert_eq!(verdict(NOW), Ok(end));
    assert_eq!(
        verdict(UnixTime::from_secs(end.secs() + 15)),
        Err(OpenError::Expired { at: end })
    );
}

#[test]
fn printing_a_sealed_session_hides_its_token() {
    let token = seal::nextauth(&secret(), &claims("u"), [1; 12]);
    let header = format!("{V4_PLAIN}={token}");
    let keys = ring();
    let sealed = SealedSession::find(&keys, [header.as_bytes()], [])
        .ok()
        .flatten()
        .expect("a session");
    let printed = format!("{sealed:?}");
    assert!(printed.contains("encrypted"), "{printed}");
    assert!(
        !token
            .split('.')
            .any(|segment| !segment.is_empty() && printed.contains(segment)),
        "{printed}"
    );
}
