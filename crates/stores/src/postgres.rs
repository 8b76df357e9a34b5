//! The application's database in PostgreSQL: one statement, one bound parameter and one round trip for each lookup.
//!
//! A row is looked up by a key, a user's id or a session's token, as `WHERE k."id" = $1::bigint AND k."id"::text = $1`.
//! The first condition finds the row through the index, which needs the column's own type on the right-hand side; the
//! second condition requires the exact spelling of the key. Otherwise `007` would be a second name of user 7: another
//! cache entry, another `X-User-Id` for the service behind the gate. The comparison is byte by byte (`COLLATE "C"`),
//! whether or not the column's own collation ignores case.
//!
//! The types of the columns are read from the catalog, and again whenever they seem to have changed. Domains are
//! treated as their base types. Views work; whether a view uses an index depends on its definition.
//!
//! Times are selected as seconds since 1970. For a `timestamptz` that is absolute; a `timestamp` without a zone is read
//! in [`SessionTables::time_zone`](super::settings::SessionTables::time_zone). The time zone of the server, the
//! database or the role does not matter.

mod catalog;
mod columns;
mod error;
pub(super) mod listener;
mod notifications;
mod own;
mod rows;
mod schema;
pub(super) mod server;
mod session_row;
mod statement;
mod survey;
mod triggers;

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use gate::{LookupSource, StoreError, User};
use serde_json::{Map, Value};
use tokio::time::timeout;
use tokio_postgres::Row;
use tokio_postgres::types::Type;

use self::error::PostgresError;
pub use self::own::OwnTableError;
pub(crate) use self::own::{OwnTables, Parameter, text};
pub use self::rows::{SharedRows, SharedRowsError, SharedRowsSurvey};
pub(super) use self::server::PostgresOpener;
pub use self::server::{PostgresHost, PostgresServer, Verify};
use self::session_row::SessionRow;
use self::statement::{KeyLookup, KeyStatement};
pub(super) use self::survey::survey;
pub use self::triggers::{ChangeTriggers, TriggerFlaw, WatchedTable};
use super::StoreHealth;
use super::breaker::Breaker;
use super::columns::ColumnError;
use super::connections::Connections;
use super::health::Health;
use super::process::Trial;
use super::session_state::{MalformedRecord, SessionState};
use super::settings::{DatabaseSettings, Settings};
use super::single_flight::Trust;
use super::time::Zone;

/// The application's database in PostgreSQL.
pub(super) struct Postgres {
    connections: Arc<Connections<PostgresOpener>>,
    timeout: Duration,
    users: Option<KeyLookup>,
    sessions: Option<KeyLookup>,
    /// The time zone for times of sessions without a zone. `None` when it is not configured.
    zone: Option<Zone>,
    /// The time zone for times without a zone in columns of users. `None` when it is not configured.
    columns_zone: Option<Zone>,
    health: Health,
    breaker: Breaker,
    /// The warnings about the tables that were logged, so that each is logged once.
    logged: Mutex<BTreeSet<String>>,
}

impl Postgres {
    /// Creates a store that reads the tables of `settings` over these connections.
    pub(super) fn new(
        connections: Arc<Connections<PostgresOpener>>,
        settings: &Settings,
        database: &DatabaseSettings,
        trial: Trial,
    ) -> Self {
        let (users, sessions) = (database.users.as_ref(), database.sessions.as_ref());
        let (of_users, with_sessions) = (settings.user_columns(), settings.session_columns());
        Self {
            connections,
            timeout: database.timeout,
            columns_zone: of_users.zone.clone(),
            users: users.map(|users| KeyLookup::user(users, of_users)),
            sessions: sessions.map(|tables| KeyLookup::session(tables, with_sessions)),
            zone: sessions.and_then(|tables| tables.time_zone.clone()),
            health: Health::new(LookupSource::Postgres, settings.realm.clone(), trial),
            breaker: Breaker::new(),
            logged: Mutex::default(),
        }
    }

