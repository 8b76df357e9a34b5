//! The store of revocations, which all nodes share and which survives restarts: PostgreSQL, Redis, or a SQLite file of
//! the gate's own. No request that the gate decides waits for it.

mod entry;
mod news;
mod postgres;
mod redis;
mod sqlite;
#[cfg(test)]
mod tests;

use std::path::PathBuf;
use std::time::Duration;

use gate::{LookupSource, Revoked};
use session::UnixTime;
use thiserror::Error;

pub use self::entry::{RevocationEntry, RevocationEntryError, RevocationKey};
pub(super) use self::news::changed_in_redis;
pub use self::news::{RevocationNews, RevocationNewsReceiver, reload_soon};
use self::postgres::InPostgres;
pub(super) use self::redis::is_key;
use self::redis::{InRedis, Members};
use self::sqlite::InSqlite;
use super::pools::{self, Fingerprints, Pools};
use super::postgres::OwnTableError;
use super::settings::{DatabaseSettings, RedisSettings};

/// The settings of the store of revocations.
#[derive(Clone, Debug, PartialEq)]
pub struct RevocationSettings {
    /// Where the revocations are kept.
    pub place: RevocationPlace,
    /// How often the list is read again when no change is announced.
    pub interval: Duration,
    /// How long a revocation is kept: as long as the longest session lasts.
    pub keep: Duration,
    /// How old the list may be. While it is older, no request with a session is allowed.
    pub max_stale: Duration,
}

/// Where revocations are kept.
#[derive(Clone, Debug, PartialEq)]
pub enum RevocationPlace {
    /// In the application's database.
    Postgres(Box<DatabaseSettings>),
    /// In Redis, for as long as Redis keeps its data.
    Redis(RedisSettings),
    /// In a SQLite file of the gate's own, on one machine.
    Sqlite(PathBuf),
}

/// An open store of revocations.
pub struct RevocationStore(Kind);

enum Kind {
    Postgres(InPostgres),
    Redis(InRedis),
    Sqlite(InSqlite),
}

/// The contents of a store when it was last read, as far as they are needed to find changes since then.
#[derive(Debug, Default)]
pub struct RevocationMark(Members);

/// The changes since a store was last read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ChangedRevocations {
    /// The entries that were added. Earlier entries about the same session or user remain in effect
    /// ([`RevocationEntry::and`]).
    Added(Vec<RevocationEntry>),
    /// The current entry for each of these keys, replacing earlier ones.
    Now(Vec<(RevocationKey, Option<RevocationEntry>)>),
}

/// The reason why revocations cannot be read or written.
#[derive(Debug, Error)]
pub enum RevocationStoreError {
    /// The store holds an entry that this version does not understand.
    #[error("{0} holds a revocation that this version does not understand: {1}")]
    Entry(LookupSource, RevocationEntryError),
    /// The store holds the maximum number of revocations.
    #[error(
        "{0} holds {MAX_REVOCATIONS} revocations, and accepts no more: a revocation with --all-before covers every session \
         issued before a time"
    )]
    Full(LookupSource),
    /// The table does not exist.
    #[error(
        "PostgreSQL: there is no table sessiongate_revocations; create it with `sessiongate revocations install`, or have \
         a role that may create tables run the output of `sessiongate revocations install --print`"
    )]
    NoTable,
    /// A statement for PostgreSQL failed.
    #[error(transparent)]
    Postgres(#[from] OwnTableError),
    /// A command for Redis failed.
    #[error("Redis: {0}")]
    Redis(String),
    /// The store did not answer in time.
    #[error("{0} did not answer in time")]
    TimedOut(LookupSource),
    /// A statement for SQLite failed, or the file cannot be opened.
    #[error("SQLite, {0}: {1}")]
    Sqlite(String, String),
    /// The store holds more revocations than may be kept in memory.
    #[error(
        "{0} holds more than {MAX_REVOCATIONS} revocations, the most that a gate reads; remove some"
    )]
    TooMany(LookupSource),
}

impl RevocationPlace {
    /// The kind of store.
    pub fn source(&self) -> LookupSource {
        match self {
            Self::Postgres(_) => LookupSource::Postgres,
            Self::Redis(_) => LookupSource::Redis,
            Self::Sqlite(_) => LookupSource::Sqlite,
        }
    }

    /// How long a query may take; `None` for a file.
    pub fn timeout(&self) -> Option<Duration> {
        match self {
            Self::Postgres(database) => Some(database.timeout),
            Self::Redis(redis) => Some(redis.timeout),
            Self::Sqlite(_) => None,
        }
    }

    /// Digests of the certificate and key files for the connection.
    pub fn fingerprints(&self) -> Fingerprints {
        match self {
            Self::Postgres(database) => pools::files_of(database),
            Self::Redis(redis) => redis.ca_file.iter().map(pools::fingerprint).collect(),
            Self::Sqlite(_) => Fingerprints::new(),
        }
    }
}

impl RevocationStore {
    /// Opens the store, on connections of `pools` if it is a server. It succeeds even if the server is down.
    pub fn open(place: &RevocationPlace, pools: &Pools) -> Self {
        Self(match place {
            RevocationPlace::Postgres(settings) => {
                let tables = InPostgres::open(settings, pools);
                Kind::Postgres(tables.expect("checked settings name a PostgreSQL here"))
            }
            RevocationPlace::Redis(settings) => Kind::Redis(InRedis::open(settings, pools)),
            RevocationPlace::Sqlite(path) => Kind::Sqlite(InSqlite::at(path)),
        })
    }

