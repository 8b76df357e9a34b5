//! Sessions: one contract for every truth, and how caches keep sessions.

use gate::SessionStore as _;
use session::{
    ClaimDemands, CookieName, KeyRing, OpenError, Opened, SealedSession, SessionCookie,
    StoredSession, UnixTime,
};
use sqlx::SqliteConnection;

use super::*;

/// The token of an Auth.js cookie.
pub(super) fn token(text: &str) -> SessionToken {
    let name: CookieName = "sid".parse().unwrap();
    let cookies = vec![SessionCookie::authjs_database(name)];
    let keys = KeyRing::of_groups(&[(&[], cookies)]).unwrap();
    let cookie = format!("sid={text}");
    let sealed = SealedSession::find(&keys, [cookie.as_bytes()], []).unwrap();
    let opened = sealed
        .unwrap()
        .open(&keys, &ClaimDemands::default(), clock::now());
    match opened.unwrap() {
        Opened::Lookup { token, .. } => token,
        Opened::Session(session) => panic!("{session:?} needs no lookup"),
    }
}

/// The time this many seconds from now, in milliseconds since 1970, in whole seconds because some columns hold no
/// fractions.
fn in_secs(secs: i64) -> i64 {
    i64::try_from(clock::now().secs()).unwrap() * 1000 + secs * 1000
}

/// A session as the application stores it.
#[derive(Clone, Copy)]
struct Row<'a> {
    token: &'a str,
    user: &'a str,
    created: i64,
    expires: i64,
}

const HOUR: i64 = 60 * 60;
const TOKEN: &str = "Hf3kQz0pVbX9tY2mWc8sLd5nRj7gAe1u";

