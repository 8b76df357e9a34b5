//! Who exists: the chain of stores, memory → Redis → database.
//!
//! [`Users::find`](gate::Users::find) answers from memory without waiting. Otherwise one flight per subject, on the runtime that all
//! stores share, asks Redis and then the truth, and everyone who wants to know waits for it, on whichever core. A cache
//! that fails is skipped. A truth that fails is an outage, and never means "no such user".
//!
//! How old an answer can be: a user who was deleted is refused at the latest after [`RedisSettings::cache_ttl`] plus
//! [`MemorySettings::ttl`]; one who was created after having been looked for is let in at the latest after twice
//! [`Settings::absent_ttl`].

mod connections;
mod health;
mod identifier;
mod memory;
mod postgres;
mod record;
mod redis;
mod settings;
mod single_flight;
mod sqlite;
#[cfg(test)]
mod tests;

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use gate::{Lookup, Source, StoreError, User};
use thiserror::Error;
use tokio::runtime::Handle;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

pub(crate) use self::health::StoreHealth;
pub(crate) use self::identifier::{Column, Table};
use self::memory::Memory;
use self::postgres::Postgres;
use self::redis::{Cached, Redis};
pub(crate) use self::settings::{
    DatabaseSettings, MemorySettings, RedisSettings, RedisUrl, Settings, TruthSettings,
};
use self::single_flight::{Answer, Flight, Seat, SingleFlight};
use self::sqlite::Sqlite;
use crate::clock;

/// The chain of stores. A handle: clones share everything, and belong on every runtime that decides.
#[derive(Clone, Debug)]
pub(crate) struct Stores {
    chain: Arc<Chain>,
}

/// Hears how each store fares, for the metrics. Called on the hot path for memory, and on the shared runtime for the
/// others: it must not wait.
pub(crate) trait Observer: Send + Sync + 'static {
    /// `source` was asked about one subject, with this outcome.
    fn answered(&self, source: Source, outcome: Outcome);
}

/// How a question to one store ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// It knows that there is no such user.
    Absent,
    /// It did not answer.
    Failed,
    /// It does not know; the next store is asked. Caches only, and not memory.
    Missed,
    /// It knows the user.
    Present,
    /// What the next store said could not be written to it. Redis only, and in addition to [`Outcome::Missed`].
    Unwritten,
}

impl Outcome {
    /// The outcome's name in metrics.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Absent => "absent",
            Self::Failed => "failed",
            Self::Missed => "missed",
            Self::Present => "present",
            Self::Unwritten => "unwritten",
        }
    }
}

impl From<Lookup<User>> for Outcome {
    fn from(lookup: Lookup<User>) -> Self {
        if lookup.found.is_some() {
            Self::Present
        } else {
            Self::Absent
        }
    }
}

/// Why the stores cannot be opened. A server that is down is no reason.
#[derive(Debug, Error)]
pub(crate) enum StoreOpenError {
    /// The certificates to trust cannot be read, or are none.
    #[error("cannot use the CA file {}: {error}", path.display())]
    CaFile {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        error: String,
    },
    /// The driver does not take the settings.
    #[error("cannot use the settings for Redis: {error}")]
    Redis {
        /// What the driver said.
        error: String,
    },
}

impl Stores {
    /// Opens the chain. Everything that waits for a server runs on `runtime`, which must outlive this.
    ///
    /// # Errors
    /// When the settings cannot work, whatever the world does. Servers that are down are asked again until they answer.
    pub(crate) fn open(
        settings: Settings,
        runtime: Handle,
        observer: Arc<dyn Observer>,
    ) -> Result<Self, StoreOpenError> {
        let Settings {
            memory,
            absent_ttl,
            redis,
            truth,
        } = settings;
        let realm = realm(&truth);
        let chain = Arc::new(Chain {
            memory: Memory::new(memory, absent_ttl),
            redis: redis
                .map(|redis| Redis::new(redis, absent_ttl, realm))
                .transpose()?,
            truth: Truth::new(&truth),
            flights: Arc::default(),
            observer,
            runtime,
            tasks: TaskTracker::new(),
            stop: CancellationToken::new(),
        });
        chain.spawn(Arc::clone(&chain).watch_truth());
        chain.spawn(Arc::clone(&chain).keep_redis());
        Ok(Self { chain })
    }