    /// Creates the table, if the store needs a table and it does not exist.
    ///
    /// # Errors
    /// When it cannot be created.
    pub async fn install(&self) -> Result<(), RevocationStoreError> {
        match &self.0 {
            Kind::Postgres(postgres) => postgres.install().await,
            Kind::Redis(_) => Ok(()),
            Kind::Sqlite(sqlite) => sqlite.install().await,
        }
    }

    /// Reads all revocations in effect at `now` (PostgreSQL goes by its own clock), in the order of
    /// [what they are about](RevocationEntry::place).
    ///
    /// # Errors
    /// When the store does not answer, holds too many revocations, or holds one that is not understood, so that the list
    /// would be incomplete.
    pub async fn load(&self, now: UnixTime) -> Result<Vec<RevocationEntry>, RevocationStoreError> {
        Ok(self.load_marked(now).await?.0)
    }

    /// Reads all revocations, as [`RevocationStore::load`] does, and a mark from which
    /// [changes](RevocationStore::read_changes) can be found later.
    ///
    /// # Errors
    /// When the store does not answer, holds too many revocations, or holds one that is not understood.
    pub async fn load_marked(
        &self,
        now: UnixTime,
    ) -> Result<(Vec<RevocationEntry>, RevocationMark), RevocationStoreError> {
        let (entries, mark) = match &self.0 {
            Kind::Postgres(postgres) => (postgres.load().await?, Members::default()),
            Kind::Redis(redis) => redis.load(now).await?,
            Kind::Sqlite(sqlite) => (sqlite.load(now).await?, Members::default()),
        };
        if entries.len() > MAX_REVOCATIONS {
            return Err(RevocationStoreError::TooMany(self.source()));
        }
        Ok((entry::merged(entries), RevocationMark(mark)))
    }

    /// Reads the current state of the revocations that `news` is about, which is much faster than reading a long list
    /// again. `mark` belongs to the known list, and is updated. Returns `None` when other changes cannot be ruled out, so
    /// that the whole list must be read.
    ///
    /// # Errors
    /// When the store does not answer, or holds a revocation that is not understood.
    pub async fn read_changes(
        &self,
        news: &RevocationNews,
        mark: &mut RevocationMark,
        now: UnixTime,
    ) -> Result<Option<ChangedRevocations>, RevocationStoreError> {
        if news.everything {
            return Ok(None);
        }
        let entries = match &self.0 {
            // The news is about another store.
            Kind::Postgres(_) | Kind::Sqlite(_) if news.keys.is_empty() => Vec::new(),
            Kind::Postgres(postgres) => postgres.read_keys(&news.keys).await?,
            Kind::Redis(redis) => {
                let added = redis.read_new(&mut mark.0, now).await?;
                return Ok(added.map(ChangedRevocations::Added));
            }
            Kind::Sqlite(sqlite) => sqlite.read_keys(&news.keys, now).await?,
        };
        let mut entries = entry::merged(entries).into_iter().peekable();
        // Keys and entries have the same order.
        let now = news.keys.iter().map(|key| {
            let place = (&*key.realm, &key.what);
            (key.clone(), entries.next_if(|entry| entry.place() == place))
        });
        Ok(Some(ChangedRevocations::Now(now.collect())))
    }

    /// Adds a revocation, and deletes expired ones. When this returns, the revocation is as durable as the store; other
    /// nodes learn of it when the store announces it, or when they next read the list.
    ///
    /// # Errors
    /// When the store does not answer, or does not accept the revocation.
    pub async fn add(
        &self,
        entry: &RevocationEntry,
        now: UnixTime,
    ) -> Result<(), RevocationStoreError> {
        match &self.0 {
            Kind::Postgres(postgres) => postgres.add(entry).await,
            Kind::Redis(redis) => redis.add(entry, now).await,
            Kind::Sqlite(sqlite) => sqlite.add(entry, now).await,
        }
    }

    /// Removes a revocation, and returns whether there was one.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn remove(&self, realm: &str, what: &Revoked) -> Result<bool, RevocationStoreError> {
        match &self.0 {
            Kind::Postgres(postgres) => postgres.remove(realm, what).await,
            Kind::Redis(redis) => redis.remove(realm, what).await,
            Kind::Sqlite(sqlite) => sqlite.remove(realm, what).await,
        }
    }

    /// The kind of store.
    pub fn source(&self) -> LookupSource {
        match &self.0 {
            Kind::Postgres(_) => LookupSource::Postgres,
            Kind::Redis(_) => LookupSource::Redis,
            Kind::Sqlite(_) => LookupSource::Sqlite,
        }
    }

    /// Returns the leases of the connections, and closes connections that no other stores use.
    pub async fn close(self) {
        match self.0 {
            Kind::Postgres(postgres) => postgres.close().await,
            Kind::Redis(redis) => redis.close().await,
            Kind::Sqlite(_) => {}
        }
    }

    /// The SQL that creates the table in PostgreSQL, with the privileges that other roles than its owner need.
    pub fn sql() -> String {
        postgres::sql()
    }
}

/// Handles an announcement that revocations have changed. An announcement by another program may lack a key; then the
/// whole list is read again.
pub(super) fn handle_announcement(payload: &str) {
    match RevocationKey::read(payload) {
        Some(key) => news::changed(key),
        None => reload_soon(),
    }
}

/// The most revocations. Each takes a few hundred bytes of memory, and all are read each time.
const MAX_REVOCATIONS: usize = 100_000;
