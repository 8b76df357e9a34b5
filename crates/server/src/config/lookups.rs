//! Reads whether sessions are looked up, and where the app stores them.

mod schema;

use self::schema::Schema;
use super::reader::Reader;
use super::sessions::SessionFormat;
use stores::{
    Column, Need, SessionTables, StandingColumn, StandingColumns, Table, UserTable, Zone,
};

/// How sessions are looked up by their tokens.
#[derive(Clone, Copy, Debug)]
pub(super) struct SessionLookups {
    schema: Schema,
    store: SessionStore,
    format: SessionFormat,
    refuses_guests: bool,
}

/// The value of `SESSION_STORE`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum SessionStore {
    Database,
    Redis,
    RedisThenDatabase,
}

impl SessionLookups {
    /// Decides whether sessions of this format are looked up, or reports why they cannot be.
    pub(super) fn read(
        reader: &mut Reader<'_>,
        format: SessionFormat,
        warnings: &mut Vec<String>,
    ) -> Option<Self> {
        let default = match format {
            SessionFormat::AuthJs | SessionFormat::AuthJsSigned | SessionFormat::NextAuth => {
                report_unused(
                    reader,
                    &[SCHEMA, STORE],
                    "sessions of this SESSION_FORMAT are in their cookies and are not looked up",
                );
                return None;
            }
            SessionFormat::Auto if !reader.is_set(SCHEMA) => {
                let _ = reader.text(SCHEMA);
                if OF_BETTER_AUTH.iter().any(|name| reader.is_set(name)) {
                    warnings.push(NO_STORE.to_owned());
                }
                report_unused(
                    reader,
                    &[STORE],
                    "SESSION_SCHEMA is not set, so sessions are not looked up",
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
            let off_words = ["false", "0", "no", "off"];
            if reader
                .peek("TRUST_COOKIE_CACHE")
                .is_some_and(|word| off_words.contains(&word.trim().to_ascii_lowercase().as_str()))
            {
                warnings.push(ALL_REFUSED.to_owned());
            }
            report_unused(reader, &[], "there is no session store");
            return None;
        }
        let lookups = Self {
            schema,
            store,
            format,
            refuses_guests: false,
        };
        match (format, lookups.is_better_auth()) {
            (SessionFormat::AuthJsDatabase, true) => {
                reader.problem(
                    SCHEMA,
                    "sessions of Better Auth need SESSION_FORMAT=better-auth",
                );
            }
            (SessionFormat::BetterAuth, false) => {
                reader.problem(
                    SCHEMA,
                    "sessions of Auth.js need SESSION_FORMAT=authjs-database",
                );
            }
            _ => {}
        }
        if store != SessionStore::Database && !lookups.is_better_auth() {
            reader.problem(STORE, "only Better Auth stores sessions in Redis");
        }
        if store == SessionStore::RedisThenDatabase {
            warnings.push(REDIS_THEN_DATABASE.to_owned());
        }
        if store == SessionStore::Redis {
            report_unused_tables(reader, "SESSION_STORE is `redis`, so no table is read");
        }
        if store == SessionStore::Database && reader.is_set(PREFIX) {
            reader.problem(
                PREFIX,
                "SESSION_STORE is `database`, so sessions are not in Redis",
            );
        }
        Some(lookups)
    }

    /// Sets whether the realm refuses anonymous users. If it does, the column that marks them must be read.
    pub(super) fn refusing_guests(self, refuses_guests: bool) -> Self {
        Self {
            refuses_guests,
            ..self
        }
    }

    /// The column that marks anonymous users. If they are refused, it must be readable where it exists.
    fn needing(self, anonymous: StandingColumn) -> StandingColumn {
        match anonymous.need {
            Need::IfReadable if self.refuses_guests => StandingColumn {
                need: Need::IfPresent,
                ..anonymous
            },
            Need::Always | Need::IfReadable | Need::IfPresent => anonymous,
        }
    }

    /// Whether the tokens are those of Better Auth, and not the values of Auth.js cookies.
    pub(super) fn is_better_auth(self) -> bool {
        match self.schema {
            Schema::BetterAuth | Schema::BetterAuthDrizzle => true,
            Schema::Drizzle | Schema::PgAdapter | Schema::Prisma => false,
        }
    }

    /// Whether cookies of Auth.js may contain a token instead of an encrypted session.
    pub(super) fn makes_authjs_opaque(self) -> bool {
        !self.is_better_auth()
    }

    /// Whether sessions are looked up in the database.
    pub(super) fn needs_database(self) -> bool {
        self.store != SessionStore::Redis
    }

    /// Whether sessions are looked up only in the database, so that they are cached in Redis.
    pub(super) fn uses_only_database(self) -> bool {
        self.store == SessionStore::Database
    }

    /// Whether the lookup of a session also proves that its user exists.
    pub(super) fn proves_users(self) -> bool {
        self.store == SessionStore::Database && self.format != SessionFormat::Auto
    }

    /// The prefix of the keys of sessions in Redis, if they are there.
    pub(super) fn redis_prefix(self, reader: &mut Reader<'_>) -> Option<String> {
        if self.store == SessionStore::Database {
            return None;
        }
        let prefix = reader.parsed(PREFIX, "better-auth:".to_owned(), "a prefix");
        // An empty variable is treated as unset.
        Some(if prefix == NONE {
            String::new()
        } else {
            prefix
        })
    }

    /// The adapter's name for a column of Better Auth.
    pub(super) fn column(self, name: &str) -> String {
        match self.schema {
            Schema::BetterAuthDrizzle => snake_case(name),
            Schema::BetterAuth | Schema::Drizzle | Schema::PgAdapter | Schema::Prisma => {
                name.to_owned()
            }
        }
    }

    /// The user table that belongs to the session table.
    pub(super) fn user_table(self) -> &'static str {
        self.schema.names().users
    }

    /// Reads the session table and its columns; `users` is the user table.
    pub(super) fn tables(self, reader: &mut Reader<'_>, users: UserTable) -> Option<SessionTables> {
        let names = self.schema.names();
        let table = reader.read_or("SESSION_TABLE", names.table, Table::parse);
        let token = reader.read_or("SESSION_TOKEN_FIELD", names.token, Column::parse);
        let user = reader.read_or("SESSION_USER_FIELD", names.user, Column::parse);
        let expires = reader.read_or("SESSION_EXPIRES_FIELD", names.expires, Column::parse);
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
            null_is_unverified: self.is_better_auth(),
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

/// Reads a column, or `none`. The outer `None` means an invalid name.
fn optional(reader: &mut Reader<'_>, name: &str, default: &str) -> Option<Option<Column>> {
    reader.read_or(name, default, |text| match text {
        NONE => Ok(None),
        text => Column::parse(text).map(Some),
    })
}

/// Reads a column with a fact about a user, or `none`. A column that the operator names must exist and be readable; one that
/// only the schema names need not. The outer `None` means an invalid name.
fn standing(reader: &mut Reader<'_>, name: &str, default: &str) -> Option<Option<StandingColumn>> {
    let need = match reader.is_set(name) {
        true => Need::Always,
        false => Need::IfReadable,
    };
    let column = optional(reader, name, default)?;
    Some(column.map(|column| StandingColumn { column, need }))
}

/// Reports each of these settings, and each setting of tables and of the prefix, as a problem if it is set, because it has no
/// effect.
fn report_unused(reader: &mut Reader<'_>, names: &[&str], why: &str) {
    for name in names.iter().chain(&[PREFIX]) {
        if reader.is_set(name) {
            reader.problem(name, why);
        }
    }
    report_unused_tables(reader, why);
}

fn report_unused_tables(reader: &mut Reader<'_>, why: &str) {
    for name in TABLES {
        if reader.is_set(name) {
            reader.problem(name, why);
        }
    }
}

/// The warning about Better Auth without a session store. In Better Auth 1.7.25, the cache of a session that is not remembered
/// lives 60 s with `compact` and 300 s with the other strategies (`setCookieCache` in `dist/cookies/index.mjs`), and the app does
/// not renew it (`dist/api/routes/session.mjs`).
const NO_STORE: &str = "without a session store (SESSION_FORMAT=better-auth with DATABASE_URL or SESSION_STORE=redis), a \
                        session of Better Auth is accepted only while its cookie cache is valid. A session started \
                        with `rememberMe: false`, or of an admin who impersonates a user, is refused for good after \
                        60 s (300 s with the strategies `jwt` and `jwe`): the app does not renew their cache";

const ALL_REFUSED: &str = "TRUST_COOKIE_CACHE is off, and there is no session store: all sessions of Better Auth are refused";

/// The warning about `redis-then-database`, from `findSession` in Better Auth's `dist/db/internal-adapter.mjs`.
const REDIS_THEN_DATABASE: &str = "SESSION_STORE=redis-then-database is only for apps that set \
                                   `storeSessionInDatabase` without `preserveSessionInDatabase`. With both, the app \
                                   never reads sessions from its database, so the gate would accept sessions that \
                                   the app refuses: set SESSION_STORE=redis";

/// Settings that show that there is a Better Auth app, although its secret may be in a variable of Auth.js.
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

/// Settings that have an effect only if sessions are looked up in a database.
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

/// Settings that are read only if sessions are looked up.
pub(super) const NAMES: [&str; 13] = {
    let [a, b, c, d, e, f, g, h, i, j] = TABLES;
    [SCHEMA, STORE, PREFIX, a, b, c, d, e, f, g, h, i, j]
};

/// The word for a column that does not exist, or for no prefix.
const NONE: &str = "none";

#[cfg(test)]
mod tests;
