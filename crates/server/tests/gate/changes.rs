//! Notifications of changes: a change takes effect at once on every gate, although users are cached in memory for long.

use anyhow::Result;
use harness::{CutProxy, Echo, Gate, GateCommand, Postgres, Redis, poll};

use crate::exchanges::Upstream;
use crate::leases::{close_frame, websocket};
use crate::support::{gate, signed_in};

const USERS: &str = "CREATE TABLE users (id text PRIMARY KEY, role text);
     INSERT INTO users VALUES ('ada', 'admin'), ('bob', 'admin')";

/// Settings with which memory entries last longer than any test, unless a channel reports a change.
const LONG: [(&str, &str); 4] = [
    ("ENABLE_DB_CHECK", "true"),
    ("HEARD_CACHE_TTL", "3600"),
    ("MEMORY_CACHE_TTL", "3600"),
    ("ABSENT_CACHE_TTL", "3600"),
];

/// Starts a database whose triggers report changes.
async fn database(command: &GateCommand) -> Result<Postgres> {
    let postgres = Postgres::start().await?;
    postgres.execute(USERS).await?;
    let url = postgres.url(Postgres::DATABASE);
    let command = command.clone().envs(LONG).env("DATABASE_URL", url);
    let installed = command.args(["db", "install"]).run().await?;
    assert!(installed.status.success(), "{}", installed.stderr);
    Ok(postgres)
}

fn listening(command: GateCommand, postgres: &Postgres, listen: &str) -> GateCommand {
    command
        .envs(LONG)
        .env("DATABASE_URL", postgres.url(Postgres::DATABASE))
        .env("LISTEN_DATABASE_URL", listen)
}

/// Waits until the metric of the channel is `wanted`: 1 if the channel works, 0 if not.
async fn wait_for_channel(gate: &Gate, channel: &str, wanted: f64) -> Result<()> {
    let label = [format!("channel=\"{channel}\"")];
    let label = [label[0].as_str()];
    poll("the state of the channel", async || {
        let up = gate.metric("sessiongate_channel_up", label).await.ok()?;
        (up == wanted).then_some(())
    })
    .await
}

/// Sends a request of `user`; returns the status and the store that answered the lookup.
async fn status_and_store(gate: &Gate, user: &str) -> Result<(u16, String)> {
    let before = gate.audit_lines().len();
    let status = gate.send(&signed_in("/", user)).await?.status;
    poll("the line in the audit log", async || {
        (gate.audit_lines().len() > before).then_some(())
    })
    .await?;
    let lines = gate.audit_lines();
    let line = lines.last().expect("a line");
    let store = line["user_check"].as_str().unwrap_or_default().to_owned();
    Ok((status, store))
}

/// Sends requests of `user` until memory has the answer.
async fn wait_until_in_memory(gate: &Gate, user: &str, wanted: u16) -> Result<()> {
    poll("memory to have the user", async || {
        let (status, store) = status_and_store(gate, user).await.ok()?;
        (status == wanted && store == "memory").then_some(())
    })
    .await
}

async fn wait_for_status(gate: &Gate, user: &str, wanted: u16) -> Result<()> {
    poll("the status", async || {
        (status_and_store(gate, user).await.ok()?.0 == wanted).then_some(())
    })
    .await
}

#[tokio::test]
async fn a_changed_row_takes_effect_at_once_on_every_gate() -> Result<()> {
    let (echo, redis) = (Echo::start().await?, Redis::start().await?);
    let command = gate(&echo.url()).env("REDIS_URL", redis.url());
    let postgres = database(&command).await?;
    let listen = postgres.url(Postgres::DATABASE);
    let command = listening(command, &postgres, &listen);
    let gates = [command.clone().start().await?, command.start().await?];
    for gate in &gates {
        wait_for_channel(gate, "postgres", 1.0).await?;
        wait_until_in_memory(gate, "ada", 200).await?;
        wait_until_in_memory(gate, "bob", 200).await?;
        wait_until_in_memory(gate, "eve", 403).await?;
    }
    postgres
        .execute("DELETE FROM users WHERE id = 'ada'; INSERT INTO users VALUES ('eve', 'user')")
        .await?;
    for gate in &gates {
        wait_for_status(gate, "ada", 403).await?;
        wait_for_status(gate, "eve", 200).await?;
        // The outcome stays the same, whatever Redis still has.
        wait_until_in_memory(gate, "ada", 403).await?;
        wait_until_in_memory(gate, "eve", 200).await?;
    }
    postgres.execute("TRUNCATE users").await?;
    for gate in &gates {
        wait_for_status(gate, "bob", 403).await?;
    }
    Ok(())
}

