//! The lookup of users: in memory, then in Redis, then in the database.

use anyhow::{Context, Result};
use harness::{Echo, Gate, GateCommand, Mint, Postgres, Redis, Request};

use crate::support::{gate, signed_in, sqlite};

const USERS: &str =
    "CREATE TABLE users (id text PRIMARY KEY); INSERT INTO users VALUES ('ada'), ('eve')";

/// Returns the command of a gate that checks users in `postgres`, without a cache of its own.
fn checking(echo: &Echo, postgres: &Postgres) -> GateCommand {
    gate(&echo.url())
        .env("ENABLE_DB_CHECK", "true")
        .env("DATABASE_URL", postgres.url(Postgres::DATABASE))
        .env("MEMORY_CACHE_TTL", "0")
}

/// Returns the status of a request by `user`, and the store that answered the lookup.
async fn status_and_store(gate: &Gate, user: &str) -> Result<(u16, String)> {
    let answer = gate.send(&signed_in("/", user)).await?;
    let id = answer
        .header("x-request-id")
        .context("the answer names the request")?
        .to_owned();
    let line = gate
        .wait_for_audit(|line| line["request_id"] == id.as_str())
        .await?;
    Ok((
        answer.status,
        line["user_check"].as_str().unwrap_or_default().to_owned(),
    ))
}

#[tokio::test]
async fn without_the_user_check_every_valid_session_enters() -> Result<()> {
    let echo = Echo::start().await?;
    let gate = gate(&echo.url()).start().await?;
    assert_eq!(
        status_and_store(&gate, "anyone").await?,
        (200, "skipped".to_owned())
    );
    Ok(())
}

#[tokio::test]
async fn a_user_is_found_in_the_database_then_in_redis_then_in_memory() -> Result<()> {
    let (redis, postgres) = (Redis::start().await?, Postgres::start().await?);
    postgres.execute(USERS).await?;
    let echo = Echo::start().await?;
    let command = checking(&echo, &postgres)
        .env("REDIS_URL", redis.url())
        .env("REDIS_CACHE_TTL", "90");

    let no_memory = command.clone().start().await?;
    assert_eq!(
        status_and_store(&no_memory, "ada").await?,
        (200, "postgres".to_owned())
    );
    // The gate writes the key in the background, so it may arrive a moment after the answer.
    let ttl = harness::poll("the user to be cached", async || {
        redis
            .cli(["TTL", "auth:ada"])
            .await
            .ok()?
            .parse::<i64>()
            .ok()
            .filter(|ttl| *ttl > 0)
    })
    .await?;
    assert!(ttl <= 90, "{ttl}");
    assert_eq!(
        status_and_store(&no_memory, "ada").await?,
        (200, "redis".to_owned())
    );

    let with_memory = command.env("MEMORY_CACHE_TTL", "60").start().await?;
    assert_eq!(
        status_and_store(&with_memory, "ada").await?,
        (200, "redis".to_owned()),
        "a node uses the cache entry of another"
    );
    // Each runtime may have its own memory: the second lookup on the same connection certainly comes from it.
    let mut client = with_memory.connect().await?;
    client.send(&signed_in("/", "ada")).await?;
    let answer = client.send(&signed_in("/", "ada")).await?;
    let id = answer.header("x-request-id").context("an id")?.to_owned();
    let line = with_memory
        .wait_for_audit(|line| line["request_id"] == id.as_str())
        .await?;
    assert_eq!(line["user_check"], "memory");
    Ok(())
}

#[tokio::test]
async fn an_unknown_user_is_cached_for_a_few_seconds() -> Result<()> {
    let (redis, postgres) = (Redis::start().await?, Postgres::start().await?);
    postgres.execute(USERS).await?;
    let echo = Echo::start().await?;
    let gate = checking(&echo, &postgres)
        .env("REDIS_URL", redis.url())
        .env("REDIS_KEY_PREFIX", "sg:")
        .start()
        .await?;
    assert_eq!(
        status_and_store(&gate, "nobody").await?,
        (403, "postgres".to_owned())
    );
    let ttl = harness::poll("the absence to be cached", async || {
        redis
            .cli(["TTL", "sg:nobody"])
            .await
            .ok()?
            .parse::<i64>()
            .ok()
            .filter(|ttl| *ttl >= 0)
    })
    .await?;
    assert!(ttl <= 30, "{ttl} seconds are more than a few");
    assert_eq!(
        status_and_store(&gate, "nobody").await?,
        (403, "redis".to_owned())
    );
    assert!(echo.seen().is_empty());
    Ok(())
}

