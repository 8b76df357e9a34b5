//! What the operator says about stores, already checked: nothing here can be wrong any more except the world.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use redis::{ConnectionAddr, ConnectionInfo, IntoConnectionInfo, RedisConnectionInfo};
use sqlx::postgres::PgConnectOptions;
use sqlx::sqlite::SqliteConnectOptions;
use thiserror::Error;

use super::identifier::{Column, Table};

/// The stores: memory, then Redis when there is one, then the truth. What is looked up follows from the truths that
/// there are: users in [`DatabaseSettings::users`]; sessions in [`RedisSettings::sessions`], in
/// [`DatabaseSettings::sessions`], or in the one and then the other.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    /// This process's own cache.
    pub(crate) memory: MemorySettings,
    /// How long "no such user", or session, is trusted, in memory and in Redis each. Zero: not at all.
    pub(crate) absent_ttl: Duration,
    /// The Redis that all nodes share.
    pub(crate) redis: Option<RedisSettings>,
    /// The application's database.
    pub(crate) database: Option<DatabaseSettings>,
}

/// This process's own cache.
#[derive(Clone, Copy, Debug)]
pub(crate) struct MemorySettings {
    /// How long a user or a session is trusted to exist without asking again. Zero turns the cache off, for absent ones
    /// too.
    pub(crate) ttl: Duration,
    /// How many users are remembered at most, and how many sessions. Zero turns the cache off.
    pub(crate) entries: usize,
}

/// The Redis that all nodes share: a cache, and perhaps the store in which Better Auth keeps sessions.
#[derive(Clone, Debug)]
pub(crate) struct RedisSettings {
    /// Where it is, and its password.
    pub(crate) url: RedisUrl,
    /// How long a request waits for Redis, connecting included, before the database is asked instead.
    pub(crate) timeout: Duration,
    /// How long a user or a session is trusted to exist. Zero: such answers are not written.
    pub(crate) cache_ttl: Duration,
    /// What every key of the cache starts with; the rest is the user's id, or `session:` and the id of a token.
    pub(crate) key_prefix: String,
    /// What the keys start with under which Better Auth keeps its sessions here, if it does.
    pub(crate) sessions: Option<String>,
    /// PEM certificates to trust for `rediss://` in place of the public authorities.
    pub(crate) ca_file: Option<PathBuf>,
}

/// The application's database, and what is looked up there.
#[derive(Clone, Debug)]
pub(crate) struct DatabaseSettings {
    /// Where it is.
    pub(crate) url: DatabaseUrl,
    /// How long a request waits for the database, connecting and one retry included.
    pub(crate) timeout: Duration,
    /// How many connections are open at most; zero counts as one.
    pub(crate) max_connections: u32,
    /// Where users are looked up, if they are.
    pub(crate) users: Option<UserTable>,
    /// Where sessions are looked up, if they are.
    pub(crate) sessions: Option<SessionTables>,
}

/// The table, or view, of users.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct UserTable {
    /// Its name.
    pub(crate) table: Table,
    /// The column that holds what sessions name as their subject.
    pub(crate) id: Column,
}

/// The tables, or views, that tell about a session and its user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SessionTables {
    /// The sessions.
    pub(crate) table: Table,
    /// The token, as the browser has it.
    pub(crate) token: Column,
    /// The id of the session's user.
    pub(crate) user: Column,
    /// When the session ends.
    pub(crate) expires: Column,
    /// When it began, where that is kept.
    pub(crate) created: Option<Column>,
    /// The users.
    pub(crate) users: UserTable,
    /// The user's e-mail address, where that is kept.
    pub(crate) email: Option<Column>,
    /// The user's name, where that is kept.
    pub(crate) name: Option<Column>,
}

/// Where a database is, and its credentials. Printing it shows only where.
#[derive(Clone)]
pub(crate) enum DatabaseUrl {
    /// A PostgreSQL server. Behind a pooler that cannot prepare statements (PgBouncer before 1.21), the operator adds
    /// `?statement-cache-capacity=0` to the URL.
    Postgres(Box<PgConnectOptions>),
    /// A SQLite file, or a shared database in memory (`sqlite://file:name?mode=memory&cache=shared`; SQLite shares it
    /// only under a name that is a `file:` URI). It is only ever read, and never created.
    Sqlite(Box<SqliteConnectOptions>),
}

