//! The rights that a restricted user of Redis (`ACL SETUSER`) needs; the table is in `docs/operating.md`.

use anyhow::Result;
use harness::{Echo, Gate, GateCommand, Postgres, Redis, Request, Sentinels, mint, poll};
use session::{Secret, seal};

use crate::support::{gate, signed_in};

pub(crate) const USERS: &str =
    "CREATE TABLE users (id text PRIMARY KEY); INSERT INTO users VALUES ('ada')";

/// The rights of the table, for the cache.
pub(crate) const CACHE: &[&str] = &[
    "+getrange",
    "+set",
    "+pttl",
    "+del",
    "+evalsha",
    "+eval",
    "~auth:*",
];

const TOKEN: &str = "abcdefghijklmnopqrstuvwxyz012345";

/// Creates a user of Redis with exactly these rights; returns the URL to connect with.
async fn restricted(redis: &Redis, rights: &[&str]) -> Result<String> {
    redis
        .cli(["ACL", "SETUSER", "gate", "reset", "on", ">gate-password"])
        .await?;
    for right in rights {
        redis.cli(["ACL", "SETUSER", "gate", right]).await?;
    }
    Ok(redis.url_of("gate", "gate-password"))
}

pub(crate) fn caching(echo: &Echo, postgres: &Postgres, redis: &str) -> GateCommand {
    gate(&echo.url())
        .env("ENABLE_DB_CHECK", "true")
        .env("DATABASE_URL", postgres.url(Postgres::DATABASE))
        .env("REDIS_URL", redis)
        .env("MEMORY_CACHE_TTL", "0")
}

/// Sends requests of `user` until Redis has the entry.
pub(crate) async fn cached(gate: &Gate, user: &str) -> Result<()> {
    poll("Redis to have the user", async || {
        gate.send(&signed_in("/", user)).await.ok()?;
        let line = gate.audit_lines().pop()?;
        (line["user_check"] == "redis").then_some(())
    })
    .await
}

pub(crate) async fn logged(gate: &Gate, text: &str) -> Result<()> {
    gate.stderr()
        .wait_for(|line| line.contains(text).then_some(()))
        .await
}

#[tokio::test]
async fn the_cache_works_with_exactly_the_documented_rights() -> Result<()> {
    let (redis, postgres) = (Redis::start().await?, Postgres::start().await?);
    postgres.execute(USERS).await?;
    let echo = Echo::start().await?;
    let url = restricted(&redis, CACHE).await?;
    let gate = caching(&echo, &postgres, &url).start().await?;
    cached(&gate, "ada").await?;
    assert_eq!(
        redis.cli(["ACL", "LOG"]).await?,
        "",
        "nothing was tried that is not allowed"
    );
    Ok(())
}

#[tokio::test]
async fn another_redis_database_needs_one_more_right() -> Result<()> {
    let (redis, postgres) = (Redis::start().await?, Postgres::start().await?);
    postgres.execute(USERS).await?;
    let echo = Echo::start().await?;
    let url = format!("{}/3", restricted(&redis, CACHE).await?);
    let gate = caching(&echo, &postgres, &url).start().await?;
    logged(
        &gate,
        "refused SELECT: ERR (the gate's user lacks the right to this command, or the server has no database of this number)",
    )
    .await?;
    restricted(&redis, &[CACHE, &["+select"]].concat()).await?;
    cached(&gate, "ada").await
}

#[tokio::test]
async fn a_refused_redis_command_is_named() -> Result<()> {
    let (redis, postgres) = (Redis::start().await?, Postgres::start().await?);
    postgres.execute(USERS).await?;
    let echo = Echo::start().await?;
    let advice = "(the gate's user lacks the right to this command or to the gate's keys; docs/operating.md lists what it needs)";
    for (rights, command) in [
        (&["+set", "~auth:*"][..], "GETRANGE"),
        (&["+getrange", "+set", "~other:*"], "GETRANGE"),
        (&["+getrange", "~auth:*"], "SET"),
        (&["+getrange", "+set", "%R~auth:*"], "SET"),
        (&["+getrange", "+set", "+eval", "~auth:*"], "EVALSHA"),
    ] {
        let url = restricted(&redis, rights).await?;
        let gate = caching(&echo, &postgres, &url).start().await?;
        // Requests enter without the cache.
        assert_eq!(gate.send(&signed_in("/", "ada")).await?.status, 200);
        logged(&gate, &format!("refused {command}: NOPERM {advice}")).await?;
    }
    let url = restricted(&redis, CACHE)
        .await?
        .replace("gate-password", "wrong-password");
    let gate = caching(&echo, &postgres, &url).start().await?;
    logged(&gate, "refused AUTH: authentication failed").await?;
    let all = gate.stderr().all().join("\n");
    assert!(!all.contains("wrong-password"), "{all}");
    Ok(())
}

