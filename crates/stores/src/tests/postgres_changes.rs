//! Changes that PostgreSQL announces, and when the channel is down.

use std::process::Command;

use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use super::columns::{settings_reading, value};
use super::sessions::token;
use super::*;
use crate::channel::{Channel, ChannelState, ChannelSubscriber, Invalidation};
use crate::pools::Lease;
use crate::postgres::listener::{ChangesTarget, PostgresChannel};
use crate::{ChangeTriggers, RevocationKey, RevocationNewsReceiver};

/// A subscriber that records every call.
struct PostgresRecorder(UnboundedSender<PostgresEvent>);

#[derive(Debug, PartialEq)]
enum PostgresEvent {
    Down,
    Up,
    Invalidation(Invalidation),
}

impl ChannelSubscriber for PostgresRecorder {
    fn receive(&self, channel: Channel, invalidation: &Invalidation) {
        assert_eq!(channel, Channel::Postgres);
        let _ = self
            .0
            .send(PostgresEvent::Invalidation(invalidation.clone()));
    }

    fn channel_down(&self, _: Channel) {
        let _ = self.0.send(PostgresEvent::Down);
    }

    fn channel_up(&self, _: Channel) {
        let _ = self.0.send(PostgresEvent::Up);
    }
}

/// A channel, and the events on it.
struct TestListener {
    events: UnboundedReceiver<PostgresEvent>,
    lease: Lease<ChangesTarget, PostgresChannel>,
    _recorder: Arc<dyn ChannelSubscriber>,
}

impl TestListener {
    fn open(settings: &Settings) -> Self {
        let lease = pools().postgres_changes(settings).unwrap();
        let (sender, events) = unbounded_channel();
        let recorder: Arc<dyn ChannelSubscriber> = Arc::new(PostgresRecorder(sender));
        lease.resource.publisher().subscribe(&recorder);
        Self {
            events,
            lease,
            _recorder: recorder,
        }
    }

    async fn next(&mut self) -> PostgresEvent {
        timeout(TIMEOUT, self.events.recv()).await.unwrap().unwrap()
    }

    /// Waits for this event, and drops the events before it.
    async fn until(&mut self, event: &PostgresEvent) {
        while self.next().await != *event {}
    }

    /// Waits until the channel is down for a reason that contains `words`.
    async fn down_because(&self, words: &str) {
        let mut state = self.lease.resource.publisher().watch();
        let is_down_because =
            |state: &ChannelState| matches!(state, ChannelState::Down(why) if why.contains(words));
        let waiting = timeout(TIMEOUT, state.wait_for(is_down_because)).await;
        if waiting.is_err() {
            panic!(
                "{words}: {:?}",
                *self.lease.resource.publisher().watch().borrow()
            );
        }
    }

    async fn close(self) {
        self.lease.give_back().unwrap().close().await;
    }
}

fn user(id: &str) -> PostgresEvent {
    PostgresEvent::Invalidation(Invalidation::User(id.into()))
}

const EVERYTHING: PostgresEvent = PostgresEvent::Invalidation(Invalidation::Everything);

/// Settings that look users up at one URL and listen at another.
fn at(truth: &str, listen: &str) -> Settings {
    let mut settings = settings(postgres_at(truth), "users");
    database(&mut settings).columns = vec![value("role")];
    database(&mut settings).listen = Some(Box::new(urls::postgres_server(listen)));
    settings
}

async fn install(settings: &Settings) {
    let database = settings.database.as_ref().unwrap();
    let triggers = ChangeTriggers::of([settings]);
    triggers.install(database, &pools()).await.unwrap();
}

/// Starts a server with users and triggers, and returns settings that listen there.
async fn world() -> (Postgres, Settings) {
    let server = Postgres::start().await.unwrap();
    let create = "CREATE TABLE users (id int PRIMARY KEY, role text)";
    server.execute(create).await.unwrap();
    let url = server.url(Postgres::DATABASE);
    let settings = at(&url, &url);
    install(&settings).await;
    (server, settings)
}

