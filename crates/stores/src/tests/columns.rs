//! The columns of a user's row: one contract for both databases, and how caches keep the columns.

use serde_json::{Value, json};

use super::sessions::{OnPostgres, OnSqlite, WritableDatabase, tables, token};
use super::*;
use crate::{ColumnError, Memberships, UserColumn};

pub(super) fn column(name: &str) -> Column {
    Column::parse(name).unwrap()
}

pub(super) fn value(name: &str) -> UserColumn {
    UserColumn::Value(column(name))
}

pub(super) fn moment(name: &str) -> UserColumn {
    UserColumn::Time(column(name))
}

pub(super) fn roles() -> UserColumn {
    UserColumn::OrganizationRoles(Memberships {
        table: Table::parse("member").unwrap(),
        user: column("userId"),
        organization: column("organizationId"),
        role: column("role"),
    })
}

/// Settings that look users and sessions up in the tables of Better Auth, with these columns.
pub(super) fn settings_reading(url: DatabaseUrl, columns: impl Into<Vec<UserColumn>>) -> Settings {
    let mut settings = settings(url, "user");
    let names = ["session", "token", "userId", "expiresAt", "", "user"];
    let mut sessions = tables(names);
    (sessions.email, sessions.name) = (None, None);
    database(&mut settings).sessions = Some(sessions);
    database(&mut settings).columns = columns.into();
    settings
}

/// Looks up the columns of user 7, who has session `7`, in both chains.
async fn columns_of(node: &TestNode) -> Vec<Value> {
    let user = node.find("7").await.unwrap().found.unwrap();
    let known = node.look_up(&token("7")).await.unwrap().found.unwrap();
    assert_eq!(known.stored.columns().subject, "7");
    assert_eq!(known.user, user);
    user.columns().to_vec()
}

async fn first_column(node: &TestNode) -> Value {
    columns_of(node).await.first().unwrap().clone()
}

/// Creates the tables, with users 7 and 8, and a session of each. The user table gets `columns`, too.
pub(super) async fn create<D: WritableDatabase>(
    database: &mut D,
    id: &str,
    time: &str,
    columns: &str,
) {
    database
        .execute(&format!(
            r#"CREATE TABLE "user" (id {id} PRIMARY KEY{columns});
            CREATE TABLE session (token text, "userId" {id}, "expiresAt" {time});
            INSERT INTO "user" (id) VALUES ('7'), ('8');
            INSERT INTO session VALUES ('7', '7', '2100-01-01T00:00:00Z'), ('8', '8', '2100-01-01T00:00:00Z')"#
        ))
        .await;
}

async fn on_postgres(server: &Postgres, id: &str, columns: &str) -> DatabaseUrl {
    let mut database = OnPostgres::<false>(server);
    create(&mut database, id, "timestamptz", columns).await;
    database.url()
}

/// A column: its declaration, the SQL of its value, how it is selected, and the value to be read.
type Case = (&'static str, &'static str, fn(&str) -> UserColumn, Value);

/// Checks that each value is read as expected, and as `null` if the column is `NULL`.
async fn values_are_read<D: WritableDatabase>(
    mut database: D,
    id: &str,
    time: &str,
    cases: &[Case],
) {
    let names: Vec<_> = (0..cases.len()).map(|index| format!("c {index}")).collect();
    let declared: String = names
        .iter()
        .zip(cases)
        .map(|(name, (declared, ..))| format!(", \"{name}\" {declared}"))
        .collect();
    create(&mut database, id, time, &declared).await;
    let asked: Vec<_> = names
        .iter()
        .zip(cases)
        .map(|(name, (_, _, ask, _))| ask(name))
        .collect();
    let mut settings = settings_reading(database.url(), asked);
    super::database(&mut settings).time_zone = Some(Zone::parse("Asia/Tokyo").unwrap());
    let (node, _) = open(settings);
    assert_eq!(columns_of(&node).await, vec![Value::Null; cases.len()]);

    for (name, (_, sql, ..)) in names.iter().zip(cases) {
        let update = format!("UPDATE \"user\" SET \"{name}\" = {sql} WHERE id = '7'");
        database.execute(&update).await;
    }
    let found = columns_of(&node).await;
    for ((found, (declared, sql, _, expected)), name) in found.iter().zip(cases).zip(&names) {
        assert_eq!(found, expected, "{name} {declared} = {sql}");
    }
    assert_eq!(found.len(), cases.len());
}

