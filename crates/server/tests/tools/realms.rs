//! A configuration with several realms: which of them opens a cookie, according to `open` and `explain`.

use std::path::Path;

use super::mint::minted;
use super::{Outcome, SECRET, Tool};

const PARTNERS_SECRET: &str = "partners-secret-5d0Pq8RkYw3uTz6NbVxHs2GmLc";

/// Creates a folder with a `gate.toml` that has a realm besides `default`.
fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    let text = format!(
        r#"
upstream = "http://127.0.0.1:3000"
auth_secret = "{SECRET}"

[realm.partners]
session_format = "authjs"
auth_cookie_name = "partners.session-token"
auth_secret = "{PARTNERS_SECRET}"

[[route]]
path = "/"

[[route]]
path = "/partners/"
realm = "partners"
"#
    );
    std::fs::write(folder.path().join("gate.toml"), text).expect("a file");
    folder
}

fn tool<'a>(folder: &Path, words: impl IntoIterator<Item = &'a str>) -> Tool {
    let file = folder.join("gate.toml").display().to_string();
    Tool::new(words).args(["--config", &file])
}

/// A session of the realm `partners`, in the cookie of this name.
fn of_partners(format: &str, cookie: &str, expires_in: &str) -> String {
    let words = ["--cookie-name", cookie, "--secret", PARTNERS_SECRET];
    let words = words.into_iter().chain(["--expires-in", expires_in]);
    minted(format, words)
}

/// Returns the output for people, which must not contain a secret.
fn text_output(outcome: &Outcome) -> String {
    let text = format!("{}{}", outcome.stdout, outcome.stderr);
    for secret in [SECRET, PARTNERS_SECRET] {
        assert!(!text.contains(secret), "{text}");
    }
    text
}

#[test]
fn every_realm_is_tried_and_the_one_that_opens_a_cookie_is_named() {
    let folder = folder();
    let own = minted("authjs", []);
    let theirs = of_partners("authjs", "partners.session-token", "60");
    for (cookie, realm) in [(&own, "default"), (&theirs, "partners")] {
        let open = tool(folder.path(), ["open", "--json"]).input(cookie.as_str());
        let outcome = open.run();
        assert_eq!(outcome.code, Some(0), "{outcome:?}");
        assert_eq!(outcome.json()["realm"], realm);
        let outcome = tool(folder.path(), ["open"]).input(cookie.as_str()).run();
        let text = text_output(&outcome);
        assert!(text.contains(&format!(", realm {realm}; ")), "{text}");

        for asked in ["default", "partners"] {
            let open = tool(folder.path(), ["open", "--json", "--realm", asked]);
            let outcome = open.input(cookie.as_str()).run();
            let code = if asked == realm { 0 } else { 1 };
            assert_eq!(outcome.code, Some(code), "{outcome:?}");
            assert_eq!(outcome.json()["realm"], asked);
        }
    }
    let outcome = tool(folder.path(), ["open", "--realm", "nobody"]).run();
    assert_eq!(outcome.code, Some(2));
    let text = text_output(&outcome);
    assert!(text.contains("the realms are default, partners"), "{text}");

    let outcome = tool(folder.path(), ["open"]).input("a=b").run();
    assert_eq!(outcome.code, Some(1));
    let text = text_output(&outcome);
    assert!(
        text.contains("Tried: the realms default, partners."),
        "{text}"
    );
}

#[test]
fn the_best_matching_realm_explains_the_refusal_of_a_cookie() {
    let folder = folder();
    for (cookie, reason, part) in [
        (
            of_partners("authjs", "partners.session-token", "-60"),
            "expired",
            "it expired",
        ),
        (
            of_partners("nextauth", "partners.session-token", "60"),
            "rejected_tag",
            "`session_format = \"nextauth\"` in [realm.partners]",
        ),
        (
            of_partners("authjs", "sid", "60"),
            "no_credential",
            "`auth_cookie_name = \"sid\"` in [realm.partners]",
        ),
    ] {
        let outcome = tool(folder.path(), ["open", "--json"]).input(cookie).run();
        assert_eq!(outcome.code, Some(1), "{outcome:?}");
        let json = outcome.json();
        assert_eq!(json["realm"], "partners", "{json}");
        assert_eq!(json["reason"], reason, "{json}");
        let cause = json["likely_cause"].as_str().expect("a cause");
        assert!(cause.contains(part), "{cause}");
        assert!(!cause.contains("to the gate"), "{cause}");
    }
}

