//! Reloads of the whole configuration: what triggers them, what they replace, and what they keep.

mod kept_connections;
mod load;
mod triggers;

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use harness::{Client, Echo, Gate, GateCommand, Mint, Request, Response, mint, poll};
use serde_json::Value;
use tempfile::TempDir;

use crate::support::signed_in;

/// A secret other than [`mint::SECRET`].
const OTHER: &str = "another-secret-8g4lR0yX3nWc9Sa2MuZd6OeK1q";

/// A gate with a configuration file, which it reads again only on request.
struct Stack {
    echo: Echo,
    folder: TempDir,
    gate: Gate,
}

impl Stack {
    /// Starts a gate whose file has a secret, an upstream and then `rest`.
    async fn start(rest: &str) -> Result<Self> {
        let (echo, folder) = (Echo::start().await?, tempfile::tempdir()?);
        let file = folder.path().join("gate.toml");
        fs::write(&file, file_text(&echo, rest))?;
        let gate = command(&file).start().await?;
        Ok(Self { echo, folder, gate })
    }

    fn file(&self) -> PathBuf {
        self.folder.path().join("gate.toml")
    }

    /// Writes the file and reloads; returns the answer.
    async fn reload(&self, rest: &str) -> Result<Response> {
        fs::write(self.file(), file_text(&self.echo, rest))?;
        reload(&self.gate).await
    }

    /// Writes the file and reloads, which must succeed; returns the changes.
    async fn changes(&self, rest: &str) -> Result<Value> {
        let answer = self.reload(rest).await?;
        ensure!(answer.status == 200, "{}", answer.text());
        answer.json()
    }
}

fn command(file: &Path) -> GateCommand {
    Gate::command(env!("CARGO_BIN_EXE_sessiongate"))
        .args(["serve", "--config", file.to_str().expect("a path")])
        .env("LOG_FORMAT", "json")
        .env("RELOAD_INTERVAL", "0")
}

fn file_text(echo: &Echo, rest: &str) -> String {
    let (secret, upstream) = (mint::SECRET, echo.url());
    format!("auth_secret = \"{secret}\"\nupstream = \"{upstream}\"\n{rest}")
}

async fn reload(gate: &Gate) -> Result<Response> {
    let mut admin = Client::connect(gate.admin).await?;
    admin.send(&Request::post("/reload", "")).await
}

/// The status of a request without a session.
async fn status_of(gate: &Gate, path: &str) -> Result<u16> {
    Ok(gate.send(&Request::get(path)).await?.status)
}

/// Waits until a request without a session has this status.
async fn wait_for_status(gate: &Gate, path: &str, status: u16) -> Result<()> {
    poll(&format!("{path} to have {status}"), async || {
        (status_of(gate, path).await.ok()? == status).then_some(())
    })
    .await
}

/// Waits until `count` lines of the log contain these words, and verifies that no more do; returns the lines.
async fn expect_log_lines(gate: &Gate, words: &str, count: usize) -> Result<Vec<String>> {
    let lines = poll(&format!("{count} lines with {words:?}"), async || {
        let lines = gate.stderr().all().into_iter();
        let lines: Vec<_> = lines.filter(|line| line.contains(words)).collect();
        (lines.len() >= count).then_some(lines)
    })
    .await?;
    ensure!(lines.len() == count, "{lines:?}");
    Ok(lines)
}

#[tokio::test]
async fn a_bad_file_changes_nothing_and_all_its_problems_are_reported() -> Result<()> {
    let stack = Stack::start("public_paths = [\"/open/\"]").await?;
    let bad =
        "public_paths = [\"closed\"]\nworkerz = 3\n\n[[route]]\npath = \"/\"\nrealm = \"nobody\"\n";
    let answer = stack.reload(bad).await?;
    assert_eq!(answer.status, 422);
    assert_eq!(
        answer.header("content-type"),
        Some("text/plain; charset=utf-8")
    );
    let text = answer.text();
    for words in [
        "workerz",
        "workers",
        "nobody",
        "gate.toml:4:1",
        "^^^",
        "public_paths",
    ] {
        assert!(text.contains(words), "{words} is missing from:\n{text}");
    }
    expect_log_lines(
        &stack.gate,
        "the reload failed; the previous configuration stays in effect",
        1,
    )
    .await?;
    let gauge = async || {
        stack
            .gate
            .metric("sessiongate_config_reload_success", [])
            .await
    };
    let time = async || {
        let name = "sessiongate_config_last_reload_success_timestamp_seconds";
        stack.gate.metric(name, []).await
    };
    let started = time().await?;
    assert_eq!(gauge().await?, 0.0);
    assert_eq!(
        stack
            .gate
            .metric("sessiongate_reloads_total", ["failed"])
            .await?,
        1.0
    );
    assert_eq!(stack.gate.admin("/readyz").await?.status, 200);
    assert_eq!(status_of(&stack.gate, "/open/").await?, 200);
    assert_eq!(stack.gate.send(&signed_in("/", "ada")).await?.status, 200);

    let changes = stack.changes("public_paths = [\"/free/\"]").await?;
    assert_eq!(changes["needs_restart"], serde_json::json!([]));
    assert!(
        changes["changed"].to_string().contains("PUBLIC_PATHS"),
        "{changes}"
    );
    assert!(
        changes["changed"].to_string().contains("gate.toml"),
        "{changes}"
    );
    assert_eq!(gauge().await?, 1.0);
    assert!(started > 1_700_000_000.0 && time().await? > started);
    assert_eq!(status_of(&stack.gate, "/open/").await?, 401);
    assert_eq!(status_of(&stack.gate, "/free/").await?, 200);
    Ok(())
}

