//! The application's database in SQLite, for deployments on one machine, and for the demo.
//!
//! The database is opened for reading, and never created: a missing file is an error that says so. Statements write a
//! column as `k."id"` and not as `"id"`, because SQLite reads a name in double quotes that is not a column as a string,
//! and then every user would have the id `id`.
//!
//! As in PostgreSQL, a key must be spelled exactly as the value that is found: `007` equals 7 in an integer column, but
//! is not the id of user 7. Times are read in every form that applications write; see [`time`](super::time).

mod columns;
mod failure;
mod opener;
mod statement;
mod survey;

use std::sync::Arc;
use std::time::Duration;

use gate::{LookupSource, StoreError, User};
use sqlx::sqlite::SqliteRow;
use sqlx::{AssertSqlSafe, Column as _, Executor, Statement};
use tokio::time::{sleep, timeout};

use self::failure::{describe, is_locked, is_missing};
pub(super) use self::opener::SqliteOpener;
use self::statement::{SessionStatement, UserStatement};
pub(super) use self::survey::survey;
use super::StoreHealth;
use super::columns::{ColumnError, TableColumn};
use super::connections::Connections;
use super::health::Health;
use super::identifier::{Column, Table};
use super::process::Trial;
use super::session_state::{MalformedRecord, SessionState};
use super::settings::{DatabaseSettings, Settings};
use super::single_flight::Trust;
use super::standing::Presence;
use super::time::Zone;

/// The application's database in SQLite.
pub(super) struct Sqlite {
    connections: Arc<Connections<SqliteOpener>>,
    timeout: Duration,
    users: Option<UserStatement>,
    sessions: Option<Box<SessionStatement>>,
    /// The time zone for times without a zone.
    zone: Option<Zone>,
    health: Health,
}

impl Sqlite {
    /// Creates a store that reads the tables of `settings` over these connections.
    pub(super) fn new(
        connections: Arc<Connections<SqliteOpener>>,
        settings: &Settings,
        database: &DatabaseSettings,
        trial: Trial,
    ) -> Self {
        let (users, sessions) = (database.users.as_ref(), database.sessions.as_ref());
        Self {
            connections,
            timeout: database.timeout,
            users: users.map(|users| UserStatement::new(users, settings.user_columns())),
            sessions: sessions
                .map(|tables| Box::new(SessionStatement::new(tables, settings.session_columns()))),
            zone: sessions.and_then(|tables| tables.time_zone.clone()),
            health: Health::new(LookupSource::Sqlite, settings.realm.clone(), trial),
        }
    }

    /// Looks up the user of this id, within the timeout.
    pub(super) async fn find_user(
        &self,
        subject: &str,
    ) -> Result<Result<Option<User>, MalformedRecord>, StoreError> {
        let users = self.users.as_ref();
        let rows = self
            .query(users.map(|users| &users.statement), subject, Trust::Genuine)
            .await?;
        Ok(match (&rows[..], users) {
            ([], _) | (_, None) => Ok(None),
            ([row], Some(users)) => users.read(row).map(Some),
            ([_, _, ..], _) => Err(MalformedRecord::Duplicate),
        })
    }

    /// Looks up the session of this token and its user, within the timeout.
    pub(super) async fn find_session(
        &self,
        token: &str,
        trust: Trust,
    ) -> Result<SessionState, StoreError> {
        let Some(sessions) = &self.sessions else {
            return Ok(SessionState::Absent);
        };
        let statement = self.statement(sessions).await?;
        let rows = self.query(Some(&statement), token, trust).await?;
        Ok(match &rows[..] {
            [] => SessionState::Absent,
            [row] => {
                let row = sessions.read(row, self.zone.as_ref());
                row.map_or_else(SessionState::Malformed, SessionState::of_row)
            }
            [_, _, ..] => SessionState::Malformed(MalformedRecord::Duplicate),
        })
    }

    /// Checks that the file can be read and has the tables.
    pub(super) async fn probe(&self) {
        // The outcome is in `self.health`.
        if let Err(error) = self.check_columns().await {
            self.failed(&error);
            return;
        }
        if let Some(users) = &self.users
            && self
                .query(Some(&users.statement), "", Trust::Genuine)
                .await
                .is_err()
        {
            return;
        }
        if let Some(sessions) = &self.sessions
            && let Ok(statement) = self.build_statement(sessions).await
        {
            let _ = self.query(Some(&statement), "", Trust::Genuine).await;
        }
    }

    /// Checks that the configured columns can be read, if the database answers.
    pub(super) async fn check_columns(&self) -> Result<(), ColumnError> {
        let of_users = self
            .users
            .iter()
            .map(|by| (&by.configured, &by.table, None));
        let with_sessions = self.sessions.iter().map(|by| {
            let tables = &by.tables;
            (&by.configured, &tables.users.table, Some(&tables.table))
        });
        for (configured, users, sessions) in of_users.chain(with_sessions) {
            if configured.is_empty() {
                continue;
            }
            for (table, wanted) in configured.tables(users, sessions) {
                for column in wanted {
                    if let Ok(false) = self.has(table, column).await {
                        return self.reason_for_missing(table, column).await;
                    }
                }
            }
        }
        Ok(())
    }

