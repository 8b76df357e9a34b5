//! Which settings start-up accepts, and its messages about the others.

use std::collections::BTreeSet;

use anyhow::{Context, Result};
use harness::{GateCommand, mint};

use crate::support::gate;

fn check(command: GateCommand) -> GateCommand {
    command.args(["check-config"])
}

#[tokio::test]
async fn check_config_shows_effective_settings_without_secrets() -> Result<()> {
    let password = "postgres-password-hidden";
    let checking = check(gate("http://127.0.0.1:3000"))
        .env("ENABLE_DB_CHECK", "true")
        .env("DATABASE_URL", format!("postgres://gate:{password}@db/app"))
        .env("REDIS_URL", "redis://:redis-password-hidden@cache")
        .env("PUBLIC_PATHS", "/healthz,/assets/");
    let given = checking.clone().run().await?;
    assert!(
        given.stdout.contains("/healthz,/assets/"),
        "{}",
        given.stdout
    );
    assert!(
        !given.stdout.contains("REDIS_CACHE_TTL"),
        "{}",
        given.stdout
    );
    let finished = checking.args(["check-config", "--all"]).run().await?;
    assert!(finished.status.success(), "{}", finished.stderr);
    for shown in [
        "UPSTREAM",
        "http://127.0.0.1:3000",
        "/healthz,/assets/",
        "REDIS_CACHE_TTL",
        "600",
        "USER_TABLE",
    ] {
        assert!(
            finished.stdout.contains(shown),
            "{shown} is missing from:\n{}",
            finished.stdout
        );
    }
    let printed = finished.stdout + &finished.stderr;
    for secret in [mint::SECRET, password, "redis-password-hidden"] {
        assert!(!printed.contains(secret), "{secret} is in:\n{printed}");
    }
    Ok(())
}

#[tokio::test]
async fn check_config_and_start_up_report_identical_problems() -> Result<()> {
    let broken = || {
        gate("ftp://127.0.0.1")
            .without("AUTH_SECRET")
            .env("PUBLIC_PATHS", "assets")
            .env("REDIS_TIMEOUT", "soon")
            .env("ENABLE_DB_CHECK", "perhaps")
            .env("TRUSTED_PROXIES", "everyone")
            .env("CORS_PREFLIGHT", "maybe")
            .env("LISTEN", "nowhere")
            .env("USER_TABLE", "a.b.c")
    };
    let started = broken().run().await?;
    let checked = check(broken()).run().await?;
    assert_eq!(
        (started.status.code(), checked.status.code()),
        (Some(1), Some(1))
    );
    assert_eq!(started.stderr, checked.stderr);
    for name in [
        "UPSTREAM",
        "AUTH_SECRET",
        "PUBLIC_PATHS",
        "ENABLE_DB_CHECK",
        "TRUSTED_PROXIES",
        "CORS_PREFLIGHT",
        "LISTEN",
    ] {
        assert!(
            started.stderr.contains(name),
            "{name} is missing from:\n{}",
            started.stderr
        );
    }
    Ok(())
}

#[tokio::test]
async fn every_problem_of_the_store_settings_is_reported() -> Result<()> {
    let finished = gate("http://127.0.0.1:3000")
        .env("ENABLE_DB_CHECK", "true")
        .env("DATABASE_URL", "mysql://root:hidden@db/app")
        .env("REDIS_URL", "http://:hidden@cache")
        .env("REDIS_TIMEOUT", "soon")
        .env("REDIS_CACHE_TTL", "-1")
        .env("USER_TABLE", "a.b.c")
        .run()
        .await?;
    assert_eq!(finished.status.code(), Some(1));
    for name in [
        "DATABASE_URL",
        "REDIS_URL",
        "REDIS_TIMEOUT",
        "REDIS_CACHE_TTL",
        "USER_TABLE",
    ] {
        assert!(
            finished.stderr.contains(name),
            "{name} is missing from:\n{}",
            finished.stderr
        );
    }
    assert!(!finished.stderr.contains("hidden"), "{}", finished.stderr);
    Ok(())
}

