//! Whether sessions are looked up, and where the application keeps them.

use super::raw::Reader;
use super::sessions::SessionFormat;
use super::stores::identifier;
use crate::store::{Column, SessionTables, Table, UserTable};

/// Sessions are looked up by their tokens.
#[derive(Clone, Copy, Debug)]
pub(super) struct SessionLookups {
    schema: Schema,
    store: SessionStore,
    format: SessionFormat,
}

/// `SESSION_STORE`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum SessionStore {
    Database,
    Redis,
    RedisThenDatabase,
}

/// `SESSION_SCHEMA`: what an adapter calls its tables and columns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Schema {
    BetterAuth,
    BetterAuthDrizzle,
    Drizzle,
    PgAdapter,
    Prisma,
}

/// The names of a [`Schema`].
struct Names {
    table: &'static str,
    token: &'static str,
    user: &'static str,
    expires: &'static str,
    created: &'static str,
    users: &'static str,
}

impl SessionLookups {
    /// Decides whether sessions of this format are looked up, or notes why that cannot be done.
    pub(super) fn read(
        reader: &mut Reader<'_>,
        format: SessionFormat,
        warnings: &mut Vec<String>,
    ) -> Option<Self> {
        let default = match format {
            SessionFormat::AuthJs | SessionFormat::NextAuth => {
                idle(
                    reader,
                    &[SCHEMA, STORE],
                    "the sessions of this SESSION_FORMAT are in their cookies; nothing is looked up",
                );
                return None;
            }
            SessionFormat::Auto if !reader.is_set(SCHEMA) => {
                let _ = reader.text(SCHEMA);
                idle(
                    reader,
                    &[STORE],
                    "sessions are looked up only when SESSION_SCHEMA says how they are stored",
                );
                return None;
            }
            SessionFormat::Auto | SessionFormat::AuthJsDatabase => Schema::PgAdapter,
            SessionFormat::BetterAuth => Schema::BetterAuth,
        };
        let chosen = [SCHEMA, STORE, "DATABASE_URL", "POSTGRES_HOST"]
            .iter()
            .any(|name| reader.is_set(name));
        let schema = reader.choice(SCHEMA, default, &Schema::WORDS);
        let store = reader.choice(STORE, SessionStore::Database, &SessionStore::WORDS);
        if format == SessionFormat::BetterAuth && !chosen {
            warnings.push(
                "without a session store (DATABASE_URL, or SESSION_STORE=redis), a session whose cookie cache has ended \
                 is refused"
                    .to_owned(),
            );
            idle(
                reader,
                &[],
                "there is no session store that it could be about",
            );
            return None;
        }
        let lookups = Self {
            schema,
            store,
            format,
        };
        match (format, lookups.are_of_better_auth()) {
            (SessionFormat::AuthJsDatabase, true) => {
                reader.problem(
                    SCHEMA,
                    "the sessions of Better Auth need SESSION_FORMAT=better-auth",
                );
            }
            (SessionFormat::BetterAuth, false) => {
                reader.problem(
                    SCHEMA,
                    "the sessions of Auth.js need SESSION_FORMAT=authjs-database",
                );
            }
            _ => {}
        }
        if store != SessionStore::Database && !lookups.are_of_better_auth() {
            reader.problem(STORE, "only Better Auth keeps sessions in Redis");
        }
        if store == SessionStore::Redis {
            idle_tables(reader, "SESSION_STORE is `redis`, so no table is asked");
        }
        if store == SessionStore::Database && reader.is_set(PREFIX) {
            reader.problem(
                PREFIX,
                "SESSION_STORE is `database`, so no session is in Redis",
            );
        }
        Some(lookups)
    }

    /// Whether the tokens are Better Auth's. Otherwise they are the values of Auth.js cookies.
    pub(super) fn are_of_better_auth(self) -> bool {
        match self.schema {
            Schema::BetterAuth | Schema::BetterAuthDrizzle => true,
            Schema::Drizzle | Schema::PgAdapter | Schema::Prisma => false,
        }
    }

    /// Whether the cookies of Auth.js may hold a token in place of an encrypted session.
    pub(super) fn make_authjs_opaque(self) -> bool {
        !self.are_of_better_auth()
    }

