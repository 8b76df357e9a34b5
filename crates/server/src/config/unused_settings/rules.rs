//! The rules that say when settings have no effect, and variables of other programs that are not settings of the gate.

use super::super::lookups::SessionLookups;
use super::super::sessions::SessionFormat;
use super::{DatabaseKind, Uses};

/// A rule: names of settings, a test whether they have no effect, and the reason for the warning.
pub(super) type UnusedRule = (&'static [&'static str], fn(&Uses) -> bool, &'static str);

pub(super) const RULES: &[UnusedRule] = &[
    (
        &[
            "ACME_DOMAINS",
            "ACME_STORE",
            "ACME_EMAIL",
            "ACME_DIRECTORY_URL",
            "ACME_CA_FILE",
            "ACME_CHALLENGE",
        ],
        |uses| !uses.acme,
        "certificates are ordered only with TLS=acme",
    ),
    (
        &[
            "LISTEN",
            "REDIRECT_LISTEN",
            "TLS",
            "TLS_CERT_FILE",
            "TLS_KEY_FILE",
            "TLS_MIN_VERSION",
            "TLS_CLIENT_AUTH",
            "TLS_CLIENT_CA_FILE",
            "HSTS",
            "HTTP2",
            "REQUIRE_HTTPS",
            "PROXY_PROTOCOL",
            "UPSTREAM_CONNECT_TIMEOUT",
            "UPSTREAM_TIMEOUT",
            "UPSTREAM_KEEP_ALIVE",
            "UPSTREAM_MAX_AGE",
            "UPSTREAM_CA_FILE",
            "CLIENT_IDLE_TIMEOUT",
            "STREAM_IDLE_TIMEOUT",
            "SESSION_END_CLOSE_CODE",
            "REQUEST_TIMEOUT",
            "FORWARD_SESSION_COOKIE",
            "VIA",
        ],
        |uses| !uses.upstream,
        "UPSTREAM is not set, so the gate forwards nothing; the calling proxy does that",
    ),
    (
        &["UPSTREAM_CA_FILE"],
        |uses| uses.upstream && !uses.upstream_tls,
        "UPSTREAM does not begin with https://",
    ),
    (
        &[
            "FOLDER_FALLBACK",
            "FOLDER_ERROR_PAGES",
            "FOLDER_CACHE_CONTROL",
            "FOLDER_WELL_KNOWN",
        ],
        |uses| !uses.folder,
        "UPSTREAM is not a folder such as dir:/srv/www",
    ),
    (
        &[
            "UPSTREAM_CONNECT_TIMEOUT",
            "UPSTREAM_KEEP_ALIVE",
            "UPSTREAM_MAX_AGE",
            "FORWARD_SESSION_COOKIE",
        ],
        |uses| uses.folder,
        "UPSTREAM is a folder, so there are no connections to it",
    ),
    (
        &["AUTH_SOCKET_MODE"],
        |uses| !uses.socket,
        "AUTH_LISTEN is not a Unix socket",
    ),
    (
        &["PUBLIC_URL"],
        |uses| !uses.sign_in && !uses.own_names,
        "SIGN_IN_URL is not set, so browsers are not redirected to sign in",
    ),
    (
        &["SIGN_IN_CALLBACK_PARAMETER"],
        |uses| !uses.sign_in,
        "SIGN_IN_URL is not set, so browsers are not redirected to sign in",
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
            "LISTEN_DATABASE_URL",
        ],
        |uses| uses.database == Some(DatabaseKind::Sqlite),
        "DATABASE_URL is a SQLite file",
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
        ],
        |uses| uses.database.is_none() && !uses.acme_in_database && !uses.revocations_in_database,
        "no database is used; set ENABLE_DB_CHECK=true to look up users, or SESSION_SCHEMA or SESSION_FORMAT to look up \
         sessions",
    ),
    (
        &["LISTEN_DATABASE_URL", "USER_TABLE", "USER_ID_FIELD"],
        |uses| uses.database.is_none(),
        "no database is used; set ENABLE_DB_CHECK=true to look up users, or SESSION_SCHEMA or SESSION_FORMAT to look up \
         sessions",
    ),
    (
        &[
            "REDIS_URL",
            "REDIS_HOST",
            "REDIS_PORT",
            "REDIS_USERNAME",
            "REDIS_PASSWORD",
            "REDIS_TIMEOUT",
            "REDIS_KEY_PREFIX",
            "REDIS_CA_FILE",
        ],
        |uses| !uses.has_lookups() && !uses.limits_in_redis && !uses.revocations_in_redis,
        "nothing is looked up; set ENABLE_DB_CHECK=true to look up users, or SESSION_SCHEMA or SESSION_FORMAT to look up \
         sessions",
    ),
    (
        &["REDIS_TRACKING"],
        |uses| !uses.has_lookups() && !uses.revocations_in_redis,
        "nothing is looked up, and revocations are not stored in Redis",
    ),
    (
        &[
            "REDIS_CACHE_TTL",
            "MEMORY_CACHE_TTL",
            "HEARD_CACHE_TTL",
            "MEMORY_CACHE_ENTRIES",
            "MEMORY_CACHE_BYTES",
            "ABSENT_CACHE_TTL",
            "REDIS_CACHE_FORMAT",
            "STALE_IF_DOWN",
        ],
        |uses| !uses.has_lookups(),
        "nothing is looked up; set ENABLE_DB_CHECK=true to look up users, or SESSION_SCHEMA or SESSION_FORMAT to look up \
         sessions",
    ),
    (
        &[
            "REDIS_PORT",
            "REDIS_USERNAME",
            "REDIS_PASSWORD",
            "REDIS_TIMEOUT",
            "REDIS_CACHE_TTL",
            "REDIS_CACHE_FORMAT",
            "REDIS_KEY_PREFIX",
            "REDIS_TRACKING",
            "REDIS_CA_FILE",
        ],
        |uses| uses.has_lookups() && !uses.redis,
        "neither REDIS_URL nor REDIS_HOST is set",
    ),
    (
        &["REDIS_KEY_PREFIX"],
        |uses| {
            let has_own_keys = uses.limits_in_redis || uses.revocations_in_redis;
            uses.redis && !uses.redis_cache() && !has_own_keys
        },
        "Redis is only used for the sessions that the app stores there",
    ),
    (
        &["REDIS_CACHE_TTL"],
        |uses| uses.redis && !uses.redis_cache(),
        "Redis is only used for the sessions that the app stores there",
    ),
    (
        &["REDIS_CACHE_FORMAT"],
        |uses| uses.redis && uses.has_lookups() && !uses.users,
        "it applies to users, which are not looked up because ENABLE_DB_CHECK is off",
    ),
    (
        &["HEARD_CACHE_TTL"],
        |uses| uses.has_lookups() && !uses.is_notified,
        "the gate is not notified of changes; set LISTEN_DATABASE_URL or REDIS_TRACKING=true for that",
    ),
    (
        &["MEMORY_CACHE_ENTRIES", "MEMORY_CACHE_BYTES"],
        |uses| uses.has_lookups() && uses.memory.ttl.is_zero() && !uses.is_notified,
        "MEMORY_CACHE_TTL is 0, so nothing is cached in memory",
    ),
    (
        &["MEMORY_CACHE_TTL"],
        |uses| uses.has_lookups() && !uses.memory.ttl.is_zero() && uses.memory.entries == 0,
        "MEMORY_CACHE_ENTRIES is 0, so nothing is cached in memory",
    ),
    (
        &["MEMORY_CACHE_TTL", "MEMORY_CACHE_ENTRIES"],
        |uses| uses.has_lookups() && uses.memory.entries > 0 && uses.memory.bytes == 0,
        "MEMORY_CACHE_BYTES is 0, so nothing is cached in memory",
    ),
    (
        &["STALE_IF_DOWN"],
        |uses| uses.has_lookups() && uses.database.is_none(),
        "no database is used, and it applies only to databases",
    ),
    (
        &["STALE_IF_DOWN"],
        |uses| uses.has_lookups() && uses.database.is_some() && !uses.caches_anything(),
        "nothing is cached, neither in memory nor in Redis",
    ),
    (
        &["ABSENT_CACHE_TTL"],
        |uses| uses.has_lookups() && !uses.memory.is_on() && !uses.redis_cache(),
        "nothing is cached, neither in memory nor in Redis",
    ),
    (
        &[
            "REVOCATION_INTERVAL",
            "REVOCATION_MAX_STALE",
            "REVOCATION_TTL",
        ],
        |uses| !uses.revocations,
        "REVOCATION_STORE is not set",
    ),
    (
        &["SESSION_TIME_ZONE"],
        |uses| !uses.lookups.is_some_and(SessionLookups::needs_database),
        "no session is looked up in a database",
    ),
    (
        &["BEARER_CHECK_USER", "BEARER_JWKS_CA_FILE"],
        |uses| !uses.bearer,
        "neither BEARER_SECRET nor BEARER_JWKS is set, so bearer tokens are not accepted",
    ),
    (
        &["BEARER_CHECK_USER"],
        |uses| uses.bearer && !uses.users,
        "ENABLE_DB_CHECK is off, so users are not looked up",
    ),
    (
        &["TOKEN_ISSUER", "TOKEN_AUDIENCE"],
        |uses| !uses.authjs_cookies(),
        "the accepted sessions have no issuer or audience; for bearer tokens set BEARER_ISSUER and BEARER_AUDIENCE",
    ),
    (
        &["TOKEN_MAX_AGE"],
        |uses| !uses.authjs && !uses.better_auth,
        "no sessions in cookies are accepted, because there is no secret for them, and it does not apply to bearer \
         tokens",
    ),
    (
        &["SIGN_IN_TIME_CLAIM"],
        |uses| !uses.authjs_cookies(),
        "the accepted sessions are not those of Auth.js or NextAuth; other sessions keep the time of their sign-in",
    ),
    (
        &["SUBJECT_CLAIM"],
        |uses| uses.format == SessionFormat::Auto && !uses.authjs && !uses.bearer,
        "the sessions of Better Auth always contain the id from the app's user table",
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
        |uses| !uses.better_auth,
        "sessions of Better Auth are not recognized: SESSION_FORMAT or AUTH_COOKIE_NAME selects another format, or there \
         is no secret for them",
    ),
];

