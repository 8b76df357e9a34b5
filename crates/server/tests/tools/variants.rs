//! Secrets with unintended characters at their ends: the messages of `open` about them, and the variant with which it finds that
//! the session opens.

use serde_json::{Map, Value, json};
use session::{Secret, seal};

use super::{Outcome, SECRET, Tool};

/// The time at which every session here is opened.
const NOW: u64 = 1_900_000_000;

const PLAIN: &str = "authjs.session-token";

fn claims() -> Map<String, Value> {
    let claims = json!({"sub": "ada", "iat": NOW - 60, "exp": NOW + 3600});
    claims.as_object().cloned().expect("an object")
}

/// Returns a session that an app with this secret seals.
fn cookie(secret: impl Into<Vec<u8>>) -> String {
    let name = PLAIN.parse().expect("a name");
    let token = seal::authjs(&Secret::new(secret), &name, &claims(), [7; 16]);
    format!("{PLAIN}={token}")
}

fn open(header: impl Into<Vec<u8>>) -> Tool {
    let at = NOW.to_string();
    Tool::new(["open", "--json", "--at", &at]).input(header)
}

/// The secret in UTF-16, as PowerShell 5 writes it.
fn utf16() -> Vec<u8> {
    let units = format!("\u{feff}{SECRET}\r\n");
    units.encode_utf16().flat_map(u16::to_le_bytes).collect()
}

fn cause(outcome: &Outcome) -> String {
    let json = outcome.json();
    assert_eq!(outcome.code, Some(1), "{json}");
    let printed = format!("{}{}", outcome.stdout, outcome.stderr);
    assert!(!printed.contains(SECRET), "{printed}");
    json["likely_cause"].as_str().unwrap_or_default().to_owned()
}

#[test]
fn the_variant_of_a_secret_file_that_opens_is_named() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("secret");
    let given = |text: &str| text.as_bytes().to_vec();
    for (in_file, of_app, how) in [
        // The gate removes one newline; the app may use the file unchanged, or trim more.
        (
            given(&format!("{SECRET}\n")),
            format!("{SECRET}\n"),
            "followed by a newline",
        ),
        (
            given(&format!("{SECRET}\r\n")),
            format!("{SECRET}\r\n"),
            "(CR LF)",
        ),
        (
            given(&format!("{SECRET}\n\n")),
            SECRET.to_owned(),
            "without its final newline",
        ),
        (
            given(&format!("{SECRET} \t\n")),
            SECRET.to_owned(),
            "without the white space",
        ),
        (
            given(&format!("\u{feff}{SECRET}\n")),
            SECRET.to_owned(),
            "without its byte-order mark",
        ),
        (
            given(SECRET),
            format!("\u{feff}{SECRET}"),
            "preceded by a byte-order mark",
        ),
        (utf16(), SECRET.to_owned(), "read as UTF-16"),
        (
            given(&format!("AUTH_SECRET={SECRET}\n")),
            SECRET.to_owned(),
            "without the variable name",
        ),
        (
            given(&format!("export AUTH_SECRET=\"{SECRET}\"\n")),
            SECRET.to_owned(),
            "without the variable name",
        ),
        (
            given(&format!("\u{feff} '{SECRET}' \n")),
            SECRET.to_owned(),
            "without everything around it",
        ),
    ] {
        std::fs::write(&file, &in_file).expect("a file");
        let path = file.to_str().expect("text");
        let by_variable = open(cookie(of_app.clone())).env("AUTH_SECRET_FILE", path);
        let by_option = open(cookie(of_app)).args(["--secret-file", path]);
        for tool in [by_variable, by_option] {
            let cause = cause(&tool.run());
            assert!(cause.contains("it opens with the secret"), "{how}: {cause}");
            assert!(cause.contains(how), "{how}: {cause}");
            assert!(cause.contains("your app "), "{how}: {cause}");
        }
    }
}