    /// How every store with a server or a file behind it is doing, in the order in which they are asked.
    pub(crate) fn health(&self) -> Vec<StoreHealth> {
        let redis = self.chain.redis.as_ref().map(Redis::health);
        redis
            .into_iter()
            .chain([self.chain.truth.health()])
            .collect()
    }

    /// Ends the background tasks, waits for the lookups that are under way, and closes all connections.
    pub(crate) async fn close(&self) {
        let chain = &self.chain;
        chain.stop.cancel();
        chain.tasks.close();
        if timeout(CLOSE_WITHIN, chain.tasks.wait()).await.is_err() {
            tracing::warn!(
                tasks = chain.tasks.len(),
                "lookups were still under way when the stores closed"
            );
        }
        if let Some(redis) = &chain.redis {
            redis.close();
        }
        chain.truth.close().await;
    }

    /// Waits for the answer of a flight.
    async fn fetch(&self, subject: &str) -> Answer {
        let chain = &self.chain;
        let wait = match chain.flights.join(subject) {
            Seat::Full => return Err(chain.truth.failure("too many lookups are under way")),
            Seat::Passenger(wait) => wait,
            Seat::Pilot(flight, wait) => {
                chain.spawn(Arc::clone(chain).fly(flight));
                wait
            }
        };
        wait.landed()
            .await
            .unwrap_or_else(|| Err(chain.truth.failure("the lookup was given up")))
    }
}

impl gate::Users for Stores {
    async fn find(&self, subject: &str) -> Result<Lookup<User>, StoreError> {
        let Some(lookup) = self.chain.memory.recall(subject, clock::monotonic()) else {
            return self.fetch(subject).await;
        };
        self.chain.observer.answered(Source::Memory, lookup.into());
        Ok(lookup)
    }
}

/// No store of sessions.
#[derive(Clone, Copy, Debug)]
pub(crate) enum NoSessions {}

impl gate::Sessions for NoSessions {
    async fn find(
        &self,
        _: &session::SessionToken,
    ) -> Result<Lookup<session::StoredSession>, StoreError> {
        match *self {}
    }

    fn vouches_for_users(&self) -> bool {
        match *self {}
    }
}

/// What the handles share.
struct Chain {
    memory: Memory,
    redis: Option<Redis>,
    truth: Truth,
    flights: Arc<SingleFlight>,
    observer: Arc<dyn Observer>,
    runtime: Handle,
    tasks: TaskTracker,
    stop: CancellationToken,
}

impl Chain {
    fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        self.tasks.spawn_on(task, &self.runtime);
    }

    /// Asks Redis, then the truth, and remembers what they say. The answer never waits for the writing.
    async fn fly(self: Arc<Self>, flight: Flight) {
        let subject = Arc::clone(flight.subject());
        let asked = clock::monotonic();
        let cached = match &self.redis {
            Some(redis) => self.ask_redis(redis, &subject).await,
            None => Cached::Skipped,
        };
        let answer = match cached {
            Cached::Hit(lookup) => Ok(lookup),
            Cached::Miss | Cached::Skipped => self.ask_truth(&subject).await,
        };
        if let Ok(lookup) = &answer {
            self.memory.remember(&subject, lookup.found, asked);
        }
        let learnt = answer.as_ref().ok().map(|lookup| lookup.found);
        flight.land(answer);
        if let (Some(redis), Cached::Miss, Some(user)) = (&self.redis, cached, learnt)
            && redis.remember(&subject, user).await.is_err()
        {
            self.observer.answered(Source::Redis, Outcome::Unwritten);
        }
    }

    async fn ask_redis(&self, redis: &Redis, subject: &str) -> Cached {
        let cached = redis.find(subject).await;
        let outcome = match cached {
            Cached::Hit(lookup) => lookup.into(),
            Cached::Miss => Outcome::Missed,
            Cached::Skipped => Outcome::Failed,
        };
        self.observer.answered(Source::Redis, outcome);
        cached
    }

    async fn ask_truth(&self, subject: &str) -> Answer {
        let answer = self.truth.find(subject).await;
        self.observer.answered(
            self.truth.source(),
            answer
                .as_ref()
                .map_or(Outcome::Failed, |lookup| (*lookup).into()),
        );
        answer
    }

    async fn keep_redis(self: Arc<Self>) {
        if let Some(redis) = &self.redis {
            self.stop.run_until_cancelled(redis.keep_line()).await;
        }
    }

    async fn watch_truth(self: Arc<Self>) {
        self.stop.run_until_cancelled(self.truth.watch()).await;
    }
}

