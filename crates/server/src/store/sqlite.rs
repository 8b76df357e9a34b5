//! The truth in SQLite: for one machine, and for the demo.
//!
//! The database is opened for reading, and never created: a file that is missing is a failure that says so. The
//! statements spell a column `k."id"` and not `"id"`, because SQLite reads a name in double quotes that is no column
//! as a string, and then every user would be called `id`.
//!
//! As in PostgreSQL, a key has to be the spelling of what is found: `007` equals 7 in an integer column, but is no name
//! of user 7. Times are whatever the application writes; see [`time`].

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use gate::{Source, StoreError};
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection, SqliteRow};
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, Row};
use tokio::time::{sleep, timeout};

use super::connections::{Connections, Opener};
use super::health::Health;
use super::identifier::{Column, Table};
use super::settings::{DatabaseSettings, SessionTables, UserTable};
use super::standing::{Dialect, Seen, StandingQuestion, StandingRow};
use super::time::{self, Zone};
use super::told::{Flaw, StoredRow, Told};
use super::{StoreHealth, one_line};

/// The application's database in SQLite.
pub(super) struct Sqlite {
    connections: Connections<SqliteOpener>,
    timeout: Duration,
    users: Option<Arc<str>>,
    sessions: Option<Box<BySession>>,
    /// Where times are read that have no zone.
    zone: Option<Zone>,
    health: Health,
}

impl Sqlite {
    pub(super) fn new(options: SqliteConnectOptions, settings: &DatabaseSettings) -> Self {
        let options = options
            .create_if_missing(false)
            // Not `read_only`: SQLite could not repair a file then whose last writer has crashed.
            .pragma("query_only", "ON")
            .busy_timeout(settings.timeout)
            // The statements carry users' ids and sessions' tokens.
            .disable_statement_logging();
        Self {
            connections: Connections::new(
                SqliteOpener(options),
                settings.max_connections,
                LIFETIME,
            ),
            timeout: settings.timeout,
            users: settings.users.as_ref().map(user_by_id),
            sessions: settings
                .sessions
                .as_ref()
                .map(|tables| Box::new(BySession::new(tables))),
            zone: settings
                .sessions
                .as_ref()
                .and_then(|tables| tables.time_zone.clone()),
            health: Health::new(Source::Sqlite),
        }
    }

    /// Whether `subject` is a user, within the timeout.
    pub(super) async fn find_user(&self, subject: &str) -> Result<bool, StoreError> {
        let rows = self.answer(self.users.as_ref(), subject).await?;
        Ok(!rows.is_empty())
    }

    /// What is known about the session of this token and its user, within the timeout.
    pub(super) async fn find_session(&self, token: &str) -> Result<Told, StoreError> {
        let statement = match &self.sessions {
            Some(sessions) => Some(self.statement(sessions).await?),
            None => None,
        };
        let rows = self.answer(statement.as_ref(), token).await?;
        Ok(match &rows[..] {
            [] => Told::Nothing,
            [row] => {
                let row = stored_row(row, self.zone.as_ref());
                row.map_or_else(Told::Malformed, Told::row)
            }
            [_, _, ..] => Told::Malformed(Flaw::Duplicate),
        })
    }

    /// Finds out whether the file can be read and has the tables.
    pub(super) async fn probe(&self) {
        // The outcome is in `self.health`.
        if self.users.is_some() && self.answer(self.users.as_ref(), "").await.is_err() {
            return;
        }
        if let Some(sessions) = &self.sessions
            && let Ok(statement) = self.learn(sessions).await
        {
            let _ = self.answer(Some(&statement), "").await;
        }
    }

    /// How to ask for a session.
    async fn statement(&self, sessions: &BySession) -> Result<Arc<str>, StoreError> {
        match sessions.known() {
            Some(statement) => Ok(statement),
            None => self.learn(sessions).await,
        }
    }

    /// Finds out which of the columns there are that may be missing.
    async fn learn(&self, sessions: &BySession) -> Result<Arc<str>, StoreError> {
        let mut seen = [Seen::Absent; 3];
        for (seen, candidate) in seen.iter_mut().zip(sessions.standing.candidates()) {
            if let Some((table, column)) = candidate
                && self.has(table, column).await?
            {
                *seen = Seen::Readable;
            }
        }
        Ok(sessions.learned(seen))
    }

