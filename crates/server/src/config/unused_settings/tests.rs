//! Tests that every setting is read in every configuration, or reported where it has no effect.

use std::collections::BTreeSet;

use super::super::catalogue;
use super::super::{Config, Variables};
use super::names;

const SECRET: &str = "0123456789abcdef0123456789abcdef0123";
const OTHER: &str = "another-secret-0123456789abcdef01234";

type Pairs = &'static [(&'static str, &'static str)];

/// The problems of a configuration with an upstream, a secret and these settings; or its warnings, if it is valid.
fn warnings(pairs: &[(&'static str, &'static str)]) -> Vec<String> {
    match read(pairs) {
        Ok(config) => config.warnings,
        Err(problems) => problems,
    }
}

fn read(pairs: &[(&'static str, &'static str)]) -> Result<Config, Vec<String>> {
    let base = [
        ("UPSTREAM", "http://127.0.0.1:3000"),
        ("AUTH_SECRET", SECRET),
    ];
    let pairs = base.iter().chain(pairs);
    let variables =
        Variables::default().with(pairs.map(|(name, value)| (*name, (*value).to_owned())));
    Config::from_variables(&variables)
        .map_err(|errors| errors.problems().iter().map(ToString::to_string).collect())
}

/// The names in the first column of the table of settings, and whether they are marked †.
fn documented() -> Vec<(String, bool)> {
    let settings = include_str!("../../../../../docs/settings.md");
    let rows = settings.lines().filter_map(|line| line.strip_prefix("| "));
    let cells = rows.filter_map(|row| row.split(" | ").next());
    let names = cells.flat_map(|cell| {
        cell.split(", ").filter_map(|part| {
            let (name, mark) = part.strip_prefix('`')?.split_once('`')?;
            Some((name.to_owned(), mark.trim() == "†"))
        })
    });
    names.collect()
}

#[test]
fn every_documented_setting_is_always_read_or_has_a_case() {
    let documented: BTreeSet<_> = documented().into_iter().map(|(name, _)| name).collect();
    let cases = CASES.iter().map(|(name, ..)| (*name).to_owned());
    let classified: BTreeSet<_> = cases.chain(ALWAYS.map(str::to_owned)).collect();
    assert_eq!(documented, classified);
    let both: Vec<_> = CASES
        .iter()
        .filter(|(name, ..)| ALWAYS.contains(name))
        .collect();
    assert!(both.is_empty(), "{both:?}");
}

#[test]
fn every_setting_is_documented() {
    let documented: BTreeSet<_> = documented().into_iter().map(|(name, _)| name).collect();
    let mut known: BTreeSet<_> = names().into_iter().map(str::to_owned).collect();
    for pairs in EFFECTIVE {
        let config = read(pairs).unwrap();
        known.extend(config.settings.into_iter().map(|setting| setting.name));
    }
    let is_ours = |name: &String| {
        !name.contains(' ') && !OF_PLATFORMS.contains(&name.as_str()) && !documented.contains(name)
    };
    let unknown: Vec<_> = known.into_iter().filter(is_ours).collect();
    assert!(unknown.is_empty(), "{unknown:?}");
}

#[test]
fn unused_setting_causes_a_warning() {
    for (name, value, others) in CASES {
        let pairs = [others, &[(*name, *value)][..]].concat();
        let warnings = warnings(&pairs);
        let is_about = |line: &&String| {
            let rest = line.strip_prefix(name).unwrap_or_default();
            let words = [":", " has no effect", " is ignored", " and "];
            words.iter().any(|words| rest.starts_with(words))
        };
        let pair = line_of_pair(name);
        assert!(
            warnings
                .iter()
                .any(|line| is_about(&line) || line.starts_with(pair)),
            "{name}={value} beside {others:?}: {warnings:?}"
        );
    }
}

/// The beginning of a warning about two settings at once, one of which is `name`.
fn line_of_pair(name: &str) -> &'static str {
    match name {
        "BEARER_AUDIENCE" => "BEARER_ISSUER and BEARER_AUDIENCE have no effect",
        _ => "(nothing)",
    }
}

#[test]
fn used_setting_causes_no_warning() {
    for pairs in EFFECTIVE {
        let warnings = warnings(pairs);
        let unexpected: Vec<_> = warnings
            .iter()
            .filter(|line| line.contains("no effect"))
            .collect();
        assert!(unexpected.is_empty(), "{pairs:?}: {unexpected:?}");
        assert!(read(pairs).is_ok(), "{pairs:?}: {warnings:?}");
    }
}