/// The application's own store, to which a test can write.
trait App {
    /// The ids of two users, Ada with e-mail address and name, and another user with neither; and an id that does not
    /// exist.
    fn users(&self) -> [String; 3];
    /// Whether the store keeps the time of creation.
    const KEEPS_CREATION: bool;
    /// Whether a session can outlive its user.
    const KEEPS_ORPHANS: bool = false;
    async fn write(&mut self, row: Row<'_>);
}

/// Looks up the session with the token `text`. `None` if it is not found or has ended.
async fn alive(node: &TestNode, text: &str) -> Option<StoredSession> {
    let token = token(text);
    let stored = node.look_up(&token).await.unwrap().found?.stored;
    match token.open(&stored, &ClaimDemands::default(), clock::now()) {
        Ok(session) => {
            assert_eq!(session.subject(), stored.columns().subject);
            Some(stored)
        }
        Err(OpenError::Expired { .. }) => None,
        Err(error) => panic!("{error}"),
    }
}

/// Checks the contract of all truths: a session is found by its own token, with its user, until it ends.
async fn contract<A: App>(app: &mut A, settings: Settings) {
    let (node, _) = open(settings);
    let [ada, other, nobody] = app.users();
    let row = Row {
        token: TOKEN,
        user: &ada,
        created: in_secs(-HOUR),
        expires: in_secs(HOUR),
    };
    app.write(row).await;
    let session = alive(&node, TOKEN).await.unwrap();
    let columns = session.columns();
    assert_eq!(columns.subject, ada);
    assert_eq!(columns.email, Some("ada@example.com"));
    assert_eq!(columns.name, Some("Ada \"λ\" O'Hara"));
    let time = |millis: i64| UnixTime::from_millis(millis.try_into().unwrap());
    assert_eq!(columns.expires_at, time(row.expires));
    let created = A::KEEPS_CREATION.then(|| time(row.created));
    assert_eq!(columns.issued_at, created);

    let plain = Row {
        token: "plain",
        user: &other,
        ..row
    };
    app.write(plain).await;
    let session = alive(&node, "plain").await.unwrap();
    assert_eq!(session.columns().subject, other);
    assert_eq!(
        (session.columns().email, session.columns().name),
        (None, None)
    );

    let ended = Row {
        token: "ended",
        expires: in_secs(-1),
        ..row
    };
    app.write(ended).await;
    assert_eq!(alive(&node, "ended").await, None);
    if !A::KEEPS_ORPHANS {
        app.write(Row {
            token: "orphan",
            user: &nobody,
            ..row
        })
        .await;
        assert_eq!(node.look_up(&token("orphan")).await.unwrap().found, None);
    }

    let long = "x".repeat(512);
    for other in [
        "unknown",
        &TOKEN.to_lowercase(),
        &TOKEN.to_uppercase(),
        &TOKEN[1..],
        &TOKEN[..31],
        &format!("{TOKEN}0"),
        &format!("{TOKEN}%"),
        &format!("{TOKEN}'--"),
        "%",
        "_",
        "*",
        "'OR'1'='1",
        "token",
        "sessionToken",
        "NULL",
        "7",
        &ada,
        &long,
    ] {
        assert_eq!(
            node.look_up(&token(other)).await.unwrap().found,
            None,
            "{other}"
        );
    }
    node.close().await;
    assert!(node.look_up(&token(TOKEN)).await.is_err());
}

/// An application whose sessions are in a database.
struct SqlApp<D> {
    database: D,
    users: [&'static str; 3],
    tables: SessionTables,
    /// The types of the columns of tokens, ids and times.
    types: [&'static str; 3],
    /// Writes the SQL for a time, given in milliseconds.
    time: fn(i64) -> String,
}

impl<D: WritableDatabase> SqlApp<D> {
    async fn new(
        database: D,
        tables: SessionTables,
        users: [&'static str; 3],
        types: [&'static str; 3],
        time: fn(i64) -> String,
    ) -> Self {
        let mut app = Self {
            database,
            users,
            tables,
            types,
            time,
        };
        let SessionTables {
            table,
            token,
            user,
            expires,
            created,
            users,
            ..
        } = &app.tables;
        let [of_token, of_id, of_time] = app.types;
        let created = created
            .as_ref()
            .map(|created| format!(", {} {of_time}", created.quoted()));
        let [ada, other, _] = app.users;
        let sql = format!(
            "CREATE TABLE {users} ({id} {of_id} PRIMARY KEY, email text, name text);
             CREATE TABLE {table} ({token} {of_token}, {user} {of_id}, {expires} {of_time}{created});
             INSERT INTO {users} VALUES ('{ada}', 'ada@example.com', 'Ada \"λ\" O''Hara'), ('{other}', NULL, NULL)",
            users = users.table.quoted(),
            id = users.id.quoted(),
            table = table.quoted(),
            token = token.quoted(),
            user = user.quoted(),
            expires = expires.quoted(),
            created = created.as_deref().unwrap_or_default(),
        );
        app.database.execute(&sql).await;
        app
    }

    async fn insert(&mut self, token: &str, user: Option<&str>, created: &str, expires: &str) {
        let table = self.tables.table.quoted();
        let user = user.map_or("NULL".to_owned(), |user| format!("'{user}'"));
        let created = self.tables.created.as_ref().map(|_| format!(", {created}"));
        let created = created.unwrap_or_default();
        let sql = format!("INSERT INTO {table} VALUES ('{token}', {user}, {expires}{created})");
        self.database.execute(&sql).await;
    }

    fn settings(&self) -> Settings {
        let mut settings = settings(self.database.url(), "users");
        database(&mut settings).users = None;
        database(&mut settings).sessions = Some(self.tables.clone());
        settings
    }
}

impl<D: WritableDatabase> App for SqlApp<D> {
    const KEEPS_CREATION: bool = D::KEEPS_CREATION;

    fn users(&self) -> [String; 3] {
        self.users.map(str::to_owned)
    }

    async fn write(&mut self, row: Row<'_>) {
        let (created, expires) = ((self.time)(row.created), (self.time)(row.expires));
        self.insert(row.token, Some(row.user), &created, &expires)
            .await;
    }
}

pub(super) trait WritableDatabase {
    const KEEPS_CREATION: bool;
    async fn execute(&mut self, sql: &str);
    fn url(&self) -> DatabaseUrl;
}

/// A database in PostgreSQL, with or without a column for the time of creation.
pub(super) struct OnPostgres<'a, const CREATION: bool>(pub(super) &'a Postgres);

impl<const CREATION: bool> WritableDatabase for OnPostgres<'_, CREATION> {
    const KEEPS_CREATION: bool = CREATION;

    async fn execute(&mut self, sql: &str) {
        self.0.execute(sql).await.unwrap();
    }

    fn url(&self) -> DatabaseUrl {
        postgres(self.0)
    }
}

pub(super) struct OnSqlite {
    pub(super) options: SqliteConnectOptions,
    pub(super) writer: SqliteConnection,
}

impl WritableDatabase for OnSqlite {
    const KEEPS_CREATION: bool = true;

    async fn execute(&mut self, sql: &str) {
        sqlx::raw_sql(sqlx::AssertSqlSafe(sql))
            .execute(&mut self.writer)
            .await
            .unwrap();
    }

    fn url(&self) -> DatabaseUrl {
        DatabaseUrl::Sqlite(Box::new(self.options.clone()))
    }
}

impl OnSqlite {
    pub(super) async fn new(folder: &tempfile::TempDir, name: &str) -> Self {
        let path = folder.path().join(name);
        let options: SqliteConnectOptions = format!("sqlite://{}", path.display()).parse().unwrap();
        let writer = options
            .clone()
            .create_if_missing(true)
            .connect()
            .await
            .unwrap();
        Self { options, writer }
    }
}

/// The tables with an adapter's names for table, token, user, expires, created and users.
pub(super) fn tables([table, token, user, expires, created, users]: [&str; 6]) -> SessionTables {
    let column = |name: &str| Column::parse(name).unwrap();
    SessionTables {
        table: Table::parse(table).unwrap(),
        token: column(token),
        user: column(user),
        expires: column(expires),
        created: (!created.is_empty()).then(|| column(created)),
        users: UserTable {
            table: Table::parse(users).unwrap(),
            id: column("id"),
        },
        email: Some(column("email")),
        name: Some(column("name")),
        time_zone: None,
        standing: crate::StandingColumns {
            verified: None,
            null_is_unverified: false,
            anonymous: None,
            impersonated_by: None,
        },
    }
}

const NUMBERS: [&str; 3] = ["7", "8", "9"];
const TEXTS: [&str; 3] = ["Ann", "zoë", "ann"];
const UUIDS: [&str; 3] = [
    "0b8a6c2e-1f3d-4e5f-8a9b-0c1d2e3f4a5b",
    "1b8a6c2e-1f3d-4e5f-8a9b-0c1d2e3f4a5b",
    "2b8a6c2e-1f3d-4e5f-8a9b-0c1d2e3f4a5b",
];

fn absolute(millis: i64) -> String {
    format!("to_timestamp({millis} / 1000.0)")
}

fn in_utc(millis: i64) -> String {
    format!("to_timestamp({millis} / 1000.0) AT TIME ZONE 'UTC'")
}

#[tokio::test]
async fn postgres_finds_sessions_in_the_tables_of_every_adapter() {
    let server = Postgres::start().await.unwrap();
    // The time zone that is farthest from UTC. The role's zone must not affect columns without a time zone.
    let setup = "ALTER ROLE gate SET TimeZone = 'Pacific/Kiritimati'; ALTER DATABASE app SET TimeZone = 'Pacific/Kiritimati';
        CREATE SCHEMA prisma; CREATE SCHEMA better;
        CREATE COLLATION anycase (provider = icu, locale = 'und-u-ks-level2', deterministic = false)";
    server.execute(setup).await.unwrap();
    let with_creation = || OnPostgres::<true>(&server);
    let without = || OnPostgres::<false>(&server);

    let names = ["sessions", "sessionToken", "userId", "expires", "", "users"];
    let types = ["varchar(255)", "integer", "timestamptz"];
    let mut app = SqlApp::new(without(), tables(names), NUMBERS, types, absolute).await;
    let settings = app.settings();
    contract(&mut app, settings.clone()).await;

    // Older tables of this adapter allow duplicate tokens, and sessions without a user.
    let (node, outcomes) = open(settings);
    app.insert("no-user", None, "", &absolute(in_secs(HOUR)))
        .await;
    assert_eq!(node.look_up(&token("no-user")).await.unwrap().found, None);
    assert_eq!(
        outcomes.count(LookupSource::Postgres, Outcome::Malformed),
        0
    );
    for user in ["7", "8"] {
        app.insert("twice", Some(user), "", &absolute(in_secs(HOUR)))
            .await;
    }
    assert_eq!(node.look_up(&token("twice")).await.unwrap().found, None);
    for (name, expires) in [
        ("endless", "'infinity'"),
        ("null", "NULL"),
        ("far", "'290000-01-01'"),
    ] {
        app.insert(name, Some("7"), "", expires).await;
        assert_eq!(
            node.look_up(&token(name)).await.unwrap().found,
            None,
            "{name}"
        );
    }
    assert_eq!(
        outcomes.count(LookupSource::Postgres, Outcome::Malformed),
        4
    );
    app.insert("past", Some("7"), "", "'-infinity'").await;
    assert_eq!(alive(&node, "past").await, None);

    let names = ["session", "sessionToken", "userId", "expires", "", "user"];
    let types = ["text PRIMARY KEY", "text", "timestamp"];
    let mut app = SqlApp::new(without(), tables(names), TEXTS, types, in_utc).await;
    let settings = app.settings();
    contract(&mut app, settings).await;

    let names = [
        "prisma.Session",
        "sessionToken",
        "userId",
        "expires",
        "",
        "prisma.User",
    ];
    let types = [
        "text COLLATE anycase",
        "text COLLATE anycase",
        "timestamp(3)",
    ];
    let users = ["Ann", "zoë", "bob"];
    let mut app = SqlApp::new(without(), tables(names), users, types, in_utc).await;
    let settings = app.settings();
    contract(&mut app, settings).await;

    let names = [
        "better.session",
        "token",
        "userId",
        "expiresAt",
        "createdAt",
        "better.user",
    ];
    let types = ["text UNIQUE", "uuid", "timestamptz"];
    let mut app = SqlApp::new(with_creation(), tables(names), UUIDS, types, absolute).await;
    let settings = app.settings();
    contract(&mut app, settings).await;

    let names = [
        "better.sessions",
        "token",
        "user_id",
        "expires_at",
        "created_at",
        "better.users",
    ];
    let types = ["text UNIQUE", "bigint", "timestamp"];
    let mut app = SqlApp::new(with_creation(), tables(names), NUMBERS, types, in_utc).await;
    let settings = app.settings();
    contract(&mut app, settings).await;
}

#[tokio::test]
async fn postgres_finds_sessions_through_the_indexes() {
    let server = Postgres::start().await.unwrap();
    let rows = r#"
        CREATE TABLE users (id serial PRIMARY KEY, email text, name text);
        CREATE TABLE sessions ("sessionToken" varchar(255) UNIQUE, "userId" integer, expires timestamptz);
        INSERT INTO users SELECT n, n::text, NULL FROM generate_series(1, 20000) n;
        INSERT INTO sessions SELECT 't' || n, n, now() + '1 hour' FROM generate_series(1, 20000) n;
        ANALYZE users; ANALYZE sessions"#;
    server.execute(rows).await.unwrap();
    let mut chain = settings(postgres(&server), "users");
    let names = ["sessions", "sessionToken", "userId", "expires", "", "users"];
    database(&mut chain).sessions = Some(tables(names));
    let (node, _) = open(chain);
    for _ in 0..10 {
        assert!(alive(&node, "t42").await.is_some());
    }
    node.close().await;
    for table in ["users", "sessions"] {
        let waiting = async { while scans(&server, table).await.1 == 0 {} };
        timeout(TIMEOUT, waiting).await.unwrap();
        assert_eq!(
            scans(&server, table).await.0,
            0,
            "{table} was read from end to end"
        );
    }
}

#[tokio::test]
async fn sqlite_finds_sessions_with_times_in_any_usual_form() {
    let folder = tempfile::tempdir().unwrap();
    let names = [
        "session",
        "token",
        "userId",
        "expiresAt",
        "createdAt",
        "user",
    ];
    fn iso(millis: i64) -> String {
        let time = jiff::Timestamp::from_millisecond(millis).unwrap();
        format!("'{time:.3}'")
    }
    fn plain(millis: i64) -> String {
        iso(millis).replace('T', " ").replace(".000Z", "")
    }
    for (file, users, types, time) in [
        (
            "prisma",
            TEXTS,
            ["TEXT", "TEXT", "DATETIME"],
            (|millis| millis.to_string()) as fn(i64) -> String,
        ),
        (
            "drizzle",
            TEXTS,
            ["TEXT PRIMARY KEY", "TEXT", "INTEGER"],
            |millis| (millis / 1000).to_string(),
        ),
        ("kysely", NUMBERS, ["TEXT", "INTEGER", "DATE"], iso),
        (
            "sqlite",
            ["Ann", "zoë", "bob"],
            ["TEXT COLLATE NOCASE", "TEXT COLLATE NOCASE", "TEXT"],
            plain,
        ),
    ] {
        let database = OnSqlite::new(&folder, file).await;
        let mut app = SqlApp::new(database, tables(names), users, types, time).await;
        let settings = app.settings();
        contract(&mut app, settings).await;
    }

    let database = OnSqlite::new(&folder, "hostile").await;
    let types = ["TEXT", "TEXT", "BLOB"];
    let mut app = SqlApp::new(database, tables(names), TEXTS, types, iso).await;
    let (node, outcomes) = open(app.settings());
    let malformed = [
        "NULL",
        "''",
        "'never'",
        "1.9e12",
        "x'31393030'",
        "9223372036854775807",
        "'1900000000000'",
        "'2030-13-01T00:00:00Z'",
    ];
    for (number, expires) in malformed.into_iter().enumerate() {
        app.insert(&format!("e{number}"), Some("Ann"), "NULL", expires)
            .await;
        assert_eq!(
            node.look_up(&token(&format!("e{number}")))
                .await
                .unwrap()
                .found,
            None,
            "{expires}"
        );
    }
    let good = iso(in_secs(HOUR));
    app.insert("created", Some("Ann"), "'never'", &good).await;
    assert_eq!(node.look_up(&token("created")).await.unwrap().found, None);
    for _ in 0..2 {
        app.insert("twice", Some("Ann"), "NULL", &good).await;
    }
    assert_eq!(node.look_up(&token("twice")).await.unwrap().found, None);
    assert_eq!(
        outcomes.count(LookupSource::Sqlite, Outcome::Malformed),
        malformed.len() + 2
    );
    app.insert("no-user", None, "NULL", &good).await;
    assert_eq!(node.look_up(&token("no-user")).await.unwrap().found, None);
    app.insert("0", Some("Ann"), "NULL", "0").await;
    app.insert("-1", Some("Ann"), "NULL", "-1").await;
    for text in ["0", "-1"] {
        assert!(node.look_up(&token(text)).await.unwrap().found.is_some());
        assert_eq!(alive(&node, text).await, None, "{text}");
    }
}

/// Better Auth's secondary storage.
struct SecondaryApp<'a>(&'a Redis);

impl App for SecondaryApp<'_> {
    const KEEPS_CREATION: bool = true;
    const KEEPS_ORPHANS: bool = true;

