//! Settings that name something other than a regular file are errors at once, except files that a shell has opened for the gate.

use std::fs::{self, File};
use std::path::Path;
use std::process::{Command, Output};

use anyhow::{Context, Result, ensure};
use harness::{GateCommand, mint};

use crate::support::gate;

/// Creates a named pipe without a writer.
fn pipe(folder: &Path, name: &str) -> Result<String> {
    let path = folder.join(name);
    let made = Command::new("mkfifo").arg(&path).status()?;
    ensure!(made.success(), "mkfifo: {made}");
    Ok(path.to_str().context("text")?.to_owned())
}

fn check() -> GateCommand {
    gate("http://127.0.0.1:3000").args(["check-config"])
}

/// Runs a line of bash in which `$0` is the gate.
fn bash(line: &str) -> Result<Output> {
    let mut bash = Command::new("bash");
    let bash = bash
        .args(["-c", line, env!("CARGO_BIN_EXE_sessiongate")])
        .env_clear()
        .env("PATH", "/usr/bin:/bin")
        .env("UPSTREAM", "http://127.0.0.1:3000");
    Ok(bash.output()?)
}

#[tokio::test]
async fn a_named_pipe_is_refused_in_every_file_setting() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let path = pipe(folder.path(), "pipe")?;
    let database = format!("postgres://u:p@127.0.0.1/d?sslmode=verify-full&sslrootcert={path}");
    let issuer = |command: GateCommand| {
        command
            .env("BEARER_ISSUER", "https://issuer.example.com")
            .env("BEARER_AUDIENCE", "app")
    };
    for (command, name) in [
        (
            check()
                .without("AUTH_SECRET")
                .env("AUTH_SECRET_FILE", &path),
            "AUTH_SECRET_FILE",
        ),
        (issuer(check()).env("BEARER_JWKS", &path), "BEARER_JWKS"),
        (
            issuer(check())
                .env("BEARER_JWKS", "https://issuer.example.com/jwks")
                .env("BEARER_JWKS_CA_FILE", &path),
            "BEARER_JWKS_CA_FILE",
        ),
        (
            check()
                .env("ENABLE_DB_CHECK", "true")
                .env("DATABASE_URL", &database),
            "DATABASE_URL",
        ),
        (
            check()
                .env("ENABLE_DB_CHECK", "true")
                .env("DATABASE_URL", "postgres://u:p@127.0.0.1/d")
                .env("REDIS_URL", "rediss://127.0.0.1")
                .env("REDIS_CA_FILE", &path),
            "REDIS_CA_FILE",
        ),
        (check().env("TLS_CERT_FILE", &path), "TLS_CERT_FILE"),
        (check().env("SESSIONGATE_CONFIG", &path), &path),
    ] {
        let finished = command.run().await?;
        let errors = &finished.stderr;
        assert_eq!(finished.status.code(), Some(1), "{name}: {errors}");
        let line = errors
            .lines()
            .find(|line| line.contains("it is a named pipe"));
        let line = line.with_context(|| format!("{name}: {errors}"))?;
        assert!(line.contains(name), "{name}: {errors}");
    }
    Ok(())
}

#[tokio::test]
async fn a_named_pipe_in_the_configuration_file_is_reported_with_its_place() -> Result<()> {
    let folder = tempfile::tempdir()?;
    fs::create_dir(folder.path().join("routes"))?;
    let included = pipe(folder.path(), "routes/a.toml")?;
    let secret = pipe(folder.path(), "secret")?;
    let file = folder.path().join("gate.toml");
    let text = format!(
        "include = [\"routes/*.toml\"]\n[profile.own]\nheaders = {{ \"X-Key\" = {{ secret_file = {secret:?} }} }}\n\
         [[route]]\npath = \"/\"\nheaders = \"own\"\n"
    );
    fs::write(&file, text)?;
    let finished = check()
        .env("SESSIONGATE_CONFIG", file.to_str().context("text")?)
        .run()
        .await?;
    let errors = &finished.stderr;
    let of_include = format!("{included}: cannot read this configuration file: it is a named pipe");
    let of_secret = format!("`{secret}`: cannot read this file: it is a named pipe");
    for expected in [&of_include, &of_secret] {
        assert!(errors.contains(expected), "{errors}");
    }
    assert!(errors.contains("gate.toml:3:"), "{errors}");
    Ok(())
}

#[tokio::test]
async fn a_huge_file_is_not_read() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("huge");
    File::create(&path)?.set_len(1 << 40)?;
    let path = path.to_str().context("text")?;
    for (name, most) in [
        ("AUTH_SECRET_FILE", "64 KiB"),
        ("BEARER_JWKS_CA_FILE", "4 MiB"),
        ("SESSIONGATE_CONFIG", "64 MiB"),
    ] {
        let finished = check()
            .without("AUTH_SECRET")
            .env("BEARER_ISSUER", "https://issuer.example.com")
            .env("BEARER_AUDIENCE", "app")
            .env("BEARER_JWKS", "https://issuer.example.com/jwks")
            .env(name, path)
            .run()
            .await?;
        let expected = format!("it is larger than {most}, the limit for this file");
        assert!(finished.stderr.contains(&expected), "{}", finished.stderr);
    }
    Ok(())
}

#[test]
fn pipes_opened_by_a_shell_are_read() -> Result<()> {
    let secret = mint::SECRET;
    for line in [
        format!(
            "AUTH_SECRET_FILE=<(sleep 0.1; echo '{secret}') \"$0\" check-config --config <(echo 'workers = 3')"
        ),
        format!(
            "printf 'workers = 3' | AUTH_SECRET='{secret}' \"$0\" check-config --config /dev/stdin"
        ),
        format!(
            "AUTH_SECRET='{secret}' \"$0\" check-config --config /proc/self/fd/3 3< <(echo 'workers = 3')"
        ),
        // `SIGN_IN_URL` derives a key from the secret, which was read before.
        format!(
            "AUTH_SECRET_FILE=/dev/fd/3 SIGN_IN_URL=https://a.example/in \"$0\" check-config --config \
             <(echo 'workers = 3') 3< <(echo '{secret}')"
        ),
    ] {
        let finished = bash(&line)?;
        let (printed, errors) = (
            String::from_utf8_lossy(&finished.stdout),
            String::from_utf8_lossy(&finished.stderr),
        );
        assert!(finished.status.success(), "{line}\n{errors}");
        let shows = |name: &str, start: &str| {
            let line = printed
                .lines()
                .find(|line| line.starts_with(&format!("{name} ")));
            let value = line.map(|line| line[name.len()..].trim_start());
            value.is_some_and(|value| value.starts_with(start))
        };
        assert!(shows("WORKERS", "3"), "{line}\n{printed}");
        let length = format!("{} bytes", secret.len());
        assert!(shows("AUTH_SECRET", &length), "{line}\n{printed}");
    }
    Ok(())
}
