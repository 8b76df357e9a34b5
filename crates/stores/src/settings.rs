//! The settings of stores, after they were checked.

use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use sqlx::sqlite::SqliteConnectOptions;

use super::claims::{ClaimOf, StoredClaim};
use super::columns::{UserColumn, UserColumns};
use super::identifier::{Column, Table};
use super::postgres::server::PostgresServer;
use super::redis::RedisServer;
use super::standing::StandingColumns;
use super::time::Zone;

/// The settings of a realm's stores: memory, then Redis if there is one, then the truth. Users are looked up in
/// [`DatabaseSettings::users`]; sessions in [`RedisSettings::sessions`], in [`DatabaseSettings::sessions`], or first in
/// Redis and then in the database. What is not configured is not looked up.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// The name of the realm, for keys in Redis and for logs. `None` for the default realm.
    pub realm: Option<String>,
    /// The settings of this process's own cache.
    pub memory: MemorySettings,
    /// How long this process trusts facts whose changes are announced to it, in place of [`MemorySettings::ttl`].
    pub announced_ttl: Duration,
    /// How long the answer that there is no such user or session is trusted, in memory and in Redis each. Zero means not
    /// at all.
    pub absent_ttl: Duration,
    /// How long beyond its time to live an answer is used while the database is down. Zero means not at all.
    pub stale_if_down: Duration,
    /// The Redis that all nodes share.
    pub redis: Option<RedisSettings>,
    /// The application's database.
    pub database: Option<DatabaseSettings>,
    /// The claims that are read with sessions.
    pub claims: Vec<StoredClaim>,
}

impl Settings {
    /// Whether users are looked up by the subjects of sessions.
    pub fn checks_users(&self) -> bool {
        self.database
            .as_ref()
            .is_some_and(|database| database.users.is_some())
    }

    /// Whether sessions are looked up by their tokens.
    pub fn looks_up_sessions(&self) -> bool {
        let database = self.database.as_ref();
        let redis = self.redis.as_ref();
        database.is_some_and(|database| database.sessions.is_some())
            || redis.is_some_and(|redis| redis.sessions.is_some())
    }
}

impl Settings {
    /// Whether answers of the database are cached in Redis, if there is one.
    pub fn caches_in_redis(&self) -> bool {
        let in_redis = |redis: &RedisSettings| redis.sessions.is_some();
        let sessions = |database: &DatabaseSettings| {
            database.sessions.is_some() && !self.redis.as_ref().is_some_and(in_redis)
        };
        self.checks_users() || self.database.as_ref().is_some_and(sessions)
    }

    /// The settings of memory for facts whose changes are announced.
    pub(super) fn memory_with_channels(&self) -> MemorySettings {
        MemorySettings {
            ttl: self.announced_ttl,
            ..self.memory
        }
    }

    /// The columns that are read of users who are looked up by their ids.
    pub(super) fn user_columns(&self) -> UserColumns {
        self.database
            .as_ref()
            .map_or_else(UserColumns::default, DatabaseSettings::configured)
    }

    /// The columns and claims that are read of users who are looked up with their sessions. If sessions are in Redis,
    /// users are always looked up by their ids.
    pub(super) fn session_columns(&self) -> UserColumns {
        let redis = self.redis.as_ref();
        let mut configured = self.user_columns();
        if redis.is_some_and(|redis| redis.sessions.is_some()) {
            configured.columns.clear();
        }
        configured.claims.clone_from(&self.claims);
        configured
    }
}

impl DatabaseSettings {
    fn configured(&self) -> UserColumns {
        let of_sessions = self.sessions.as_ref();
        let of_sessions = of_sessions.and_then(|sessions| sessions.time_zone.as_ref());
        UserColumns {
            columns: self.columns.clone(),
            claims: Vec::new(),
            zone: self.time_zone.as_ref().or(of_sessions).cloned(),
        }
    }
}

impl RedisSettings {
    /// A key like those that are looked up, for probes of servers that restrict their users to some keys.
    pub(super) fn probe_key(&self) -> &str {
        self.sessions.as_ref().unwrap_or(&self.key_prefix)
    }
}

