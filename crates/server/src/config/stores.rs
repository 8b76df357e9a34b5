//! Reads the settings of the stores in which users and sessions are looked up.

use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use sqlx::sqlite::SqliteConnectOptions;

use super::changes;
use super::connection_url::ConnectionUrl;
use super::host::Host;
use super::lookups::SessionLookups;
use super::postgres_url::{self, Password, PostgresUrl, Ssl};
use super::raw::Reader;
use super::redis_url::RedisUrl;
use stores::{
    CacheFormat, ClusterSeeds, Column, DatabaseSettings, DatabaseUrl, MemorySettings, RedisAddress,
    RedisSettings, Settings, Table, UserTable,
};

/// Reads the settings of the stores; `None` if nothing is looked up.
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
        bytes: reader.parsed("MEMORY_CACHE_BYTES", 268_435_456, "a number of bytes"),
    };
    let heard_ttl = reader.seconds("HEARD_CACHE_TTL", 300);
    let absent_ttl = reader.seconds("ABSENT_CACHE_TTL", 5);
    let stale_if_down = reader.seconds("STALE_IF_DOWN", 0);
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
    if !stale_if_down.is_zero() && database.is_some() {
        warnings.push(stale(stale_if_down));
    }
    let is_true = |redis: &RedisSettings| redis.format == CacheFormat::True;
    let listens = |database: &DatabaseSettings| database.listen.is_some();
    if redis.as_ref().is_some_and(is_true) && database.as_ref().is_some_and(listens) {
        warnings.push(AGELESS.to_owned());
    }
    Some(Settings {
        realm: None,
        memory,
        heard_ttl,
        absent_ttl,
        stale_if_down,
        redis,
        database,
        claims: Vec::new(),
    })
}

fn stale(stale_if_down: Duration) -> String {
    let seconds = stale_if_down.as_secs();
    format!(
        "STALE_IF_DOWN is {seconds} s: while the database is down, cached users and sessions are trusted that much \
         longer. A user deleted in the meantime can still enter, unless the gate was notified of the change or the \
         session is revoked"
    )
}

/// Reads the Redis that all nodes share for data of the gate itself. `known` are the stores of the top level, if they were
/// read already.
pub(super) fn shared_redis(
    reader: &mut Reader<'_>,
    known: Option<&Settings>,
) -> Option<RedisSettings> {
    match known {
        Some(known) => known.redis.clone(),
        None => redis(reader, None),
    }
}

/// Reads the PostgreSQL that all nodes share for data of the gate itself, because the setting `name` is `postgres`. `known`
/// are the stores of the top level, if they were read already; `advice` is an alternative to PostgreSQL.
pub(super) fn shared_database(
    reader: &mut Reader<'_>,
    known: Option<&Settings>,
    name: &'static str,
    advice: &str,
) -> Option<DatabaseSettings> {
    let known = known.and_then(|known| known.database.as_ref());
    let database = match known {
        Some(known) => DatabaseSettings {
            listen: None,
            users: None,
            sessions: None,
            columns: Vec::new(),
            time_zone: None,
            ..known.clone()
        },
        None => {
            let place = place(
                reader,
                &format!("{name} is `postgres`, which needs a database"),
            )?;
            DatabaseSettings {
                listen: None,
                timeout: reader.millis("DATABASE_TIMEOUT", 2000),
                max_connections: connections(reader, place.connections),
                url: place.url,
                users: None,
                sessions: None,
                columns: Vec::new(),
                time_zone: None,
            }
        }
    };
    match database.url {
        DatabaseUrl::Postgres(_) => Some(database),
        DatabaseUrl::Sqlite(_) => {
            let what = format!("DATABASE_URL is a SQLite file, which nodes cannot share; {advice}");
            reader.problem(name, what);
            None
        }
    }
}

