//! Settings that are given and cannot have an effect.
//!
//! Silence about them is how somebody believes for a year that a database is asked. Each is named at start-up and by
//! `check-config`; the start goes on, because platforms and other programs put variables of these names into the same
//! environment.

use super::lookups::SessionLookups;
use super::raw::Reader;
use super::sessions::SessionFormat;

/// What a configuration uses, as far as settings depend on it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Uses {
    /// There is a service to forward to.
    pub(super) upstream: bool,
    /// Decisions are asked for at a Unix socket.
    pub(super) socket: bool,
    /// People are sent somewhere to sign in.
    pub(super) sign_in: bool,
    /// Requests may pass by the bypass.
    pub(super) bypass: bool,
    /// Which sessions are recognized.
    pub(super) format: SessionFormat,
    /// Sessions that are looked up.
    pub(super) lookups: Option<SessionLookups>,
    /// Users are looked up.
    pub(super) users: bool,
    /// A PostgreSQL, or a SQLite file, is asked.
    pub(super) database: Option<Database>,
    /// There is a Redis.
    pub(super) redis: bool,
    /// Answers are remembered in memory.
    pub(super) memory: bool,
    /// Signed tokens are accepted.
    pub(super) bearer: bool,
}

/// The kind of database that is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Database {
    Postgres,
    Sqlite,
}

/// Settings, when they have no effect, and why.
type Rule = (&'static [&'static str], fn(&Uses) -> bool, &'static str);

/// Names every setting that is given and has no effect.
pub(super) fn name_them(reader: &mut Reader<'_>, uses: &Uses) {
    for (names, has_no_effect, why) in RULES {
        if has_no_effect(uses) {
            for name in *names {
                reader.idle(name, why);
            }
        }
    }
    if uses.database == Some(Database::Postgres) {
        for (theirs, ours) in OF_LIBPQ {
            let why = format!(
                "only programs that use libpq read it; give {ours}, or write it into DATABASE_URL"
            );
            reader.idle(theirs, &why);
        }
    }
}

/// Every setting that is not always read.
pub(super) fn names() -> Vec<&'static str> {
    RULES
        .iter()
        .flat_map(|(names, ..)| *names)
        .copied()
        .collect()
}

/// Settings that can also come from a file, `NAME_FILE`: secrets, and what may hold one.
pub(super) const FROM_FILES: [&str; 15] = [
    "ADMIN_TOKEN",
    "AUTH_SECRET",
    "AUTH_SECRET_1",
    "AUTH_SECRET_2",
    "AUTH_SECRET_3",
    "BEARER_SECRET",
    "BETTER_AUTH_SECRET",
    "BETTER_AUTH_SECRETS",
    "BYPASS_HEADER_VALUE",
    "DATABASE_URL",
    "JWT_SECRET",
    "NEXTAUTH_SECRET",
    "POSTGRES_PASSWORD",
    "REDIS_PASSWORD",
    "REDIS_URL",
];

impl Uses {
    fn stores(&self) -> bool {
        self.users || self.lookups.is_some()
    }

    /// Whether there is a cache in Redis, beside the sessions that Better Auth keeps there.
    fn redis_cache(&self) -> bool {
        let sessions_in_database = self
            .lookups
            .is_some_and(SessionLookups::are_in_database_alone);
        self.redis && (self.users || sessions_in_database)
    }

    /// Whether sessions have claims of their own.
    fn authjs_cookies(&self) -> bool {
        match self.format {
            SessionFormat::Auto
            | SessionFormat::AuthJs
            | SessionFormat::AuthJsSigned
            | SessionFormat::NextAuth => true,
            SessionFormat::AuthJsDatabase | SessionFormat::BetterAuth => false,
        }
    }

    fn better_auth(&self) -> bool {
        match self.format {
            SessionFormat::Auto | SessionFormat::BetterAuth => true,
            SessionFormat::AuthJs
            | SessionFormat::AuthJsDatabase
            | SessionFormat::AuthJsSigned
            | SessionFormat::NextAuth => false,
        }
    }
}

