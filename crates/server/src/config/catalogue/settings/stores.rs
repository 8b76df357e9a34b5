//! Sessions that are looked up, users, and the stores of both.

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
        "by `SESSION_FORMAT`",
        "whose tables: `pg-adapter`, `drizzle`, `prisma`, `better-auth`, `better-auth-drizzle`",
    ),
    row(
        &[
            entry(
                "SESSION_TABLE",
                Text,
                Realm,
                Sample("\"sessions\""),
                "the table of sessions (or `schema.table`), where it is not the schema's",
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
                "the column of the session table with the time at which the session ends",
            ),
            entry(
                "SESSION_CREATED_FIELD",
                Text,
                Realm,
                Sample("\"createdAt\""),
                "the column of the session table with the time at which the session began, or `none`",
            ),
        ],
        "by the schema",
        "other names than the schema's; `none` for a time of creation that is not kept",
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
                "the column of `USER_TABLE` that says whether the address is verified, or `none`",
            ),
            entry(
                "USER_ANONYMOUS_FIELD",
                Text,
                Realm,
                Sample("\"isAnonymous\""),
                "the column of `USER_TABLE` that says whether the user is a guest, or `none`",
            ),
            entry(
                "SESSION_IMPERSONATED_BY_FIELD",
                Text,
                Realm,
                Sample("\"impersonatedBy\""),
                "the column of the session table that names the admin who acts for the user, or `none`",
            ),
        ],
        "by the schema, as far as they are there",
        "columns that say [more about the user](docs/database-sessions.md#what-else-is-read), or `none`",
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
        "where [times without a zone](docs/database-sessions.md#times) are read: `Asia/Tokyo`, `+09:00`",
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
        "where Better Auth keeps sessions: also `redis`, `redis-then-database`",
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
        "what its keys in Redis begin with, or `none`",
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
        "look every user up, so that a deleted one is refused",
    ),
    row(
        &[entry(
            "DATABASE_URL",
            SecretUrl,
            Database,
            Sample("\"postgres://gate:${DATABASE_PASSWORD}@db/app\""),
            "",
        )],
        "required by look-ups",
        "`postgres://…` or `sqlite://…`; [what may stand behind the `?`](docs/connections.md)",
    ),
    row(
        &[
            entry(
                "POSTGRES_HOST",
                Address,
                Database,
                Sample("\"db\""),
                "the host of PostgreSQL, in place of a URL",
            ),
            entry(
                "POSTGRES_PORT",
                Port,
                Database,
                Dependent("5432"),
                "the port of PostgreSQL, where the URL has none",
            ),
            entry(
                "POSTGRES_DB",
                Text,
                Database,
                Dependent("\"postgres\""),
                "the database in PostgreSQL, where the URL has none",
            ),
            entry(
                "POSTGRES_USER",
                Text,
                Database,
                Dependent("\"postgres\""),
                "the user in PostgreSQL, where the URL has none",
            ),
            entry(
                "POSTGRES_PASSWORD",
                Secret,
                Database,
                Sample("\"${POSTGRES_PASSWORD}\""),
                "the password in PostgreSQL, where the URL has none",
            ),
            entry(
                "POSTGRES_SSLMODE",
                Text,
                Database,
                Dependent("\"prefer\""),
                "`disable`, `prefer`, `require`, `verify-ca` or `verify-full`, where the URL has none",
            ),
        ],
        "what the URL says",
        "in place of the URL, or the parts that it lacks",
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
        "the database of `DATABASE_URL` past any pooler, to [hear of changes](docs/revocation.md#postgresql)",
    ),
    row(
        &[
            entry(
                "USER_TABLE",
                Text,
                Realm,
                Dependent("\"users\""),
                "the table (or `schema.table`) of users; by default `users`, or that of the schema",
            ),
            entry(
                "USER_ID_FIELD",
                Text,
                Realm,
                Dependent("\"id\""),
                "the column that session subjects are found in",
            ),
        ],
        "`users` or the schema's, `id`",
        "the table (or `schema.table`) and the column that session subjects are found in",
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
        "the most connections to it",
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
        "the shared cache, `redis://…` or `rediss://…`, or `redis+sentinel://…` or `redis+cluster://…`; [more](docs/connections.md#redis)",
    ),
    row(
        &[
            entry(
                "REDIS_HOST",
                Address,
                Redis,
                Sample("\"cache\""),
                "the host of Redis, in place of a URL",
            ),
            entry(
                "REDIS_PORT",
                Port,
                Redis,
                Dependent("6379"),
                "the port of Redis, where the URL has none",
            ),
            entry(
                "REDIS_USERNAME",
                Text,
                Redis,
                Sample("\"gate\""),
                "the user in Redis, where the URL has none",
            ),
            entry(
                "REDIS_PASSWORD",
                Secret,
                Redis,
                Sample("\"${REDIS_PASSWORD}\""),
                "the password in Redis, where the URL has none",
            ),
        ],
        "what the URL says",
        "in place of the URL, or the parts that it lacks",
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
        "how long a request waits for Redis before the database is asked instead",
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
        "how long Redis vouches for a user or a session",
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
        "what stands before the user id, or `session:` and a hash, in a key",
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
        "`true`: write and read that a user exists as [the word `true`](docs/operating.md#gates-that-know-no-more-than-true), for a \
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
        "hear from Redis what changes there, [at once](docs/revocation.md#redis)",
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
        "PEM certificates to trust for `rediss://`",
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
        "how long this process vouches for a user or a session",
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
        "the same for what it hears of when it changes ([revocation](docs/revocation.md#changes-that-are-heard-of))",
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
        "the most users, and sessions, it remembers",
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
        "the most bytes that users, and sessions, take there",
    ),
    row(
        &[entry("STALE_IF_DOWN", Seconds, Stores, Dependent("0"), "")],
        "`0` s (off)",
        "how long beyond its time an answer counts [while the database gives none](docs/operating.md#while-the-database-is-down)",
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
        "how long \"no such user\", or session, is remembered",
    ),
];
