//! Who exists, and which sessions are alive: the chains of stores, memory → Redis → truth.
//!
//! There is one [`chain`] of users and one of sessions. They share the line to Redis, the connections to the database,
//! and how these are doing.
//!
//! How old an answer can be: a user or a session that was deleted is refused at the latest after
//! [`RedisSettings::cache_ttl`] plus [`MemorySettings::ttl`]; one who was created after having been looked for is let in
//! at the latest after twice [`Settings::absent_ttl`]. No cache knows a session for longer than it lives.

mod cache;
mod chain;
mod connections;
mod database;
mod fact;
mod health;
mod identifier;
mod memory;
mod postgres;
mod record;
mod redis;
mod secondary;
mod sessions;
mod settings;
mod single_flight;
mod sqlite;
mod standing;
#[cfg(test)]
mod tests;
mod time;
mod told;
mod users;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use gate::Source;
use thiserror::Error;
use tokio::runtime::Handle;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use self::cache::SharedCache;
use self::chain::{Chain, Reporter, Tasks, Truth};
use self::database::Database;
use self::fact::Fact;
pub(crate) use self::health::StoreHealth;
pub(crate) use self::identifier::{Column, Table};
use self::memory::Memory;
pub(crate) use self::postgres::{PostgresHost, PostgresServer, Verify};
use self::redis::Redis;
pub(crate) use self::redis::{RedisAddress, RedisServer};
use self::secondary::SecondaryStorage;
use self::sessions::SessionTruth;
pub(crate) use self::sessions::Sessions;
pub(crate) use self::settings::{
    DatabaseSettings, DatabaseUrl, MemorySettings, RedisSettings, SessionTables, Settings,
    UserTable,
};
pub(crate) use self::standing::{Need, StandingColumn, StandingColumns};
pub(crate) use self::time::Zone;
use self::users::UserTruth;
pub(crate) use self::users::Users;
use crate::tls::TlsFileError;
use crate::vital;

/// The stores that are open. A handle: clones share everything.
#[derive(Clone, Debug)]
pub(crate) struct Stores(Arc<Open>);

/// Hears how each store fares, for the metrics. Called on the hot path for memory, and on the shared runtime for the
/// others: it must not wait.
pub(crate) trait Observer: Send + Sync + 'static {
    /// `source` was asked for one user or session, with this outcome.
    fn answered(&self, asked: Asked, source: Source, outcome: Outcome);
}

/// What stores are asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Asked {
    /// A session, by its token.
    Session,
    /// A user, by the subject of a session.
    User,
}

/// How a question to one store ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// It knows that there is no such user or session.
    Absent,
    /// It did not answer.
    Failed,
    /// What it holds is nothing that an application would have written, and counts as absent. Truths only.
    Malformed,
    /// It does not know; the next store is asked. Not memory, and not the last one.
    Missed,
    /// It knows the user or the session.
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
            Self::Malformed => "malformed",
            Self::Missed => "missed",
            Self::Present => "present",
            Self::Unwritten => "unwritten",
        }
    }
}

/// Why the stores cannot be opened. A server that is down is no reason.
#[derive(Debug, Error)]
pub(crate) enum StoreOpenError {
    /// A file with certificates or a key cannot be used.
    #[error(transparent)]
    File(#[from] TlsFileError),
}

impl Stores {
    /// Opens the stores. Everything that waits for a server runs on `runtime`, which must outlive this.
    ///
    /// # Errors
    /// When the settings cannot work, whatever the world does. Servers that are down are asked again until they answer.
    pub(crate) fn open(
        settings: Settings,
        runtime: Handle,
        observer: Arc<dyn Observer>,
    ) -> Result<Self, StoreOpenError> {
        let tasks = Tasks {
            runtime,
            tracker: TaskTracker::new(),
        };
        let redis = settings.redis.clone().map(Redis::new).transpose()?;
        if let Some(DatabaseUrl::Postgres(server)) =
            settings.database.as_ref().map(|database| &database.url)
        {
            server.check_files()?;
        }
        let servers = Servers {
            redis: redis.map(Arc::new),
            database: settings.database.as_ref().map(Database::new).map(Arc::new),
        };
        let builder = Builder {
            settings: &settings,
            servers: &servers,
            observer,
            tasks: &tasks,
        };
        let (users, sessions) = (builder.users(), builder.sessions());
        let stop = CancellationToken::new();
        if let Some(redis) = servers.redis.clone() {
            let stop = stop.clone();
            tasks.spawn(async move {
                let _part = vital::part("the line to Redis");
                stop.run_until_cancelled(redis.keep_line()).await;
            });
        }
        if let Some(database) = servers.database.clone() {
            let stop = stop.clone();
            tasks.spawn(async move {
                let _part = vital::part("the watch on the database");
                stop.run_until_cancelled(database.watch()).await;
            });
        }
        Ok(Self(Arc::new(Open {
            users,
            sessions,
            servers,
            tasks,
            stop,
        })))
    }

    /// Where users are looked up, if they are.
    pub(crate) fn users(&self) -> Option<Users> {
        self.0.users.clone()
    }

