//! Tests what is removed from a request when its session must not be forwarded.

mod common;

use common::{PLAIN, claims, name, old_secret, ring, secret, token};
use serde_json::{Value, json};
use session::cookies::{contains_session, without_session};
use session::{KeyRing, Secret, SessionCookie, UnixTime, seal};

const TOKEN: &str = "mWDgQ6D0uEGUhaKnhr3ShAc8oBX5gWti";

fn better_auth(names: &[&str]) -> KeyRing {
    let cookies = names
        .iter()
        .map(|own| SessionCookie::better_auth(name(own)));
    KeyRing::new(&[secret()], cookies.collect()).expect("a ring")
}

fn defaults() -> KeyRing {
    better_auth(&[
        "__Secure-better-auth.session_token",
        "better-auth.session_token",
    ])
}

/// Whether a cookie with this name and value is removed. Another cookie beside it must stay.
fn is_removed(keys: &KeyRing, name: &str, value: &str) -> bool {
    let header = format!("a=1; {name}={value}");
    let removed = contains_session(keys, header.as_bytes());
    let rest = without_session(keys, header.as_bytes()).expect("the other stays");
    assert_eq!(
        rest,
        if removed { "a=1" } else { &header }.as_bytes(),
        "{name}"
    );
    removed
}

fn cached() -> serde_json::Map<String, Value> {
    let cached = json!({
        "session": {"id": "s", "token": TOKEN, "userId": "u", "expiresAt": "2030-01-01T00:00:00.000Z"},
        "user": {"id": "u"}, "updatedAt": 1, "version": "1",
    });
    cached.as_object().expect("an object").clone()
}

#[test]
fn every_session_cookie_of_better_auth_is_removed_by_name() {
    for own in [
        "better-auth.session_token",
        "better-auth.session_token.0",
        "better-auth.session_token_multi-mwdgq6d0uegu",
        "__Secure-better-auth.session_token_multi-mwdgq6d0uegu",
        "__Host-better-auth.session_token",
        "better-auth.session_data",
        "better-auth.session_data.1",
        "better-auth.admin_session",
        "__Secure-better-auth.admin_session",
        "better-auth.admin_session.0",
    ] {
        assert!(is_removed(&defaults(), own, "x"), "{own}");
        // Only one of the two names is configured.
        let plain = better_auth(&["better-auth.session_token"]);
        assert!(is_removed(&plain, own, "x"), "{own}");
    }
    let custom = better_auth(&["sid"]);
    for own in [
        "sid",
        "sid.0",
        "sid_multi-x",
        "__Secure-sid",
        "better-auth.admin_session",
    ] {
        assert!(is_removed(&custom, own, "x"), "{own}");
    }
}

#[test]
fn a_value_that_verifies_as_a_better_auth_session_is_removed_under_any_name() {
    let keys = defaults();
    let token = seal::better_auth_token(&secret(), TOKEN);
    let admin = seal::better_auth_token(&secret(), &format!("{TOKEN}:true"));
    let end = UnixTime::from_secs(1);
    let compact = seal::better_auth_compact(&secret(), &cached(), end);
    for value in [
        &token,
        &admin,
        &token
            .replace('=', "%3D")
            .replace('/', "%2F")
            .replace('+', "%2B"),
        &format!("\"{token}\""),
        &compact,
        &seal::better_auth_jwt(&secret(), &cached()),
        &seal::better_auth_jwe(&secret(), &cached(), [7; 16]),
    ] {
        assert!(is_removed(&keys, "legacy", value), "{value}");
    }
}

#[test]
fn other_values_that_the_application_signs_are_kept() {
    let keys = defaults();
    for (own, signed) in [
        ("better-auth.dont_remember", "true"),
        ("better-auth.two_factor", "2fa-Xk29fLq0aZ7bTnC4dVwE"),
        (
            "better-auth.trust_device",
            &*format!("{TOKEN}!trust-device-x"),
        ),
        ("better-auth.state", &*format!("{TOKEN}x")),
    ] {
        let value = seal::better_auth_token(&secret(), signed);
        assert!(!is_removed(&keys, own, &value), "{own}");
    }
    let foreign = seal::better_auth_token(&Secret::new("another"), TOKEN);
    assert!(!is_removed(&keys, "other", &foreign));
    for own in [
        "better-auth.account_data",
        "better-auth.last_used_login_method",
        "theme",
    ] {
        assert!(!is_removed(&keys, own, "x.y"), "{own}");
    }
    let custom = better_auth(&["sid"]);
    for own in ["sidebar", "sid_theme", "sid.x", "session_theme"] {
        assert!(!is_removed(&custom, own, "x"), "{own}");
    }
}

#[test]
fn an_encrypted_session_is_removed_under_any_name() {
    let keys = ring();
    assert!(is_removed(&keys, "legacy", &token(PLAIN, "u")));
    let old = seal::authjs(&old_secret(), &name(PLAIN), &claims("u"), [1; 16]);
    assert!(is_removed(&keys, "legacy", &old));
    assert!(is_removed(
        &keys,
        "legacy",
        &seal::nextauth(&secret(), &claims("u"), [1; 12])
    ));
    assert!(is_removed(&keys, "__Host-authjs.session-token", "x"));
    let foreign = seal::authjs(&Secret::new("another"), &name(PLAIN), &claims("u"), [1; 16]);
    assert!(!is_removed(&keys, "legacy", &foreign));
    // The application encrypts another value with the same secret, under another name.
    let other = seal::authjs(&secret(), &name("authjs.pkce"), &claims("u"), [1; 16]);
    assert!(!is_removed(&keys, "authjs.pkce", &other));
}

#[test]
fn a_bearer_value_is_a_session_when_it_verifies_as_one() {
    let keys = defaults();
    let token = seal::better_auth_token(&secret(), TOKEN);
    for value in [
        format!("Bearer {token}"),
        format!("bearer   {token}"),
        format!("BEARER {} and more", token.replace('=', "%3D")),
    ] {
        assert!(keys.is_session_bearer(value.as_bytes()), "{value}");
    }
    for value in [
        "",
        "Bearer",
        "Bearer ",
        "Basic dTpw",
        "Bearer abc",
        &format!("Bearer {TOKEN}"),
    ] {
        assert!(!keys.is_session_bearer(value.as_bytes()), "{value}");
    }
    let sealed = format!("Bearer {}", common::token(PLAIN, "u"));
    assert!(ring().is_session_bearer(sealed.as_bytes()));
    assert!(!keys.is_session_bearer(sealed.as_bytes()));
}

#[test]
fn a_session_that_the_app_signs_is_removed_under_any_name() {
    let cookie = SessionCookie::authjs_signed(name(PLAIN));
    let keys = KeyRing::new(&[secret()], vec![cookie]).expect("a ring");
    let Value::Object(claims) = json!({ "sub": "u", "exp": 1 }) else {
        unreachable!("an object")
    };
    let signed = seal::authjs_signed(&secret(), &claims);
    assert!(is_removed(&keys, "renamed", &signed));
    let foreign = seal::authjs_signed(&Secret::new("x".repeat(40)), &claims);
    assert!(!is_removed(&keys, "renamed", &foreign));
    // A ring without signed sessions does not remove signed values.
    assert!(!is_removed(&ring(), "renamed", &signed));
}