fn database(
    reader: &mut Reader<'_>,
    lookups: Option<SessionLookups>,
    checks_users: bool,
    sessions: Option<SessionLookups>,
) -> Option<DatabaseSettings> {
    let why = match checks_users {
        true => "ENABLE_DB_CHECK is on, which needs the database with the users",
        false => "sessions are looked up in the app's database",
    };
    let place = place(reader, why);
    let timeout = reader.millis("DATABASE_TIMEOUT", 2000);
    let default_table = lookups.map_or("users", SessionLookups::user_table);
    let table = reader.named("USER_TABLE", default_table, Table::parse);
    let id = reader.named("USER_ID_FIELD", "id", Column::parse);
    let schema = place.as_ref().and_then(|place| place.schema.as_deref());
    let table = table.and_then(|table| in_schema(reader, table, schema));
    let users = table.zip(id).map(|(table, id)| UserTable { table, id });
    let sessions = match (sessions, users.clone()) {
        (Some(sessions), Some(users)) => {
            let mut tables = sessions.tables(reader, users)?;
            tables.table = in_schema(reader, tables.table, schema)?;
            Some(tables)
        }
        (None, _) | (_, None) => None,
    };
    let host_timeout = place.as_ref().and_then(|place| place.host_timeout);
    if host_timeout.is_some_and(|host_timeout| host_timeout >= timeout) {
        let why = "DATABASE_TIMEOUT is shorter, and applies to connecting too";
        reader.remarks("DATABASE_URL", &[("connect_timeout".to_owned(), why)]);
    }
    let max_connections = connections(reader, place.as_ref().and_then(|place| place.connections));
    let listen = match &place {
        // Settings without effect are reported elsewhere.
        Some(place) if matches!(place.url, DatabaseUrl::Sqlite(_)) => None,
        Some(_) | None => changes::listen(reader),
    };
    Some(DatabaseSettings {
        url: place?.url,
        listen,
        timeout,
        max_connections,
        users: Some(users?).filter(|_| checks_users),
        sessions,
        columns: Vec::new(),
        time_zone: None,
    })
}

fn in_schema(reader: &mut Reader<'_>, table: Table, schema: Option<&str>) -> Option<Table> {
    table
        .or_in_schema(schema)
        .map_err(|error| reader.problem("DATABASE_URL", format!("parameter `schema`: {error}")))
        .ok()
}

/// Reads `DATABASE_CONNECTIONS`, or takes the `connection_limit` of the URL.
fn connections(reader: &mut Reader<'_>, of_url: Option<u32>) -> u32 {
    const NAME: &str = "DATABASE_CONNECTIONS";
    let default = of_url.unwrap_or(10);
    let is_set = reader.is_set(NAME);
    let connections = reader.parsed(NAME, default, "a number of connections");
    if is_set && of_url.is_some_and(|of_url| of_url != connections) {
        let what = format!(
            "it is {connections}, but `connection_limit` in DATABASE_URL is {default}; keep one"
        );
        reader.problem(NAME, what);
    }
    connections
}

/// Reads the settings of Redis, if `REDIS_URL` or `REDIS_HOST` is set. `sessions` is the key prefix of sessions that the app
/// stores there.
fn redis(reader: &mut Reader<'_>, sessions: Option<String>) -> Option<RedisSettings> {
    let timeout = reader.millis("REDIS_TIMEOUT", 1000);
    let cache_ttl = reader.seconds("REDIS_CACHE_TTL", 600);
    let key_prefix = reader.parsed("REDIS_KEY_PREFIX", "auth:".to_owned(), "a prefix");
    let formats = [("record", CacheFormat::Record), ("true", CacheFormat::True)];
    let format = reader.choice("REDIS_CACHE_FORMAT", CacheFormat::Record, &formats);
    let tracking = reader.switch("REDIS_TRACKING", false);
    let ca_file = reader.text(CA_FILE).map(PathBuf::from);
    let url = reader.url("REDIS_URL");
    let host = reader.read("REDIS_HOST", Host::parse);
    if url.is_none() && !reader.is_set("REDIS_HOST") {
        if sessions.is_some() {
            let what = "SESSION_STORE says that sessions are in Redis: set REDIS_URL to a redis:// URL, or set \
                 REDIS_HOST";
            reader.problem("REDIS_URL", what);
        }
        return None;
    }
    let port = reader.port("REDIS_PORT");
    let user = reader.text("REDIS_USERNAME");
    let password = reader
        .password("REDIS_PASSWORD")
        .filter(|password| !password.is_empty());
    let mut redis = match url {
        Some(url) => {
            let mut redis = ConnectionUrl::parse(&url)
                .and_then(|url| RedisUrl::read(&url))
                .map_err(|what| reader.problem("REDIS_URL", what))
                .ok()?;
            reader.remarks("REDIS_URL", &redis.harmless);
            let place = "REDIS_URL";
            if redis.has_no_host() {
                for (name, is_given) in [
                    ("REDIS_HOST", host.is_some()),
                    ("REDIS_PORT", port.is_some()),
                ] {
                    if is_given {
                        reader.problem(name, disagreement(place));
                    }
                }
            } else if let Some(host) = host {
                agree(
                    reader,
                    "REDIS_HOST",
                    place,
                    &mut redis.host,
                    Some(host.name),
                );
                agree(reader, "REDIS_HOST", place, &mut redis.port, host.port);
            }
            agree(reader, "REDIS_PORT", place, &mut redis.port, port);
            redis
        }
        None => {
            let host = host?;
            let mut redis = RedisUrl::at(host.name, host.port);
            agree(reader, "REDIS_PORT", "REDIS_HOST", &mut redis.port, port);
            redis
        }
    };
    agree(reader, "REDIS_USERNAME", "REDIS_URL", &mut redis.user, user);
    let place = "REDIS_URL";
    agree(
        reader,
        "REDIS_PASSWORD",
        place,
        &mut redis.password,
        password,
    );
    agree(reader, CA_FILE, place, &mut redis.ca_file, ca_file);
    if redis.user.is_some() && redis.password.is_none() {
        let what = "there is a user without a password; add the password to the URL, or set REDIS_PASSWORD";
        let name = match reader.is_set("REDIS_USERNAME") {
            true => "REDIS_USERNAME",
            false => place,
        };
        reader.problem(name, what);
    }
    if redis.ca_file.is_some() && !redis.tls {
        reader.idle(
            CA_FILE,
            "the connection to Redis does not use TLS; use rediss:// in REDIS_URL for TLS",
        );
    }
    let ca_file = redis.ca_file.clone();
    let server = redis.server();
    if let (RedisAddress::Cluster(_), true) = (&server.address, tracking)
        && !ClusterSeeds::can_be_heard(&key_prefix, sessions.as_deref())
    {
        reader.problem("REDIS_TRACKING", NOT_HEARD);
    }
    if let Err(error) = server.check_files(ca_file.as_ref()) {
        let name = if reader.is_set(CA_FILE) {
            CA_FILE
        } else {
            place
        };
        reader.problem(name, error.to_string());
    }
    Some(RedisSettings {
        timeout,
        cache_ttl,
        key_prefix,
        sessions,
        ca_file,
        server,
        format,
        tracking,
    })
}