    fn users(&self) -> [String; 3] {
        TEXTS.map(str::to_owned)
    }

    async fn write(&mut self, row: Row<'_>) {
        let time = |millis| {
            jiff::Timestamp::from_millisecond(millis)
                .unwrap()
                .to_string()
        };
        let user = match row.user {
            "Ann" => {
                serde_json::json!({"id": "Ann", "email": "ada@example.com", "name": "Ada \"λ\" O'Hara"})
            }
            _ => serde_json::Value::Null,
        };
        let value = serde_json::json!({
            "session": {
                "id": "s", "token": row.token, "userId": row.user,
                "expiresAt": time(row.expires), "createdAt": time(row.created),
            },
            "user": user,
        });
        self.0
            .cli([
                "SET",
                &format!("better-auth:{}", row.token),
                &value.to_string(),
            ])
            .await
            .unwrap();
    }
}

/// Settings for sessions in Redis alone.
fn secondary(url: &str) -> Settings {
    Settings {
        redis: Some(RedisSettings {
            sessions: Some("better-auth:".to_owned()),
            ..redis(url)
        }),
        database: None,
        ..settings(postgres_at("postgres://nowhere"), "users")
    }
}

#[tokio::test]
async fn redis_finds_the_sessions_of_better_auth() {
    let server = Redis::start().await.unwrap();
    let mut app = SecondaryApp(&server);
    contract(&mut app, secondary(&server.url())).await;

    let (node, outcomes) = open(secondary(&server.url()));
    assert!(!node.0.sessions().unwrap().includes_user_check());
    // Other keys of Better Auth, and values of other kinds.
    server
        .cli([
            "SET",
            "better-auth:active-sessions-Ann",
            r#"[{"token":"x","expiresAt":1900000000000}]"#,
        ])
        .await
        .unwrap();
    server
        .cli(["SET", "better-auth:number", "1900000000000"])
        .await
        .unwrap();
    let huge = "x".repeat(100_000);
    server
        .cli(["SET", "better-auth:huge", &huge])
        .await
        .unwrap();
    let genuine = server
        .cli(["GET", &format!("better-auth:{TOKEN}")])
        .await
        .unwrap();
    server
        .cli(["SET", "better-auth:copied", &genuine])
        .await
        .unwrap();
    for text in ["active-sessions-Ann", "number", "huge", "copied"] {
        assert_eq!(
            node.look_up(&token(text)).await.unwrap().found,
            None,
            "{text}"
        );
    }
    assert_eq!(outcomes.count(LookupSource::Redis, Outcome::Malformed), 4);
    server
        .cli(["HSET", "better-auth:hash", "session", "x"])
        .await
        .unwrap();
    assert_eq!(node.look_up(&token("hash")).await.unwrap().found, None);

    // A session that began before the revocation is invalid; a session that began later is not.
    let marker = "better-auth:revoked-sessions-before-Ann";
    assert!(alive(&node, TOKEN).await.is_some());
    for (revoked_before, is_alive) in [(in_secs(-2 * HOUR), true), (in_secs(0), false)] {
        server
            .cli(["SET", marker, &revoked_before.to_string()])
            .await
            .unwrap();
        assert_eq!(
            alive(&node, TOKEN).await.is_some(),
            is_alive,
            "{revoked_before}"
        );
    }
    server.cli(["SET", marker, "soon"]).await.unwrap();
    assert_eq!(alive(&node, TOKEN).await, None);
    // The gate has written nothing there.
    assert_eq!(server.cli(["KEYS", "auth:*"]).await.unwrap(), "");
}

#[tokio::test]
async fn sessions_missing_in_redis_are_looked_up_in_the_database() {
    let (mut server, mut cache) = (
        Postgres::start().await.unwrap(),
        Redis::start().await.unwrap(),
    );
    let names = [
        "session",
        "token",
        "userId",
        "expiresAt",
        "createdAt",
        "user",
    ];
    let types = ["text", "text", "timestamptz"];
    let row = |token| Row {
        token,
        user: "Ann",
        created: in_secs(-HOUR),
        expires: in_secs(HOUR),
    };
    let mut app = SqlApp::new(
        OnPostgres::<true>(&server),
        tables(names),
        TEXTS,
        types,
        absolute,
    )
    .await;
    app.write(row("both")).await;
    app.write(row("database")).await;
    let database = app.settings().database;
    let mut in_redis = SecondaryApp(&cache);
    in_redis.write(row("both")).await;
    in_redis.write(row("redis")).await;
    let chain = Settings {
        database,
        ..secondary(&cache.url())
    };
    let (node, outcomes) = open(chain);
    for (text, source) in [
        ("both", LookupSource::Redis),
        ("redis", LookupSource::Redis),
        ("database", LookupSource::Postgres),
    ] {
        let lookup = node.look_up(&token(text)).await.unwrap();
        assert_eq!(
            (lookup.found.is_some(), lookup.source),
            (true, source),
            "{text}"
        );
    }
    assert_eq!(
        node.look_up(&token("none")).await.unwrap().source,
        LookupSource::Postgres
    );
    assert_eq!(outcomes.count(LookupSource::Redis, Outcome::Missed), 2);
    assert_eq!(outcomes.count(LookupSource::Redis, Outcome::Present), 2);
    assert!(!node.0.sessions().unwrap().includes_user_check());

    // A revoked session is not looked up in the database.
    let now = in_secs(0).to_string();
    cache
        .cli(["SET", "better-auth:revoked-sessions-before-Ann", &now])
        .await
        .unwrap();
    let lookup = node.look_up(&token("both")).await.unwrap();
    assert_eq!((lookup.found, lookup.source), (None, LookupSource::Redis));

    // Both stores are sources of truth: without one of them, its sessions are not answered.
    assert!(node.0.ready());
    server.stop().await.unwrap();
    assert!(node.look_up(&token("redis")).await.is_ok());
    let error = node.look_up(&token("database")).await.unwrap_err();
    assert!(
        matches!(
            error,
            StoreError::Failed {
                store: LookupSource::Postgres,
                ..
            }
        ),
        "{error}"
    );
    until(&node, LookupSource::Postgres, false).await;
    assert!(node.0.ready());
    server.start_again().await.unwrap();
    until(&node, LookupSource::Postgres, true).await;
    cache.stop();
    until(&node, LookupSource::Redis, false).await;
    assert!(!node.0.ready());
    let error = node.look_up(&token("both")).await.unwrap_err();
    assert!(
        matches!(
            error,
            StoreError::Failed {
                store: LookupSource::Redis,
                ..
            }
        ),
        "{error}"
    );
}

#[tokio::test]
async fn redis_as_the_truth_that_fails_is_an_outage() {
    let mut server = Redis::start().await.unwrap();
    SecondaryApp(&server)
        .write(Row {
            token: TOKEN,
            user: "Ann",
            created: 0,
            expires: in_secs(HOUR),
        })
        .await;
    let proxy = CutProxy::start(&server.address()).await.unwrap();
    let mut chain = secondary(&format!("redis://{}", proxy.address()));
    chain.redis.as_mut().unwrap().timeout = Duration::from_millis(300);
    let (node, outcomes) = open(chain);
    assert!(alive(&node, TOKEN).await.is_some());
    proxy.stall();
    let error = node.look_up(&token(TOKEN)).await.unwrap_err();
    assert!(
        matches!(
            error,
            StoreError::TimedOut {
                store: LookupSource::Redis,
                ..
            }
        ),
        "{error}"
    );
    assert_eq!(outcomes.count(LookupSource::Redis, Outcome::Failed), 1);
    until(&node, LookupSource::Redis, false).await;
    proxy.restore().await.unwrap();
    until(&node, LookupSource::Redis, true).await;
    assert!(alive(&node, TOKEN).await.is_some());
    server.stop();
    until(&node, LookupSource::Redis, false).await;
    let error = node.look_up(&token(TOKEN)).await.unwrap_err();
    assert!(
        matches!(
            error,
            StoreError::Failed {
                store: LookupSource::Redis,
                ..
            }
        ),
        "{error}"
    );

    // With a Redis user who may not read, there is no answer either.
    server.start_again().await.unwrap();
    server
        .cli(["ACL", "SETUSER", "limited", "on", ">secret", "~*", "+ping"])
        .await
        .unwrap();
    let (node, _) = open(secondary(&format!(
        "redis://limited:secret@{}",
        server.address()
    )));
    let error = node.look_up(&token(TOKEN)).await.unwrap_err();
    let error = error.to_string();
    assert!(
        error.starts_with("redis failed: refused GETRANGE: NOPERM ("),
        "{error}"
    );
}

/// Creates an app with Auth.js sessions in PostgreSQL, and settings whose caches keep answers for a minute.
async fn cached_app<'a>(
    server: &'a Postgres,
    cache: &Redis,
) -> (SqlApp<OnPostgres<'a, false>>, Settings) {
    let names = ["sessions", "sessionToken", "userId", "expires", "", "users"];
    let types = ["text", "integer", "timestamptz"];
    let app = SqlApp::new(OnPostgres(server), tables(names), NUMBERS, types, absolute).await;
    let mut settings = app.settings();
    settings.memory.ttl = MINUTE;
    settings.redis = Some(redis(&cache.url()));
    (app, settings)
}

