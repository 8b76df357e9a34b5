//! The programs in `examples`, run as their pages say.

use std::fs;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use harness::mint::SECRET;
use harness::page::replace_literal;
use harness::{Client, Gate, Mint, Nginx, Request, repository};

#[test]
fn mint_signs_users_in_for_the_tests_of_a_service() -> Result<()> {
    let output = Command::new("python3")
        .arg("examples/mint/test_service.py")
        .current_dir(repository())
        .env("SESSIONGATE", env!("CARGO_BIN_EXE_sessiongate"))
        .output()?;
    let printed = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{printed}");
    ensure!(printed.contains("Ran 2 tests"), "{printed}");
    Ok(())
}

#[tokio::test]
async fn nginx_permits_the_users_of_the_gate_and_forwards_their_identity() -> Result<()> {
    let gate = Gate::command(env!("CARGO_BIN_EXE_sessiongate"))
        .env("AUTH_SECRET", SECRET)
        .env("AUTH_LISTEN", "127.0.0.1:0")
        .start()
        .await?;
    let decisions = gate.decisions_port()?;
    let service = Nginx::start("location / { return 200 $http_x_user_id; }").await?;
    let text = fs::read_to_string(repository().join("examples/nginx/nginx.conf"))?;
    let text = replace_literal(&text, "127.0.0.1:9091", &decisions.to_string())?;
    let text = replace_literal(&text, "127.0.0.1:3000", &service.address().to_string())?;
    replace_literal(&text, "listen 8080;", "")?;
    let nginx = Nginx::from_config(|port| {
        text.replace("listen 8080;", &format!("listen 127.0.0.1:{port};"))
    })
    .await?;

    let ask = async |request: Request| {
        let mut client = Client::connect(nginx.address()).await?;
        client.send(&request).await
    };
    let request = || Request::get("/").header("X-User-Id", "forged");
    let entered = ask(request().cookie(Mint::user("42").authjs())).await?;
    assert_eq!((entered.status, entered.text()), (200, "42".to_owned()));
    assert_eq!(ask(request()).await?.status, 401);
    Ok(())
}

/// The gate accepts its settings in `compose.yaml`. This test starts no containers.
#[test]
fn the_compose_file_has_valid_settings() -> Result<()> {
    let file = fs::read_to_string(repository().join("compose.yaml"))?;
    let gate = between(&file, "\n  gate:\n", "\n  upstream:\n")?;
    let settings = between(gate, "\n    environment:\n", "\n    secrets:")?;
    let secret = tempfile::NamedTempFile::new()?;
    fs::write(secret.path(), SECRET)?;
    let mut command = Command::new(env!("CARGO_BIN_EXE_sessiongate"));
    command.arg("check-config").env_clear();
    for line in settings.lines() {
        let (name, value) = line.trim().split_once(": ").context("a setting")?;
        match name.ends_with("_FILE") {
            true => command.env(name, secret.path()),
            false if value.starts_with("${") => command.env(name, ""),
            false => command.env(name, value.trim_matches('"')),
        };
    }
    let output = command.output()?;
    let printed = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{printed}");
    Ok(())
}

/// Returns the text between the first `start` and the next `end`.
fn between<'t>(text: &'t str, start: &str, end: &str) -> Result<&'t str> {
    let (_, rest) = text
        .split_once(start)
        .with_context(|| format!("no {start:?}"))?;
    let (inner, _) = rest
        .split_once(end)
        .with_context(|| format!("no {end:?}"))?;
    Ok(inner)
}
