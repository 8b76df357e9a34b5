//! What a reload keeps: requests that are under way, connections, stores.

use std::fs;

use anyhow::{Context, Result};
use harness::{Echo, Gate, Redis, Request, free_port, poll};
use tempfile::TempDir;

use super::{Stack, command, expect_log_lines, file_text, put};
use crate::support::{signed_in, sqlite};

#[tokio::test]
async fn a_download_and_a_websocket_continue_when_their_service_is_replaced() -> Result<()> {
    let other = Echo::start().await?;
    let stack = Stack::start("").await?;
    let mut download = stack.gate.connect().await?;
    let request = signed_in("/stream?chunks=3", "ada");
    download.raw(&request.bytes(stack.gate.proxy)).await?;
    assert_eq!(download.head().await?.status, 200);
    let chunk = async |download: &mut harness::Client| {
        let chunk = download.chunk().await?;
        Ok::<_, anyhow::Error>(chunk.map(|chunk| String::from_utf8_lossy(&chunk).into_owned()))
    };
    assert_eq!(chunk(&mut download).await?.as_deref(), Some("chunk 0\n"));
    let mut socket = stack.gate.connect().await?;
    let request = signed_in("/ws", "ada").websocket();
    socket.raw(&request.bytes(stack.gate.proxy)).await?;
    assert_eq!(socket.head().await?.status, 101);

    let route = format!(
        "\n[[route]]\npath = \"/\"\nupstream = \"{}\"\n",
        other.url()
    );
    stack.changes(&route).await?;
    assert_eq!(
        stack.gate.send(&signed_in("/new", "ada")).await?.status,
        200
    );
    assert_eq!(other.only().path(), "/new");
    socket.raw(b"still here").await?;
    assert_eq!(socket.bytes(10).await?, b"still here");
    for expected in [Some("chunk 1\n"), Some("chunk 2\n"), None] {
        stack.echo.release();
        assert_eq!(chunk(&mut download).await?.as_deref(), expected);
    }
    // The next request on the connection uses the new route.
    assert_eq!(download.send(&signed_in("/next", "ada")).await?.status, 200);
    assert_eq!(other.seen().len(), 2);
    Ok(())
}

#[tokio::test]
async fn connections_to_a_service_survive_the_reload_of_another() -> Result<()> {
    let other = Echo::start().await?;
    let stack = Stack::start("").await?;
    let mut client = stack.gate.connect().await?;
    let to = |echo: &Echo, path: &str| {
        format!(
            "\n[[route]]\npath = \"{path}\"\nupstream = \"{}\"\n",
            echo.url()
        )
    };
    for rest in [
        String::new(),
        to(&stack.echo, "/"),
        to(&stack.echo, "/") + &to(&other, "/other/"),
    ] {
        stack.changes(&rest).await?;
        assert_eq!(client.send(&signed_in("/", "ada")).await?.status, 200);
    }
    let connections: Vec<_> = stack
        .echo
        .seen()
        .iter()
        .map(|seen| seen.connection)
        .collect();
    assert_eq!(connections, [0, 0, 0]);
    Ok(())
}

/// Creates an SQLite database with one user; returns its settings.
async fn stores(folder: &TempDir) -> Result<String> {
    let database = folder.path().join("users.db");
    let users = "CREATE TABLE users (id text PRIMARY KEY); INSERT INTO users VALUES ('ada');";
    sqlite(&database, users).await?;
    let database = database.display();
    Ok(format!(
        "enable_db_check = true\ndatabase_url = \"sqlite://{database}\"\n"
    ))
}

async fn both_stores_are_up(gate: &Gate) -> Result<()> {
    poll("both stores to be up", async || {
        let ready = gate.admin("/readyz").await.ok()?.text();
        (ready.matches("\"up\"").count() == 2).then_some(())
    })
    .await
}