#[tokio::test]
async fn changes_are_announced_once_the_channel_is_proved() {
    let (server, _) = world().await;
    // To the server, a connection that only listens is idle. A read-only connection may send notifications.
    let role = "CREATE ROLE reader LOGIN PASSWORD 'reading'; GRANT SELECT ON users TO reader; \
                ALTER ROLE reader SET idle_session_timeout = '1500ms'; \
                ALTER ROLE reader SET default_transaction_read_only = on";
    server.execute(role).await.unwrap();
    let (address, database) = (server.address(), Postgres::DATABASE);
    let url = format!("postgres://reader:reading@{address}/{database}");
    let mut channel = TestListener::open(&at(&url, &url));
    assert_eq!(channel.next().await, PostgresEvent::Down);
    assert_eq!(channel.next().await, PostgresEvent::Up);
    server
        .execute("INSERT INTO users VALUES (7)")
        .await
        .unwrap();
    assert_eq!(channel.next().await, user("7"));
    let idle = "SELECT count(*) FROM pg_stat_activity WHERE query LIKE '%idle_session_timeout%' \
                AND pid <> pg_backend_pid() AND state_change < now() - interval '2500ms'";
    let waiting = async { while server.execute(idle).await.unwrap() != "1" {} };
    timeout(TIMEOUT, waiting).await.unwrap();
    let mut news = RevocationNewsReceiver::from_now_on();
    server
        .execute("NOTIFY sessiongate_revocations")
        .await
        .unwrap();
    timeout(TIMEOUT, async { while !news.changed().await.everything {} })
        .await
        .unwrap();
    // An announcement that names a revocation does not cause the others to be read.
    let named = "NOTIFY sessiongate_revocations, 'default:user:7:8'";
    server.execute(named).await.unwrap();
    let key = RevocationKey {
        realm: "default".to_owned(),
        what: gate::Revoked::User("7:8".into()),
    };
    let named = async { while !news.changed().await.keys.contains(&key) {} };
    timeout(TIMEOUT, named).await.unwrap();
    server
        .execute("NOTIFY sessiongate_changes, 'from the future:7'")
        .await
        .unwrap();
    assert_eq!(channel.next().await, EVERYTHING);

    // A flood ends in one announcement that anything may have changed; the next change is announced by itself again.
    // How many announcements arrive before that depends on the speed of the machine; the tests of `Flood` count them with
    // a simulated time.
    let flood = "SELECT pg_notify('sessiongate_changes', 'user:' || n) FROM generate_series(1, 20000) AS of (n)";
    server.execute(flood).await.unwrap();
    let mut announced = 0;
    while channel.next().await != EVERYTHING {
        announced += 1;
        assert_ne!(announced, 20_000, "nothing was held back");
    }
    let update = "UPDATE users SET role = 'admin'";
    server.execute(update).await.unwrap();
    channel.until(&user("7")).await;

    // A closed channel is no longer up.
    channel.lease.resource.close().await;
    channel.until(&PostgresEvent::Down).await;
    channel.close().await;
}

#[tokio::test]
async fn a_session_is_announced_by_its_id() {
    let server = Postgres::start().await.unwrap();
    let create = r#"CREATE TABLE "user" (id text); CREATE TABLE session (token text, "userId" text, "expiresAt" timestamptz)"#;
    server.execute(create).await.unwrap();
    let mut settings = settings_reading(postgres(&server), []);
    let url = server.url(Postgres::DATABASE);
    database(&mut settings).listen = Some(Box::new(urls::postgres_server(&url)));
    install(&settings).await;
    let mut channel = TestListener::open(&settings);
    channel.until(&PostgresEvent::Up).await;
    let insert = "INSERT INTO session VALUES ('t0ken', '7', now())";
    server.execute(insert).await.unwrap();
    let id = token("t0ken").id().into();
    assert_eq!(
        channel.next().await,
        PostgresEvent::Invalidation(Invalidation::Session(id))
    );
}

