//! The stores of revocations: what survives a restart, what every node learns, and how requests are answered while the list is
//! unknown.

use harness::{Postgres, Redis};

use super::*;

/// Two roles that cannot create tables: that of a gate, and one that may write revocations.
const ROLES: &str = "CREATE ROLE sessiongate LOGIN PASSWORD 'plain-password'; \
     CREATE ROLE sessiongate_writer LOGIN PASSWORD 'plain-password'; GRANT sessiongate TO sessiongate_writer";

#[tokio::test]
async fn revocations_in_postgresql_apply_on_all_nodes_and_after_a_restart() -> Result<()> {
    let (echo, mut postgres) = (Echo::start().await?, Postgres::start().await?);
    let owner = keeping(&echo.url(), "postgres")
        .env("DATABASE_URL", postgres.url(Postgres::DATABASE))
        .env("REVOCATION_MAX_STALE", "2");
    let sql = run_command(&owner, &["revocations", "install", "--print"]).await?;
    postgres.execute(&sql).await?;
    run_command(&owner, &["revocations", "install"]).await?;
    postgres.execute(ROLES).await?;
    for grant in sql.lines().filter_map(|line| line.strip_prefix("-- GRANT")) {
        postgres.execute(&format!("GRANT{grant}")).await?;
    }
    let url = postgres.url(Postgres::DATABASE);
    let (_, place) = url.split_once('@').context("a URL with a user")?;
    let of_role = |role: &str| {
        let url = format!("postgres://{role}:plain-password@{place}");
        owner.clone().env("DATABASE_URL", url)
    };
    let (command, writer) = (of_role("sessiongate"), of_role("sessiongate_writer"));
    let (one, two) = (
        command.clone().start().await?,
        command.clone().start().await?,
    );
    assert_eq!(status(&one, &old_session("ada")).await?, 200);
    // The role of the gate has only the rights that it needs.
    for words in [
        &["revoke", "--user", "ada"][..],
        &["revocations", "remove", "--user", "ada"],
    ] {
        let refused = command.clone().args(words.iter().copied()).run().await?;
        assert_eq!(refused.status.code(), Some(1), "{words:?}");
        let printed = refused.stderr;
        assert!(
            printed.contains("needs SELECT, INSERT, UPDATE and DELETE"),
            "{printed}"
        );
    }
    run_command(&writer, &["revoke", "--user", "ada"]).await?;
    for node in [&one, &two] {
        wait_for_status(node, &old_session("ada"), 401).await?;
        assert_eq!(status(node, &old_session("bob")).await?, 200);
    }
    drop(two);
    let again = command.clone().start().await?;
    assert_eq!(
        status(&again, &old_session("ada")).await?,
        401,
        "the first request"
    );

    // An application may write to the table too.
    let by_hand = "INSERT INTO sessiongate_revocations (kind, id) VALUES ('user', 'bob')";
    postgres.execute(by_hand).await?;
    wait_for_status(&one, &old_session("bob"), 401).await?;
    let line = one.wait_for_audit(|line| line["event"] == "revocation" && line["user_id"] == "bob");
    assert_eq!(line.await?["source"], "sql");

    postgres.stop().await?;
    wait_for_status(&one, &old_session("eve"), 503).await?;
    assert_eq!(one.admin("/readyz").await?.json()?["revocations"], "down");
    postgres.start_again().await?;
    wait_for_status(&one, &old_session("eve"), 200).await?;
    assert_eq!(status(&one, &old_session("ada")).await?, 401);
    run_command(&writer, &["revocations", "remove", "--user", "ada"]).await?;
    wait_for_status(&one, &old_session("ada"), 200).await
}

