//! The open stores of a realm: opens them, reports their health, and closes them.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use gate::LookupSource;
use thiserror::Error;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::StoreHealth;
use super::builder::Builder;
use super::chain::{Tasks, Truth as _};
use super::change_listener::ChangeListener;
use super::channel::{Channel, Publisher};
use super::columns::ColumnError;
use super::database::{Database, DatabaseLease};
use super::observer::Observer;
use super::pools::{self, Fingerprints, Lease, Pools, RedisHandle};
use super::postgres::listener::{ChangesTarget, PostgresChannel};
use super::process::Jitter;
use super::redis::{Redis, RedisTarget, Tracking, TrackingTarget};
use super::sessions::SessionChain;
use super::settings::{DatabaseUrl, Settings};
use super::users::UserChain;
use client_tls::TlsFileError;

/// A handle to the open stores of a realm. Clones share everything.
#[derive(Clone, Debug)]
pub struct Stores(Arc<Open>);

/// The reason why the stores cannot be opened. A server that is down is not a reason: it is retried until it answers.
#[derive(Debug, Error)]
pub enum StoreOpenError {
    /// A file with certificates or a key cannot be used.
    #[error(transparent)]
    File(#[from] TlsFileError),
}

impl Stores {
    /// Opens the stores of one realm, on connections of `pools` that other realms may share. Everything that waits for
    /// a server runs on the runtime of `pools`. `listener` is notified of the changes that servers announce.
    ///
    /// # Errors
    /// When a file with certificates or a key cannot be used. Servers that are down are not an error: they are retried
    /// until they answer.
    pub fn open(
        settings: &Settings,
        pools: &Pools,
        observer: Arc<dyn Observer>,
        listener: Arc<dyn ChangeListener>,
    ) -> Result<Self, StoreOpenError> {
        let tasks = Tasks {
            runtime: pools.process().runtime.clone(),
            tracker: TaskTracker::new(),
        };
        if let Some(redis) = &settings.redis {
            redis.server.check_files(redis.ca_file.as_ref())?;
        }
        if let Some(database) = &settings.database
            && let DatabaseUrl::Postgres(server) = &database.url
        {
            server.check_files()?;
            if let Some(listen) = &database.listen {
                listen.check_files()?;
            }
        }
        let redis = settings.redis.as_ref().map(|redis| pools.redis(redis));
        let tracking = settings.redis.as_ref();
        let tracking = tracking.and_then(|redis| pools.tracking(redis));
        let database = settings.database.as_ref();
        let database = database.map(|database| Database::open(settings, database, pools));
        let (database, connections) = database.unzip();
        let servers = Servers {
            redis: redis
                .as_ref()
                .map(|redis| Arc::clone(&redis.resource.redis)),
            database: database.map(Arc::new),
        };
        let postgres_changes = pools.postgres_changes(settings);
        let from_redis = tracking.iter().map(|lease| lease.resource.publisher());
        let from_postgres = postgres_changes.iter();
        let from_postgres = from_postgres.map(|lease| lease.resource.publisher());
        let publishers: Vec<_> = from_redis.chain(from_postgres).cloned().collect();
        let stop = CancellationToken::new();
        let builder = Builder {
            settings,
            servers: &servers,
            observer,
            tasks: &tasks,
            clock: &pools.process().clock,
            jitter: Jitter::new(pools.process().random),
            stop: &stop,
            publishers: &publishers,
            listener,
        };
        let (users, sessions) = (builder.users(), builder.sessions());
        if let Some(database) = servers.database.clone() {
            let (stop, vital) = (stop.clone(), pools.process().vital);
            let jitter = Jitter::new(pools.process().random);
            tasks.spawn(async move {
                let _part = vital("the health probe of the database");
                stop.run_until_cancelled(database.watch(jitter)).await;
            });
        }
        Ok(Self(Arc::new(Open {
            users,
            sessions,
            servers,
            settings: settings.clone(),
            files: pools::fingerprints(settings),
            leases: Mutex::new(Leases {
                redis,
                tracking,
                connections,
                postgres_changes,
            }),
            tasks,
            stop,
            publishers,
        })))
    }

    /// The chain in which users are looked up, if users are looked up.
    pub fn users(&self) -> Option<UserChain> {
        self.0.users.clone()
    }

    /// The chain in which sessions are looked up, if sessions are looked up.
    pub fn sessions(&self) -> Option<SessionChain> {
        self.0.sessions.clone()
    }

    /// Whether there is a channel that announces changes.
    pub fn has_change_channels(&self) -> bool {
        !self.0.publishers.is_empty()
    }

    /// The names of the channels that announce changes, and whether each is up.
    pub fn channels(&self) -> impl Iterator<Item = (&'static str, bool)> {
        let publishers = self.0.publishers.iter();
        publishers.map(|publisher| (publisher.channel().as_str(), publisher.is_up()))
    }

