//! Outages: the network between the gate and its stores is cut, stalled and slowed while requests run.
//!
//! The tests measure no times. The harness limits every wait of the client, so a request that hangs fails its test.

use std::time::Duration;

use anyhow::Result;
use harness::{CutProxy, Echo, Gate, GateCommand, Postgres, Redis, poll};

use crate::support::{gate, signed_in};

/// Both stores, a proxy in front of each that can be cut, and an upstream.
struct World {
    redis: Redis,
    postgres: Postgres,
    to_redis: CutProxy,
    to_postgres: CutProxy,
    echo: Echo,
}

impl World {
    async fn start() -> Result<Self> {
        let (redis, postgres) = (Redis::start().await?, Postgres::start().await?);
        postgres
            .execute(
                "CREATE TABLE users AS SELECT 'user-' || n AS id FROM generate_series(0, 99) AS n",
            )
            .await?;
        let to_redis = CutProxy::start(&redis.address()).await?;
        let to_postgres = CutProxy::start(&postgres.address()).await?;
        Ok(Self {
            redis,
            postgres,
            to_redis,
            to_postgres,
            echo: Echo::start().await?,
        })
    }

    fn gate(&self) -> GateCommand {
        gate(&self.echo.url())
            .env("ENABLE_DB_CHECK", "true")
            .env(
                "DATABASE_URL",
                self.postgres
                    .url_through(&self.to_postgres.address(), Postgres::DATABASE),
            )
            .env("DATABASE_TIMEOUT", "1000")
            .env("REDIS_URL", format!("redis://{}", self.to_redis.address()))
            .env("REDIS_TIMEOUT", "200")
            .env("MEMORY_CACHE_TTL", "0")
            .env("ABSENT_CACHE_TTL", "0")
    }
}

async fn status(gate: &Gate, user: &str) -> Result<u16> {
    Ok(gate.send(&signed_in("/", user)).await?.status)
}

/// Waits until a request by `user` enters, and verifies that until then it gets 503, not the refusal of an unknown user.
async fn recovers(gate: &Gate, user: &str) -> Result<()> {
    poll("the gate to recover", async || {
        match status(gate, user).await {
            Ok(200) => Some(()),
            Ok(503) => None,
            other => panic!("neither served nor unavailable: {other:?}"),
        }
    })
    .await
}

#[tokio::test]
async fn while_redis_is_down_the_database_is_used() -> Result<()> {
    let world = World::start().await?;
    let gate = world.gate().start().await?;
    assert_eq!(status(&gate, "user-0").await?, 200);

    world.to_redis.cut().await?;
    for user in ["user-0", "user-1"] {
        assert_eq!(status(&gate, user).await?, 200, "Redis is cut");
    }
    assert_eq!(status(&gate, "nobody").await?, 403, "Redis is cut");
    world.to_redis.restore().await?;
    world.to_redis.stall();
    for user in ["user-0", "user-2"] {
        assert_eq!(status(&gate, user).await?, 200, "Redis is stalled");
    }
    assert_eq!(status(&gate, "nobody").await?, 403, "Redis is stalled");

    world.to_redis.restore().await?;
    poll("Redis to be used again", async || {
        status(&gate, "user-3")
            .await
            .ok()
            .filter(|status| *status == 200)?;
        (world.redis.cli(["EXISTS", "auth:user-3"]).await.ok()? == "1").then_some(())
    })
    .await?;
    Ok(())
}

#[tokio::test]
async fn a_slow_redis_is_skipped() -> Result<()> {
    let world = World::start().await?;
    world.to_redis.delay(Duration::from_secs(5));
    let gate = world.gate().start().await?;
    assert_eq!(status(&gate, "user-0").await?, 200);
    assert_eq!(status(&gate, "nobody").await?, 403);
    Ok(())
}

#[tokio::test]
async fn a_full_redis_is_skipped() -> Result<()> {
    let world = World::start().await?;
    let gate = world.gate().start().await?;
    world.redis.cli(["CONFIG", "SET", "maxmemory", "1"]).await?;
    for user in ["user-0", "user-0", "user-1"] {
        assert_eq!(status(&gate, user).await?, 200);
    }
    Ok(())
}