#[tokio::test]
async fn a_notified_revocation_takes_effect_on_commit_and_on_removal() -> Result<()> {
    let (echo, postgres) = (Echo::start().await?, Postgres::start().await?);
    postgres
        .execute("CREATE TABLE users (id text PRIMARY KEY)")
        .await?;
    let url = postgres.url(Postgres::DATABASE);
    let command = keeping(&echo.url(), "postgres")
        .env("DATABASE_URL", &url)
        .env("LISTEN_DATABASE_URL", &url)
        .env("ENABLE_DB_CHECK", "true")
        // The gate reads the whole list at start-up, and not again during this test.
        .env("REVOCATION_INTERVAL", "3600")
        .env("REVOCATION_MAX_STALE", "7200");
    run_command(&command, &["db", "install"]).await?;
    run_command(&command, &["revocations", "install"]).await?;
    postgres
        .execute("INSERT INTO users VALUES ('ada'), ('bob'), ('eve'); CREATE TABLE go (now int)")
        .await?;
    let nodes = [
        command.clone().start().await?,
        command.clone().start().await?,
    ];
    for node in &nodes {
        let notified = node.stderr();
        let notified = notified.wait_for(|line| {
            line.contains("change notifications from PostgreSQL are working")
                .then_some(())
        });
        notified.await?;
        wait_for_status(node, &old_session("ada"), 200).await?;
    }
    let revoke = |user: &str| {
        format!(
            "INSERT INTO sessiongate_revocations (kind, id) VALUES ('user', '{user}'); \
             SELECT pg_notify('sessiongate_revocations', 'default:user:{user}');"
        )
    };
    // The transaction that begins first commits last.
    let late = format!(
        "BEGIN; {} DO $$ BEGIN WHILE NOT EXISTS (SELECT FROM go) LOOP PERFORM pg_sleep(0.01); END LOOP; END $$; COMMIT",
        revoke("ada")
    );
    let meanwhile = async {
        let begun = "SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'BEGIN; INSERT%'";
        poll("the transaction to begin", async || {
            (postgres.execute(begun).await.ok()? == "1").then_some(())
        })
        .await?;
        postgres.execute(&revoke("bob")).await?;
        run_command(&command, &["revoke", "--user", "eve"]).await?;
        for node in &nodes {
            wait_for_status(node, &old_session("bob"), 401).await?;
            wait_for_status(node, &old_session("eve"), 401).await?;
            assert_eq!(
                status(node, &old_session("ada")).await?,
                200,
                "not committed"
            );
        }
        postgres.execute("INSERT INTO go VALUES (1)").await
    };
    tokio::try_join!(postgres.execute(&late), meanwhile)?;
    for node in &nodes {
        wait_for_status(node, &old_session("ada"), 401).await?;
    }
    run_command(&command, &["revocations", "remove", "--user", "ada"]).await?;
    let by_hand = "DELETE FROM sessiongate_revocations WHERE id = 'bob'; \
                   SELECT pg_notify('sessiongate_revocations', 'default:user:bob')";
    postgres.execute(by_hand).await?;
    for node in &nodes {
        wait_for_status(node, &old_session("ada"), 200).await?;
        wait_for_status(node, &old_session("bob"), 200).await?;
        assert_eq!(status(node, &old_session("eve")).await?, 401);
        let count = node.metric("sessiongate_revocations", []).await?;
        assert!((count - 1.0).abs() < f64::EPSILON, "{count}");
    }
    // A notification without a name makes the gate read everything.
    let quiet = "DELETE FROM sessiongate_revocations; NOTIFY sessiongate_revocations";
    postgres.execute(quiet).await?;
    for node in &nodes {
        wait_for_status(node, &old_session("eve"), 200).await?;
    }
    Ok(())
}

#[tokio::test]
async fn revocations_and_flushes_in_redis_take_effect_when_notified() -> Result<()> {
    let (echo, redis) = (Echo::start().await?, Redis::start().await?);
    let command = keeping(&echo.url(), "redis")
        .env("REDIS_URL", redis.url())
        .env("REDIS_TRACKING", "true")
        .env("REVOCATION_INTERVAL", "3600")
        .env("REVOCATION_MAX_STALE", "7200");
    let nodes = [
        command.clone().start().await?,
        command.clone().start().await?,
    ];
    for node in &nodes {
        let notified = node.stderr();
        let notified = notified.wait_for(|line| {
            line.contains("change notifications from Redis are working")
                .then_some(())
        });
        notified.await?;
    }
    for user in ["ada", "bob", "eve"] {
        run_command(&command, &["revoke", "--user", user]).await?;
        for node in &nodes {
            wait_for_status(node, &old_session(user), 401).await?;
        }
    }
    run_command(&command, &["revocations", "remove", "--user", "bob"]).await?;
    for node in &nodes {
        wait_for_status(node, &old_session("bob"), 200).await?;
        assert_eq!(status(node, &old_session("ada")).await?, 401);
    }
    // Emptying Redis removes all revocations.
    redis.cli(["FLUSHALL"]).await?;
    for node in &nodes {
        wait_for_status(node, &old_session("eve"), 200).await?;
    }
    Ok(())
}

