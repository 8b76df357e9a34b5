//! Signals: a stop with a delay, reloads, and signals without a meaning.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use harness::{
    Certificates, Client, Echo, Gate, GateCommand, Mint, Postgres, Redis, Request, poll,
};
use tempfile::TempDir;

use crate::support::{gate, signed_in, started, status};

/// A secret other than [`mint::SECRET`](harness::mint::SECRET).
const OTHER: &str = "another-secret-8g4lR0yX3nWc9Sa2MuZd6OeK1q";

/// Sends SIGHUP and waits for the log line about the reload.
async fn reload(gate: &Gate, expected: &str) -> Result<String> {
    let is_answer = |line: &&String| line.contains("reload");
    let before = gate.stderr().all().iter().filter(is_answer).count();
    gate.signal("HUP")?;
    let line = poll("the message about the reload", async || {
        let lines = gate.stderr().all();
        lines.iter().filter(is_answer).nth(before).cloned()
    })
    .await?;
    assert!(line.contains(expected), "{line}");
    Ok(line)
}

/// Returns the command of a gate with its secret in a file, and the path of that file.
async fn with_secret_file(echo: &Echo, folder: &TempDir) -> Result<(GateCommand, String)> {
    let file = folder.path().join("secret");
    fs::write(&file, harness::mint::SECRET)?;
    let file = file.to_str().context("a path")?.to_owned();
    let gate = gate(&echo.url()).without("AUTH_SECRET");
    Ok((gate.env("AUTH_SECRET_FILE", &file), file))
}

#[tokio::test]
async fn an_unhandled_signal_does_not_stop_the_gate() -> Result<()> {
    let (_echo, mut gate) = started([]).await?;
    gate.signal("USR1")?;
    let matches = |line: &str| line.contains("SIGUSR1").then_some(());
    gate.stderr().wait_for(matches).await?;
    assert_eq!(gate.send(&signed_in("/", "ada")).await?.status, 200);
    reload(&gate, "nothing has changed").await?;
    assert_eq!(gate.send(&signed_in("/", "ada")).await?.status, 200);
    gate.signal("QUIT")?;
    assert_eq!(gate.wait().await?.code(), Some(0));
    Ok(())
}

#[tokio::test]
async fn a_reload_applies_a_new_session_secret_and_closes_no_connection() -> Result<()> {
    let (echo, folder) = (Echo::start().await?, tempfile::tempdir()?);
    let (command, file) = with_secret_file(&echo, &folder).await?;
    let gate = command.start().await?;
    let old = Request::get("/").cookie(Mint::user("ada").authjs());
    let new = Request::get("/").cookie(Mint::user("ada").secret(OTHER).authjs());
    let mut client = gate.connect().await?;
    assert_eq!(client.send(&old).await?.status, 200);
    assert_eq!(client.send(&new).await?.status, 401);
    let mut held = gate.connect().await?;
    held.raw(&signed_in("/hold", "ada").bytes(gate.proxy))
        .await?;
    echo.wait_for(|seen| seen.path() == "/hold").await?;

    fs::write(&file, OTHER)?;
    let line = reload(&gate, "reloaded").await?;
    assert!(
        line.contains("AUTH_SECRET") && !line.contains(OTHER),
        "{line}"
    );
    assert_eq!(
        client.send(&new).await?.status,
        200,
        "on the same connection"
    );
    assert_eq!(client.send(&old).await?.status, 401);
    assert_eq!(
        status(&gate, &Mint::user("ada").secret(OTHER).authjs()).await?,
        200
    );
    echo.release();
    assert_eq!(
        held.response().await?.status,
        200,
        "the user entered before"
    );
    Ok(())
}

#[tokio::test]
async fn an_invalid_reload_changes_nothing_and_names_all_problems() -> Result<()> {
    let (echo, folder) = (Echo::start().await?, tempfile::tempdir()?);
    let (command, file) = with_secret_file(&echo, &folder).await?;
    let token = folder.path().join("token");
    fs::write(&token, OTHER)?;
    let gate = command.env("ADMIN_TOKEN_FILE", token.to_str().context("a path")?);
    let gate = gate.start().await?;
    fs::write(&file, "short")?;
    fs::remove_file(&token)?;
    let line = reload(
        &gate,
        "the reload failed; the previous configuration stays in effect",
    )
    .await?;
    assert!(
        line.contains("AUTH_SECRET") && line.contains("ADMIN_TOKEN_FILE"),
        "{line}"
    );
    assert_eq!(gate.send(&signed_in("/", "ada")).await?.status, 200);
    let admin = |token: &str| {
        let bearer = format!("Bearer {token}");
        Request::get("/readyz").header("Authorization", bearer)
    };
    let ask = async |token| Client::connect(gate.admin).await?.send(&admin(token)).await;
    assert_eq!(ask(OTHER).await?.status, 200);

    fs::write(&file, harness::mint::SECRET)?;
    let newer = OTHER.to_uppercase();
    fs::write(&token, &newer)?;
    reload(&gate, "ADMIN_TOKEN").await?;
    assert_eq!(
        (ask(OTHER).await?.status, ask(&newer).await?.status),
        (401, 200)
    );
    Ok(())
}

