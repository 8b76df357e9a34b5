//! Tests session cookies that an application signs with an `encode()` of its own, where the ring expects them.

mod common;

use core::time::Duration;

use common::{NOW, PLAIN, V4_PLAIN, claims, name, old_secret, secret, whole};
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use serde_json::{Map, Value, json};
use session::{
    ClaimDemands, Format, KeyRing, OpenError, SealedSession, Secret, Session, SessionCookie, seal,
};

/// A ring of signed sessions in either cookie, with the current secret and the previous one.
fn ring() -> KeyRing {
    let cookies = [PLAIN, V4_PLAIN].map(|cookie| SessionCookie::authjs_signed(name(cookie)));
    KeyRing::new(&[secret(), old_secret()], cookies.into()).expect("a ring")
}

fn sign(algorithm: Algorithm, secret: &Secret, claims: &Map<String, Value>) -> String {
    let key = EncodingKey::from_secret(secret.expose());
    encode(&Header::new(algorithm), claims, &key).expect("a token")
}

fn open_with(demands: &ClaimDemands, cookies: &str) -> Result<Session, OpenError> {
    let keys = ring();
    let sealed = SealedSession::find(&keys, [cookies.as_bytes()], [])?.expect("a session");
    sealed.open(&keys, demands, NOW).map(whole)
}

fn open(token: &str) -> Result<Session, OpenError> {
    open_with(&ClaimDemands::default(), &format!("{PLAIN}={token}"))
}

#[test]
fn every_hash_and_every_secret_opens_in_either_cookie() {
    let claims = claims("user-1");
    for algorithm in [Algorithm::HS256, Algorithm::HS384, Algorithm::HS512] {
        for secret in [secret(), old_secret()] {
            let token = sign(algorithm, &secret, &claims);
            for cookie in [PLAIN, V4_PLAIN] {
                let cookies = format!("{cookie}={token}");
                let session = open_with(&ClaimDemands::default(), &cookies).expect("a session");
                assert_eq!(session.subject(), "user-1");
                assert_eq!(
                    (session.format(), session.id()),
                    (Format::AuthJsSigned, "j-1")
                );
            }
        }
    }
    let minted = open(&seal::authjs_signed(&secret(), &claims));
    assert_eq!(minted.expect("a session").subject(), "user-1");
}

#[test]
fn signed_chunks_are_joined() {
    let mut claims = claims("user-1");
    claims.insert("roles".to_owned(), "r".repeat(9000).into());
    let token = sign(Algorithm::HS512, &secret(), &claims);
    let chunks = seal::chunks(&name(PLAIN), &token, seal::AUTHJS_CHUNK_LEN);
    assert!(chunks.len() > 2);
    let pairs: Vec<_> = chunks
        .iter()
        .map(|(name, value)| format!("{name}={value}"))
        .collect();
    let session = open_with(&ClaimDemands::default(), &pairs.join("; "));
    assert_eq!(session.expect("a session").subject(), "user-1");
    let missing = pairs[1..].join("; ");
    assert_eq!(
        open_with(&ClaimDemands::default(), &missing).map(|_| ()),
        Err(OpenError::MissingChunk {
            name: name(PLAIN),
            index: 0
        })
    );
}

#[test]
fn a_bearer_value_of_three_segments_opens() {
    let keys = ring();
    let token = sign(Algorithm::HS256, &secret(), &claims("user-1"));
    let value = format!("Bearer {token}");
    let sealed = SealedSession::find(&keys, [], [value.as_bytes()]);
    let sealed = sealed.expect("one value").expect("a session");
    let session = sealed.open(&keys, &ClaimDemands::default(), NOW).map(whole);
    assert_eq!(session.expect("a session").format(), Format::AuthJsSigned);
}