#[tokio::test]
async fn unchanged_stores_stay_open_and_new_ones_must_answer() -> Result<()> {
    let redis = Redis::start().await?;
    let folder = tempfile::tempdir()?;
    let database = stores(&folder).await?;
    let stores = |redis: &str, ttl: u32| {
        format!("{database}redis_url = \"{redis}\"\nredis_cache_ttl = {ttl}\n")
    };
    let stack = Stack::start(&stores(&redis.url(), 600)).await?;
    assert_eq!(stack.gate.send(&signed_in("/", "ada")).await?.status, 200);
    both_stores_are_up(&stack.gate).await?;
    let line = async || {
        let clients = redis.cli(["CLIENT", "LIST", "TYPE", "normal"]).await?;
        let ids = clients.lines().filter(|line| !line.contains("cmd=client"));
        let mut ids = ids.filter_map(|line| line.split(' ').next());
        Ok::<_, anyhow::Error>(ids.next_back().context("a line to Redis")?.to_owned())
    };
    let first = line().await?;
    let routes = format!("{}public_paths = [\"/open/\"]\n", stores(&redis.url(), 600));
    stack.changes(&routes).await?;
    assert_eq!(line().await?, first);

    let unreachable = format!("redis://127.0.0.1:{}", free_port());
    let answer = stack.reload(&stores(&unreachable, 600)).await?;
    assert_eq!(answer.status, 422);
    let text = answer.text();
    assert!(
        text.contains("redis does not answer with the new settings"),
        "{text}"
    );
    expect_log_lines(&stack.gate, "the reload failed", 1).await?;
    // The log must not take the stores that a reload tried for those in use.
    let tried = "the store does not answer with the settings of a new configuration";
    let lines = expect_log_lines(&stack.gate, tried, 1).await?;
    assert!(lines[0].contains("new, not in effect"), "{lines:?}");
    expect_log_lines(&stack.gate, "store is down", 0).await?;
    let revocations = "revocation_store = \"/nowhere/at/all/revocations.db\"\n";
    let answer = stack
        .reload(&format!("{}{revocations}", stores(&redis.url(), 600)))
        .await?;
    assert_eq!(answer.status, 422, "{}", answer.text());
    expect_log_lines(
        &stack.gate,
        "cannot be read from the store of the new configuration",
        1,
    )
    .await?;
    expect_log_lines(&stack.gate, "every request with a session gets 503", 0).await?;
    assert_eq!(stack.gate.send(&signed_in("/", "ada")).await?.status, 200);
    assert_eq!(stack.gate.send(&Request::get("/open/")).await?.status, 200);
    assert_eq!(line().await?, first);

    let changes = stack.changes(&stores(&redis.url(), 60)).await?;
    assert!(
        changes["changed"].to_string().contains("REDIS_CACHE_TTL"),
        "{changes}"
    );
    // The connection leads to the same server, so the new settings use it too.
    assert_eq!(line().await?, first);
    Ok(())
}

#[tokio::test]
async fn a_reloaded_password_works_as_soon_as_the_server_accepts_it() -> Result<()> {
    let redis = Redis::options()
        .password("first-redis-password")
        .start()
        .await?;
    let (echo, folder) = (Echo::start().await?, tempfile::tempdir()?);
    let secret = folder.path().join("redis");
    fs::write(&secret, redis.url())?;
    let file = folder.path().join("gate.toml");
    let stores = format!("{}redis_url_file = {secret:?}\n", stores(&folder).await?);
    fs::write(&file, file_text(&echo, &stores))?;
    let gate = command(&file).without("RELOAD_INTERVAL").start().await?;
    both_stores_are_up(&gate).await?;
    put(&secret, &redis.url().replace("first-redis", "second-redis"))?;
    expect_log_lines(&gate, "redis does not answer with the new settings", 1).await?;
    redis
        .cli(["CONFIG", "SET", "requirepass", "second-redis-password"])
        .await?;
    let lines = expect_log_lines(&gate, "reloaded the configuration", 1).await?;
    assert!(lines[0].contains("REDIS_URL"), "{lines:?}");
    both_stores_are_up(&gate).await
}
