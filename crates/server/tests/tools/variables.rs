//! `open` reads the variables of `serve`, its options take precedence over them, and it identifies the content of a cookie of any
//! name.

use serde_json::{Map, Value, json};
use session::{Secret, UnixTime, seal};

use super::mint::minted;
use super::{Outcome, SECRET, Tool};

/// The time at which every session here is opened.
const NOW: u64 = 1_900_000_000;

const TOKEN: &str = "abcdefghijklmnopqrstuvwxyz012345";

fn open(header: impl Into<Vec<u8>>) -> Tool {
    let at = NOW.to_string();
    Tool::new(["open", "--json", "--at", &at])
        .input(header)
        .env("AUTH_SECRET", SECRET)
}

fn object(value: Value) -> Map<String, Value> {
    value.as_object().cloned().expect("an object")
}

fn secret() -> Secret {
    Secret::new(SECRET)
}

fn authjs(salt: &str) -> String {
    let claims = object(json!({
        "sub": "ada", "iat": NOW - 60, "exp": NOW + 3600, "iss": "issuer", "aud": "app",
    }));
    let salt = salt.parse().expect("a name");
    seal::authjs(&secret(), &salt, &claims, [7; 16])
}

fn nextauth() -> String {
    let claims = object(json!({"sub": "ada", "exp": NOW + 3600}));
    seal::nextauth(&secret(), &claims, [7; 12])
}

/// Returns a session of Better Auth, cached with this strategy for 300 seconds.
fn cached(strategy: &str, version: &str) -> String {
    let mut claims = object(json!({
        "session": {"id": "s", "token": TOKEN, "userId": "ada", "expiresAt": "2030-03-24T17:46:40.000Z"},
        "user": {"id": "ada", "name": "Ada", "email": "ada@example.com"},
        "updatedAt": NOW * 1000,
        "version": version,
    }));
    let end = NOW + 300;
    if strategy != "compact" {
        claims.insert("exp".to_owned(), end.into());
        claims.insert("iat".to_owned(), NOW.into());
    }
    match strategy {
        "compact" => seal::better_auth_compact(&secret(), &claims, UnixTime::from_secs(end)),
        "jwe" => seal::better_auth_jwe(&secret(), &claims, [7; 16]),
        _ => seal::better_auth_jwt(&secret(), &claims),
    }
}

fn token() -> String {
    seal::better_auth_token(&secret(), TOKEN)
}

/// A header with the token and the cache under these names.
fn better_auth(name: &str, data_name: &str, strategy: &str) -> String {
    format!("{name}={}; {data_name}={}", token(), cached(strategy, "1"))
}

fn opens(tool: Tool, format: &str) -> Outcome {
    let outcome = tool.run();
    assert_eq!(outcome.code, Some(0), "{outcome:?}");
    assert_eq!(outcome.json()["format"], format);
    outcome
}

fn refused(tool: Tool, reason: &str) -> Value {
    let outcome = tool.run();
    let json = outcome.json();
    assert_eq!(outcome.code, Some(1), "{json}");
    assert_eq!(json["reason"], reason, "{json}");
    json
}

fn cause(json: &Value) -> &str {
    json["likely_cause"].as_str().unwrap_or_default()
}

#[test]
fn names_salts_and_formats_come_from_the_variables() {
    let own = format!("sid={}", authjs("sid"));
    opens(
        open(own.as_str()).env("AUTH_COOKIE_NAME", "sid"),
        "authjs-v5",
    );
    let salted = format!("sid={}", authjs("own"));
    let salted = open(salted).env("AUTH_COOKIE_NAME", "sid");
    opens(salted.env("JWT_SALT", "own"), "authjs-v5");
    // Without `AUTH_COOKIE_NAME`, the salt is also the name of the cookie.
    opens(open(own.as_str()).env("JWT_SALT", "sid"), "authjs-v5");
    let old = format!("sid={}", nextauth());
    let old = open(old).env("AUTH_COOKIE_NAME", "sid");
    opens(old.env("SESSION_FORMAT", "nextauth"), "nextauth-v4");
    // If the variable names another cookie, this one is ignored.
    let json = refused(open(own).env("AUTH_COOKIE_NAME", "other"), "no_credential");
    assert!(cause(&json).contains("AUTH_COOKIE_NAME=sid"), "{json}");

    let json = refused(
        open("a=b").env("SESSION_FORMAT", "nextauth"),
        "no_credential",
    );
    assert_eq!(json.get("likely_cause"), None);
    let wrong = open("a=b").env("SESSION_FORMAT", "auth0").run();
    assert_eq!(wrong.code, Some(2));
    assert!(
        wrong.stderr.contains("SESSION_FORMAT: `auth0`"),
        "{}",
        wrong.stderr
    );
}