    /// Where sessions are looked up, if they are.
    pub(crate) fn sessions(&self) -> Option<Sessions> {
        self.0.sessions.clone()
    }

    /// Whether these are the same stores, and not others like them.
    pub(crate) fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    /// How every store with a server or a file behind it is doing, in the order in which they are asked.
    pub(crate) fn health(&self) -> Vec<StoreHealth> {
        let Servers { redis, database } = &self.0.servers;
        let redis = redis.as_ref().map(|redis| redis.health());
        let database = database.as_ref().map(|database| database.health());
        redis.into_iter().chain(database).collect()
    }

    /// Whether decisions can be made: a store beyond memory answers, and where sessions are in Redis, Redis does.
    pub(crate) fn ready(&self) -> bool {
        let health = self.health();
        let mut up = health.iter().filter(|store| store.up);
        let in_redis = |sessions: &Sessions| sessions.0.truth.source() == Source::Redis;
        let needs_redis = self.0.sessions.as_ref().is_some_and(in_redis);
        up.any(|store| !needs_redis || store.source == Source::Redis)
    }

    /// Ends the background tasks, waits for the lookups that are under way, and closes all connections.
    pub(crate) async fn close(&self) {
        let Open {
            servers,
            tasks,
            stop,
            ..
        } = &*self.0;
        stop.cancel();
        tasks.tracker.close();
        if timeout(CLOSE_WITHIN, tasks.tracker.wait()).await.is_err() {
            tracing::warn!(
                tasks = tasks.tracker.len(),
                "lookups were still under way when the stores closed"
            );
        }
        if let Some(redis) = &servers.redis {
            redis.close();
        }
        if let Some(database) = &servers.database {
            database.close().await;
        }
    }
}

/// What the handles share.
struct Open {
    users: Option<Users>,
    sessions: Option<Sessions>,
    servers: Servers,
    tasks: Tasks,
    stop: CancellationToken,
}

impl fmt::Debug for Open {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Open")
            .field("users", &self.users)
            .field("sessions", &self.sessions)
            .finish_non_exhaustive()
    }
}

/// What is beyond memory.
struct Servers {
    redis: Option<Arc<Redis>>,
    database: Option<Arc<Database>>,
}

/// Builds chains.
struct Builder<'a> {
    settings: &'a Settings,
    servers: &'a Servers,
    observer: Arc<dyn Observer>,
    tasks: &'a Tasks,
}

impl Builder<'_> {
    fn users(&self) -> Option<Users> {
        let table = self.settings.database.as_ref()?.users.as_ref()?;
        let database = self.servers.database.as_ref()?;
        let cache = self.cache("", users::realm(&self.database_name()?, table));
        Some(Users(self.chain(cache, UserTruth(Arc::clone(database)))))
    }

    /// In front of sessions in Redis there is no other cache in Redis.
    fn sessions(&self) -> Option<Sessions> {
        let prefix = self
            .settings
            .redis
            .as_ref()
            .and_then(|redis| redis.sessions.clone());
        let storage = self.servers.redis.as_ref().zip(prefix);
        let storage =
            storage.map(|(redis, prefix)| SecondaryStorage::new(Arc::clone(redis), prefix));
        let tables = self
            .settings
            .database
            .as_ref()
            .and_then(|database| database.sessions.as_ref());
        let database = self.servers.database.clone().zip(tables);
        let (cache, truth) = match (storage, database) {
            (None, None) => return None,
            (None, Some((database, tables))) => {
                let realm = sessions::realm(&self.database_name()?, tables);
                (
                    self.cache("session:", realm),
                    SessionTruth::Database(database),
                )
            }
            (Some(storage), None) => (None, SessionTruth::Redis(storage)),
            (Some(storage), Some((database, _))) => {
                (None, SessionTruth::RedisThenDatabase(storage, database))
            }
        };
        Some(Sessions(self.chain(cache, truth)))
    }

    fn cache<F: record::Recorded>(&self, kind: &str, realm: String) -> Option<SharedCache<F>> {
        let redis = Arc::clone(self.servers.redis.as_ref()?);
        Some(SharedCache::new(
            redis,
            kind,
            realm,
            self.settings.absent_ttl,
        ))
    }

    fn chain<T: Truth>(&self, cache: Option<SharedCache<T::Fact>>, truth: T) -> Arc<Chain<T>> {
        Arc::new(Chain {
            memory: Memory::new(self.settings.memory, self.settings.absent_ttl),
            cache,
            truth,
            flights: Arc::default(),
            reporter: Reporter {
                observer: Arc::clone(&self.observer),
                asked: T::Fact::ASKED,
            },
            tasks: self.tasks.clone(),
        })
    }

    /// What the database calls itself, the same on every node.
    fn database_name(&self) -> Option<String> {
        Some(match &self.settings.database.as_ref()?.url {
            DatabaseUrl::Postgres(server) => server.database().to_owned(),
            DatabaseUrl::Sqlite(options) => options.get_filename().display().to_string(),
        })
    }
}

/// What a server said, on one line that a log can take.
fn one_line(text: &str) -> String {
    text.chars()
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
const MAX_DETAIL: usize = 600;