#[tokio::test]
async fn memory_is_not_used_while_the_channel_is_down() -> Result<()> {
    let echo = Echo::start().await?;
    let command = gate(&echo.url());
    let postgres = database(&command).await?;
    let wire = CutProxy::start(&postgres.address()).await?;
    let listen = postgres.url_through(&wire.address(), Postgres::DATABASE);
    let gate = listening(command, &postgres, &listen).start().await?;
    wait_for_channel(&gate, "postgres", 1.0).await?;
    wait_until_in_memory(&gate, "ada", 200).await?;
    wire.stall();
    wait_for_channel(&gate, "postgres", 0.0).await?;
    for _ in 0..3 {
        assert_eq!(
            status_and_store(&gate, "ada").await?,
            (200, "postgres".to_owned())
        );
    }
    postgres
        .execute("DELETE FROM users WHERE id = 'ada'")
        .await?;
    assert_eq!(status_and_store(&gate, "ada").await?.0, 403);
    wire.restore().await?;
    wait_for_channel(&gate, "postgres", 1.0).await?;
    wait_until_in_memory(&gate, "ada", 403).await?;
    wait_until_in_memory(&gate, "bob", 200).await
}

#[tokio::test]
async fn a_deleted_redis_key_is_dropped_from_memory_at_once() -> Result<()> {
    let (echo, redis) = (Echo::start().await?, Redis::start().await?);
    let postgres = Postgres::start().await?;
    postgres.execute(USERS).await?;
    let gate = gate(&echo.url())
        .envs(LONG)
        .env("DATABASE_URL", postgres.url(Postgres::DATABASE))
        .env("REDIS_URL", redis.url())
        .env("REDIS_TRACKING", "true");
    let gate = gate.start().await?;
    wait_for_channel(&gate, "redis", 1.0).await?;
    wait_until_in_memory(&gate, "ada", 200).await?;
    postgres
        .execute("DELETE FROM users WHERE id = 'ada'")
        .await?;
    wait_until_in_memory(&gate, "ada", 200).await?;
    redis.cli(["DEL", "auth:ada"]).await?;
    wait_for_status(&gate, "ada", 403).await
}

#[tokio::test]
async fn only_websockets_of_users_who_lost_access_end() -> Result<()> {
    let file = tempfile::tempdir()?;
    let path = file.path().join("gate.toml");
    std::fs::write(
        &path,
        "[[route]]\npath = \"/\"\nrequire = { column = \"role\", equals = \"admin\" }\n",
    )?;
    let path = path.display().to_string();
    let command = gate("http://127.0.0.1:1").env("SESSIONGATE_CONFIG", &path);
    let postgres = database(&command).await?;
    let url = postgres.url(Postgres::DATABASE);
    let settings = [
        LONG[0],
        LONG[1],
        ("SESSIONGATE_CONFIG", &*path),
        ("DATABASE_URL", &*url),
        ("LISTEN_DATABASE_URL", &*url),
    ];
    let (upstream, gate) = Upstream::start_with(settings).await?;
    wait_for_channel(&gate, "postgres", 1.0).await?;
    let mut sockets = Vec::new();
    for user in ["ada", "bob"] {
        sockets.push(websocket(&upstream, &gate, signed_in("/socket", user)).await?);
    }
    // Bob's row changes too, but he may still enter.
    postgres
        .execute("UPDATE users SET role = 'user' WHERE id = 'ada'; UPDATE users SET role = 'admin' WHERE id = 'bob'")
        .await?;
    let (ada, _) = &mut sockets[0];
    let expected = (4401, "session revoked".to_owned());
    assert_eq!(close_frame(ada).await?, expected);
    let (bob, served) = &mut sockets[1];
    served.send("\u{1}\u{2}ok").await?;
    assert_eq!(bob.bytes(4).await?, b"\x01\x02ok");
    postgres.execute("DELETE FROM users").await?;
    assert_eq!(close_frame(bob).await?, expected);
    Ok(())
}

#[tokio::test]
async fn a_gate_whose_database_is_down_is_not_ready_despite_redis() -> Result<()> {
    let (echo, redis) = (Echo::start().await?, Redis::start().await?);
    let command = gate(&echo.url()).env("REDIS_URL", redis.url());
    let mut postgres = database(&command).await?;
    let listen = postgres.url(Postgres::DATABASE);
    let gate = listening(command, &postgres, &listen).start().await?;
    wait_for_channel(&gate, "postgres", 1.0).await?;
    wait_until_in_memory(&gate, "ada", 200).await?;
    let ready = gate.admin("/readyz").await?;
    assert_eq!(
        (ready.status, &ready.json()?["channels"]["postgres"]),
        (200, &"up".into())
    );
    postgres.stop().await?;
    // Redis is up, but its earlier entries must not be used.
    poll("the gate not to be ready", async || {
        (gate.admin("/readyz").await.ok()?.status == 503).then_some(())
    })
    .await?;
    assert_eq!(status_and_store(&gate, "ada").await?.0, 503);
    Ok(())
}