/// 2030-03-17T17:46:40.123Z
const MILLIS: i64 = 1_900_000_000_123;
const NINE_HOURS: i64 = 9 * 3_600_000;

#[tokio::test]
async fn postgres_columns_of_any_type_are_read() {
    let server = Postgres::start().await.unwrap();
    let types = "CREATE TYPE plan AS ENUM ('Free', 'pro'); CREATE DOMAIN score AS numeric; CREATE DOMAIN tags AS text[]";
    server.execute(types).await.unwrap();
    let instant = "'2030-03-17T17:46:40.123Z'";
    let cases: &[Case] = &[
        ("boolean", "true", value, json!(true)),
        ("boolean", "false", value, json!(false)),
        ("smallint", "-7", value, json!(-7)),
        (
            "bigint",
            "9007199254740993",
            value,
            json!(9_007_199_254_740_993_i64),
        ),
        ("bigint", "-9223372036854775808", value, json!(i64::MIN)),
        ("numeric", "8.50", value, json!(8.5)),
        ("numeric(8, 2)", "12", value, json!(12)),
        (
            "numeric",
            "18446744073709551616.5",
            value,
            json!("18446744073709551616.5"),
        ),
        ("numeric", "'NaN'", value, json!("NaN")),
        ("score", "0.1", value, json!(0.1)),
        ("real", "0.1", value, json!(0.1)),
        ("double precision", "1e300", value, json!(1e300)),
        ("double precision", "'-Infinity'", value, json!("-Infinity")),
        ("text", "''", value, json!("")),
        ("text", "'a\"b\\\u{e9}\n'", value, json!("a\"b\\é\n")),
        ("varchar(9)", "'null'", value, json!("null")),
        ("char(8)", "'pro'", value, json!("pro")),
        ("plan", "'Free'", value, json!("Free")),
        (
            "uuid",
            "'0b8a6c2e-1f3d-4e5f-8a9b-0c1d2e3f4a5b'",
            value,
            json!("0b8a6c2e-1f3d-4e5f-8a9b-0c1d2e3f4a5b"),
        ),
        (
            "text[]",
            "'{admin,\"a,b\",NULL}'",
            value,
            json!(["admin", "a,b", null]),
        ),
        ("tags", "'{}'", value, json!([])),
        (
            "bigint[]",
            "'{9007199254740993}'",
            value,
            json!([9_007_199_254_740_993_i64]),
        ),
        (
            "numeric[]",
            "'{{1.50},{10000000000000000000000000000000000000001}}'",
            value,
            json!([[1.5], ["10000000000000000000000000000000000000001"]]),
        ),
        ("plan[]", "'{pro}'", value, json!(["pro"])),
        (
            "jsonb",
            "'{\"plan\": \"team\", \"n\": 1}'",
            value,
            json!({"plan": "team", "n": 1}),
        ),
        // Converted to `jsonb`, this would be an error, and the user would seem not to exist.
        ("json", "'\"\\u0000\"'", value, json!("\0")),
        ("jsonb", "'null'", value, Value::Null),
        ("bytea", "'\\x00ff'", value, json!("\\x00ff")),
        ("date", "'2030-03-17'", value, json!("2030-03-17")),
        ("inet", "'10.0.0.1'", value, json!("10.0.0.1")),
        ("timestamptz", instant, moment, json!(MILLIS)),
        (
            "timestamp",
            "'2030-03-17T17:46:40.123'",
            moment,
            json!(MILLIS - NINE_HOURS),
        ),
        (
            "date",
            "'2030-03-17'",
            moment,
            json!(1_899_936_000_000_i64 - NINE_HOURS),
        ),
        ("bigint", "1900000000123", moment, json!(MILLIS)),
        (
            "integer",
            "1900000000",
            moment,
            json!(1_900_000_000_000_i64),
        ),
        ("text", instant, moment, json!(MILLIS)),
        (
            "text",
            "'2030-03-17'",
            moment,
            json!(1_899_936_000_000_i64 - NINE_HOURS),
        ),
        ("text", "'never'", moment, json!("never")),
        ("timestamptz", "'infinity'", moment, json!(i64::MAX)),
        ("timestamptz", "'-infinity'", moment, json!(0)),
        ("timestamptz", "'1960-01-01'", moment, json!(0)),
    ];
    values_are_read(
        OnPostgres::<false>(&server),
        "integer",
        "timestamptz",
        cases,
    )
    .await;
}

