//! Tests of the stores against real servers: one contract for every store, and outages.

use std::future::poll_fn;
use std::pin::pin;
use std::sync::{Arc, Mutex};
use std::task::Poll;
use std::time::Duration;

use gate::{
    FindError, KnownSession, Lookup, LookupSource, SessionStore as _, StoreError, User,
    UserStore as _,
};
use harness::{CutProxy, PgBouncer, Postgres, Redis, TIMEOUT};
use session::SessionToken;
use sqlx::ConnectOptions;
use sqlx::sqlite::SqliteConnectOptions;
use tokio::runtime::Handle;
use tokio::sync::mpsc::UnboundedSender;
use tokio::time::{sleep, timeout};

use super::*;

mod better_auth;
mod bursts;
mod claims;
mod cluster;
mod cluster_changes;
mod columns;
mod migration;
mod outages;
mod postgres_changes;
mod rates;
mod replicas;
mod revocations;
mod sentinel;
mod sessions;
mod shares;
mod simulation;
mod tracking;
mod triggers;
pub(crate) mod urls;

const MINUTE: Duration = Duration::from_secs(60);
/// A limit on the bytes in memory that no test reaches.
const MANY_BYTES: u64 = 1 << 30;
/// A timeout that is long enough on a busy machine, and short enough for tests to wait for.
const LIMIT: Duration = Duration::from_secs(2);

/// The clock, as the binary reads it.
#[expect(clippy::disallowed_methods, reason = "a test has no other clock")]
mod clock {
    use std::time::{Instant, SystemTime, UNIX_EPOCH};

    use session::UnixTime;

    pub(super) fn monotonic() -> Instant {
        Instant::now()
    }

    pub(super) fn now() -> UnixTime {
        let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
        UnixTime::from_millis(u64::try_from(since_epoch.as_millis()).unwrap())
    }
}

/// Creates pools. No task is vital to a test: if a task panics, the test misses its effect.
fn pools() -> Pools {
    Pools::new(Process {
        runtime: Handle::current(),
        clock: Clock::new(clock::monotonic, clock::now),
        vital: |_| Box::new(()),
        random: || fastrand::u64(..),
        trial: Trial::default(),
    })
}

/// Records the outcomes of lookups.
#[derive(Debug, Default)]
struct RecordedOutcomes(Mutex<Vec<(FactKind, LookupSource, Outcome)>>);

impl Observer for RecordedOutcomes {
    fn answered(&self, asked: FactKind, source: LookupSource, outcome: Outcome) {
        self.0.lock().unwrap().push((asked, source, outcome));
    }
}

impl ChangeListener for RecordedOutcomes {
    fn changed(&self, _: Change<'_>) {}
}

impl RecordedOutcomes {
    fn count(&self, source: LookupSource, outcome: Outcome) -> usize {
        self.0
            .lock()
            .unwrap()
            .iter()
            .filter(|(_, from, what)| (*from, *what) == (source, outcome))
            .count()
    }
}

fn settings(database: DatabaseUrl, table: &str) -> Settings {
    Settings {
        realm: None,
        memory: MemorySettings {
            ttl: Duration::ZERO,
            entries: 100,
            bytes: MANY_BYTES,
        },
        announced_ttl: MINUTE,
        absent_ttl: MINUTE,
        stale_if_down: Duration::ZERO,
        redis: None,
        database: Some(DatabaseSettings {
            url: database,
            listen: None,
            timeout: LIMIT,
            max_connections: 4,
            users: Some(UserTable {
                table: Table::parse(table).unwrap(),
                id: Column::parse("id").unwrap(),
            }),
            sessions: None,
            columns: Vec::new(),
            time_zone: None,
        }),
        claims: Vec::new(),
    }
}

fn database(settings: &mut Settings) -> &mut DatabaseSettings {
    settings.database.as_mut().unwrap()
}

fn users(settings: &mut Settings) -> &mut UserTable {
    database(settings).users.as_mut().unwrap()
}

fn postgres(postgres: &Postgres) -> DatabaseUrl {
    postgres_at(&postgres.url(Postgres::DATABASE))
}

fn postgres_at(url: &str) -> DatabaseUrl {
    DatabaseUrl::Postgres(Box::new(urls::postgres_server(url)))
}

fn redis(url: &str) -> RedisSettings {
    RedisSettings {
        server: urls::redis_server(url),
        timeout: LIMIT,
        cache_ttl: MINUTE,
        key_prefix: "auth:".to_owned(),
        sessions: None,
        ca_file: None,
        format: CacheFormat::Record,
        tracking: false,
    }
}

/// The stores of one node.
#[derive(Clone)]
struct TestNode(Stores);

impl TestNode {
    async fn find(&self, subject: &str) -> Result<Lookup<User>, StoreError> {
        self.0.users().unwrap().find(subject).await
    }