impl Settings {
    /// The files with certificates and keys that the settings name, each with the name of the setting.
    pub fn files(&self) -> impl Iterator<Item = (&'static str, &Path)> {
        let redis = self
            .redis
            .iter()
            .filter_map(|redis| redis.ca_file.as_deref());
        let postgres = self
            .database
            .iter()
            .filter_map(|database| match &database.url {
                DatabaseUrl::Postgres(server) => Some(server.files()),
                DatabaseUrl::Sqlite(_) => None,
            });
        let listen = self
            .database
            .iter()
            .filter_map(|database| database.listen.as_ref());
        let listen = listen.flat_map(|server| server.files());
        let listen = listen.map(|path| ("LISTEN_DATABASE_URL", path));
        let redis = redis.map(|path| ("REDIS_CA_FILE", path));
        let postgres = postgres.flatten().map(|path| ("DATABASE_URL", path));
        redis.chain(postgres).chain(listen)
    }
}

impl MemorySettings {
    /// Whether the cache is on.
    pub fn is_on(self) -> bool {
        !self.ttl.is_zero() && self.entries > 0 && self.bytes > 0
    }
}

/// The settings of this process's own cache.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MemorySettings {
    /// How long a user or a session is trusted to exist without a new lookup. Zero turns the cache off, also for absent
    /// users and sessions.
    pub ttl: Duration,
    /// The most users that are remembered, and the most sessions. Zero turns the cache off.
    pub entries: usize,
    /// The most bytes that remembered users take, and the most that sessions take. Zero turns the cache off.
    pub bytes: u64,
}

/// The Redis that all nodes share: a cache, and perhaps the store in which Better Auth keeps sessions.
#[derive(Clone, Debug, PartialEq)]
pub struct RedisSettings {
    /// The server and its credentials.
    pub server: RedisServer,
    /// How long a request waits for Redis, including connecting, before the database is queried instead.
    pub timeout: Duration,
    /// How long a user or a session is trusted to exist. If it is zero, such answers are not written.
    pub cache_ttl: Duration,
    /// The prefix of every key of the cache. The rest is the user's id, or `session:` and the id of a token. In a named
    /// realm, `realm:`, the name and another colon come between the two.
    pub key_prefix: String,
    /// The prefix of the keys under which Better Auth keeps its sessions, if it keeps them in this Redis.
    pub sessions: Option<String>,
    /// PEM certificates to trust for `rediss://` in place of the public authorities.
    pub ca_file: Option<PathBuf>,
    /// How the cache records that a user exists.
    pub format: CacheFormat,
    /// Whether the server announces changes (`CLIENT TRACKING`).
    pub tracking: bool,
}

/// How the cache in Redis records that a user exists, if no columns are configured.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum CacheFormat {
    /// A record, bound to the user and the table, with its lifetime.
    #[default]
    Record,
    /// The word `true`, and nothing for users that do not exist. For gates that understand nothing else.
    True,
}

/// The application's database, and the tables in which users and sessions are looked up.
#[derive(Clone, Debug, PartialEq)]
pub struct DatabaseSettings {
    /// The server or file.
    pub url: DatabaseUrl,
    /// The server on which the gate listens for changes, if it does: the same database, bypassing a pooler.
    pub listen: Option<Box<PostgresServer>>,
    /// How long a request waits for the database, including connecting and one retry.
    pub timeout: Duration,
    /// The most open connections. Zero means one.
    pub max_connections: u32,
    /// The table in which users are looked up, if users are looked up.
    pub users: Option<UserTable>,
    /// The tables in which sessions are looked up, if sessions are looked up in the database.
    pub sessions: Option<SessionTables>,
    /// The columns that are also read of a user, in this order ([`gate::User::columns`]).
    pub columns: Vec<UserColumn>,
    /// The time zone for times without a zone in those columns. `None` when it is not configured: then
    /// [`SessionTables::time_zone`] applies.
    pub time_zone: Option<Zone>,
}

