//! A gate with stores of its own.

use std::ops::Range;
use std::path::Path;
use std::process::Command;
use std::thread::sleep;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use harness::{Postgres, Redis, free_port, mint};
use tokio::runtime::Runtime;
use xtask::step::{clock, command, output};

use super::UsersScale;
use super::lookups::Lookups;
use super::sessions::{Sessions, cookie, parts, user};
use crate::http::{Address, Connection, get};
use crate::lab::Lab;
use crate::load::Order;
use crate::service::{Program, Service};

/// The channels on which the gate learns of changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Channels {
    /// It has no channel and remembers users for five seconds, the default.
    None,
    /// PostgreSQL and Redis report changes, and it remembers users for minutes.
    Both,
    /// Only PostgreSQL reports changes, and it remembers users for minutes.
    PostgresOnly,
}

/// A running gate. Dropping it stops the gate.
pub(super) struct Side<'a> {
    // Fields drop in order: what the others need comes last.
    service: Service,
    redis: Redis,
    runtime: &'a Runtime,
    lab: &'a Lab,
    pub(super) channels: Channels,
    pub(super) address: Address,
    admin: Address,
}

impl Channels {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::None => "without",
            Self::Both => "with-channels",
            Self::PostgresOnly => "with-postgres",
        }
    }

    /// Returns its label in a table; `remember` is in seconds.
    pub(super) fn label(self, remember: u32) -> String {
        let minutes = f64::from(remember) / 60.0;
        match self {
            Self::None => "without channels, remembering for 5 s".to_owned(),
            Self::Both => format!("**with both channels**, remembering for {minutes} min"),
            Self::PostgresOnly => {
                format!("**with the channel of PostgreSQL**, remembering for {minutes} min")
            }
        }
    }

    fn database(self) -> &'static str {
        match self {
            Self::None => "users_without",
            Self::Both | Self::PostgresOnly => "users_with_channels",
        }
    }

    /// Returns its channels, by their names in the metrics.
    fn metric_labels(self) -> &'static [&'static str] {
        match self {
            Self::None => &[],
            Self::Both => &["postgres", "redis"],
            Self::PostgresOnly => &["postgres"],
        }
    }
}

impl<'a> Side<'a> {
    /// Fills the stores and starts the gate.
    ///
    /// # Errors
    /// When a store cannot be filled, or a server does not start.
    pub(super) fn start(
        lab: &'a Lab,
        runtime: &'a Runtime,
        channels: Channels,
        gate: &Path,
        scale: UsersScale,
    ) -> Result<Self> {
        let UsersScale {
            users, remember, ..
        } = scale;
        let database = channels.database();
        sql(
            lab,
            Postgres::DATABASE,
            &format!("CREATE DATABASE {database}"),
        )?;
        let fill = format!(
            "CREATE TABLE users (id text PRIMARY KEY); \
             INSERT INTO users SELECT 'user-' || lpad(n::text, 7, '0') FROM generate_series(0, {users} - 1) n"
        );
        sql(lab, database, &fill)?;
        sql(lab, database, "VACUUM ANALYZE users")?;
        let redis = runtime.block_on(Redis::start())?;
        let [address, admin] = [(); 2].map(|()| Address::Tcp(free_port()));
        let mut environment = vec![
            ("LISTEN", address.to_string()),
            ("UPSTREAM", format!("http://{}", lab.upstream())),
            ("ADMIN_LISTEN", admin.to_string()),
            ("AUTH_SECRET", mint::SECRET.to_owned()),
            ("ENABLE_DB_CHECK", "true".to_owned()),
            ("DATABASE_URL", lab.postgres.url(database)),
            ("REDIS_URL", redis.url()),
            ("REDIS_CACHE_TTL", remember.to_string()),
        ];
        let tracks = channels.metric_labels().contains(&"redis");
        environment.extend(tracks.then(|| ("REDIS_TRACKING", "true".to_owned())));
        if channels != Channels::None {
            environment.extend([
                ("LISTEN_DATABASE_URL", lab.postgres.url(database)),
                ("HEARD_CACHE_TTL", remember.to_string()),
                // More than enough room for all users.
                ("MEMORY_CACHE_ENTRIES", (2 * users).to_string()),
                ("MEMORY_CACHE_BYTES", (1024 * users).to_string()),
            ]);
            let mut install = Command::new(gate);
            install.args(["db", "install"]);
            output(install.envs(environment.iter().map(|(name, value)| (name, value))))?;
        }
        let program = Program {
            name: "sessiongate",
            words: vec![gate.display().to_string(), "serve".to_owned()],
            environment,
            cores: None,
        };
        let service = lab.start_plain(&program, &address)?;
        Ok(Self {
            service,
            redis,
            runtime,
            lab,
            channels,
            address,
            admin,
        })
    }