#[tokio::test]
async fn sessions_in_redis_need_only_the_right_to_read() -> Result<()> {
    let (redis, echo) = (Redis::start().await?, Echo::start().await?);
    let expires = "2100-01-01T00:00:00.000Z";
    let value = format!(
        r#"{{"session":{{"token":"{TOKEN}","userId":"ada","expiresAt":"{expires}","createdAt":"2020-01-01T00:00:00.000Z"}},"user":{{"id":"ada","email":"ada@example.com","name":"Ada"}}}}"#
    );
    redis
        .cli(["SET", &format!("better-auth:{TOKEN}"), &value])
        .await?;
    let url = restricted(&redis, &["+getrange", "%R~better-auth:*"]).await?;
    let command = gate(&echo.url())
        .without("AUTH_SECRET")
        .env("BETTER_AUTH_SECRET", mint::SECRET)
        .env("SESSION_FORMAT", "better-auth")
        .env("SESSION_STORE", "redis")
        .env("REDIS_URL", url)
        .env("MEMORY_CACHE_TTL", "0");
    let gate = command.clone().start().await?;
    let secret = Secret::new(mint::SECRET);
    let token = seal::better_auth_token(&secret, TOKEN);
    let request = Request::get("/").cookie(format!("better-auth.session_token={token}"));
    let answer = gate.send(&request).await?;
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(redis.cli(["ACL", "LOG"]).await?, "");

    // Here Redis is the truth, not a cache.
    restricted(&redis, &["+get", "%R~better-auth:*"]).await?;
    let gate = command.start().await?;
    assert_eq!(gate.send(&request).await?.status, 503);
    logged(&gate, "refused GETRANGE: NOPERM").await
}

/// The rights of the table, for limits that gates share.
const LIMITS: &[&str] = &["+getrange", "+set", "+evalsha", "+eval", "+time", "~auth:*"];

#[tokio::test]
async fn shared_limits_work_with_exactly_the_documented_rights() -> Result<()> {
    let (echo, redis) = (Echo::start().await?, Redis::start().await?);
    let limited = |url: &str| {
        gate(&echo.url())
            .env("PUBLIC_PATHS", "/")
            .env("RATE_LIMIT", "2/h")
            .env("RATE_LIMIT_SHARED", "true")
            .env("REDIS_URL", url)
    };
    let url = restricted(&redis, LIMITS).await?;
    let gate = limited(&url).start().await?;
    for status in [200, 200, 429] {
        assert_eq!(gate.send(&Request::get("/")).await?.status, status);
    }
    assert_eq!(redis.cli(["ACL", "LOG"]).await?, "");
    // Without the rights each gate counts by itself, and logs why.
    let gate = limited(&restricted(&redis, &["+getrange", "+set", "~auth:*"]).await?)
        .start()
        .await?;
    for status in [200, 200, 429] {
        assert_eq!(gate.send(&Request::get("/")).await?.status, status);
    }
    logged(&gate, "refused EVALSHA: NOPERM").await
}

/// The rights of the table, for notifications of changes.
const TRACKING: &[&str] = &[
    "+getrange",
    "+set",
    "+pttl",
    "+del",
    "+evalsha",
    "+eval",
    "+client|tracking",
    "~auth:*",
];

#[tokio::test]
async fn tracking_works_with_exactly_the_documented_rights() -> Result<()> {
    let (redis, postgres) = (Redis::start().await?, Postgres::start().await?);
    postgres.execute(USERS).await?;
    let echo = Echo::start().await?;
    let tracking = |url: &str| caching(&echo, &postgres, url).env("REDIS_TRACKING", "true");
    let gate = tracking(&restricted(&redis, TRACKING).await?)
        .start()
        .await?;
    cached(&gate, "ada").await?;
    logged(&gate, "change notifications from Redis are working").await?;
    assert_eq!(redis.cli(["ACL", "LOG"]).await?, "");
    let gate = tracking(&restricted(&redis, CACHE).await?).start().await?;
    logged(&gate, "refused CLIENT TRACKING: NOPERM").await
}

#[tokio::test]
async fn a_primary_named_by_sentinels_needs_one_more_right() -> Result<()> {
    let (redis, postgres) = (Redis::start().await?, Postgres::start().await?);
    postgres.execute(USERS).await?;
    let (echo, sentinels) = (Echo::start().await?, Sentinels::start(&redis, 0).await?);
    restricted(&redis, TRACKING).await?;
    let url = sentinels.url();
    let url = url.replacen("://", "://gate:gate-password@", 1);
    let command = caching(&echo, &postgres, &url).env("REDIS_TRACKING", "true");
    let gate = command.clone().start().await?;
    logged(&gate, "refused ROLE: NOPERM").await?;
    restricted(&redis, &[TRACKING, &["+role"]].concat()).await?;
    redis.cli(["ACL", "LOG", "RESET"]).await?;
    let gate = command.start().await?;
    cached(&gate, "ada").await?;
    logged(&gate, "change notifications from Redis are working").await?;
    assert_eq!(redis.cli(["ACL", "LOG"]).await?, "");
    Ok(())
}
