//! `STALE_IF_DOWN`: which users may enter while the database gives no answer, by which data, for how long, and the messages about
//! it.

use std::path::Path;

use anyhow::{Context, Result, ensure};
use harness::{Client, CutProxy, Echo, Gate, GateCommand, Mint, Postgres, Redis, Request, poll};
use serde_json::Value;
use tempfile::TempDir;

use crate::support::{gate, signed_in};

/// Longer than any test takes.
const LONG: &str = "3600";

const USERS: &str =
    "CREATE TABLE users (id text PRIMARY KEY, role text, banned boolean NOT NULL DEFAULT false);
     INSERT INTO users (id, role) VALUES ('ada', 'admin'), ('bob', 'user'), ('eve', 'admin');
     INSERT INTO users VALUES ('mallory', 'admin', true)";

/// All users who are not banned may enter, and `/admin/` is for admins.
const ROUTES: &str = "active = [{ not = { column = \"banned\", equals = true } }]\n\
     [[route]]\npath = \"/\"\n\
     [[route]]\npath = \"/admin/\"\nrequire = { column = \"role\", equals = \"admin\" }\n";

/// A database with users, an upstream, and a file with routes.
struct World {
    postgres: Postgres,
    echo: Echo,
    folder: TempDir,
}

impl World {
    async fn start() -> Result<Self> {
        let (postgres, folder) = (Postgres::start().await?, tempfile::tempdir()?);
        postgres.execute(USERS).await?;
        std::fs::write(folder.path().join("gate.toml"), ROUTES)?;
        Ok(Self {
            postgres,
            echo: Echo::start().await?,
            folder,
        })
    }

    /// Returns the command of a gate that caches users in memory for a second, and uses stale state for this many seconds.
    fn gate(&self, stale_if_down: &str) -> GateCommand {
        let file = self.folder.path().join("gate.toml");
        gate(&self.echo.url())
            .env("SESSIONGATE_CONFIG", file.display().to_string())
            .env("ENABLE_DB_CHECK", "true")
            .env("DATABASE_URL", self.postgres.url(Postgres::DATABASE))
            .env("DATABASE_TIMEOUT", "1000")
            .env("MEMORY_CACHE_TTL", "1")
            .env("ABSENT_CACHE_TTL", "1")
            .env("STALE_IF_DOWN", stale_if_down)
    }

    /// Installs the triggers that report changes.
    async fn with_triggers(&self) -> Result<()> {
        let install = self.gate("0").args(["db", "install"]);
        let done = install.run().await?;
        ensure!(done.status.success(), "{}", done.stderr);
        Ok(())
    }
}

/// The status, and the audit line, of a request.
async fn status_and_audit_line(gate: &Gate, request: &Request) -> Result<(u16, Value)> {
    let answer = gate.send(request).await?;
    let id = answer.header("x-request-id").context("an id")?.to_owned();
    let line = gate.wait_for_audit(|line| line["request_id"] == id.as_str());
    Ok((answer.status, line.await?))
}

/// Returns the status of a request of `user`, and the store that answered the lookup.
async fn status_and_store(gate: &Gate, target: &str, user: &str) -> Result<(u16, String)> {
    let (status, line) = status_and_audit_line(gate, &signed_in(target, user)).await?;
    let store = line["user_check"].as_str().unwrap_or_default();
    Ok((status, store.to_owned()))
}

/// Sends requests until the status and the store that answered the lookup are these.
async fn wait_for_status(gate: &Gate, user: &str, wanted: (u16, &str)) -> Result<()> {
    let mut last = None;
    let waiting = poll("the status and the store", async || {
        last = Some(status_and_store(gate, "/", user).await.ok()?);
        let (status, store) = last.as_ref()?;
        ((*status, &**store) == wanted).then_some(())
    });
    let waited = waiting.await;
    waited.with_context(|| format!("{user} did not get {wanted:?}: {last:?}"))
}

async fn wait_for_channel(gate: &Gate, channel: &str) -> Result<()> {
    let label = format!("channel=\"{channel}\"");
    poll("the channel to be up", async || {
        let up = gate.metric("sessiongate_channel_up", [&*label]).await;
        (up.ok()? == 1.0).then_some(())
    })
    .await
}