    /// Returns an order of requests with the cookies in this file: `rate` per second, for this many seconds.
    pub(super) fn order<'o>(&'o self, cookies: &'o Path, rate: f64, seconds: u32) -> Order<'o> {
        Order {
            address: &self.address,
            speaks_tls: false,
            path: "/",
            headers: &[],
            cookies,
            call: &[],
            refused: false,
            cores: None,
            rate,
            seconds,
            folder: self.lab.folder(),
        }
    }

    /// Returns the id of its process.
    pub(super) fn process(&self) -> u32 {
        self.service.id()
    }

    /// Verifies that the gate permits a known user, names that user to the upstream and refuses others, and that its channels
    /// work.
    ///
    /// # Errors
    /// When the gate does not do so.
    pub(super) fn verify(&self, sessions: &Sessions) -> Result<()> {
        self.wait_for_channels()?;
        let first = sessions.cookies(0..1)?.next().context("a session")??;
        let (status, seen) = self.status_and_body("/seen", Some(first))?;
        ensure!(
            status == 200 && seen == user(0),
            "{:?} answers {status}, and the upstream saw {seen:?}",
            self.channels
        );
        for (cookie, expected) in [(None, 401), (Some(cookie("nobody", 0)), 403)] {
            let (status, _) = self.status_and_body("/seen", cookie)?;
            ensure!(
                status == expected,
                "{:?} answers {status}, expected {expected}",
                self.channels
            );
        }
        Ok(())
    }

    /// Waits until the metrics report that all of its channels work.
    ///
    /// # Errors
    /// When they do not within 20 seconds.
    pub(super) fn wait_for_channels(&self) -> Result<()> {
        let began = clock();
        while began.elapsed() < TIMEOUT {
            let mut connection = Connection::open(&self.admin)?;
            let metrics = connection.exchange(&get("/metrics", &[]))?;
            let metrics = String::from_utf8_lossy(metrics.body);
            let is_up = |channel: &&str| {
                let line = format!("sessiongate_channel_up{{channel=\"{channel}\"}} 1");
                metrics.lines().any(|metric| metric == line)
            };
            if self.channels.metric_labels().iter().all(is_up) {
                return Ok(());
            }
            sleep(POLL_INTERVAL);
        }
        bail!("the gate's channels are not up after {TIMEOUT:?}");
    }

    /// Sends requests of the first `users` users, so that Redis and the gate remember them.
    ///
    /// It sends two of each: Redis notifies the gate of the gate's own writes too, so it forgets a user after the first request
    /// and remembers the user from the second on.
    ///
    /// # Errors
    /// When a request is refused.
    pub(super) fn warm_up(&self, sessions: &Sessions, users: usize) -> Result<()> {
        self.warm_up_once(sessions, users)?;
        self.warm_up_once(sessions, users)
    }

