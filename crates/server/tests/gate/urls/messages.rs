//! The exact messages of `check-config` and start-up.

use anyhow::Result;

use crate::support::gate;

/// Returns the message with which start-up refuses these settings, given besides an upstream and a secret.
async fn refusal(settings: &[(&str, &str)]) -> Result<String> {
    let command = gate("http://127.0.0.1:3000").envs(settings.iter().copied());
    let started = command.clone().run().await?;
    let checked = command.args(["check-config"]).run().await?;
    assert_eq!(
        started.status.code(),
        Some(1),
        "{settings:?}: {}",
        started.stderr
    );
    assert_eq!(started.stderr, checked.stderr);
    Ok(started.stderr)
}

/// The lines of `check-config` about these settings and its warnings, with single blanks.
async fn config_lines(settings: &[(&str, &str)]) -> Result<Vec<String>> {
    let command = gate("http://127.0.0.1:3000").envs(settings.iter().copied());
    let checked = command.args(["check-config"]).run().await?;
    assert!(checked.status.success(), "{settings:?}: {}", checked.stderr);
    let is_about = |line: &&str| {
        let name = line.split(' ').next().unwrap_or_default();
        settings.iter().any(|(set, _)| *set == name) || name == "warning:"
    };
    let lines = checked.stdout.lines().filter(is_about);
    Ok(lines
        .map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "))
        .collect())
}

#[tokio::test]
async fn check_config_shows_each_part_of_the_store_urls() -> Result<()> {
    let lines = config_lines(&[
        CHECK,
        (
            "DATABASE_URL",
            "postgres://gate:hidden@[::1]:5433,db2/app?schema=tenant&sslMode=require&pgbouncer=true&connection_limit=3&\
             pool_timeout=9&connect_timeout=30&uselibpqcompat=true",
        ),
        (
            "REDIS_URL",
            "redis://gate:hidden@cache/2?protocol=3&password=hidden",
        ),
    ])
    .await?;
    assert_eq!(
        lines,
        [
            "ENABLE_DB_CHECK true",
            "REDIS_URL redis://gate:***@cache/2?protocol=3&password=***",
            "REDIS_URL protocol needs no effect: the gate's commands and their replies are the same in both protocols",
            "DATABASE_URL postgres://gate:***@[::1]:5433,db2/app?schema=tenant&sslMode=require&pgbouncer=true&\
             connection_limit=3&pool_timeout=9&connect_timeout=30&uselibpqcompat=true",
            "DATABASE_URL pgbouncer needs no effect: lookups work through a pooler in any of its modes",
            "DATABASE_URL pool_timeout needs no effect: DATABASE_TIMEOUT bounds how long a request waits",
            "DATABASE_URL uselibpqcompat needs no effect: `sslmode` always has the meaning it has in libpq",
            "DATABASE_URL connect_timeout needs no effect: DATABASE_TIMEOUT is shorter, and applies to connecting too",
        ]
    );
    let lines = config_lines(&[
        CHECK,
        (
            "DATABASE_URL",
            "postgres://u:hidden@localhost/app?host=/run/postgresql&sslmode=require",
        ),
    ])
    .await?;
    assert_eq!(
        lines,
        [
            "ENABLE_DB_CHECK true",
            "DATABASE_URL postgres://u:***@localhost/app?host=/run/postgresql&sslmode=require",
            "DATABASE_URL sslmode needs no effect: a Unix socket cannot be overheard, so nothing is encrypted on it",
        ]
    );
    Ok(())
}