    /// Looks up the user of this id.
    pub(super) async fn find_user(
        &self,
        subject: &str,
    ) -> Result<Result<Option<User>, MalformedRecord>, StoreError> {
        let users = self.users.as_ref();
        let (rows, statement) = self
            .run(|| self.rows(users, subject, Trust::Genuine))
            .await?;
        Ok(match (&rows[..], statement) {
            ([], _) | (_, None) => Ok(None),
            ([row], Some(statement)) => {
                let user = self.user(users, &statement, row, FIRST_OF_USER);
                user.map(|(user, _)| Some(user))
            }
            ([_, _, ..], _) => Err(MalformedRecord::Duplicate),
        })
    }

    /// Reads the user, whose columns begin at `first`, and the claims of the session that was found with it.
    fn user(
        &self,
        by: Option<&KeyLookup>,
        statement: &KeyStatement,
        row: &Row,
        first: usize,
    ) -> Result<(User, Map<String, Value>), MalformedRecord> {
        let columns = &statement.columns;
        let Some(by) = by.filter(|_| !columns.is_empty()) else {
            return Ok((User::default(), Map::new()));
        };
        let values = columns.read(row, first, self.columns_zone.as_ref())?;
        Ok(by.columns.configured.split(values))
    }

    /// Looks up the session of this token and its user.
    pub(super) async fn find_session(
        &self,
        token: &str,
        trust: Trust,
    ) -> Result<SessionState, StoreError> {
        let Some(sessions) = &self.sessions else {
            return Ok(SessionState::Absent);
        };
        let (rows, statement) = self.run(|| self.rows(Some(sessions), token, trust)).await?;
        Ok(match (&rows[..], statement) {
            ([], _) | (_, None) => SessionState::Absent,
            ([row], Some(statement)) => {
                let columns = SessionRow {
                    row,
                    zoneless: &statement.zoneless,
                    zone: self.zone.as_ref(),
                };
                let user = self.user(Some(sessions), &statement, row, FIRST_WITH_SESSION);
                let row = user.and_then(|(user, claims)| columns.read(sessions, user, claims));
                row.map_or_else(SessionState::Malformed, SessionState::of_row)
            }
            ([_, _, ..], _) => SessionState::Malformed(MalformedRecord::Duplicate),
        })
    }

    /// Checks that the database answers and has the tables, and reads the types of their columns.
    pub(super) async fn probe(&self) {
        // The outcome is in `self.health`.
        let _ = self
            .run_ignoring_breaker(async || {
                for by in self.users.iter().chain(&self.sessions) {
                    let statement = self.build_statement(by, Trust::Genuine).await?;
                    // A comparison with NULL finds no row, but checks every name and privilege that the statement needs.
                    self.query(&statement, None, Trust::Genuine).await?;
                }
                Ok(())
            })
            .await;
    }

    /// Checks that the configured columns can be read, if the database answers.
    pub(super) async fn check_columns(&self) -> Result<(), ColumnError> {
        let has_columns = |by: &&KeyLookup| !by.columns.configured.is_empty();
        let proof = async {
            for by in self.users.iter().chain(&self.sessions).filter(has_columns) {
                if let Err(PostgresError::Column(error)) =
                    self.build_statement(by, Trust::Genuine).await
                {
                    return Err(error);
                }
            }
            Ok(())
        };
        timeout(self.timeout, proof).await.unwrap_or(Ok(()))
    }

    pub(super) fn health(&self) -> StoreHealth {
        self.health.report()
    }

    /// Whether the breaker is open because the database hangs, so that only [`Postgres::probe`] queries it.
    pub(super) fn is_hanging(&self) -> bool {
        self.breaker.is_open()
    }

    /// Runs `work` within the timeout, unless the database is known to hang.
    async fn run<T, W>(&self, work: impl Fn() -> W) -> Result<T, StoreError>
    where
        W: Future<Output = Result<T, PostgresError>>,
    {
        tokio::select! {
            biased;
            () = self.breaker.opened() => Err(StoreError::Failed {
                store: LookupSource::Postgres,
                detail: format!(
                    "answered no lookup within {} ms; lookups fail until it answers a health probe",
                    self.timeout.as_millis()
                ),
            }),
            answer = self.run_ignoring_breaker(work) => answer,
        }
    }