#[test]
fn settings_marked_in_the_docs_can_come_from_files() {
    let marked = documented().into_iter().filter(|(_, marked)| *marked);
    let marked: BTreeSet<_> = marked.map(|(name, _)| name).collect();
    let secrets = catalogue::entries().filter(|entry| entry.kind.is_secret());
    assert_eq!(marked, secrets.map(|entry| entry.name.to_owned()).collect());
}

#[test]
fn file_variable_of_a_plain_setting_causes_a_warning() {
    for (name, marked) in documented() {
        let file: &'static str = format!("{name}_FILE").leak();
        // These names are settings of their own.
        if file == "REDIS_CA_FILE" || file == "BEARER_JWKS_CA_FILE" {
            continue;
        }
        let warnings = warnings(&[(file, "/nonexistent/file")]);
        let is_named = warnings.iter().any(|line| line.contains(file));
        assert!(is_named, "{file}, marked: {marked}: {warnings:?}");
    }
}

#[test]
fn unused_secret_file_causes_a_warning() {
    let warnings = warnings(&[("REDIS_PASSWORD_FILE", "/nonexistent/file")]);
    assert!(
        warnings
            .iter()
            .any(|line| line.starts_with("REDIS_PASSWORD_FILE has no effect")),
        "{warnings:?}"
    );
}

#[test]
fn foreign_names_cause_a_warning_with_the_gates_name() {
    for (name, replacement) in [
        ("PGSSLMODE", "POSTGRES_SSLMODE"),
        ("PGPASSFILE", "POSTGRES_PASSWORD_FILE"),
        ("POSTGRES_DATABASE", "POSTGRES_DB"),
        ("REDIS_USER", "REDIS_USERNAME"),
        ("REDIS_TLS", "rediss://"),
    ] {
        let pairs = [CHECK, POSTGRES, REDIS, (name, "x")];
        let warnings = warnings(&pairs);
        let is_about = |line: &&String| line.starts_with(&format!("{name} has no effect"));
        let line = warnings
            .iter()
            .find(is_about)
            .unwrap_or_else(|| panic!("{name}: {warnings:?}"));
        assert!(line.contains(replacement), "{line}");
    }
}

/// The settings that are read in every configuration.
const ALWAYS: [&str; 39] = [
    "UPSTREAM",
    "AUTH_LISTEN",
    "PUBLIC_PATHS",
    "SIGN_IN_URL",
    "CORS_ORIGINS",
    "CORS_PREFLIGHT",
    "SESSION_FORMAT",
    "AUTH_COOKIE_NAME",
    "EMAIL_HEADER",
    "ALLOW_ANONYMOUS",
    "GROUPS_CLAIM",
    "GROUPS_COLUMN",
    "BEARER_JWKS",
    "BEARER_SECRET",
    "ENABLE_DB_CHECK",
    "REVOCATION_STORE",
    "TRUSTED_PROXIES",
    "RATE_LIMIT",
    "BAD_SESSION_RATE_LIMIT",
    "CONNECTIONS_PER_ADDRESS",
    "MAX_CONNECTIONS",
    "MAX_IN_FLIGHT",
    "MAX_HEADER_BYTES",
    "MAX_HEADER_FIELDS",
    "LEAST_UPLOAD_RATE",
    "LEAST_DOWNLOAD_RATE",
    "CLIENT_HEADER_TIMEOUT",
    "CLIENT_BODY_TIMEOUT",
    "DRAIN_DELAY",
    "DRAIN_TIMEOUT",
    "RELOAD_INTERVAL",
    "ADMIN_LISTEN",
    "ADMIN_TOKEN",
    "WORKERS",
    "AUDIT_LOG",
    "LOG_FORMAT",
    "RUST_LOG",
    "ALLOW_BYPASS",
    // The header is removed from every request, whether or not the bypass is on.
    "BYPASS_HEADER",
];

/// Variables that describe the environment. They are not settings, and only forbid the bypass.
const OF_PLATFORMS: [&str; 4] = ["NODE_ENV", "RAILS_ENV", "APP_ENV", "SESSIONGATE_ENV"];