impl fmt::Debug for Chain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Chain")
            .field("redis", &self.redis)
            .field("truth", &self.truth.source())
            .finish_non_exhaustive()
    }
}

/// The user table.
enum Truth {
    Postgres(Postgres),
    Sqlite(Sqlite),
}

impl Truth {
    fn new(settings: &TruthSettings) -> Self {
        match &settings.database {
            DatabaseSettings::Postgres(options) => {
                Self::Postgres(Postgres::new((**options).clone(), settings))
            }
            DatabaseSettings::Sqlite(options) => {
                Self::Sqlite(Sqlite::new((**options).clone(), settings))
            }
        }
    }

    async fn find(&self, subject: &str) -> Answer {
        match self {
            Self::Postgres(postgres) => postgres.find(subject).await,
            Self::Sqlite(sqlite) => sqlite.find(subject).await,
        }
    }

    fn source(&self) -> Source {
        match self {
            Self::Postgres(_) => Source::Postgres,
            Self::Sqlite(_) => Source::Sqlite,
        }
    }

    fn health(&self) -> StoreHealth {
        match self {
            Self::Postgres(postgres) => postgres.health(),
            Self::Sqlite(sqlite) => sqlite.health(),
        }
    }

    /// Keeps its health current, for ever.
    async fn watch(&self) {
        loop {
            match self {
                Self::Postgres(postgres) => postgres.probe().await,
                Self::Sqlite(sqlite) => sqlite.probe().await,
            }
            sleep(PROBE_EVERY).await;
        }
    }

    async fn close(&self) {
        match self {
            Self::Postgres(postgres) => postgres.close().await,
            Self::Sqlite(sqlite) => sqlite.close().await,
        }
    }

    /// A failure on the way to the truth.
    fn failure(&self, detail: &str) -> StoreError {
        StoreError::Failed {
            store: self.source(),
            detail: detail.to_owned(),
        }
    }
}

/// What the users are users of, the same on every node that asks the same table.
fn realm(truth: &TruthSettings) -> String {
    let database = match &truth.database {
        DatabaseSettings::Postgres(options) => options
            .get_database()
            .unwrap_or_else(|| options.get_username())
            .to_owned(),
        DatabaseSettings::Sqlite(options) => options.get_filename().display().to_string(),
    };
    format!(
        "{database} {} {}",
        truth.table.quoted(),
        truth.id_field.quoted()
    )
}

/// What a database said, on one line that a log can take.
fn describe(error: &sqlx::Error) -> String {
    error
        .to_string()
        .chars()
        .map(|char| if char.is_control() { ' ' } else { char })
        .take(MAX_DETAIL)
        .collect()
}

/// How often stores are asked whether they are there, so that health is known, connections stay warm, and an outage is
/// over for the first request that comes after it.
const PROBE_EVERY: Duration = Duration::from_secs(2);

/// How long [`Stores::close`] waits for lookups: they have timeouts of their own, but configured ones.
const CLOSE_WITHIN: Duration = Duration::from_secs(5);

/// Characters of a driver's message that are kept.
const MAX_DETAIL: usize = 300;
