//! Where users are looked up.

use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use sqlx::postgres::{PgConnectOptions, PgSslMode};
use sqlx::sqlite::SqliteConnectOptions;

use super::raw::Reader;
use crate::store::{
    Column, DatabaseSettings, DatabaseUrl, MemorySettings, RedisSettings, RedisUrl, Settings, Table,
    UserTable,
};

/// The chain of stores, or `None` when users are not checked.
pub(super) fn settings(reader: &mut Reader<'_>) -> Option<Settings> {
    if !reader.switch("ENABLE_DB_CHECK", false) {
        return None;
    }
    let memory = MemorySettings {
        ttl: reader.seconds("MEMORY_CACHE_TTL", 5),
        entries: reader.parsed("MEMORY_CACHE_ENTRIES", 100_000, "a number of users"),
    };
    let absent_ttl = reader.seconds("ABSENT_CACHE_TTL", 5);
    let redis = redis(reader);
    let database = database(reader);
    let timeout = reader.millis("DATABASE_TIMEOUT", 2000);
    let max_connections = reader.parsed("DATABASE_CONNECTIONS", 10, "a number of connections");
    let table = identifier(reader, "USER_TABLE", "users", Table::parse);
    let id_field = identifier(reader, "USER_ID_FIELD", "id", Column::parse);
    let (url, table, id) = (database?, table?, id_field?);
    Some(Settings {
        memory,
        absent_ttl,
        redis,
        database: Some(DatabaseSettings {
            url,
            timeout,
            max_connections,
            users: Some(UserTable { table, id }),
            sessions: None,
        }),
    })
}

fn identifier<T, E: std::fmt::Display>(
    reader: &mut Reader<'_>,
    name: &str,
    default: &str,
    read: impl FnOnce(&str) -> Result<T, E>,
) -> Option<T> {
    let text = reader.parsed(name, default.to_owned(), "a name");
    read(&text)
        .map_err(|error| reader.problem(name, format!("`{text}`: {error}")))
        .ok()
}

/// Redis is there when `REDIS_URL` or `REDIS_HOST` says where.
fn redis(reader: &mut Reader<'_>) -> Option<RedisSettings> {
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
        (None, None) => return None,
    };
    let url = url
        .map_err(|error| reader.problem(name, error.to_string()))
        .ok()?;
    Some(RedisSettings {
        url,
        timeout,
        cache_ttl,
        key_prefix,
        sessions: None,
        ca_file,
    })
}

/// `DATABASE_URL`, or the parts that `POSTGRES_HOST` and its siblings give.
fn database(reader: &mut Reader<'_>) -> Option<DatabaseUrl> {
    let url = reader.url("DATABASE_URL");
    let host = reader.text("POSTGRES_HOST");
    if let Some(url) = url {
        return database_url(&url)
            .map_err(|what| reader.problem("DATABASE_URL", what))
            .ok();
    }
    let Some(host) = host else {
        reader.problem(
            "DATABASE_URL",
            "ENABLE_DB_CHECK is on, so say where the users are: a postgres:// or sqlite:// URL, or POSTGRES_HOST",
        );
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