const CHECK: (&str, &str) = ("ENABLE_DB_CHECK", "true");
const POSTGRES: (&str, &str) = ("DATABASE_URL", "postgres://gate@db/app");
const SQLITE: (&str, &str) = ("DATABASE_URL", "sqlite:///users.db");
const REDIS: (&str, &str) = ("REDIS_URL", "redis://cache");
const KEPT: (&str, &str) = ("REVOCATION_STORE", "./revocations.db");
const NO_UPSTREAM: Pairs = &[("UPSTREAM", ""), ("AUTH_LISTEN", "127.0.0.1:0")];
const AUTHJS: (&str, &str) = ("SESSION_FORMAT", "authjs");
const STORED: (&str, &str) = ("SESSION_FORMAT", "authjs-database");
const BETTER_AUTH: (&str, &str) = ("SESSION_FORMAT", "better-auth");
const OWN_SECRET: (&str, &str) = ("BETTER_AUTH_SECRET", OTHER);
const TOKEN_COOKIE: (&str, &str) = ("AUTH_COOKIE_NAME", "shop.session_token");
const ISSUER: (&str, &str) = ("BEARER_ISSUER", "https://issuer.example");
const AUDIENCE: (&str, &str) = ("BEARER_AUDIENCE", "api");
/// A file with a certificate authority, as `openssl req -x509` makes it.
const CA_FILE: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/src/config/unused_settings/authority.pem"
);
/// Settings with which bearer tokens are accepted, and no sessions.
const MACHINES: Pairs = &[("AUTH_SECRET", ""), BEARER, ISSUER, AUDIENCE];
const BEARER: (&str, &str) = ("BEARER_SECRET", OTHER);

const FOLDER: Pairs = &[("UPSTREAM", "dir:/")];

