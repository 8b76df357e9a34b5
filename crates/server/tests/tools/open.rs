//! `open`: its output about sessions that open, and the causes that it finds for those that do not.

use harness::mint::now;
use serde_json::{Value, json};
use session::{CookieName, Secret, UnixTime, seal};

use super::mint::minted;
use super::{Outcome, SECRET, Tool};

const OTHER_SECRET: &str = "another-secret-Zq8xJY2b1m5C0p0mXqC0p0mXq8";

/// The time at which every session here is opened.
const NOW: u64 = 1_900_000_000;

const PLAIN: &str = "authjs.session-token";
const SECURE: &str = "__Secure-authjs.session-token";
const OLD: &str = "next-auth.session-token";

fn open(header: impl Into<Vec<u8>>) -> Tool {
    let at = NOW.to_string();
    Tool::new(["open", "--json", "--at", &at]).input(header)
}

/// Verifies that the session is refused with `reason`; returns the likely cause.
fn refused(tool: Tool, reason: &str) -> String {
    let outcome = tool.clone().run();
    let json = outcome.json();
    assert_eq!(outcome.code, Some(1), "{json}");
    assert_eq!(
        (&json["opened"], &json["reason"]),
        (&json!(false), &json!(reason)),
        "{json}"
    );
    assert!(json["message"].is_string(), "{json}");
    let cause = json["likely_cause"].as_str().unwrap_or_default().to_owned();
    let printed = outcome.stdout + &outcome.stderr;
    for secret in [SECRET, OTHER_SECRET] {
        assert!(!printed.contains(secret), "{printed}");
    }
    // The text for people has the same cause.
    let mut for_people = tool;
    for_people.words.retain(|word| word != "--json");
    let text = for_people.run();
    assert_eq!(text.code, Some(1));
    assert!(
        text.stdout.contains(&format!("({reason})")),
        "{}",
        text.stdout
    );
    assert!(text.stdout.contains(&cause), "{}", text.stdout);
    cause
}

fn claims() -> serde_json::Map<String, Value> {
    let claims = json!({"sub": "ada", "iat": NOW - 60, "exp": NOW + 3600, "jti": "j"});
    claims.as_object().cloned().expect("an object")
}

fn name(name: &str) -> CookieName {
    name.parse().expect("a name")
}

fn authjs_token(secret: &str, salt: &str) -> String {
    seal::authjs(&Secret::new(secret), &name(salt), &claims(), [7; 16])
}

fn nextauth_token(secret: &str) -> String {
    seal::nextauth(&Secret::new(secret), &claims(), [7; 12])
}

/// Returns the cookies of an Auth.js session in three chunks.
fn chunked() -> Vec<(String, String)> {
    let mut claims = claims();
    claims.insert("notes".to_owned(), "x".repeat(7000).into());
    let token = seal::authjs(&Secret::new(SECRET), &name(PLAIN), &claims, [7; 16]);
    let chunks = seal::chunks(&name(PLAIN), &token, seal::AUTHJS_CHUNK_LEN);
    assert_eq!(chunks.len(), 3);
    chunks
}

fn header(pairs: &[(String, String)]) -> String {
    let pairs = pairs.iter().map(|(name, value)| format!("{name}={value}"));
    pairs.collect::<Vec<_>>().join("; ")
}

fn assert_contains(text: &str, parts: &[&str]) {
    for part in parts {
        assert!(text.contains(part), "{part:?} is missing from: {text}");
    }
}