#[tokio::test]
async fn caches_keep_a_session_under_its_id_and_no_longer_than_it_lives() {
    let (server, cache) = (
        Postgres::start().await.unwrap(),
        Redis::start().await.unwrap(),
    );
    let (mut app, settings) = cached_app(&server, &cache).await;
    let row = |token, expires| Row {
        token,
        user: "7",
        created: 0,
        expires: in_secs(expires),
    };
    app.write(row(TOKEN, HOUR)).await;
    app.write(row("soon-over", 20)).await;
    app.write(row("over", -HOUR)).await;
    let (node, outcomes) = open(settings.clone());
    assert!(node.0.sessions().unwrap().includes_user_check());
    for (text, found, most) in [
        (TOKEN, true, 60_000),
        ("soon-over", true, 20_000),
        ("over", true, 60_000),
        ("absent", false, 60_000),
    ] {
        let token = token(text);
        let first = node.look_up(&token).await.unwrap();
        assert_eq!(
            (first.found.is_some(), first.source),
            (found, LookupSource::Postgres),
            "{text}"
        );
        let again = node.look_up(&token).await.unwrap();
        assert_eq!(again.source, LookupSource::Memory);
        assert_eq!(again.found, first.found);
        assert!(
            poll_fn(|context| Poll::Ready(pin!(node.look_up(&token)).as_mut().poll(context)))
                .await
                .is_ready()
        );

        let key = format!("auth:session:{}", token.id());
        cached(&cache, &key).await;
        let left: u128 = cache.cli(["PTTL", &key]).await.unwrap().parse().unwrap();
        assert!((1..=most).contains(&left), "{text}: {left}");
        let (other, _) = open(settings.clone());
        let there = other.look_up(&token).await.unwrap();
        assert_eq!(
            (there.found, there.source),
            (first.found, LookupSource::Redis)
        );
        assert_eq!(
            other.look_up(&token).await.unwrap().source,
            LookupSource::Memory
        );
    }
    assert_eq!(outcomes.count(LookupSource::Redis, Outcome::Missed), 4);

    // The token is stored nowhere.
    let keys = cache.cli(["KEYS", "*"]).await.unwrap();
    assert_eq!(keys.lines().count(), 4);
    for key in keys.lines() {
        let record = format!("{key} {}", cache.cli(["GET", key]).await.unwrap());
        for text in [TOKEN, "soon-over", "absent"] {
            assert!(!record.contains(text), "{record}");
        }
    }
}