/// Cases: a setting, a value, and other settings with which it has no effect.
const CASES: &[(&str, &str, Pairs)] = &[
    ("LISTEN", "127.0.0.1:1", NO_UPSTREAM),
    ("REDIRECT_LISTEN", "127.0.0.1:1", NO_UPSTREAM),
    ("TLS", "self-signed", NO_UPSTREAM),
    ("ACME_DOMAINS", "app.example.com", &[]),
    ("ACME_STORE", "/var/lib/acme", &[]),
    ("ACME_EMAIL", "ops@example.com", &[]),
    ("ACME_DIRECTORY_URL", "https://ca.example/dir", &[]),
    ("ACME_CA_FILE", CA_FILE, &[]),
    ("ACME_CHALLENGE", "http-01", &[]),
    (
        "RATE_LIMIT_SHARED",
        "true",
        &[("BAD_SESSION_RATE_LIMIT", "off")],
    ),
    ("SIGN_IN_TIME_CLAIM", "auth_time", &[]),
    (
        "SIGN_IN_TIME_CLAIM",
        "auth_time",
        &[KEPT, BETTER_AUTH, OWN_SECRET, ("AUTH_SECRET", ""), POSTGRES],
    ),
    ("REVOCATION_INTERVAL", "7", &[]),
    ("REVOCATION_MAX_STALE", "90", &[]),
    ("REVOCATION_TTL", "86400", &[]),
    ("TLS_CERT_FILE", "none.pem", &[("TLS", "off")]),
    (
        "TLS_KEY_FILE",
        "none.pem",
        &[("TLS", "off"), ("TLS_CERT_FILE", "none.pem")],
    ),
    ("TLS_MIN_VERSION", "1.3", &[]),
    (
        "TLS_CLIENT_AUTH",
        "optional",
        &[("TLS_CLIENT_CA_FILE", CA_FILE)],
    ),
    ("TLS_CLIENT_CA_FILE", CA_FILE, &[("TLS", "self-signed")]),
    ("HSTS", "max-age=1", NO_UPSTREAM),
    ("HSTS", "max-age=1", &[]),
    ("PROXY_PROTOCOL", "true", NO_UPSTREAM),
    ("HTTP2", "false", NO_UPSTREAM),
    ("REQUIRE_HTTPS", "true", NO_UPSTREAM),
    ("UPSTREAM_CONNECT_TIMEOUT", "1", NO_UPSTREAM),
    ("UPSTREAM_TIMEOUT", "1", NO_UPSTREAM),
    ("UPSTREAM_KEEP_ALIVE", "1", NO_UPSTREAM),
    ("UPSTREAM_MAX_AGE", "1", NO_UPSTREAM),
    ("UPSTREAM_CA_FILE", CA_FILE, NO_UPSTREAM),
    ("UPSTREAM_CA_FILE", CA_FILE, &[]),
    ("CLIENT_IDLE_TIMEOUT", "1", NO_UPSTREAM),
    ("STREAM_IDLE_TIMEOUT", "1", NO_UPSTREAM),
    ("SESSION_END_CLOSE_CODE", "4000", NO_UPSTREAM),
    ("REQUEST_TIMEOUT", "1", NO_UPSTREAM),
    ("FORWARDED_HEADER", "forwarded", &[]),
    ("FORWARD_SESSION_COOKIE", "false", NO_UPSTREAM),
    ("VIA", "false", NO_UPSTREAM),
    ("FOLDER_FALLBACK", "/index.html", &[]),
    ("FOLDER_ERROR_PAGES", "/404.html", &[]),
    ("FOLDER_CACHE_CONTROL", "no-store", &[]),
    ("FOLDER_WELL_KNOWN", "true", &[]),
    ("UPSTREAM_CONNECT_TIMEOUT", "1", FOLDER),
    ("UPSTREAM_KEEP_ALIVE", "1", FOLDER),
    ("UPSTREAM_MAX_AGE", "1", FOLDER),
    ("FORWARD_SESSION_COOKIE", "false", FOLDER),
    ("AUTH_SOCKET_MODE", "600", &[]),
    ("GROUPS_SEPARATOR", "|", &[]),
    ("AUTH_SOCKET_MODE", "600", NO_UPSTREAM),
    ("PUBLIC_URL", "https://a.example", &[]),
    ("SIGN_IN_CALLBACK_PARAMETER", "rd", &[]),
    ("BYPASS_HEADER_VALUE", OTHER, &[]),
    ("AUTH_SECRET", OTHER, &[BETTER_AUTH, OWN_SECRET]),
    ("AUTH_SECRET", OTHER, &[STORED, POSTGRES]),
    ("AUTH_SECRET", OTHER, &[TOKEN_COOKIE, OWN_SECRET]),
    (
        "AUTH_SECRET",
        OTHER,
        &[("SESSION_FORMAT", "nextauth"), ("JWT_SECRET", SECRET)],
    ),
    ("AUTH_SECRET_1", OTHER, &[BETTER_AUTH, OWN_SECRET]),
    ("AUTH_SECRET_2", OTHER, &[BETTER_AUTH, OWN_SECRET]),
    ("AUTH_SECRET_3", OTHER, &[STORED, POSTGRES]),
    ("NEXTAUTH_SECRET", OTHER, &[("SESSION_FORMAT", "nextauth")]),
    ("JWT_SECRET", OTHER, &[BETTER_AUTH, OWN_SECRET]),
    ("BETTER_AUTH_SECRET", OTHER, &[AUTHJS]),
    (
        "BETTER_AUTH_SECRETS",
        "1:0123456789abcdef0123456789abcdef0123",
        &[STORED, POSTGRES],
    ),
    ("BETTER_AUTH_COOKIE_PREFIX", "shop", &[AUTHJS]),
    ("BETTER_AUTH_COOKIE_PREFIX", "shop", &[TOKEN_COOKIE]),
    (
        "BETTER_AUTH_COOKIE_PREFIX",
        "shop",
        &[("AUTH_COOKIE_NAME", "sid")],
    ),
    ("BETTER_AUTH_DATA_COOKIE_NAME", "data", &[AUTHJS]),
    ("BETTER_AUTH_CACHE_STRATEGY", "jwe", &[AUTHJS]),
    (
        "BETTER_AUTH_CACHE_STRATEGY",
        "jwe",
        &[("TRUST_COOKIE_CACHE", "false")],
    ),
    ("BETTER_AUTH_CACHE_VERSION", "2", &[AUTHJS]),
    (
        "BETTER_AUTH_CACHE_VERSION",
        "2",
        &[("TRUST_COOKIE_CACHE", "false")],
    ),
    ("TRUST_COOKIE_CACHE", "false", &[AUTHJS]),
    ("JWT_SALT", "salt", &[BETTER_AUTH]),
    ("JWT_SALT", "salt", &[BETTER_AUTH, TOKEN_COOKIE]),
    ("JWT_SALT", "salt", &[TOKEN_COOKIE]),
    (
        "JWT_SALT",
        "salt",
        &[("SESSION_FORMAT", "nextauth"), ("AUTH_COOKIE_NAME", "sid")],
    ),
    (
        "JWT_SALT",
        "salt",
        &[
            ("SESSION_FORMAT", "authjs-signed"),
            ("AUTH_COOKIE_NAME", "sid"),
        ],
    ),
    (
        "JWT_SALT",
        "salt",
        &[STORED, POSTGRES, ("AUTH_COOKIE_NAME", "sid")],
    ),
    ("TOKEN_ISSUER", "i", &[BETTER_AUTH]),
    ("TOKEN_AUDIENCE", "a", &[STORED, POSTGRES]),
    ("SUBJECT_CLAIM", "id", &[BETTER_AUTH]),
    ("TOKEN_ISSUER", "i", MACHINES),
    ("TOKEN_ISSUER", "i", &[("AUTH_SECRET", ""), OWN_SECRET]),
    ("TOKEN_MAX_AGE", "9", MACHINES),
    ("TRUST_COOKIE_CACHE", "false", MACHINES),
    ("SUBJECT_CLAIM", "id", &[("AUTH_SECRET", ""), OWN_SECRET]),
    ("ALLOW_WEAK_SECRET", "true", &[]),
    ("BEARER_ISSUER", "i", &[]),
    ("BEARER_AUDIENCE", "a", &[]),
    ("BEARER_SUBJECT_CLAIM", "id", &[]),
    ("BEARER_CHECK_USER", "false", &[]),
    ("BEARER_CHECK_USER", "true", &[BEARER, ISSUER, AUDIENCE]),
    ("BEARER_JWKS_CA_FILE", "/etc/hostname", &[]),
    (
        "BEARER_JWKS_CA_FILE",
        "/etc/hostname",
        &[BEARER, ISSUER, AUDIENCE],
    ),
    ("SESSION_SCHEMA", "drizzle", &[AUTHJS]),
    ("SESSION_STORE", "database", &[AUTHJS]),
    ("SESSION_TABLE", "s", &[]),
    ("SESSION_TABLE", "s", &[BETTER_AUTH]),
    (
        "SESSION_TABLE",
        "s",
        &[BETTER_AUTH, ("SESSION_STORE", "redis"), REDIS],
    ),
    ("SESSION_TOKEN_FIELD", "t", &[AUTHJS]),
    ("SESSION_USER_FIELD", "u", &[AUTHJS]),
    ("SESSION_EXPIRES_FIELD", "e", &[AUTHJS]),
    ("SESSION_CREATED_FIELD", "c", &[AUTHJS]),
    ("USER_EMAIL_FIELD", "e", &[CHECK, POSTGRES]),
    ("USER_NAME_FIELD", "n", &[CHECK, POSTGRES]),
    ("USER_EMAIL_VERIFIED_FIELD", "v", &[CHECK, POSTGRES]),
    ("USER_ANONYMOUS_FIELD", "a", &[CHECK, POSTGRES]),
    ("SESSION_IMPERSONATED_BY_FIELD", "i", &[CHECK, POSTGRES]),
    ("SESSION_TIME_ZONE", "Asia/Tokyo", &[CHECK, POSTGRES]),
    (
        "SESSION_TIME_ZONE",
        "Asia/Tokyo",
        &[BETTER_AUTH, ("SESSION_STORE", "redis"), REDIS],
    ),
    ("BETTER_AUTH_REDIS_PREFIX", "p:", &[]),
    ("BETTER_AUTH_REDIS_PREFIX", "p:", &[BETTER_AUTH, POSTGRES]),
    ("DATABASE_URL", "postgres://u@db/app", &[]),
    (
        "DATABASE_URL",
        "postgres://u@db/app",
        &[BETTER_AUTH, ("SESSION_STORE", "redis"), REDIS],
    ),
    ("POSTGRES_HOST", "db", &[]),
    ("POSTGRES_HOST", "db", &[CHECK, SQLITE]),
    ("POSTGRES_PORT", "tcp://10.0.0.1:5432", &[]),
    ("POSTGRES_PORT", "none", &[CHECK, SQLITE]),
    ("POSTGRES_DB", "app", &[CHECK, SQLITE]),
    ("POSTGRES_USER", "u", &[CHECK, SQLITE]),
    ("POSTGRES_PASSWORD", "p", &[CHECK, SQLITE]),
    ("POSTGRES_SSLMODE", "require", &[CHECK, SQLITE]),
    ("LISTEN_DATABASE_URL", "postgres://u@db/app", &[]),
    (
        "LISTEN_DATABASE_URL",
        "postgres://u@db/app",
        &[CHECK, SQLITE],
    ),
    ("USER_TABLE", "t", &[]),
    ("USER_ID_FIELD", "i", &[]),
    ("DATABASE_TIMEOUT", "1", &[]),
    ("DATABASE_CONNECTIONS", "1", &[]),
    ("REDIS_URL", "redis://cache", &[]),
    ("REDIS_HOST", "cache", &[]),
    ("REDIS_PORT", "tcp://10.0.0.1:6379", &[]),
    ("REDIS_PORT", "tcp://10.0.0.1:6379", &[CHECK, POSTGRES]),
    ("REDIS_USERNAME", "u", &[CHECK, POSTGRES]),
    ("REDIS_PASSWORD", "p", &[CHECK, POSTGRES]),
    ("REDIS_TIMEOUT", "1", &[CHECK, POSTGRES]),
    ("REDIS_CACHE_TTL", "1", &[CHECK, POSTGRES]),
    (
        "REDIS_CACHE_TTL",
        "1",
        &[BETTER_AUTH, ("SESSION_STORE", "redis"), REDIS],
    ),
    ("REDIS_KEY_PREFIX", "p", &[CHECK, POSTGRES]),
    ("REDIS_TRACKING", "true", &[]),
    ("REDIS_TRACKING", "true", &[CHECK, POSTGRES]),
    ("REDIS_CA_FILE", "/ca.pem", &[CHECK, POSTGRES]),
    ("REDIS_CA_FILE", "/ca.pem", &[CHECK, POSTGRES, REDIS]),
    ("HEARD_CACHE_TTL", "60", &[]),
    ("HEARD_CACHE_TTL", "60", &[CHECK, POSTGRES, REDIS]),
    ("MEMORY_CACHE_TTL", "1", &[]),
    (
        "MEMORY_CACHE_TTL",
        "1",
        &[CHECK, POSTGRES, ("MEMORY_CACHE_ENTRIES", "0")],
    ),
    (
        "MEMORY_CACHE_ENTRIES",
        "1",
        &[CHECK, POSTGRES, ("MEMORY_CACHE_TTL", "0")],
    ),
    (
        "MEMORY_CACHE_BYTES",
        "1",
        &[CHECK, POSTGRES, ("MEMORY_CACHE_TTL", "0")],
    ),
    (
        "MEMORY_CACHE_TTL",
        "1",
        &[CHECK, POSTGRES, ("MEMORY_CACHE_BYTES", "0")],
    ),
    (
        "MEMORY_CACHE_ENTRIES",
        "1",
        &[CHECK, POSTGRES, ("MEMORY_CACHE_BYTES", "0")],
    ),
    ("MEMORY_CACHE_BYTES", "1", &[]),
    ("REDIS_CACHE_FORMAT", "true", &[]),
    ("REDIS_CACHE_FORMAT", "true", &[CHECK, POSTGRES]),
    ("REDIS_CACHE_FORMAT", "true", &[STORED, POSTGRES, REDIS]),
    ("STALE_IF_DOWN", "1", &[]),
    (
        "STALE_IF_DOWN",
        "1",
        &[BETTER_AUTH, ("SESSION_STORE", "redis"), REDIS],
    ),
    (
        "STALE_IF_DOWN",
        "1",
        &[CHECK, POSTGRES, ("MEMORY_CACHE_TTL", "0")],
    ),
    ("ABSENT_CACHE_TTL", "1", &[]),
    (
        "ABSENT_CACHE_TTL",
        "1",
        &[CHECK, POSTGRES, ("MEMORY_CACHE_TTL", "0")],
    ),
];