#[test]
fn a_session_is_printed_as_json_and_as_text() {
    let cookie = format!("theme=dark; {PLAIN}={}", authjs_token(SECRET, PLAIN));
    let tool = open(cookie).args(["--secret", SECRET]);
    let outcome = tool.run();
    assert_eq!(outcome.code, Some(0));
    assert_eq!(
        outcome.json(),
        json!({"opened": true, "format": "authjs-v5", "claims": claims()})
    );
    assert!(
        outcome
            .stdout
            .starts_with(r#"{"opened":true,"format":"authjs-v5","claims":{"#)
    );
    let mut tool = tool;
    tool.words.retain(|word| word != "--json");
    let text = tool.run().stdout;
    assert_contains(
        &text,
        &["Opened", "authjs-v5", PLAIN, "1 hour", "\"sub\": \"ada\""],
    );
}

#[test]
fn the_input_may_include_the_header_name_and_a_line_break() {
    let value = format!("{PLAIN}={}", authjs_token(SECRET, PLAIN));
    for input in [
        format!("{value}\n"),
        format!("Cookie: {value}\r\n"),
        format!("cookie:{value}"),
    ] {
        let outcome = open(input).args(["--secret", SECRET]).run();
        assert_eq!(outcome.code, Some(0), "{outcome:?}");
    }
}

#[test]
fn a_bearer_value_is_read_when_there_is_no_cookie() {
    for (scheme, token) in [
        ("Bearer", authjs_token(SECRET, SECURE)),
        ("bearer", nextauth_token(SECRET)),
    ] {
        let bearer = format!("{scheme} {token}");
        let tool = open("theme=dark").args(["--secret", SECRET, "--authorization", &bearer]);
        assert_eq!(tool.run().code, Some(0));
    }
    let other = format!("Basic {}", nextauth_token(SECRET));
    let tool = open("").args(["--secret", SECRET, "--authorization", &other]);
    assert_contains(&refused(tool, "no_credential"), &["`Bearer`"]);
    let salted = format!("Bearer {}", authjs_token(SECRET, "own"));
    let tool = open("").args(["--secret", SECRET, "--authorization", &salted]);
    let counts = tool.clone().env("JWT_SALT", "own");
    assert_eq!(counts.run().code, Some(0));
    let replaced = tool.args(["--salt", "x"]).env("JWT_SALT", "own");
    assert_contains(
        &refused(replaced, "unknown_key"),
        &["salt in JWT_SALT", "--salt own"],
    );
}

#[test]
fn secrets_come_from_the_environment_from_files_or_from_the_command_line() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("secret");
    std::fs::write(&file, format!("{SECRET}\n")).expect("a file");
    let file = file.to_str().expect("text");
    let cookie = format!("{PLAIN}={}", authjs_token(SECRET, PLAIN));
    for name in [
        "AUTH_SECRET",
        "AUTH_SECRET_2",
        "NEXTAUTH_SECRET",
        "JWT_SECRET",
        "BETTER_AUTH_SECRET",
    ] {
        let direct = open(cookie.as_str()).env(name, SECRET);
        assert_eq!(direct.run().code, Some(0), "{name}");
        let from_file = open(cookie.as_str()).env(&format!("{name}_FILE"), file);
        assert_eq!(from_file.run().code, Some(0), "{name}_FILE");
    }
    let list = open(cookie.as_str()).env(
        "BETTER_AUTH_SECRETS",
        format!("2:{OTHER_SECRET},1:{SECRET}"),
    );
    assert_eq!(list.run().code, Some(0));
    let files = open(cookie.as_str()).args(["--secret", OTHER_SECRET, "--secret-file", file]);
    assert_eq!(files.run().code, Some(0));
    // A secret on the command line replaces all others.
    let given = open(cookie.as_str())
        .args(["--secret", OTHER_SECRET])
        .env("AUTH_SECRET", SECRET);
    refused(given, "unknown_key");
}

#[test]
fn each_framework_has_its_own_secret_from_the_environment() {
    let token = minted("better-auth-token", ["--secret", OTHER_SECRET]);
    let both = |header: &str| {
        let tool = Tool::new(["open", "--json"]).input(header);
        tool.env("AUTH_SECRET", SECRET)
            .env("BETTER_AUTH_SECRET", OTHER_SECRET)
    };
    assert_eq!(both(&token).run().code, Some(0));
    assert_eq!(both(&minted("authjs", [])).run().code, Some(0));
}

