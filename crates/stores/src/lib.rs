//! Who exists, and which sessions are alive: the chains of stores, memory → Redis → truth.
//!
//! There is one chain of users and one of sessions. They share the line to Redis, the connections to the database,
//! and how these are doing.
//!
//! How old an answer can be: a user or a session that was deleted is refused at the latest after
//! [`RedisSettings::cache_ttl`] plus [`MemorySettings::ttl`]; one who was created after having been looked for is let in
//! at the latest after twice [`Settings::absent_ttl`]. No cache knows a session for longer than it lives. Where a channel says
//! what changes, a change counts at once, and nothing is answered from memory while the channel is silent.

mod breaker;
mod cache;
mod chain;
mod changes;
mod claims;
mod columns;
mod connections;
mod database;
mod fact;
mod health;
mod hearing;
mod identifier;
mod memory;
mod pools;
mod postgres;
mod process;
mod rates;
mod record;
mod redis;
mod reporter;
mod revocations;
mod secondary;
mod session_state;
mod sessions;
mod settings;
mod single_flight;
mod sqlite;
mod standing;
mod survey;
mod surveyor;
#[cfg(test)]
mod tests;
mod time;
mod users;
mod weight;

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use gate::Source;
use thiserror::Error;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use self::cache::SharedCache;
use self::chain::{Chain, Outage, Tasks, Truth};
use self::changes::{Changes, Channels};
pub use self::claims::{ClaimOf, StoredClaim};
pub use self::columns::ColumnError;
pub use self::columns::{Memberships, UserColumn};
use self::database::{Database, DatabaseLease};
use self::fact::Fact;
pub use self::health::StoreHealth;
use self::hearing::{Audience, Channel, Hears};
pub use self::identifier::{Column, Table};
use self::memory::Memory;
pub use self::pools::{Fingerprints, Pools};
use self::pools::{Lease, RedisHandle};
use self::postgres::listener::{ChangesTarget, PostgresChannel};
pub use self::postgres::{
    ChangeTriggers, OwnTableError, PostgresHost, PostgresServer, SharedRows, SharedRowsError,
    SharedRowsSurvey, TriggerFlaw, Verify, WatchedTable,
};
use self::process::Jitter;
pub use self::process::{Clock, Process, Trial};
pub use self::rates::SharedRates;
use self::record::About;
pub use self::redis::{
    ClusterSeeds, OverShared, RedisAddress, RedisServer, Sentinels, SharedCell, SharedChange,
};
use self::redis::{Redis, RedisTarget, Tracking, TrackingTarget};
use self::reporter::Reporter;
pub use self::revocations::{
    ChangedRevocations, RevocationEntry, RevocationEntryError, RevocationKey, RevocationMark,
    RevocationNews, RevocationNewsReceiver, RevocationPlace, RevocationSettings, RevocationStore,
    RevocationStoreError, reload_soon,
};
use self::secondary::SecondaryStorage;
use self::sessions::SessionTruth;
pub use self::sessions::{Counting, SessionChain, UnknownTokens};
pub use self::settings::{
    CacheFormat, DatabaseSettings, DatabaseUrl, MemorySettings, RedisSettings, SessionTables,
    Settings, UserTable,
};
pub use self::standing::{Need, StandingColumn, StandingColumns};
pub use self::survey::{
    ClockReading, ColumnState, ColumnSurvey, DatabaseSurvey, LookupSurvey, Plan, RedisSurvey,
    RedisUses, RoleSurvey, Rows, Visibility,
};
pub use self::surveyor::{survey_changes, survey_database, survey_redis};
pub use self::time::Zone;
pub use self::users::UserChain;
use self::users::UserTruth;
use client_tls::TlsFileError;

/// The stores that are open. A handle: clones share everything.
#[derive(Clone, Debug)]
pub struct Stores(Arc<Open>);

