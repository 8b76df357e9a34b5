//! The announcements of the triggers, and the checks of their state. The tests receive notifications as any client would.

use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::task::JoinSet;
use tokio_postgres::{AsyncMessage, Client, NoTls};

use super::columns::{column, moment, roles, settings_reading, value};
use super::sessions::token;
use super::*;
use crate::{ChangeTriggers, TriggerFlaw};

/// A client that listens to the notifications of the triggers.
struct TriggerListener {
    announcements: UnboundedReceiver<String>,
    marks: usize,
    _client: Client,
    _driver: JoinSet<()>,
}

impl TriggerListener {
    async fn open(server: &Postgres) -> Self {
        let url = server.url(Postgres::DATABASE);
        let (client, mut connection) = tokio_postgres::connect(&url, NoTls).await.unwrap();
        let (sender, announcements) = unbounded_channel();
        let mut driver = JoinSet::new();
        driver.spawn(async move {
            while let Some(Ok(message)) =
                std::future::poll_fn(|context| connection.poll_message(context)).await
            {
                if let AsyncMessage::Notification(notification) = message {
                    let _ = sender.send(notification.payload().to_owned());
                }
            }
        });
        client
            .batch_execute("LISTEN sessiongate_changes")
            .await
            .unwrap();
        Self {
            announcements,
            marks: 0,
            _client: client,
            _driver: driver,
        }
    }

    /// Returns the announcements while these statements run. A call with one statement is a transaction of its own.
    async fn during(&mut self, server: &Postgres, sql: &str) -> Vec<String> {
        server.execute(sql).await.unwrap();
        self.marks += 1;
        let mark = format!("mark {}", self.marks);
        let notify = format!("NOTIFY sessiongate_changes, '{mark}'");
        server.execute(&notify).await.unwrap();
        let mut received = Vec::new();
        loop {
            let payload = timeout(TIMEOUT, self.announcements.recv())
                .await
                .unwrap()
                .unwrap();
            if payload == mark {
                return received;
            }
            received.push(payload);
        }
    }
}

/// Settings that look users up by `id`, with these columns.
fn settings_with(server: &Postgres, columns: &[&str]) -> Settings {
    let mut settings = settings(postgres(server), "users");
    let columns = columns.iter().map(|name| value(name));
    database(&mut settings).columns = columns.collect();
    settings
}

async fn install(settings: &Settings) -> Vec<TriggerFlaw> {
    let database = settings.database.as_ref().unwrap();
    let triggers = ChangeTriggers::of([settings]);
    triggers.install(database, &pools()).await.unwrap();
    flaws(settings).await
}

async fn flaws(settings: &Settings) -> Vec<TriggerFlaw> {
    let database = settings.database.as_ref().unwrap();
    let triggers = ChangeTriggers::of([settings]);
    let tables = triggers.inspect(database, &pools()).await.unwrap();
    tables.into_iter().flat_map(|table| table.flaws).collect()
}

#[test]
fn all_columns_that_are_read_of_a_table_are_watched_once() {
    let url = || postgres_at("postgres://gate@db/app");
    let first = settings_reading(url(), [value("role"), moment("banned"), roles()]);
    let mut second = settings_reading(url(), [value("email")]);
    second.claims = vec![StoredClaim {
        of: ClaimOf::Session,
        name: "activeOrganizationId".into(),
        column: column("org"),
    }];
    let sql = ChangeTriggers::of([&first, &second]).sql();
    let watched = sql.lines().filter(|line| line.starts_with("--   "));
    assert_eq!(
        watched.collect::<Vec<_>>(),
        [
            r#"--   "member" by "userId": "organizationId", "role""#,
            r#"--   "user" by "id": "banned", "email", "role""#,
            r#"--   "session" by "token": "expiresAt", "org", "userId""#,
        ]
    );
}

const EVERYTHING: &str = "everything";