#[test]
fn a_weak_secret_is_accepted_with_a_warning() {
    let cookie = format!("{PLAIN}={}", authjs_token("secret", PLAIN));
    let outcome = open(cookie).args(["--secret", "secret"]).run();
    assert_eq!(outcome.code, Some(0));
    assert_contains(&outcome.stderr, &["warning: --secret", "placeholder"]);
}

#[test]
fn wrong_usage_is_explained() {
    let secret = ["--secret", SECRET];
    let usage = |words: &[&str], input: &str| -> Outcome {
        Tool::new(["open"])
            .args(words.iter().copied())
            .input(input)
            .run()
    };
    for (words, input, helpful) in [
        (&["--format", "auth0"][..], "a=b", "possible values"),
        (&["--at", "tomorrow"], "a=b", "--at"),
        (&["--cookie-name", "a b"], "a=b", "cookie name"),
        (
            &["--strategy", "jwe", "--format", "authjs"],
            "a=b",
            "Better Auth",
        ),
        (&["--salt", "s", "--format", "better-auth"], "a=b", "--salt"),
        (
            &["--cookie-name", "better-auth.session_data"],
            "a=b",
            "session_token",
        ),
        (&[], "a=b\nc=d", "several lines"),
        (&[], &"x".repeat(1 << 20 | 1), "1 MiB"),
        (&["--secret", ""], "a=b", "empty"),
        (&["--secret-file", "/nonexistent"], "a=b", "/nonexistent"),
        (&["--nonsense"], "a=b", "--nonsense"),
        (
            &["--config", "/nonexistent.toml"],
            "a=b",
            "/nonexistent.toml",
        ),
    ] {
        let words: Vec<_> = secret.iter().chain(words).copied().collect();
        let outcome = usage(&words, input);
        assert_eq!(outcome.code, Some(2), "{words:?}: {outcome:?}");
        assert_contains(&outcome.stderr, &[helpful]);
        assert_eq!(outcome.stdout, "", "{words:?}");
        assert!(!outcome.stderr.contains(SECRET), "{}", outcome.stderr);
    }
    let none = usage(&[], "a=b");
    assert_eq!(none.code, Some(2));
    assert_contains(&none.stderr, &["no secret", "AUTH_SECRET"]);
    let many: Vec<_> = (0..17).flat_map(|_| secret).collect();
    let many = usage(&many, "a=b");
    assert_eq!(many.code, Some(2));
    assert_contains(&many.stderr, &["17"]);
}

#[test]
fn a_wrong_secret_is_reported_as_wrong() {
    let v5 = format!("{PLAIN}={}", authjs_token(OTHER_SECRET, PLAIN));
    assert_contains(
        &refused(open(v5).args(["--secret", SECRET]), "unknown_key"),
        &["another secret"],
    );
    let v4 = format!("{OLD}={}", nextauth_token(OTHER_SECRET));
    assert_contains(
        &refused(open(v4).args(["--secret", SECRET]), "rejected_tag"),
        &["another secret"],
    );
    let token = minted("better-auth-token", ["--secret", OTHER_SECRET]);
    let token = open(token).args(["--secret", SECRET]);
    assert_contains(&refused(token, "rejected_signature"), &["another secret"]);
}

#[test]
fn a_value_modified_under_the_right_key_is_reported() {
    let token = authjs_token(SECRET, PLAIN);
    let mut parts: Vec<_> = token.split('.').map(str::to_owned).collect();
    let other = if parts[3].starts_with('A') { "B" } else { "A" };
    parts[3].replace_range(..1, other);
    let tool = open(format!("{PLAIN}={}", parts.join("."))).args(["--secret", SECRET]);
    assert_contains(
        &refused(tool, "rejected_tag"),
        &["names the right key", "changed on its way"],
    );
}