#[test]
fn the_cookies_of_better_auth_come_from_the_variables() {
    let prefixed = better_auth("shop.session_token", "shop.session_data", "jwe");
    let tool = open(prefixed).env("BETTER_AUTH_COOKIE_PREFIX", "shop");
    opens(tool, "better-auth-jwe");
    for (name, data_name) in [
        ("better-auth.session_token", "cache"),
        ("__Secure-better-auth.session_token", "__Secure-cache"),
    ] {
        let tool = open(better_auth(name, data_name, "compact"));
        opens(
            tool.env("BETTER_AUTH_DATA_COOKIE_NAME", "cache"),
            "better-auth-compact",
        );
    }
    let default = better_auth(
        "better-auth.session_token",
        "better-auth.session_data",
        "jwt",
    );
    let tool = open(default.as_str());
    opens(tool.clone(), "better-auth-jwt");
    let tool = tool.env("BETTER_AUTH_CACHE_STRATEGY", "jwe");
    refused(tool.clone(), "malformed_token");
    opens(tool.args(["--strategy", "jwt"]), "better-auth-jwt");

    let second = format!(
        "better-auth.session_token={}; better-auth.session_data={}",
        token(),
        cached("compact", "2")
    );
    let json = refused(open(second.as_str()), "wrong_cache_version");
    assert!(cause(&json).contains("BETTER_AUTH_CACHE_VERSION"), "{json}");
    opens(
        open(second).env("BETTER_AUTH_CACHE_VERSION", "2"),
        "better-auth-compact",
    );

    let mut asking = open(default).env("TRUST_COOKIE_CACHE", "false");
    let outcome = opens(asking.clone(), "better-auth-signed-token");
    assert_eq!(outcome.json()["lookup_required"], true);
    asking.words.retain(|word| word != "--json");
    let text = asking.run().stdout;
    assert!(text.contains("TRUST_COOKIE_CACHE is off"), "{text}");
}

#[test]
fn options_override_the_variables() {
    let own = format!("sid={}", authjs("sid"));
    let tool = open(own)
        .env("AUTH_COOKIE_NAME", "other")
        .env("JWT_SALT", "another")
        .env("SESSION_FORMAT", "nextauth")
        .args([
            "--cookie-name",
            "sid",
            "--format",
            "authjs",
            "--salt",
            "sid",
        ]);
    opens(tool, "authjs-v5");
    let default = format!("authjs.session-token={}", authjs("authjs.session-token"));
    let tool = open(default).env("SESSION_FORMAT", "better-auth");
    refused(tool.clone(), "no_credential");
    opens(tool.args(["--format", "auto"]), "authjs-v5");
}

#[test]
fn open_checks_the_claims_that_the_gate_requires() {
    let header = format!("authjs.session-token={}", authjs("authjs.session-token"));
    let good = open(header.as_str())
        .env("TOKEN_ISSUER", "issuer")
        .env("TOKEN_AUDIENCE", "app")
        .env("TOKEN_MAX_AGE", "3600");
    opens(good, "authjs-v5");
    for (name, value, reason, expected) in [
        ("TOKEN_ISSUER", "x", "wrong_issuer", "claim is \"issuer\""),
        ("TOKEN_AUDIENCE", "x", "wrong_audience", "claim is \"app\""),
        ("TOKEN_MAX_AGE", "10", "too_old", "1 minute ago"),
    ] {
        let json = refused(open(header.as_str()).env(name, value), reason);
        assert!(cause(&json).contains(name), "{json}");
        assert!(cause(&json).contains(expected), "{json}");
    }
}