#[tokio::test]
async fn check_config_names_url_parameters_without_effect() -> Result<()> {
    let lines = config_lines(&[
        CHECK,
        ("POSTGRES_HOST", "[::1]"),
        ("POSTGRES_PORT", "tcp://10.96.0.11:5432"),
        ("POSTGRES_PASSWORD", "hidden"),
        ("REDIS_HOST", "[::1]:1"),
        ("REDIS_PORT", "tcp://10.96.0.10:6379"),
        ("REDIS_USERNAME", "gate"),
        ("REDIS_PASSWORD", "hidden"),
        ("PGSSLMODE", "require"),
        ("REDIS_DB", "1"),
    ])
    .await?;
    assert_eq!(
        lines,
        [
            "ENABLE_DB_CHECK true",
            "REDIS_HOST [::1]:1",
            "REDIS_PORT tcp://10.96.0.10:6379",
            "REDIS_USERNAME gate",
            "REDIS_PASSWORD 6 bytes, fingerprint e564b408",
            "POSTGRES_HOST [::1]",
            "POSTGRES_PORT tcp://10.96.0.11:5432",
            "POSTGRES_PASSWORD 6 bytes, fingerprint e564b408",
            "warning: REDIS_PORT is ignored: Kubernetes sets it to `tcp://10.96.0.10:6379` for a service with this name; \
             set enableServiceLinks: false in the pod to avoid such variables, or set REDIS_PORT to a number",
            "warning: POSTGRES_PORT is ignored: Kubernetes sets it to `tcp://10.96.0.11:5432` for a service with this \
             name; set enableServiceLinks: false in the pod to avoid such variables, or set POSTGRES_PORT to a number",
            "warning: PGSSLMODE has no effect: only programs that use libpq read it; set POSTGRES_SSLMODE, or add it to \
             DATABASE_URL",
            "warning: REDIS_DB has no effect: it is not a setting of sessiongate; add the number after the host in \
             REDIS_URL, as in redis://host/1",
        ]
    );
    let lines = config_lines(&[
        ("DATABASE_URL", "postgres://u:hidden@db/app"),
        ("POSTGRES_PORT", "tcp://10.96.0.11:5432"),
        ("REDIS_PORT", "tcp://10.96.0.10:6379"),
        ("REDIS_PASSWORD", "hidden"),
    ])
    .await?;
    let ignored = |name: &str, value: &str| {
        format!(
            "warning: {name} is ignored: Kubernetes sets it to `{value}` for a service with this name; set \
             enableServiceLinks: false in the pod to avoid such variables, or set {name} to a number"
        )
    };
    let idle = "SESSION_SCHEMA or SESSION_FORMAT to look up sessions";
    let [database, cache] = ["no database is used", "nothing is looked up"].map(|what| {
        format!("has no effect: {what}; set ENABLE_DB_CHECK=true to look up users, or {idle}")
    });
    assert_eq!(
        lines,
        [
            "warning: ENABLE_DB_CHECK is off: a deleted user keeps access until the session expires".to_owned(),
            format!("warning: DATABASE_URL {database}"),
            ignored("POSTGRES_PORT", "tcp://10.96.0.11:5432"),
            ignored("REDIS_PORT", "tcp://10.96.0.10:6379"),
            format!("warning: REDIS_PASSWORD {cache}"),
        ]
    );
    let lines = config_lines(&[
        CHECK,
        ("DATABASE_URL", "sqlite:///users.db"),
        ("POSTGRES_PASSWORD", "hidden"),
        ("REDIS_PASSWORD", "hidden"),
        ("REDIS_TIMEOUT_FILE", "/x"),
    ])
    .await?;
    assert_eq!(
        lines,
        [
            "ENABLE_DB_CHECK true",
            "DATABASE_URL sqlite:///users.db",
            "warning: POSTGRES_PASSWORD has no effect: DATABASE_URL is a SQLite file",
            "warning: REDIS_PASSWORD has no effect: neither REDIS_URL nor REDIS_HOST is set",
            "warning: REDIS_TIMEOUT_FILE has no effect: only secrets and URLs with credentials can be read from files",
        ]
    );
    Ok(())
}

#[tokio::test]
async fn start_up_refuses_unsupported_url_parameters() -> Result<()> {
    for (settings, problems) in OF_POSTGRES {
        refuses(&[&[CHECK], *settings].concat(), problems).await?;
    }
    for (settings, problems) in OF_REDIS {
        let database = ("DATABASE_URL", "postgres://u:hidden@db/app");
        refuses(&[&[CHECK, database], *settings].concat(), problems).await?;
    }
    Ok(())
}

