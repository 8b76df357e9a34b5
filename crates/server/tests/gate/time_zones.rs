//! Session tables with times without a time zone, written by an app in Tokyo.

use anyhow::Result;
use harness::{Echo, Gate, GateCommand, Postgres};

use crate::support::{gate, sqlite, status};

/// Returns tables with times of this type, one session that ended an hour ago and one that ends in an hour. For a column
/// without a zone, PostgreSQL converts `now()` to the local time of Tokyo.
fn tables(kind: &str) -> String {
    format!(
        "SET TIME ZONE 'Asia/Tokyo';
         CREATE TABLE users (id text PRIMARY KEY, email text, name text, \"emailVerified\" timestamptz);
         CREATE TABLE sessions (\"sessionToken\" text PRIMARY KEY, \"userId\" text, created {kind}, expires {kind});
         INSERT INTO users VALUES ('ada', 'ada@example.com', 'Ada');
         INSERT INTO sessions VALUES
             ('ended', 'ada', now() - interval '2 hours', now() - interval '1 hour'),
             ('alive', 'ada', now() - interval '2 hours', now() + interval '1 hour');"
    )
}

fn looking_up(echo: &Echo, url: &str) -> GateCommand {
    gate(&echo.url())
        .env("SESSION_FORMAT", "authjs-database")
        .env("SESSION_CREATED_FIELD", "created")
        .env("DATABASE_URL", url)
        .env("MEMORY_CACHE_TTL", "0")
        .env("ABSENT_CACHE_TTL", "0")
        .env("LOG_FORMAT", "json")
}

/// Returns the statuses of the ended session and of the valid one.
async fn statuses(gate: &Gate) -> Result<[u16; 2]> {
    let [ended, alive] = ["ended", "alive"].map(|token| format!("authjs.session-token={token}"));
    Ok([status(gate, &ended).await?, status(gate, &alive).await?])
}

/// Returns the messages of the log about time zones.
fn zone_messages(gate: &Gate) -> Vec<String> {
    let lines = gate.stderr().all();
    let texts = lines.iter().filter_map(|line| {
        let line: serde_json::Value = serde_json::from_str(line).ok()?;
        let text = line["message"]
            .as_str()
            .or(line["fields"]["message"].as_str())?;
        text.contains("zone").then(|| text.to_owned())
    });
    texts.collect()
}

#[tokio::test]
async fn times_without_a_zone_are_read_in_the_configured_zone() -> Result<()> {
    let (postgres, echo) = (Postgres::start().await?, Echo::start().await?);
    postgres.execute(&tables("timestamp")).await?;
    let command = looking_up(&echo, &postgres.url(Postgres::DATABASE));
    for zone in ["Asia/Tokyo", "+09:00"] {
        let gate = command
            .clone()
            .env("SESSION_TIME_ZONE", zone)
            .start()
            .await?;
        assert_eq!(statuses(&gate).await?, [401, 200], "{zone}");
        assert_eq!(zone_messages(&gate), [""; 0], "{zone}");
    }
    Ok(())
}

#[tokio::test]
async fn without_the_setting_times_are_read_as_utc_with_one_warning() -> Result<()> {
    let (postgres, echo) = (Postgres::start().await?, Echo::start().await?);
    postgres.execute(&tables("timestamp(3)")).await?;
    let command = looking_up(&echo, &postgres.url(Postgres::DATABASE));
    let gate = command.clone().start().await?;
    // The session lives nine hours too long, which is what the warning is about.
    assert_eq!(statuses(&gate).await?, [200, 200]);
    assert_eq!(
        zone_messages(&gate),
        [
            "the times in `created` and `expires` of \"sessions\" have no time zone and are read as UTC; if the \
             application writes them in another zone, sessions live too long or too short: set SESSION_TIME_ZONE, to \
             UTC if that is right"
        ]
    );
    let gate = command.env("SESSION_TIME_ZONE", "UTC").start().await?;
    assert_eq!(statuses(&gate).await?, [200, 200]);
    assert_eq!(
        zone_messages(&gate),
        [""; 0],
        "no warning if the operator set the zone"
    );
    Ok(())
}

#[tokio::test]
async fn times_with_a_zone_keep_their_zone() -> Result<()> {
    let (postgres, echo) = (Postgres::start().await?, Echo::start().await?);
    postgres.execute(&tables("timestamptz")).await?;
    let command = looking_up(&echo, &postgres.url(Postgres::DATABASE));
    let gate = command.clone().start().await?;
    assert_eq!(statuses(&gate).await?, [401, 200]);
    assert_eq!(zone_messages(&gate), [""; 0]);
    let gate = command
        .env("SESSION_TIME_ZONE", "Asia/Tokyo")
        .start()
        .await?;
    assert_eq!(statuses(&gate).await?, [401, 200]);
    assert_eq!(
        zone_messages(&gate),
        [
            "SESSION_TIME_ZONE=Asia/Tokyo has no effect: the times in \"sessions\" have a time zone of their own"
        ]
    );
    Ok(())
}

#[tokio::test]
async fn time_zones_of_server_database_and_role_are_ignored() -> Result<()> {
    let (postgres, echo) = (Postgres::start().await?, Echo::start().await?);
    postgres.execute(&tables("timestamp")).await?;
    let (database, role) = (Postgres::DATABASE, Postgres::USER);
    for statement in [
        format!("ALTER DATABASE {database} SET timezone = 'America/New_York'"),
        format!("ALTER ROLE {role} SET timezone = 'America/New_York'"),
    ] {
        postgres.execute(&statement).await?;
        let gate = looking_up(&echo, &postgres.url(database))
            .env("SESSION_TIME_ZONE", "Asia/Tokyo")
            .start()
            .await?;
        assert_eq!(statuses(&gate).await?, [401, 200], "{statement}");
    }
    Ok(())
}

#[tokio::test]
async fn sqlite_times_without_a_zone_are_read_in_the_configured_zone() -> Result<()> {
    let (folder, echo) = (tempfile::tempdir()?, Echo::start().await?);
    let file = folder.path().join("app.db");
    let tables = "\
        CREATE TABLE users (id text PRIMARY KEY, email text, name text, emailVerified text);
        CREATE TABLE sessions (sessionToken text PRIMARY KEY, userId text, created text, expires text);
        INSERT INTO users VALUES ('ada', 'ada@example.com', 'Ada', NULL);
        INSERT INTO sessions VALUES
            ('ended', 'ada', datetime('now', '+7 hours'), datetime('now', '+8 hours')),
            ('alive', 'ada', datetime('now', '+7 hours'), datetime('now', '+10 hours')),
            ('ended-with-a-zone', 'ada', NULL, strftime('%Y-%m-%dT%H:%M:%SZ', 'now', '-1 hour')),
            ('alive-with-a-zone', 'ada', NULL, strftime('%Y-%m-%dT%H:%M:%SZ', 'now', '+1 hour'));";
    sqlite(&file, tables).await?;
    let command = looking_up(&echo, &format!("sqlite://{}", file.display()));
    let gate = command
        .clone()
        .env("SESSION_TIME_ZONE", "Asia/Tokyo")
        .start()
        .await?;
    assert_eq!(statuses(&gate).await?, [401, 200]);
    for (token, expected) in [("ended-with-a-zone", 401), ("alive-with-a-zone", 200)] {
        let cookies = format!("authjs.session-token={token}");
        assert_eq!(status(&gate, &cookies).await?, expected, "{token}");
    }
    let gate = command.start().await?;
    assert_eq!(statuses(&gate).await?, [200, 200], "read as UTC");
    Ok(())
}

#[tokio::test]
async fn an_unknown_time_zone_is_refused_at_start_up() -> Result<()> {
    let echo = Echo::start().await?;
    let finished = looking_up(&echo, "postgres://gate@127.0.0.1/app")
        .env("SESSION_TIME_ZONE", "Tokyo")
        .run()
        .await?;
    assert!(!finished.status.success());
    let expected = "SESSION_TIME_ZONE: `Tokyo`: no such time zone; give a name such as Asia/Tokyo, an offset such as +09:00, or UTC";
    assert!(finished.stderr.contains(expected), "{}", finished.stderr);
    Ok(())
}