    async fn look_up(&self, token: &SessionToken) -> Result<Lookup<KnownSession>, StoreError> {
        let client = Some(std::net::Ipv4Addr::LOCALHOST.into());
        let found = self.0.sessions().unwrap().find(token, client).await;
        found.map_err(|error| match error {
            FindError::Store(error) => error,
            FindError::Limited(exceeded) => panic!("there is no limit: {exceeded}"),
        })
    }

    fn health(&self) -> Vec<StoreHealth> {
        self.0.health()
    }

    async fn close(&self) {
        self.0.close().await;
    }
}

fn open(settings: Settings) -> (TestNode, Arc<RecordedOutcomes>) {
    open_on(&pools(), &settings)
}

fn open_on(pools: &Pools, settings: &Settings) -> (TestNode, Arc<RecordedOutcomes>) {
    let outcomes = Arc::new(RecordedOutcomes::default());
    let observer = Arc::clone(&outcomes) as Arc<dyn Observer>;
    let stores = Stores::open(
        settings,
        pools,
        observer,
        Arc::new(RecordedOutcomes::default()),
    )
    .unwrap();
    (TestNode(stores), outcomes)
}

/// Starts a server with a database that has user 7 in `users`.
async fn with_users() -> Postgres {
    let postgres = Postgres::start().await.unwrap();
    postgres
        .execute("CREATE TABLE users (id integer PRIMARY KEY); INSERT INTO users VALUES (7)")
        .await
        .unwrap();
    postgres
}

async fn exists(stores: &TestNode, subject: &str) -> bool {
    stores.find(subject).await.unwrap().found.is_some()
}

async fn source(stores: &TestNode, subject: &str) -> LookupSource {
    stores.find(subject).await.unwrap().source
}

/// Waits until the store is up, or down, and returns its health.
async fn until(stores: &TestNode, store: LookupSource, up: bool) -> Option<String> {
    let health = || {
        stores
            .health()
            .into_iter()
            .find(|health| health.source == store)
            .unwrap()
    };
    let waiting = async {
        while health().up != up || health().detail.as_deref() == Some("not queried yet") {
            sleep(Duration::from_millis(10)).await;
        }
    };
    timeout(TIMEOUT, waiting).await.unwrap();
    health().detail
}

/// Waits until Redis holds a key.
async fn cached(redis: &Redis, key: &str) -> String {
    let waiting = async {
        loop {
            let value = redis.cli(["GET", key]).await.unwrap();
            if !value.is_empty() {
                return value;
            }
        }
    };
    timeout(TIMEOUT, waiting).await.unwrap()
}

/// The contract of all stores: a user in the table exists, under its exact id and no other.
async fn contract(database: DatabaseUrl, table: &str, present: &[&str], absent: &[&str]) {
    let (stores, _) = open(settings(database, table));
    for subject in present {
        assert!(exists(&stores, subject).await, "{subject:?} in {table}");
    }
    let long = "7".repeat(1024);
    let hostile = [
        "",
        " ",
        "nobody",
        "7;",
        "' OR '1'='1",
        "7 OR 1=1",
        "7--",
        "\"id\"",
        "id",
        "\0",
        "7\0",
        "٧",
        "NaN",
    ];
    for subject in hostile.iter().chain(absent).chain([&&*long]) {
        assert!(!exists(&stores, subject).await, "{subject:?} in {table}");
    }
    stores.close().await;
    assert!(stores.find(present[0]).await.is_err());
}

#[tokio::test]
async fn postgres_finds_users_by_exact_spelling_in_columns_of_any_type() {
    let server = Postgres::start().await.unwrap();
    server
        .execute(
            r#"CREATE SCHEMA auth; CREATE DOMAIN auth.uid AS uuid; CREATE DOMAIN auth.uid2 AS auth.uid;
            CREATE TYPE auth."Id" AS ENUM ('Ann', 'bob');
            CREATE COLLATION anycase (provider = icu, locale = 'und-u-ks-level2', deterministic = false);
            CREATE TABLE ints (id integer PRIMARY KEY); INSERT INTO ints VALUES (7), (-1);
            CREATE TABLE smalls (id smallint PRIMARY KEY); INSERT INTO smalls VALUES (7);
            CREATE TABLE bigs (id bigint PRIMARY KEY); INSERT INTO bigs VALUES (7), (9223372036854775807);
            CREATE TABLE numerics (id numeric PRIMARY KEY); INSERT INTO numerics VALUES (8.50), (100000);
            CREATE TABLE auth."User" (id uuid PRIMARY KEY);
            INSERT INTO auth."User" VALUES ('0b8a6c2e-1f3d-4e5f-8a9b-0c1d2e3f4a5b');
            CREATE TABLE uids (id auth.uid2 PRIMARY KEY);
            INSERT INTO uids VALUES ('0b8a6c2e-1f3d-4e5f-8a9b-0c1d2e3f4a5b');
            CREATE TABLE texts (id text PRIMARY KEY); INSERT INTO texts VALUES ('Ann'), ('clx0 x'), ('zoë'), ('a''b"c');
            CREATE TABLE varchars (id varchar(36) PRIMARY KEY); INSERT INTO varchars VALUES ('Ann');
            CREATE TABLE chars (id char(8) PRIMARY KEY); INSERT INTO chars VALUES ('Ann');
            CREATE TABLE anycases (id text COLLATE anycase); INSERT INTO anycases VALUES ('ANN'), ('Ann');
            CREATE TABLE enums (id auth."Id" PRIMARY KEY); INSERT INTO enums VALUES ('Ann');
            CREATE VIEW active AS SELECT id FROM texts WHERE id <> 'clx0 x';"#,
        )
        .await
        .unwrap();
    let other_numbers = [
        "8",
        "007",
        "+7",
        " 7",
        "7 ",
        "7.0",
        "7e0",
        "0x7",
        "2147483648",
        "99999999999999999999",
    ];
    let other_texts = ["ann", "ANN ", "Ann ", " Ann", "bob"];
    let uuid = "0b8a6c2e-1f3d-4e5f-8a9b-0c1d2e3f4a5b";
    let other_uuids = [
        &*uuid.to_uppercase(),
        &uuid.replace('-', ""),
        &format!("{{{uuid}}}"),
        &uuid.replace('0', "1"),
        "7",
    ];
    for (table, present, absent) in [
        ("ints", &["7", "-1"][..], &other_numbers[..]),
        ("smalls", &["7"], &other_numbers),
        ("bigs", &["7", "9223372036854775807"], &other_numbers),
        ("numerics", &["8.50", "100000"], &["8.5", "1e5", "100000.0"]),
        ("auth.User", &[uuid], &other_uuids),
        ("uids", &[uuid], &other_uuids),
        ("texts", &["Ann", "clx0 x", "zoë", "a'b\"c"], &other_texts),
        ("varchars", &["Ann"], &other_texts),
        ("chars", &["Ann"], &other_texts),
        ("anycases", &["Ann", "ANN"], &other_texts),
        ("enums", &["Ann"], &other_texts),
        ("active", &["Ann"], &["clx0 x"]),
    ] {
        contract(postgres(&server), table, present, absent).await;
    }
}

#[tokio::test]
async fn postgres_finds_users_through_the_index() {
    let server = Postgres::start().await.unwrap();
    let uuid = "a1d0c6e8-3f02-7327-d846-1063f4ac58a6";
    for (table, column, ids, subject) in [
        ("ints", "integer", "n", "42"),
        ("bigs", "bigint", "n", "42"),
        ("uuids", "uuid", "md5(n::text)::uuid", uuid),
        ("texts", "text", "n::text", "42"),
        ("varchars", "varchar(36)", "n::text", "42"),
        ("chars", "char(36)", "n::text", "42"),
    ] {
        let rows = format!(
            "CREATE TABLE {table} (id {column} PRIMARY KEY); \
             INSERT INTO {table} SELECT {ids} FROM generate_series(1, 20000) n; ANALYZE {table}"
        );
        server.execute(&rows).await.unwrap();
        let (stores, _) = open(settings(postgres(&server), table));
        // Often enough for PostgreSQL to consider a generic plan.
        for _ in 0..10 {
            assert!(exists(&stores, subject).await);
        }
        stores.close().await;
        // PostgreSQL publishes its statistics when the session has ended.
        let waiting = async { while scans(&server, table).await.1 == 0 {} };
        timeout(TIMEOUT, waiting).await.unwrap();
        assert_eq!(
            scans(&server, table).await.0,
            0,
            "{table} was read from end to end"
        );
    }
}

/// How many rows of a table were read by sequential scans, and how often its index was used.
async fn scans(server: &Postgres, table: &str) -> (u64, u64) {
    let sql =
        format!("SELECT seq_tup_read, idx_scan FROM pg_stat_user_tables WHERE relname = '{table}'");
    let counts = server.execute(&sql).await.unwrap();
    let (whole, index) = counts.split_once('|').unwrap();
    (whole.parse().unwrap(), index.parse().unwrap())
}

#[tokio::test]
async fn sqlite_finds_users_by_exact_spelling() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("app.db");
    let url = format!("sqlite://{}", path.display());
    let options: SqliteConnectOptions = url.parse().unwrap();
    let mut writer = options
        .clone()
        .create_if_missing(true)
        .connect()
        .await
        .unwrap();
    let tables = "CREATE TABLE ints (id INTEGER PRIMARY KEY); INSERT INTO ints VALUES (7), (-1);
        CREATE TABLE texts (id TEXT PRIMARY KEY COLLATE NOCASE); INSERT INTO texts VALUES ('Ann'), ('007');
        CREATE TABLE uuids (id UUID PRIMARY KEY); INSERT INTO uuids VALUES ('0b8a6c2e-1f3d-4e5f-8a9b-0c1d2e3f4a5b')";
    sqlx::raw_sql(tables).execute(&mut writer).await.unwrap();
    let sqlite = || DatabaseUrl::Sqlite(Box::new(options.clone()));

