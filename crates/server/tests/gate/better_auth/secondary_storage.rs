//! Sessions that Better Auth keeps in Redis, with or without a database beside it.

use anyhow::Result;
use harness::interop::BetterAuth;
use harness::{CutProxy, Echo, Redis, poll};
use serde_json::Value;

use super::{LOOKED_UP, World, token};
use crate::support::{BETTER_AUTH_SECRET, better_auth, enters, status};

#[tokio::test]
async fn sessions_in_redis_end_with_sign_out_and_with_revocation() -> Result<()> {
    let (world, redis) = (World::start().await?, Redis::start().await?);
    let redis_url = redis.url();
    let in_redis = better_auth(&world.echo)
        .env("SESSION_STORE", "redis")
        .env("REDIS_URL", &redis_url);
    for (in_database, gate) in [
        ("false", in_redis),
        (
            "true",
            world
                .gate()
                .env("SESSION_STORE", "redis-then-database")
                .env("REDIS_URL", &redis_url),
        ),
    ] {
        let gate = gate.start().await?;
        let app = world
            .app([
                ("REDIS_URL", &redis_url),
                ("STORE_IN_DATABASE", in_database),
            ])
            .await?;
        let mut user = app.sign_up(&format!("Ada-{in_database}")).await?;
        let cookies = user.browser.cookies();
        let line = enters(&gate, &world.echo, &cookies, &user).await?;
        assert_eq!(line["format"], LOOKED_UP);
        assert_eq!(line["session_check"], "redis");
        app.sign_out(&mut user).await?;
        assert_eq!(status(&gate, &cookies).await?, 401, "{in_database}");

        let mut user = app.sign_in(&user.name).await?;
        let cookies = user.browser.cookies();
        let key = format!("better-auth:{}", token(&app, &user).await?);
        enters(&gate, &world.echo, &cookies, &user).await?;
        let session = redis.cli(["GET", &key]).await?;
        app.revoke_sessions(&mut user).await?;
        assert_eq!(status(&gate, &cookies).await?, 401, "{in_database}");
        // A write that arrives late does not restore the session, which began before the revocation.
        redis.cli(["SET", &key, &session]).await?;
        assert_eq!(app.session(&cookies).await?, Value::Null);
        assert_eq!(status(&gate, &cookies).await?, 401, "{in_database}");
        let marker = format!("better-auth:revoked-sessions-before-{}", user.id);
        assert_eq!(redis.cli(["DEL", &marker]).await?, "1");
        enters(&gate, &world.echo, &cookies, &user).await?;
    }
    Ok(())
}

#[tokio::test]
async fn sessions_in_both_stores_are_found_in_either() -> Result<()> {
    let (world, redis) = (World::start().await?, Redis::start().await?);
    let redis_url = redis.url();
    let app = world
        .app([("REDIS_URL", &redis_url), ("STORE_IN_DATABASE", "true")])
        .await?;
    let mut user = app.sign_up("Ada").await?;
    let cookies = user.browser.cookies();
    let database = world.gate().start().await?;
    let line = enters(&database, &world.echo, &cookies, &user).await?;
    assert_eq!(line["session_check"], "postgres");

    let both = world
        .gate()
        .env("SESSION_STORE", "redis-then-database")
        .env("REDIS_URL", &redis_url)
        .start()
        .await?;
    let line = enters(&both, &world.echo, &cookies, &user).await?;
    assert_eq!(line["session_check"], "redis");
    redis.cli(["FLUSHALL"]).await?;
    let line = enters(&both, &world.echo, &cookies, &user).await?;
    assert_eq!(line["session_check"], "postgres");
    app.sign_out(&mut user).await?;
    for gate in [&database, &both] {
        assert_eq!(status(gate, &cookies).await?, 401);
    }
    Ok(())
}

#[tokio::test]
async fn sessions_in_redis_get_503_while_redis_is_down() -> Result<()> {
    let (echo, redis) = (Echo::start().await?, Redis::start().await?);
    let wire = CutProxy::start(&redis.address()).await?;
    let (url, prefix) = (redis.url(), ("REDIS_PREFIX", "shop:"));
    let app = BetterAuth::start([BETTER_AUTH_SECRET, ("REDIS_URL", &url), prefix]).await?;
    let user = app.sign_up("Ada").await?;
    let cookies = user.browser.cookies();
    let gate = better_auth(&echo)
        .env("SESSION_STORE", "redis")
        .env("REDIS_URL", format!("redis://{}", wire.address()));
    let elsewhere = gate.clone().start().await?;
    assert_eq!(status(&elsewhere, &cookies).await?, 401);
    let gate = gate
        .env("BETTER_AUTH_REDIS_PREFIX", "shop:")
        .env("REDIS_TIMEOUT", "500")
        .start()
        .await?;
    enters(&gate, &echo, &cookies, &user).await?;
    wire.cut().await?;
    assert_eq!(status(&gate, &cookies).await?, 503, "cut");
    wire.restore().await?;
    wire.stall();
    assert_eq!(status(&gate, &cookies).await?, 503, "stalled");
    wire.restore().await?;
    poll("Redis to be used again", async || {
        match status(&gate, &cookies).await {
            Ok(200) => Some(()),
            Ok(503) => None,
            other => panic!("neither served nor unavailable: {other:?}"),
        }
    })
    .await
}