#[tokio::test]
async fn foreign_values_in_redis_are_not_sessions() {
    let (server, cache) = (
        Postgres::start().await.unwrap(),
        Redis::start().await.unwrap(),
    );
    let (mut app, mut settings) = cached_app(&server, &cache).await;
    settings.memory.ttl = Duration::ZERO;
    app.write(Row {
        token: TOKEN,
        user: "7",
        created: 0,
        expires: in_secs(HOUR),
    })
    .await;
    let (node, _) = open(settings.clone());
    node.look_up(&token(TOKEN)).await.unwrap();
    let genuine = cached(&cache, &format!("auth:session:{}", token(TOKEN).id())).await;

    let forged = token("forged");
    let key = format!("auth:session:{}", forged.id());
    let huge = "x".repeat(100_000);
    for value in [
        "",
        "1",
        "null",
        r#"{"v":1,"user":true}"#,
        r#"{"sub":"7"}"#,
        &genuine,
        &huge,
    ] {
        cache.cli(["SET", &key, value]).await.unwrap();
        let lookup = node.look_up(&forged).await.unwrap();
        assert_eq!(
            (lookup.found, lookup.source),
            (None, LookupSource::Postgres),
            "{value:.40}"
        );
        assert_eq!(cache.cli(["GET", &key]).await.unwrap(), value);
    }
    // Another deployment, with other columns.
    database(&mut settings).sessions.as_mut().unwrap().name = None;
    let (other, _) = open(settings);
    let lookup = other.look_up(&token(TOKEN)).await.unwrap();
    assert_eq!(lookup.source, LookupSource::Postgres);
    assert_eq!(lookup.found.unwrap().stored.columns().name, None);
    // A user's name that is longer than caches keep.
    let long = format!("UPDATE users SET name = '{}'", "x".repeat(1025));
    server.execute(&long).await.unwrap();
    app.write(Row {
        token: "long",
        user: "8",
        created: 0,
        expires: in_secs(HOUR),
    })
    .await;
    for _ in 0..2 {
        let lookup = node.look_up(&token("long")).await.unwrap();
        assert_eq!(lookup.source, LookupSource::Postgres);
        assert_eq!(
            lookup.found.unwrap().stored.columns().name.map(str::len),
            Some(1025)
        );
    }
    let key = format!("auth:session:{}", token("long").id());
    assert_eq!(cache.cli(["EXISTS", &key]).await.unwrap(), "0");
}

