//! The truth in PostgreSQL: one statement, one bound parameter, one round trip.
//!
//! Which users exist is asked as `SELECT EXISTS(… WHERE u."id" = $1::bigint AND u."id"::text = $1)`. The first half
//! finds the row through the index of the primary key, which needs the column's own type on the right-hand side; the
//! second half insists that the subject is *the* spelling of that id. Otherwise `007` would be user 7 under a second
//! name: another cache entry, another `X-User-Id` for the service behind us. The comparison is made byte by byte
//! (`COLLATE "C"`), whatever the column's own collation thinks of upper and lower case.
//!
//! The type of the column is read from the catalog and read again whenever it seems to have changed. Domains count as
//! the type that they are based on. Views work; whether they use an index is up to them.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use gate::{Lookup, Source, StoreError, User};
use sqlx::postgres::{PgConnectOptions, PgConnection, PgDatabaseError};
use sqlx::{AssertSqlSafe, ConnectOptions};
use tokio::time::timeout;

use super::connections::Connections;
use super::health::Health;
use super::identifier::{Column, Table};
use super::settings::TruthSettings;
use super::{StoreHealth, describe};

/// A user table in PostgreSQL.
pub(super) struct Postgres {
    connections: Connections<PgConnection>,
    timeout: Duration,
    table: Table,
    column: Column,
    /// How to ask, once we know the type of the column.
    question: Mutex<Option<Question>>,
    health: Health,
}

impl Postgres {
    pub(super) fn new(options: PgConnectOptions, settings: &TruthSettings) -> Self {
        Self {
            // The statements carry users' ids: they are not logged.
            connections: Connections::new(
                options.disable_statement_logging(),
                settings.max_connections,
                LIFETIME,
            ),
            timeout: settings.timeout,
            table: settings.table.clone(),
            column: settings.id_field.clone(),
            question: Mutex::default(),
            health: Health::new(Source::Postgres),
        }
    }

    /// Whether `subject` is a user.
    pub(super) async fn find(&self, subject: &str) -> Result<Lookup<User>, StoreError> {
        let exists = self.answer(|| self.exists(subject)).await?;
        Ok(Lookup {
            found: exists.then_some(User),
            source: Source::Postgres,
        })
    }

    /// Finds out whether the database answers and has the table, and how to ask.
    pub(super) async fn probe(&self) {
        // The outcome is in `self.health`.
        let _ = self.answer(|| self.learn_question()).await;
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

    async fn exists(&self, subject: &str) -> Result<bool, sqlx::Error> {
        if subject.contains('\0') {
            // No text in PostgreSQL holds this character.
            return Ok(false);
        }
        let question = match self.question() {
            Some(question) if question.ids.can_hold(subject) => question,
            // Before an id is called impossible, we make sure that the column still has the type that says so.
            Some(_) | None => self.learn_question().await?,
        };
        match self.ask(question, subject).await {
            Err(error) if outdated(&error) => self.ask(self.learn_question().await?, subject).await,
            answer => answer,
        }
    }

    async fn ask(&self, question: Question, subject: &str) -> Result<bool, sqlx::Error> {
        if !question.ids.can_hold(subject) {
            return Ok(false);
        }
        let mut taken = self.connections.take().await?;
        let query = sqlx::query_scalar(AssertSqlSafe(question.statement)).bind(subject);
        let answer = query.fetch_one(&mut taken.connection).await;
        match taken.settle(answer) {
            Err(error) if impossible(&error) => Ok(false),
            answer => answer,
        }
    }

    fn question(&self) -> Option<Question> {
        self.question
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Reads the type of the column from the catalog.
    async fn learn_question(&self) -> Result<Question, sqlx::Error> {
        let mut taken = self.connections.take().await?;
        let query = sqlx::query_scalar(TYPE_OF_COLUMN)
            .bind(self.table.quoted())
            .bind(self.column.name());
        let answer = query.fetch_optional(&mut taken.connection).await;
        let column_type: String = taken
            .settle(answer)?
            .ok_or_else(|| sqlx::Error::ColumnNotFound(self.column.quoted().to_owned()))?;
        let question = Question::new(&self.table, &self.column, &column_type);
        *self.question.lock().unwrap_or_else(PoisonError::into_inner) = Some(question.clone());
        Ok(question)
    }
}

/// How to ask for an id.
#[derive(Clone, Debug)]
struct Question {
    statement: Arc<str>,
    ids: Ids,
}

/// What the ids in the column look like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ids {
    Integer,
    Other,
    Uuid,
}

impl Question {
    /// `column_type` is a name that PostgreSQL itself made of its catalog, qualified and quoted where that is needed.
    fn new(table: &Table, column: &Column, column_type: &str) -> Self {
        let (ids, cast) = match column_type {
            // One question serves all widths: their indexes understand one another.
            "smallint" | "integer" | "bigint" => (Ids::Integer, "bigint"),
            "uuid" => (Ids::Uuid, "uuid"),
            "character varying" | "name" | "text" => (Ids::Other, "text"),
            // A cast to `character` would cut the id off after one character.
            "character" => (Ids::Other, "bpchar"),
            other => (Ids::Other, other),
        };
        let (table, column) = (table.quoted(), column.quoted());
        let statement = format!(
            "SELECT EXISTS(SELECT 1 FROM {table} AS u \
             WHERE u.{column} = $1::{cast} AND u.{column}::text = $1 COLLATE \"C\")"
        );
        Self {
            statement: statement.into(),
            ids,
        }
    }
}

impl Ids {
    /// Whether `subject` can be the canonical text of such an id: what PostgreSQL prints, not all that it reads.
    fn can_hold(self, subject: &str) -> bool {
        match self {
            Self::Integer => subject
                .parse::<i64>()
                .is_ok_and(|id| id.to_string() == subject),
            Self::Other => true,
            Self::Uuid => {
                let dash = |at| matches!(at, 8 | 13 | 18 | 23);
                subject.len() == 36
                    && subject
                        .bytes()
                        .enumerate()
                        .all(|(at, byte)| match dash(at) {
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

/// The subject cannot be converted to the type of the column, or to the character set of the database: no such user.
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
        Question::new(
            &Table::parse("auth.users").unwrap(),
            &Column::parse("id").unwrap(),
            column_type,
        )
    }

    #[test]
    fn the_question_compares_in_the_type_of_the_column_and_in_its_spelling() {
        assert_eq!(
            &*question("integer").statement,
            r#"SELECT EXISTS(SELECT 1 FROM "auth"."users" AS u WHERE u."id" = $1::bigint AND u."id"::text = $1 COLLATE "C")"#
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
            assert!(Ids::Integer.can_hold(id), "{id}");
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
            assert!(!Ids::Integer.can_hold(id), "{id}");
        }
    }

    #[test]
    fn only_the_canonical_spelling_of_a_uuid_is_an_id() {
        assert!(Ids::Uuid.can_hold("0b8a6c2e-1f3d-4e5f-8a9b-0c1d2e3f4a5b"));
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
            assert!(!Ids::Uuid.can_hold(id), "{id}");
        }
    }
}
