//! Databases that answer but show no rows: row-level security in PostgreSQL, and SQLite in WAL mode in a read-only folder.

use std::fs::{Permissions, set_permissions};
use std::os::unix::fs::PermissionsExt;

use anyhow::Result;
use harness::{Echo, Gate, GateCommand, Postgres, poll};

use crate::support::{gate, signed_in, sqlite};

const TABLES: &str = "\
    CREATE TABLE users (id text PRIMARY KEY, email text, name text, \"emailVerified\" timestamptz);
    CREATE TABLE sessions (\"sessionToken\" text PRIMARY KEY, \"userId\" text, expires timestamptz);
    INSERT INTO users VALUES ('ada'), ('eve');
    INSERT INTO sessions VALUES ('t0k', 'ada', now() + interval '1 hour');
    CREATE ROLE reader LOGIN PASSWORD 'reader-password';
    CREATE ROLE another;
    GRANT SELECT ON users, sessions TO reader;";

/// Returns the command of a gate that connects as the role `reader`, which owns nothing.
fn checking(echo: &Echo, postgres: &Postgres) -> GateCommand {
    let (address, database) = (postgres.address(), Postgres::DATABASE);
    gate(&echo.url())
        .env("ENABLE_DB_CHECK", "true")
        .env(
            "DATABASE_URL",
            format!("postgres://reader:reader-password@{address}/{database}"),
        )
        .env("MEMORY_CACHE_TTL", "0")
        .env("ABSENT_CACHE_TTL", "0")
}

async fn status(gate: &Gate, user: &str) -> Result<u16> {
    Ok(gate.send(&signed_in("/", user)).await?.status)
}

fn warnings(gate: &Gate) -> usize {
    let lines = gate.stderr().all();
    let matches = |line: &&String| line.contains("row-level security is on");
    lines.iter().filter(matches).count()
}

#[tokio::test]
async fn a_table_that_hides_every_row_is_a_503_with_a_warning() -> Result<()> {
    let (postgres, echo) = (Postgres::start().await?, Echo::start().await?);
    postgres.execute(TABLES).await?;
    for more in [
        "ALTER TABLE users ENABLE ROW LEVEL SECURITY",
        // A policy for another role, one for writing, and a restrictive one.
        "CREATE POLICY others ON users FOR SELECT TO another USING (true)",
        "CREATE POLICY writing ON users FOR UPDATE USING (true)",
        "CREATE POLICY less ON users AS RESTRICTIVE FOR SELECT USING (true)",
    ] {
        postgres.execute(more).await?;
        let gate = checking(&echo, &postgres).start().await?;
        for user in ["ada", "nobody"] {
            assert_eq!(status(&gate, user).await?, 503, "{more}");
        }
        let expected = r#"row-level security is on for \"users\" and no policy lets our role see a row: no user or session would be found; create a policy FOR SELECT, or use a role that has BYPASSRLS"#;
        gate.stderr()
            .wait_for(|line| line.contains(expected).then_some(()))
            .await?;
    }
    Ok(())
}

#[tokio::test]
async fn users_hidden_by_policies_are_refused_with_one_warning() -> Result<()> {
    let (postgres, echo) = (Postgres::start().await?, Echo::start().await?);
    postgres.execute(TABLES).await?;
    postgres
        .execute(
            "ALTER TABLE users ENABLE ROW LEVEL SECURITY;
             CREATE POLICY seen ON users FOR SELECT TO reader USING (id <> 'eve')",
        )
        .await?;
    let gate = checking(&echo, &postgres).start().await?;
    for _ in 0..3 {
        assert_eq!(status(&gate, "ada").await?, 200);
        assert_eq!(status(&gate, "eve").await?, 403);
    }
    let expected = r#"row-level security is on for \"users\": users whose rows its policies hide from our role are treated as absent and refused; a role that has BYPASSRLS sees all rows"#;
    gate.stderr()
        .wait_for(|line| line.contains(expected).then_some(()))
        .await?;
    assert_eq!(warnings(&gate), 1);

    postgres.execute("ALTER ROLE reader BYPASSRLS").await?;
    let gate = checking(&echo, &postgres).start().await?;
    assert_eq!(status(&gate, "eve").await?, 200);
    assert_eq!(warnings(&gate), 0);
    Ok(())
}

#[tokio::test]
async fn row_security_changed_while_the_gate_runs_is_noticed() -> Result<()> {
    let (postgres, echo) = (Postgres::start().await?, Echo::start().await?);
    postgres.execute(TABLES).await?;
    let gate = checking(&echo, &postgres).start().await?;
    assert_eq!(status(&gate, "ada").await?, 200);
    for (statement, expected) in [
        ("ALTER TABLE users ENABLE ROW LEVEL SECURITY", 503),
        (
            "CREATE POLICY seen ON users FOR SELECT TO reader USING (true)",
            200,
        ),
    ] {
        postgres.execute(statement).await?;
        poll(statement, async || {
            (status(&gate, "ada").await.ok()? == expected).then_some(())
        })
        .await?;
    }
    Ok(())
}

#[tokio::test]
async fn hidden_session_and_user_tables_are_a_503() -> Result<()> {
    let (postgres, echo) = (Postgres::start().await?, Echo::start().await?);
    postgres.execute(TABLES).await?;
    for table in ["sessions", "users"] {
        let switch = |what: &str| format!("ALTER TABLE {table} {what} ROW LEVEL SECURITY");
        postgres.execute(&switch("ENABLE")).await?;
        let gate = checking(&echo, &postgres)
            .without("ENABLE_DB_CHECK")
            .env("SESSION_FORMAT", "authjs-database")
            .start()
            .await?;
        let cookies = "authjs.session-token=t0k";
        assert_eq!(
            crate::support::status(&gate, cookies).await?,
            503,
            "{table}"
        );
        let expected = format!(r#"row-level security is on for \"{table}\" and no policy"#);
        gate.stderr()
            .wait_for(|line| line.contains(&expected).then_some(()))
            .await?;
        postgres.execute(&switch("DISABLE")).await?;
    }
    Ok(())
}

#[tokio::test]
async fn an_sqlite_file_that_needs_a_writable_folder_gets_advice() -> Result<()> {
    let (folder, echo) = (tempfile::tempdir()?, Echo::start().await?);
    let file = folder.path().join("users.db");
    let table = "PRAGMA journal_mode = WAL; CREATE TABLE users (id text PRIMARY KEY);
                 INSERT INTO users VALUES ('ada');";
    sqlite(&file, table).await?;
    // The last writer has removed the files beside the database.
    assert!(!folder.path().join("users.db-shm").exists());
    set_permissions(folder.path(), Permissions::from_mode(0o555))?;
    let checking = |parameters: &str| {
        let url = format!("sqlite://{}{parameters}", file.display());
        gate(&echo.url())
            .env("ENABLE_DB_CHECK", "true")
            .env("DATABASE_URL", url)
            .env("MEMORY_CACHE_TTL", "0")
            .unprivileged()
    };
    let gate = checking("").start().await?;
    assert_eq!(status(&gate, "ada").await?, 503);
    let expected = "it may be in WAL mode in a folder that the gate may not write to, which even readers need; allow the gate \
                    to write to the folder, or take the file out of that mode with `PRAGMA journal_mode=DELETE`";
    gate.stderr()
        .wait_for(|line| line.contains(expected).then_some(()))
        .await?;

    // The advice in the message helps.
    let gate = checking("?immutable=1").start().await?;
    assert_eq!(status(&gate, "ada").await?, 200);
    set_permissions(folder.path(), Permissions::from_mode(0o755))?;
    sqlite(&file, "PRAGMA journal_mode = DELETE;").await?;
    set_permissions(folder.path(), Permissions::from_mode(0o555))?;
    let gate = checking("").start().await?;
    assert_eq!(status(&gate, "ada").await?, 200);
    set_permissions(folder.path(), Permissions::from_mode(0o755))?;
    Ok(())
}