#[tokio::test]
async fn without_the_database_only_cached_sessions_are_found_and_redis_is_not_required() {
    let (mut server, mut cache) = (
        Postgres::start().await.unwrap(),
        Redis::start().await.unwrap(),
    );
    let (mut app, settings) = cached_app(&server, &cache).await;
    app.write(Row {
        token: TOKEN,
        user: "7",
        created: 0,
        expires: in_secs(HOUR),
    })
    .await;
    let (node, _) = open(settings.clone());
    assert!(alive(&node, TOKEN).await.is_some());
    cached(&cache, &format!("auth:session:{}", token(TOKEN).id())).await;

    server.stop().await.unwrap();
    let (other, _) = open(settings.clone());
    let in_redis = other.look_up(&token(TOKEN)).await.unwrap();
    assert_eq!(
        (in_redis.found.is_some(), in_redis.source),
        (true, LookupSource::Redis)
    );
    let error = other.look_up(&token("other")).await.unwrap_err();
    assert!(
        matches!(
            error,
            StoreError::Failed {
                store: LookupSource::Postgres,
                ..
            }
        ),
        "{error}"
    );
    assert_eq!(
        node.look_up(&token(TOKEN)).await.unwrap().source,
        LookupSource::Memory
    );

    server.start_again().await.unwrap();
    cache.stop();
    let (third, _) = open(settings);
    assert_eq!(
        third.look_up(&token(TOKEN)).await.unwrap().source,
        LookupSource::Postgres
    );
}