#[tokio::test]
async fn a_reload_adds_and_removes_a_realm() -> Result<()> {
    let route = "[[route]]\npath = \"/\"\n";
    let stack = Stack::start(route).await?;
    let shop = Request::get("/shop/").cookie(Mint::user("eve").secret(OTHER).authjs());
    assert_eq!(stack.gate.send(&shop).await?.status, 401);
    let with_realm = format!(
        "{route}\n[[route]]\nname = \"shop\"\npath = \"/shop/\"\nrealm = \"shop\"\n\n\
         [realm.shop]\nauth_secret = \"{OTHER}\"\n"
    );
    let changes = stack.changes(&with_realm).await?;
    assert_eq!(
        changes["added"],
        serde_json::json!(["realm shop", "route shop"])
    );
    assert_eq!(stack.gate.send(&shop).await?.status, 200);
    let seen = stack.echo.wait_for(|seen| seen.path() == "/shop/").await?;
    assert_eq!(seen.headers.get("x-user-id"), Some("eve"));
    assert_eq!(stack.gate.send(&signed_in("/", "ada")).await?.status, 200);

    let changes = stack.changes(route).await?;
    assert_eq!(
        changes["removed"],
        serde_json::json!(["realm shop", "route shop"])
    );
    assert_eq!(stack.gate.send(&shop).await?.status, 401);
    Ok(())
}

#[tokio::test]
async fn a_reload_names_settings_that_need_a_restart_and_applies_the_rest() -> Result<()> {
    let stack = Stack::start("").await?;
    let request = signed_in("/", "ada").header("X-Request-Id", "chosen-outside");
    let id = async || {
        let answer = stack.gate.send(&request).await?;
        Ok::<_, anyhow::Error>(answer.header("x-request-id").map(str::to_owned))
    };
    assert_ne!(id().await?.as_deref(), Some("chosen-outside"));
    let rest = "workers = 3\ndrain_timeout = 7\ntrusted_proxies = [\"127.0.0.1\"]\nclient_idle_timeout = 1";
    let changes = stack.changes(rest).await?;
    assert_eq!(
        changes["needs_restart"],
        serde_json::json!(["DRAIN_TIMEOUT", "WORKERS"])
    );
    let changed = changes["changed"].to_string();
    assert!(
        changed.contains("TRUSTED_PROXIES") && !changed.contains("WORKERS"),
        "{changed}"
    );
    expect_log_lines(&stack.gate, "need a restart", 1).await?;
    assert_eq!(id().await?.as_deref(), Some("chosen-outside"));
    // The gate now closes an idle connection; before the reload, its timeout was longer than this test.
    let mut idle = stack.gate.connect().await?;
    idle.closed().await?;

    let changes = stack.changes(rest).await?;
    assert_eq!(changes["changed"], serde_json::json!([]));
    assert_eq!(
        changes["needs_restart"],
        serde_json::json!(["DRAIN_TIMEOUT", "WORKERS"])
    );
    expect_log_lines(&stack.gate, "need a restart", 1).await?;
    Ok(())
}

#[tokio::test]
async fn a_reload_needs_the_admin_token_and_refuses_web_pages() -> Result<()> {
    let token = OTHER;
    let stack = Stack::start(&format!("admin_token = \"{token}\"")).await?;
    let ask = async |request: Request| {
        let mut admin = Client::connect(stack.gate.admin).await?;
        Ok::<_, anyhow::Error>(admin.send(&request).await?.status)
    };
    let bearer = |request: Request| request.header("Authorization", format!("Bearer {token}"));
    assert_eq!(ask(Request::post("/reload", "")).await?, 401);
    assert_eq!(ask(bearer(Request::get("/reload"))).await?, 405);
    let page = bearer(Request::post("/reload", "")).header("Origin", "http://127.0.0.1:9090");
    assert_eq!(ask(page).await?, 403);
    expect_log_lines(&stack.gate, "reload", 0).await?;
    assert_eq!(ask(bearer(Request::new("POST", "/reload"))).await?, 200);
    expect_log_lines(&stack.gate, "reload requested: nothing has changed", 1).await?;
    Ok(())
}

/// Replaces a file atomically, as editors and deployments do.
fn put(file: &Path, text: &str) -> Result<()> {
    let name = file.file_name().and_then(|name| name.to_str());
    let beside = file.with_file_name(format!(".{}.new", name.context("a name")?));
    fs::write(&beside, text)?;
    Ok(fs::rename(beside, file)?)
}