    /// Whether [`Stores::open`] would open the same stores for `settings` now, because the settings are equal, and so are
    /// the contents of every file that they name.
    pub fn match_settings(&self, settings: &Settings) -> bool {
        self.0.settings == *settings && self.0.files == pools::fingerprints(settings)
    }

    /// Whether both handles share the same stores.
    pub fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    /// The health of every store beyond memory, in the order in which the stores are asked.
    pub fn health(&self) -> Vec<StoreHealth> {
        let Servers { redis, database } = &self.0.servers;
        let redis = redis.as_ref().map(|redis| redis.health());
        let database = database.as_ref().map(|database| database.health());
        redis.into_iter().chain(database).collect()
    }

    /// Whether decisions can be made. A store beyond memory must answer; if sessions are in Redis, Redis must; and
    /// if the database announces changes, the database must, because its earlier answers cannot be trusted while it is
    /// silent. In a cluster one server is enough: sending all clients to another node would not help those whose keys are
    /// on the servers that are down.
    pub fn ready(&self) -> bool {
        let health = self.health();
        let is_up = |source| {
            health
                .iter()
                .any(|store| store.source == source && store.up)
        };
        let redis = self.0.servers.redis.as_ref();
        let redis_answers = redis.is_some_and(|redis| redis.is_partly_up());
        let in_redis =
            |sessions: &SessionChain| sessions.chain.truth.source() == LookupSource::Redis;
        let needs_redis = self.0.sessions.as_ref().is_some_and(in_redis);
        let of_postgres = |publisher: &Arc<Publisher>| publisher.channel() == Channel::Postgres;
        let asks_postgres = self.0.users.is_some() || !needs_redis;
        let needs_postgres = asks_postgres && self.0.publishers.iter().any(of_postgres);
        (redis_answers || !needs_redis && health.iter().any(|store| store.up))
            && (!needs_postgres || is_up(LookupSource::Postgres))
    }

    /// Checks that the configured columns can be read, if the database answers now. Call it on the runtime of the pools.
    ///
    /// # Errors
    /// When the database answers that a column or a table does not exist, or may not be read, or that a column that rules
    /// use as a time holds no point in time.
    pub async fn check_columns(&self) -> Result<(), ColumnError> {
        match &self.0.servers.database {
            Some(database) => database.check_columns().await,
            None => Ok(()),
        }
    }

    /// Ends the background tasks, waits for lookups in flight, and closes the connections that no other stores use.
    pub async fn close(&self) {
        let Open {
            leases,
            tasks,
            stop,
            ..
        } = &*self.0;
        stop.cancel();
        tasks.tracker.close();
        if timeout(CLOSE_TIMEOUT, tasks.tracker.wait()).await.is_err() {
            tracing::warn!(
                tasks = tasks.tracker.len(),
                "lookups were still in flight when the stores closed"
            );
        }
        let Leases {
            redis,
            tracking,
            connections,
            postgres_changes,
        } = std::mem::take(&mut *leases.lock().unwrap_or_else(PoisonError::into_inner));
        if let Some(changes) = postgres_changes.and_then(Lease::give_back) {
            changes.close().await;
        }
        if let Some(redis) = redis.and_then(Lease::give_back) {
            redis.close().await;
        }
        if let Some(tracking) = tracking.and_then(Lease::give_back) {
            tracking.close().await;
        }
        if let Some(connections) = connections {
            connections.give_back().await;
        }
    }
}

/// The state that all handles of one realm's stores share.
struct Open {
    users: Option<UserChain>,
    sessions: Option<SessionChain>,
    servers: Servers,
    settings: Settings,
    files: Fingerprints,
    leases: Mutex<Leases>,
    tasks: Tasks,
    stop: CancellationToken,
    publishers: Vec<Arc<Publisher>>,
}

impl Drop for Open {
    /// Stops the background tasks of stores that were never closed, because something else could not be opened.
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

impl fmt::Debug for Open {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Open")
            .field("users", &self.users)
            .field("sessions", &self.sessions)
            .finish_non_exhaustive()
    }
}

/// The stores beyond memory.
pub(super) struct Servers {
    pub(super) redis: Option<Arc<Redis>>,
    pub(super) database: Option<Arc<Database>>,
}

/// The leases of the shared connections, until the stores are closed.
#[derive(Default)]
struct Leases {
    redis: Option<Lease<RedisTarget, RedisHandle>>,
    tracking: Option<Lease<TrackingTarget, Tracking>>,
    connections: Option<DatabaseLease>,
    postgres_changes: Option<Lease<ChangesTarget, PostgresChannel>>,
}

/// How long [`Stores::close`] waits for lookups, whose own timeouts are configurable.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(5);