#[tokio::test]
async fn a_reload_applies_new_store_passwords() -> Result<()> {
    let redis = Redis::options()
        .password("first-redis-password")
        .start()
        .await?;
    let postgres = Postgres::start().await?;
    postgres
        .execute(
            "CREATE TABLE users (id text PRIMARY KEY); INSERT INTO users VALUES ('ada'), ('eve')",
        )
        .await?;
    let (echo, folder) = (Echo::start().await?, tempfile::tempdir()?);
    let secret = |name: &str, text: &str| -> Result<String> {
        let file = folder.path().join(name);
        fs::write(&file, text)?;
        Ok(file.to_str().context("a path")?.to_owned())
    };
    let gate = gate(&echo.url())
        .env("ENABLE_DB_CHECK", "true")
        .env("REDIS_URL_FILE", secret("redis", &redis.url())?)
        .env(
            "DATABASE_URL_FILE",
            secret("database", &postgres.url(Postgres::DATABASE))?,
        )
        .env("MEMORY_CACHE_TTL", "0")
        .env("REDIS_CACHE_TTL", "0")
        .start()
        .await?;
    assert_eq!(gate.send(&signed_in("/", "ada")).await?.status, 200);

    let user = "CREATE ROLE rotated LOGIN PASSWORD 'second'; GRANT SELECT ON users TO rotated";
    postgres.execute(user).await?;
    let url = postgres.url(Postgres::DATABASE);
    let (_, rest) = url.split_once('@').context("a URL with credentials")?;
    secret("database", &format!("postgres://rotated:second@{rest}"))?;
    redis
        .cli(["CONFIG", "SET", "requirepass", "second-redis-password"])
        .await?;
    secret("redis", &redis.url().replace("first-redis", "second-redis"))?;
    let good = fs::read_to_string(folder.path().join("database"))?;
    secret("database", &good.replace("second", "secnod"))?;
    let line = reload(&gate, "the reload failed").await?;
    assert!(
        line.contains("postgres does not answer with the new settings") && !line.contains("secnod"),
        "{line}"
    );
    assert_eq!(gate.send(&signed_in("/", "ada")).await?.status, 200);
    secret("database", &good)?;
    let line = reload(&gate, "reloaded").await?;
    assert!(
        line.contains("DATABASE_URL") && line.contains("REDIS_URL"),
        "{line}"
    );
    assert_eq!(gate.send(&signed_in("/", "eve")).await?.status, 200);
    let roles = postgres
        .execute("SELECT DISTINCT usename FROM pg_stat_activity")
        .await;
    roles?;
    poll("both stores to be up", async || {
        let ready = gate.admin("/readyz").await.ok()?.text();
        (ready.matches("up").count() == 2).then_some(())
    })
    .await
}

#[tokio::test]
async fn a_reload_applies_a_new_certificate_authority_of_redis() -> Result<()> {
    let redis = Redis::options().tls().start().await?;
    let (echo, folder) = (Echo::start().await?, tempfile::tempdir()?);
    let others = Certificates::make(folder.path()).await?;
    let file = folder.path().join("trusted.pem");
    fs::copy(&others.authority, &file)?;
    let gate = gate(&echo.url())
        .env("SESSION_FORMAT", "better-auth")
        .without("AUTH_SECRET")
        .env("BETTER_AUTH_SECRET", harness::mint::SECRET)
        .env("SESSION_STORE", "redis")
        .env("REDIS_URL", redis.tls_url())
        .env("REDIS_CA_FILE", file.to_str().context("a path")?)
        .start()
        .await?;
    let ready = async || gate.admin("/readyz").await.ok().map(|answer| answer.status);
    poll("Redis to be down", async || {
        (ready().await? == 503).then_some(())
    })
    .await?;
    fs::copy(redis.authority(), &file)?;
    reload(&gate, "REDIS_CA_FILE").await?;
    poll("Redis to be up", async || {
        (ready().await? == 200).then_some(())
    })
    .await?;
    fs::write(&file, "no certificate")?;
    reload(&gate, "the reload failed").await?;
    poll("Redis to be up", async || {
        (ready().await? == 200).then_some(())
    })
    .await
}