#[tokio::test]
async fn sqlite_columns_of_any_type_are_read() {
    let folder = tempfile::tempdir().unwrap();
    let cases: &[Case] = &[
        ("BOOLEAN", "1", value, json!(true)),
        ("BOOLEAN", "0", value, json!(false)),
        ("BOOLEAN", "2", value, json!(2)),
        ("INTEGER", "1", value, json!(1)),
        (
            "INTEGER",
            "9007199254740993",
            value,
            json!(9_007_199_254_740_993_i64),
        ),
        ("REAL", "0.5", value, json!(0.5)),
        ("REAL", "7", value, json!(7)),
        ("REAL", "9e999", value, json!("Infinity")),
        ("TEXT", "''", value, json!("")),
        ("TEXT", "'{\"a\":1}'", value, json!("{\"a\":1}")),
        ("", "7", value, json!(7)),
        ("", "'7'", value, json!("7")),
        ("BLOB", "x'00ff'", value, json!("\\x00ff")),
        ("TEXT", "'2030-03-17T17:46:40.123Z'", moment, json!(MILLIS)),
        (
            "TEXT",
            "'2030-03-17 17:46:40.123'",
            moment,
            json!(MILLIS - NINE_HOURS),
        ),
        (
            "DATE",
            "'2030-03-17'",
            moment,
            json!(1_899_936_000_000_i64 - NINE_HOURS),
        ),
        (
            "INTEGER",
            "1900000000",
            moment,
            json!(1_900_000_000_000_i64),
        ),
        ("INTEGER", "1900000000123", moment, json!(MILLIS)),
        ("REAL", "1900000000123.0", moment, json!(MILLIS)),
        ("TEXT", "'never'", moment, json!("never")),
    ];
    let database = OnSqlite::new(&folder, "app.db").await;
    values_are_read(database, "INTEGER", "text", cases).await;
}

/// Checks that a user has the roles of the user's memberships, and no others.
async fn roles_are_read<D: WritableDatabase>(mut database: D, id: &str, time: &str) {
    create(&mut database, id, time, "").await;
    database
        .execute(&format!(
            r#"CREATE TABLE member (id text, "organizationId" text, "userId" {id}, role text)"#
        ))
        .await;
    let (node, _) = open(settings_reading(database.url(), [roles()]));
    assert_eq!(columns_of(&node).await, [json!({})]);
    for (organization, user, role) in [
        ("'acme'", "7", "'admin,member'"),
        ("'globex'", "7", "'member'"),
        ("'acme'", "8", "'owner'"),
        ("'init\"ech'", "8", "'owner'"),
        ("'no role'", "7", "NULL"),
        ("NULL", "7", "'owner'"),
        ("'twice'", "7", "'member'"),
        ("'twice'", "7", "'member'"),
        ("'unclear'", "7", "'member'"),
        ("'unclear'", "7", "'owner'"),
        ("'half'", "7", "'owner'"),
        ("'half'", "7", "NULL"),
    ] {
        let sql = format!("INSERT INTO member VALUES ('m', {organization}, '{user}', {role})");
        database.execute(&sql).await;
    }
    let expected = json!({
        "acme": "admin,member",
        "globex": "member",
        "no role": null,
        "twice": "member",
        "unclear": null,
        "half": null,
    });
    assert_eq!(columns_of(&node).await, [expected]);
    let other = node.find("8").await.unwrap().found.unwrap();
    assert_eq!(
        other.columns(),
        [json!({"acme": "owner", "init\"ech": "owner"})]
    );
}