/// Hears how each store fares, for the metrics. Called on the hot path for memory, and on the shared runtime for the
/// others: it must not wait.
pub trait Observer: Send + Sync + 'static {
    /// `source` was asked for one user or session, with this outcome.
    fn answered(&self, kind: FactKind, source: Source, outcome: Outcome);
}

/// Hears what changes of users and sessions, as far as a server says so. Called while others wait for it: it must not wait itself.
pub trait ChangeListener: Send + Sync + 'static {
    /// Something has changed, or may have.
    fn changed(&self, change: Change<'_>);
}

/// What may have changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change<'c> {
    /// Anything.
    Everything,
    /// The session of this id.
    Session(&'c str),
    /// The user of this id, or this user's sessions.
    User(&'c str),
}

/// What stores are asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FactKind {
    /// A session, by its token.
    Session,
    /// A user, by the subject of a session.
    User,
}

/// How a question to one store ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
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
    pub fn as_str(self) -> &'static str {
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
pub enum StoreOpenError {
    /// A file with certificates or a key cannot be used.
    #[error(transparent)]
    File(#[from] TlsFileError),
}

impl Stores {
    /// Opens the stores of one realm, on connections of `pools`, which other realms may use too. Everything that waits for
    /// a server runs on the runtime of `pools`. `listener` hears what servers say has changed, where they do.
    ///
    /// # Errors
    /// When the settings cannot work, whatever the world does. Servers that are down are asked again until they answer.
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
        let from_redis = tracking.iter().map(|lease| lease.resource.audience());
        let from_postgres = postgres_changes.iter();
        let from_postgres = from_postgres.map(|lease| lease.resource.audience());
        let audiences: Vec<_> = from_redis.chain(from_postgres).cloned().collect();
        let stop = CancellationToken::new();
        let builder = Builder {
            settings,
            servers: &servers,
            observer,
            tasks: &tasks,
            clock: &pools.process().clock,
            jitter: Jitter::new(pools.process().random),
            stop: &stop,
            audiences: &audiences,
            listener,
        };
        let (users, sessions) = (builder.users(), builder.sessions());
        if let Some(database) = servers.database.clone() {
            let (stop, vital) = (stop.clone(), pools.process().vital);
            let jitter = Jitter::new(pools.process().random);
            tasks.spawn(async move {
                let _part = vital("the watch on the database");
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
            audiences,
        })))
    }

    /// Where users are looked up, if they are.
    pub fn users(&self) -> Option<UserChain> {
        self.0.users.clone()
    }

    /// Where sessions are looked up, if they are.
    pub fn sessions(&self) -> Option<SessionChain> {
        self.0.sessions.clone()
    }

    /// Whether anything would be heard of changes.
    pub fn hear_changes(&self) -> bool {
        !self.0.audiences.is_empty()
    }

    /// The channels on which changes would be heard, and whether they are.
    pub fn channels(&self) -> impl Iterator<Item = (&'static str, bool)> {
        let audiences = self.0.audiences.iter();
        audiences.map(|audience| (audience.channel().as_str(), audience.is_heard()))
    }

    /// Whether these are what [`Stores::open`] would make of `settings` now: with the same settings, and the same in every file
    /// that they name.
    pub fn are_of(&self, settings: &Settings) -> bool {
        self.0.settings == *settings && self.0.files == pools::fingerprints(settings)
    }

    /// Whether these are the same stores, and not others like them.
    pub fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    /// How every store with a server or a file behind it is doing, in the order in which they are asked.
    pub fn health(&self) -> Vec<StoreHealth> {
        let Servers { redis, database } = &self.0.servers;
        let redis = redis.as_ref().map(|redis| redis.health());
        let database = database.as_ref().map(|database| database.health());
        redis.into_iter().chain(database).collect()
    }

    /// Whether decisions can be made: a store beyond memory answers; where sessions are in Redis, Redis does; and where the
    /// database would say what changes, the database does, because nobody vouches for what it said before while it is silent. Of a
    /// cluster one server is enough: to send everybody elsewhere helps none of those whose keys are on the others.
    pub fn ready(&self) -> bool {
        let health = self.health();
        let is_up = |source| {
            health
                .iter()
                .any(|store| store.source == source && store.up)
        };
        let redis = self.0.servers.redis.as_ref();
        let redis_answers = redis.is_some_and(|redis| redis.answers_in_part());
        let in_redis = |sessions: &SessionChain| sessions.chain.truth.source() == Source::Redis;
        let needs_redis = self.0.sessions.as_ref().is_some_and(in_redis);
        let of_postgres = |audience: &Arc<Audience>| audience.channel() == Channel::Postgres;
        let asks_postgres = self.0.users.is_some() || !needs_redis;
        let needs_postgres = asks_postgres && self.0.audiences.iter().any(of_postgres);
        (redis_answers || !needs_redis && health.iter().any(|store| store.up))
            && (!needs_postgres || is_up(Source::Postgres))
    }

    /// Makes sure that the columns of users that are asked for can be read, as far as the database answers now. To be called
    /// on the runtime of the pools.
    ///
    /// # Errors
    /// When the database says that a column, or the table of memberships, is not there or may not be read.
    pub async fn prove_columns(&self) -> Result<(), ColumnError> {
        match &self.0.servers.database {
            Some(database) => database.prove_columns().await,
            None => Ok(()),
        }
    }

    /// Ends the background tasks, waits for the lookups that are under way, and closes the connections that no other stores
    /// use.
    pub async fn close(&self) {
        let Open {
            leases,
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

/// What the handles share.
struct Open {
    users: Option<UserChain>,
    sessions: Option<SessionChain>,
    servers: Servers,
    settings: Settings,
    files: Fingerprints,
    leases: Mutex<Leases>,
    tasks: Tasks,
    stop: CancellationToken,
    audiences: Vec<Arc<Audience>>,
}

impl Drop for Open {
    /// Stores that nobody has closed, because something else could not be opened, ask no more.
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

/// What is beyond memory.
struct Servers {
    redis: Option<Arc<Redis>>,
    database: Option<Arc<Database>>,
}

/// The right to the connections, until the stores are closed.
#[derive(Default)]
struct Leases {
    redis: Option<Lease<RedisTarget, RedisHandle>>,
    tracking: Option<Lease<TrackingTarget, Tracking>>,
    connections: Option<DatabaseLease>,
    postgres_changes: Option<Lease<ChangesTarget, PostgresChannel>>,
}

/// Builds chains.
struct Builder<'a> {
    settings: &'a Settings,
    servers: &'a Servers,
    observer: Arc<dyn Observer>,
    tasks: &'a Tasks,
    clock: &'a Clock,
    jitter: Jitter,
    stop: &'a CancellationToken,
    /// Those of the channels on which something is heard.
    audiences: &'a [Arc<Audience>],
    listener: Arc<dyn ChangeListener>,
}

impl Builder<'_> {
    fn users(&self) -> Option<UserChain> {
        let table = self.settings.database.as_ref()?.users.as_ref()?;
        let database = self.servers.database.as_ref()?;
        let asked = self.settings.asked_of_users();
        let cache = self.cache("", users::about(&self.database_name()?, table, &asked));
        Some(UserChain(
            self.chain(cache, UserTruth(Arc::clone(database))),
        ))
    }

    /// In front of sessions in Redis there is no other cache in Redis.
    fn sessions(&self) -> Option<SessionChain> {
        let prefix = self
            .settings
            .redis
            .as_ref()
            .and_then(|redis| redis.sessions.clone());
        let storage = self.servers.redis.as_ref().zip(prefix);
        let storage = storage.map(|(redis, prefix)| {
            SecondaryStorage::new(Arc::clone(redis), prefix, self.settings.claims.clone())
        });
        let tables = self
            .settings
            .database
            .as_ref()
            .and_then(|database| database.sessions.as_ref());
        let database = self.servers.database.clone().zip(tables);
        let (cache, truth) = match (storage, database) {
            (None, None) => return None,
            (None, Some((database, tables))) => {
                let asked = self.settings.asked_with_sessions();
                let about = sessions::about(&self.database_name()?, tables, &asked);
                (
                    self.cache("session:", about),
                    SessionTruth::Database(database),
                )
            }
            (Some(storage), None) => (None, SessionTruth::Redis(storage)),
            (Some(storage), Some((database, _))) => {
                (None, SessionTruth::RedisThenDatabase(storage, database))
            }
        };
        Some(SessionChain::new(self.chain(cache, truth)))
    }

    fn cache<F: record::Recorded>(&self, kind: &str, about: About) -> Option<SharedCache<F>> {
        let redis: Arc<dyn redis::Cells> = self.servers.redis.clone()?;
        let kind = match &self.settings.realm {
            Some(realm) => format!("realm:{realm}:{kind}"),
            None => kind.to_owned(),
        };
        let database = self.settings.database.as_ref()?;
        Some(SharedCache::new(
            redis,
            self.settings.redis.as_ref()?,
            &kind,
            about,
            self.settings.absent_ttl,
            database.timeout,
            self.clock.clone(),
            self.jitter,
        ))
    }

    fn chain<T: Truth>(&self, cache: Option<SharedCache<T::Fact>>, truth: T) -> Arc<Chain<T>> {
        let (there, of_truth) = (self.channels(), truth.channels());
        let channels = Channels {
            postgres: there.postgres && of_truth.postgres,
            // Also of the cache in front of a truth.
            redis: there.redis,
        };
        // Where the truth says what changes there, the cache need not.
        let needed = match channels.and(of_truth) {
            Channels::NONE => channels,
            needed => needed,
        };
        let memory = match truth.is_heard_on(channels) {
            true => self.settings.heard(),
            false => self.settings.memory,
        };
        let changes =
            Changes::new(channels, needed, self.clock.monotonic()).proven_by(self.audiences);
        let outdated = cache.is_some() && channels.postgres;
        let (outdated, waiting) = outdated.then(chain::outdated).unzip();
        let chain = Arc::new(Chain {
            memory: Memory::new(memory, self.settings.absent_ttl, changes, self.jitter),
            cache,
            truth,
            flights: Arc::default(),
            reporter: Reporter {
                observer: Arc::clone(&self.observer),
                kind: T::Fact::KIND,
            },
            tasks: self.tasks.clone(),
            clock: self.clock.clone(),
            outage: Outage::new(self.settings.stale_if_down, self.settings.realm.clone()),
            outdated,
            listener: Arc::clone(&self.listener),
        });
        if let Some(waiting) = waiting {
            let (chain, stop) = (Arc::clone(&chain), self.stop.clone());
            self.tasks.spawn(async move {
                stop.run_until_cancelled(chain.delete_outdated(waiting))
                    .await;
            });
        }
        let hearer: Arc<dyn Hears> = chain.clone();
        self.audiences
            .iter()
            .for_each(|audience| audience.join(&hearer));
        chain
    }

    /// The channels that there are.
    fn channels(&self) -> Channels {
        let has = |channel| {
            self.audiences
                .iter()
                .any(|audience| audience.channel() == channel)
        };
        Channels {
            postgres: has(Channel::Postgres),
            redis: has(Channel::Redis),
        }
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

/// Two digits for each byte, in lower case.
fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// How often stores are asked whether they are there, so that health is known, connections stay warm, and an outage is
/// over for the first request that comes after it.
const PROBE_EVERY: Duration = Duration::from_secs(2);

/// How long [`Stores::close`] waits for lookups: they have timeouts of their own, but configured ones.
const CLOSE_WITHIN: Duration = Duration::from_secs(5);

/// Characters of a driver's message that are kept.
const MAX_DETAIL: usize = 600;