async fn refuses(settings: &[(&str, &str)], problems: &[&str]) -> Result<()> {
    let printed = refusal(settings).await?;
    let plural = if problems.len() == 1 { "" } else { "s" };
    let count = problems.len();
    let expected = format!(
        "sessiongate: the configuration has {count} problem{plural}:\n  {}",
        problems.join("\n  ")
    );
    assert_eq!(printed, expected);
    assert!(!printed.contains("hidden"), "{printed}");
    Ok(())
}

/// Settings, and the problems that start-up reports about them.
type Refused = (
    &'static [(&'static str, &'static str)],
    &'static [&'static str],
);

const CHECK: (&str, &str) = ("ENABLE_DB_CHECK", "true");

const OF_POSTGRES: &[Refused] = &[
    (
        &[
            ("DATABASE_URL", "postgres:///app?port=1"),
            ("POSTGRES_HOST", "db:2"),
        ],
        &[
            "POSTGRES_HOST: it contradicts DATABASE_URL; keep one of the two, or use the same value in both",
        ],
    ),
    (
        &[(
            "DATABASE_URL",
            "postgres://u:hidden@db/app?sslmode=no-verify",
        )],
        &[
            "DATABASE_URL: parameter `sslmode`: `no-verify` is node-postgres's name for TLS without verification; write \
             `require` for that, or `verify-full` with sslrootcert=/path/to/ca.pem to verify the server",
        ],
    ),
    (
        &[("DATABASE_URL", "postgres://u:hidden@db/app?schemas=tenant")],
        &[
            "DATABASE_URL: parameter `schemas`: it is not supported and would have no effect; did you mean `schema`? If \
             not, remove it from the URL",
        ],
    ),
    (
        &[(
            "DATABASE_URL",
            "postgres://u:hidden@db/app?search_path=tenant,public",
        )],
        &[
            "DATABASE_URL: parameter `search_path`: give the one schema that contains all tables; or give none, and \
             write the tables with their schemas, as in USER_TABLE=schema.table",
        ],
    ),
    (
        &[(
            "DATABASE_URL",
            "postgres://u:hidden@db/app?ssl=false&sslmode=require",
        )],
        &[
            "DATABASE_URL: parameters `ssl` and `sslmode`: they contradict each other; keep `sslmode`",
        ],
    ),
    (
        &[(
            "DATABASE_URL",
            "postgres://u:hidden@db/app?sslrootcert=/nonexistent/ca.pem",
        )],
        &["DATABASE_URL: cannot use `/nonexistent/ca.pem`: No such file or directory (os error 2)"],
    ),
    (
        &[("DATABASE_URL", "postgres://u:hid/den@db/app")],
        &[
            "DATABASE_URL: there is an `@` after the host; if the password contains `/`, `?` or `#`, write them as %2F, \
             %3F and %23, and write an `@` elsewhere as %40; such a URL looks like \
             postgres://user:password@host:5432/database?sslmode=require",
        ],
    ),
    (
        &[
            ("DATABASE_URL", "postgres://u:hidden@db/app"),
            ("POSTGRES_PASSWORD", "hidden-too"),
        ],
        &[
            "POSTGRES_PASSWORD: it contradicts DATABASE_URL; keep one of the two, or use the same value in both",
        ],
    ),
    (
        &[
            ("DATABASE_URL", "postgres://u:hidden@db:1/app"),
            ("POSTGRES_HOST", "other"),
            ("POSTGRES_PORT", "2"),
            ("POSTGRES_USER", "v"),
            ("POSTGRES_DB", "x"),
            ("POSTGRES_SSLMODE", "require"),
            ("DATABASE_CONNECTIONS", "7"),
        ],
        &[
            "POSTGRES_HOST: it contradicts DATABASE_URL; keep one of the two, or use the same value in both",
            "POSTGRES_PORT: it contradicts DATABASE_URL; keep one of the two, or use the same value in both",
            "POSTGRES_USER: it contradicts DATABASE_URL; keep one of the two, or use the same value in both",
            "POSTGRES_DB: it contradicts DATABASE_URL; keep one of the two, or use the same value in both",
        ],
    ),
    (
        &[
            (
                "DATABASE_URL",
                "postgres://u:hidden@db/app?sslmode=disable&connection_limit=3",
            ),
            ("POSTGRES_SSLMODE", "require"),
            ("DATABASE_CONNECTIONS", "7"),
        ],
        &[
            "POSTGRES_SSLMODE: it contradicts DATABASE_URL; keep one of the two, or use the same value in both",
            "DATABASE_CONNECTIONS: it is 7, but `connection_limit` in DATABASE_URL is 3; keep one",
        ],
    ),
    (
        &[("POSTGRES_HOST", "[::1"), ("POSTGRES_PORT", "http")],
        &[
            "POSTGRES_HOST: `[::1`: not a host; give a name or an address, such as db.example, 10.0.0.1 or [::1]",
            "POSTGRES_PORT: `http` is not a port",
        ],
    ),
    (
        &[
            (
                "DATABASE_URL",
                "postgres://u:hidden@db/app?sslcert=/c.pem&sslkey=/k.pem",
            ),
            ("POSTGRES_SSLMODE", "disable"),
        ],
        &["POSTGRES_SSLMODE: DATABASE_URL, parameter `sslcert`: sslmode=disable turns TLS off"],
    ),
];