#[tokio::test]
async fn roles_in_organizations_are_read_with_the_user() {
    let (server, folder) = (
        Postgres::start().await.unwrap(),
        tempfile::tempdir().unwrap(),
    );
    roles_are_read(OnPostgres::<false>(&server), "text", "timestamptz").await;
    let drop = r#"DROP TABLE "user", session, member"#;
    server.execute(drop).await.unwrap();
    roles_are_read(OnPostgres::<false>(&server), "integer", "timestamptz").await;
    roles_are_read(OnSqlite::new(&folder, "texts.db").await, "text", "text").await;
    roles_are_read(OnSqlite::new(&folder, "ints.db").await, "integer", "text").await;
}

/// Checks that a missing column is an error at start-up, an outage later, and never a value.
async fn missing_columns_are_errors<D: WritableDatabase>(
    mut database: D,
    source: LookupSource,
    time: &str,
) {
    create(&mut database, "integer", time, ", banned boolean").await;
    let missing = |column: &str, table: &str, nearest: Option<&str>| ColumnError::Missing {
        table: format!("\"{table}\""),
        column: format!("\"{column}\""),
        nearest: nearest.map(|nearest| format!("\"{nearest}\"")),
    };
    let (node, _) = open(settings_reading(
        database.url(),
        [value("banned"), value("bannd")],
    ));
    let error = node.0.check_columns().await.unwrap_err();
    assert_eq!(error, missing("bannd", "user", Some("banned")));
    assert_eq!(
        error.to_string(),
        r#"there is no column "bannd" in "user"; did you mean "banned"?"#
    );
    for _ in 0..2 {
        assert!(node.find("7").await.is_err());
        assert!(node.look_up(&token("7")).await.is_err());
    }
    let detail = until(&node, source, false).await.unwrap();
    assert!(detail.contains("bannd"), "{detail}");
    assert!(!node.0.ready());

    // The column is added.
    let add = r#"ALTER TABLE "user" ADD COLUMN bannd text DEFAULT 'no'"#;
    database.execute(add).await;
    until(&node, source, true).await;
    assert_eq!(columns_of(&node).await, [Value::Null, json!("no")]);
    assert_eq!(node.0.check_columns().await, Ok(()));
    // The column is dropped while the gate runs.
    let drop = r#"ALTER TABLE "user" DROP COLUMN bannd"#;
    database.execute(drop).await;
    assert!(node.find("7").await.is_err());
    assert!(node.look_up(&token("7")).await.is_err());
    node.close().await;

    let mut nowhere = settings(database.url(), "people");
    super::database(&mut nowhere).columns = vec![value("banned")];
    let (node, _) = open(nowhere);
    let table = r#""people""#.to_owned();
    assert_eq!(
        node.0.check_columns().await,
        Err(ColumnError::NoTable { table })
    );
    node.close().await;

    let (node, _) = open(settings_reading(database.url(), [roles()]));
    let table = r#""member""#.to_owned();
    assert_eq!(
        node.0.check_columns().await,
        Err(ColumnError::NoTable { table })
    );
    let create = r#"CREATE TABLE member ("organizationId" text, user_id integer, role text)"#;
    database.execute(create).await;
    let error = node.0.check_columns().await;
    assert_eq!(error, Err(missing("userId", "member", Some("user_id"))));
    assert!(node.find("7").await.is_err());
    node.close().await;
}

