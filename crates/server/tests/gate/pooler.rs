//! A real PgBouncer between the gate and PostgreSQL, which assigns each transaction to any of its connections, and other
//! programs that use the same pool.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use harness::{Client, Echo, GateCommand, Mint, PgBouncer, Postgres, Request};
use tokio::task::JoinSet;
use tokio_postgres::NoTls;
use tokio_postgres::types::Type;

use crate::support::gate;

/// The number of the pooler's connections to PostgreSQL.
const POOL: usize = 3;
const CLIENTS: usize = 16;
/// The number of rounds, each with a new gate.
const ROUNDS: usize = 5;
/// The requests of each client in each round, with one lookup each.
const REQUESTS: usize = 125;
const _: () = assert!(CLIENTS * ROUNDS * REQUESTS == 10_000);

const TABLES: &str = "\
    CREATE TABLE users (id text PRIMARY KEY, email text, name text, \"emailVerified\" timestamptz);
    CREATE TABLE sessions (\"sessionToken\" text PRIMARY KEY, \"userId\" text, expires timestamptz);
    INSERT INTO users SELECT 'user-' || n, 'user-' || n || '@example.com' FROM generate_series(0, 15) AS n;
    INSERT INTO sessions SELECT 'token-of-user-' || n, 'user-' || n, now() + interval '1 hour'
        FROM generate_series(0, 15) AS n;";

struct World {
    echo: Echo,
    pooler: PgBouncer,
    postgres: Postgres,
}

impl World {
    async fn start() -> Result<Self> {
        let postgres = Postgres::start().await?;
        postgres.execute(TABLES).await?;
        Ok(Self {
            echo: Echo::start().await?,
            pooler: PgBouncer::start(&postgres, POOL).await?,
            postgres,
        })
    }

    fn url(&self) -> String {
        self.postgres
            .url_through(&self.pooler.address(), Postgres::DATABASE)
    }

    /// Returns the command of a gate that checks the users of sealed sessions, looks up session tokens, and caches nothing.
    fn gate(&self) -> GateCommand {
        gate(&self.echo.url())
            .env("SESSION_SCHEMA", "pg-adapter")
            .env("ENABLE_DB_CHECK", "true")
            .env("DATABASE_URL", format!("{}?pgbouncer=true", self.url()))
            .env("MEMORY_CACHE_TTL", "0")
            .env("ABSENT_CACHE_TTL", "0")
            // The test is about correct answers, not about their speed on a busy machine.
            .env("DATABASE_TIMEOUT", "20000")
    }
}

#[tokio::test]
async fn ten_thousand_lookups_through_a_pool_of_three_get_the_right_answers() -> Result<()> {
    let world = World::start().await?;
    let mut neighbours = JoinSet::new();
    for number in 0..2 {
        neighbours.spawn(neighbour(world.url(), number));
    }
    for _ in 0..ROUNDS {
        let gate = world.gate().start().await?;
        let mut clients = JoinSet::new();
        for number in 0..CLIENTS {
            let client = gate.connect().await?;
            clients.spawn(look_up(client, number, REQUESTS));
        }
        while let Some(outcome) = clients.join_next().await {
            outcome??;
        }
    }
    assert!(
        neighbours.try_join_next().is_none(),
        "the other programs run to the end"
    );
    let open = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() \
                AND backend_type = 'client backend' AND pid <> pg_backend_pid()";
    let open: usize = world.postgres.execute(open).await?.parse()?;
    assert!((1..=POOL).contains(&open), "{open} connections");
    Ok(())
}

/// Sends requests that cause every kind of lookup in turn, as one user, over one connection.
async fn look_up(mut client: Client, number: usize, count: usize) -> Result<()> {
    let user = format!("user-{number}");
    let absent = format!("absent-{number}");
    let queries = [
        (Mint::user(&user).authjs(), 200),
        (format!("authjs.session-token=token-of-{user}"), 200),
        (Mint::user(&absent).authjs(), 403),
        (format!("authjs.session-token=token-of-{absent}"), 401),
    ];
    let requests = queries.map(|(cookies, status)| (Request::get("/").cookie(cookies), status));
    for turn in 0..count {
        let (request, expected) = &requests[(turn + number) % requests.len()];
        let answer = client.send(request).await?;
        ensure!(
            answer.status == *expected,
            "{} in place of {expected}: {}",
            answer.status,
            answer.text()
        );
        if answer.status == 200 {
            let seen = answer.text();
            ensure!(
                seen.to_lowercase()
                    .contains(&format!(r#"["x-user-id","{user}"]"#)),
                "the service saw another user than {user}: {seen}"
            );
        }
    }
    Ok(())
}

/// Another program in the same pool, which never ends. It executes named and unnamed statements, some of which look like the
/// gate's. With names it sometimes fails, or gets the answer to another's statement: that is a limit of this mode of pooling.
async fn neighbour(url: String, number: usize) -> Result<()> {
    let (client, connection) = tokio_postgres::connect(&url, NoTls).await?;
    let querying = async {
        for turn in 0_u64.. {
            let lie = format!("SELECT 'intruder-{number}-{turn}'::text WHERE $1::text IS NOT NULL");
            // A failure is expected, see above.
            if let Ok(statement) = client.prepare(&lie).await {
                let _ = client.query(&statement, &[&"x"]).await;
            }
            let parameters = [(&"stranger" as _, Type::TEXT)];
            let rows = client
                .query_typed("SELECT $1::text, 1, 2, 3", &parameters)
                .await?;
            ensure!(rows.len() == 1, "the neighbour is answered too");
            // Leaves CPU time to the gate and its clients.
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        Ok(())
    };
    tokio::select! {
        outcome = querying => outcome,
        outcome = connection => Ok(outcome?),
    }
}

#[tokio::test]
async fn a_restarted_gate_repeats_queries_through_the_same_pooler() -> Result<()> {
    let world = World::start().await?;
    let request = Request::get("/").cookie("authjs.session-token=token-of-user-7");
    // The pooler keeps the connections that earlier gates have used.
    for _ in 0..6 {
        let gate = world
            .gate()
            .env("SESSION_FORMAT", "authjs-database")
            .without("ENABLE_DB_CHECK")
            .start()
            .await?;
        for _ in 0..3 {
            assert_eq!(gate.send(&request).await?.status, 200);
        }
        let seen = world.echo.seen().pop().context("it reached the upstream")?;
        assert_eq!(seen.headers.get("x-user-id"), Some("user-7"));
    }
    Ok(())
}

#[tokio::test]
async fn a_schema_is_found_through_a_pooler_without_search_path() -> Result<()> {
    let world = World::start().await?;
    let tables = format!(
        "CREATE SCHEMA tenant; SET search_path = tenant; {TABLES} DELETE FROM users WHERE id = 'user-1';"
    );
    world.postgres.execute(&tables).await?;
    let gate = world
        .gate()
        .env(
            "DATABASE_URL",
            format!("{}?pgbouncer=true&schema=tenant", world.url()),
        )
        .start()
        .await?;
    for (user, status) in [("user-0", 200), ("user-1", 403)] {
        let request = Request::get("/").cookie(Mint::user(user).authjs());
        assert_eq!(gate.send(&request).await?.status, status, "{user}");
    }
    Ok(())
}

#[tokio::test]
async fn session_and_statement_pooling_work() -> Result<()> {
    let mut world = World::start().await?;
    for mode in ["session", "statement"] {
        world.pooler = PgBouncer::start_in_mode(&world.postgres, mode, POOL).await?;
        let gate = world
            .gate()
            .env("DATABASE_CONNECTIONS", POOL.to_string())
            .start()
            .await?;
        let mut clients = JoinSet::new();
        for number in 0..CLIENTS {
            let client = gate.connect().await?;
            clients.spawn(look_up(client, number, 4));
        }
        while let Some(outcome) = clients.join_next().await {
            outcome??;
        }
    }
    Ok(())
}