#[test]
fn a_wrong_salt_is_recognized() {
    for (token, cookie) in [(PLAIN, SECURE), (SECURE, PLAIN)] {
        let renamed = format!("{cookie}={}", authjs_token(SECRET, token));
        let cause = refused(open(renamed).args(["--secret", SECRET]), "unknown_key");
        assert_contains(
            &cause,
            &["salt", token, "__Secure-", &format!("--salt {token}")],
        );
    }
    let own = format!("{PLAIN}={}", authjs_token(SECRET, PLAIN));
    let tool = open(own).args(["--secret", SECRET, "--salt", "other", "--format", "authjs"]);
    assert_contains(&refused(tool, "unknown_key"), &["leave `--salt` out"]);
    let salted = format!("sid={}", authjs_token(SECRET, "own"));
    let tool = open(salted.as_str()).args(["--secret", SECRET, "--cookie-name", "sid"]);
    assert_eq!(tool.clone().env("JWT_SALT", "own").run().code, Some(0));
    let tool = tool.args(["--salt", "x"]).env("JWT_SALT", "own");
    assert_contains(&refused(tool, "unknown_key"), &["JWT_SALT", "--salt own"]);
    let tool = open(salted).args(["--secret", SECRET, "--cookie-name", "sid", "--salt", "own"]);
    assert_eq!(tool.run().code, Some(0));
}

#[test]
fn a_session_of_the_other_auth_js_release_is_recognized() {
    let v4 = format!("{PLAIN}={}", nextauth_token(SECRET));
    let cause = refused(open(v4.as_str()).args(["--secret", SECRET]), "rejected_tag");
    let option = format!("--format nextauth --cookie-name {PLAIN}");
    assert_contains(&cause, &["NextAuth v4", &option]);
    let tool = open(v4).args(["--secret", SECRET]).args(option.split(' '));
    assert_eq!(tool.run().code, Some(0), "the advice is right");

    let v5 = format!("{OLD}={}", authjs_token(SECRET, OLD));
    let tool = open(v5.as_str()).args(["--secret", SECRET, "--cookie-name", OLD]);
    assert_contains(
        &refused(tool, "unsupported_algorithm"),
        &["Auth.js v5", "--format authjs"],
    );
    let tool = open(v5).args([
        "--secret",
        SECRET,
        "--cookie-name",
        OLD,
        "--format",
        "authjs",
    ]);
    assert_eq!(tool.run().code, Some(0), "the advice is right");
}

#[test]
fn a_badly_copied_secret_is_recognized() {
    let hex = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff";
    let base64 = "3q2+7wAAc0Y1m5C0p0mXq8xJY2Z1b2xkZXI=";
    for (given, meant, how) in [
        (format!("{SECRET}\n"), SECRET.as_bytes().to_vec(), "white space"),
        (format!(" {SECRET}"), SECRET.as_bytes().to_vec(), "white space"),
        (format!("\"{SECRET}\""), SECRET.as_bytes().to_vec(), "quotes"),
        (format!("'{SECRET}'"), SECRET.as_bytes().to_vec(), "quotes"),
        (SECRET.to_owned(), format!("{SECRET}\n").into_bytes(), "line break"),
        (hex.to_owned(), (0..32).map(|i| (i % 16) * 17).collect(), "hexadecimal"),
        (
            base64.to_owned(),
            b"\xde\xad\xbe\xef\x00\x00\x73\x46\x35\x9b\x90\xb4\xa7\x49\x97\xab\xcc\x49\x63\x66\x75\x6f\x6c\x64\x65\x72"
                .to_vec(),
            "base64",
        ),
    ] {
        let token = seal::nextauth(&Secret::new(meant.clone()), &claims(), [7; 12]);
        let tool = open(format!("{OLD}={token}")).args(["--secret", &given]);
        assert_contains(&refused(tool, "rejected_tag"), &["it opens", how]);
        let token = seal::authjs(&Secret::new(meant), &name(SECURE), &claims(), [7; 16]);
        let tool = open(format!("{PLAIN}={token}")).args(["--secret", &given]);
        assert_contains(&refused(tool, "unknown_key"), &["it opens", how, "salt"]);
    }
}