    /// Whether the database is asked.
    pub(super) fn need_database(self) -> bool {
        self.store != SessionStore::Redis
    }

    /// Whether each session is looked up together with its user, sooner or later.
    pub(super) fn prove_users(self) -> bool {
        self.store == SessionStore::Database && self.format != SessionFormat::Auto
    }

    /// What the keys of sessions in Redis start with, if they are there.
    pub(super) fn redis_prefix(self, reader: &mut Reader<'_>) -> Option<String> {
        if self.store == SessionStore::Database {
            return None;
        }
        let prefix = reader.parsed(PREFIX, "better-auth:".to_owned(), "a prefix");
        // A variable that is set to nothing counts as not set.
        Some(if prefix == NONE {
            String::new()
        } else {
            prefix
        })
    }

    /// The table of users that goes with the sessions.
    pub(super) fn user_table(self) -> &'static str {
        self.schema.names().users
    }

    /// Where the database keeps sessions, beside `users`.
    pub(super) fn tables(self, reader: &mut Reader<'_>, users: UserTable) -> Option<SessionTables> {
        let names = self.schema.names();
        let table = identifier(reader, "SESSION_TABLE", names.table, Table::parse);
        let token = identifier(reader, "SESSION_TOKEN_FIELD", names.token, Column::parse);
        let user = identifier(reader, "SESSION_USER_FIELD", names.user, Column::parse);
        let expires = identifier(
            reader,
            "SESSION_EXPIRES_FIELD",
            names.expires,
            Column::parse,
        );
        let created = optional(reader, "SESSION_CREATED_FIELD", names.created);
        let email = optional(reader, "USER_EMAIL_FIELD", "email");
        let name = optional(reader, "USER_NAME_FIELD", "name");
        Some(SessionTables {
            table: table?,
            token: token?,
            user: user?,
            expires: expires?,
            created: created?,
            users,
            email: email?,
            name: name?,
        })
    }
}

impl SessionStore {
    const WORDS: [(&'static str, Self); 3] = [
        ("database", Self::Database),
        ("redis", Self::Redis),
        ("redis-then-database", Self::RedisThenDatabase),
    ];
}

impl Schema {
    const WORDS: [(&'static str, Self); 5] = [
        ("pg-adapter", Self::PgAdapter),
        ("drizzle", Self::Drizzle),
        ("prisma", Self::Prisma),
        ("better-auth", Self::BetterAuth),
        ("better-auth-drizzle", Self::BetterAuthDrizzle),
    ];

    /// The sources: `@auth/pg-adapter` `src/index.ts`, `@auth/drizzle-adapter` `src/lib/pg.ts`, `@auth/prisma-adapter`
    /// `src/index.ts`, `better-auth` `db/get-migration.mjs`, and the generator of `auth` for Drizzle.
    fn names(self) -> Names {
        let authjs = Names {
            table: "session",
            token: "sessionToken",
            user: "userId",
            expires: "expires",
            created: NONE,
            users: "user",
        };
        match self {
            Self::Drizzle => authjs,
            Self::PgAdapter => Names {
                table: "sessions",
                users: "users",
                ..authjs
            },
            Self::Prisma => Names {
                table: "Session",
                users: "User",
                ..authjs
            },
            Self::BetterAuth => Names {
                token: "token",
                expires: "expiresAt",
                created: "createdAt",
                ..authjs
            },
            Self::BetterAuthDrizzle => Names {
                token: "token",
                user: "user_id",
                expires: "expires_at",
                created: "created_at",
                ..authjs
            },
        }
    }
}

/// A column, or `none`. The outer `None` is for a name that is wrong.
fn optional(reader: &mut Reader<'_>, name: &str, default: &str) -> Option<Option<Column>> {
    identifier(reader, name, default, |text| match text {
        NONE => Ok(None),
        text => Column::parse(text).map(Some),
    })
}

/// Notes a problem for each of these, and of all the names and the prefix, that is set though it has no effect.
fn idle(reader: &mut Reader<'_>, names: &[&str], why: &str) {
    for name in names.iter().chain(&[PREFIX]) {
        if reader.is_set(name) {
            reader.problem(name, why);
        }
    }
    idle_tables(reader, why);
}

fn idle_tables(reader: &mut Reader<'_>, why: &str) {
    for name in TABLES {
        if reader.is_set(name) {
            reader.problem(name, why);
        }
    }
}

const SCHEMA: &str = "SESSION_SCHEMA";
const STORE: &str = "SESSION_STORE";
const PREFIX: &str = "BETTER_AUTH_REDIS_PREFIX";

/// What only matters where sessions are looked up in a database.
const TABLES: [&str; 7] = [
    "SESSION_TABLE",
    "SESSION_TOKEN_FIELD",
    "SESSION_USER_FIELD",
    "SESSION_EXPIRES_FIELD",
    "SESSION_CREATED_FIELD",
    "USER_EMAIL_FIELD",
    "USER_NAME_FIELD",
];

/// In place of a column that does not exist, or of a prefix.
const NONE: &str = "none";

#[cfg(test)]
mod tests {
    use crate::config::{Config, ConfigErrors, Variables};
    use crate::store::{Column, SessionTables, Settings, Table, UserTable};

