//! Configurations: secrets, services, and invalid settings.

use std::os::unix::fs::PermissionsExt as _;

use anyhow::Result;
use harness::{Nginx, free_port};

use super::super::{SECRET, Tool};
use super::{doctor, file, finding_text, findings, ids};

/// Returns `doctor` with a configuration in which only the service may have a flaw.
fn gate(words: &[&str], upstream: &str) -> Tool {
    doctor(words.iter().copied())
        .env("AUTH_SECRET", SECRET)
        .env("UPSTREAM", upstream)
        .env("LISTEN", "127.0.0.1:8080")
}

#[tokio::test]
async fn an_unreachable_service_is_a_problem() -> Result<()> {
    let alive = Nginx::start("location / { return 200; }").await?;
    let alive = format!("http://{}", alive.address());
    let outcome = gate(&[], &alive).run();
    assert_eq!((findings(&outcome), outcome.code), (Vec::new(), Some(0)));
    let dead = format!("http://127.0.0.1:{}", free_port());
    let outcome = gate(&[], &dead).run();
    assert_eq!(
        findings(&outcome),
        [format!("service-unreachable: service {dead}")]
    );
    assert_eq!(outcome.code, Some(1));
    let asked = &outcome.json()["asked"][0];
    assert_eq!(asked["answered"], false, "{asked}");
    Ok(())
}

#[test]
fn an_issuer_with_unreachable_keys_is_a_problem() {
    let keys = format!("http://127.0.0.1:{}/keys?key=hidden", free_port());
    let outcome = gate(&["--ignore", "service-unreachable"], "http://127.0.0.1:9")
        .env("BEARER_JWKS", &keys)
        .env("BEARER_ISSUER", "https://issuer.example")
        .env("BEARER_AUDIENCE", "gate")
        .run();
    let shown = keys.split('?').next().expect("a URL");
    assert_eq!(
        findings(&outcome),
        [format!("jwks-unreachable: keys at {shown}")],
        "{outcome:?}"
    );
    assert!(!outcome.stdout.contains("hidden"));
    assert_eq!(outcome.code, Some(1));
}

#[test]
fn secrets_are_checked_and_not_shown() {
    let ignore = ["--ignore", "service-unreachable"];
    for (secret, found) in [
        ("hidden-hunter2", "secret-short: AUTH_SECRET"),
        (
            "better-auth-secret-12345678901234567890",
            "secret-known: AUTH_SECRET",
        ),
        (
            "this-is-the-hidden-secret-of-our-shop",
            "secret-guessable: AUTH_SECRET",
        ),
    ] {
        let outcome = gate(&ignore, "http://127.0.0.1:9")
            .env("AUTH_SECRET", secret)
            .run();
        assert_eq!(findings(&outcome), [found], "{outcome:?}");
        let all = format!("{}{}", outcome.stdout, outcome.stderr);
        assert!(!all.contains(secret), "{all}");
    }
}

#[test]
fn a_secret_shared_by_two_apps_is_named() {
    let (_folder, path) = file(&format!(
        "upstream = \"http://127.0.0.1:9\"\nlisten = \"127.0.0.1:8080\"\nauth_secret = \"{SECRET}\"\n\n\
         [realm.shop]\nbetter_auth_secret = \"{SECRET}\"\nsession_format = \"better-auth\"\n\n\
         [[route]]\npath = \"/\"\n\n[[route]]\npath = \"/shop/\"\nrealm = \"shop\"\n"
    ));
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).expect("rights");
    let outcome = doctor(["--config", &path, "--ignore", "service-unreachable"]).run();
    assert_eq!(
        findings(&outcome),
        [
            format!("secret-file-readable: file {path}"),
            "secret-shared: BETTER_AUTH_SECRET of realm shop".to_owned(),
        ],
        "{outcome:?}"
    );
    assert!(!outcome.stdout.contains(SECRET));
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o640)).expect("rights");
    let outcome = doctor(["--config", &path, "--ignore", "service-unreachable"]).run();
    assert_eq!(ids(&outcome), ["secret-shared"], "{outcome:?}");
}

#[test]
fn a_secret_shared_with_a_token_issuer_is_named() {
    let outcome = gate(&["--ignore", "service-unreachable"], "http://127.0.0.1:9")
        .env("BEARER_SECRET", SECRET)
        .env("BEARER_ISSUER", "https://issuer.example")
        .env("BEARER_AUDIENCE", "gate")
        .run();
    assert_eq!(
        findings(&outcome),
        ["secret-shared: BEARER_SECRET"],
        "{outcome:?}"
    );
}

#[test]
fn an_invalid_configuration_is_reported_with_the_other_findings() {
    let (_folder, path) = file("upstream = \"ftp://127.0.0.1\"\nauth_secret = \"short\"\n");
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).expect("rights");
    let outcome = doctor(["--config", &path]).run();
    assert_eq!(
        findings(&outcome),
        ["config-not-valid: UPSTREAM", "secret-short: AUTH_SECRET"],
        "{outcome:?}"
    );
    assert_eq!(outcome.code, Some(1));
    let skipped = &outcome.json()["skipped"];
    assert_eq!(
        skipped[0],
        "stores and services: the configuration is not valid"
    );
}

#[test]
fn valid_but_suspicious_settings_are_named() {
    let outcome = gate(&["--ignore", "service-unreachable"], "http://127.0.0.1:9")
        .env("LISTEN", "0.0.0.0:8080")
        .env("TRUSTED_PROXIES", "0.0.0.0/0")
        .env("SIGN_IN_URL", "http://app.example.com/signin?next=hidden")
        .run();
    assert_eq!(
        findings(&outcome)[..2],
        [
            "trusted-proxies-wide: TRUSTED_PROXIES",
            "url-not-https: SIGN_IN_URL"
        ],
        "{outcome:?}"
    );
    assert_eq!(
        finding_text(&outcome, "url-not-https", "seen"),
        "http://app.example.com"
    );
    let open = gate(&["--ignore", "service-unreachable"], "http://127.0.0.1:9")
        .env("LISTEN", "0.0.0.0:8080")
        .run();
    assert_eq!(ids(&open), ["listens-in-the-clear"], "{open:?}");
}

#[test]
fn doctor_prints_text_by_default() {
    let outcome = Tool::new(["doctor", "--ignore", "start-up-warning"])
        .env("AUTH_SECRET", SECRET)
        .env("UPSTREAM", "http://127.0.0.1:9")
        .env("LISTEN", "127.0.0.1:8080")
        .run();
    let expected = "\
Problems

  service-unreachable  service http://127.0.0.1:9
    seen  Connection refused (os error 111)
    why   Requests for this service get 502.
    do    Check that it runs and listens there, and that this machine can reach
          it.

Asked

  failed   service http://127.0.0.1:9 (within 5000 ms)
           Connection refused (os error 111)

Not examined: the app: no URL was given

1 problem, 0 warnings, 0 notes; 1 accepted by --ignore.
";
    assert_eq!(outcome.stdout, expected, "{outcome:?}");
    assert_eq!(outcome.code, Some(1));
}