/// A token of these parts, signed with HMAC-SHA-256 whatever the header says.
fn forged(header: &Value, claims: &Map<String, Value>) -> String {
    use base64::prelude::{BASE64_URL_SAFE_NO_PAD, Engine as _};
    let claims = Value::from(claims.clone());
    let [header, claims] =
        [header, &claims].map(|part| BASE64_URL_SAFE_NO_PAD.encode(part.to_string()));
    let signed = format!("{header}.{claims}");
    let key = EncodingKey::from_secret(secret().expose());
    let signature = jsonwebtoken::crypto::sign(signed.as_bytes(), &key, Algorithm::HS256);
    format!("{signed}.{}", signature.expect("a signature"))
}

#[test]
fn only_tokens_signed_by_the_secret_open() {
    let claims = claims("user-1");
    let verdict = |token: &str| open(token).map(|_| ());
    assert_eq!(verdict(&forged(&json!({"alg": "HS256"}), &claims)), Ok(()));
    for alg in [
        "none", "None", "RS256", "ES256", "EdDSA", "dir", "hs256", "",
    ] {
        assert_eq!(
            verdict(&forged(&json!({ "alg": alg }), &claims)),
            Err(OpenError::UnsupportedAlgorithm),
            "{alg}"
        );
    }
    for header in [
        json!({"alg": "HS256", "crit": ["b64"], "b64": false}),
        json!({"alg": "HS256", "zip": "DEF"}),
        json!({"alg": "HS256", "typ": "JOSE"}),
    ] {
        assert!(
            matches!(
                verdict(&forged(&header, &claims)),
                Err(OpenError::UnsupportedHeader { .. })
            ),
            "{header}"
        );
    }
    let other = Secret::new("another application's secret, 32 bytes");
    let token = sign(Algorithm::HS256, &other, &claims);
    assert_eq!(verdict(&token), Err(OpenError::RejectedSignature));

    let good = sign(Algorithm::HS256, &secret(), &claims);
    let (signed, _) = good.rsplit_once('.').expect("a signature");
    let unsigned = format!("{signed}.");
    let encrypted = common::token(PLAIN, "user-1");
    for malformed in [&unsigned, signed, &format!("{good}="), "a.b.c", &encrypted] {
        assert!(open(malformed).is_err(), "{malformed}");
    }
    let oversize = format!("{signed}.{}", "A".repeat(65 * 1024));
    assert_eq!(verdict(&oversize), Err(OpenError::Oversize));
}

#[test]
fn a_session_without_expiry_needs_a_maximum_age() {
    let mut endless = claims("user-1");
    endless.remove("exp");
    let token = sign(Algorithm::HS256, &secret(), &endless);
    assert_eq!(open(&token).map(|_| ()), Err(OpenError::MissingExpiry));

    let cookies = format!("{PLAIN}={token}");
    let aged = |secs| {
        let max_age = Some(Duration::from_secs(secs));
        let demands = ClaimDemands {
            max_age,
            ..ClaimDemands::default()
        };
        open_with(&demands, &cookies).map(|session| session.expires_at().secs())
    };
    // It was issued a minute ago.
    assert_eq!(aged(100), Ok(NOW.secs() - 60 + 100));
    assert!(matches!(aged(40), Err(OpenError::Expired { .. })));

    endless.remove("iat");
    let token = seal::authjs_signed(&secret(), &endless);
    let demands = ClaimDemands {
        max_age: Some(Duration::from_secs(100)),
        ..ClaimDemands::default()
    };
    assert_eq!(
        open_with(&demands, &format!("{PLAIN}={token}")).map(|_| ()),
        Err(OpenError::MissingIssueTime)
    );
}

#[test]
fn signed_sessions_are_off_by_default() {
    let token = sign(Algorithm::HS256, &secret(), &claims("user-1"));
    for cookie in [PLAIN, V4_PLAIN] {
        let cookie = format!("{cookie}={token}");
        assert!(
            matches!(
                common::subject(&[&cookie], &[]),
                Err(OpenError::MalformedToken { .. })
            ),
            "{cookie}"
        );
    }
}