#[test]
fn a_rotated_secret_is_recognized() {
    let secrets = ["--secret", SECRET, "--secret", OTHER_SECRET];
    let v4 = format!("{OLD}={}", nextauth_token(OTHER_SECRET));
    assert_contains(
        &refused(open(v4).args(secrets), "rejected_tag"),
        &["secret 2 of 2", "current"],
    );
    let token = minted("better-auth-token", ["--secret", OTHER_SECRET]);
    assert_contains(
        &refused(open(token).args(secrets), "rejected_signature"),
        &["secret 2 of 2"],
    );
    let v5 = format!("{PLAIN}={}", authjs_token(OTHER_SECRET, PLAIN));
    assert_eq!(
        open(v5).args(secrets).run().code,
        Some(0),
        "it names its key"
    );
}

#[test]
fn times_are_printed_in_human_units() {
    let cookie = format!("{PLAIN}={}", authjs_token(SECRET, PLAIN));
    let at = |now: u64| {
        let now = now.to_string();
        let tool = Tool::new(["open", "--json", "--at", &now]).input(cookie.as_str());
        tool.args(["--secret", SECRET])
    };
    let end = NOW + 3600;
    for (after, expected) in [
        (16, "16 seconds ago"),
        (600, "10 minutes ago"),
        (3600, "1 hour ago"),
        (200_000, "2 days ago"),
    ] {
        assert_contains(
            &refused(at(end + after), "expired"),
            &[expected, "2030-03-17T18:46:40Z"],
        );
    }
    let early = refused(at(NOW - 60 - 7200), "issued_in_future");
    assert_contains(&early, &["2 hours", "clock"]);
}

#[test]
fn open_without_at_uses_the_current_time() {
    let json = Tool::new(["open", "--json", "--secret", SECRET])
        .input(minted("authjs", ["--expires-in", "1000"]))
        .run()
        .json();
    let left = json["claims"]["exp"].as_i64().expect("a number") - now();
    assert!((990..=1000).contains(&left), "{left}");
}

#[test]
fn a_missing_chunk_is_named_and_counted_from_one() {
    let mut chunks = chunked();
    assert_eq!(
        open(header(&chunks)).args(["--secret", SECRET]).run().code,
        Some(0)
    );
    let missing = chunks.remove(1);
    let tool = open(header(&chunks)).args(["--secret", SECRET]);
    assert_contains(
        &refused(tool, "missing_chunk"),
        &["chunk 2 of 3 is missing", &missing.0],
    );
    let json = open(header(&chunks))
        .args(["--secret", SECRET])
        .run()
        .json();
    assert_eq!(json["cookie"], PLAIN);
    // The number of the last chunk does not show that it is missing.
    let tool = open(header(&chunked()[..2])).args(["--secret", SECRET]);
    assert_contains(
        &refused(tool, "malformed_token"),
        &[".2 is probably missing"],
    );
}

#[test]
fn a_leftover_chunk_is_recognized() {
    let mut chunks = chunked();
    chunks.push((format!("{PLAIN}.3"), "AAAA".to_owned()));
    let tool = open(header(&chunks)).args(["--secret", SECRET]);
    let reason = tool.run().json()["reason"]
        .as_str()
        .expect("a reason")
        .to_owned();
    assert_contains(
        &refused(tool, &reason),
        &["without the cookie authjs.session-token.3 it opens"],
    );
}