    const DATABASE: (&str, &str) = ("DATABASE_URL", "postgres://gate@db/app");
    const REDIS: (&str, &str) = ("REDIS_URL", "redis://cache");

    fn config(pairs: &[(&'static str, &str)]) -> Result<Config, ConfigErrors> {
        let base = [
            ("UPSTREAM", "http://127.0.0.1:3000".to_owned()),
            (
                "AUTH_SECRET",
                "0123456789abcdef0123456789abcdef0123".to_owned(),
            ),
        ];
        let pairs = pairs
            .iter()
            .map(|(name, value)| (*name, (*value).to_owned()));
        Config::from_variables(&Variables::default().with(base).with(pairs))
    }

    fn stores(pairs: &[(&'static str, &str)]) -> Option<Settings> {
        config(pairs).unwrap().stores
    }

    /// The names of the variables that are wrong.
    fn problems(pairs: &[(&'static str, &str)]) -> String {
        let errors = config(pairs).expect_err("a problem");
        let names: Vec<_> = errors
            .problems()
            .iter()
            .map(|problem| &*problem.name)
            .collect();
        names.join(" ")
    }

    fn tables(pairs: &[(&'static str, &str)]) -> Option<SessionTables> {
        stores(pairs)?.database?.sessions
    }

    /// Table, token, user, expires, created, table of users, id, e-mail, name.
    fn named(names: [&str; 9]) -> Option<SessionTables> {
        let column = |name: &str| Column::parse(name).unwrap();
        let optional = |name: &str| (name != "none").then(|| column(name));
        let [table, token, user, expires, created, users, id, email, name] = names;
        Some(SessionTables {
            table: Table::parse(table).unwrap(),
            token: column(token),
            user: column(user),
            expires: column(expires),
            created: optional(created),
            users: UserTable {
                table: Table::parse(users).unwrap(),
                id: column(id),
            },
            email: optional(email),
            name: optional(name),
        })
    }

    #[test]
    fn every_schema_has_the_names_of_its_adapter_and_each_can_be_another() {
        let [authjs, better_auth] = ["authjs-database", "better-auth"];
        for (format, schema, [table, token, user, expires, created, users]) in [
            (
                authjs,
                "pg-adapter",
                [
                    "sessions",
                    "sessionToken",
                    "userId",
                    "expires",
                    "none",
                    "users",
                ],
            ),
            (
                authjs,
                "drizzle",
                [
                    "session",
                    "sessionToken",
                    "userId",
                    "expires",
                    "none",
                    "user",
                ],
            ),
            (
                authjs,
                "prisma",
                [
                    "Session",
                    "sessionToken",
                    "userId",
                    "expires",
                    "none",
                    "User",
                ],
            ),
            (
                better_auth,
                "better-auth",
                [
                    "session",
                    "token",
                    "userId",
                    "expiresAt",
                    "createdAt",
                    "user",
                ],
            ),
            (
                better_auth,
                "better-auth-drizzle",
                [
                    "session",
                    "token",
                    "user_id",
                    "expires_at",
                    "created_at",
                    "user",
                ],
            ),
        ] {
            let expected = named([
                table, token, user, expires, created, users, "id", "email", "name",
            ]);
            for format in [format, "auto"] {
                let settings = [
                    ("SESSION_FORMAT", format),
                    ("SESSION_SCHEMA", schema),
                    DATABASE,
                ];
                assert_eq!(tables(&settings), expected, "{format} {schema}");
                assert!(stores(&settings).unwrap().database.unwrap().users.is_none());
            }
            let checked = [
                ("SESSION_SCHEMA", schema),
                ("ENABLE_DB_CHECK", "true"),
                DATABASE,
            ];
            let database = stores(&checked).unwrap().database.unwrap();
            assert_eq!(
                database.users,
                expected.map(|tables| tables.users),
                "{schema}"
            );
        }
        let others = [
            DATABASE,
            ("SESSION_SCHEMA", "prisma"),
            ("SESSION_TABLE", "auth.Sitzung"),
            ("SESSION_TOKEN_FIELD", "a"),
            ("SESSION_USER_FIELD", "b"),
            ("SESSION_EXPIRES_FIELD", "c"),
            ("SESSION_CREATED_FIELD", "d"),
            ("USER_TABLE", "auth.People"),
            ("USER_ID_FIELD", "e"),
            ("USER_EMAIL_FIELD", "none"),
            ("USER_NAME_FIELD", "f"),
        ];
        let expected = named([
            "auth.Sitzung",
            "a",
            "b",
            "c",
            "d",
            "auth.People",
            "e",
            "none",
            "f",
        ]);
        assert_eq!(tables(&others), expected);
        let wrong = [
            DATABASE,
            ("SESSION_SCHEMA", "prisma"),
            ("SESSION_TABLE", "a.b.c"),
        ];
        assert_eq!(problems(&wrong), "SESSION_TABLE");
    }

    #[test]
    fn what_is_looked_up_follows_from_the_format() {
        let [database, better_auth, auto] =
            ["authjs-database", "better-auth", "auto"].map(|format| ("SESSION_FORMAT", format));
        assert!(
            tables(&[database, DATABASE]).is_some_and(|tables| Some(tables)
                == named([
                    "sessions",
                    "sessionToken",
                    "userId",
                    "expires",
                    "none",
                    "users",
                    "id",
                    "email",
                    "name"
                ]))
        );
        assert_eq!(problems(&[database]), "DATABASE_URL");
        assert!(
            tables(&[better_auth, DATABASE]).is_some_and(|tables| Some(tables)
                == named([
                    "session",
                    "token",
                    "userId",
                    "expiresAt",
                    "createdAt",
                    "user",
                    "id",
                    "email",
                    "name"
                ]))
        );
        assert!(tables(&[better_auth, ("POSTGRES_HOST", "db")]).is_some());
        assert!(stores(&[auto, DATABASE]).is_none());
        assert_eq!(
            problems(&[auto, ("SESSION_SCHEMA", "drizzle")]),
            "DATABASE_URL"
        );

        let cookies_only = config(&[better_auth]).unwrap();
        assert!(cookies_only.stores.is_none());
        assert!(
            cookies_only
                .warnings
                .iter()
                .any(|warning| warning.contains("session store"))
        );
        assert_eq!(
            problems(&[better_auth, ("SESSION_SCHEMA", "better-auth")]),
            "DATABASE_URL"
        );

        // Users are checked in their own table, whatever happens to sessions.
        let checked = stores(&[DATABASE, ("ENABLE_DB_CHECK", "true")])
            .unwrap()
            .database
            .unwrap();
        assert!(checked.sessions.is_none());
        assert_eq!(checked.users.unwrap().table, Table::parse("users").unwrap());
    }

    #[test]
    fn a_deleted_user_is_warned_of_where_nobody_would_notice() {
        let warned = |pairs: &[(&'static str, &str)]| {
            let warnings = config(pairs).unwrap().warnings;
            warnings
                .iter()
                .any(|warning| warning.starts_with("ENABLE_DB_CHECK is off"))
        };
        assert!(warned(&[]));
        assert!(warned(&[DATABASE, ("SESSION_SCHEMA", "prisma")]));
        assert!(warned(&[
            REDIS,
            ("SESSION_FORMAT", "better-auth"),
            ("SESSION_STORE", "redis")
        ]));
        assert!(!warned(&[DATABASE, ("SESSION_FORMAT", "authjs-database")]));
        assert!(!warned(&[DATABASE, ("ENABLE_DB_CHECK", "true")]));
    }

    #[test]
    fn better_auth_may_keep_sessions_in_redis() {
        let better_auth = ("SESSION_FORMAT", "better-auth");
        let redis = ("SESSION_STORE", "redis");
        let settings = stores(&[better_auth, redis, REDIS]).unwrap();
        assert_eq!(
            settings.redis.unwrap().sessions.as_deref(),
            Some("better-auth:")
        );
        assert!(settings.database.is_none());

        let settings = stores(&[
            better_auth,
            redis,
            REDIS,
            DATABASE,
            ("ENABLE_DB_CHECK", "true"),
        ])
        .unwrap();
        let database = settings.database.unwrap();
        assert!(database.sessions.is_none());
        assert_eq!(database.users.unwrap().table, Table::parse("user").unwrap());

        let both = [
            better_auth,
            ("SESSION_STORE", "redis-then-database"),
            REDIS,
            DATABASE,
            ("BETTER_AUTH_REDIS_PREFIX", "app:"),
        ];
        let settings = stores(&both).unwrap();
        assert_eq!(settings.redis.unwrap().sessions.as_deref(), Some("app:"));
        assert!(settings.database.unwrap().sessions.is_some());
        assert!(
            stores(&[better_auth, REDIS, DATABASE])
                .unwrap()
                .redis
                .unwrap()
                .sessions
                .is_none()
        );

        let bare = [
            better_auth,
            redis,
            REDIS,
            ("BETTER_AUTH_REDIS_PREFIX", "none"),
        ];
        let settings = stores(&bare).unwrap();
        assert_eq!(settings.redis.unwrap().sessions.as_deref(), Some(""));

        assert_eq!(problems(&[better_auth, redis]), "REDIS_URL");
        assert_eq!(
            problems(&[better_auth, redis, REDIS, ("SESSION_TABLE", "x")]),
            "SESSION_TABLE"
        );
        assert_eq!(problems(&[both[0], both[1], REDIS]), "DATABASE_URL");
    }

    #[test]
    fn what_makes_no_sense_together_is_refused() {
        for (pairs, names) in [
            (
                &[("SESSION_FORMAT", "authjs"), ("SESSION_SCHEMA", "drizzle")][..],
                "SESSION_SCHEMA",
            ),
            (
                &[
                    ("SESSION_FORMAT", "nextauth"),
                    ("USER_NAME_FIELD", "x"),
                    ("SESSION_STORE", "redis"),
                ],
                "SESSION_STORE USER_NAME_FIELD",
            ),
            (&[("SESSION_TABLE", "x")], "SESSION_TABLE"),
            (&[("SESSION_STORE", "redis"), REDIS], "SESSION_STORE"),
            (
                &[
                    ("SESSION_FORMAT", "better-auth"),
                    ("BETTER_AUTH_REDIS_PREFIX", "x"),
                ],
                "BETTER_AUTH_REDIS_PREFIX",
            ),
            (
                &[
                    ("SESSION_FORMAT", "better-auth"),
                    DATABASE,
                    ("BETTER_AUTH_REDIS_PREFIX", "x"),
                ],
                "BETTER_AUTH_REDIS_PREFIX",
            ),
            (
                &[
                    ("SESSION_FORMAT", "better-auth"),
                    DATABASE,
                    ("SESSION_SCHEMA", "prisma"),
                ],
                "SESSION_SCHEMA",
            ),
            (
                &[
                    ("SESSION_FORMAT", "authjs-database"),
                    DATABASE,
                    ("SESSION_SCHEMA", "better-auth"),
                ],
                "SESSION_SCHEMA",
            ),
            (
                &[
                    ("SESSION_FORMAT", "authjs-database"),
                    DATABASE,
                    REDIS,
                    ("SESSION_STORE", "redis-then-database"),
                ],
                "SESSION_STORE",
            ),
            (&[DATABASE, ("SESSION_SCHEMA", "mongodb")], "SESSION_SCHEMA"),
        ] {
            assert_eq!(problems(pairs), names, "{pairs:?}");
        }
    }
}