/// Configurations in which every given setting has an effect.
const EFFECTIVE: &[Pairs] = &[
    &[],
    &[
        ("UPSTREAM", "dir:/etc"),
        ("FOLDER_FALLBACK", "/passwd"),
        ("FOLDER_ERROR_PAGES", "passwd"),
        ("FOLDER_CACHE_CONTROL", "no-store"),
        ("FOLDER_WELL_KNOWN", "true"),
    ],
    &[
        ("FORWARDED_HEADER", "forwarded"),
        ("TRUSTED_PROXIES", "10.0.0.0/8"),
    ],
    &[
        CHECK,
        ("DATABASE_URL", "postgres://db?connect_timeout=1"),
        ("POSTGRES_PORT", "5432"),
        ("POSTGRES_DB", "app"),
        ("POSTGRES_USER", "u"),
        ("POSTGRES_PASSWORD", "p"),
        ("POSTGRES_SSLMODE", "require"),
        ("LISTEN_DATABASE_URL", "postgres://db/app"),
        ("USER_TABLE", "t"),
        ("USER_ID_FIELD", "i"),
        ("DATABASE_TIMEOUT", "1500"),
        ("DATABASE_CONNECTIONS", "2"),
        ("REDIS_URL", "rediss://cache"),
        ("REDIS_PORT", "6380"),
        ("REDIS_USERNAME", "u"),
        ("REDIS_PASSWORD", "p"),
        ("REDIS_CA_FILE", CA_FILE),
        ("REDIS_TRACKING", "true"),
        ("REDIS_CACHE_TTL", "9"),
        ("REDIS_KEY_PREFIX", "p"),
        ("MEMORY_CACHE_TTL", "0"),
        ("MEMORY_CACHE_ENTRIES", "9"),
        ("MEMORY_CACHE_BYTES", "9"),
        ("REDIS_CACHE_FORMAT", "true"),
        ("STALE_IF_DOWN", "9"),
        ("HEARD_CACHE_TTL", "9"),
        ("ABSENT_CACHE_TTL", "9"),
        BEARER,
        ISSUER,
        AUDIENCE,
        ("BEARER_CHECK_USER", "false"),
        ("BEARER_SUBJECT_CLAIM", "id"),
        ("SUBJECT_CLAIM", "id"),
        ("PUBLIC_URL", "https://a.example"),
        ("SIGN_IN_URL", "https://b.example/in"),
        ("JWT_SALT", "salt"),
        ("TOKEN_ISSUER", "i"),
    ],
    &[
        CHECK,
        SQLITE,
        ("DATABASE_CONNECTIONS", "2"),
        ("MEMORY_CACHE_ENTRIES", "0"),
    ],
    &[
        STORED,
        POSTGRES,
        ("AUTH_SECRET", ""),
        ("SESSION_TIME_ZONE", "Asia/Tokyo"),
        ("SESSION_TABLE", "s"),
        ("USER_EMAIL_FIELD", "e"),
        ("JWT_SALT", "names-the-cookie"),
    ],
    &[
        BETTER_AUTH,
        ("SESSION_STORE", "redis"),
        ("BETTER_AUTH_REDIS_PREFIX", "p:"),
        ("REDIS_HOST", "cache"),
        ("AUTH_SECRET", ""),
        OWN_SECRET,
        ("BETTER_AUTH_COOKIE_PREFIX", "shop"),
        ("BETTER_AUTH_CACHE_STRATEGY", "jwe"),
    ],
    &[BETTER_AUTH, ("TRUST_COOKIE_CACHE", "false"), POSTGRES],
    &[
        ("REVOCATION_STORE", "postgres"),
        POSTGRES,
        ("DATABASE_TIMEOUT", "1500"),
        ("REVOCATION_INTERVAL", "7"),
        ("REVOCATION_MAX_STALE", "90"),
        ("REVOCATION_TTL", "86400"),
    ],
    &[KEPT, ("SIGN_IN_TIME_CLAIM", "auth_time")],
    &[
        ("REVOCATION_STORE", "redis"),
        REDIS,
        ("REDIS_KEY_PREFIX", "p:"),
        ("REDIS_TIMEOUT", "1500"),
    ],
    &[("JWT_SALT", "salt"), ("AUTH_COOKIE_NAME", "sid")],
    &[
        ("UPSTREAM", ""),
        ("AUTH_LISTEN", "unix:/run/x.sock"),
        ("AUTH_SOCKET_MODE", "600"),
    ],
    &[
        ("AUTH_SECRET", "0123456789abcdef"),
        ("ALLOW_WEAK_SECRET", "true"),
    ],
];
