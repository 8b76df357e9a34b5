//! `mint` of sessions that an app signs with an `encode()` of its own.

use jsonwebtoken::{Algorithm, DecodingKey, Validation, decode};
use serde_json::Value;

use super::mint::minted;
use super::{SECRET, Tool};

#[test]
fn a_signed_session_is_a_jwt_signed_with_the_secret() {
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

#[test]
fn a_signed_session_is_distinguished_from_other_tokens_with_that_secret() {
    let open = |header: &str, words: &[&'static str]| {
        let words = words.iter().copied();
        Tool::new(["open", "--json", "--secret", SECRET])
            .args(words)
            .input(header)
            .run()
    };
    let signed = minted("authjs-signed", []);
    let opened = open(&signed, &["--format", "authjs-signed"]);
    assert_eq!(opened.json()["format"], "authjs-signed", "{opened:?}");
    let encrypted = minted("authjs", []);
    for (header, words, format) in [
        (&signed, &[][..], "authjs-signed"),
        (&signed, &["--format", "authjs"], "authjs-signed"),
        (&encrypted, &["--format", "authjs-signed"], "authjs"),
    ] {
        let refused = open(header, words);
        assert_eq!(refused.code, Some(1), "{words:?}: {refused:?}");
        let json = refused.json();
        let cause = json["likely_cause"].as_str().expect("a cause");
        let advice = format!("give `--format {format} --cookie-name authjs.session-token`");
        assert!(cause.contains(&advice), "{words:?}: {cause}");
    }
}
