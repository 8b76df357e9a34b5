//! A real Auth.js app keeps its sessions in PostgreSQL, where the running gate looks them up.

use anyhow::{Context, Result};
use harness::interop::{DatabaseApp, SignedIn};
use harness::{CutProxy, Echo, GateCommand, Postgres, Redis, mint, poll};
use serde_json::Value;

use crate::support::{cached_in, enters, gate, status};

const COOKIE: &str = "authjs.session-token";

/// A database and an upstream.
struct World {
    postgres: Postgres,
    url: String,
    echo: Echo,
}

impl World {
    async fn start() -> Result<Self> {
        let postgres = Postgres::start().await?;
        Ok(Self {
            url: postgres.url(Postgres::DATABASE),
            postgres,
            echo: Echo::start().await?,
        })
    }

    async fn app(&self) -> Result<DatabaseApp> {
        DatabaseApp::start(mint::SECRET, &self.url, []).await
    }

    /// Returns the command of a gate that looks sessions up in the database and caches nothing.
    fn gate(&self) -> GateCommand {
        gate(&self.echo.url())
            .env("SESSION_FORMAT", "authjs-database")
            .env("DATABASE_URL", &self.url)
            .env("MEMORY_CACHE_TTL", "0")
            .env("REDIS_CACHE_TTL", "0")
            .env("ABSENT_CACHE_TTL", "0")
    }
}

fn token(user: &SignedIn) -> Result<&str> {
    user.browser.cookie(COOKIE).context("a session")
}

#[tokio::test]
async fn a_user_with_a_database_session_enters_until_sign_out() -> Result<()> {
    let world = World::start().await?;
    let gate = world.gate().start().await?;
    for secure in ["false", "true"] {
        let app =
            DatabaseApp::start(mint::SECRET, &world.url, [("SECURE_COOKIES", secure)]).await?;
        let mut user = app.sign_in("ada").await?;
        let elsewhere = app.sign_in("ada").await?;
        assert_eq!(user.id, elsewhere.id);
        let cookies = user.browser.cookies();
        let line = enters(&gate, &world.echo, &cookies, &user).await?;
        assert_eq!(line["cred"], "db");
        assert_eq!(line["format"], "authjs-database");
        assert_eq!(line["session_check"], "postgres");

        app.sign_out(&mut user).await?;
        assert_eq!(status(&gate, &cookies).await?, 401);
        let cookies = elsewhere.browser.cookies();
        enters(&gate, &world.echo, &cookies, &elsewhere).await?;
    }
    Ok(())
}

#[tokio::test]
async fn an_expired_session_or_one_without_its_user_is_refused() -> Result<()> {
    let world = World::start().await?;
    let gate = world.gate().start().await?;
    let app = world.app().await?;
    let (ada, eve) = (app.sign_in("ada").await?, app.sign_in("eve").await?);
    for user in [&ada, &eve] {
        enters(&gate, &world.echo, &user.browser.cookies(), user).await?;
    }
    let expire = format!(
        "UPDATE sessions SET expires = now() - interval '1 second' WHERE \"userId\" = {}",
        ada.id
    );
    world.postgres.execute(&expire).await?;
    let cookies = ada.browser.cookies();
    assert_eq!(status(&gate, &cookies).await?, 401);

    // The adapter's tables have no foreign keys: the session stays behind.
    let delete = format!("DELETE FROM users WHERE id = {}", eve.id);
    world.postgres.execute(&delete).await?;
    let cookies = eve.browser.cookies();
    assert_eq!(status(&gate, &cookies).await?, 401);
    assert_eq!(app.session(&cookies).await?, Value::Null);
    Ok(())
}

#[tokio::test]
async fn a_forged_token_is_refused() -> Result<()> {
    let world = World::start().await?;
    let gate = world.gate().start().await?;
    let app = world.app().await?;
    let user = app.sign_in("ada").await?;
    let token = token(&user)?;
    enters(&gate, &world.echo, &format!("{COOKIE}={token}"), &user).await?;
    for forged in [
        "",
        "6f1c2a54-7b7e-4b0e-9a53-0f3f5b2f9d11",
        "%",
        "'%20OR%20''='",
        "%00",
        &token.to_uppercase(),
        &token[..token.len() - 1],
        &format!("{token}0"),
        &format!("{token}%00"),
        &"x".repeat(5000),
    ] {
        let header = format!("{COOKIE}={forged}");
        assert_eq!(status(&gate, &header).await?, 401, "{header}");
    }
    Ok(())
}

#[tokio::test]
async fn without_the_database_requests_get_503_and_no_redirect_to_sign_in() -> Result<()> {
    let world = World::start().await?;
    let wire = CutProxy::start(&world.postgres.address()).await?;
    let through = world
        .postgres
        .url_through(&wire.address(), Postgres::DATABASE);
    let gate = world
        .gate()
        .env("DATABASE_URL", through)
        .env("DATABASE_TIMEOUT", "1000")
        .start()
        .await?;
    let user = world.app().await?.sign_in("ada").await?;
    let cookies = user.browser.cookies();
    enters(&gate, &world.echo, &cookies, &user).await?;
    let unknown = format!("{COOKIE}=6f1c2a54-7b7e-4b0e-9a53-0f3f5b2f9d11");

    wire.cut().await?;
    for cookies in [&cookies, &unknown] {
        assert_eq!(status(&gate, cookies).await?, 503, "cut");
    }
    wire.restore().await?;
    wire.stall();
    assert_eq!(status(&gate, &cookies).await?, 503, "stalled");
    wire.restore().await?;
    poll("the database to be used again", async || {
        match status(&gate, &cookies).await {
            Ok(200) => Some(()),
            Ok(503) => None,
            other => panic!("neither served nor unavailable: {other:?}"),
        }
    })
    .await
}

#[tokio::test]
async fn the_cache_holds_no_session_token() -> Result<()> {
    let (world, redis) = (World::start().await?, Redis::start().await?);
    let gate = world
        .gate()
        .env("REDIS_URL", redis.url())
        .env("REDIS_CACHE_TTL", "60")
        .start()
        .await?;
    let user = world.app().await?.sign_in("ada").await?;
    let cookies = user.browser.cookies();
    let line = enters(&gate, &world.echo, &cookies, &user).await?;
    assert_eq!(line["session_check"], "postgres");
    let cached = cached_in(&redis).await?;
    assert!(!cached.contains(token(&user)?), "{cached}");
    let line = enters(&gate, &world.echo, &cookies, &user).await?;
    assert_eq!(line["session_check"], "redis");
    Ok(())
}