    /// Returns the reason why the column cannot be read, as an error, unless the database no longer answers.
    async fn reason_for_missing(&self, table: &Table, column: &Column) -> Result<(), ColumnError> {
        match timeout(self.timeout, self.columns_of(table)).await {
            Ok(Ok(existing)) => Err(ColumnError::missing(table, column, &existing)),
            Ok(Err(error)) if is_missing(&error) => Err(ColumnError::NoTable {
                table: table.quoted().to_owned(),
            }),
            Ok(Err(_)) | Err(_) => Ok(()),
        }
    }

    /// Lists the columns of the table, as SQLite knew them when the connection last prepared this statement.
    async fn columns_of(&self, table: &Table) -> Result<Vec<TableColumn>, sqlx::Error> {
        let statement = format!("SELECT * FROM {}", table.quoted());
        let mut taken = self.connections.take(Trust::Genuine).await?;
        let statement = sqlx::SqlSafeStr::into_sql_str(AssertSqlSafe(statement));
        let answer = (&mut taken.connection).prepare(statement).await;
        let statement = taken.give_back(answer)?;
        let columns = statement.columns().iter().map(|column| TableColumn {
            name: column.name().to_owned(),
            readable: true,
        });
        Ok(columns.collect())
    }

    /// The statement that looks up a session.
    async fn statement(&self, sessions: &SessionStatement) -> Result<Arc<str>, StoreError> {
        match sessions.known() {
            Some(statement) => Ok(statement),
            None => self.build_statement(sessions).await,
        }
    }

    /// Checks which of the optional columns exist, and returns the statement that looks up a session.
    async fn build_statement(&self, sessions: &SessionStatement) -> Result<Arc<str>, StoreError> {
        let mut seen = [Presence::Absent; 3];
        for (seen, candidate) in seen.iter_mut().zip(sessions.standing.candidates()) {
            if let Some((table, column)) = candidate
                && self.has(table, column).await?
            {
                *seen = Presence::Readable;
            }
        }
        Ok(sessions.complete(seen))
    }

    /// Whether the table has the column. It is `false` for a table that does not exist, which the lookup itself reports.
    async fn has(&self, table: &Table, column: &Column) -> Result<bool, StoreError> {
        let (table, name) = (table.quoted(), column.quoted());
        let statement = format!("SELECT k.{name} FROM {table} AS k WHERE ?1 IS NULL LIMIT 0");
        let statement = statement.into();
        let rows = self.rows(Some(&statement), "", Trust::Genuine);
        let answer = timeout(self.timeout, rows).await;
        match answer {
            Ok(Ok(_)) => Ok(true),
            Ok(Err(error)) if is_missing(&error) => Ok(false),
            Ok(Err(error)) => Err(self.failed(&describe(&error))),
            Err(_) => Err(self.timed_out()),
        }
    }

    pub(super) fn health(&self) -> StoreHealth {
        self.health.report()
    }

    /// Returns the rows under `key`, within the timeout.
    async fn query(
        &self,
        statement: Option<&Arc<str>>,
        key: &str,
        trust: Trust,
    ) -> Result<Vec<SqliteRow>, StoreError> {
        let error = match timeout(self.timeout, self.rows(statement, key, trust)).await {
            Ok(Ok(rows)) => {
                self.health.answered();
                return Ok(rows);
            }
            Ok(Err(error)) => self.failed(&describe(&error)),
            Err(_) => self.timed_out(),
        };
        Err(error)
    }

    fn failed(&self, detail: &impl ToString) -> StoreError {
        self.record_failure(StoreError::Failed {
            store: LookupSource::Sqlite,
            detail: detail.to_string(),
        })
    }

    fn timed_out(&self) -> StoreError {
        self.record_failure(StoreError::TimedOut {
            store: LookupSource::Sqlite,
            limit: self.timeout,
        })
    }

    fn record_failure(&self, error: StoreError) -> StoreError {
        self.health.failed(&error.to_string());
        error
    }

    async fn rows(
        &self,
        statement: Option<&Arc<str>>,
        key: &str,
        trust: Trust,
    ) -> Result<Vec<SqliteRow>, sqlx::Error> {
        let Some(statement) = statement else {
            return Err(sqlx::Error::Configuration(
                "no table is configured for this lookup".into(),
            ));
        };
        loop {
            let mut taken = self.connections.take(trust).await?;
            let query = sqlx::query(AssertSqlSafe(Arc::clone(statement))).bind(key);
            let answer = query.fetch_all(&mut taken.connection).await;
            match taken.give_back(answer) {
                Err(error) if is_locked(&error) => sleep(PAUSE).await,
                answer => return answer,
            }
        }
    }
}

/// How long to wait for a writer that holds the table before trying again.
const PAUSE: Duration = Duration::from_millis(2);