fn lines_with(gate: &Gate, text: &str) -> usize {
    let lines = gate.stderr().all();
    lines.iter().filter(|line| line.contains(text)).count()
}

const IN_USE: &str = "known users are let in on stale answers";

#[tokio::test]
async fn known_users_enter_for_the_stale_time_and_others_get_503() -> Result<()> {
    let mut world = World::start().await?;
    let gate = world.gate(LONG).start().await?;
    let shortly = world.gate("2").start().await?;
    let without = world.gate("0").start().await?;
    for gate in [&gate, &shortly, &without] {
        assert_eq!(status_and_store(gate, "/", "ada").await?.0, 200);
        assert_eq!(status_and_store(gate, "/", "nobody").await?.0, 403);
    }
    let warning = format!("STALE_IF_DOWN is {LONG} s");
    assert_eq!(lines_with(&gate, &warning), 1);
    assert_eq!(lines_with(&without, "STALE_IF_DOWN"), 0);
    assert_eq!(lines_with(&gate, IN_USE), 0);

    world.postgres.stop().await?;
    wait_for_status(&gate, "ada", (200, "stale")).await?;
    let seen = world.echo.seen().pop().context("it reached the upstream")?;
    assert_eq!(seen.headers.get("x-user-id"), Some("ada"));
    // Users who are not known to exist do not enter: neither those who were absent nor those who were never looked up.
    wait_for_status(&gate, "nobody", (503, "skipped")).await?;
    for user in ["nobody", "bob", "stranger"] {
        let (status, line) = status_and_audit_line(&gate, &signed_in("/", user)).await?;
        let reason = &line["reason"];
        assert_eq!((status, reason), (503, &"store_unavailable".into()));
    }
    assert_eq!(
        status_and_store(&gate, "/", "ada").await?,
        (200, "stale".to_owned())
    );
    wait_for_status(&without, "ada", (503, "skipped")).await?;
    // The stale state of this gate ends after two seconds, whether or not a request has used it.
    wait_for_status(&shortly, "ada", (503, "skipped")).await?;
    assert_eq!(status_and_store(&shortly, "/", "ada").await?.0, 503);

    assert_eq!(lines_with(&gate, IN_USE), 1, "however often it is used");
    assert_eq!(lines_with(&without, IN_USE), 0);
    let metric = "sessiongate_user_check_total";
    let labels = ["source=\"stale\"", "result=\"present\""];
    let stale = gate.audit_lines();
    let stale = stale.iter().filter(|line| line["user_check"] == "stale");
    assert_eq!(gate.metric(metric, labels).await?, stale.count() as f64);

    // The next lookup asks the database, and changes take effect.
    world.postgres.start_again().await?;
    wait_for_status(&gate, "ada", (200, "postgres")).await?;
    let again = "the database answers again for users";
    gate.stderr()
        .wait_for(|line| line.contains(again).then_some(()))
        .await?;
    world.postgres.execute("DELETE FROM users").await?;
    wait_for_status(&gate, "ada", (403, "postgres")).await?;
    world.postgres.stop().await?;
    wait_for_status(&gate, "ada", (503, "skipped")).await
}

#[tokio::test]
async fn a_second_outage_is_logged_again() -> Result<()> {
    let mut world = World::start().await?;
    let gate = world.gate(LONG).start().await?;
    assert_eq!(status_and_store(&gate, "/", "ada").await?.0, 200);
    for outage in 1..=2 {
        world.postgres.stop().await?;
        wait_for_status(&gate, "ada", (200, "stale")).await?;
        assert_eq!(lines_with(&gate, IN_USE), outage);
        world.postgres.start_again().await?;
        wait_for_status(&gate, "ada", (200, "postgres")).await?;
    }
    Ok(())
}