#[test]
fn the_variant_of_a_variable_that_opens_is_named() {
    let encoded = format!("{SECRET}+=");
    for (given, of_app, how) in [
        (format!("\"{SECRET}\""), SECRET, "without the quotes"),
        (format!("'{SECRET}'"), SECRET, "without the quotes"),
        (format!("`{SECRET}`"), SECRET, "without the quotes"),
        (
            SECRET.to_owned(),
            &format!("\"{SECRET}\""),
            "in double quotes",
        ),
        (
            SECRET.to_owned(),
            &format!("'{SECRET}'"),
            "in single quotes",
        ),
        (
            format!("{SECRET}\\n"),
            SECRET,
            "without the backslash and `n`",
        ),
        (
            format!("{SECRET}\\nx"),
            &format!("{SECRET}\nx"),
            "real newlines",
        ),
        (format!("{SECRET},"), SECRET, "without the comma"),
        (format!("{SECRET}%2B%3D"), &encoded, "percent-encoding"),
        (format!("{SECRET}\u{a0}"), SECRET, "without the white space"),
    ] {
        for name in ["AUTH_SECRET", "NEXTAUTH_SECRET", "AUTH_SECRET_2"] {
            let cause = cause(&open(cookie(of_app)).env(name, given.as_str()).run());
            assert!(cause.contains(how), "{given:?}: {cause}");
        }
    }
}

#[test]
fn variants_of_each_of_several_secrets_are_tried() {
    let first = "another-secret-Zq8xJY2b1m5C0p0mXqC0p0mXq8";
    let tool = open(cookie(SECRET))
        .env("AUTH_SECRET_1", first)
        .env("AUTH_SECRET", format!("{SECRET} "));
    let cause = cause(&tool.run());
    assert!(
        cause.contains("secret 2 of 2 without the white space"),
        "{cause}"
    );
}

#[test]
fn only_the_documented_variants_are_tried() {
    for of_app in [
        SECRET.to_uppercase(),
        SECRET[1..].to_owned(),
        format!("{SECRET}1"),
    ] {
        let cause = cause(&open(cookie(of_app)).args(["--secret", SECRET]).run());
        assert!(
            cause.contains("another secret than the one given"),
            "{cause}"
        );
    }
}

#[test]
fn oddities_of_a_secret_are_printed_beside_the_result() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("secret");
    std::fs::write(&file, format!("{SECRET}\n")).expect("a file");
    let path = file.to_str().expect("text");
    let tool = open(cookie(format!("\"{SECRET}\"")))
        .env("AUTH_SECRET", format!("\"{SECRET}\""))
        .env("NEXTAUTH_SECRET_FILE", path)
        .env("BETTER_AUTH_SECRET", SECRET);
    let outcome = tool.run();
    assert_eq!(outcome.code, Some(0), "{outcome:?}");
    assert_eq!(
        outcome.stderr,
        "warning: AUTH_SECRET: the secret is in double quotes, which dotenv and a shell remove, and `docker run \
         --env-file` and a secret's file keep; every byte is part of the secret, so remove this if it is not \
         intended\nwarning: AUTH_SECRET and NEXTAUTH_SECRET_FILE contain secrets that differ only at their ends (white \
         space, quotes or a byte-order mark), so they are two different secrets; use the exact secret of your app in \
         both\nwarning: AUTH_SECRET and BETTER_AUTH_SECRET contain secrets that differ only at their ends (white space, \
         quotes or a byte-order mark), so they are two different secrets; use the exact secret of your app in \
         both\nwarning: NEXTAUTH_SECRET_FILE ends in a newline, which the gate does not treat as part of the secret, and \
         BETTER_AUTH_SECRET contains the same secret without one; if your app reads the file including the newline, it \
         uses another secret\n"
    );
    std::fs::write(&file, utf16()).expect("a file");
    let outcome = open(cookie(SECRET)).args(["--secret-file", path]).run();
    let warning = format!("warning: --secret-file {path}: the secret is UTF-16 text");
    assert!(outcome.stderr.starts_with(&warning), "{}", outcome.stderr);
}

#[test]
fn variants_of_the_signed_token_secret_are_tried() {
    let token = |secret: &str| {
        let claims = json!({"iss": "issuer", "aud": "api", "sub": "ada", "exp": NOW + 60});
        let claims = claims.as_object().cloned().expect("an object");
        format!(
            "Bearer {}",
            seal::better_auth_jwt(&Secret::new(secret), &claims)
        )
    };
    let open = |authorization: &str| {
        open("")
            .args(["--authorization", authorization])
            .env("BEARER_SECRET", SECRET)
            .env("BEARER_ISSUER", "issuer")
            .env("BEARER_AUDIENCE", "api")
    };
    let opened = open(&token(SECRET)).run();
    assert_eq!(opened.code, Some(0), "{opened:?}");
    assert_eq!(opened.json()["format"], "jwt");
    let cause = cause(&open(&token(&format!("{SECRET}\n"))).run());
    assert!(
        cause.contains("it opens with BEARER_SECRET followed by a newline"),
        "{cause}"
    );
}
