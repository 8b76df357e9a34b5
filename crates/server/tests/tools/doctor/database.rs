//! Real databases: indexes, rights, clocks, and missing tables and columns.

use anyhow::Result;
use harness::{Postgres, free_port, poll};

use super::super::{Outcome, SECRET, Tool};
use super::{doctor, doctor_of_stores, file, finding_text, findings, ids};

/// The tables of an app, and a role that may only read them, in read-only transactions.
const TABLES: &str = "
    CREATE TABLE users (id text, name text);
    INSERT INTO users SELECT n::text, 'hidden' FROM generate_series(1, 12000) AS n;
    CREATE ROLE reader LOGIN PASSWORD 'reading';
    ALTER ROLE reader SET default_transaction_read_only = on;
    GRANT SELECT ON users TO reader;
    ANALYZE users;";

fn of(url: &str) -> Outcome {
    of_table(url, "users")
}

fn of_table(url: &str, table: &str) -> Outcome {
    doctor_of_stores([])
        .env("AUTH_SECRET", SECRET)
        .env("ENABLE_DB_CHECK", "true")
        .env("USER_TABLE", table)
        .env("DATABASE_URL", url)
        .run()
}

fn reader(postgres: &Postgres) -> String {
    format!(
        "postgres://reader:reading@{}/{}",
        postgres.address(),
        Postgres::DATABASE
    )
}