const OF_REDIS: &[Refused] = &[
    (
        &[
            ("REDIS_URL", "unix:///run/redis.sock?ssl=true"),
            ("REDIS_HOST", "cache"),
            ("REDIS_PORT", "1"),
        ],
        &[
            "REDIS_HOST: it contradicts REDIS_URL; keep one of the two, or use the same value in both",
            "REDIS_PORT: it contradicts REDIS_URL; keep one of the two, or use the same value in both",
        ],
    ),
    (
        &[
            ("REDIS_URL", "redis://:hidden@cache"),
            ("REDIS_PASSWORD", "hidden-too"),
        ],
        &[
            "REDIS_PASSWORD: it contradicts REDIS_URL; keep one of the two, or use the same value in both",
        ],
    ),
    (
        &[
            ("REDIS_URL", "redis://gate:hidden@cache:1"),
            ("REDIS_USERNAME", "other"),
            ("REDIS_HOST", "cache2"),
            ("REDIS_PORT", "2"),
        ],
        &[
            "REDIS_HOST: it contradicts REDIS_URL; keep one of the two, or use the same value in both",
            "REDIS_PORT: it contradicts REDIS_URL; keep one of the two, or use the same value in both",
            "REDIS_USERNAME: it contradicts REDIS_URL; keep one of the two, or use the same value in both",
        ],
    ),
    (
        &[("REDIS_URL", "redis://gate@cache")],
        &[
            "REDIS_URL: the user has no password; add the password to the URL, or set REDIS_PASSWORD",
        ],
    ),
    (
        &[("REDIS_HOST", "cache"), ("REDIS_USERNAME", "gate")],
        &[
            "REDIS_USERNAME: the user has no password; add the password to the URL, or set REDIS_PASSWORD",
        ],
    ),
    (
        &[("REDIS_URL", "redis://:hidden@cache?sentinel=primary")],
        &[
            "REDIS_URL: parameter `sentinel`: it is not supported and would have no effect; remove it from the URL",
        ],
    ),
    (
        &[("REDIS_URL", "redis://:hidden@cache?password=hidden-too")],
        &["REDIS_URL: parameter `password`: it is given twice, with different values"],
    ),
    (
        &[("REDIS_URL", "rediss://:hidden@cache/#insecure")],
        &[
            "REDIS_URL: `#insecure` would trust any server; set REDIS_CA_FILE to its certificate authority instead",
        ],
    ),
    (
        &[("REDIS_HOST", "a,b"), ("REDIS_PORT", "none")],
        &[
            "REDIS_HOST: `a,b`: not a host; give a name or an address, such as db.example, 10.0.0.1 or [::1]",
            "REDIS_PORT: `none` is not a port",
        ],
    ),
];