#[tokio::test]
async fn revocations_in_redis_apply_on_all_nodes_with_the_documented_rights() -> Result<()> {
    let (echo, redis) = (Echo::start().await?, Redis::start().await?);
    let create = ["ACL", "SETUSER", "gate", "reset", "on", ">gate-password"];
    redis.cli(create).await?;
    for right in [
        "+getrange",
        "+zadd",
        "+zcard",
        "+zcount",
        "+zrangebyscore",
        "+zrem",
        "+zremrangebyscore",
        "~auth:*",
    ] {
        redis.cli(["ACL", "SETUSER", "gate", right]).await?;
    }
    let url = redis.url_of("gate", "gate-password");
    let command = keeping(&echo.url(), "redis").env("REDIS_URL", url);
    let (one, two) = (
        command.clone().start().await?,
        command.clone().start().await?,
    );
    run_command(&command, &["revoke", "--user", "ada", "--reason", "first"]).await?;
    run_command(&command, &["revoke", "--user", "ada", "--reason", "second"]).await?;
    for node in [&one, &two] {
        wait_for_status(node, &old_session("ada"), 401).await?;
        assert_eq!(status(node, &old_session("bob")).await?, 200);
    }
    let listed: Value =
        serde_json::from_str(&run_command(&command, &["revocations", "--json"]).await?)?;
    let listed = listed["revocations"].as_array().context("a list")?;
    assert_eq!(listed.len(), 1);
    assert_eq!(listed[0]["why"], "second");
    let again = command.clone().start().await?;
    assert_eq!(
        status(&again, &old_session("ada")).await?,
        401,
        "the first request"
    );
    run_command(&command, &["revocations", "remove", "--user", "ada"]).await?;
    wait_for_status(&one, &old_session("ada"), 200).await?;
    assert_eq!(
        redis.cli(["ACL", "LOG"]).await?,
        "",
        "no other command was sent"
    );

    // The gate does not skip entries that it cannot parse.
    let key = "auth:sessiongate:revocations";
    redis.cli(["ZADD", key, "9999999999999", "{}"]).await?;
    let done = command.args(["revocations"]).run().await?;
    assert!(
        done.stderr.contains("it does not have the expected form"),
        "{}",
        done.stderr
    );
    Ok(())
}

#[tokio::test]
async fn sessions_get_503_until_the_revocations_have_been_read() -> Result<()> {
    let (echo, folder) = (Echo::start().await?, tempfile::tempdir()?);
    let missing = folder.path().join("missing");
    let command = keeping(&echo.url(), &file_in(&missing)).env("PUBLIC_PATHS", "/public/");
    let gate = command.start().await?;
    let (status, line) = status_and_audit_line(&gate, &old_session("ada")).await?;
    assert_eq!(
        (status, &line["reason"]),
        (503, &"store_unavailable".into())
    );
    assert_eq!(gate.send(&Request::get("/public/a")).await?.status, 200);
    assert_eq!(gate.send(&Request::get("/")).await?.status, 401);
    let ready = gate.admin("/readyz").await?;
    assert_eq!(
        (ready.status, &ready.json()?["revocations"]),
        (503, &"down".into())
    );
    std::fs::create_dir(&missing)?;
    wait_for_status(&gate, &old_session("ada"), 200).await?;
    assert_eq!(gate.admin("/readyz").await?.status, 200);
    Ok(())
}

#[tokio::test]
async fn a_reload_accepts_only_a_readable_revocation_store() -> Result<()> {
    let (echo, folder) = (Echo::start().await?, tempfile::tempdir()?);
    let file = folder.path().join("gate.toml");
    let in_place =
        |place: &str| format!("revocation_store = \"{place}\"\nrevocation_interval = 1\n");
    std::fs::write(&file, "")?;
    let named = file.display().to_string();
    let command = gate(&echo.url()).env("SESSIONGATE_CONFIG", named);
    let gate = command.clone().start().await?;
    let (_, line) = status_and_audit_line(&gate, &old_session("ada")).await?;
    assert!(line["session_id"].is_null(), "{line}");
    let reload = async || {
        let request = Request::post("/reload", Vec::new());
        Client::connect(gate.admin).await?.send(&request).await
    };

    let missing = file_in(&folder.path().join("missing"));
    std::fs::write(&file, in_place(&missing))?;
    let answer = reload().await?;
    assert_eq!(answer.status, 422);
    assert!(
        answer.text().contains("REVOCATION_STORE"),
        "{}",
        answer.text()
    );
    assert_eq!(status(&gate, &old_session("ada")).await?, 200);

    std::fs::write(&file, in_place(&file_in(folder.path())))?;
    assert_eq!(reload().await?.status, 200);
    let (_, line) = status_and_audit_line(&gate, &old_session("ada")).await?;
    let id = line["session_id"].as_str().context("lines name sessions")?;
    run_command(&command, &["revoke", "--session", id]).await?;
    run_command(&command, &["revoke", "--user", "ada"]).await?;
    wait_for_status(&gate, &old_session("ada"), 401).await
}