    contract(
        sqlite(),
        "ints",
        &["7", "-1"],
        &["8", "007", "+7", "7.0", " 7", "7e0", "9223372036854775808"],
    )
    .await;
    contract(
        sqlite(),
        "main.texts",
        &["Ann", "007"],
        &["ann", "7", "Ann "],
    )
    .await;
    let uuid = "0b8a6c2e-1f3d-4e5f-8a9b-0c1d2e3f4a5b";
    contract(sqlite(), "uuids", &[uuid], &[&uuid.to_uppercase()]).await;

    // A missing column is a failure, and not the text "nickname".
    let mut wrong = settings(sqlite(), "texts");
    users(&mut wrong).id = Column::parse("nickname").unwrap();
    let (stores, _) = open(wrong);
    let error = stores.find("nickname").await.unwrap_err().to_string();
    assert!(error.contains("no such column"), "{error}");
}

#[tokio::test]
async fn sqlite_that_is_missing_is_a_failure_and_stays_missing() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("app.db");
    let options: SqliteConnectOptions = format!("sqlite://{}?mode=rwc", path.display())
        .parse()
        .unwrap();
    let (stores, _) = open(settings(DatabaseUrl::Sqlite(Box::new(options)), "users"));
    let error = stores.find("7").await.unwrap_err().to_string();
    assert!(error.contains("unable to open database file"), "{error}");
    until(&stores, LookupSource::Sqlite, false).await;
    assert!(!path.exists());
}

