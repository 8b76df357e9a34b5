//! Counts the allocations of opening a session. The numbers are exact, so a change that costs an allocation shows here.
//!
//! What the cryptographic library allocates with C's allocator is not counted.

mod common;

use allocation_counter::measure;
use common::{NOW, PLAIN, V4_PLAIN, claims, name, ring, secret};
use serde_json::{Map, Value, json};
use session::{ClaimDemands, KeyRing, SealedSession, SessionCookie, UnixTime, seal};

/// The number of allocations that finding and opening the session in this `Cookie` takes.
fn allocations(keys: &KeyRing, cookie: &str) -> u64 {
    let open = || {
        let sealed = SealedSession::find(keys, [cookie.as_bytes()], []).expect("one session");
        let opened = sealed
            .expect("a session")
            .open(keys, &ClaimDemands::default(), NOW);
        drop(opened.expect("an open session"));
    };
    // The first call makes what is made once per process, which is not counted.
    open();
    measure(open).count_total
}

/// The usual claims: name, e-mail address and those that `encode()` adds.
fn usual_claims() -> Map<String, Value> {
    let mut all = claims("clx3k9v2p0000qwer1234tyui");
    all.insert("name".to_owned(), "Ada Lovelace".into());
    all.insert("email".to_owned(), "ada@example.com".into());
    all.insert(
        "jti".to_owned(),
        "8f14e45f-ceea-467f-9575-1c2d3e4f5a6b".into(),
    );
    all
}

#[test]
fn an_encrypted_session_takes_two_allocations() {
    let token = seal::authjs(&secret(), &name(PLAIN), &usual_claims(), [1; 16]);
    assert_eq!(token.len(), 478);
    // Its plaintext, and the names of its members.
    let cookie = format!("theme=dark; {PLAIN}={token}; lang=en");
    assert_eq!(allocations(&ring(), &cookie), 2);
    let token = seal::nextauth(&secret(), &usual_claims(), [1; 12]);
    assert_eq!(allocations(&ring(), &format!("{V4_PLAIN}={token}")), 2);
}

#[test]
fn chunks_take_allocations_for_their_list_and_the_joined_value() {
    let token = seal::authjs(&secret(), &name(PLAIN), &usual_claims(), [1; 16]);
    let chunks = seal::chunks(&name(PLAIN), &token, 100);
    let chunks: Vec<_> = chunks
        .iter()
        .map(|(name, value)| format!("{name}={value}"))
        .collect();
    assert_eq!(allocations(&ring(), &chunks.join("; ")), 2 + 3);
}

#[test]
fn a_better_auth_session_takes_few_allocations() {
    let token = "0123456789abcdefghijklmnopqrstuv";
    let cached = json!({
        "session": {"id": "s-1", "token": token, "userId": "u", "expiresAt": "2040-01-01T00:00:00.000Z"},
        "user": {"id": "u", "email": "ada@example.com", "name": "Ada"},
        "updatedAt": NOW.millis(), "version": "1", "iat": NOW.secs(), "exp": NOW.secs() + 300,
    });
    let cached = cached.as_object().expect("an object");
    let cookies = SessionCookie::better_auth_defaults("better-auth").expect("a prefix");
    let keys = KeyRing::new(&[secret()], cookies.into()).expect("a ring");
    let cookie = format!(
        "better-auth.session_token={}",
        seal::better_auth_token(&secret(), token)
    );
    // The value without percent-encoding, the token, and its id.
    assert_eq!(allocations(&keys, &cookie), 3);
    for cache in [
        seal::better_auth_compact(&secret(), cached, UnixTime::from_secs(NOW.secs() + 300)),
        seal::better_auth_jwt(&secret(), cached),
        seal::better_auth_jwe(&secret(), cached, [1; 16]),
    ] {
        let cookie = format!("{cookie}; better-auth.session_data={cache}");
        assert_eq!(allocations(&keys, &cookie), 3 + 2);
    }
}