#[tokio::test]
async fn invalid_redis_values_never_permit_a_user() -> Result<()> {
    let (redis, postgres) = (Redis::start().await?, Postgres::start().await?);
    postgres.execute(USERS).await?;
    let echo = Echo::start().await?;
    let gate = checking(&echo, &postgres)
        .env("REDIS_URL", redis.url())
        .start()
        .await?;
    for hostile in ["garbage", "", "{\"id\":\"nobody\"}", "true"] {
        redis.cli(["SET", "auth:nobody", hostile]).await?;
        assert_eq!(
            status_and_store(&gate, "nobody").await?.0,
            403,
            "{hostile:?}"
        );
        redis.cli(["DEL", "auth:nobody"]).await?;
    }
    redis.cli(["DEL", "auth:ada"]).await?;
    redis.cli(["LPUSH", "auth:ada", "of another type"]).await?;
    assert_eq!(
        status_and_store(&gate, "ada").await?,
        (200, "postgres".to_owned())
    );
    Ok(())
}

#[tokio::test]
async fn ids_of_every_type_are_found_in_any_table() -> Result<()> {
    let postgres = Postgres::start().await?;
    let uuid = "6f1c2a54-7b7e-4b0e-9a53-0f3f5b2f9d11";
    postgres
        .execute(&format!(
            "CREATE SCHEMA crm;
             CREATE TABLE crm.people (\"userId\" integer PRIMARY KEY); INSERT INTO crm.people VALUES (42);
             CREATE TABLE big (id bigint PRIMARY KEY); INSERT INTO big VALUES (9007199254740993);
             CREATE TABLE by_uuid (id uuid PRIMARY KEY); INSERT INTO by_uuid VALUES ('{uuid}');
             CREATE TABLE \"User\" (id varchar(64) PRIMARY KEY); INSERT INTO \"User\" VALUES ('O''Brien; --');"
        ))
        .await?;
    let echo = Echo::start().await?;
    for (table, field, known, unknown) in [
        (
            "crm.people",
            "userId",
            "42",
            ["43", "x", "42 OR 1=1", "99999999999999999999"],
        ),
        (
            "big",
            "id",
            "9007199254740993",
            ["9007199254740992", "1e3", "0x2a", ""],
        ),
        (
            "by_uuid",
            "id",
            uuid,
            [
                "6f1c2a54-7b7e-4b0e-9a53-0f3f5b2f9d12",
                "not a uuid",
                "42",
                "'",
            ],
        ),
        (
            "User",
            "id",
            "O'Brien; --",
            ["O'Brien", "' OR ''='", "o'brien; --", "%"],
        ),
    ] {
        let gate = checking(&echo, &postgres)
            .env("USER_TABLE", table)
            .env("USER_ID_FIELD", field)
            .start()
            .await?;
        assert_eq!(
            status_and_store(&gate, known).await?,
            (200, "postgres".to_owned()),
            "{table}"
        );
        assert_eq!(
            echo.seen()
                .pop()
                .expect("it arrived")
                .headers
                .get("x-user-id"),
            Some(known)
        );
        for unknown in unknown {
            let refused = gate.send(&signed_in("/", unknown)).await?.status;
            // A session without a user id is invalid.
            assert_eq!(
                refused,
                if unknown.is_empty() { 401 } else { 403 },
                "{table}: {unknown:?}"
            );
        }
    }
    Ok(())
}

#[tokio::test]
async fn separate_settings_work_like_the_url() -> Result<()> {
    let (redis, postgres) = (
        Redis::options().password("redis-password").start().await?,
        Postgres::start().await?,
    );
    postgres.execute(USERS).await?;
    let echo = Echo::start().await?;
    let gate = gate(&echo.url())
        .env("ENABLE_DB_CHECK", "true")
        .env("MEMORY_CACHE_TTL", "0")
        .env("POSTGRES_HOST", "127.0.0.1")
        .env("POSTGRES_PORT", postgres.port().to_string())
        .env("POSTGRES_DB", Postgres::DATABASE)
        .env("POSTGRES_USER", Postgres::USER)
        .env("POSTGRES_PASSWORD", Postgres::PASSWORD)
        .env("REDIS_HOST", "127.0.0.1")
        .env("REDIS_PORT", redis.port().to_string())
        .env("REDIS_PASSWORD", "redis-password")
        .start()
        .await?;
    assert_eq!(
        status_and_store(&gate, "ada").await?,
        (200, "postgres".to_owned())
    );
    harness::poll("the user to be cached", async || {
        (redis.cli(["EXISTS", "auth:ada"]).await.ok()? == "1").then_some(())
    })
    .await?;
    assert_eq!(
        status_and_store(&gate, "ada").await?,
        (200, "redis".to_owned())
    );
    Ok(())
}

#[tokio::test]
async fn both_stores_are_reached_over_tls_and_verified() -> Result<()> {
    let redis = Redis::options()
        .password("redis-password")
        .tls()
        .start()
        .await?;
    let postgres = Postgres::options().tls().start().await?;
    postgres.execute(USERS).await?;
    let echo = Echo::start().await?;
    let verified = format!(
        "{}?sslmode=verify-full&sslrootcert={}",
        postgres.url(Postgres::DATABASE),
        postgres.authority().display()
    );
    let command = checking(&echo, &postgres)
        .env("DATABASE_URL", verified)
        .env("REDIS_URL", redis.tls_url())
        .env("REDIS_CA_FILE", redis.authority().display().to_string());
    let gate = command.clone().start().await?;
    assert_eq!(
        status_and_store(&gate, "ada").await?,
        (200, "postgres".to_owned())
    );
    harness::poll("the user to be cached", async || {
        (redis.cli(["EXISTS", "auth:ada"]).await.ok()? == "1").then_some(())
    })
    .await?;
    assert_eq!(
        status_and_store(&gate, "ada").await?,
        (200, "redis".to_owned())
    );
    let encrypted = "SELECT count(*) FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) \
                     WHERE ssl AND backend_type = 'client backend' AND pid <> pg_backend_pid()";
    assert_ne!(postgres.execute(encrypted).await?, "0");

    // The gate does not talk to a server with a certificate of another authority: it skips Redis, and the database is an outage.
    let stranger = command
        .env("REDIS_CA_FILE", postgres.authority().display().to_string())
        .env(
            "DATABASE_URL",
            format!(
                "{}?sslmode=verify-full&sslrootcert={}",
                postgres.url(Postgres::DATABASE),
                redis.authority().display()
            ),
        )
        .start()
        .await?;
    assert_eq!(stranger.send(&signed_in("/", "ada")).await?.status, 503);
    Ok(())
}

#[tokio::test]
async fn sqlite_works_instead_of_postgresql() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("users.db");
    sqlite(
        &file,
        "CREATE TABLE users (id integer PRIMARY KEY); INSERT INTO users VALUES (7);",
    )
    .await?;
    let echo = Echo::start().await?;
    let gate = gate(&echo.url())
        .env("ENABLE_DB_CHECK", "true")
        .env("DATABASE_URL", format!("sqlite://{}", file.display()))
        .env("MEMORY_CACHE_TTL", "0")
        .start()
        .await?;
    assert_eq!(
        status_and_store(&gate, "7").await?,
        (200, "sqlite".to_owned())
    );
    assert_eq!(status_and_store(&gate, "8").await?.0, 403);
    Ok(())
}