#[test]
fn a_duplicate_cookie_is_named_and_its_valid_copy_identified() {
    let good = authjs_token(SECRET, PLAIN);
    let twice = format!("{PLAIN}=stale; a=b; {PLAIN}={good}");
    let cause = refused(open(twice).args(["--secret", SECRET]), "ambiguous_cookie");
    assert_contains(&cause, &[PLAIN, "twice", "number 2 of them opens"]);
    let thrice = format!("{PLAIN}=a; {PLAIN}=b; {PLAIN}=c");
    assert_contains(
        &refused(open(thrice).args(["--secret", SECRET]), "ambiguous_cookie"),
        &["3 times"],
    );
    let mixed = format!("{PLAIN}={good}; {}", header(&chunked()));
    let cause = refused(open(mixed).args(["--secret", SECRET]), "ambiguous_cookie");
    assert_contains(&cause, &["whole and in chunks"]);
}

#[test]
fn a_bad_cookie_that_hides_a_good_one_is_recognized() {
    let both = format!(
        "{SECURE}={}; {OLD}={}",
        authjs_token(OTHER_SECRET, SECURE),
        nextauth_token(SECRET)
    );
    let cause = refused(open(both).args(["--secret", SECRET]), "unknown_key");
    assert_contains(&cause, &[OLD, "would open", SECURE, "comes first"]);
}

#[test]
fn a_truncated_value_is_recognized() {
    let token = authjs_token(SECRET, PLAIN);
    let half = &token[..token.len() / 2];
    for (value, expected) in [
        (format!("{half}…"), "ellipsis"),
        (format!("{half}..."), "ellipsis"),
        (half.to_owned(), "of its 5 parts"),
        (
            token[..token.len() - 5].to_owned(),
            "38 characters instead of 43",
        ),
    ] {
        let tool = open(format!("{PLAIN}={value}")).args(["--secret", SECRET]);
        let reason = tool.run().json()["reason"]
            .as_str()
            .expect("a reason")
            .to_owned();
        assert_contains(&refused(tool, &reason), &[expected]);
    }
    let long = header(&chunked());
    let tool = open(&long[..4095]).args(["--secret", SECRET]);
    let reason = tool.run().json()["reason"]
        .as_str()
        .expect("a reason")
        .to_owned();
    assert_contains(&refused(tool, &reason), &["4095 bytes", "terminal"]);
    let compact = minted("better-auth-compact", []);
    let cut = &compact[..compact.len() - 7];
    let tool = Tool::new(["open", "--json", "--secret", SECRET]).input(cut);
    assert_contains(&refused(tool, "malformed_token"), &["its end is missing"]);
}

#[test]
fn the_token_of_a_database_session_is_recognized() {
    let cookie = format!("{PLAIN}=5f0c9a1b-9afb-4eeb-9940-37b970b5c6d4");
    for format in ["authjs", "auto"] {
        let tool = open(cookie.as_str()).args(["--secret", SECRET, "--format", format]);
        let cause = refused(tool, "malformed_token");
        assert_contains(
            &cause,
            &["not an encrypted session", "SESSION_FORMAT=authjs-database"],
        );
    }
}

#[test]
fn a_header_without_a_session_is_explained() {
    let secret = ["--secret", SECRET];
    for (header, words, expected) in [
        ("", &[][..], "empty"),
        ("eyJhbGciOiJkaXIi..a.b.c", &[], "without the cookie's name"),
        (
            "next-auth.session-token=a",
            &["--format", "authjs"],
            "`--format nextauth`",
        ),
        (
            "better-auth.session_token=a",
            &["--format", "authjs"],
            "`--format better-auth`",
        ),
        (
            "my.session-token.0=a",
            &[],
            "`--cookie-name my.session-token`",
        ),
        ("AUTHJS.session-token=a", &[], "upper and lower case"),
        ("authjs.session-token=", &[], "signed this browser out"),
        ("authjs.csrf-token=a", &[], "no user is signed in"),
        ("__Secure-sid=a", &["--cookie-name", "sid"], "runs on HTTPS"),
        (
            "authjs.session-token=a",
            &["--cookie-name", "__Secure-authjs.session-token"],
            "plain HTTP",
        ),
    ] {
        let tool = open(header).args(secret).args(words.iter().copied());
        assert_contains(&refused(tool, "no_credential"), &[expected]);
    }
    let json = open("a=b").args(secret).run().json();
    assert_eq!(json.get("likely_cause"), None, "{json}");
}

