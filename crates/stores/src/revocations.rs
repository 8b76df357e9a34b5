//! Where revocations are kept, so that every node finds them and a restart does not lose them: in PostgreSQL, in Redis, or in a
//! SQLite file of the gate's own. No request waits for any of this.

mod entry;
mod postgres;
mod redis;
mod sqlite;
#[cfg(test)]
mod tests;
mod words;

use std::path::PathBuf;
use std::time::Duration;

use gate::{LookupSource, Revoked};
use session::UnixTime;
use thiserror::Error;

pub use self::entry::{RevocationEntry, RevocationEntryError, RevocationKey};
use self::postgres::InPostgres;
pub(super) use self::redis::is_key;
use self::redis::{InRedis, Members};
use self::sqlite::InSqlite;
pub(super) use self::words::changed_in_redis;
pub use self::words::{RevocationNews, RevocationNewsReceiver, reload_soon};
use super::pools::{self, Fingerprints, Pools};
use super::postgres::OwnTableError;
use super::settings::{DatabaseSettings, RedisSettings};

/// How revocations are kept, and for how long.
#[derive(Clone, Debug, PartialEq)]
pub struct RevocationSettings {
    /// Where.
    pub place: RevocationPlace,
    /// How often the list is read anew, where nobody says that it has changed.
    pub interval: Duration,
    /// How long one is kept: as long as the longest session lasts.
    pub keep: Duration,
    /// How old the list may be. While it is older, nobody enters with a session.
    pub max_stale: Duration,
}

/// Where revocations are kept.
#[derive(Clone, Debug, PartialEq)]
pub enum RevocationPlace {
    /// In the application's database.
    Postgres(Box<DatabaseSettings>),
    /// In Redis, for as long as that keeps what is in it.
    Redis(RedisSettings),
    /// In a SQLite file of the gate's own, on one machine.
    Sqlite(PathBuf),
}

/// The place, opened.
pub struct RevocationStore(Kind);

enum Kind {
    Postgres(InPostgres),
    Redis(InRedis),
    Sqlite(InSqlite),
}

/// What a store held when it was read last, as far as it takes that to find what is new in it.
#[derive(Debug, Default)]
pub struct RevocationMark(Members);

/// What is other than it was when a store was read last.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ChangedRevocations {
    /// These were added to what there was, which counts as well ([`RevocationEntry::and`]).
    Added(Vec<RevocationEntry>),
    /// What there is of each of these now, and nothing else.
    Now(Vec<(RevocationKey, Option<RevocationEntry>)>),
}

/// Why revocations cannot be read or written.
#[derive(Debug, Error)]
pub enum RevocationStoreError {
    /// Something in it is no revocation that this version knows.
    #[error("{0}: it holds a revocation that is not understood, {1}")]
    Entry(LookupSource, RevocationEntryError),
    /// It holds as many as it may.
    #[error(
        "{0} holds {MOST} revocations, and more are not taken: one with --all-before covers all that were issued before a time"
    )]
    Full(LookupSource),
    /// The table is not there.
    #[error(
        "PostgreSQL: there is no table sessiongate_revocations; make it with `sessiongate revocations install`, or let somebody \
         who may make tables run what `sessiongate revocations install --print` prints"
    )]
    NoTable,
    /// A statement failed.
    #[error(transparent)]
    Postgres(#[from] OwnTableError),
    /// A command failed.
    #[error("Redis: {0}")]
    Redis(String),
    /// There was no answer in time.
    #[error("{0} did not answer in time")]
    Slow(LookupSource),
    /// A statement failed, or the file cannot be opened.
    #[error("SQLite, {0}: {1}")]
    Sqlite(String, String),
    /// There are more than can be kept in memory.
    #[error("{0} holds more than {MOST} revocations, which are not all read; remove some")]
    TooMany(LookupSource),
}

impl RevocationPlace {
    /// Which store it is.
    pub fn source(&self) -> LookupSource {
        match self {
            Self::Postgres(_) => LookupSource::Postgres,
            Self::Redis(_) => LookupSource::Redis,
            Self::Sqlite(_) => LookupSource::Sqlite,
        }
    }

    /// How long a question to the server may take; `None` for a file.
    pub fn timeout(&self) -> Option<Duration> {
        match self {
            Self::Postgres(database) => Some(database.timeout),
            Self::Redis(redis) => Some(redis.timeout),
            Self::Sqlite(_) => None,
        }
    }

    /// Digests of the certificates and keys that it takes to ask the server.
    pub fn fingerprints(&self) -> Fingerprints {
        match self {
            Self::Postgres(database) => pools::files_of(database),
            Self::Redis(redis) => redis.ca_file.iter().map(pools::fingerprint).collect(),
            Self::Sqlite(_) => Fingerprints::new(),
        }
    }
}