    /// Whether the table has the column. A table that is not there has none; asking for a session will say so.
    async fn has(&self, table: &Table, column: &Column) -> Result<bool, StoreError> {
        let (table, name) = (table.quoted(), column.quoted());
        let statement = format!("SELECT k.{name} FROM {table} AS k WHERE ?1 IS NULL LIMIT 0");
        let asked = timeout(self.timeout, self.rows(Some(&statement.into()), "")).await;
        match asked {
            Ok(Ok(_)) => Ok(true),
            Ok(Err(error)) if missing(&error) => Ok(false),
            Ok(Err(error)) => Err(self.failed(&error)),
            Err(_) => Err(self.timed_out()),
        }
    }

    pub(super) fn health(&self) -> StoreHealth {
        self.health.report()
    }

    pub(super) async fn close(&self) {
        self.connections.close().await;
    }

    /// The rows under `key`, within the timeout.
    async fn answer(
        &self,
        statement: Option<&Arc<str>>,
        key: &str,
    ) -> Result<Vec<SqliteRow>, StoreError> {
        let error = match timeout(self.timeout, self.rows(statement, key)).await {
            Ok(Ok(rows)) => {
                self.health.answered();
                return Ok(rows);
            }
            Ok(Err(error)) => self.failed(&error),
            Err(_) => self.timed_out(),
        };
        Err(error)
    }

    fn failed(&self, error: &sqlx::Error) -> StoreError {
        self.note(StoreError::Failed {
            store: Source::Sqlite,
            detail: describe(error),
        })
    }

    fn timed_out(&self) -> StoreError {
        self.note(StoreError::TimedOut {
            store: Source::Sqlite,
            limit: self.timeout,
        })
    }

    fn note(&self, error: StoreError) -> StoreError {
        self.health.failed(&error.to_string());
        error
    }

    async fn rows(
        &self,
        statement: Option<&Arc<str>>,
        key: &str,
    ) -> Result<Vec<SqliteRow>, sqlx::Error> {
        let Some(statement) = statement else {
            return Err(sqlx::Error::Configuration(
                "no such table is configured".into(),
            ));
        };
        loop {
            let mut taken = self.connections.take().await?;
            let query = sqlx::query(AssertSqlSafe(Arc::clone(statement))).bind(key);
            let answer = query.fetch_all(&mut taken.connection).await;
            match taken.settle(answer) {
                Err(error) if locked(&error) => sleep(PAUSE).await,
                answer => return answer,
            }
        }
    }
}

/// Opens connections to a file.
struct SqliteOpener(SqliteConnectOptions);

impl Opener for SqliteOpener {
    type Connection = SqliteConnection;
    type Error = sqlx::Error;

    async fn open(&self) -> Result<SqliteConnection, sqlx::Error> {
        self.0.connect().await
    }

    async fn close(connection: SqliteConnection) {
        // The file does not mind if it does not hear it.
        let _ = connection.close().await;
    }

    fn closed() -> sqlx::Error {
        sqlx::Error::PoolClosed
    }

    fn is_answer(error: &sqlx::Error) -> bool {
        matches!(error, sqlx::Error::Database(_) | sqlx::Error::RowNotFound)
    }
}

fn user_by_id(users: &UserTable) -> Arc<str> {
    let (table, id) = (users.table.quoted(), users.id.quoted());
    format!("SELECT 1 FROM {table} AS k WHERE {} LIMIT 1", is_key(id)).into()
}

/// How to ask for a session by its token.
struct BySession {
    tables: SessionTables,
    standing: StandingQuestion,
    /// The statement, once we know which columns there are.
    known: Mutex<Option<Arc<str>>>,
}

impl BySession {
    fn new(tables: &SessionTables) -> Self {
        Self {
            standing: StandingQuestion::new(&tables.standing, &tables.users.table, &tables.table),
            tables: tables.clone(),
            known: Mutex::default(),
        }
    }

    fn known(&self) -> Option<Arc<str>> {
        self.known
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    fn learned(&self, seen: [Seen; 3]) -> Arc<str> {
        let statement = session_by_token(&self.tables, &self.standing.select(seen, DIALECT));
        *self.known.lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::clone(&statement));
        statement
    }
}

const DIALECT: Dialect = Dialect {
    text: |column| format!("CAST({column} AS TEXT)"),
    nothing: "NULL",
};