#[tokio::test]
async fn a_hanging_database_counts_as_down() -> Result<()> {
    let world = World::start().await?;
    let wire = CutProxy::start(&world.postgres.address()).await?;
    let url = world
        .postgres
        .url_through(&wire.address(), Postgres::DATABASE);
    let gate = world.gate(LONG).env("DATABASE_URL", url).start().await?;
    assert_eq!(status_and_store(&gate, "/", "ada").await?.0, 200);
    wire.stall();
    wait_for_status(&gate, "ada", (200, "stale")).await?;
    assert_eq!(status_and_store(&gate, "/", "bob").await?.0, 503);
    wire.restore().await?;
    wait_for_status(&gate, "ada", (200, "postgres")).await
}

#[tokio::test]
async fn rules_and_active_conditions_use_the_stale_row() -> Result<()> {
    let mut world = World::start().await?;
    let gate = world.gate(LONG).start().await?;
    for (user, status) in [("ada", 200), ("bob", 200), ("mallory", 403)] {
        assert_eq!(
            status_and_store(&gate, "/", user).await?.0,
            status,
            "{user}"
        );
    }
    // No request has refreshed the rows since.
    world
        .postgres
        .execute("UPDATE users SET role = 'admin', banned = false")
        .await?;
    world.postgres.stop().await?;
    wait_for_status(&gate, "ada", (200, "stale")).await?;
    wait_for_status(&gate, "bob", (200, "stale")).await?;
    wait_for_status(&gate, "mallory", (403, "stale")).await?;
    for (user, status, reason) in [
        ("ada", 200, "session"),
        ("bob", 403, "rule_denied"),
        ("mallory", 403, "user_disabled"),
    ] {
        let (answered, line) = status_and_audit_line(&gate, &signed_in("/admin/", user)).await?;
        assert_eq!(answered, status, "{line}");
        assert_eq!(line["reason"], reason, "{line}");
        assert_eq!(line["user_check"], "stale", "{line}");
    }
    world.postgres.start_again().await?;
    for user in ["ada", "bob", "mallory"] {
        wait_for_status(&gate, user, (200, "postgres")).await?;
        assert_eq!(
            status_and_store(&gate, "/admin/", user).await?.0,
            200,
            "{user}"
        );
    }
    Ok(())
}

const TOKEN: &str = "admin-token-4kW9tZ3mQ7xL2vB8nR4pJ6sD1f";

/// Returns a request with a session that was issued a minute ago.
fn old(user: &str) -> Request {
    Request::get("/").cookie(Mint::user(user).issued_ago(60).authjs())
}

async fn status(gate: &Gate, request: &Request) -> Result<u16> {
    Ok(gate.send(request).await?.status)
}

fn revocations_in(folder: &Path) -> String {
    folder.join("revocations.db").display().to_string()
}

async fn post_revocation(gate: &Gate, user: &str) -> Result<u16> {
    let body = format!("{{\"user\":\"{user}\"}}");
    let request = Request::post("/revocations", body.into_bytes())
        .header("Content-Type", "application/json")
        .header("Authorization", format!("Bearer {TOKEN}"));
    let answer = Client::connect(gate.admin).await?.send(&request).await?;
    Ok(answer.status)
}

#[tokio::test]
async fn revoked_users_are_refused_before_and_during_an_outage() -> Result<()> {
    let (mut world, redis) = (World::start().await?, Redis::start().await?);
    for store in [revocations_in(world.folder.path()), "redis".to_owned()] {
        let mut command = world
            .gate(LONG)
            .env("REVOCATION_STORE", &store)
            .env("REVOCATION_INTERVAL", "1")
            .env("ADMIN_TOKEN", TOKEN);
        if store == "redis" {
            // Redis keeps the revocations, but no users.
            command = command
                .env("REDIS_URL", redis.url())
                .env("REDIS_CACHE_TTL", "0");
        }
        let gate = command.clone().start().await?;
        for user in ["ada", "bob", "eve", "mallory"] {
            status_and_store(&gate, "/", user).await?;
        }
        let revoke = async |user: &str| {
            let done = command.clone().args(["revoke", "--user", user]);
            let done = done.run().await?;
            ensure!(done.status.success(), "{}", done.stderr);
            anyhow::Ok(())
        };
        let out = async |user: &str| {
            let refused = poll("the user to be refused", async || {
                let (status, line) = status_and_audit_line(&gate, &old(user)).await.ok()?;
                (status == 401 && line["reason"] == "revoked").then_some(())
            });
            refused.await.with_context(|| format!("{store}: {user}"))
        };
        revoke("ada").await?;
        out("ada").await?;
        world.postgres.stop().await?;
        wait_for_status(&gate, "bob", (200, "stale")).await?;
        wait_for_status(&gate, "eve", (200, "stale")).await?;
        assert_eq!(status(&gate, &old("ada")).await?, 401);
        revoke("bob").await?;
        out("bob").await?;
        assert_eq!(post_revocation(&gate, "eve").await?, 201);
        assert_eq!(status(&gate, &old("eve")).await?, 401);
        assert_eq!(status(&gate, &old("mallory")).await?, 403);
        world.postgres.start_again().await?;
    }
    Ok(())
}