#[test]
fn a_session_under_the_cookie_name_of_another_realm_is_recognized() {
    let folder = folder();
    // One session minted under the name of the other realm's cookie, and one renamed afterwards, as by a proxy.
    let written = of_partners("authjs", "authjs.session-token", "60");
    let renamed = of_partners("authjs", "partners.session-token", "60");
    let renamed = renamed.replace("partners.session-token=", "authjs.session-token=");
    let theirs = minted("authjs", []);
    let back = theirs.replace("authjs.session-token=", "partners.session-token=");
    for (cookie, realm, owner) in [
        (written, "partners", "default"),
        (renamed, "partners", "default"),
        (back, "default", "partners"),
    ] {
        let open = tool(folder.path(), ["open", "--json"]).input(cookie.as_str());
        let outcome = open.run();
        assert_eq!(outcome.code, Some(1), "{outcome:?}");
        let json = outcome.json();
        assert_eq!(json["realm"], realm, "{json}");
        let cause = json["likely_cause"].as_str().expect("a cause");
        let words =
            format!("it is a session of the realm {realm} in the cookie of the realm {owner}");
        assert!(cause.starts_with(&words), "{cause}");
        assert!(cause.contains("it opens"), "{cause}");
    }
}

#[test]
fn a_realm_without_a_secret_is_named_if_no_other_opens_the_cookie() {
    let folder = folder();
    let file = folder.path().join("gate.toml");
    let text = std::fs::read_to_string(&file).expect("a file");
    let secret = format!("auth_secret = \"{PARTNERS_SECRET}\"\n");
    std::fs::write(&file, text.replace(&secret, "")).expect("a file");
    let open = |cookie: String| tool(folder.path(), ["open"]).input(cookie).run();
    let outcome = open(minted("authjs", []));
    assert_eq!((outcome.code, &*outcome.stderr), (Some(0), ""));
    let outcome = open(of_partners("authjs", "partners.session-token", "60"));
    assert_eq!(outcome.code, Some(1));
    let text = text_output(&outcome);
    assert!(
        text.contains("the realm partners was not tried: "),
        "{text}"
    );
    let outcome = tool(folder.path(), ["open", "--realm", "partners"]).run();
    assert_eq!(outcome.code, Some(2));
    assert!(
        text_output(&outcome).contains("the realm partners: "),
        "{outcome:?}"
    );
}

#[test]
fn a_cookie_of_a_realm_other_than_the_routes_is_named() {
    let folder = folder();
    let own = minted("authjs", []);
    let theirs = of_partners("authjs", "partners.session-token", "60");
    let chunk = "partners.session-token.0=abc".to_owned();
    let note = |cookie: &str, realm: &str, of_route: &str| {
        format!(
            "the cookie `{cookie}` belongs to the realm {realm}, but this route to the realm {of_route}"
        )
    };
    let of_partners = note("partners.session-token", "partners", "default");
    for (cookie, path, expected) in [
        (&theirs, "/", vec![of_partners.clone()]),
        (&chunk, "/", vec![of_partners]),
        (
            &own,
            "/partners/",
            vec![note("authjs.session-token", "default", "partners")],
        ),
        (&"theme=dark".to_owned(), "/", vec![]),
    ] {
        let file = folder.path().join("cookies.txt");
        std::fs::write(&file, cookie).expect("a file");
        let words = ["explain", "--json", "--header", "Sec-Fetch-Mode: navigate"];
        let words = words.into_iter().chain(["--cookie-file"]);
        let file = file.display().to_string();
        let explain = tool(folder.path(), words.chain([&*file, "GET", path]));
        let outcome = explain.run();
        let json = outcome.json();
        assert_eq!(json["answer"]["reason"], "no_credential", "{json}");
        assert_eq!(json["notes"], serde_json::json!(expected), "{json}");
        let value = cookie.rsplit('=').next().expect("a value");
        assert!(!outcome.stdout.contains(value), "{}", outcome.stdout);
    }
}
