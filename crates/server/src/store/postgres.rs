//! The truth in PostgreSQL: one statement, one bound parameter, one round trip.
//!
//! A row is asked for by a key, a user's id or a session's token, as `WHERE k."id" = $1::bigint AND k."id"::text = $1`.
//! The first half finds the row through the index, which needs the column's own type on the right-hand side; the
//! second half insists that what we were given is *the* spelling of that key. Otherwise `007` would be user 7 under a
//! second name: another cache entry, another `X-User-Id` for the service behind us. The comparison is made byte by byte
//! (`COLLATE "C"`), whatever the column's own collation thinks of upper and lower case.
//!
//! The type of the column is read from the catalog and read again whenever it seems to have changed. Domains count as
//! the type that they are based on. Views work; whether they use an index is up to them.
//!
//! Times are asked for as seconds since 1970. For a `timestamptz` that is absolute; a `timestamp` without a zone is
//! taken for UTC, which is what Drizzle and Prisma write (`drizzle-orm` `pg-core/columns/timestamp.js`). The time zone
//! of the server, the database or the role plays no part in either.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use gate::{Source, StoreError};
use session::UnixTime;
use sqlx::postgres::{PgConnectOptions, PgConnection, PgDatabaseError, PgRow};
use sqlx::{AssertSqlSafe, ConnectOptions, Row};
use tokio::time::timeout;

use super::connections::Connections;
use super::health::Health;
use super::identifier::{Column, Table};
use super::settings::{DatabaseSettings, SessionTables, UserTable};
use super::told::{Flaw, StoredRow, Told};
use super::{StoreHealth, describe};

/// The application's database in PostgreSQL.
pub(super) struct Postgres {
    connections: Connections<PgConnection>,
    timeout: Duration,
    users: Option<ByKey>,
    sessions: Option<ByKey>,
    health: Health,
}

impl Postgres {
    pub(super) fn new(options: PgConnectOptions, settings: &DatabaseSettings) -> Self {
        Self {
            // The statements carry users' ids and sessions' tokens: they are not logged.
            connections: Connections::new(
                options.disable_statement_logging(),
                settings.max_connections,
                LIFETIME,
            ),
            timeout: settings.timeout,
            users: settings.users.as_ref().map(ByKey::user),
            sessions: settings.sessions.as_ref().map(ByKey::session),
            health: Health::new(Source::Postgres),
        }
    }

    /// Whether `subject` is a user.
    pub(super) async fn find_user(&self, subject: &str) -> Result<bool, StoreError> {
        let users = self.users.as_ref();
        let rows = self.answer(|| self.rows(users, subject)).await?;
        Ok(!rows.is_empty())
    }

    /// What is known about the session of this token and its user.
    pub(super) async fn find_session(&self, token: &str) -> Result<Told, StoreError> {
        let sessions = self.sessions.as_ref();
        let rows = self.answer(|| self.rows(sessions, token)).await?;
        Ok(match &rows[..] {
            [] => Told::Nothing,
            [row] => stored_row(row).map_or_else(Told::Malformed, Told::row),
            [_, _, ..] => Told::Malformed(Flaw::Duplicate),
        })
    }

    /// Finds out whether the database answers and has the tables, and how to ask.
    pub(super) async fn probe(&self) {
        // The outcome is in `self.health`.
        let _ = self
            .answer(async || {
                for by in self.users.iter().chain(&self.sessions) {
                    let question = self.learn(by).await?;
                    // Nothing equals NULL, but every name and right that the statement needs is checked.
                    self.ask(question, None).await?;
                }
                Ok(())
            })
            .await;
    }

    pub(super) fn health(&self) -> StoreHealth {
        self.health.report()
    }

    pub(super) async fn close(&self) {
        self.connections.close().await;
    }

