//! Health and metrics, on a listener of their own.

use anyhow::Result;
use harness::{CutProxy, Echo, Mint, Postgres, Redis, Request, poll};

use crate::support::{gate, signed_in, started};

#[tokio::test]
async fn health_and_metrics_never_share_a_port_with_the_proxy() -> Result<()> {
    let (echo, gate) = started([]).await?;
    assert_eq!(gate.admin("/healthz").await?.status, 200);
    assert_eq!(gate.admin("/readyz").await?.status, 200);
    assert_eq!(gate.admin("/metrics").await?.status, 200);
    assert_eq!(gate.admin("/elsewhere").await?.status, 404);
    for target in ["/healthz", "/readyz", "/metrics"] {
        assert_eq!(
            gate.send(&Request::get(target)).await?.status,
            401,
            "{target}"
        );
    }
    assert!(echo.seen().is_empty());
    Ok(())
}

#[tokio::test]
async fn readiness_lists_every_store_and_holds_while_decisions_are_possible() -> Result<()> {
    let (redis, postgres) = (Redis::start().await?, Postgres::start().await?);
    postgres
        .execute("CREATE TABLE users (id text); INSERT INTO users VALUES ('ada')")
        .await?;
    let to_redis = CutProxy::start(&redis.address()).await?;
    let to_postgres = CutProxy::start(&postgres.address()).await?;
    let echo = Echo::start().await?;
    let gate = gate(&echo.url())
        .env("ENABLE_DB_CHECK", "true")
        .env(
            "DATABASE_URL",
            postgres.url_through(&to_postgres.address(), Postgres::DATABASE),
        )
        .env("DATABASE_TIMEOUT", "1000")
        .env("REDIS_URL", format!("redis://{}", to_redis.address()))
        .env("REDIS_TIMEOUT", "200")
        .env("MEMORY_CACHE_TTL", "0")
        .start()
        .await?;
    assert_eq!(gate.send(&signed_in("/", "ada")).await?.status, 200);
    let ready = poll("both stores to be up", async || {
        let answer = gate.admin("/readyz").await.ok()?;
        let up = gate
            .metric("sessiongate_store_up", ["\"redis\""])
            .await
            .ok()?
            == 1.0
            && gate
                .metric("sessiongate_store_up", ["\"postgres\""])
                .await
                .ok()?
                == 1.0;
        up.then_some(answer)
    })
    .await?;
    assert_eq!(ready.status, 200);
    assert!(
        ready.text().contains("redis") && ready.text().contains("postgres"),
        "{}",
        ready.text()
    );

    to_redis.cut().await?;
    poll("Redis to be reported as down", async || {
        gate.send(&signed_in("/", "ada")).await.ok()?;
        (gate
            .metric("sessiongate_store_up", ["\"redis\""])
            .await
            .ok()?
            == 0.0)
            .then_some(())
    })
    .await?;
    assert_eq!(
        gate.admin("/readyz").await?.status,
        200,
        "decisions are still possible"
    );

    to_postgres.cut().await?;
    poll("the database to be reported as down", async || {
        gate.send(&signed_in("/", "nobody")).await.ok()?;
        (gate.admin("/readyz").await.ok()?.status == 503).then_some(())
    })
    .await?;
    assert_eq!(
        gate.admin("/healthz").await?.status,
        200,
        "a lost store is no reason to restart the gate"
    );

    to_redis.restore().await?;
    to_postgres.restore().await?;
    poll("readiness to return", async || {
        gate.send(&signed_in("/", "ada")).await.ok()?;
        (gate.admin("/readyz").await.ok()?.status == 200).then_some(())
    })
    .await
}

#[tokio::test]
async fn metrics_count_decisions_without_user_ids() -> Result<()> {
    let (_echo, gate) = started([("PUBLIC_PATHS", "/public")]).await?;
    gate.send(&signed_in("/private-path", "ada")).await?;
    gate.send(&signed_in("/private-path", "ada")).await?;
    gate.send(&Request::get("/private-path")).await?;
    gate.send(&Request::get("/public")).await?;
    gate.send(&Request::get("/").cookie(Mint::user("ada").expiring_in(-60).authjs()))
        .await?;
    gate.send(&signed_in("/status/500", "ada")).await?;
    for (labels, count) in [
        (["outcome=\"allow\"", "reason=\"session\""], 3.0),
        (["outcome=\"allow\"", "reason=\"public\""], 1.0),
        (["outcome=\"deny\"", "reason=\"no_credential\""], 1.0),
        (["outcome=\"deny\"", "reason=\"expired\""], 1.0),
    ] {
        assert_eq!(
            gate.metric("sessiongate_decisions_total", labels).await?,
            count,
            "{labels:?}"
        );
    }
    let text = gate.admin("/metrics").await?.text();
    for family in [
        "sessiongate_decision_duration_seconds",
        "sessiongate_upstream_responses_total",
        "sessiongate_build_info",
    ] {
        assert!(text.contains(family), "{family} is missing from:\n{text}");
    }
    for private in ["ada", "private-path", "127.0.0.1"] {
        assert!(!text.contains(private), "{private} is in:\n{text}");
    }
    Ok(())
}

#[tokio::test]
async fn a_reachable_admin_listener_requires_a_token() -> Result<()> {
    let refused = gate("http://127.0.0.1:9")
        .env("ADMIN_LISTEN", "0.0.0.0:0")
        .run()
        .await?;
    assert!(!refused.status.success());
    assert!(refused.stderr.contains("ADMIN_TOKEN"), "{}", refused.stderr);

    let token = "admin-token-of-at-least-32-characters";
    let gate = gate("http://127.0.0.1:9")
        .env("ADMIN_LISTEN", "0.0.0.0:0")
        .env("ADMIN_TOKEN", token)
        .start()
        .await?;
    let address = ([127, 0, 0, 1], gate.admin.port()).into();
    let mut client = harness::Client::connect(address).await?;
    assert_eq!(client.get("/metrics").await?.status, 401);
    let wrong = Request::get("/metrics").header("Authorization", "Bearer wrong");
    assert_eq!(client.send(&wrong).await?.status, 401);
    let right = Request::get("/metrics").header("Authorization", format!("Bearer {token}"));
    assert_eq!(client.send(&right).await?.status, 200);
    Ok(())
}