#[tokio::test]
async fn connections_are_opened_once_and_not_per_request() -> Result<()> {
    let (redis, postgres) = (Redis::start().await?, Postgres::start().await?);
    postgres.execute(USERS).await?;
    let echo = Echo::start().await?;
    let gate = checking(&echo, &postgres)
        .env("REDIS_URL", redis.url())
        .env("ABSENT_CACHE_TTL", "0")
        .start()
        .await?;
    for number in 0..40 {
        let request = Request::get("/").cookie(Mint::user(&format!("nobody-{number}")).authjs());
        assert_eq!(gate.send(&request).await?.status, 403);
    }
    let sessions = "SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend' \
                    AND pid <> pg_backend_pid() AND datname = current_database()";
    let open: u32 = postgres.execute(sessions).await?.parse()?;
    assert!((1..=10).contains(&open), "{open} connections");
    let ever = "SELECT sessions FROM pg_stat_database WHERE datname = current_database()";
    let ever: u32 = postgres.execute(ever).await?.parse()?;
    assert!(ever < 20, "{ever} connections were opened for 40 requests");
    let stats = redis.cli(["INFO", "stats"]).await?;
    let received = stats
        .lines()
        .find_map(|line| line.strip_prefix("total_connections_received:"));
    let received: u32 = received
        .context("Redis counts its connections")?
        .trim()
        .parse()?;
    assert!(
        received < 20,
        "{received} connections were opened for 40 requests"
    );
    Ok(())
}