    /// Runs `work` within the timeout, whether or not the breaker is open. Runs it a second time, on a new connection,
    /// if the first connection broke.
    async fn run_ignoring_breaker<T, W>(&self, work: impl Fn() -> W) -> Result<T, StoreError>
    where
        W: Future<Output = Result<T, PostgresError>>,
    {
        let attempts = async {
            match work().await {
                Err(error) if error.is_broken_connection() => {
                    self.connections.close_idle();
                    work().await
                }
                answer => answer,
            }
        };
        let attempt = self.breaker.attempt();
        let error = match timeout(self.timeout, attempts).await {
            Ok(Ok(answer)) => {
                self.breaker.answered();
                self.health.answered();
                return Ok(answer);
            }
            Ok(Err(error)) => {
                self.breaker.answered();
                StoreError::Failed {
                    store: LookupSource::Postgres,
                    detail: error.described(),
                }
            }
            Err(_) => {
                let error = StoreError::TimedOut {
                    store: LookupSource::Postgres,
                    limit: self.timeout,
                };
                // If other lookups were answered, this one only waited for its turn, and the connections work.
                if !self.breaker.timed_out(attempt) {
                    return Err(error);
                }
                self.connections.close_idle();
                error
            }
        };
        self.health.failed(&error.to_string());
        Err(error)
    }

    /// Returns the rows under `key`, and the statement that found them.
    async fn rows(
        &self,
        by: Option<&KeyLookup>,
        key: &str,
        trust: Trust,
    ) -> Result<(Vec<Row>, Option<KeyStatement>), PostgresError> {
        let by = by.ok_or(PostgresError::NoTable)?;
        if key.contains('\0') {
            // No text in PostgreSQL holds a NUL.
            return Ok((Vec::new(), None));
        }
        let statement = match by.known() {
            Some(statement) if statement.keys.can_hold(key) => statement,
            // Before a key is ruled out by the type of the column, check that the column still has that type.
            Some(_) | None => self.build_statement(by, trust).await?,
        };
        if !statement.keys.can_hold(key) {
            return Ok((Vec::new(), None));
        }
        match self.query(&statement, Some(key), trust).await {
            Err(error) if is_outdated(&error) => {
                let statement = self.build_statement(by, trust).await?;
                if !statement.keys.can_hold(key) {
                    return Ok((Vec::new(), None));
                }
                let rows = self.query(&statement, Some(key), trust).await?;
                Ok((rows, Some(statement)))
            }
            answer => answer.map(|rows| (rows, Some(statement))),
        }
    }

    async fn query(
        &self,
        statement: &KeyStatement,
        key: Option<&str>,
        trust: Trust,
    ) -> Result<Vec<Row>, PostgresError> {
        let taken = self.connections.take(trust).await?;
        let parameters = [(&key as _, Type::TEXT)];
        let answer = taken.connection.query(&statement.sql, &parameters).await;
        match taken.give_back(answer) {
            Err(error) if is_impossible(&error) => Ok(Vec::new()),
            answer => answer,
        }
    }
}

/// Whether the table has changed since the types of its columns were read: no such column or operator, types that do not
/// match, a changed result, a type that no longer exists.
fn is_outdated(error: &PostgresError) -> bool {
    error
        .sqlstate()
        .is_some_and(|code| matches!(code, "42703" | "42704" | "42804" | "42883" | "0A000"))
}

/// Whether the key cannot be converted to the type of the column or the encoding of the database, so that no row can
/// have it.
fn is_impossible(error: &PostgresError) -> bool {
    error.sqlstate().is_some_and(|code| {
        matches!(
            code,
            "22001" | "22003" | "22007" | "22008" | "22021" | "22023" | "22P02" | "22P03" | "22P05"
        )
    })
}

/// The index of the user's first column in the rows of [`KeyLookup::user`], and in those of [`KeyLookup::session`].
const FIRST_OF_USER: usize = 1;
const FIRST_WITH_SESSION: usize = 8;
