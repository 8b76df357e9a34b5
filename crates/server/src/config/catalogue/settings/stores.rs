//! Settings of users that the gate looks up, and of the stores.

use super::super::form::ExampleValue::{Default, Dependent, Sample};
use super::super::form::Kind::{
    Address, Choice, Count, File, Millis, Port, Seconds, Secret, SecretUrl, Switch, Text,
};
use super::super::form::Scope::{Database, Realm, Redis, Stores};
use super::super::form::{Row, entry, row};

pub(super) const STORED: &[Row] = &[
    row(
        &[entry(
            "ENABLE_DB_CHECK",
            Switch,
            Realm,
            Default("false"),
            "",
        )],
        "`false`",
        "`true` looks up every user in the database, so that deleted users are refused",
    ),
    row(
        &[entry(
            "DATABASE_URL",
            SecretUrl,
            Database,
            Sample("\"postgres://gate:${DATABASE_PASSWORD}@db/app\""),
            "",
        )],
        "required for lookups",
        "`postgres://…` or `sqlite://…`, with [these parameters](docs/connections.md)",
    ),
    row(
        &[
            entry(
                "POSTGRES_HOST",
                Address,
                Database,
                Sample("\"db\""),
                "the PostgreSQL host, if there is no URL",
            ),
            entry(
                "POSTGRES_PORT",
                Port,
                Database,
                Dependent("5432"),
                "the PostgreSQL port, if the URL has none",
            ),
            entry(
                "POSTGRES_DB",
                Text,
                Database,
                Dependent("\"postgres\""),
                "the PostgreSQL database, if the URL has none",
            ),
            entry(
                "POSTGRES_USER",
                Text,
                Database,
                Dependent("\"postgres\""),
                "the PostgreSQL user, if the URL has none",
            ),
            entry(
                "POSTGRES_PASSWORD",
                Secret,
                Database,
                Sample("\"${POSTGRES_PASSWORD}\""),
                "the PostgreSQL password, if the URL has none",
            ),
            entry(
                "POSTGRES_SSLMODE",
                Text,
                Database,
                Dependent("\"prefer\""),
                "`disable`, `prefer`, `require`, `verify-ca` or `verify-full`, if the URL has none",
            ),
        ],
        "taken from the URL",
        "used instead of the URL, or for parts that it lacks",
    ),
    row(
        &[entry(
            "LISTEN_DATABASE_URL",
            SecretUrl,
            Database,
            Sample("\"postgres://gate:${DATABASE_PASSWORD}@db/app\""),
            "",
        )],
        "none",
        "a direct connection to the database in `DATABASE_URL`, without a pooler, to [listen for \
         changes](docs/revocation.md#postgresql)",
    ),
    row(
        &[
            entry(
                "USER_TABLE",
                Text,
                Realm,
                Dependent("\"users\""),
                "the user table (or `schema.table`); by default `users`, or that of `SESSION_SCHEMA`",
            ),
            entry(
                "USER_ID_FIELD",
                Text,
                Realm,
                Dependent("\"id\""),
                "the column with the user's id",
            ),
        ],
        "`users` or that of `SESSION_SCHEMA`, `id`",
        "the user table (or `schema.table`), and its column with the user's id",
    ),
    row(
        &[entry(
            "DATABASE_TIMEOUT",
            Millis,
            Stores,
            Dependent("2000"),
            "",
        )],
        "`2000` ms",
        "how long a request waits for the database",
    ),
    row(
        &[entry(
            "DATABASE_CONNECTIONS",
            Count,
            Stores,
            Dependent("10"),
            "",
        )],
        "`10`",
        "the most connections to the database",
    ),
    row(
        &[entry(
            "REDIS_URL",
            SecretUrl,
            Redis,
            Sample("\"redis://:${REDIS_PASSWORD}@cache\""),
            "",
        )],
        "none",
        "the [shared cache](docs/connections.md#redis): `redis://…`, `rediss://…`, `redis+sentinel://…` or \
         `redis+cluster://…`",
    ),
    row(
        &[
            entry(
                "REDIS_HOST",
                Address,
                Redis,
                Sample("\"cache\""),
                "the Redis host, if there is no URL",
            ),
            entry(
                "REDIS_PORT",
                Port,
                Redis,
                Dependent("6379"),
                "the Redis port, if the URL has none",
            ),
            entry(
                "REDIS_USERNAME",
                Text,
                Redis,
                Sample("\"gate\""),
                "the Redis user, if the URL has none",
            ),
            entry(
                "REDIS_PASSWORD",
                Secret,
                Redis,
                Sample("\"${REDIS_PASSWORD}\""),
                "the Redis password, if the URL has none",
            ),
        ],
        "taken from the URL",
        "used instead of the URL, or for parts that it lacks",
    ),
    row(
        &[entry(
            "REDIS_TIMEOUT",
            Millis,
            Stores,
            Dependent("1000"),
            "",
        )],
        "`1000` ms",
        "how long a request waits for Redis before the gate asks the database instead",
    ),
    row(
        &[entry(
            "REDIS_CACHE_TTL",
            Seconds,
            Stores,
            Dependent("600"),
            "",
        )],
        "`600` s",
        "how long the gate trusts a user or a session cached in Redis",
    ),
    row(
        &[entry(
            "REDIS_KEY_PREFIX",
            Text,
            Realm,
            Dependent("\"auth:\""),
            "",
        )],
        "`auth:`",
        "the prefix of the gate's keys in Redis",
    ),
    row(
        &[entry(
            "REDIS_CACHE_FORMAT",
            Choice(&["record", "true"]),
            Stores,
            Dependent("\"record\""),
            "",
        )],
        "`record`",
        "`true`: store users as [the word `true`](docs/operating.md#gates-that-store-only-true), during a \
         migration",
    ),
    row(
        &[entry(
            "REDIS_TRACKING",
            Switch,
            Stores,
            Dependent("false"),
            "",
        )],
        "`false`",
        "`true`: Redis notifies the gate [at once](docs/revocation.md#redis) of changes there",
    ),
    row(
        &[entry(
            "REDIS_CA_FILE",
            File,
            Redis,
            Sample("\"/etc/sessiongate/redis-ca.pem\""),
            "",
        )],
        "public authorities",
        "PEM file with the certificate authorities to trust for `rediss://`",
    ),
    row(
        &[entry(
            "MEMORY_CACHE_TTL",
            Seconds,
            Stores,
            Dependent("5"),
            "",
        )],
        "`5` s",
        "how long the gate trusts a user or a session cached in memory",
    ),
    row(
        &[entry(
            "HEARD_CACHE_TTL",
            Seconds,
            Stores,
            Dependent("300"),
            "",
        )],
        "`300` s",
        "how long the gate trusts a user or a session cached in memory if it [is notified of \
         changes](docs/revocation.md#notifications-of-changes)",
    ),
    row(
        &[entry(
            "MEMORY_CACHE_ENTRIES",
            Count,
            Stores,
            Dependent("100000"),
            "",
        )],
        "`100000`",
        "the most users, and the most sessions, cached in memory",
    ),
    row(
        &[entry(
            "MEMORY_CACHE_BYTES",
            Count,
            Stores,
            Dependent("268435456"),
            "",
        )],
        "`268435456` (256 MiB)",
        "the most memory for cached users, and for cached sessions, in bytes",
    ),
    row(
        &[entry("STALE_IF_DOWN", Seconds, Stores, Dependent("0"), "")],
        "`0` s (off)",
        "how much longer the gate trusts cached users and sessions [while the database is \
         down](docs/operating.md#while-the-database-is-down)",
    ),
    row(
        &[entry(
            "ABSENT_CACHE_TTL",
            Seconds,
            Stores,
            Dependent("5"),
            "",
        )],
        "`5` s",
        "how long the gate remembers that a user or a session does not exist",
    ),
];
