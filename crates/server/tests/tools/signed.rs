//! What `mint` makes of a session that an app would sign with an `encode()` of its own.

use jsonwebtoken::{Algorithm, DecodingKey, Validation, decode};
use serde_json::Value;

use super::SECRET;
use super::mint::minted;

#[test]
fn a_signed_session_is_a_jwt_by_the_secret() {
    let big = format!("bio={:?}", "x".repeat(9000));
    for more in [&[][..], &["--claim", big.as_str()]] {
        let words = [
            "--email",
            "ada@example.com",
            "--claim",
            "email_verified=true",
        ];
        let header = minted(
            "authjs-signed",
            words.into_iter().chain(more.iter().copied()),
        );
        let values: Vec<_> = header
            .split("; ")
            .filter_map(|pair| pair.split_once('='))
            .inspect(|(name, _)| assert!(name.starts_with("authjs.session-token"), "{name}"))
            .map(|(_, value)| value)
            .collect();
        assert_eq!(values.len() > 1, !more.is_empty());
        let key = DecodingKey::from_secret(SECRET.as_bytes());
        let token = decode::<Value>(values.concat(), &key, &Validation::new(Algorithm::HS256));
        let claims = token.expect("a token").claims;
        assert_eq!(claims["sub"], "ada");
        assert_eq!(claims["email_verified"], true);
    }
}