#[tokio::test]
async fn a_reload_applies_a_new_certificate_authority_of_postgresql() -> Result<()> {
    let postgres = Postgres::options().tls().start().await?;
    postgres
        .execute("CREATE TABLE users (id text PRIMARY KEY); INSERT INTO users VALUES ('ada')")
        .await?;
    let (echo, folder) = (Echo::start().await?, tempfile::tempdir()?);
    let others = Certificates::make(folder.path()).await?;
    let file = folder.path().join("trusted.pem");
    fs::copy(&others.authority, &file)?;
    let file = file.to_str().context("a path")?;
    let url = postgres.url(Postgres::DATABASE);
    let separator = if url.contains('?') { '&' } else { '?' };
    let gate = gate(&echo.url())
        .env("ENABLE_DB_CHECK", "true")
        .env(
            "DATABASE_URL",
            format!("{url}{separator}sslmode=verify-ca&sslrootcert={file}"),
        )
        .start()
        .await?;
    assert_eq!(gate.send(&signed_in("/", "ada")).await?.status, 503);
    fs::copy(postgres.authority(), file)?;
    reload(&gate, "DATABASE_URL").await?;
    poll("PostgreSQL to be trusted", async || {
        let answer = gate.send(&signed_in("/", "ada")).await.ok()?;
        (answer.status == 200).then_some(())
    })
    .await
}

#[tokio::test]
async fn during_the_drain_delay_requests_are_served_and_the_gate_is_not_ready() -> Result<()> {
    let (_echo, mut gate) = started([("DRAIN_DELAY", "3600")]).await?;
    gate.signal("TERM")?;
    poll("readiness to end", async || {
        (gate.admin("/readyz").await.ok()?.status == 503).then_some(())
    })
    .await?;
    assert_eq!(
        gate.send(&signed_in("/", "ada")).await?.status,
        200,
        "on a new connection"
    );
    reload(&gate, "nothing has changed").await?;
    assert!(gate.running());
    gate.signal("TERM")?;
    assert_eq!(
        gate.wait().await?.code(),
        Some(0),
        "the second one skips the delay"
    );
    Ok(())
}

#[tokio::test]
async fn the_drain_delay_ends_by_itself() -> Result<()> {
    let (_echo, mut gate) = started([("DRAIN_DELAY", "1")]).await?;
    gate.signal("INT")?;
    assert_eq!(gate.wait().await?.code(), Some(0));
    Ok(())
}

#[tokio::test]
async fn a_reload_reads_key_files_again() -> Result<()> {
    let (echo, folder) = (Echo::start().await?, tempfile::tempdir()?);
    let secret = folder.path().join("bearer");
    fs::write(&secret, harness::mint::SECRET)?;
    let gate = gate(&echo.url())
        .env("BEARER_SECRET_FILE", secret.to_str().context("a path")?)
        .env("BEARER_ISSUER", "https://issuer.example")
        .env("BEARER_AUDIENCE", "gate")
        .start()
        .await?;
    let with_session_of = |secret: &str| {
        let token = token(secret).expect("a token");
        Request::get("/").header("Authorization", format!("Bearer {token}"))
    };
    assert_eq!(
        gate.send(&with_session_of(harness::mint::SECRET))
            .await?
            .status,
        200
    );
    assert_eq!(gate.send(&with_session_of(OTHER)).await?.status, 401);
    fs::write(Path::new(&secret), OTHER)?;
    reload(&gate, "BEARER_SECRET").await?;
    assert_eq!(
        gate.send(&with_session_of(harness::mint::SECRET))
            .await?
            .status,
        401
    );
    assert_eq!(gate.send(&with_session_of(OTHER)).await?.status, 200);
    Ok(())
}

fn token(secret: &str) -> Result<String> {
    let claims = serde_json::json!({
        "sub": "ada", "iss": "https://issuer.example", "aud": "gate", "exp": 4_000_000_000_u64,
    });
    let key = jsonwebtoken::EncodingKey::from_secret(secret.as_bytes());
    Ok(jsonwebtoken::encode(
        &jsonwebtoken::Header::default(),
        &claims,
        &key,
    )?)
}
