//! Where users and sessions are looked up.

use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use sqlx::postgres::{PgConnectOptions, PgSslMode};
use sqlx::sqlite::SqliteConnectOptions;

use super::lookups::SessionLookups;
use super::raw::Reader;
use crate::store::{
    Column, DatabaseSettings, DatabaseUrl, MemorySettings, RedisSettings, RedisUrl, Settings,
    Table, UserTable,
};

/// The stores, or `None` when nothing is looked up.
pub(super) fn settings(
    reader: &mut Reader<'_>,
    lookups: Option<SessionLookups>,
    warnings: &mut Vec<String>,
) -> Option<Settings> {
    let checks_users = reader.switch("ENABLE_DB_CHECK", false);
    if !checks_users && !lookups.is_some_and(SessionLookups::prove_users) {
        warnings.push(
            "ENABLE_DB_CHECK is off: a deleted user keeps access until the session expires"
                .to_owned(),
        );
    }
    if !checks_users && lookups.is_none() {
        return None;
    }
    let memory = MemorySettings {
        ttl: reader.seconds("MEMORY_CACHE_TTL", 5),
        entries: reader.parsed("MEMORY_CACHE_ENTRIES", 100_000, "a number of entries"),
    };
    let absent_ttl = reader.seconds("ABSENT_CACHE_TTL", 5);
    let sessions_in_redis = lookups.and_then(|lookups| lookups.redis_prefix(reader));
    let redis = redis(reader, sessions_in_redis);
    let sessions_in_database = lookups.filter(|lookups| lookups.need_database());
    let database = match checks_users || sessions_in_database.is_some() {
        true => Some(database(
            reader,
            lookups,
            checks_users,
            sessions_in_database,
        )?),
        false => None,
    };
    Some(Settings {
        memory,
        absent_ttl,
        redis,
        database,
    })
}

fn database(
    reader: &mut Reader<'_>,
    lookups: Option<SessionLookups>,
    checks_users: bool,
    sessions: Option<SessionLookups>,
) -> Option<DatabaseSettings> {
    let url = database_location(reader, checks_users);
    let timeout = reader.millis("DATABASE_TIMEOUT", 2000);
    let max_connections = reader.parsed("DATABASE_CONNECTIONS", 10, "a number of connections");
    let default_table = lookups.map_or("users", SessionLookups::user_table);
    let table = reader.named("USER_TABLE", default_table, Table::parse);
    let id = reader.named("USER_ID_FIELD", "id", Column::parse);
    let users = table.zip(id).map(|(table, id)| UserTable { table, id });
    let sessions = match (sessions, users.clone()) {
        (Some(sessions), Some(users)) => Some(sessions.tables(reader, users)?),
        (None, _) | (_, None) => None,
    };
    Some(DatabaseSettings {
        url: url?,
        timeout,
        max_connections,
        users: Some(users?).filter(|_| checks_users),
        sessions,
    })
}

/// Redis is there when `REDIS_URL` or `REDIS_HOST` says where. `sessions` is what the keys of sessions that are kept there
/// start with.
fn redis(reader: &mut Reader<'_>, sessions: Option<String>) -> Option<RedisSettings> {
    let timeout = reader.millis("REDIS_TIMEOUT", 1000);
    let cache_ttl = reader.seconds("REDIS_CACHE_TTL", 600);
    let key_prefix = reader.parsed("REDIS_KEY_PREFIX", "auth:".to_owned(), "a prefix");
    let ca_file = reader.text("REDIS_CA_FILE").map(PathBuf::from);
    let url = reader.url("REDIS_URL");
    let host = reader.text("REDIS_HOST");
    let port = reader.parsed("REDIS_PORT", 6379_u16, "a port");
    let password = reader.password("REDIS_PASSWORD");
    let (name, url) = match (url, host) {
        (Some(url), _) => ("REDIS_URL", RedisUrl::parse(&url)),
        (None, Some(host)) => (
            "REDIS_HOST",
            RedisUrl::from_parts(&host, port, password.as_deref()),
        ),
        (None, None) => {
            if sessions.is_some() {
                let what = "SESSION_STORE says that sessions are in Redis, so say where it is: a redis:// URL, or REDIS_HOST";
                reader.problem("REDIS_URL", what);
            }
            return None;
        }
    };
    let url = url
        .map_err(|error| reader.problem(name, error.to_string()))
        .ok()?;
    Some(RedisSettings {
        url,
        timeout,
        cache_ttl,
        key_prefix,
        sessions,
        ca_file,
    })
}

/// `DATABASE_URL`, or the parts that `POSTGRES_HOST` and its siblings give.
fn database_location(reader: &mut Reader<'_>, checks_users: bool) -> Option<DatabaseUrl> {
    let url = reader.url("DATABASE_URL");
    let host = reader.text("POSTGRES_HOST");
    if let Some(url) = url {
        return database_url(&url)
            .map_err(|what| reader.problem("DATABASE_URL", what))
            .ok();
    }
    let Some(host) = host else {
        let why = match checks_users {
            true => "ENABLE_DB_CHECK is on, so say where the users are",
            false => "sessions are looked up in the app's database, so say where it is",
        };
        let what = format!("{why}: a postgres:// or sqlite:// URL, or POSTGRES_HOST");
        reader.problem("DATABASE_URL", what);
        return None;
    };
    let mut options = PgConnectOptions::new_without_pgpass()
        .host(&host)
        .port(reader.parsed("POSTGRES_PORT", 5432, "a port"))
        .username(&reader.parsed("POSTGRES_USER", "postgres".to_owned(), "a name"))
        .database(&reader.parsed("POSTGRES_DB", "postgres".to_owned(), "a name"));
    if let Some(password) = reader.password("POSTGRES_PASSWORD") {
        options = options.password(&password);
    }
    if let Some(mode) = reader.read("POSTGRES_SSLMODE", ssl_mode) {
        options = options.ssl_mode(mode);
    }
    Some(DatabaseUrl::Postgres(Box::new(options)))
}

fn database_url(url: &str) -> Result<DatabaseUrl, &'static str> {
    let scheme = url.split(':').next().unwrap_or_default();
    match scheme {
        // The drivers' errors can repeat parts of the URL, and with them a password.
        "postgres" | "postgresql" => PgConnectOptions::from_str(url)
            .map(|options| DatabaseUrl::Postgres(Box::new(options)))
            .map_err(|_| "not a URL of the form postgres://user:password@host:5432/database?sslmode=require"),
        "sqlite" => SqliteConnectOptions::from_str(url)
            .map(|options| DatabaseUrl::Sqlite(Box::new(options.busy_timeout(BUSY_TIMEOUT))))
            .map_err(|_| "not a URL of the form sqlite:///path/to/users.db"),
        _ => Err("only postgres:// and sqlite:// databases can be asked"),
    }
}

fn ssl_mode(text: &str) -> Result<PgSslMode, &'static str> {
    text.parse()
        .map_err(|_| "none of disable, allow, prefer, require, verify-ca, verify-full")
}

/// How long a reader of SQLite waits for a writer, within `DATABASE_TIMEOUT`.
const BUSY_TIMEOUT: Duration = Duration::from_secs(1);