#[tokio::test]
async fn every_change_of_a_watched_column_is_announced_and_no_other() {
    let server = Postgres::start().await.unwrap();
    server
        .execute(
            "CREATE TABLE users (id text PRIMARY KEY, role text COLLATE \"C\", about json, seen int);
             INSERT INTO users SELECT number::text FROM generate_series(1, 2000) AS of (number);
             -- A word that it already has is no change; another column is no change of this one.
             CREATE FUNCTION demote() RETURNS trigger LANGUAGE plpgsql AS
               $$ BEGIN IF NEW.seen = 7 THEN NEW.role := 'none'; END IF; RETURN NEW; END $$;
             CREATE TRIGGER demote BEFORE UPDATE ON users FOR EACH ROW EXECUTE FUNCTION demote()",
        )
        .await
        .unwrap();
    let settings = settings_with(&server, &["role", "about"]);
    assert_eq!(install(&settings).await, []);
    assert_eq!(install(&settings).await, []);
    let mut listener = TriggerListener::open(&server).await;
    let long = "x".repeat(7900);
    for (sql, announced) in [
        (
            "UPDATE users SET role = 'admin' WHERE id = '1'",
            &["user:1"][..],
        ),
        ("UPDATE users SET role = 'admin' WHERE id = '1'", &[]),
        (
            "UPDATE users SET role = 'Admin' WHERE id = '1'",
            &["user:1"],
        ),
        ("UPDATE users SET about = '{}' WHERE id = '2'", &["user:2"]),
        ("UPDATE users SET seen = 6 WHERE id = '1'", &[]),
        // The statement does not name the column that a trigger changes.
        ("UPDATE users SET seen = 7 WHERE id = '1'", &["user:1"]),
        (
            "UPDATE users SET id = 'a ''b' WHERE id = '1'",
            &["user:1", "user:a 'b"],
        ),
        ("INSERT INTO users (id) VALUES ('new')", &["user:new"]),
        (
            "DELETE FROM users WHERE id IN ('new', '2', '3')",
            &["user:2", "user:3", "user:new"],
        ),
        ("BEGIN; DELETE FROM users WHERE id = '4'; ROLLBACK", &[]),
        (
            "BEGIN; SAVEPOINT one; DELETE FROM users; ROLLBACK TO one; DELETE FROM users WHERE id = '4'; COMMIT",
            &["user:4"],
        ),
        (
            &format!("INSERT INTO users (id) VALUES ('{long}')"),
            &[EVERYTHING],
        ),
        ("TRUNCATE users", &[EVERYTHING]),
        (
            "SET session_replication_role = replica; INSERT INTO users (id) VALUES ('5')",
            &["user:5"],
        ),
        // A client that manipulates the count cannot suppress announcements.
        (
            "SET sessiongate.words = 'many'; DELETE FROM users",
            &[EVERYTHING],
        ),
    ] {
        let mut received = listener.during(&server, sql).await;
        received.sort_unstable();
        assert_eq!(received, announced, "{sql}");
    }
    let many = "INSERT INTO users SELECT number::text FROM generate_series(1, 2000) AS of (number)";
    let received = listener.during(&server, many).await;
    assert_eq!(received.len(), 501);
    assert_eq!(received.last().map(String::as_str), Some(EVERYTHING));
}

#[tokio::test]
async fn changes_of_partitions_and_of_inheriting_tables_are_announced() {
    let server = Postgres::start().await.unwrap();
    server
        .execute(
            "CREATE SCHEMA app;
             CREATE TABLE app.users (extra int, id bigint, area text, role text) PARTITION BY LIST (area);
             CREATE TABLE app.north (role text, area text, id bigint, extra int);
             ALTER TABLE app.users ATTACH PARTITION app.north FOR VALUES IN ('north');
             CREATE TABLE app.south PARTITION OF app.users FOR VALUES IN ('south') PARTITION BY RANGE (id);
             CREATE TABLE app.south_1 PARTITION OF app.south FOR VALUES FROM (0) TO (100);
             CREATE TABLE old (id int, role text);
             CREATE TABLE older () INHERITS (old)",
        )
        .await
        .unwrap();
    let mut settings = settings_with(&server, &["role"]);
    users(&mut settings).table = Table::parse("app.users").unwrap();
    assert_eq!(install(&settings).await, []);
    let mut listener = TriggerListener::open(&server).await;
    for (sql, announced) in [
        (
            "INSERT INTO app.users (id, area) VALUES (1, 'north'), (2, 'south')",
            &["user:1", "user:2"][..],
        ),
        (
            "UPDATE app.users SET area = 'south' WHERE id = 1",
            &["user:1"],
        ),
        (
            "UPDATE app.south_1 SET role = 'x' WHERE id = 1",
            &["user:1"],
        ),
        ("UPDATE app.users SET extra = 1", &[]),
        ("TRUNCATE app.south_1", &[EVERYTHING]),
        (
            "INSERT INTO app.north (id, area) VALUES (3, 'north')",
            &["user:3"],
        ),
        ("TRUNCATE app.north", &[EVERYTHING]),
    ] {
        assert_eq!(listener.during(&server, sql).await, announced, "{sql}");
    }
    // A new partition inherits its parent's triggers on rows, but not the trigger on TRUNCATE.
    let later = "CREATE TABLE app.west PARTITION OF app.users FOR VALUES IN ('west')";
    server.execute(later).await.unwrap();
    let missing = TriggerFlaw::Missing("app.west".to_owned());
    assert_eq!(flaws(&settings).await, [missing]);
    let insert = "INSERT INTO app.users (id, area) VALUES (4, 'west')";
    assert_eq!(listener.during(&server, insert).await, ["user:4"]);
    assert_eq!(install(&settings).await, []);
    assert_eq!(
        listener.during(&server, "TRUNCATE app.west").await,
        [EVERYTHING]
    );

    users(&mut settings).table = Table::parse("old").unwrap();
    assert_eq!(install(&settings).await, []);
    for (sql, announced) in [
        ("INSERT INTO older VALUES (5)", "user:5"),
        ("UPDATE old SET role = 'x'", "user:5"),
        ("TRUNCATE older", EVERYTHING),
    ] {
        assert_eq!(listener.during(&server, sql).await, [announced], "{sql}");
    }
}