/// The database's address, with the other content of its URL.
struct DatabaseTarget {
    url: DatabaseUrl,
    /// The schema of tables whose names have none.
    schema: Option<String>,
    connections: Option<u32>,
    /// The timeout for connecting to each host.
    host_timeout: Option<Duration>,
}

/// Reads `DATABASE_URL` and the `POSTGRES_*` settings that complete or replace it. `why` says why a database is needed.
fn place(reader: &mut Reader<'_>, why: &str) -> Option<DatabaseTarget> {
    let url = reader.url("DATABASE_URL");
    if url.is_none() && !reader.is_set("POSTGRES_HOST") {
        let _ = reader.text("POSTGRES_HOST");
        let what = format!("{why}: set it to a postgres:// or sqlite:// URL, or set POSTGRES_HOST");
        reader.problem("DATABASE_URL", what);
        return None;
    }
    let is_sqlite = |url: &String| url.starts_with("sqlite:");
    if let Some(url) = url.as_ref().filter(|url| is_sqlite(url)) {
        let url = sqlite(url)
            .map_err(|what| reader.problem("DATABASE_URL", what))
            .ok()?;
        return Some(DatabaseTarget {
            url,
            schema: None,
            connections: None,
            host_timeout: None,
        });
    }
    let postgres = match url {
        Some(url) => {
            let postgres = postgres(&url)
                .map_err(|what| reader.problem("DATABASE_URL", what))
                .ok()?;
            reader.remarks("DATABASE_URL", &postgres.harmless);
            postgres
        }
        None => PostgresUrl::default(),
    };
    let postgres = completed(reader, postgres);
    if let Err(error) = postgres.clone().server().check_files() {
        reader.problem("DATABASE_URL", error.to_string());
    }
    Some(DatabaseTarget {
        schema: postgres.schema.clone(),
        connections: postgres.connections,
        host_timeout: postgres.host_timeout,
        url: DatabaseUrl::Postgres(Box::new(postgres.server())),
    })
}