impl RevocationStore {
    /// Opens the place, on connections of `pools` where it is a server. A server that is down is no reason to fail.
    pub fn open(place: &RevocationPlace, pools: &Pools) -> Self {
        Self(match place {
            RevocationPlace::Postgres(settings) => {
                let tables = InPostgres::open(settings, pools);
                Kind::Postgres(tables.expect("settings that were read have a PostgreSQL here"))
            }
            RevocationPlace::Redis(settings) => Kind::Redis(InRedis::open(settings, pools)),
            RevocationPlace::Sqlite(path) => Kind::Sqlite(InSqlite::at(path)),
        })
    }

    /// Makes the table, where there has to be one and there is none.
    ///
    /// # Errors
    /// When it cannot be made.
    pub async fn install(&self) -> Result<(), RevocationStoreError> {
        match &self.0 {
            Kind::Postgres(postgres) => postgres.install().await,
            Kind::Redis(_) => Ok(()),
            Kind::Sqlite(sqlite) => sqlite.install().await,
        }
    }

    /// All that have an effect at the time `now`, in the order of [what they are about](RevocationEntry::place).
    ///
    /// # Errors
    /// When the store does not answer, holds too many, or holds one that is not understood: then nobody knows all of them.
    pub async fn load(&self, now: UnixTime) -> Result<Vec<RevocationEntry>, RevocationStoreError> {
        Ok(self.load_marked(now).await?.0)
    }

    /// As [`RevocationStore::load`], with a mark from which [what is new](RevocationStore::look) can be found later.
    ///
    /// # Errors
    /// As there.
    pub async fn load_marked(
        &self,
        now: UnixTime,
    ) -> Result<(Vec<RevocationEntry>, RevocationMark), RevocationStoreError> {
        let (entries, mark) = match &self.0 {
            Kind::Postgres(postgres) => (postgres.load().await?, Members::default()),
            Kind::Redis(redis) => redis.load(now).await?,
            Kind::Sqlite(sqlite) => (sqlite.load(now).await?, Members::default()),
        };
        if entries.len() > MOST {
            return Err(RevocationStoreError::TooMany(self.source()));
        }
        Ok((entry::merged(entries), RevocationMark(mark)))
    }

    /// What this news is about, as it is now: of long lists this is much faster than reading them. `mark` is that of the list that is
    /// known, and is one of what is new afterwards. `None` when it cannot be told that nothing else has changed, so that the whole
    /// list has to be read.
    ///
    /// # Errors
    /// When the store does not answer, or holds one that is not understood.
    pub async fn look(
        &self,
        news: &RevocationNews,
        mark: &mut RevocationMark,
        now: UnixTime,
    ) -> Result<Option<ChangedRevocations>, RevocationStoreError> {
        if news.everything {
            return Ok(None);
        }
        let entries = match &self.0 {
            // This is about another place.
            Kind::Postgres(_) | Kind::Sqlite(_) if news.keys.is_empty() => Vec::new(),
            Kind::Postgres(postgres) => postgres.look(&news.keys).await?,
            Kind::Redis(redis) => {
                let added = redis.look(&mut mark.0, now).await?;
                return Ok(added.map(ChangedRevocations::Added));
            }
            Kind::Sqlite(sqlite) => sqlite.look(&news.keys, now).await?,
        };
        let mut entries = entry::merged(entries).into_iter().peekable();
        // Both are in the same order.
        let now = news.keys.iter().map(|key| {
            let place = (&*key.realm, &key.what);
            (key.clone(), entries.next_if(|entry| entry.place() == place))
        });
        Ok(Some(ChangedRevocations::Now(now.collect())))
    }

    /// Keeps one, and forgets those that have had their time. When this returns it is as durable as the store; other nodes are
    /// told as the store tells them.
    ///
    /// # Errors
    /// When the store does not take it.
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

    /// Takes one back. Says whether there was one.
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

    /// Which store it is.
    pub fn source(&self) -> LookupSource {
        match &self.0 {
            Kind::Postgres(_) => LookupSource::Postgres,
            Kind::Redis(_) => LookupSource::Redis,
            Kind::Sqlite(_) => LookupSource::Sqlite,
        }
    }

    /// Gives the connections back.
    pub async fn close(self) {
        match self.0 {
            Kind::Postgres(postgres) => postgres.close().await,
            Kind::Redis(redis) => redis.close().await,
            Kind::Sqlite(_) => {}
        }
    }

    /// The statements that make the table in PostgreSQL, and what a role needs that is not its owner.
    pub fn sql() -> String {
        postgres::sql()
    }
}

/// Somebody has said this where it is said that revocations have changed. Words of other programs may name nothing.
pub(super) fn heard_of(word: &str) {
    match RevocationKey::read(word) {
        Some(key) => words::changed(key),
        None => reload_soon(),
    }
}

/// How many there may be. Each takes some hundred bytes of memory, and all are read each time.
const MOST: usize = 100_000;