#[tokio::test]
async fn sqlite_in_memory_is_shared_with_its_writer() {
    let options: SqliteConnectOptions = "sqlite://file:people?mode=memory&cache=shared"
        .parse()
        .unwrap();
    let mut writer = options.clone().connect().await.unwrap();
    sqlx::raw_sql("CREATE TABLE users (id TEXT PRIMARY KEY)")
        .execute(&mut writer)
        .await
        .unwrap();
    let (stores, _) = open(settings(DatabaseUrl::Sqlite(Box::new(options)), "users"));
    for _ in 0..50 {
        sqlx::raw_sql("INSERT INTO users VALUES ('ann')")
            .execute(&mut writer)
            .await
            .unwrap();
        assert!(exists(&stores, "ann").await);
        sqlx::raw_sql("DELETE FROM users WHERE id = 'ann'")
            .execute(&mut writer)
            .await
            .unwrap();
        assert!(!exists(&stores, "ann").await);
    }
    // While a writer holds the table, a lookup waits for it.
    sqlx::raw_sql("BEGIN; INSERT INTO users VALUES ('ann')")
        .execute(&mut writer)
        .await
        .unwrap();
    let commit = async {
        sleep(Duration::from_millis(50)).await;
        sqlx::raw_sql("COMMIT").execute(&mut writer).await.unwrap();
    };
    let (found, ()) = tokio::join!(exists(&stores, "ann"), commit);
    assert!(found);
}