#[tokio::test]
async fn guessable_secrets_are_refused() -> Result<()> {
    for (what, secret, accepted_when_weak) in [
        ("empty", "", false),
        ("the placeholder", "your_secret", false),
        (
            "a default of a framework",
            "better-auth-secret-12345678901234567890",
            false,
        ),
        ("short", "31-bytes-are-one-byte-too-short", true),
    ] {
        let command = check(gate("http://127.0.0.1:3000")).env("AUTH_SECRET", secret);
        let strict = command.clone().run().await?;
        assert!(!strict.status.success(), "{what}");
        assert!(
            strict.stderr.contains("AUTH_SECRET"),
            "{what}: {}",
            strict.stderr
        );
        assert!(
            secret.is_empty() || !strict.stderr.contains(secret),
            "{what}: {}",
            strict.stderr
        );
        let lax = command.env("ALLOW_WEAK_SECRET", "true").run().await?;
        assert_eq!(
            lax.status.success(),
            accepted_when_weak,
            "{what}: {}",
            lax.stderr
        );
    }
    let long_enough =
        check(gate("http://127.0.0.1:3000")).env("AUTH_SECRET", "32-bytes-are-exactly-long-enough");
    assert!(long_enough.run().await?.status.success());
    Ok(())
}

#[tokio::test]
async fn a_missing_secret_file_is_named() -> Result<()> {
    let finished = gate("http://127.0.0.1:3000")
        .without("AUTH_SECRET")
        .env("AUTH_SECRET_FILE", "/nonexistent/secret")
        .run()
        .await?;
    assert!(!finished.status.success());
    assert!(
        finished.stderr.contains("AUTH_SECRET_FILE")
            && finished.stderr.contains("/nonexistent/secret")
    );
    Ok(())
}

#[tokio::test]
async fn a_misspelled_variable_is_pointed_out() -> Result<()> {
    let finished = check(gate("http://127.0.0.1:3000"))
        .env("PUBLIC_PATH", "/healthz")
        .run()
        .await?;
    let printed = finished.stdout + &finished.stderr;
    assert!(
        printed.contains("PUBLIC_PATH is set") && printed.contains("PUBLIC_PATHS?"),
        "{printed}"
    );
    Ok(())
}

#[tokio::test]
async fn check_config_shows_every_documented_setting_and_no_other() -> Result<()> {
    let documented = std::fs::read_to_string(harness::repository().join("docs/settings.md"))?;
    let rows = documented.lines().filter(|line| line.starts_with("| `"));
    let names = rows.filter_map(|row| row.split('|').nth(1));
    let mut wanted: BTreeSet<_> = names.flat_map(|names| names.split('`')).collect();
    wanted.retain(|name| is_name(name));
    assert!(wanted.len() > 100, "{wanted:?}");
    // The names that indicate production are not settings of the gate, but it reads them.
    wanted.extend(["APP_ENV", "NODE_ENV", "RAILS_ENV", "SESSIONGATE_ENV"]);
    let database = "postgres://gate:hidden@db/app";
    for (pairs, line) in [
        (&[][..], "MEMORY_CACHE_TTL default; no effect"),
        (
            &[("ENABLE_DB_CHECK", "true"), ("DATABASE_URL", database)],
            "MEMORY_CACHE_TTL default",
        ),
        (
            &[("DATABASE_URL", database), ("ACME_STORE", "postgres")],
            "DATABASE_URL variable DATABASE_URL; no effect",
        ),
    ] {
        let mut checking = gate("http://127.0.0.1:3000").args(["check-config", "--all"]);
        for (name, value) in pairs {
            checking = checking.env(name, *value);
        }
        let finished = checking.run().await?;
        assert!(finished.status.success(), "{}", finished.stderr);
        let lines = finished.stdout.lines();
        let shown = lines.filter(|line| is_name(line.split(' ').next().unwrap_or_default()));
        let shown: Vec<_> = shown.collect();
        let names: BTreeSet<_> = shown
            .iter()
            .filter_map(|line| line.split(' ').next())
            .collect();
        let missing: Vec<_> = wanted.difference(&names).collect();
        let more: Vec<_> = names.difference(&wanted).collect();
        assert!(
            missing.is_empty() && more.is_empty(),
            "{missing:?} {more:?}"
        );
        assert_eq!(shown.len(), names.len(), "each once: {shown:#?}");
        let (name, origin) = line.split_once(' ').context("a name")?;
        let found = shown
            .iter()
            .find(|line| line.starts_with(&format!("{name} ")));
        let found = found.context("a line")?;
        assert!(found.ends_with(&format!("({origin})")), "{found}");
        assert!(!finished.stdout.contains("hidden"), "{}", finished.stdout);
    }
    Ok(())
}

fn is_name(text: &str) -> bool {
    let is_of_name = |byte: u8| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'_';
    text.len() > 2 && text.bytes().all(is_of_name)
}
