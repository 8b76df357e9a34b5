//! Limits for which several gates count together in Redis.

use std::fs;

use anyhow::Result;
use futures_util::future::try_join_all;
use harness::{Client, Echo, Gate, GateCommand, Redis, Request, poll};

use super::{BEHIND_PROXY, from, statuses};
use crate::support::{gate, signed_in, sqlite};

/// Returns the command of a gate that counts for its limits in `redis`.
fn sharing(echo: &Echo, redis: &str, limit: &str) -> GateCommand {
    gate(&echo.url())
        .envs([BEHIND_PROXY, ("PUBLIC_PATHS", "/open/")])
        .env("RATE_LIMIT", limit)
        .env("RATE_LIMIT_SHARED", "true")
        .env("REDIS_URL", redis)
}

async fn logged(gate: &Gate, text: &str) -> Result<()> {
    gate.stderr()
        .wait_for(|line| line.contains(text).then_some(()))
        .await
}

async fn shared_limit_count(gate: &Gate, by: &str) -> Result<f64> {
    let label = format!("counted=\"{by}\"");
    gate.metric("sessiongate_shared_limits_total", [&*label])
        .await
}

#[tokio::test]
async fn limits_are_shared_and_are_local_while_redis_is_down() -> Result<()> {
    let (echo, mut redis) = (Echo::start().await?, Redis::start().await?);
    let start = || sharing(&echo, &redis.url(), "4/h").start();
    let (one, other) = (start().await?, start().await?);
    let [ada, bob] = ["192.0.2.1", "192.0.2.2"];
    assert_eq!(statuses(&one, [ada, bob]).await?, [200, 200]);
    assert_eq!(statuses(&other, [ada, ada, ada]).await?, [200; 3]);
    let answer = one.send(&from(ada, Request::get("/open/"))).await?;
    assert_eq!(answer.status, 429);
    assert!(answer.header("retry-after").is_some());
    assert_eq!(
        answer.header("ratelimit-policy"),
        Some("\"address\";q=4;w=3600")
    );
    assert_eq!(statuses(&one, [bob]).await?, [200]);
    assert_eq!(shared_limit_count(&one, "shared").await?, 4.0);
    assert_eq!(shared_limit_count(&one, "local").await?, 0.0);

    redis.stop();
    // Refused requests did not count locally either: Ada has three of her four left, and Bob has two.
    assert_eq!(
        statuses(&one, [ada, ada, ada, ada, bob, bob, bob]).await?,
        [200, 200, 200, 429, 200, 200, 429]
    );
    assert_eq!(shared_limit_count(&one, "local").await?, 5.0);
    logged(&one, "limits are not shared: Redis cannot count requests").await?;

    redis.start_again().await?;
    let mut strangers = 0..;
    poll("limits to be shared again", async || {
        // An address that no gate has seen.
        let stranger = format!("2001:db8:0:{:x}::1", strangers.next()?);
        statuses(&one, [&*stranger]).await.ok()?;
        let printed = one.stderr().all();
        let again = |line: &String| line.contains("limits are shared again");
        printed.iter().any(again).then_some(())
    })
    .await
}

#[tokio::test]
async fn limits_of_users_and_routes_are_shared_exactly() -> Result<()> {
    let (echo, redis) = (Echo::start().await?, Redis::start().await?);
    let limits = "20/h by user, 31/h by route";
    let start = || sharing(&echo, &redis.url(), limits).start();
    let (one, other) = (start().await?, start().await?);
    let ask = async |number: usize, user: &str| {
        let gate = if number.is_multiple_of(2) {
            &one
        } else {
            &other
        };
        anyhow::Ok(gate.send(&signed_in("/", user)).await?.status)
    };
    let passed = |statuses: &[u16]| statuses.iter().filter(|status| **status == 200).count();
    let answers = try_join_all((0..30).map(|number| ask(number, "ada"))).await?;
    assert_eq!(passed(&answers), 20, "{answers:?}");
    // All thirty requests count for the route, although ten were refused by the limit of the user.
    let answers = try_join_all((0..6).map(|number| ask(number, "bob"))).await?;
    assert_eq!(passed(&answers), 1, "{answers:?}");
    let keys = redis.cli(["KEYS", "*"]).await?;
    let is_ours = |key: &str| key.starts_with("auth:limit:");
    assert!(keys.lines().all(is_ours), "{keys}");
    assert_eq!(keys.lines().count(), 3, "two users and a route: {keys}");
    Ok(())
}