#[tokio::test]
async fn a_channel_through_a_pooler_is_up_only_if_it_receives() {
    let (server, _) = world().await;
    let direct = server.url(Postgres::DATABASE);
    let through = async |mode: &str| {
        let pooler = PgBouncer::start_in_mode(&server, mode, 2).await.unwrap();
        let url = server.url_through(&pooler.address(), Postgres::DATABASE);
        (pooler, url)
    };
    let (_transaction, transaction) = through("transaction").await;
    for truth in [&direct, &transaction] {
        let channel = TestListener::open(&at(truth, &transaction));
        channel
            .down_because("bypass a pooler in transaction mode")
            .await;
        channel.close().await;
    }
    let (_session, session) = through("session").await;
    for (truth, listen) in [(&transaction, &direct), (&session, &session)] {
        let mut channel = TestListener::open(&at(truth, listen));
        channel.until(&PostgresEvent::Up).await;
        channel.close().await;
    }
    // Another database of the same server has other notifications.
    server.execute("CREATE DATABASE other").await.unwrap();
    let channel = TestListener::open(&at(&direct, &server.url("other")));
    channel.down_because("the same database").await;
}

#[tokio::test]
async fn incomplete_triggers_keep_the_channel_down() {
    let (server, settings) = world().await;
    let url = server.url(Postgres::DATABASE);
    ChangeTriggers::uninstall(settings.database.as_ref().unwrap(), &pools())
        .await
        .unwrap();
    let mut channel = TestListener::open(&settings);
    channel
        .down_because("a trigger on public.users is missing; `sessiongate db install`")
        .await;
    install(&settings).await;
    channel.until(&PostgresEvent::Up).await;
    for sql in [
        "ALTER TABLE users DISABLE TRIGGER ALL",
        "DROP TABLE users; CREATE TABLE users (id int PRIMARY KEY, role text)",
    ] {
        server.execute(sql).await.unwrap();
        channel.until(&PostgresEvent::Down).await;
        install(&settings).await;
        channel.until(&PostgresEvent::Up).await;
    }

    // A change between two checks is found.
    let gap = "BEGIN; ALTER TABLE users DISABLE TRIGGER ALL; DELETE FROM users; \
               SELECT pg_notify('sessiongate_changes', 'user:gap'); COMMIT";
    server.execute(gap).await.unwrap();
    channel.until(&user("gap")).await;
    install(&settings).await;
    channel.until(&EVERYTHING).await;

    // Detaching a partition changes no row.
    server
        .execute(
            "CREATE SCHEMA parts; CREATE TABLE parts.users (id int, role text) PARTITION BY LIST (id);
             CREATE TABLE parts.one PARTITION OF parts.users FOR VALUES IN (1)",
        )
        .await
        .unwrap();
    let mut settings = at(&url, &url);
    users(&mut settings).table = Table::parse("parts.users").unwrap();
    install(&settings).await;
    let mut channel = TestListener::open(&settings);
    channel.until(&PostgresEvent::Up).await;
    let detach = "ALTER TABLE parts.users DETACH PARTITION parts.one";
    server.execute(detach).await.unwrap();
    channel.until(&EVERYTHING).await;
}