    /// Does `work` within the timeout; a second time, on a new connection, when the first one broke on the way.
    async fn answer<T, W>(&self, work: impl Fn() -> W) -> Result<T, StoreError>
    where
        W: Future<Output = Result<T, sqlx::Error>>,
    {
        let attempts = async {
            match work().await {
                Err(error) if broken(&error) => {
                    self.connections.forget_idle();
                    work().await
                }
                answer => answer,
            }
        };
        let error = match timeout(self.timeout, attempts).await {
            Ok(Ok(answer)) => {
                self.health.answered();
                return Ok(answer);
            }
            Ok(Err(error)) => StoreError::Failed {
                store: Source::Postgres,
                detail: describe(&error),
            },
            Err(_) => {
                self.connections.forget_idle();
                StoreError::TimedOut {
                    store: Source::Postgres,
                    limit: self.timeout,
                }
            }
        };
        self.health.failed(&error.to_string());
        Err(error)
    }

    /// The rows under `key`.
    async fn rows(&self, by: Option<&ByKey>, key: &str) -> Result<Vec<PgRow>, sqlx::Error> {
        let Some(by) = by else {
            return Err(sqlx::Error::Configuration(
                "no such table is configured".into(),
            ));
        };
        if key.contains('\0') {
            // No text in PostgreSQL holds this character.
            return Ok(Vec::new());
        }
        let question = match by.known() {
            Some(question) if question.keys.can_hold(key) => question,
            // Before a key is called impossible, we make sure that the column still has the type that says so.
            Some(_) | None => self.learn(by).await?,
        };
        if !question.keys.can_hold(key) {
            return Ok(Vec::new());
        }
        match self.ask(question, Some(key)).await {
            Err(error) if outdated(&error) => {
                let question = self.learn(by).await?;
                if !question.keys.can_hold(key) {
                    return Ok(Vec::new());
                }
                self.ask(question, Some(key)).await
            }
            answer => answer,
        }
    }

    async fn ask(&self, question: Question, key: Option<&str>) -> Result<Vec<PgRow>, sqlx::Error> {
        let mut taken = self.connections.take().await?;
        let query = sqlx::query(AssertSqlSafe(question.statement)).bind(key);
        let answer = query.fetch_all(&mut taken.connection).await;
        match taken.settle(answer) {
            Err(error) if impossible(&error) => Ok(Vec::new()),
            answer => answer,
        }
    }

    /// Reads the type of the column from the catalog.
    async fn learn(&self, by: &ByKey) -> Result<Question, sqlx::Error> {
        let mut taken = self.connections.take().await?;
        let query = sqlx::query_scalar(TYPE_OF_COLUMN)
            .bind(by.table.quoted())
            .bind(by.column.name());
        let answer = query.fetch_optional(&mut taken.connection).await;
        let column_type: String = taken
            .settle(answer)?
            .ok_or_else(|| sqlx::Error::ColumnNotFound(by.column.quoted().to_owned()))?;
        let question = by.question(&column_type);
        *by.known.lock().unwrap_or_else(PoisonError::into_inner) = Some(question.clone());
        Ok(question)
    }
}

/// What to select by a key, before we know the type of the key's column.
struct ByKey {
    table: Table,
    column: Column,
    /// The statement before and after the condition on the key. The table that has the key is called `k`.
    select: String,
    limit: &'static str,
    /// How to ask, once we know the type of the column.
    known: Mutex<Option<Question>>,
}

/// How to ask for a key.
#[derive(Clone, Debug)]
struct Question {
    statement: Arc<str>,
    keys: Keys,
}

/// What the keys in the column look like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Keys {
    Integer,
    Other,
    Uuid,
}

impl ByKey {
    fn user(users: &UserTable) -> Self {
        Self {
            select: format!("SELECT 1 FROM {} AS k", users.table.quoted()),
            limit: "LIMIT 1",
            table: users.table.clone(),
            column: users.id.clone(),
            known: Mutex::default(),
        }
    }