/// The table, or view, of users.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UserTable {
    /// The name of the table.
    pub table: Table,
    /// The column with the id that sessions name as their subject.
    pub id: Column,
}

/// The tables, or views, of sessions and their users.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionTables {
    /// The table of sessions.
    pub table: Table,
    /// The column with the token, in the form in which the browser has it.
    pub token: Column,
    /// The column with the id of the session's user.
    pub user: Column,
    /// The column with the end of the session.
    pub expires: Column,
    /// The column with the beginning of the session, if there is one.
    pub created: Option<Column>,
    /// The table of users.
    pub users: UserTable,
    /// The column with the user's e-mail address, if there is one.
    pub email: Option<Column>,
    /// The column with the user's name, if there is one.
    pub name: Option<Column>,
    /// The time zone for times without a zone. `None` when it is not configured, which means UTC.
    pub time_zone: Option<Zone>,
    /// The columns about the user's standing.
    pub standing: StandingColumns,
}

impl SessionTables {
    /// The columns of the session table that every lookup reads, beside the token.
    pub(super) fn of_sessions(&self) -> impl Iterator<Item = &Column> {
        [&self.user, &self.expires].into_iter().chain(&self.created)
    }

    /// The columns of the user table that every lookup reads, beside the id.
    pub(super) fn of_users(&self) -> impl Iterator<Item = &Column> {
        self.email.iter().chain(&self.name)
    }

    /// The configured column for a claim of Better Auth's sessions, if there is a setting for that claim.
    pub fn named(&self, of: ClaimOf, claim: &str) -> Option<&Column> {
        let StandingColumns {
            verified,
            anonymous,
            impersonated_by,
            ..
        } = &self.standing;
        match (of, claim) {
            (ClaimOf::Session, "createdAt") => self.created.as_ref(),
            (ClaimOf::Session, "expiresAt") => Some(&self.expires),
            (ClaimOf::Session, "impersonatedBy") => impersonated_by.as_ref().map(|it| &it.column),
            (ClaimOf::Session, "userId") => Some(&self.user),
            (ClaimOf::User, "email") => self.email.as_ref(),
            (ClaimOf::User, "emailVerified") => verified.as_ref().map(|it| &it.column),
            (ClaimOf::User, "id") => Some(&self.users.id),
            (ClaimOf::User, "isAnonymous") => anonymous.as_ref().map(|it| &it.column),
            (ClaimOf::User, "name") => self.name.as_ref(),
            (ClaimOf::Session | ClaimOf::User, _) => None,
        }
    }
}

/// The address of a database, and the credentials for it. Its `Debug` and `Display` show no credentials.
#[derive(Clone)]
pub enum DatabaseUrl {
    /// A PostgreSQL server, or a pooler in front of one.
    Postgres(Box<PostgresServer>),
    /// A SQLite file, or a shared database in memory (`sqlite://file:name?mode=memory&cache=shared`; SQLite shares it
    /// only under a name that is a `file:` URI). It is only ever read, and never created.
    Sqlite(Box<SqliteConnectOptions>),
}

impl PartialEq for DatabaseUrl {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Postgres(ours), Self::Postgres(theirs)) => ours == theirs,
            // Compared as printed: the driver offers no other comparison, and its URLs leave out names such as
            // `file:people`.
            (Self::Sqlite(ours), Self::Sqlite(theirs)) => {
                format!("{ours:?}") == format!("{theirs:?}")
            }
            (Self::Postgres(_), Self::Sqlite(_)) | (Self::Sqlite(_), Self::Postgres(_)) => false,
        }
    }
}

/// Shows the kind of database and its address, without credentials.
impl fmt::Display for DatabaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Postgres(server) => write!(f, "PostgreSQL at {server}"),
            Self::Sqlite(options) => write!(f, "SQLite at {}", options.get_filename().display()),
        }
    }
}

impl fmt::Debug for DatabaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Postgres(server) => server.fmt(f),
            Self::Sqlite(options) => write!(f, "Sqlite({})", options.get_filename().display()),
        }
    }
}