#[tokio::test]
async fn one_lookup_serves_every_request_with_the_same_token() {
    let (server, cache) = (
        Postgres::start().await.unwrap(),
        Redis::start().await.unwrap(),
    );
    let (mut app, mut settings) = cached_app(&server, &cache).await;
    app.write(Row {
        token: TOKEN,
        user: "7",
        created: 0,
        expires: in_secs(HOUR),
    })
    .await;
    let proxy = CutProxy::start(&server.address()).await.unwrap();
    settings.redis = None;
    database(&mut settings).url =
        postgres_at(&server.url_through(&proxy.address(), Postgres::DATABASE));
    database(&mut settings).timeout = TIMEOUT;
    let (node, outcomes) = open(settings);
    until(&node, LookupSource::Postgres, true).await;
    proxy.stall();
    let token = token(TOKEN);
    let mut waiting: Vec<_> = (0..20).map(|_| Box::pin(node.look_up(&token))).collect();
    for lookup in &mut waiting {
        assert!(
            poll_fn(|context| Poll::Ready(lookup.as_mut().poll(context)))
                .await
                .is_pending()
        );
    }
    proxy.restore().await.unwrap();
    for lookup in all(waiting.into_iter()).await {
        assert!(lookup.unwrap().found.is_some());
    }
    assert_eq!(outcomes.count(LookupSource::Postgres, Outcome::Present), 1);
}