#[tokio::test]
async fn a_session_is_announced_by_the_id_of_its_token_and_a_member_by_its_user() {
    let server = Postgres::start().await.unwrap();
    server
        .execute(
            r#"CREATE TABLE "user" (id uuid PRIMARY KEY, "isAnonymous" boolean, role text);
               CREATE TABLE session (token text, "userId" uuid REFERENCES "user" ON DELETE CASCADE, "expiresAt" timestamptz,
                 "updatedAt" timestamptz);
               CREATE TABLE member ("userId" uuid, "organizationId" text, role text)"#,
        )
        .await
        .unwrap();
    let settings = settings_reading(postgres(&server), [value("role"), roles()]);
    assert_eq!(install(&settings).await, []);
    let mut listener = TriggerListener::open(&server).await;
    let user = "0b8a6c2e-1f3d-4e5f-8a9b-0c1d2e3f4a5b";
    let (of_user, of_session) = (
        format!("user:{user}"),
        format!("session:{}", token("t0ken").id()),
    );
    let both = [&*of_session, &*of_user];
    for (sql, announced) in [
        (
            format!("INSERT INTO \"user\" VALUES ('{user}')"),
            &both[1..],
        ),
        (
            format!("INSERT INTO session VALUES ('t0ken', '{user}', now())"),
            &both[..1],
        ),
        ("UPDATE session SET \"updatedAt\" = now()".to_owned(), &[]),
        (
            "UPDATE session SET \"expiresAt\" = now() + interval '1 hour'".to_owned(),
            &both[..1],
        ),
        (
            format!("INSERT INTO member VALUES ('{user}', 'o', 'admin')"),
            &both[1..],
        ),
        ("UPDATE member SET role = 'member'".to_owned(), &both[1..]),
        ("DELETE FROM \"user\"".to_owned(), &both),
    ] {
        let mut received = listener.during(&server, &sql).await;
        received.sort_unstable();
        assert_eq!(received, announced, "{sql}");
    }
}

#[tokio::test]
async fn triggers_neither_fail_applications_nor_can_be_hijacked_by_them() {
    let server = Postgres::start().await.unwrap();
    server
        .execute(
            "CREATE TABLE users (id int PRIMARY KEY, role text);
             CREATE ROLE app LOGIN PASSWORD 'app'; GRANT ALL ON users TO app; GRANT CREATE ON SCHEMA public TO app;
             REVOKE EXECUTE ON FUNCTION pg_notify(text, text) FROM PUBLIC",
        )
        .await
        .unwrap();
    let settings = settings_with(&server, &["role"]);
    assert_eq!(install(&settings).await, []);
    let mut listener = TriggerListener::open(&server).await;
    let hijack = "SET ROLE app; CREATE FUNCTION public.pg_notify(text, text) RETURNS void LANGUAGE sql AS 'SELECT'; \
                  CREATE FUNCTION public.current_setting(text, boolean) RETURNS text LANGUAGE sql AS $$ SELECT '9' $$; \
                  SET search_path = public, pg_catalog; INSERT INTO users VALUES (1)";
    assert_eq!(listener.during(&server, hijack).await, ["user:1"]);

    // The owner of the function may no longer notify: nothing is announced, nothing fails, and the check reports it.
    server
        .execute(
            "CREATE ROLE owner; ALTER TABLE users OWNER TO owner; GRANT CREATE ON SCHEMA public TO owner",
        )
        .await
        .unwrap();
    install(&settings).await;
    let mute = [TriggerFlaw::MayNotNotify("owner".to_owned())];
    assert_eq!(flaws(&settings).await, mute);
    let update = "SET ROLE app; UPDATE users SET role = 'x'";
    assert!(listener.during(&server, update).await.is_empty());
    assert_eq!(server.execute("SELECT role FROM users").await.unwrap(), "x");

    // A function of that name that another role owns could run with the privileges of the role that changes the table.
    let stolen = "DO $$ DECLARE f text := (SELECT min(proname) FROM pg_proc WHERE proname LIKE 'sessiongate%'); \
                  BEGIN EXECUTE format('ALTER FUNCTION %I() OWNER TO app', f); END $$";
    server.execute(stolen).await.unwrap();
    let database = settings.database.as_ref().unwrap();
    let refused = ChangeTriggers::of([&settings])
        .install(database, &pools())
        .await;
    assert!(refused.unwrap_err().to_string().contains("belongs to app"));
}