#[test]
fn tokens_of_stored_sessions_need_no_secret() {
    let header = "next-auth.session-token=5f0c9a1b-9afb-4eeb-9940-37b970b5c6d4";
    let tool = || Tool::new(["open", "--json"]).input(header);
    for tool in [
        tool().env("SESSION_FORMAT", "authjs-database"),
        tool().args(["--format", "authjs-database"]),
        tool()
            .env("SESSION_SCHEMA", "prisma")
            .env("AUTH_SECRET", SECRET),
    ] {
        let outcome = opens(tool, "authjs-database");
        assert_eq!(outcome.json()["lookup_required"], true);
    }
}

#[test]
fn signed_tokens_of_the_issuer_open() {
    let claims = object(json!({"iss": "issuer", "aud": "api", "sub": "robot", "exp": NOW + 60}));
    let token = format!("Bearer {}", seal::better_auth_jwt(&secret(), &claims));
    let tool = |audience: &str| {
        let tool = Tool::new([
            "open",
            "--json",
            "--at",
            &NOW.to_string(),
            "--authorization",
            &token,
        ]);
        tool.env("BEARER_SECRET", SECRET)
            .env("BEARER_ISSUER", "issuer")
            .env("BEARER_AUDIENCE", audience)
    };
    let outcome = opens(tool("api"), "jwt");
    assert_eq!(outcome.json()["claims"]["sub"], "robot");
    let json = refused(tool("web"), "wrong_audience");
    assert!(cause(&json).contains("BEARER_AUDIENCE"), "{json}");
    assert!(cause(&json).contains("\"api\""), "{json}");
    let json = refused(
        tool("api").env(
            "BEARER_SECRET",
            "another-secret-of-enough-length-3f7a9c2e51",
        ),
        "rejected_signature",
    );
    assert!(
        cause(&json).contains("another key than BEARER_SECRET"),
        "{json}"
    );
    // Without an issuer the token is not a session.
    let tool = Tool::new(["open", "--json", "--authorization", &token]).env("AUTH_SECRET", SECRET);
    refused(tool, "malformed_token");
}

#[test]
fn the_format_of_a_cookie_with_any_name_is_recognized() {
    for (value, format, option, variable) in [
        (
            authjs("odd"),
            "authjs-v5",
            "--format authjs",
            "SESSION_FORMAT=authjs",
        ),
        (
            authjs("authjs.session-token"),
            "authjs-v5",
            "--salt authjs.session-token",
            "JWT_SALT=authjs.session-token",
        ),
        (
            nextauth(),
            "nextauth-v4",
            "--format nextauth",
            "SESSION_FORMAT=nextauth",
        ),
        (
            token(),
            "better-auth-signed-token",
            "--format better-auth",
            "SESSION_FORMAT=better-auth",
        ),
        (
            cached("compact", "1"),
            "better-auth-compact",
            "--format better-auth",
            "BETTER_AUTH_DATA_COOKIE_NAME=odd",
        ),
        (
            cached("jwt", "1"),
            "better-auth-jwt",
            "--format better-auth",
            "BETTER_AUTH_DATA_COOKIE_NAME=odd",
        ),
        (
            cached("jwe", "1"),
            "better-auth-jwe",
            "--format better-auth",
            "BETTER_AUTH_DATA_COOKIE_NAME=odd",
        ),
    ] {
        let header = format!("theme=dark; odd={value}");
        let json = refused(open(header.as_str()), "no_credential");
        assert_eq!(
            (&json["format"], &json["cookie"]),
            (&json!(format), &json!("odd")),
            "{json}"
        );
        for expected in [format, option, variable, "the cookie odd"] {
            assert!(cause(&json).contains(expected), "{expected}: {json}");
        }
        let mut for_people = open(header);
        for_people.words.retain(|word| word != "--json");
        let text = for_people.run().stdout;
        let expected = format!("cookie odd, which contains a value of the format {format}.");
        assert!(text.contains(&expected), "{text}");
    }
}