/// Completes the URL with the `POSTGRES_*` settings.
fn completed(reader: &mut Reader<'_>, mut postgres: PostgresUrl) -> PostgresUrl {
    const URL: &str = "DATABASE_URL";
    let is_alone = !reader.is_set(URL);
    let hosts = reader.read("POSTGRES_HOST", postgres_url::hosts);
    match (postgres.hosts.as_mut_slice(), hosts.as_deref()) {
        (_, None) => {}
        ([], Some(hosts)) => {
            let ports = hosts.iter().filter_map(|host| host.port);
            if postgres
                .port
                .is_some_and(|port| ports.clone().any(|other| other != port))
            {
                reader.problem("POSTGRES_HOST", disagreement(URL));
            }
            postgres.hosts = hosts.to_vec();
        }
        ([only], Some([host])) if only.name == host.name => {
            agree(reader, "POSTGRES_HOST", URL, &mut only.port, host.port);
        }
        (known, Some(hosts)) if *known == *hosts => {}
        ([_, ..], Some(_)) => reader.problem("POSTGRES_HOST", disagreement(URL)),
    }
    let port = reader.port("POSTGRES_PORT");
    match port {
        Some(port) if postgres.names_ports() => {
            let default = postgres.port.unwrap_or(5432);
            let mut ports = postgres
                .hosts
                .iter()
                .map(|host| host.port.unwrap_or(default));
            if ports.any(|other| other != port) {
                let place = if is_alone { "POSTGRES_HOST" } else { URL };
                reader.problem("POSTGRES_PORT", disagreement(place));
            }
        }
        Some(port) => postgres.port = Some(port),
        None => {}
    }
    let user = reader.text("POSTGRES_USER");
    agree(reader, "POSTGRES_USER", URL, &mut postgres.user, user);
    let password = reader.password("POSTGRES_PASSWORD").map(Password);
    let place = &mut postgres.password;
    agree(reader, "POSTGRES_PASSWORD", URL, place, password);
    let database = reader.text("POSTGRES_DB");
    agree(reader, "POSTGRES_DB", URL, &mut postgres.database, database);
    let mode = reader.read("POSTGRES_SSLMODE", Ssl::parse);
    agree(reader, "POSTGRES_SSLMODE", URL, &mut postgres.ssl, mode);
    if mode.is_some()
        && let Err(what) = postgres.check()
    {
        reader.problem("POSTGRES_SSLMODE", format!("DATABASE_URL, {what}"));
    }
    if postgres.is_on_sockets() && postgres.ssl.is_some_and(|mode| mode != Ssl::Disable) {
        let why = "a Unix socket cannot be overheard, so nothing is encrypted on it";
        let place = if mode.is_some() {
            "POSTGRES_SSLMODE"
        } else {
            URL
        };
        reader.remarks(place, &[("sslmode".to_owned(), why)]);
    }
    if is_alone {
        postgres
            .database
            .get_or_insert_with(|| "postgres".to_owned());
    }
    postgres
}

/// Sets a value that is unset. If `place`, another setting, has set a different one, one of the two would silently have no
/// effect: that is a problem.
fn agree<T: PartialEq>(
    reader: &mut Reader<'_>,
    name: &str,
    place: &str,
    said: &mut Option<T>,
    value: Option<T>,
) {
    match (said.as_ref(), value) {
        (_, None) => {}
        (None, value) => *said = value,
        (Some(said), Some(value)) if *said == value => {}
        (Some(_), Some(_)) => reader.problem(name, disagreement(place)),
    }
}

fn disagreement(place: &str) -> String {
    format!("it contradicts {place}; keep one of the two, or use the same value in both")
}

fn sqlite(url: &str) -> Result<DatabaseUrl, String> {
    SqliteConnectOptions::from_str(url)
        .map(|options| DatabaseUrl::Sqlite(Box::new(options.busy_timeout(BUSY_TIMEOUT))))
        .map_err(|error| {
            format!("not a URL of the form sqlite:///path/to/users.db, optionally with the parameters mode, cache, \
                 immutable or vfs: {error}")
        })
}

pub(super) fn postgres(url: &str) -> Result<PostgresUrl, String> {
    let scheme = url
        .split(':')
        .next()
        .unwrap_or_default()
        .to_ascii_lowercase();
    match scheme.as_str() {
        "postgres" | "postgresql" => {
            let url = ConnectionUrl::parse(url).map_err(|what| {
                format!("{what}; such a URL looks like postgres://user:password@host:5432/database?sslmode=require")
            })?;
            PostgresUrl::read(&url)
        }
        "file" => Err(
            "`file:` is Prisma's notation for a SQLite file; write sqlite:///path/to/users.db, with the absolute path"
                .to_owned(),
        ),
        "jdbc" | "postgresql+asyncpg" | "postgresql+psycopg" | "postgresql+psycopg2" | "postgis" => {
            Err("this scheme belongs to one client library; write the same URL with postgres://".to_owned())
        }
        "prisma" | "prisma+postgres" => Err(
            "it is the URL of Prisma's own proxy; give the postgres:// URL of the database itself".to_owned(),
        ),
        _ => Err("only postgres:// and sqlite:// databases are supported".to_owned()),
    }
}

const AGELESS: &str = "REDIS_CACHE_FORMAT=true with LISTEN_DATABASE_URL: a `true` in Redis has no age, so the gate does \
     not trust it, and looks up every user that is not cached in memory in the database";

const CA_FILE: &str = "REDIS_CA_FILE";

const NOT_HEARD: &str = "the `{…}` in REDIS_KEY_PREFIX puts all of the gate's keys on one server of the cluster, while \
     the sessions are on others, so the gate cannot verify that it is notified of changes there; use the same `{…}` in \
     BETTER_AUTH_REDIS_PREFIX, or none in either";

/// How long a reader of SQLite waits for a writer, within `DATABASE_TIMEOUT`.
const BUSY_TIMEOUT: Duration = Duration::from_secs(1);