#[tokio::test]
async fn while_the_database_is_down_cached_users_enter_and_others_get_503() -> Result<()> {
    let world = World::start().await?;
    let gate = world.gate().start().await?;
    assert_eq!(status(&gate, "user-0").await?, 200);
    poll("the user to be cached", async || {
        (world.redis.cli(["EXISTS", "auth:user-0"]).await.ok()? == "1").then_some(())
    })
    .await?;

    world.to_postgres.cut().await?;
    assert_eq!(
        status(&gate, "user-0").await?,
        200,
        "cached, the database is cut"
    );
    assert_eq!(
        status(&gate, "user-1").await?,
        503,
        "not cached, the database is cut"
    );
    world.to_postgres.restore().await?;
    recovers(&gate, "user-1").await?;

    world.to_postgres.stall();
    assert_eq!(
        status(&gate, "user-0").await?,
        200,
        "cached, the database is stalled"
    );
    assert_eq!(
        status(&gate, "user-2").await?,
        503,
        "not cached, the database is stalled"
    );
    world.to_postgres.restore().await?;
    recovers(&gate, "user-2").await?;
    Ok(())
}

#[tokio::test]
async fn while_all_stores_are_down_memory_is_used() -> Result<()> {
    let world = World::start().await?;
    let gate = world
        .gate()
        .env("MEMORY_CACHE_TTL", "300")
        .env("WORKERS", "1")
        .start()
        .await?;
    assert_eq!(status(&gate, "user-0").await?, 200);
    world.to_redis.cut().await?;
    world.to_postgres.cut().await?;
    assert_eq!(status(&gate, "user-0").await?, 200);
    assert_eq!(status(&gate, "user-1").await?, 503);
    Ok(())
}

#[tokio::test]
async fn a_restarted_database_is_used_again() -> Result<()> {
    let mut world = World::start().await?;
    let gate = world.gate().start().await?;
    assert_eq!(status(&gate, "user-0").await?, 200);
    world.postgres.stop().await?;
    assert_eq!(status(&gate, "user-1").await?, 503);
    world.postgres.start_again().await?;
    recovers(&gate, "user-1").await
}

#[tokio::test]
async fn a_restarted_redis_is_used_again() -> Result<()> {
    let mut world = World::start().await?;
    let gate = world.gate().start().await?;
    assert_eq!(status(&gate, "user-0").await?, 200);
    world.redis.stop();
    assert_eq!(status(&gate, "user-0").await?, 200);
    world.redis.start_again().await?;
    poll("Redis to be used again", async || {
        status(&gate, "user-0")
            .await
            .ok()
            .filter(|status| *status == 200)?;
        (world.redis.cli(["EXISTS", "auth:user-0"]).await.ok()? == "1").then_some(())
    })
    .await
}

#[tokio::test]
async fn the_gate_starts_before_its_stores_do() -> Result<()> {
    let world = World::start().await?;
    world.to_redis.cut().await?;
    world.to_postgres.cut().await?;
    let gate = world.gate().start().await?;
    assert_eq!(status(&gate, "user-0").await?, 503);
    world.to_postgres.restore().await?;
    recovers(&gate, "user-0").await
}

#[tokio::test]
async fn no_decision_is_wrong_while_store_connections_come_and_go() -> Result<()> {
    let world = World::start().await?;
    let gate = world.gate().start().await?;
    let storm = async {
        for _ in 0..3 {
            world.to_redis.cut().await?;
            world.to_postgres.stall();
            tokio::time::sleep(Duration::from_millis(50)).await;
            world.to_redis.restore().await?;
            world.to_postgres.restore().await?;
            world.to_redis.stall();
            world.to_postgres.cut().await?;
            tokio::time::sleep(Duration::from_millis(50)).await;
            world.to_redis.restore().await?;
            world.to_postgres.restore().await?;
        }
        anyhow::Ok(())
    };
    let clients = async {
        for number in 0..60 {
            let (known, unknown) = (format!("user-{number}"), format!("nobody-{number}"));
            let (known, unknown) =
                tokio::try_join!(status(&gate, &known), status(&gate, &unknown))?;
            assert!(matches!(known, 200 | 503), "a known user got {known}");
            assert!(
                matches!(unknown, 403 | 503),
                "an unknown user got {unknown}"
            );
        }
        anyhow::Ok(())
    };
    tokio::try_join!(storm, clients)?;
    recovers(&gate, "user-99").await?;
    assert!(world.echo.seen().iter().all(|seen| {
        seen.headers
            .get("x-user-id")
            .is_some_and(|user| user.starts_with("user-"))
    }));
    Ok(())
}