#[tokio::test]
async fn a_connection_that_breaks_or_freezes_is_noticed_and_replaced() {
    let (mut server, _) = world().await;
    let direct = server.url(Postgres::DATABASE);
    let proxy = CutProxy::start(&server.address()).await.unwrap();
    let through = server.url_through(&proxy.address(), Postgres::DATABASE);
    let mut channel = TestListener::open(&at(&direct, &through));
    channel.until(&PostgresEvent::Up).await;
    proxy.stall();
    channel.until(&PostgresEvent::Down).await;
    proxy.restore().await.unwrap();
    channel.until(&PostgresEvent::Up).await;
    proxy.cut().await.unwrap();
    channel.until(&PostgresEvent::Down).await;
    proxy.restore().await.unwrap();
    channel.until(&PostgresEvent::Up).await;

    // A suspended backend process sends nothing, not even an error.
    let pid = "SELECT pid FROM pg_stat_activity WHERE query LIKE '%idle_session_timeout%' AND pid <> pg_backend_pid()";
    let pid = server.execute(pid).await.unwrap();
    let signal = |name: &str| Command::new("kill").args([name, &pid]).status().unwrap();
    assert!(signal("-STOP").success());
    channel.until(&PostgresEvent::Down).await;
    channel.until(&PostgresEvent::Up).await;
    let insert = "INSERT INTO users VALUES (8)";
    server.execute(insert).await.unwrap();
    channel.until(&user("8")).await;
    assert!(signal("-CONT").success());

    server.stop().await.unwrap();
    channel.until(&PostgresEvent::Down).await;
    server.start_again().await.unwrap();
    channel.until(&PostgresEvent::Up).await;
    // A connection after the first one works, too.
    server
        .execute("DELETE FROM users WHERE id = 8")
        .await
        .unwrap();
    channel.until(&user("8")).await;
}

#[tokio::test]
async fn a_standby_keeps_the_channel_down() {
    let (primary, _) = world().await;
    let standby = primary.standby().await.unwrap();
    let (primary_url, standby_url) = (
        primary.url(Postgres::DATABASE),
        standby.url(Postgres::DATABASE),
    );
    let late = TestListener::open(&at(&standby_url, &primary_url));
    late.down_because("a standby").await;
    let mute = TestListener::open(&at(&primary_url, &standby_url));
    mute.down_because("LISTEN during recovery").await;
    let mut both = TestListener::open(&at(&standby_url, &standby_url));
    both.down_because("LISTEN_DATABASE_URL").await;

    // Once promoted, the standby is a separate server: a client that listens to the former primary receives nothing from
    // it.
    standby.execute("SELECT pg_promote()").await.unwrap();
    both.until(&PostgresEvent::Up).await;
    late.down_because("the same database of the same server")
        .await;
}

#[tokio::test]
async fn changes_by_logical_replication_are_announced() {
    let (mut publisher, _) = world().await;
    let level = "ALTER SYSTEM SET wal_level = logical";
    publisher.execute(level).await.unwrap();
    publisher.stop().await.unwrap();
    publisher.start_again().await.unwrap();
    let publish = "INSERT INTO users VALUES (7, 'editor'), (8, 'editor'); \
                   CREATE PUBLICATION people FOR TABLE users";
    publisher.execute(publish).await.unwrap();

    let (subscriber, settings) = world().await;
    let mut channel = TestListener::open(&settings);
    channel.until(&PostgresEvent::Up).await;
    let url = publisher.url(Postgres::DATABASE);
    let subscribe = format!("CREATE SUBSCRIPTION ours CONNECTION '{url}' PUBLICATION people");
    subscriber.execute(&subscribe).await.unwrap();
    // The initial copy is announced, and then each change.
    channel.until(&user("8")).await;
    publisher
        .execute("UPDATE users SET role = 'owner' WHERE id = 8")
        .await
        .unwrap();
    channel.until(&user("8")).await;
    publisher
        .execute("DELETE FROM users WHERE id = 7")
        .await
        .unwrap();
    channel.until(&user("7")).await;
    let left = subscriber.execute("SELECT id, role FROM users").await;
    assert_eq!(left.unwrap(), "8|owner");
    publisher.execute("TRUNCATE users").await.unwrap();
    channel.until(&EVERYTHING).await;
    subscriber.execute("DROP SUBSCRIPTION ours").await.unwrap();
}
