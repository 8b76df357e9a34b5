//! Settings of sessions that the gate looks up.

use super::super::form::ExampleValue::{Dependent, Sample};
use super::super::form::Kind::{Choice, Text};
use super::super::form::Scope::Realm;
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
