//! Whether sessions are looked up, and where the application keeps them.

use super::raw::Reader;
use super::sessions::SessionFormat;
use stores::{
    Column, Need, SessionTables, StandingColumn, StandingColumns, Table, UserTable, Zone,
};

/// Sessions are looked up by their tokens.
#[derive(Clone, Copy, Debug)]
pub(super) struct SessionLookups {
    schema: Schema,
    store: SessionStore,
    format: SessionFormat,
    refuses_guests: bool,
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
struct TableNames {
    table: &'static str,
    token: &'static str,
    user: &'static str,
    expires: &'static str,
    created: &'static str,
    users: &'static str,
    verified: &'static str,
    anonymous: &'static str,
    impersonated_by: &'static str,
}

impl SessionLookups {
    /// Decides whether sessions of this format are looked up, or notes why that cannot be done.
    pub(super) fn read(
        reader: &mut Reader<'_>,
        format: SessionFormat,
        warnings: &mut Vec<String>,
    ) -> Option<Self> {
        let default = match format {
            SessionFormat::AuthJs | SessionFormat::AuthJsSigned | SessionFormat::NextAuth => {
                idle(
                    reader,
                    &[SCHEMA, STORE],
                    "the sessions of this SESSION_FORMAT are in their cookies; nothing is looked up",
                );
                return None;
            }
            SessionFormat::Auto if !reader.is_set(SCHEMA) => {
                let _ = reader.text(SCHEMA);
                if OF_BETTER_AUTH.iter().any(|name| reader.is_set(name)) {
                    warnings.push(NO_STORE.to_owned());
                }
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
            warnings.push(NO_STORE.to_owned());
            let asks_always = ["false", "0", "no", "off"];
            if reader.peek("TRUST_COOKIE_CACHE").is_some_and(|word| {
                asks_always.contains(&word.trim().to_ascii_lowercase().as_str())
            }) {
                warnings.push(NOBODY_ENTERS.to_owned());
            }
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
            refuses_guests: false,
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
        if store == SessionStore::RedisThenDatabase {
            warnings.push(REDIS_THEN_DATABASE.to_owned());
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

    /// The same, where guests may not enter: then it matters whether a user is one.
    pub(super) fn refusing_guests(self, refuses_guests: bool) -> Self {
        Self {
            refuses_guests,
            ..self
        }
    }

    /// The column that says who is a guest. Where guests are refused, one that is there must be read.
    fn needing(self, anonymous: StandingColumn) -> StandingColumn {
        match anonymous.need {
            Need::IfReadable if self.refuses_guests => StandingColumn {
                need: Need::IfThere,
                ..anonymous
            },
            Need::Always | Need::IfReadable | Need::IfThere => anonymous,
        }
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

    /// Whether nobody but the database is asked, so that its answers are cached in Redis.
    pub(super) fn are_in_database_alone(self) -> bool {
        self.store == SessionStore::Database
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

    /// What the adapter makes of the name of a column that Better Auth itself calls so.
    pub(super) fn column(self, name: &str) -> String {
        match self.schema {
            Schema::BetterAuthDrizzle => snake_case(name),
            Schema::BetterAuth | Schema::Drizzle | Schema::PgAdapter | Schema::Prisma => {
                name.to_owned()
            }
        }
    }

    /// The table of users that goes with the sessions.
    pub(super) fn user_table(self) -> &'static str {
        self.schema.names().users
    }

    /// Where the database keeps sessions, beside `users`.
    pub(super) fn tables(self, reader: &mut Reader<'_>, users: UserTable) -> Option<SessionTables> {
        let names = self.schema.names();
        let table = reader.named("SESSION_TABLE", names.table, Table::parse);
        let token = reader.named("SESSION_TOKEN_FIELD", names.token, Column::parse);
        let user = reader.named("SESSION_USER_FIELD", names.user, Column::parse);
        let expires = reader.named("SESSION_EXPIRES_FIELD", names.expires, Column::parse);
        let created = optional(reader, "SESSION_CREATED_FIELD", names.created);
        let email = optional(reader, "USER_EMAIL_FIELD", "email");
        let name = optional(reader, "USER_NAME_FIELD", "name");
        let time_zone = reader.read("SESSION_TIME_ZONE", Zone::parse);
        let verified = standing(reader, "USER_EMAIL_VERIFIED_FIELD", names.verified);
        let anonymous = standing(reader, "USER_ANONYMOUS_FIELD", names.anonymous);
        let impersonated_by = standing(
            reader,
            "SESSION_IMPERSONATED_BY_FIELD",
            names.impersonated_by,
        );
        let standing = StandingColumns {
            verified: verified?,
            null_is_unverified: self.are_of_better_auth(),
            anonymous: anonymous?.map(|anonymous| self.needing(anonymous)),
            impersonated_by: impersonated_by?,
        };
        Some(SessionTables {
            table: table?,
            token: token?,
            user: user?,
            expires: expires?,
            created: created?,
            users,
            email: email?,
            name: name?,
            time_zone,
            standing,
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
    fn names(self) -> TableNames {
        let authjs = TableNames {
            table: "session",
            token: "sessionToken",
            user: "userId",
            expires: "expires",
            created: NONE,
            users: "user",
            verified: "emailVerified",
            anonymous: NONE,
            impersonated_by: NONE,
        };
        match self {
            Self::Drizzle => authjs,
            Self::PgAdapter => TableNames {
                table: "sessions",
                users: "users",
                ..authjs
            },
            Self::Prisma => TableNames {
                table: "Session",
                users: "User",
                ..authjs
            },
            Self::BetterAuth => TableNames {
                token: "token",
                expires: "expiresAt",
                created: "createdAt",
                anonymous: "isAnonymous",
                impersonated_by: "impersonatedBy",
                ..authjs
            },
            Self::BetterAuthDrizzle => TableNames {
                token: "token",
                user: "user_id",
                expires: "expires_at",
                created: "created_at",
                verified: "email_verified",
                anonymous: "is_anonymous",
                impersonated_by: "impersonated_by",
                ..authjs
            },
        }
    }
}

fn snake_case(name: &str) -> String {
    let mut snake = String::new();
    for char in name.chars() {
        if char.is_ascii_uppercase() {
            snake.push('_');
        }
        snake.push(char.to_ascii_lowercase());
    }
    snake
}

/// A column, or `none`. The outer `None` is for a name that is wrong.
fn optional(reader: &mut Reader<'_>, name: &str, default: &str) -> Option<Option<Column>> {
    reader.named(name, default, |text| match text {
        NONE => Ok(None),
        text => Column::parse(text).map(Some),
    })
}

/// A column that says something about a user, or `none`. One that the operator names must be there; one that only the
/// schema names may be missing, and may be out of our reach. The outer `None` is for a name that is wrong.
fn standing(reader: &mut Reader<'_>, name: &str, default: &str) -> Option<Option<StandingColumn>> {
    let need = match reader.is_set(name) {
        true => Need::Always,
        false => Need::IfReadable,
    };
    let column = optional(reader, name, default)?;
    Some(column.map(|column| StandingColumn { column, need }))
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

/// Better Auth 1.7.25: `dist/cookies/index.mjs` `setCookieCache` has 60 s for `compact` and 300 s for the others where a
/// session is not remembered, and `dist/api/routes/session.mjs` does not write the cache of such a session anew.
const NO_STORE: &str = "without a session store (SESSION_FORMAT=better-auth with DATABASE_URL or SESSION_STORE=redis), a \
                        session of Better Auth enters only while its cookie cache counts. One that was started with \
                        `rememberMe: false`, and one of an admin who impersonates a user, is refused for good after 60 s \
                        (300 s with the strategies `jwt` and `jwe`): the app does not renew their cache";

const NOBODY_ENTERS: &str =
    "TRUST_COOKIE_CACHE is off, and there is no session store: no session of Better Auth enters";

/// `dist/db/internal-adapter.mjs` `findSession`.
const REDIS_THEN_DATABASE: &str = "SESSION_STORE=redis-then-database is for an app with `storeSessionInDatabase` alone. If \
                                   it has `preserveSessionInDatabase` too, it reads no session from its database, and a \
                                   session that is gone from Redis enters here and not there: set SESSION_STORE=redis";

/// What says that there is a Better Auth app, where its secret may be that of Auth.js.
const OF_BETTER_AUTH: [&str; 5] = [
    "BETTER_AUTH_SECRET",
    "BETTER_AUTH_SECRETS",
    "BETTER_AUTH_COOKIE_PREFIX",
    "BETTER_AUTH_CACHE_STRATEGY",
    "BETTER_AUTH_CACHE_VERSION",
];

const SCHEMA: &str = "SESSION_SCHEMA";
const STORE: &str = "SESSION_STORE";
const PREFIX: &str = "BETTER_AUTH_REDIS_PREFIX";

/// What only matters where sessions are looked up in a database.
const TABLES: [&str; 10] = [
    "SESSION_TABLE",
    "SESSION_TOKEN_FIELD",
    "SESSION_USER_FIELD",
    "SESSION_EXPIRES_FIELD",
    "SESSION_CREATED_FIELD",
    "USER_EMAIL_FIELD",
    "USER_NAME_FIELD",
    "USER_EMAIL_VERIFIED_FIELD",
    "USER_ANONYMOUS_FIELD",
    "SESSION_IMPERSONATED_BY_FIELD",
];

/// What else is read only where sessions are looked up.
pub(super) const NAMES: [&str; 13] = {
    let [a, b, c, d, e, f, g, h, i, j] = TABLES;
    [SCHEMA, STORE, PREFIX, a, b, c, d, e, f, g, h, i, j]
};

/// In place of a column that does not exist, or of a prefix.
const NONE: &str = "none";

#[cfg(test)]
mod tests;