// The driver's own `Debug` prints the password.
impl fmt::Debug for DatabaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Postgres(options) => {
                let database = options
                    .get_database()
                    .unwrap_or_else(|| options.get_username());
                write!(
                    f,
                    "Postgres({}:{}/{database})",
                    options.get_host(),
                    options.get_port()
                )
            }
            Self::Sqlite(options) => write!(f, "Sqlite({})", options.get_filename().display()),
        }
    }
}

/// Where Redis is, and its credentials. Printing it shows only where.
#[derive(Clone)]
pub(crate) struct RedisUrl {
    pub(super) target: ConnectionInfo,
}

impl RedisUrl {
    /// Reads `redis://[user[:password]@]host[:port][/database]`, `rediss://` for TLS, or `unix:///path`.
    /// User and password are percent-decoded.
    ///
    /// # Errors
    /// When the text is no such URL, or asks for TLS without verification. The error repeats nothing of it.
    pub(crate) fn parse(url: &str) -> Result<Self, RedisUrlError> {
        let target = url
            .into_connection_info()
            .map_err(|_| RedisUrlError::Malformed)?;
        if matches!(target.addr(), ConnectionAddr::TcpTls { insecure: true, .. }) {
            return Err(RedisUrlError::Insecure);
        }
        Ok(Self { target })
    }

    /// The server at `host`, without TLS. The password is used exactly as given; an empty one counts as none.
    ///
    /// # Errors
    /// When `host` cannot be connected to, such as `0.0.0.0`.
    pub(crate) fn from_parts(
        host: &str,
        port: u16,
        password: Option<&str>,
    ) -> Result<Self, RedisUrlError> {
        let target = (host, port)
            .into_connection_info()
            .map_err(|_| RedisUrlError::Malformed)?;
        let mut login = RedisConnectionInfo::default();
        if let Some(password) = password.filter(|password| !password.is_empty()) {
            login = login.set_password(password);
        }
        Ok(Self {
            target: target.set_redis_settings(login),
        })
    }

    pub(super) fn is_tls(&self) -> bool {
        matches!(self.target.addr(), ConnectionAddr::TcpTls { .. })
    }
}

impl fmt::Debug for RedisUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.is_tls() { "rediss" } else { "redis" };
        write!(
            f,
            "RedisUrl({scheme}, {}, database {})",
            self.target.addr(),
            self.target.redis_settings().db()
        )
    }
}

/// Why a text is not the URL of a Redis.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub(crate) enum RedisUrlError {
    /// The certificate of the server would not be verified.
    #[error("`#insecure` would trust any server; name its authority in a CA file instead")]
    Insecure,
    /// It does not parse.
    #[error("not a URL of the form redis://[user[:password]@]host[:port][/database number]")]
    Malformed,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn printing_settings_shows_no_password() {
        let url = RedisUrl::parse("rediss://gate:p%40ss%2Fw%C3%B6rd@cache:6380/3").unwrap();
        assert_eq!(url.target.redis_settings().password(), Some("p@ss/wörd"));
        assert_eq!(
            format!("{url:?}"),
            "RedisUrl(rediss, cache:6380, database 3)"
        );

        let url = RedisUrl::from_parts("cache", 6379, Some("p@ss/#?:%41")).unwrap();
        assert_eq!(url.target.redis_settings().password(), Some("p@ss/#?:%41"));
        assert_eq!(
            format!("{url:?}"),
            "RedisUrl(redis, cache:6379, database 0)"
        );

        let options = PgConnectOptions::new_without_pgpass()
            .host("db")
            .username("gate")
            .password("hidden");
        let url = DatabaseUrl::Postgres(Box::new(options));
        assert_eq!(format!("{url:?}"), "Postgres(db:5432/gate)");
    }

    #[test]
    fn a_redis_that_cannot_be_verified_or_read_is_refused() {
        assert_eq!(
            RedisUrl::parse("rediss://cache/#insecure").unwrap_err(),
            RedisUrlError::Insecure
        );
        for url in [
            "",
            "cache:6379",
            "http://cache",
            "redis://",
            "redis://cache/x",
            "redis://0.0.0.0",
        ] {
            assert_eq!(
                RedisUrl::parse(url).unwrap_err(),
                RedisUrlError::Malformed,
                "{url}"
            );
        }
    }
}