    /// The session and its user in one statement, so that what is found proves both. The id of the user is compared as
    /// text as well: a collation may call two users equal.
    fn session(tables: &SessionTables) -> Self {
        let SessionTables {
            table,
            token,
            user,
            expires,
            created,
            users,
            email,
            name,
        } = tables;
        let text = |column: &Option<Column>| match column {
            Some(column) => format!("u.{}::text", column.quoted()),
            None => "NULL::text".to_owned(),
        };
        let millis = |column: Option<&Column>| match column {
            Some(column) => format!(
                "floor(extract(epoch FROM k.{}) * 1000)::float8",
                column.quoted()
            ),
            None => "NULL::float8".to_owned(),
        };
        let (id, user) = (users.id.quoted(), user.quoted());
        let select = format!(
            "SELECT u.{id}::text, {}, {}, {}, {} FROM {} AS k JOIN {} AS u \
             ON u.{id} = k.{user} AND u.{id}::text = k.{user}::text COLLATE \"C\"",
            text(email),
            text(name),
            millis(created.as_ref()),
            millis(Some(expires)),
            table.quoted(),
            users.table.quoted(),
        );
        Self {
            select,
            // A second one is one too many.
            limit: "LIMIT 2",
            table: table.clone(),
            column: token.clone(),
            known: Mutex::default(),
        }
    }

    /// `column_type` is a name that PostgreSQL itself made of its catalog, qualified and quoted where that is needed.
    fn question(&self, column_type: &str) -> Question {
        let (keys, cast) = match column_type {
            // One question serves all widths: their indexes understand one another.
            "smallint" | "integer" | "bigint" => (Keys::Integer, "bigint"),
            "uuid" => (Keys::Uuid, "uuid"),
            "character varying" | "name" | "text" => (Keys::Other, "text"),
            // A cast to `character` would cut the key off after one character.
            "character" => (Keys::Other, "bpchar"),
            other => (Keys::Other, other),
        };
        let (select, limit, column) = (&self.select, self.limit, self.column.quoted());
        let statement = format!(
            "{select} WHERE k.{column} = $1::{cast} AND k.{column}::text = $1 COLLATE \"C\" {limit}"
        );
        Question {
            statement: statement.into(),
            keys,
        }
    }

    fn known(&self) -> Option<Question> {
        self.known
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

/// The columns that [`ByKey::session`] selects.
fn stored_row(row: &PgRow) -> Result<StoredRow, Flaw> {
    let text = |index: usize| {
        row.try_get::<Option<String>, _>(index)
            .map_err(|_| Flaw::Text)
    };
    let time = |index: usize, flaw: Flaw| {
        let millis = row.try_get::<Option<f64>, _>(index).map_err(|_| flaw)?;
        // Infinity becomes a time that no session may last to.
        Ok::<_, Flaw>(millis.map(|millis| UnixTime::from_millis(millis as u64)))
    };
    Ok(StoredRow {
        subject: text(0)?.ok_or(Flaw::Text)?,
        email: text(1)?,
        name: text(2)?,
        issued_at: time(3, Flaw::Creation)?,
        expires_at: time(4, Flaw::Expiry)?.ok_or(Flaw::Expiry)?,
    })
}

impl Keys {
    /// Whether `key` can be the canonical text of such a key: what PostgreSQL prints, not all that it reads.
    fn can_hold(self, key: &str) -> bool {
        match self {
            Self::Integer => key
                .parse::<i64>()
                .is_ok_and(|number| number.to_string() == key),
            Self::Other => true,
            Self::Uuid => {
                let dash = |at| matches!(at, 8 | 13 | 18 | 23);
                key.len() == 36
                    && key.bytes().enumerate().all(|(at, byte)| match dash(at) {
                        true => byte == b'-',
                        false => matches!(byte, b'0'..=b'9' | b'a'..=b'f'),
                    })
            }
        }
    }
}

/// The connection is of no more use, but a new one may be.
fn broken(error: &sqlx::Error) -> bool {
    match sqlstate(error) {
        // The server was stopped, crashed, or has closed an idle session; or a pooler has lost its server.
        Some(code) => matches!(code, "57P01" | "57P02" | "57P05") || code.starts_with("08"),
        None => matches!(error, sqlx::Error::Io(_) | sqlx::Error::Protocol(_)),
    }
}

/// The table is no longer what it was when we prepared the statement: no such operator, types that do not match, a
/// changed result, a statement that a pooler has prepared on another connection, a type that is gone.
fn outdated(error: &sqlx::Error) -> bool {
    sqlstate(error).is_some_and(|code| {
        matches!(
            code,
            "42883" | "42804" | "0A000" | "26000" | "42P05" | "42704"
        )
    })
}

/// The key cannot be converted to the type of the column, or to the character set of the database: no such row.
fn impossible(error: &sqlx::Error) -> bool {
    sqlstate(error).is_some_and(|code| {
        matches!(
            code,
            "22001" | "22003" | "22007" | "22008" | "22021" | "22023" | "22P02" | "22P03" | "22P05"
        )
    })
}

fn sqlstate(error: &sqlx::Error) -> Option<&str> {
    error
        .as_database_error()?
        .try_downcast_ref()
        .map(PgDatabaseError::code)
}

/// The type of a column, or what its domain is based on. `regclass` finds the table just as `FROM` does.
const TYPE_OF_COLUMN: &str = "\
    WITH RECURSIVE layer AS (
        SELECT t.oid, t.typtype, t.typbasetype
        FROM pg_catalog.pg_attribute a JOIN pg_catalog.pg_type t ON t.oid = a.atttypid
        WHERE a.attrelid = $1::regclass AND a.attname = $2 AND a.attnum > 0 AND NOT a.attisdropped
        UNION ALL
        SELECT t.oid, t.typtype, t.typbasetype
        FROM layer JOIN pg_catalog.pg_type t ON t.oid = layer.typbasetype
        WHERE layer.typtype = 'd')
    SELECT pg_catalog.format_type(oid, NULL) FROM layer WHERE typtype <> 'd'";

/// After a failover, or a change of its name's address, a server that should not be asked any more may still answer.
const LIFETIME: Duration = Duration::from_secs(30 * 60);

#[cfg(test)]
mod tests {
    use super::*;