/// The session and its user in one statement, so that what is found proves both. The id of the user is compared as text
/// as well: a collation may call two users equal. `standing` is what is selected besides, with a comma before it.
fn session_by_token(tables: &SessionTables, standing: &str) -> Arc<str> {
    let SessionTables {
        table,
        token,
        user,
        expires,
        created,
        users,
        email,
        name,
        time_zone: _,
        standing: _,
    } = tables;
    let text = |column: &Option<Column>| match column {
        Some(column) => format!("CAST(u.{} AS TEXT)", column.quoted()),
        None => "NULL".to_owned(),
    };
    let time = |column: Option<&Column>| match column {
        Some(column) => format!("typeof(k.{0}), CAST(k.{0} AS TEXT)", column.quoted()),
        None => "'null', NULL".to_owned(),
    };
    let (id, user) = (users.id.quoted(), user.quoted());
    // A second row is one too many.
    format!(
        "SELECT CAST(u.{id} AS TEXT), {}, {}, {}, {}{standing} FROM {} AS k JOIN {} AS u \
         ON u.{id} = k.{user} AND CAST(u.{id} AS TEXT) = CAST(k.{user} AS TEXT) COLLATE BINARY \
         WHERE {} LIMIT 2",
        text(email),
        text(name),
        time(created.as_ref()),
        time(Some(expires)),
        table.quoted(),
        users.table.quoted(),
        is_key(token.quoted()),
    )
    .into()
}

fn is_key(column: &str) -> String {
    format!("k.{column} = ?1 AND CAST(k.{column} AS TEXT) = ?1 COLLATE BINARY")
}

/// The columns that [`session_by_token`] selects.
fn stored_row(row: &SqliteRow, zone: Option<&Zone>) -> Result<StoredRow, Flaw> {
    let text = |index: usize| {
        row.try_get::<Option<String>, _>(index)
            .map_err(|_| Flaw::Text)
    };
    let time = |index: usize, flaw: Flaw| {
        let kind: String = row.try_get(index).map_err(|_| flaw)?;
        let Some(value) = text(index + 1)? else {
            return Ok(None);
        };
        let time = match &*kind {
            "integer" => value.parse().ok().map(time::of_number),
            "text" => time::of_text(&value, zone),
            _ => None,
        };
        time.map(Some).ok_or(flaw)
    };
    Ok(StoredRow {
        subject: text(0)?.ok_or(Flaw::Text)?,
        email: text(1)?,
        name: text(2)?,
        standing: StandingRow::of_texts([text(7)?, text(8)?, text(9)?]),
        issued_at: time(3, Flaw::Creation)?,
        expires_at: time(5, Flaw::Expiry)?.ok_or(Flaw::Expiry)?,
    })
}

/// What SQLite said, with what to do where its words do not say it.
fn describe(error: &sqlx::Error) -> String {
    const SQLITE_READONLY: i32 = 8;
    const SQLITE_CANTOPEN: i32 = 14;
    let text = one_line(&error.to_string());
    match code(error) {
        // Readers of a database in WAL mode have to write too: to the file with the suffix `-shm` beside it
        // (https://www.sqlite.org/wal.html, "Read-Only Databases").
        Some(SQLITE_READONLY | SQLITE_CANTOPEN) => format!(
            "{text} (if the file is there, it may be in WAL mode in a folder that we may not write to, which even readers \
             have to; let us write to the folder, or take the file out of that mode with `PRAGMA journal_mode=DELETE`; add \
             `?immutable=1` only to the URL of a file that nobody changes)"
        ),
        _ => text,
    }
}

/// There is no such column, or no such table. SQLite has one code for that and much else, so its words have to do; any
/// other failure says nothing about the column.
fn missing(error: &sqlx::Error) -> bool {
    let message = error.as_database_error().map(|error| error.message());
    message.is_some_and(|message| {
        message.starts_with("no such column") || message.starts_with("no such table")
    })
}

/// A writer in this process holds the table of a shared in-memory database. SQLite's own patience (`busy_timeout`)
/// covers files only.
fn locked(error: &sqlx::Error) -> bool {
    const SQLITE_LOCKED: i32 = 6;
    code(error) == Some(SQLITE_LOCKED)
}

/// SQLite's result code. The upper bits, which say more exactly what it is about, are cut off.
fn code(error: &sqlx::Error) -> Option<i32> {
    let code = error.as_database_error()?.code()?.parse::<i32>().ok()?;
    Some(code & 0xff)
}

/// How long to wait for such a writer before asking again.
const PAUSE: Duration = Duration::from_millis(2);

/// A file that was replaced is noticed after this time; opening one is cheap.
const LIFETIME: Duration = Duration::from_secs(10);