const RULES: &[Rule] = &[
    (
        &[
            "LISTEN",
            "UPSTREAM_CONNECT_TIMEOUT",
            "UPSTREAM_TIMEOUT",
            "CLIENT_IDLE_TIMEOUT",
            "FORWARD_SESSION_COOKIE",
        ],
        |uses| !uses.upstream,
        "nothing is forwarded without UPSTREAM; the proxy that asks for decisions does that",
    ),
    (
        &["AUTH_SOCKET_MODE"],
        |uses| !uses.socket,
        "AUTH_LISTEN names no Unix socket",
    ),
    (
        &["PUBLIC_URL"],
        |uses| !uses.sign_in,
        "nobody is sent to sign in without SIGN_IN_URL, so nobody needs a way back",
    ),
    (
        &["BYPASS_HEADER_VALUE"],
        |uses| !uses.bypass,
        "ALLOW_BYPASS is off",
    ),
    (
        &[
            "POSTGRES_HOST",
            "POSTGRES_PORT",
            "POSTGRES_DB",
            "POSTGRES_USER",
            "POSTGRES_PASSWORD",
            "POSTGRES_SSLMODE",
        ],
        |uses| uses.database == Some(Database::Sqlite),
        "DATABASE_URL names a SQLite file",
    ),
    (
        &[
            "DATABASE_URL",
            "DATABASE_TIMEOUT",
            "DATABASE_CONNECTIONS",
            "POSTGRES_HOST",
            "POSTGRES_PORT",
            "POSTGRES_DB",
            "POSTGRES_USER",
            "POSTGRES_PASSWORD",
            "POSTGRES_SSLMODE",
            "USER_TABLE",
            "USER_ID_FIELD",
        ],
        |uses| uses.database.is_none(),
        "no database is asked; ENABLE_DB_CHECK=true looks users up, SESSION_SCHEMA or SESSION_FORMAT sessions",
    ),
    (
        &[
            "REDIS_URL",
            "REDIS_HOST",
            "REDIS_PORT",
            "REDIS_USERNAME",
            "REDIS_PASSWORD",
            "REDIS_TIMEOUT",
            "REDIS_CACHE_TTL",
            "REDIS_KEY_PREFIX",
            "REDIS_CA_FILE",
            "MEMORY_CACHE_TTL",
            "MEMORY_CACHE_ENTRIES",
            "ABSENT_CACHE_TTL",
        ],
        |uses| !uses.stores(),
        "nothing is looked up; ENABLE_DB_CHECK=true looks users up, SESSION_SCHEMA or SESSION_FORMAT sessions",
    ),
    (
        &[
            "REDIS_PORT",
            "REDIS_USERNAME",
            "REDIS_PASSWORD",
            "REDIS_TIMEOUT",
            "REDIS_CACHE_TTL",
            "REDIS_KEY_PREFIX",
            "REDIS_CA_FILE",
        ],
        |uses| uses.stores() && !uses.redis,
        "neither REDIS_URL nor REDIS_HOST says where Redis is",
    ),
    (
        &["REDIS_CACHE_TTL", "REDIS_KEY_PREFIX"],
        |uses| uses.redis && !uses.redis_cache(),
        "Redis is only asked for the sessions that the app keeps there",
    ),
    (
        &["MEMORY_CACHE_ENTRIES"],
        |uses| uses.stores() && !uses.memory,
        "MEMORY_CACHE_TTL or MEMORY_CACHE_ENTRIES is 0, so nothing is remembered",
    ),
    (
        &["SESSION_TIME_ZONE"],
        |uses| !uses.lookups.is_some_and(SessionLookups::need_database),
        "no session is looked up in a database",
    ),
    (
        &["BEARER_CHECK_USER", "BEARER_JWKS_CA_FILE"],
        |uses| !uses.bearer,
        "signed tokens are accepted only with BEARER_SECRET or BEARER_JWKS",
    ),
    (
        &["BEARER_CHECK_USER"],
        |uses| uses.bearer && !uses.users,
        "ENABLE_DB_CHECK is off, so no user is looked up",
    ),
    (
        &["TOKEN_ISSUER", "TOKEN_AUDIENCE"],
        |uses| !uses.authjs_cookies(),
        "the sessions of this SESSION_FORMAT have neither issuer nor audience",
    ),
    (
        &["JWT_SALT"],
        |uses| uses.format == SessionFormat::BetterAuth,
        "the keys of Better Auth have a salt of their own",
    ),
    (
        &[
            "BETTER_AUTH_SECRET",
            "BETTER_AUTH_SECRETS",
            "BETTER_AUTH_COOKIE_PREFIX",
            "BETTER_AUTH_DATA_COOKIE_NAME",
            "BETTER_AUTH_CACHE_STRATEGY",
            "BETTER_AUTH_CACHE_VERSION",
            "TRUST_COOKIE_CACHE",
        ],
        |uses| !uses.better_auth(),
        "the sessions of Better Auth are not recognized: SESSION_FORMAT or AUTH_COOKIE_NAME says another format",
    ),
];

/// What libpq reads, and in place of what.
const OF_LIBPQ: [(&str, &str); 8] = [
    ("PGDATABASE", "POSTGRES_DB"),
    ("PGHOST", "POSTGRES_HOST"),
    ("PGOPTIONS", "`options=`"),
    ("PGPASSWORD", "POSTGRES_PASSWORD"),
    ("PGPORT", "POSTGRES_PORT"),
    ("PGSSLMODE", "POSTGRES_SSLMODE"),
    ("PGSSLROOTCERT", "`sslrootcert=`"),
    ("PGUSER", "POSTGRES_USER"),
];