#[tokio::test]
async fn each_store_caches_the_answers_of_the_next() {
    let (server, cache) = (with_users().await, Redis::start().await.unwrap());
    let chain = || Settings {
        memory: MemorySettings {
            ttl: MINUTE,
            entries: 100,
            bytes: MANY_BYTES,
        },
        redis: Some(redis(&cache.url())),
        ..settings(postgres(&server), "users")
    };
    let (stores, outcomes) = open(chain());
    for (subject, present, ttl) in [("7", true, MINUTE), ("8", false, MINUTE)] {
        assert_eq!(source(&stores, subject).await, LookupSource::Postgres);
        assert_eq!(source(&stores, subject).await, LookupSource::Memory);
        assert_eq!(exists(&stores, subject).await, present);
        let key = format!("auth:{subject}");
        let value = cached(&cache, &key).await;
        assert!(value.contains(&format!("\"user\":{present}")), "{value}");
        let left: u128 = cache.cli(["PTTL", &key]).await.unwrap().parse().unwrap();
        assert!((1..=ttl.as_millis()).contains(&left), "{left}");

        // Another node finds the answer in Redis.
        let (node, _) = open(chain());
        assert_eq!(
            node.find(subject).await.unwrap(),
            Lookup {
                source: LookupSource::Redis,
                ..stores.find(subject).await.unwrap()
            }
        );
        assert_eq!(source(&node, subject).await, LookupSource::Memory);
    }
    assert_eq!(outcomes.count(LookupSource::Postgres, Outcome::Present), 1);
    assert_eq!(outcomes.count(LookupSource::Postgres, Outcome::Absent), 1);
    assert_eq!(outcomes.count(LookupSource::Redis, Outcome::Missed), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_lookup_serves_all_waiting_requests_even_when_the_first_is_canceled() {
    let server = with_users().await;
    let proxy = CutProxy::start(&server.address()).await.unwrap();
    let url = server.url_through(&proxy.address(), Postgres::DATABASE);
    let mut chain = settings(postgres_at(&url), "users");
    database(&mut chain).timeout = TIMEOUT;
    let (stores, outcomes) = open(chain);
    until(&stores, LookupSource::Postgres, true).await;
    proxy.stall();
    assert!(
        timeout(Duration::from_millis(20), stores.find("7"))
            .await
            .is_err(),
        "the proxy is stalled"
    );

    let (joined, mut arrivals) = tokio::sync::mpsc::unbounded_channel();
    let wait = async |stores: TestNode, joined: UnboundedSender<()>| {
        let mut find = pin!(stores.find("7"));
        assert!(
            poll_fn(|context| Poll::Ready(find.as_mut().poll(context)))
                .await
                .is_pending()
        );
        joined.send(()).unwrap();
        find.await.unwrap()
    };
    let cores: Vec<_> = (0..20)
        .map(|_| {
            let (stores, joined) = (stores.clone(), joined.clone());
            std::thread::spawn(move || {
                let runtime = tokio::runtime::Builder::new_current_thread()
                    .build()
                    .unwrap();
                let waiting = (0..5).map(|_| wait(stores.clone(), joined.clone()));
                runtime.block_on(all(waiting))
            })
        })
        .collect();
    for _ in 0..100 {
        arrivals.recv().await.unwrap();
    }
    proxy.restore().await.unwrap();
    let lookups = tokio::task::spawn_blocking(|| {
        cores
            .into_iter()
            .flat_map(|core| core.join().unwrap())
            .collect()
    });
    let lookups: Vec<_> = lookups.await.unwrap();
    assert_eq!(
        lookups,
        vec![
            Lookup {
                found: Some(User::default()),
                source: LookupSource::Postgres
            };
            100
        ]
    );
    assert_eq!(outcomes.count(LookupSource::Postgres, Outcome::Present), 1);
}

/// Runs all futures at once.
async fn all<F: Future>(futures: impl Iterator<Item = F>) -> Vec<F::Output> {
    let mut futures: Vec<_> = futures.map(|future| (Box::pin(future), None)).collect();
    poll_fn(|context| {
        for (future, output) in futures.iter_mut().filter(|(_, output)| output.is_none()) {
            if let Poll::Ready(ready) = future.as_mut().poll(context) {
                *output = Some(ready);
            }
        }
        match futures.iter().all(|(_, output)| output.is_some()) {
            true => Poll::Ready(()),
            false => Poll::Pending,
        }
    })
    .await;
    futures
        .into_iter()
        .filter_map(|(_, output)| output)
        .collect()
}

#[tokio::test]
async fn a_user_in_memory_is_found_at_the_first_poll() {
    let server = with_users().await;
    let mut chain = settings(postgres(&server), "users");
    chain.memory.ttl = MINUTE;
    let (stores, _) = open(chain);
    assert!(exists(&stores, "7").await);
    let mut find = pin!(stores.find("7"));
    assert!(
        poll_fn(|context| Poll::Ready(find.as_mut().poll(context)))
            .await
            .is_ready()
    );
}

#[tokio::test]
async fn a_changed_table_is_read_again() {
    let server = Postgres::start().await.unwrap();
    let (stores, _) = open(settings(postgres(&server), "users"));
    let error = stores.find("7").await.unwrap_err().to_string();
    assert!(error.contains("does not exist"), "{error}");

    server
        .execute("CREATE TABLE users (id integer PRIMARY KEY); INSERT INTO users VALUES (7)")
        .await
        .unwrap();
    assert!(exists(&stores, "7").await);
    assert!(!exists(&stores, "ann").await);
    server
        .execute("ALTER TABLE users ALTER id TYPE text; INSERT INTO users VALUES ('ann')")
        .await
        .unwrap();
    assert!(exists(&stores, "ann").await);
    assert!(exists(&stores, "7").await);
    server
        .execute("DELETE FROM users WHERE id = 'ann'; ALTER TABLE users ALTER id TYPE bigint USING id::bigint")
        .await
        .unwrap();
    assert!(exists(&stores, "7").await);
    assert!(!exists(&stores, "ann").await);
    server
        .execute("ALTER TABLE users RENAME id TO key")
        .await
        .unwrap();
    assert!(stores.find("7").await.is_err());
}

#[tokio::test]
async fn postgres_and_redis_are_reached_over_tls_that_is_verified() {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let server = Postgres::options().tls().start().await.unwrap();
    server
        .execute("CREATE TABLE users (id integer PRIMARY KEY); INSERT INTO users VALUES (7)")
        .await
        .unwrap();
    let cache = Redis::options()
        .tls()
        .password("p@ss:w/o#rd?%41ü")
        .start()
        .await
        .unwrap();
    let url = format!("{}?sslmode=verify-full", server.url(Postgres::DATABASE));
    let trusting = format!("{url}&sslrootcert={}", server.authority().display());

    let tls_port = cache.tls_url().rsplit_once(':').unwrap().1.to_owned();
    let mut over_tls = redis(&format!(
        "rediss://:p%40ss%3Aw%2Fo%23rd%3F%2541%C3%BC@localhost:{tls_port}"
    ));
    let mut chain = settings(postgres_at(&trusting), "users");
    chain.redis = Some(RedisSettings {
        ca_file: Some(cache.authority()),
        ..over_tls.clone()
    });
    let (stores, _) = open(chain.clone());
    assert_eq!(source(&stores, "7").await, LookupSource::Postgres);
    cached(&cache, "auth:7").await;
    assert_eq!(source(&stores, "7").await, LookupSource::Redis);

    // Without the CA, neither server is trusted.
    over_tls.ca_file = None;
    chain.redis = Some(over_tls.clone());
    database(&mut chain).url = postgres_at(&url);
    let (stores, _) = open(chain.clone());
    assert!(stores.find("7").await.is_err());
    for store in [LookupSource::Redis, LookupSource::Postgres] {
        let detail = until(&stores, store, false).await.unwrap();
        assert!(
            detail.to_lowercase().contains("certificate"),
            "{store}: {detail}"
        );
    }

    // An invalid CA file is an error at once.
    for missing in ["/nonexistent.pem", "/dev/null"] {
        over_tls.ca_file = Some(missing.into());
        chain.redis = Some(over_tls.clone());
        let opened = Stores::open(
            &chain,
            &pools(),
            Arc::new(RecordedOutcomes::default()),
            Arc::new(RecordedOutcomes::default()),
        );
        assert!(matches!(opened, Err(StoreOpenError::File(_))), "{missing}");
    }
}