#[tokio::test]
async fn unreadable_revocations_limit_the_stale_time() -> Result<()> {
    let mut world = World::start().await?;
    let command = world
        .gate(LONG)
        .env("REVOCATION_STORE", "postgres")
        .env("REVOCATION_INTERVAL", "1")
        .env("REVOCATION_MAX_STALE", "5")
        .env("ADMIN_TOKEN", TOKEN);
    let install = command.clone().args(["revocations", "install"]).run();
    ensure!(install.await?.status.success());
    let gate = command.clone().start().await?;
    let warning = "STALE_IF_DOWN is limited by REVOCATION_MAX_STALE";
    assert_eq!(lines_with(&gate, warning), 1);
    status_and_store(&gate, "/", "ada").await?;
    world.postgres.stop().await?;
    assert_ne!(post_revocation(&gate, "ada").await?, 201);
    wait_for_status(&gate, "ada", (503, "skipped")).await?;
    world.postgres.start_again().await?;
    poll(
        "the list to be read, and a lookup in the database",
        async || {
            let (status, store) = status_and_store(&gate, "/", "ada").await.ok()?;
            (status == 200 && store != "stale").then_some(())
        },
    )
    .await
}

#[tokio::test]
async fn users_reported_as_changed_have_no_stale_state() -> Result<()> {
    let world = World::start().await?;
    world.with_triggers().await?;
    let wire = CutProxy::start(&world.postgres.address()).await?;
    let url = world
        .postgres
        .url_through(&wire.address(), Postgres::DATABASE);
    let gate = world
        .gate(LONG)
        .env("HEARD_CACHE_TTL", LONG)
        .env("DATABASE_URL", &url)
        .env("LISTEN_DATABASE_URL", &url)
        .start()
        .await?;
    wait_for_channel(&gate, "postgres").await?;
    for user in ["ada", "bob", "eve"] {
        wait_for_status(&gate, user, (200, "memory")).await?;
    }
    for user in ["ada", "eve"] {
        let change = format!("UPDATE users SET role = 'user' WHERE id = '{user}'");
        world.postgres.execute(&change).await?;
    }
    // The notification about Eve comes after the one about Ada, of whom no request is sent.
    poll("the second notification", async || {
        (status_and_store(&gate, "/admin/", "eve").await.ok()?.0 == 403).then_some(())
    })
    .await?;
    wire.cut().await?;
    wait_for_status(&gate, "bob", (200, "stale")).await?;
    wait_for_status(&gate, "eve", (200, "stale")).await?;
    assert_eq!(status_and_store(&gate, "/admin/", "eve").await?.0, 403);
    assert_eq!(status_and_store(&gate, "/", "ada").await?.0, 503);
    wire.restore().await?;
    poll("a lookup in the database", async || {
        (status_and_store(&gate, "/", "ada").await.ok()?.0 == 200).then_some(())
    })
    .await?;
    assert_eq!(status_and_store(&gate, "/admin/", "ada").await?.0, 403);
    Ok(())
}

/// Sends requests of `user` until Redis has answered once more.
async fn wait_for_redis_answer(gate: &Gate, user: &str) -> Result<()> {
    let count = async || {
        let labels = ["source=\"redis\"", "result=\"present\""];
        gate.metric("sessiongate_user_check_total", labels).await
    };
    let before = count().await?;
    poll("an answer from Redis", async || {
        let (status, _) = status_and_store(gate, "/", user).await.ok()?;
        assert_eq!(status, 200, "{user}");
        (count().await.ok()? > before).then_some(())
    })
    .await
}