    fn question(column_type: &str) -> Question {
        let users = UserTable {
            table: Table::parse("auth.users").unwrap(),
            id: Column::parse("id").unwrap(),
        };
        ByKey::user(&users).question(column_type)
    }

    #[test]
    fn the_question_compares_in_the_type_of_the_column_and_in_its_spelling() {
        assert_eq!(
            &*question("integer").statement,
            r#"SELECT 1 FROM "auth"."users" AS k WHERE k."id" = $1::bigint AND k."id"::text = $1 COLLATE "C" LIMIT 1"#
        );
        for (column_type, cast) in [
            ("bigint", "$1::bigint"),
            ("uuid", "$1::uuid"),
            ("character varying", "$1::text"),
            ("character", "$1::bpchar"),
            (r#"auth."Id""#, r#"$1::auth."Id""#),
        ] {
            assert!(
                question(column_type).statement.contains(cast),
                "{column_type}"
            );
        }
    }

    #[test]
    fn only_the_canonical_spelling_of_an_integer_is_an_id() {
        for id in [
            "0",
            "7",
            "-7",
            "2147483648",
            "9223372036854775807",
            "-9223372036854775808",
        ] {
            assert!(Keys::Integer.can_hold(id), "{id}");
        }
        for id in [
            "",
            "007",
            " 7",
            "7 ",
            "+7",
            "-0",
            "7.0",
            "7e0",
            "0x7",
            "1_000",
            "٧",
            "abc",
            "9223372036854775808",
        ] {
            assert!(!Keys::Integer.can_hold(id), "{id}");
        }
    }

    #[test]
    fn only_the_canonical_spelling_of_a_uuid_is_an_id() {
        assert!(Keys::Uuid.can_hold("0b8a6c2e-1f3d-4e5f-8a9b-0c1d2e3f4a5b"));
        for id in [
            "",
            "0B8A6C2E-1F3D-4E5F-8A9B-0C1D2E3F4A5B",
            "0b8a6c2e1f3d4e5f8a9b0c1d2e3f4a5b",
            "{0b8a6c2e-1f3d-4e5f-8a9b-0c1d2e3f4a5b}",
            "0b8a-6c2e1f3d-4e5f-8a9b-0c1d2e3f4a5b",
            "0b8a6c2e-1f3d-4e5f-8a9b-0c1d2e3f4a5",
            "0b8a6c2e-1f3d-4e5f-8a9b-0c1d2e3f4a5g",
            "0b8a6c2e-1f3d-4e5f-8a9b-0c1d2e3f4a5é",
        ] {
            assert!(!Keys::Uuid.can_hold(id), "{id}");
        }
    }
}