#[test]
fn a_refused_better_auth_cache_still_leaves_the_token() {
    let secret = Secret::new(SECRET);
    let token = "abcdefghijklmnopqrstuvwxyz012345";
    let session = |token: &str| {
        json!({
            "session": {"id": "s", "token": token, "userId": "ada", "expiresAt": "2030-03-17T18:46:40.000Z"},
            "user": {"id": "ada", "name": "Ada", "email": "ada@example.com"},
            "updatedAt": NOW * 1000,
            "version": "1",
        })
    };
    let header = |sealed_with: &str, own: &str, end: u64| {
        let session = session(own);
        let session = session.as_object().expect("an object");
        let sealed_with = Secret::new(sealed_with);
        let data = seal::better_auth_compact(&sealed_with, session, UnixTime::from_secs(end));
        let token = seal::better_auth_token(&secret, token);
        format!("better-auth.session_token={token}; better-auth.session_data={data}")
    };
    let refusal = |header: String, words: &[&str], reason: &str| {
        let tool = open(header)
            .args(["--secret", SECRET])
            .args(words.iter().copied());
        let json = tool.run().json();
        assert_eq!(json["lookup_required"], true, "{json}");
        assert_eq!(json["cookie"], "better-auth.session_data", "{json}");
        let mut for_people = tool.clone();
        for_people.words.retain(|word| word != "--json");
        assert_contains(&for_people.run().stdout, &["would look up the session"]);
        refused(tool, reason)
    };
    let good = open(header(SECRET, token, NOW + 60))
        .args(["--secret", SECRET])
        .run();
    assert_eq!(good.code, Some(0));
    assert_eq!(good.json()["claims"]["user"]["id"], "ada");

    let cause = refusal(header(SECRET, token, NOW - 120), &[], "expired");
    assert_contains(&cause, &["2 minutes ago", "normal"]);
    let cause = refusal(
        header(OTHER_SECRET, token, NOW + 60),
        &["--secret", OTHER_SECRET],
        "rejected_signature",
    );
    assert_contains(
        &cause,
        &["the cache beside the token opens", "secret 2 of 2"],
    );
    let cause = refusal(
        header(OTHER_SECRET, token, NOW + 60),
        &[],
        "rejected_signature",
    );
    assert_contains(&cause, &["the secret is right", "earlier secret"]);
    let other = "ABCDEFGHIJKLMNOPQRSTUVWXYZ012345";
    let cause = refusal(header(SECRET, other, NOW + 60), &[], "wrong_token");
    assert_contains(&cause, &["an earlier sign-in"]);
    let words = ["--strategy", "jwe"];
    let cause = refusal(header(SECRET, token, NOW + 60), &words, "malformed_token");
    assert_contains(&cause, &["another strategy"]);
    let words = ["--cache-version", "2"];
    let cause = refusal(
        header(SECRET, token, NOW + 60),
        &words,
        "wrong_cache_version",
    );
    assert_contains(&cause, &["--cache-version"]);

    let alone = header(SECRET, token, NOW + 60);
    let (token, data) = alone.split_once("; ").expect("two cookies");
    let json = open(token).args(["--secret", SECRET]).run().json();
    assert_eq!(
        (&json["opened"], &json["lookup_required"]),
        (&json!(true), &json!(true))
    );
    let tool = open(data).args(["--secret", SECRET]);
    assert_contains(
        &refused(tool, "missing_token"),
        &["better-auth.session_token"],
    );
}
