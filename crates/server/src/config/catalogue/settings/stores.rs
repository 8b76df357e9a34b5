//! Settings of sessions and users that the gate looks up, and of the stores it asks.

use super::super::form::ExampleValue::{Default, Dependent, Sample};
use super::super::form::Kind::{
    Address, Choice, Count, File, Millis, Port, Seconds, Secret, SecretUrl, Switch, Text,
};
use super::super::form::Scope::{Database, Realm, Redis, Stores};
use super::super::form::{Row, entry, row};

pub(super) const LOOKED_UP: &[Row] = &[
    row(
        &[entry(
            "SESSION_SCHEMA",
            Choice(&[
                "pg-adapter",
                "drizzle",
                "prisma",
                "better-auth",
                "better-auth-drizzle",
            ]),
            Realm,
            Sample("\"prisma\""),
            "",
        )],
        "derived from `SESSION_FORMAT`",
        "whose tables the app uses: `pg-adapter`, `drizzle`, `prisma`, `better-auth` or `better-auth-drizzle`",
    ),
    row(
        &[
            entry(
                "SESSION_TABLE",
                Text,
                Realm,
                Sample("\"sessions\""),
                "the session table (or `schema.table`), if it is not the one in `SESSION_SCHEMA`",
            ),
            entry(
                "SESSION_TOKEN_FIELD",
                Text,
                Realm,
                Sample("\"sessionToken\""),
                "the column of the session table with the token",
            ),
            entry(
                "SESSION_USER_FIELD",
                Text,
                Realm,
                Sample("\"userId\""),
                "the column of the session table with the user's id",
            ),
            entry(
                "SESSION_EXPIRES_FIELD",
                Text,
                Realm,
                Sample("\"expires\""),
                "the column of the session table with the expiry time",
            ),
            entry(
                "SESSION_CREATED_FIELD",
                Text,
                Realm,
                Sample("\"createdAt\""),
                "the column of the session table with the creation time, or `none`",
            ),
        ],
        "those of `SESSION_SCHEMA`",
        "the session table and its columns, if they differ from `SESSION_SCHEMA`; `none` if the app does not store the \
         creation time",
    ),
    row(
        &[
            entry(
                "USER_EMAIL_FIELD",
                Text,
                Realm,
                Dependent("\"email\""),
                "the column of `USER_TABLE` with the e-mail address, or `none`",
            ),
            entry(
                "USER_NAME_FIELD",
                Text,
                Realm,
                Dependent("\"name\""),
                "the column of `USER_TABLE` with the name, or `none`",
            ),
        ],
        "`email`, `name`",
        "columns of `USER_TABLE`, or `none`",
    ),
    row(
        &[
            entry(
                "USER_EMAIL_VERIFIED_FIELD",
                Text,
                Realm,
                Sample("\"emailVerified\""),
                "the column of `USER_TABLE` that shows whether the e-mail address is verified, or `none`",
            ),
            entry(
                "USER_ANONYMOUS_FIELD",
                Text,
                Realm,
                Sample("\"isAnonymous\""),
                "the column of `USER_TABLE` that shows whether the user is anonymous, or `none`",
            ),
            entry(
                "SESSION_IMPERSONATED_BY_FIELD",
                Text,
                Realm,
                Sample("\"impersonatedBy\""),
                "the column of the session table with the id of the admin who impersonates the user, or `none`",
            ),
        ],
        "those of `SESSION_SCHEMA`, if they exist",
        "columns with [further facts about the user](docs/database-sessions.md#what-else-is-read), or `none`",
    ),
    row(
        &[entry(
            "SESSION_TIME_ZONE",
            Text,
            Realm,
            Dependent("\"UTC\""),
            "",
        )],
        "UTC",
        "the zone of [times stored without one](docs/database-sessions.md#times): `Asia/Tokyo`, `+09:00`",
    ),
    row(
        &[entry(
            "SESSION_STORE",
            Choice(&["database", "redis", "redis-then-database"]),
            Realm,
            Dependent("\"database\""),
            "",
        )],
        "`database`",
        "where Better Auth stores sessions: `database`, `redis` or `redis-then-database`",
    ),
    row(
        &[entry(
            "BETTER_AUTH_REDIS_PREFIX",
            Text,
            Realm,
            Dependent("\"better-auth:\""),
            "",
        )],
        "`better-auth:`",
        "the prefix of Better Auth's keys in Redis, or `none`",
    ),
];

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
        "`true`: store users as [the word `true`](docs/operating.md#gates-that-know-no-more-than-true), during a \
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
        "`true` makes Redis tell the gate [at once](docs/revocation.md#redis) what changes there",
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
        "how long the gate trusts them in memory if it [is notified of \
         changes](docs/revocation.md#changes-that-are-heard-of)",
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