#[tokio::test]
async fn a_reload_turns_shared_limits_on_and_off() -> Result<()> {
    let (echo, redis) = (Echo::start().await?, Redis::start().await?);
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("gate.toml");
    let reload = async |gate: &Gate, is_shared: bool| {
        fs::write(&file, format!("rate_limit_shared = {is_shared}\n"))?;
        let answer = Client::connect(gate.admin)
            .await?
            .send(&Request::post("/reload", ""))
            .await?;
        anyhow::ensure!(answer.status == 200, "{}", answer.text());
        anyhow::Ok(())
    };
    fs::write(&file, "rate_limit_shared = false\n")?;
    let start = || {
        sharing(&echo, &redis.url(), "4/h")
            .without("RATE_LIMIT_SHARED")
            .env("SESSIONGATE_CONFIG", file.display().to_string())
            .start()
    };
    let (one, other) = (start().await?, start().await?);
    let [ada, bob] = ["192.0.2.1", "192.0.2.2"];
    assert_eq!(statuses(&one, [ada; 4]).await?, [200; 4]);
    assert_eq!(statuses(&other, [ada; 3]).await?, [200; 3]);
    for gate in [&one, &other] {
        reload(gate, true).await?;
    }
    assert_eq!(statuses(&one, [bob; 3]).await?, [200; 3]);
    assert_eq!(statuses(&other, [bob, bob]).await?, [200, 429]);
    // The local counts of each gate stay.
    assert_eq!(statuses(&one, [ada]).await?, [429]);
    reload(&other, false).await?;
    assert_eq!(statuses(&other, [bob; 4]).await?, [200, 200, 200, 429]);
    Ok(())
}

#[tokio::test]
async fn bad_sessions_are_counted_across_gates_and_good_ones_are_not() -> Result<()> {
    let (echo, mut redis) = (Echo::start().await?, Redis::start().await?);
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("app.db");
    let tables = r#"
CREATE TABLE users (id text PRIMARY KEY, name text, email text, "emailVerified" integer, image text);
CREATE TABLE sessions ("sessionToken" text PRIMARY KEY, "userId" text, expires integer);
INSERT INTO users (id, name, email) VALUES ('1', 'Ada', 'ada@example.com');
INSERT INTO sessions VALUES ('one', '1', 9999999999999), ('two', '1', 9999999999999), ('three', '1', 9999999999999);"#;
    sqlite(&file, tables).await?;
    let start = || {
        gate(&echo.url())
            .envs([BEHIND_PROXY])
            .env("SESSION_FORMAT", "authjs-database")
            .env("DATABASE_URL", format!("sqlite://{}", file.display()))
            .env("BAD_SESSION_RATE_LIMIT", "4/h")
            .env("RATE_LIMIT_SHARED", "true")
            .env("REDIS_URL", redis.url())
            .start()
    };
    let (one, other) = (start().await?, start().await?);
    let ask = async |gate: &Gate, token: &str| {
        let request = Request::get("/").cookie(format!("authjs.session-token={token}"));
        anyhow::Ok(gate.send(&from("192.0.2.1", request)).await?.status)
    };
    // A session counts until it is looked up, and no longer once it is found.
    for token in ["one", "two", "three"] {
        assert_eq!(ask(&one, token).await?, 200);
    }
    for (gate, token) in [(&one, "a"), (&other, "b"), (&one, "c"), (&other, "d")] {
        assert_eq!(ask(gate, token).await?, 401, "{token}");
    }
    // Neither gate has counted four by itself.
    for gate in [&one, &other] {
        assert_eq!(ask(gate, "e").await?, 429);
    }
    assert_eq!(
        ask(&one, "one").await?,
        200,
        "a known session is still accepted"
    );
    let ready = one.admin("/readyz").await?;
    assert_eq!(
        (ready.status, &ready.json()?["shared_limits"]),
        (200, &"up".into())
    );
    let label = ["store=\"shared-limits\""];
    assert_eq!(one.metric("sessiongate_store_up", label).await?, 1.0);

    redis.stop();
    // This gate has counted two of the four locally.
    for (token, status) in [("f", 401), ("g", 401), ("h", 429)] {
        assert_eq!(ask(&one, token).await?, status, "{token}");
    }
    poll("the warning in the log", async || {
        let ready = one.admin("/readyz").await.ok()?;
        let limits = &ready.json().ok()?["shared_limits"];
        (ready.status == 200 && limits == "degraded").then_some(())
    })
    .await?;
    assert_eq!(one.metric("sessiongate_store_up", label).await?, 0.0);
    Ok(())
}

#[tokio::test]
async fn missing_redis_rights_for_limits_are_reported() -> Result<()> {
    let (echo, redis) = (Echo::start().await?, Redis::start().await?);
    let user = [
        "ACL",
        "SETUSER",
        "gate",
        "reset",
        "on",
        ">password",
        "+getrange",
        "+set",
        "~auth:*",
    ];
    redis.cli(user).await?;
    let url = redis.url_of("gate", "password");
    let gate = sharing(&echo, &url, "4/h").start().await?;
    assert_eq!(statuses(&gate, ["192.0.2.1"]).await?, [200]);
    let ready = gate.admin("/readyz").await?;
    assert_eq!(
        (ready.status, &ready.json()?["shared_limits"]),
        (200, &"degraded".into())
    );
    let user = ["ACL", "SETUSER", "gate", "+evalsha", "+eval", "+time"];
    redis.cli(user).await?;
    assert_eq!(statuses(&gate, ["192.0.2.1"]).await?, [200]);
    assert_eq!(gate.admin("/readyz").await?.json()?["shared_limits"], "up");
    Ok(())
}