#[tokio::test]
async fn a_missing_index_is_found_until_it_exists() -> Result<()> {
    let postgres = Postgres::start().await?;
    postgres.execute(TABLES).await?;
    let outcome = of(&reader(&postgres));
    assert_eq!(
        findings(&outcome),
        [r#"index-missing: column "id" of "users""#],
        "{outcome:?}"
    );
    assert_eq!(outcome.code, Some(0), "a warning");
    assert_eq!(
        finding_text(&outcome, "index-missing", "seen"),
        "no index begins with this column, and the table has about 12000 rows"
    );
    assert!(!outcome.stdout.contains("hidden") && !outcome.stdout.contains("reading"));
    let advice = finding_text(&outcome, "index-missing", "advice");
    assert_eq!(advice, r#"`CREATE INDEX CONCURRENTLY ON "users" ("id");`"#);
    postgres.execute(advice.trim_matches('`')).await?;
    let outcome = of(&reader(&postgres));
    assert_eq!(findings(&outcome), [""; 0], "{outcome:?}");
    Ok(())
}

#[tokio::test]
async fn missing_triggers_are_found_if_the_gate_listens() -> Result<()> {
    let postgres = Postgres::start().await?;
    postgres.execute(TABLES).await?;
    postgres.execute("CREATE INDEX ON users (id)").await?;
    let url = reader(&postgres);
    assert_eq!(ids(&of(&url)), [""; 0]);
    let listening = || {
        doctor_of_stores([])
            .env("AUTH_SECRET", SECRET)
            .env("ENABLE_DB_CHECK", "true")
            .env("DATABASE_URL", &url)
            .env("LISTEN_DATABASE_URL", &url)
            .run()
    };
    let outcome = listening();
    assert_eq!(
        findings(&outcome),
        [r#"change-triggers-incomplete: table "users""#],
        "{outcome:?}"
    );
    assert_eq!(
        finding_text(&outcome, "change-triggers-incomplete", "seen"),
        "a trigger on public.users is missing"
    );
    Ok(())
}

#[tokio::test]
async fn a_listen_url_of_another_database_is_found() -> Result<()> {
    let postgres = Postgres::start().await?;
    postgres.execute(TABLES).await?;
    postgres.execute("CREATE INDEX ON users (id)").await?;
    postgres.execute("CREATE DATABASE other").await?;
    let owner = postgres.url(Postgres::DATABASE);
    let doctor_with_listen_url = |tool: Tool, url: &str, listen: &str| {
        tool.env("AUTH_SECRET", SECRET)
            .env("ENABLE_DB_CHECK", "true")
            .env("DATABASE_URL", url)
            .env("LISTEN_DATABASE_URL", listen)
            .run()
    };
    let install = Tool::new(["db", "install"]).env("UPSTREAM", "http://127.0.0.1:9");
    let installed = doctor_with_listen_url(install, &owner, &owner);
    assert_eq!(installed.code, Some(0), "{installed:?}");
    let url = reader(&postgres);
    let outcome = doctor_with_listen_url(doctor_of_stores([]), &url, &url);
    assert_eq!(ids(&outcome), [""; 0]);
    let json = outcome.json();
    let asked = json["asked"].as_array().expect("a list").iter();
    let listening = asked.filter(|asked| {
        let what = asked["what"].as_str().unwrap_or_default();
        what.starts_with("LISTEN_DATABASE_URL, ")
    });
    let answered: Vec<_> = listening.map(|asked| &asked["answered"]).collect();
    assert_eq!(answered, [true], "{json}");
    assert!(!json.to_string().contains("reading@"), "{json}");
    let outcome = doctor_with_listen_url(doctor_of_stores([]), &url, &postgres.url("other"));
    assert_eq!(
        findings(&outcome),
        ["change-notifications-missing: LISTEN_DATABASE_URL"],
        "{outcome:?}"
    );
    Ok(())
}

#[tokio::test]
async fn unreadable_revocations_are_found() -> Result<()> {
    let postgres = Postgres::start().await?;
    postgres.execute(TABLES).await?;
    postgres.execute("CREATE INDEX ON users (id)").await?;
    let url = reader(&postgres);
    let run_doctor = || {
        doctor_of_stores([])
            .env("AUTH_SECRET", SECRET)
            .env("ENABLE_DB_CHECK", "true")
            .env("DATABASE_URL", &url)
            .env("REVOCATION_STORE", "postgres")
            .run()
    };
    let outcome = run_doctor();
    assert_eq!(
        findings(&outcome),
        ["revocations-unreadable: revocations in postgres"],
        "{outcome:?}"
    );
    let json = outcome.json();
    let mut asked = json["asked"].as_array().expect("a list").iter();
    let found = asked.find(|asked| asked["what"] == "revocations in postgres");
    assert_eq!(
        found.map(|asked| &asked["answered"]),
        Some(&false.into()),
        "{json}"
    );
    let installed = Tool::new(["revocations", "install"])
        .env("UPSTREAM", "http://127.0.0.1:9")
        .env("AUTH_SECRET", SECRET)
        .env("ENABLE_DB_CHECK", "true")
        .env("DATABASE_URL", postgres.url(Postgres::DATABASE))
        .env("REVOCATION_STORE", "postgres")
        .run();
    assert_eq!(installed.code, Some(0), "{installed:?}");
    assert_eq!(ids(&run_doctor()), ["revocations-unreadable"], "no rights");
    let grant = "GRANT SELECT ON sessiongate_revocations TO reader";
    postgres.execute(grant).await?;
    assert_eq!(ids(&run_doctor()), [""; 0]);
    Ok(())
}

#[tokio::test]
async fn a_session_of_a_deleted_user_is_found() -> Result<()> {
    let postgres = Postgres::start().await?;
    postgres.execute(TABLES).await?;
    postgres.execute("CREATE INDEX ON users (id)").await?;
    let url = reader(&postgres);
    let minted = Tool::new(["mint", "--format", "authjs", "--user", "7"])
        .env("AUTH_SECRET", SECRET)
        .run();
    let (_folder, cookies) = file(&minted.stdout);
    let run_doctor = || {
        doctor_of_stores(["--cookie-file", &cookies])
            .env("AUTH_SECRET", SECRET)
            .env("ENABLE_DB_CHECK", "true")
            .env("DATABASE_URL", &url)
            .run()
    };
    assert_eq!(ids(&run_doctor()), [""; 0]);
    postgres.execute("DELETE FROM users WHERE id = '7'").await?;
    let outcome = run_doctor();
    assert_eq!(ids(&outcome), ["session-refused"], "{outcome:?}");
    let seen = finding_text(&outcome, "session-refused", "seen");
    assert_eq!(seen, "the gate says: no such user");
    Ok(())
}

#[tokio::test]
async fn an_index_that_cannot_serve_the_lookup_counts_as_missing() -> Result<()> {
    let postgres = Postgres::start().await?;
    postgres.execute(TABLES).await?;
    for index in [
        "CREATE INDEX ON users (name, id)",
        "CREATE INDEX ON users (id) WHERE name = 'somebody'",
        "CREATE INDEX ON users (lower(id))",
        r#"CREATE INDEX ON users (id COLLATE "POSIX")"#,
    ] {
        postgres.execute(index).await?;
        assert_eq!(ids(&of(&reader(&postgres))), ["index-missing"], "{index}");
    }
    postgres.execute("CREATE INDEX ON users (id); ALTER ROLE reader SET enable_indexscan = off; \
                      ALTER ROLE reader SET enable_bitmapscan = off; ALTER ROLE reader SET enable_indexonlyscan = off")
        .await?;
    assert_eq!(ids(&of(&reader(&postgres))), ["index-unused"]);
    Ok(())
}

#[tokio::test]
async fn doctor_is_not_blocked_by_writers() -> Result<()> {
    let postgres = Postgres::start().await?;
    postgres.execute(TABLES).await?;
    postgres.execute("CREATE INDEX ON users (id)").await?;
    // Besides this lock on a table, only reads are possible (PostgreSQL's manual, table 13.2).
    let holding = "BEGIN; LOCK TABLE users IN EXCLUSIVE MODE; SELECT pg_sleep(600)";
    let held = "SELECT pid FROM pg_locks WHERE mode = 'ExclusiveLock' AND relation = 'users'::regclass AND granted";
    let looked = async {
        poll("the lock to be held", async || {
            Some(postgres.execute(held).await.ok()?).filter(|pid| !pid.is_empty())
        })
        .await?;
        let outcome = of(&reader(&postgres));
        assert_eq!(findings(&outcome), [""; 0], "{outcome:?}");
        postgres
            .execute(&format!(
                "SELECT pg_terminate_backend(pid) FROM ({held}) AS held"
            ))
            .await
    };
    let (holder, looked) = tokio::join!(postgres.execute(holding), looked);
    assert!(holder.is_err(), "it was ended");
    looked.map(drop)
}

#[tokio::test]
async fn unneeded_database_rights_are_named() -> Result<()> {
    let postgres = Postgres::start().await?;
    postgres.execute(TABLES).await?;
    postgres.execute("CREATE INDEX ON users (id)").await?;
    let outcome = of(&postgres.url(Postgres::DATABASE));
    assert_eq!(ids(&outcome), ["database-superuser"], "{outcome:?}");
    assert_eq!(outcome.code, Some(1));
    postgres
        .execute("GRANT UPDATE, DELETE ON users TO reader; ALTER ROLE reader CREATEDB")
        .await?;
    let outcome = of(&reader(&postgres));
    assert_eq!(ids(&outcome), ["database-rights"], "{outcome:?}");
    assert_eq!(
        finding_text(&outcome, "database-rights", "seen"),
        r#"the role reader has CREATEDB; UPDATE, DELETE on "users""#
    );
    Ok(())
}

#[tokio::test]
async fn tables_that_prevent_the_user_lookup_are_problems() -> Result<()> {
    let mut postgres = Postgres::start().await?;
    postgres.execute(TABLES).await?;
    postgres
        .execute(
            "CREATE TABLE secret (id text PRIMARY KEY); CREATE TABLE other (name text); GRANT SELECT ON other TO reader;
             CREATE TABLE rows (id text PRIMARY KEY); GRANT SELECT ON rows TO reader;
             ALTER TABLE rows ENABLE ROW LEVEL SECURITY;
             CREATE VIEW people AS SELECT id FROM users; GRANT SELECT ON people TO reader;",
        )
        .await?;
    for (table, found, code) in [
        ("nowhere", r#"table-missing: table "nowhere""#, 1),
        ("other", r#"column-missing: column "id" of "other""#, 1),
        (
            "secret",
            r#"table-not-readable: column "id" of "secret""#,
            1,
        ),
        ("rows", r#"rows-hidden: table "rows""#, 1),
        ("people", r#"index-unknown: column "id" of "people""#, 0),
    ] {
        let outcome = of_table(&reader(&postgres), table);
        assert_eq!(findings(&outcome), [found], "{outcome:?}");
        assert_eq!(outcome.code, Some(code), "{table}");
    }
    let url = reader(&postgres).replace("reading", "wrong-password");
    let outcome = of(&url);
    assert_eq!(ids(&outcome), ["database-unreachable"], "{outcome:?}");
    assert!(!outcome.stdout.contains("wrong-password"), "{outcome:?}");
    postgres.stop().await?;
    let outcome = of(&reader(&postgres));
    assert_eq!(
        (ids(&outcome), outcome.code),
        (vec!["database-unreachable".to_owned()], Some(1))
    );
    Ok(())
}

#[tokio::test]
async fn doctor_looks_up_database_sessions_by_token() -> Result<()> {
    let postgres = Postgres::start().await?;
    postgres
        .execute(
            r#"CREATE TABLE users (id integer PRIMARY KEY, name text, email text);
               CREATE TABLE sessions (id integer PRIMARY KEY, "userId" integer, until timestamptz, "sessionToken" text);
               CREATE ROLE reader LOGIN PASSWORD 'reading'; GRANT SELECT ON users, sessions TO reader;"#,
        )
        .await?;
    let outcome = doctor_of_stores([])
        .env("AUTH_SECRET", SECRET)
        .env("SESSION_FORMAT", "authjs-database")
        .env("DATABASE_URL", reader(&postgres))
        .run();
    assert_eq!(
        findings(&outcome),
        [
            r#"column-missing: column "expires" of "sessions""#,
            r#"index-missing: column "sessionToken" of "sessions""#
        ],
        "{outcome:?}"
    );
    Ok(())
}

#[tokio::test]
async fn columns_used_by_rules_must_exist() -> Result<()> {
    let postgres = Postgres::start().await?;
    postgres.execute(TABLES).await?;
    postgres.execute("CREATE INDEX ON users (id)").await?;
    let (_folder, path) = file(
        "upstream = \"http://127.0.0.1:9\"\nlisten = \"127.0.0.1:8080\"\nenable_db_check = true\nuser_table = \"users\"\n\
         active = { column = \"banned\", equals = false }\n\n[[route]]\npath = \"/\"\n\
         require = [{ column = \"name\", equals = \"Ada\" }]\n",
    );
    let outcome = doctor([
        "--ignore",
        "service-unreachable",
        "--ignore",
        "revocation-time",
    ])
    .args(["--config", &path])
    .env("AUTH_SECRET", SECRET)
    .env("DATABASE_URL", reader(&postgres))
    .run();
    assert_eq!(
        findings(&outcome),
        [r#"column-missing: column "banned" of "users""#],
        "{outcome:?}"
    );
    Ok(())
}

#[tokio::test]
async fn an_sqlite_file_is_checked_without_being_changed() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("app.db");
    let sqlite = async |statement: &str| {
        let mut command = std::process::Command::new("python3");
        let script =
            "import sqlite3, sys; c = sqlite3.connect(sys.argv[1]); c.executescript(sys.argv[2])";
        command.args(["-c", script]).arg(&path).arg(statement);
        harness::run(command, "python3").await
    };
    sqlite("CREATE TABLE users (id TEXT, name TEXT); INSERT INTO users VALUES ('1', 'hidden')")
        .await?;
    let url = format!("sqlite://{}", path.display());
    let before = std::fs::read(&path)?;
    let outcome = of(&url);
    assert_eq!(
        findings(&outcome),
        [r#"index-missing: column "id" of "users""#],
        "{outcome:?}"
    );
    assert_eq!(std::fs::read(&path)?, before);
    let advice = finding_text(&outcome, "index-missing", "advice");
    sqlite(advice.trim_matches('`')).await?;
    let outcome = of(&url);
    assert_eq!(findings(&outcome), [""; 0], "{outcome:?}");
    assert_eq!(ids(&of_table(&url, "nobody")), ["table-missing"]);
    Ok(())
}

#[test]
fn an_unreachable_database_is_a_problem() {
    let port = free_port();
    let outcome = of(&format!("postgres://gate:hidden@127.0.0.1:{port}/app"));
    assert_eq!(
        findings(&outcome),
        [format!(
            "database-unreachable: database 127.0.0.1:{port}/app"
        )],
        "{outcome:?}"
    );
    assert_eq!(outcome.code, Some(1));
    assert!(!outcome.stdout.contains("hidden"));
}