#[tokio::test]
async fn a_key_reported_as_lost_by_redis_has_no_stale_state() -> Result<()> {
    let (mut world, redis) = (World::start().await?, Redis::start().await?);
    let gate = world
        .gate(LONG)
        .env("REDIS_URL", redis.url())
        .env("REDIS_CACHE_TTL", LONG)
        .env("REDIS_TRACKING", "true")
        .start()
        .await?;
    wait_for_channel(&gate, "redis").await?;
    for user in ["ada", "bob"] {
        wait_for_redis_answer(&gate, user).await?;
    }
    world.postgres.stop().await?;
    for user in ["ada", "bob"] {
        wait_for_redis_answer(&gate, user).await?;
    }
    redis.cli(["DEL", "auth:ada"]).await?;
    wait_for_status(&gate, "ada", (503, "skipped")).await?;
    assert_eq!(status_and_store(&gate, "/", "bob").await?.0, 200);
    assert_eq!(
        lines_with(&gate, IN_USE),
        0,
        "the entry in Redis is not stale"
    );
    world.postgres.start_again().await?;
    wait_for_status(&gate, "ada", (200, "postgres")).await
}

#[tokio::test]
async fn an_expired_redis_key_is_treated_like_a_deleted_one() -> Result<()> {
    let (mut world, redis) = (World::start().await?, Redis::start().await?);
    let gate = world
        .gate(LONG)
        .env("REDIS_URL", redis.url())
        .env("REDIS_CACHE_TTL", "2")
        .env("REDIS_TRACKING", "true")
        .start()
        .await?;
    wait_for_channel(&gate, "redis").await?;
    wait_for_status(&gate, "ada", (200, "memory")).await?;
    world.postgres.stop().await?;
    wait_for_status(&gate, "ada", (503, "skipped")).await
}

#[tokio::test]
async fn stale_state_comes_from_memory_if_redis_is_down_or_has_none() -> Result<()> {
    let (mut world, mut redis) = (World::start().await?, Redis::start().await?);
    let command = world
        .gate(LONG)
        .env("REDIS_URL", redis.url())
        .env("REDIS_TIMEOUT", "500");
    let gate = command.clone().env("REDIS_CACHE_TTL", LONG).start().await?;
    let forgets = command.env("REDIS_CACHE_TTL", "1");
    let forgets = forgets.env("REDIS_KEY_PREFIX", "other:").start().await?;
    status_and_store(&forgets, "/", "ada").await?;
    wait_for_redis_answer(&gate, "ada").await?;
    world.postgres.stop().await?;
    wait_for_redis_answer(&gate, "ada").await?;
    wait_for_status(&forgets, "ada", (200, "stale")).await?;
    assert_eq!(status_and_store(&gate, "/", "bob").await?.0, 503);
    assert_eq!(lines_with(&gate, IN_USE), 0);
    redis.stop();
    wait_for_status(&gate, "ada", (200, "stale")).await?;
    assert_eq!(status_and_store(&gate, "/", "bob").await?.0, 503);
    redis.start_again().await?;
    world.postgres.start_again().await?;
    wait_for_status(&gate, "ada", (200, "postgres")).await?;
    wait_for_redis_answer(&gate, "ada").await
}