#[tokio::test]
async fn missing_disabled_and_outdated_triggers_are_found_and_replaced() {
    let server = Postgres::start().await.unwrap();
    let create = "CREATE TABLE users (id int PRIMARY KEY, role text, banned boolean)";
    server.execute(create).await.unwrap();
    let mut settings = settings_with(&server, &["role"]);
    let on = || "public.users".to_owned();
    assert_eq!(flaws(&settings).await, [TriggerFlaw::Missing(on())]);
    assert_eq!(install(&settings).await, []);
    for (sql, flaw) in [
        (
            "ALTER TABLE users DISABLE TRIGGER USER",
            TriggerFlaw::Disabled(on()),
        ),
        // The state after `pg_restore --disable-triggers`.
        (
            "ALTER TABLE users ENABLE TRIGGER ALL",
            TriggerFlaw::Disabled(on()),
        ),
        (
            "DO $$ DECLARE f text := (SELECT min(proname) FROM pg_proc WHERE proname LIKE 'sessiongate%'); \
             BEGIN EXECUTE format('ALTER FUNCTION %I() SECURITY INVOKER', f); END $$",
            TriggerFlaw::Outdated(on()),
        ),
        (
            "ALTER TABLE users RENAME TO gone; CREATE TABLE users (LIKE gone INCLUDING ALL)",
            TriggerFlaw::Missing(on()),
        ),
    ] {
        server.execute(sql).await.unwrap();
        assert_eq!(flaws(&settings).await, [flaw], "{sql}");
        assert_eq!(install(&settings).await, [], "{sql}");
    }

    // A dump holds the triggers as the server prints them.
    server
        .execute(
            "DO $$ DECLARE t record; BEGIN
               FOR t IN SELECT tgname, pg_get_triggerdef(oid) AS made FROM pg_trigger
                 WHERE tgrelid = 'users'::regclass AND tgname LIKE 'sessiongate%' LOOP
                 EXECUTE format('DROP TRIGGER %I ON users', t.tgname);
                 EXECUTE t.made;
                 EXECUTE format('ALTER TABLE users ENABLE ALWAYS TRIGGER %I', t.tgname);
               END LOOP; END $$",
        )
        .await
        .unwrap();
    assert_eq!(flaws(&settings).await, []);

    // Gates with different columns share triggers that watch all of them.
    let mut others = settings.clone();
    database(&mut others).columns = vec![value("banned")];
    assert_eq!(flaws(&others).await, [TriggerFlaw::Outdated(on())]);
    assert_eq!(install(&others).await, []);
    assert_eq!(flaws(&settings).await, []);

    database(&mut settings).columns.push(value("deleted"));
    let absent = TriggerFlaw::NoColumn("\"deleted\"".to_owned());
    assert!(flaws(&settings).await.contains(&absent));
    let triggers = ChangeTriggers::of([&settings]);
    let refused = triggers.install(database(&mut settings), &pools()).await;
    let refused = refused.unwrap_err().to_string();
    assert!(
        refused.contains("there is no column deleted in public.users"),
        "{refused}"
    );

    ChangeTriggers::uninstall(database(&mut settings), &pools())
        .await
        .unwrap();
    let left = "SELECT (SELECT count(*) FROM pg_trigger WHERE tgname LIKE 'sessiongate%') + \
                (SELECT count(*) FROM pg_proc WHERE proname LIKE 'sessiongate%')";
    assert_eq!(server.execute(left).await.unwrap(), "0");
    server
        .execute("CREATE VIEW seen AS SELECT * FROM users")
        .await
        .unwrap();
    users(&mut settings).table = Table::parse("seen").unwrap();
    let view = TriggerFlaw::NotATable("public.seen".to_owned());
    assert!(flaws(&settings).await.contains(&view));
    users(&mut settings).id = column("nothing");
    users(&mut settings).table = Table::parse("nowhere").unwrap();
    assert_eq!(flaws(&settings).await, [TriggerFlaw::NoTable]);
}
