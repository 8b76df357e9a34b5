//! The fixtures of most tests.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use harness::interop::{BetterAuth, SignedIn};
use harness::{Echo, Gate, GateCommand, Mint, Redis, Request, mint};
use serde_json::Value;

/// Returns the command of a gate in front of `upstream` with the secret of [`Mint`], JSON logs, and no automatic reloads.
pub(crate) fn gate(upstream: &str) -> GateCommand {
    Gate::command(env!("CARGO_BIN_EXE_sessiongate"))
        .env("UPSTREAM", upstream)
        .env("AUTH_SECRET", mint::SECRET)
        .env("LOG_FORMAT", "json")
        // Tests that change files trigger the reload themselves.
        .env("RELOAD_INTERVAL", "0")
}

/// Starts a recording upstream and a gate in front of it, with these settings besides the usual ones.
pub(crate) async fn started<const N: usize>(settings: [(&str, &str); N]) -> Result<(Echo, Gate)> {
    let echo = Echo::start().await?;
    let gate = gate(&echo.url()).envs(settings).start().await?;
    Ok((echo, gate))
}

/// The secret of the Better Auth apps of the tests, as they and the gate take it from the environment.
pub(crate) const BETTER_AUTH_SECRET: (&str, &str) = ("BETTER_AUTH_SECRET", BetterAuth::SECRET);

/// Returns the command of a gate for Better Auth that caches nothing, and has no store unless the caller adds one.
pub(crate) fn better_auth(echo: &Echo) -> GateCommand {
    gate(&echo.url())
        .without("AUTH_SECRET")
        .env("SESSION_FORMAT", "better-auth")
        .env("MEMORY_CACHE_TTL", "0")
        .env("REDIS_CACHE_TTL", "0")
        .env("ABSENT_CACHE_TTL", "0")
        .envs([BETTER_AUTH_SECRET])
}

/// Returns a GET request of a user with a valid session.
pub(crate) fn signed_in(target: &str, user: &str) -> Request {
    Request::get(target).cookie(Mint::user(user).authjs())
}

/// Sends these cookies, verifies that the request enters as exactly `user`, and returns the audit line.
pub(crate) async fn enters(
    gate: &Gate,
    echo: &Echo,
    cookies: &str,
    user: &SignedIn,
) -> Result<Value> {
    let answer = gate.send(&Request::get("/").cookie(cookies)).await?;
    let id = answer.header("x-request-id").context("an id")?.to_owned();
    let line = gate
        .wait_for_audit(|line| line["request_id"] == id.as_str())
        .await?;
    ensure!(answer.status == 200, "{} was refused: {line}", user.name);
    let seen = echo.seen().pop().context("it reached the upstream")?;
    for (header, value) in [
        ("x-user-id", &user.id),
        ("x-user-email", &user.email),
        ("x-user-name", &user.name),
    ] {
        assert_eq!(seen.headers.get(header), Some(value.as_str()), "{header}");
    }
    Ok(line)
}

/// The status of a request with these cookies.
pub(crate) async fn status(gate: &Gate, cookies: &str) -> Result<u16> {
    Ok(gate.send(&Request::get("/").cookie(cookies)).await?.status)
}

/// Waits for a key in `redis`; returns all keys with their values.
pub(crate) async fn cached_in(redis: &Redis) -> Result<String> {
    let keys = harness::poll("something to be cached", async || {
        let keys = redis.cli(["KEYS", "*"]).await.ok()?;
        (!keys.is_empty()).then_some(keys)
    })
    .await?;
    let mut all = keys.clone();
    for key in keys.lines() {
        // One of the two commands fails because the key has another type, which does no harm here.
        all += &redis.cli(["GET", key]).await?;
        all += &redis.cli(["HGETALL", key]).await?;
    }
    Ok(all)
}

/// Runs SQL on an SQLite database file, and creates the file if it is missing.
pub(crate) async fn sqlite(file: &Path, sql: &str) -> Result<()> {
    let mut python = Command::new("python3");
    let script = "import sqlite3, sys; db = sqlite3.connect(sys.argv[1]); \
                  db.executescript(sys.argv[2]); db.commit()";
    python.args(["-c", script]).arg(file).arg(sql);
    harness::run(python, "python3").await?;
    Ok(())
}
