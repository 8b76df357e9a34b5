//! Reads the settings of the stores in which users and sessions are looked up.

mod database;
mod redis;

use std::time::Duration;

use self::database::database_target;
pub(super) use self::database::postgres;
use self::redis::redis;
use super::changes;
use super::lookups::SessionLookups;
use super::reader::Reader;
use stores::{
    CacheFormat, Column, DatabaseSettings, DatabaseUrl, MemorySettings, RedisSettings, Settings,
    Table, UserTable,
};

/// Reads the settings of the stores; `None` if nothing is looked up.
pub(super) fn settings(
    reader: &mut Reader<'_>,
    lookups: Option<SessionLookups>,
    warnings: &mut Vec<String>,
) -> Option<Settings> {
    let checks_users = reader.switch("ENABLE_DB_CHECK", false);
    if !checks_users && !lookups.is_some_and(SessionLookups::proves_users) {
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
    let announced_ttl = reader.seconds("HEARD_CACHE_TTL", 300);
    let absent_ttl = reader.seconds("ABSENT_CACHE_TTL", 5);
    let stale_if_down = reader.seconds("STALE_IF_DOWN", 0);
    let sessions_in_redis = lookups.and_then(|lookups| lookups.redis_prefix(reader));
    let redis = redis(reader, sessions_in_redis);
    let sessions_in_database = lookups.filter(|lookups| lookups.needs_database());
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
        warnings.push(stale_warning(stale_if_down));
    }
    let is_true = |redis: &RedisSettings| redis.format == CacheFormat::True;
    let listens = |database: &DatabaseSettings| database.listen.is_some();
    if redis.as_ref().is_some_and(is_true) && database.as_ref().is_some_and(listens) {
        warnings.push(TRUE_WITHOUT_TIME.to_owned());
    }
    Some(Settings {
        realm: None,
        memory,
        announced_ttl,
        absent_ttl,
        stale_if_down,
        redis,
        database,
        claims: Vec::new(),
    })
}

fn stale_warning(stale_if_down: Duration) -> String {
    let seconds = stale_if_down.as_secs();
    format!(
        "STALE_IF_DOWN is {seconds} s: while the database is down, cached users and sessions are trusted that much \
         longer. A user deleted in the meantime can still enter, unless the gate was notified of the change or the \
         session is revoked"
    )
}

/// Reads the settings of the Redis in which all nodes share data of the gate itself. `known` are the stores of the top level, if
/// they were read already.
pub(super) fn shared_redis(
    reader: &mut Reader<'_>,
    known: Option<&Settings>,
) -> Option<RedisSettings> {
    match known {
        Some(known) => known.redis.clone(),
        None => redis(reader, None),
    }
}

/// Reads the settings of the PostgreSQL in which all nodes share data of the gate itself, because the setting `name` is
/// `postgres`. `known` are the stores of the top level, if they were read already; `advice` is an alternative to PostgreSQL.
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
            let place = database_target(
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
    let place = database_target(reader, why);
    let timeout = reader.millis("DATABASE_TIMEOUT", 2000);
    let default_table = lookups.map_or("users", SessionLookups::user_table);
    let table = reader.read_or("USER_TABLE", default_table, Table::parse);
    let id = reader.read_or("USER_ID_FIELD", "id", Column::parse);
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
        reader.record_harmless_parts("DATABASE_URL", &[("connect_timeout".to_owned(), why)]);
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

/// Sets a value that is unset. Reports a problem if another setting, `place`, has set a different value, because one of the two
/// would silently have no effect.
fn set_unless_different<T: PartialEq>(
    reader: &mut Reader<'_>,
    name: &str,
    place: &str,
    current: &mut Option<T>,
    value: Option<T>,
) {
    match (current.as_ref(), value) {
        (_, None) => {}
        (None, value) => *current = value,
        (Some(current), Some(value)) if *current == value => {}
        (Some(_), Some(_)) => reader.problem(name, contradiction(place)),
    }
}

fn contradiction(place: &str) -> String {
    format!("it contradicts {place}; keep one of the two, or use the same value in both")
}

const TRUE_WITHOUT_TIME: &str = "REDIS_CACHE_FORMAT=true with LISTEN_DATABASE_URL: an entry `true` does not say \
     when it was written, so the gate cannot tell whether it is older than a change, ignores it, and looks up every \
     user that is not cached in memory in the database";