    fn warm_up_once(&self, sessions: &Sessions, users: usize) -> Result<()> {
        let warm_up = |users: Range<usize>| {
            let mut connection = Connection::open(&self.address)?;
            for cookie in sessions.cookies(users)? {
                let status = connection.exchange(&request("/", Some(cookie?)))?.status;
                ensure!(status == 200, "{:?} answers {status}", self.channels);
            }
            Ok(())
        };
        std::thread::scope(|scope| {
            let threads =
                parts(0..users, WARM_UP_CONNECTIONS).map(|part| scope.spawn(|| warm_up(part)));
            let threads: Vec<_> = threads.collect();
            let mut threads = threads.into_iter();
            threads.try_for_each(|thread| thread.join().ok().context("a thread failed")?)
        })
    }

    /// Returns the lookups in its stores so far.
    ///
    /// # Errors
    /// When a store does not report it.
    pub(super) fn lookups(&self) -> Result<Lookups> {
        let database = self.channels.database();
        // The query runs in another database, so that it does not count.
        let transactions = format!(
            "SELECT xact_commit + xact_rollback FROM pg_stat_database WHERE datname = '{database}'"
        );
        let transactions = sql(self.lab, Postgres::DATABASE, &transactions)?;
        let reading = self.redis.cli(["INFO", "commandstats"]);
        Lookups::read(
            &self.runtime.block_on(reading)?,
            transactions.trim().parse()?,
        )
    }

    /// Deletes the first user, and verifies that requests of the user are refused long before the remembered data expires.
    ///
    /// # Errors
    /// When requests of the user are still permitted.
    pub(super) fn refuses_deleted_user(&self, sessions: &Sessions) -> Result<()> {
        let first = sessions.cookies(0..1)?.next().context("a session")??;
        let (status, _) = self.status_and_body("/", Some(first.clone()))?;
        ensure!(status == 200, "{status} before the user is deleted");
        let delete = format!("DELETE FROM users WHERE id = '{}'", user(0));
        sql(self.lab, self.channels.database(), &delete)?;
        let began = clock();
        while self.status_and_body("/", Some(first.clone()))?.0 == 200 {
            ensure!(
                began.elapsed() < MAX_REVOCATION_DELAY,
                "a deleted user is still permitted"
            );
            sleep(POLL_INTERVAL);
        }
        Ok(())
    }

    fn status_and_body(&self, path: &str, cookie: Option<String>) -> Result<(u16, String)> {
        let mut connection = Connection::open(&self.address)?;
        let answer = connection.exchange(&request(path, cookie))?;
        Ok((
            answer.status,
            String::from_utf8_lossy(answer.body).into_owned(),
        ))
    }
}

/// The versions of the stores.
///
/// # Errors
/// When a store does not report it.
pub(super) fn versions(lab: &Lab) -> Result<Vec<(&'static str, String)>> {
    let redis = output(&mut command("redis-server --version"))?;
    let redis = redis.split(' ').find_map(|word| word.strip_prefix("v="));
    let postgres = sql(lab, Postgres::DATABASE, "SHOW server_version")?;
    let postgres = postgres.split_whitespace().next();
    Ok(vec![
        ("Redis", redis.unwrap_or("unknown").to_owned()),
        ("PostgreSQL", postgres.unwrap_or("unknown").to_owned()),
    ])
}

fn request(path: &str, cookie: Option<String>) -> Vec<u8> {
    let cookie = cookie.map(|cookie| ("Cookie".to_owned(), cookie));
    get(path, cookie.as_slice())
}

/// Runs SQL and returns the rows that it selects.
fn sql(lab: &Lab, database: &str, sql: &str) -> Result<String> {
    let mut psql = command("psql -X -q -A -t -v ON_ERROR_STOP=1 -c");
    output(psql.arg(sql).arg(lab.postgres.url(database)))
}

/// The number of connections on which [`Side::warm_up`] sends requests at the same time.
const WARM_UP_CONNECTIONS: usize = 8;

/// How long the channels may take to work.
const TIMEOUT: Duration = Duration::from_secs(20);

/// The time within which a deleted user must be refused, much shorter than users are remembered.
const MAX_REVOCATION_DELAY: Duration = Duration::from_secs(3);

const POLL_INTERVAL: Duration = Duration::from_millis(20);