/// Variables of libpq, each with what to use instead.
pub(super) const LIBPQ_NAMES: [(&str, &str); 17] = [
    ("PGAPPNAME", "`application_name=`"),
    ("PGCHANNELBINDING", "`channel_binding=`"),
    ("PGCONNECT_TIMEOUT", "`connect_timeout=`"),
    ("PGDATABASE", "POSTGRES_DB"),
    ("PGHOST", "POSTGRES_HOST"),
    ("PGHOSTADDR", "POSTGRES_HOST"),
    ("PGOPTIONS", "`options=`"),
    ("PGPASSFILE", "POSTGRES_PASSWORD_FILE"),
    ("PGPASSWORD", "POSTGRES_PASSWORD"),
    ("PGPORT", "POSTGRES_PORT"),
    ("PGSERVICE", "DATABASE_URL"),
    ("PGSSLCERT", "`sslcert=`"),
    ("PGSSLKEY", "`sslkey=`"),
    ("PGSSLMODE", "POSTGRES_SSLMODE"),
    ("PGSSLROOTCERT", "`sslrootcert=`"),
    ("PGTARGETSESSIONATTRS", "`target_session_attrs=`"),
    ("PGUSER", "POSTGRES_USER"),
];

/// Variables of other programs, each with what to use instead, in configurations with PostgreSQL.
pub(super) const FOREIGN_POSTGRES_NAMES: [(&str, &str); 5] = [
    ("DATABASE_SSL", "set POSTGRES_SSLMODE"),
    ("POSTGRES_DATABASE", "set POSTGRES_DB"),
    ("POSTGRES_SCHEMA", "add `?schema=` to DATABASE_URL"),
    ("POSTGRES_SSL", "set POSTGRES_SSLMODE"),
    ("POSTGRES_URL", "set DATABASE_URL"),
];

/// Variables of other programs, each with what to use instead, in configurations with Redis.
pub(super) const FOREIGN_REDIS_NAMES: [(&str, &str); 6] = [
    (
        "REDIS_DATABASE",
        "add the number after the host in REDIS_URL, as in redis://host/1",
    ),
    (
        "REDIS_DB",
        "add the number after the host in REDIS_URL, as in redis://host/1",
    ),
    ("REDIS_SSL", "use rediss:// in REDIS_URL"),
    ("REDIS_TLS", "use rediss:// in REDIS_URL"),
    ("REDIS_USER", "set REDIS_USERNAME"),
    ("REDIS_PASS", "set REDIS_PASSWORD"),
];