#[tokio::test]
async fn a_newer_redis_entry_of_another_gate_replaces_stale_memory() -> Result<()> {
    let (world, redis) = (World::start().await?, Redis::start().await?);
    world.with_triggers().await?;
    let wire = CutProxy::start(&world.postgres.address()).await?;
    let direct = world.postgres.url(Postgres::DATABASE);
    let cut = world
        .postgres
        .url_through(&wire.address(), Postgres::DATABASE);
    let command = world
        .gate(LONG)
        .env("REDIS_URL", redis.url())
        .env("REDIS_CACHE_TTL", LONG)
        // The age of an answer in Redis is as precise as these timeouts.
        .env("DATABASE_TIMEOUT", "500")
        .env("REDIS_TIMEOUT", "200");
    let near = command
        .clone()
        .env("LISTEN_DATABASE_URL", &direct)
        .start()
        .await?;
    let far = command
        .env("DATABASE_URL", &cut)
        .env("LISTEN_DATABASE_URL", &cut)
        .start()
        .await?;
    for gate in [&near, &far] {
        wait_for_channel(gate, "postgres").await?;
    }
    for user in ["ada", "eve"] {
        wait_for_status(&far, user, (200, "memory")).await?;
    }
    wire.cut().await?;
    for user in ["ada", "eve"] {
        wait_for_status(&far, user, (200, "stale")).await?;
    }
    assert_eq!(status_and_store(&far, "/admin/", "eve").await?.0, 200);

    let delete = "DELETE FROM users WHERE id = 'ada'";
    world.postgres.execute(delete).await?;
    poll("the absence to take effect", async || {
        status_and_store(&near, "/", "ada").await.ok()?;
        (status_and_store(&far, "/", "ada").await.ok()?.0 == 503).then_some(())
    })
    .await?;
    // The row takes effect once it is certainly newer than the one in memory.
    poll("the new row to take effect", async || {
        let change = "UPDATE users SET role = CASE role WHEN 'user' THEN 'guest' ELSE 'user' END WHERE id = 'eve'";
        world.postgres.execute(change).await.ok()?;
        status_and_store(&near, "/", "eve").await.ok()?;
        (status_and_store(&far, "/admin/", "eve").await.ok()?.0 == 403).then_some(())
    })
    .await?;
    wait_for_status(&far, "eve", (200, "stale")).await?;
    // The older state in memory is not used again.
    redis.cli(["FLUSHALL"]).await?;
    for user in ["ada", "eve"] {
        assert_eq!(status_and_store(&far, "/", user).await?.0, 503, "{user}");
    }
    Ok(())
}

#[tokio::test]
async fn database_sessions_can_be_stale_like_users() -> Result<()> {
    let mut world = World::start().await?;
    let create = "ALTER TABLE users ADD COLUMN name text, ADD COLUMN email text; \
         CREATE TABLE sessions (\"sessionToken\" text PRIMARY KEY, \"userId\" text, expires timestamptz); \
         INSERT INTO sessions VALUES ('3f0e6d2c-0000-4000-8000-000000000001', 'ada', now() + interval '1 hour'), \
         ('3f0e6d2c-0000-4000-8000-000000000002', 'ada', now() + interval '15 seconds')";
    world.postgres.execute(create).await?;
    let gate = world
        .gate(LONG)
        .without("ENABLE_DB_CHECK")
        .env("SESSION_FORMAT", "authjs-database")
        .start()
        .await?;
    let session = |number: u8| {
        let cookie = format!("authjs.session-token=3f0e6d2c-0000-4000-8000-00000000000{number}");
        Request::get("/").cookie(cookie)
    };
    for number in [1, 2] {
        assert_eq!(status(&gate, &session(number)).await?, 200);
    }
    world.postgres.stop().await?;
    poll("a stale session", async || {
        let (status, line) = status_and_audit_line(&gate, &session(1)).await.ok()?;
        (status == 200 && line["session_check"] == "stale").then_some(())
    })
    .await?;
    assert_eq!(status(&gate, &session(3)).await?, 503);
    let warning = "known sessions are let in on stale answers";
    assert_eq!(lines_with(&gate, warning), 1);
    // A stale session still expires.
    poll("the session to end", async || {
        let (status, line) = status_and_audit_line(&gate, &session(2)).await.ok()?;
        (status == 401 && line["reason"] == "expired").then_some(())
    })
    .await?;
    assert_eq!(status(&gate, &session(1)).await?, 200);
    let metric = "sessiongate_session_check_total";
    assert!(gate.metric(metric, ["source=\"stale\""]).await? >= 1.0);
    world.postgres.start_again().await?;
    poll("a fresh lookup", async || {
        let (status, line) = status_and_audit_line(&gate, &session(1)).await.ok()?;
        (status == 200 && line["session_check"] == "postgres").then_some(())
    })
    .await
}