#[test]
fn a_value_under_the_name_of_another_framework_is_recognized() {
    // A cookie with an unknown name is treated as one of Auth.js.
    let json = refused(
        open(format!("sid={}", token())).env("AUTH_COOKIE_NAME", "sid"),
        "malformed_token",
    );
    assert_eq!(json["format"], "better-auth-signed-token");
    assert!(
        cause(&json).contains("SESSION_FORMAT=better-auth"),
        "{json}"
    );
    let header = format!(
        "better-auth.session_token={}",
        authjs("better-auth.session_token")
    );
    let json = refused(open(header), "malformed_session_token");
    assert_eq!(json["format"], "authjs-v5");
    assert!(cause(&json).contains("SESSION_FORMAT=authjs"), "{json}");
}

#[test]
fn a_token_of_another_name_is_found_beside_its_cache() {
    let header = better_auth("sid", "better-auth.session_data", "jwe");
    let json = refused(open(header.as_str()), "missing_token");
    assert!(cause(&json).contains("--cookie-name sid"), "{json}");
    let tool = open(header).args(["--format", "better-auth", "--cookie-name", "sid"]);
    opens(tool, "better-auth-jwe");
}

#[test]
fn the_format_is_named_if_no_secret_opens_the_value() {
    for (value, format) in [
        (authjs("odd"), "authjs-v5"),
        (nextauth(), "nextauth-v4"),
        (token(), "better-auth-signed-token"),
        (cached("compact", "1"), "better-auth-compact"),
        (cached("jwt", "1"), "better-auth-jwt"),
    ] {
        let tool = open(format!("odd={value}"));
        let other = "another-secret-of-enough-length-3f7a9c2e51";
        let json = refused(tool.env("AUTH_SECRET", other), "no_credential");
        assert_eq!(json["format"], format);
        assert!(
            cause(&json).contains(&format!("looks like {format}")),
            "{json}"
        );
    }
    let json = refused(open("odd=dark; other=a.b"), "no_credential");
    assert_eq!(json.get("format"), None, "{json}");
}

#[test]
fn the_validity_of_a_cookie_cache_is_printed() {
    let mark = format!(
        "better-auth.dont_remember={}",
        seal::better_auth_token(&secret(), "true")
    );
    for strategy in ["compact", "jwt", "jwe"] {
        let header = better_auth(
            "better-auth.session_token",
            "better-auth.session_data",
            strategy,
        );
        let format = format!("better-auth-{strategy}");
        let outcome = opens(open(header.as_str()), &format);
        assert_eq!(outcome.json()["cache"], json!({"expires_in": 300}));
        let mut for_people = open(header.as_str());
        for_people.words.retain(|word| word != "--json");
        let text = for_people.run().stdout;
        for expected in ["is valid for another 300 s", "it expires in 7 days"] {
            assert!(text.contains(expected), "{expected}: {text}");
        }
        let not_remembered = format!("{header}; {mark}");
        let outcome = opens(open(not_remembered.as_str()), &format);
        assert_eq!(
            outcome.json()["cache"],
            json!({"expires_in": 300, "not_renewed": true})
        );
        let mut for_people = open(not_remembered.as_str());
        for_people.words.retain(|word| word != "--json");
        let text = for_people.run().stdout;
        assert!(
            text.contains("does not renew it after it expires, because"),
            "{text}"
        );

        let later = (NOW + 400).to_string();
        let tool = Tool::new(["open", "--json", "--at", &later]).env("AUTH_SECRET", SECRET);
        let json = refused(tool.input(not_remembered), "expired");
        assert!(cause(&json).contains("rememberMe: false"), "{json}");
    }
    let json = opens(
        open(format!(
            "authjs.session-token={}",
            authjs("authjs.session-token")
        )),
        "authjs-v5",
    )
    .json();
    assert_eq!(json.get("cache"), None);
    let minted = minted("better-auth-compact", []);
    let outcome = Tool::new(["open", "--json"])
        .env("AUTH_SECRET", SECRET)
        .input(minted)
        .run();
    assert!(
        outcome.json()["cache"]["expires_in"].is_u64(),
        "{outcome:?}"
    );
}