#[tokio::test]
async fn a_missing_column_is_an_error_and_never_a_value() {
    let (server, folder) = (
        Postgres::start().await.unwrap(),
        tempfile::tempdir().unwrap(),
    );
    let on_postgres = OnPostgres::<false>(&server);
    missing_columns_are_errors(on_postgres, LookupSource::Postgres, "timestamptz").await;
    let on_sqlite = OnSqlite::new(&folder, "app.db").await;
    missing_columns_are_errors(on_sqlite, LookupSource::Sqlite, "text").await;
}

#[tokio::test]
async fn an_unreadable_column_or_one_without_times_is_an_error_and_a_database_that_is_down_is_not()
{
    let mut server = Postgres::start().await.unwrap();
    let url = on_postgres(&server, "integer", ", banned boolean, role text").await;
    let grants = r#"CREATE ROLE reader LOGIN PASSWORD 'secret'; GRANT SELECT ON session TO reader;
        GRANT SELECT (id, role) ON "user" TO reader"#;
    server.execute(grants).await.unwrap();
    let reader = format!(
        "postgres://reader:secret@{}/{}",
        server.address(),
        Postgres::DATABASE
    );
    let (node, _) = open(settings_reading(
        postgres_at(&reader),
        [value("role"), value("banned")],
    ));
    let error = node.0.check_columns().await.unwrap_err().to_string();
    assert!(
        error.ends_with(r#"GRANT SELECT ("banned") ON "user""#),
        "{error}"
    );
    let detail = until(&node, LookupSource::Postgres, false).await.unwrap();
    assert!(detail.contains("GRANT SELECT"), "{detail}");
    assert!(node.find("7").await.is_err());
    server
        .execute(r#"GRANT SELECT (banned) ON "user" TO reader"#)
        .await
        .unwrap();
    assert_eq!(columns_of(&node).await, [Value::Null, Value::Null]);

    let (node, _) = open(settings_reading(url.clone(), [moment("banned")]));
    let error = node.0.check_columns().await.unwrap_err().to_string();
    assert!(
        error.contains("is of type boolean, which holds no point in time"),
        "{error}"
    );

    server.stop().await.unwrap();
    let (node, _) = open(settings_reading(url, [value("nothing")]));
    assert_eq!(node.0.check_columns().await, Ok(()));
    server.start_again().await.unwrap();
    let waiting = async {
        while !until(&node, LookupSource::Postgres, false)
            .await
            .unwrap()
            .contains("\"nothing\"")
        {
            sleep(Duration::from_millis(10)).await;
        }
    };
    timeout(TIMEOUT, waiting).await.unwrap();
}

#[tokio::test]
async fn an_unreadable_value_or_two_rows_make_a_user_absent() {
    let server = Postgres::start().await.unwrap();
    let url = on_postgres(&server, "integer", ", data jsonb").await;
    let (node, outcomes) = open(settings_reading(url.clone(), [value("data")]));
    // PostgreSQL has numbers beyond the range of JSON parsers.
    let deep = format!(
        "UPDATE \"user\" SET data = '{}1{}'",
        "[".repeat(500),
        "]".repeat(500)
    );
    for sql in ["UPDATE \"user\" SET data = '1e400'", &deep] {
        server.execute(sql).await.unwrap();
        assert_eq!(node.find("7").await.unwrap().found, None);
        assert_eq!(node.look_up(&token("7")).await.unwrap().found, None);
    }
    assert_eq!(
        outcomes.count(LookupSource::Postgres, Outcome::Malformed),
        4
    );

    let twice =
        r#"CREATE VIEW people AS SELECT 7 AS id, 'member' AS role UNION ALL SELECT 7, 'admin'"#;
    server.execute(twice).await.unwrap();
    let mut view = settings(url, "people");
    database(&mut view).columns = vec![value("role")];
    let (node, _) = open(view);
    assert_eq!(node.find("7").await.unwrap().found, None);
}

#[tokio::test]
async fn columns_are_cached_with_the_user_until_the_time_to_live_is_over() {
    let (server, cache) = (
        Postgres::start().await.unwrap(),
        Redis::start().await.unwrap(),
    );
    let url = on_postgres(&server, "integer", ", role text DEFAULT 'admin'").await;
    let mut chain = settings_reading(url, [value("role")]);
    chain.memory.ttl = MINUTE;
    chain.redis = Some(redis(&cache.url()));
    let (first, outcomes) = open(chain.clone());
    assert_eq!(columns_of(&first).await, [json!("admin")]);
    let record = cached(&cache, "auth:7").await;
    assert!(
        record.ends_with(r#""user":true,"columns":["admin"]}"#),
        "{record}"
    );
    let session = format!("auth:session:{}", token("7").id());
    let record = cached(&cache, &session).await;
    assert!(record.ends_with(r#","columns":["admin"]}}"#), "{record}");
    assert_eq!(outcomes.count(LookupSource::Postgres, Outcome::Present), 2);

    // A node with the user in memory does not ask again, and another node finds the user in Redis.
    server
        .execute(r#"UPDATE "user" SET role = 'member'"#)
        .await
        .unwrap();
    assert_eq!(columns_of(&first).await, [json!("admin")]);
    assert_eq!(outcomes.count(LookupSource::Memory, Outcome::Present), 2);
    let (second, outcomes) = open(chain.clone());
    assert_eq!(columns_of(&second).await, [json!("admin")]);
    assert_eq!(outcomes.count(LookupSource::Redis, Outcome::Present), 2);

    // Short times to live expire soon.
    cache.cli(["DEL", "auth:7", &session]).await.unwrap();
    chain.memory.ttl = Duration::from_millis(50);
    chain.redis.as_mut().unwrap().cache_ttl = Duration::from_millis(100);
    let (third, _) = open(chain.clone());
    assert_eq!(first_column(&third).await, json!("member"));
    server
        .execute(r#"UPDATE "user" SET role = 'owner'"#)
        .await
        .unwrap();
    let changed = async {
        // Check one chain after the other, because their entries do not expire at the same time.
        while third.find("7").await.unwrap().found.unwrap().columns() != [json!("owner")] {}
        let session = token("7");
        while third
            .look_up(&session)
            .await
            .unwrap()
            .found
            .unwrap()
            .user
            .columns()
            != [json!("owner")]
        {}
    };
    timeout(TIMEOUT, changed).await.unwrap();

    // A row that is too long for caches is looked up each time.
    let long = format!(r#"UPDATE "user" SET role = '{}'"#, "x".repeat(20_000));
    server.execute(&long).await.unwrap();
    cache.cli(["FLUSHALL"]).await.unwrap();
    chain.memory.ttl = MINUTE;
    let (node, outcomes) = open(chain);
    for _ in 0..2 {
        columns_of(&node).await;
    }
    assert_eq!(outcomes.count(LookupSource::Postgres, Outcome::Present), 4);
    assert_eq!(cache.cli(["DBSIZE"]).await.unwrap(), "0");
}

#[tokio::test]
async fn nodes_with_different_columns_treat_each_others_records_as_misses() {
    let (server, cache) = (
        Postgres::start().await.unwrap(),
        Redis::start().await.unwrap(),
    );
    let url = on_postgres(
        &server,
        "integer",
        ", role text DEFAULT 'admin', plan text DEFAULT 'pro'",
    )
    .await;
    let node = |columns: Vec<UserColumn>| {
        let mut chain = settings_reading(url.clone(), columns);
        chain.redis = Some(redis(&cache.url()));
        open(chain)
    };
    let (role, _) = node(vec![value("role")]);
    assert_eq!(columns_of(&role).await, [json!("admin")]);
    let record = cached(&cache, "auth:7").await;
    cached(&cache, &format!("auth:session:{}", token("7").id())).await;
    let both = || vec![value("role"), value("plan")];
    for (columns, found) in [
        (vec![], vec![]),
        (vec![value("plan")], vec![json!("pro")]),
        (both(), vec![json!("admin"), json!("pro")]),
        (
            both().into_iter().rev().collect(),
            vec![json!("pro"), json!("admin")],
        ),
        (vec![moment("role")], vec![json!("admin")]),
    ] {
        let (other, outcomes) = node(columns);
        assert_eq!(columns_of(&other).await, found);
        assert_eq!(outcomes.count(LookupSource::Redis, Outcome::Missed), 2);
        assert_eq!(outcomes.count(LookupSource::Postgres, Outcome::Present), 2);
    }
    assert_eq!(cache.cli(["GET", "auth:7"]).await.unwrap(), record);
    let (same, outcomes) = node(vec![value("role")]);
    assert_eq!(columns_of(&same).await, [json!("admin")]);
    assert_eq!(outcomes.count(LookupSource::Redis, Outcome::Present), 2);

    // A record from another deployment cannot omit a column.
    let forged = record.replace(r#"["admin"]"#, "[]");
    cache.cli(["SET", "auth:7", &forged]).await.unwrap();
    assert_eq!(same.find("7").await.unwrap().source, LookupSource::Postgres);
}

/// Lists the processes of the server that serve our connections.
async fn backends(server: &Postgres) -> Vec<String> {
    let sql =
        "SELECT pid FROM pg_stat_activity WHERE application_name = 'sessiongate' ORDER BY pid";
    let found = server.execute(sql).await.unwrap();
    found.lines().map(str::to_owned).collect()
}

/// Waits until the server has this many connections from us: earlier ones may still be closing.
async fn until_lines(cache: &Redis, wanted: usize) {
    let waiting = async {
        loop {
            let clients = cache.cli(["CLIENT", "LIST"]).await.unwrap();
            // Not counting the connection of this command.
            if clients.lines().filter(|line| !line.is_empty()).count() - 1 == wanted {
                return;
            }
        }
    };
    timeout(TIMEOUT, waiting).await.unwrap();
}

#[tokio::test]
async fn realms_share_connections_and_nothing_else() {
    let (server, cache) = (
        Postgres::start().await.unwrap(),
        Redis::start().await.unwrap(),
    );
    let url = on_postgres(&server, "integer", ", role text DEFAULT 'admin'").await;
    let shop = "CREATE TABLE customers (id integer PRIMARY KEY, role text); INSERT INTO customers VALUES (7, 'guest')";
    server.execute(shop).await.unwrap();
    let mut first = settings_reading(url.clone(), [value("role")]);
    first.redis = Some(redis(&cache.url()));
    // The first realm looks up users and sessions, the second only users.
    let mut second = settings(url, "customers");
    second.realm = Some("shop".to_owned());
    second.redis = Some(redis(&cache.url()));
    for settings in [&mut first, &mut second] {
        database(settings).max_connections = 1;
    }
    database(&mut second).columns = vec![value("role")];

    let pools = super::pools();
    let (app, _) = open_on(&pools, &first);
    let (shop, outcomes) = open_on(&pools, &second);
    for node in [&app, &shop] {
        until(node, LookupSource::Redis, true).await;
    }
    assert_eq!(columns_of(&app).await, [json!("admin")]);
    let guest = shop.find("7").await.unwrap().found.unwrap();
    assert_eq!(guest.columns(), [json!("guest")]);
    cached(&cache, "auth:7").await;
    cached(&cache, "auth:realm:shop:7").await;
    assert_eq!(shop.find("7").await.unwrap().source, LookupSource::Redis);
    assert_eq!(app.find("7").await.unwrap().source, LookupSource::Redis);
    assert_eq!(outcomes.count(LookupSource::Postgres, Outcome::Present), 1);
    let shared = backends(&server).await;
    assert_eq!(shared.len(), 1);
    until_lines(&cache, 1).await;

    // Stores that a reload opens share the open connections, and closing the former stores does not close them.
    let (reloaded, _) = open_on(&pools, &first);
    app.close().await;
    assert_eq!(columns_of(&reloaded).await, [json!("admin")]);
    assert!(shop.find("8").await.unwrap().found.is_none());
    assert_eq!(backends(&server).await, shared);
    until_lines(&cache, 1).await;

    // Other settings lead to other connections.
    database(&mut second).timeout = LIMIT + LIMIT;
    let (other, _) = open_on(&pools, &second);
    assert!(other.find("9").await.unwrap().found.is_none());
    assert_eq!(backends(&server).await.len(), 2);
    until_lines(&cache, 1).await;
    other.close().await;

    reloaded.close().await;
    shop.close().await;
    assert!(shop.find("10").await.is_err());
    let gone = async { while !backends(&server).await.is_empty() {} };
    timeout(TIMEOUT, gone).await.unwrap();
    until_lines(&cache, 0).await;
}

#[tokio::test]
async fn stores_match_settings_until_a_setting_or_a_file_changes() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("ca.pem");
    std::fs::write(&file, "one").unwrap();
    let mut all = settings_reading(
        postgres_at("postgres://u:p@127.0.0.1:1/app"),
        [value("role")],
    );
    all.redis = Some(RedisSettings {
        ca_file: Some(file.clone()),
        ..redis("redis://127.0.0.1:1")
    });
    let (node, _) = open(all.clone());
    let match_settings = |change: &dyn Fn(&mut Settings)| {
        let mut changed = all.clone();
        change(&mut changed);
        node.0.match_settings(&changed)
    };
    assert!(match_settings(&|_| ()));
    assert!(!match_settings(
        &|settings| settings.realm = Some("shop".to_owned())
    ));
    assert!(!match_settings(&|settings| settings.memory.entries = 1));
    assert!(!match_settings(&|settings| settings
        .redis
        .as_mut()
        .unwrap()
        .key_prefix =
        "x:".to_owned()));
    assert!(!match_settings(&|settings| database(settings)
        .columns
        .clear()));
    let password = postgres_at("postgres://u:other@127.0.0.1:1/app");
    assert!(!match_settings(
        &|settings| database(settings).url = password.clone()
    ));
    std::fs::write(&file, "two").unwrap();
    assert!(!match_settings(&|_| ()));
}

#[tokio::test]
async fn stores_of_one_sqlite_file_share_connections() {
    let pools = super::pools();
    let lease = |url: &str| {
        let options: SqliteConnectOptions = url.parse().unwrap();
        let mut settings = settings(DatabaseUrl::Sqlite(Box::new(options.clone())), "users");
        pools.sqlite(&options, database(&mut settings))
    };
    let (first, second) = (lease("sqlite:///app.db"), lease("sqlite:///app.db"));
    assert!(Arc::ptr_eq(&first.resource, &second.resource));
    for other in [
        "sqlite:///other.db",
        "sqlite:///app.db?immutable=1",
        "sqlite://file:app?mode=memory&cache=shared",
    ] {
        assert!(
            !Arc::ptr_eq(&first.resource, &lease(other).resource),
            "{other}"
        );
    }
    assert!(first.give_back().is_none());
    assert!(second.give_back().is_some());
}

#[tokio::test]
async fn columns_are_read_through_pgbouncer() {
    let server = Postgres::start().await.unwrap();
    on_postgres(&server, "integer", ", role text DEFAULT 'admin'").await;
    let member = r#"CREATE TABLE member ("organizationId" text, "userId" integer, role text);
        INSERT INTO member VALUES ('acme', 7, 'owner')"#;
    server.execute(member).await.unwrap();
    let pooler = PgBouncer::start(&server, 2).await.unwrap();
    let url = server.url_through(&pooler.address(), Postgres::DATABASE);
    let (node, _) = open(settings_reading(
        postgres_at(&url),
        [value("role"), roles()],
    ));
    assert_eq!(node.0.check_columns().await, Ok(()));
    let (other, _) = open(settings_reading(postgres_at(&url), [roles()]));
    for _ in 0..20 {
        let (first, second) = tokio::join!(columns_of(&node), columns_of(&other));
        assert_eq!(first, [json!("admin"), json!({"acme": "owner"})]);
        assert_eq!(second, [json!({"acme": "owner"})]);
    }
}
