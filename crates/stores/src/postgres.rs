//! The truth in PostgreSQL: one statement, one bound parameter, one round trip.
//!
//! A row is asked for by a key, a user's id or a session's token, as `WHERE k."id" = $1::bigint AND k."id"::text = $1`.
//! The first half finds the row through the index, which needs the column's own type on the right-hand side; the
//! second half insists that what we were given is *the* spelling of that key. Otherwise `007` would be user 7 under a
//! second name: another cache entry, another `X-User-Id` for the service behind us. The comparison is made byte by byte
//! (`COLLATE "C"`), whatever the column's own collation thinks of upper and lower case.
//!
//! The types of the columns are read from the catalog and read again whenever they seem to have changed. Domains count as
//! the type that they are based on. Views work; whether they use an index is up to them.
//!
//! Times are asked for as seconds since 1970. For a `timestamptz` that is absolute; a `timestamp` without a zone is
//! read in [`SessionTables::time_zone`](super::settings::SessionTables::time_zone). The time zone of the server, the database or the role plays no part in either.

mod catalog;
mod columns;
mod heard;
pub(super) mod listener;
mod own;
mod question;
mod rows;
pub(super) mod server;
mod survey;
mod triggers;

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use gate::{LookupSource, StoreError, User};
use serde_json::{Map, Value};
use session::UnixTime;
use tokio::time::timeout;
use tokio_postgres::Row;
use tokio_postgres::types::{FromSql, Type};

use self::catalog::{Layout, Visible};
pub use self::own::OwnTableError;
pub(crate) use self::own::{OwnTables, Parameter, text};
use self::question::{ByKey, Question};
pub use self::rows::{SharedRows, SharedRowsError, SharedRowsSurvey};
pub(super) use self::server::PostgresOpener;
use self::server::{Connection, PostgresError};
pub use self::server::{PostgresHost, PostgresServer, Verify};
pub(super) use self::survey::survey;
pub use self::triggers::{ChangeTriggers, TriggerFlaw, WatchedTable};
use super::StoreHealth;
use super::breaker::Breaker;
use super::columns::ColumnError;
use super::connections::Connections;
use super::health::Health;
use super::identifier::Column;
use super::process::Trial;
use super::settings::{DatabaseSettings, Settings};
use super::single_flight::Rank;
use super::standing::StandingRow;
use super::time::Zone;
use super::told::{Flaw, StoredRow, Told};

/// The application's database in PostgreSQL.
pub(super) struct Postgres {
    connections: Arc<Connections<PostgresOpener>>,
    timeout: Duration,
    users: Option<ByKey>,
    sessions: Option<ByKey>,
    /// Where the times of sessions are read that have no zone; `None` when nothing was configured.
    zone: Option<Zone>,
    /// Where times in columns of users are read that have no zone; `None` when nothing was configured.
    columns_zone: Option<Zone>,
    health: Health,
    breaker: Breaker,
    /// What was said about the tables, so that it is said once.
    said: Mutex<BTreeSet<String>>,
}

impl Postgres {
    /// The database that is asked on these connections, with the tables of `settings`.
    pub(super) fn new(
        connections: Arc<Connections<PostgresOpener>>,
        settings: &Settings,
        database: &DatabaseSettings,
        trial: Trial,
    ) -> Self {
        let (users, sessions) = (database.users.as_ref(), database.sessions.as_ref());
        let (of_users, with_sessions) = (settings.asked_of_users(), settings.asked_with_sessions());
        Self {
            connections,
            timeout: database.timeout,
            columns_zone: of_users.zone.clone(),
            users: users.map(|users| ByKey::user(users, of_users)),
            sessions: sessions.map(|tables| ByKey::session(tables, with_sessions)),
            zone: sessions.and_then(|tables| tables.time_zone.clone()),
            health: Health::new(LookupSource::Postgres, settings.realm.clone(), trial),
            breaker: Breaker::new(),
            said: Mutex::default(),
        }
    }

    /// The user of this id.
    pub(super) async fn find_user(
        &self,
        subject: &str,
    ) -> Result<Result<Option<User>, Flaw>, StoreError> {
        let users = self.users.as_ref();
        let (rows, question) = self
            .answer(|| self.rows(users, subject, Rank::Known))
            .await?;
        Ok(match (&rows[..], question) {
            ([], _) | (_, None) => Ok(None),
            ([row], Some(question)) => {
                let user = self.user(users, &question, row, FIRST_OF_USER);
                user.map(|(user, _)| Some(user))
            }
            ([_, _, ..], _) => Err(Flaw::Duplicate),
        })
    }

    /// The user in a row, of which the first column stands at `first`, and the claims of the session that was found with it.
    fn user(
        &self,
        by: Option<&ByKey>,
        question: &Question,
        row: &Row,
        first: usize,
    ) -> Result<(User, Map<String, Value>), Flaw> {
        let columns = &question.columns;
        let Some(by) = by.filter(|_| !columns.is_nothing()) else {
            return Ok((User::default(), Map::new()));
        };
        let values = columns.read(row, first, self.columns_zone.as_ref())?;
        Ok(by.columns.asked.sort(values))
    }

    /// What is known about the session of this token and its user.
    pub(super) async fn find_session(&self, token: &str, rank: Rank) -> Result<Told, StoreError> {
        let Some(sessions) = &self.sessions else {
            return Ok(Told::Nothing);
        };
        let (rows, question) = self
            .answer(|| self.rows(Some(sessions), token, rank))
            .await?;
        Ok(match (&rows[..], question) {
            ([], _) | (_, None) => Told::Nothing,
            ([row], Some(question)) => {
                let columns = StoredColumns {
                    row,
                    zoneless: &question.zoneless,
                    zone: self.zone.as_ref(),
                };
                let user = self.user(Some(sessions), &question, row, FIRST_WITH_SESSION);
                let row = user.and_then(|(user, claims)| columns.read(sessions, user, claims));
                row.map_or_else(Told::Malformed, Told::row)
            }
            ([_, _, ..], _) => Told::Malformed(Flaw::Duplicate),
        })
    }

    /// Finds out whether the database answers and has the tables, and how to ask.
    pub(super) async fn probe(&self) {
        // The outcome is in `self.health`.
        let _ = self
            .answer_in_any_case(async || {
                for by in self.users.iter().chain(&self.sessions) {
                    let question = self.learn(by, Rank::Known).await?;
                    // Nothing equals NULL, but every name and right that the statement needs is checked.
                    self.ask(&question, None, Rank::Known).await?;
                }
                Ok(())
            })
            .await;
    }

    /// Whether the columns of users can be read, if the database says anything about that.
    pub(super) async fn prove_columns(&self) -> Result<(), ColumnError> {
        let asking = |by: &&ByKey| !by.columns.asked.is_nothing();
        let proof = async {
            for by in self.users.iter().chain(&self.sessions).filter(asking) {
                if let Err(PostgresError::Column(error)) = self.learn(by, Rank::Known).await {
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

    /// Whether nothing but [`Postgres::probe`] asks, because the database hangs.
    pub(super) fn hangs(&self) -> bool {
        self.breaker.is_open()
    }

    /// Does `work` within the timeout, unless the database is known to hang.
    async fn answer<T, W>(&self, work: impl Fn() -> W) -> Result<T, StoreError>
    where
        W: Future<Output = Result<T, PostgresError>>,
    {
        tokio::select! {
            biased;
            () = self.breaker.opened() => Err(StoreError::Failed {
                store: LookupSource::Postgres,
                detail: format!(
                    "did not answer anybody within {} ms, and is not asked until it does",
                    self.timeout.as_millis()
                ),
            }),
            answer = self.answer_in_any_case(work) => answer,
        }
    }

    /// Does `work` within the timeout; a second time, on a new connection, when the first one broke on the way.
    async fn answer_in_any_case<T, W>(&self, work: impl Fn() -> W) -> Result<T, StoreError>
    where
        W: Future<Output = Result<T, PostgresError>>,
    {
        let attempts = async {
            match work().await {
                Err(error) if error.is_broken_connection() => {
                    self.connections.forget_idle();
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
                // Where others were answered, this one has waited for its turn, and the connections are good.
                if !self.breaker.timed_out(attempt) {
                    return Err(error);
                }
                self.connections.forget_idle();
                error
            }
        };
        self.health.failed(&error.to_string());
        Err(error)
    }

    /// The rows under `key`, and the question that found them.
    async fn rows(
        &self,
        by: Option<&ByKey>,
        key: &str,
        rank: Rank,
    ) -> Result<(Vec<Row>, Option<Question>), PostgresError> {
        let by = by.ok_or(PostgresError::NoTable)?;
        if key.contains('\0') {
            // No text in PostgreSQL holds this character.
            return Ok((Vec::new(), None));
        }
        let question = match by.known() {
            Some(question) if question.keys.can_hold(key) => question,
            // Before a key is called impossible, we make sure that the column still has the type that says so.
            Some(_) | None => self.learn(by, rank).await?,
        };
        if !question.keys.can_hold(key) {
            return Ok((Vec::new(), None));
        }
        match self.ask(&question, Some(key), rank).await {
            Err(error) if is_outdated(&error) => {
                let question = self.learn(by, rank).await?;
                if !question.keys.can_hold(key) {
                    return Ok((Vec::new(), None));
                }
                let rows = self.ask(&question, Some(key), rank).await?;
                Ok((rows, Some(question)))
            }
            answer => answer.map(|rows| (rows, Some(question))),
        }
    }

    async fn ask(
        &self,
        question: &Question,
        key: Option<&str>,
        rank: Rank,
    ) -> Result<Vec<Row>, PostgresError> {
        let taken = self.connections.take(rank).await?;
        let parameters = [(&key as _, Type::TEXT)];
        let answer = taken
            .connection
            .query(&question.statement, &parameters)
            .await;
        match taken.settle(answer) {
            Err(error) if is_impossible(&error) => Ok(Vec::new()),
            answer => answer,
        }
    }

    /// Reads from the catalog what the columns are, and which rows we may see.
    async fn learn(&self, by: &ByKey, rank: Rank) -> Result<Question, PostgresError> {
        let taken = self.connections.take(rank).await?;
        let answer = self.read_catalog(&taken.connection, by).await;
        taken.settle(answer)
    }

    async fn read_catalog(
        &self,
        connection: &Connection,
        by: &ByKey,
    ) -> Result<Question, PostgresError> {
        let columns = [&by.column].into_iter().chain(&by.times);
        let columns: Vec<_> = columns.map(|column| column.name()).collect();
        let values = by.columns.learn(connection).await?;
        let layout = Layout::read(connection, &by.table, &columns).await?;
        let tables = [&by.table].into_iter().chain(&by.users);
        for table in tables.chain(by.columns.other_tables()) {
            match Visible::read(connection, table).await? {
                Visible::All => {}
                Visible::None => {
                    // What was learned before would go on finding nobody.
                    by.forget();
                    return Err(PostgresError::Hidden {
                        table: table.quoted().to_owned(),
                    });
                }
                Visible::SomeByPolicy => self.say(format!(
                    "row-level security is on for {}: whoever its policies hide from our role looks like nobody and is \
                     refused; a role that has BYPASSRLS sees everybody",
                    table.quoted(),
                )),
            }
        }
        let standing = match &by.standing {
            Some(standing) => catalog::standing(connection, standing).await?,
            None => String::new(),
        };
        let question =
            by.learn(&layout, &standing, values)
                .ok_or_else(|| PostgresError::NoColumn {
                    column: by.column.quoted().to_owned(),
                    table: by.table.quoted().to_owned(),
                })?;
        self.say_zone(by, &question);
        Ok(question)
    }

    /// Says how times without a zone are read, unless the operator has said it, and that he has said it in vain.
    fn say_zone(&self, by: &ByKey, question: &Question) {
        let table = by.table.quoted();
        if self.columns_zone.is_none() && !question.columns.zoneless.is_empty() {
            self.say(format!(
                "the times in `{}` of {} have no time zone and are read as UTC; set SESSION_TIME_ZONE, to UTC if that is \
                 right",
                question.columns.zoneless.join("` and `"),
                by.columns.users.table.quoted(),
            ));
        }
        let columns = question.zoneless.join("` and `");
        match (&self.zone, question.zoneless.is_empty()) {
            (None, false) => self.say(format!(
                "the times in `{columns}` of {table} have no time zone and are read as UTC; if the application writes them \
                 in another zone, sessions live too long or too short: set SESSION_TIME_ZONE, to UTC if that is right"
            )),
            (Some(zone), true) if !by.times.is_empty() && !question.columns.uses_zone() => self.say(format!(
                "SESSION_TIME_ZONE={zone} has no effect: the times in {table} have a time zone of their own"
            )),
            (None | Some(_), _) => {}
        }
    }

    fn say(&self, text: String) {
        let mut said = self.said.lock().unwrap_or_else(PoisonError::into_inner);
        if !said.contains(&text) {
            tracing::warn!(store = LookupSource::Postgres.as_str(), "{text}");
            said.insert(text);
        }
    }
}

/// A row of those that [`ByKey::session`] asks for.
struct StoredColumns<'a> {
    row: &'a Row,
    zoneless: &'a [String],
    zone: Option<&'a Zone>,
}

impl StoredColumns<'_> {
    fn read(&self, by: &ByKey, user: User, claims: Map<String, Value>) -> Result<StoredRow, Flaw> {
        let (expires, created) = match &by.times[..] {
            [created, expires] => (Some(expires.name()), Some(created.name())),
            times => (times.first().map(Column::name), None),
        };
        Ok(StoredRow {
            subject: self.get::<String>(0, Flaw::Text)?.ok_or(Flaw::Text)?,
            email: self.get(1, Flaw::Text)?,
            name: self.get(2, Flaw::Text)?,
            standing: StandingRow::of_texts([
                self.get(5, Flaw::Text)?,
                self.get(6, Flaw::Text)?,
                self.get(7, Flaw::Text)?,
            ]),
            issued_at: self.time(3, created, Flaw::Creation)?,
            expires_at: self.time(4, expires, Flaw::Expiry)?.ok_or(Flaw::Expiry)?,
            user,
            claims,
        })
    }

    fn get<'r, T: FromSql<'r>>(&'r self, index: usize, flaw: Flaw) -> Result<Option<T>, Flaw> {
        self.row.try_get(index).map_err(|_| flaw)
    }

    fn time(
        &self,
        index: usize,
        column: Option<&str>,
        flaw: Flaw,
    ) -> Result<Option<UnixTime>, Flaw> {
        let Some(millis) = self.get::<f64>(index, flaw)? else {
            return Ok(None);
        };
        let is_zoneless =
            column.is_some_and(|name| self.zoneless.iter().any(|other| other == name));
        // Infinity becomes a time that no session may last to.
        let time = UnixTime::from_millis(millis as u64);
        Ok(Some(match self.zone {
            Some(zone) if is_zoneless => zone.absolute(time),
            Some(_) | None => time,
        }))
    }
}

/// The table is no longer what it was when we learned about it: no such column or operator, types that do not match, a
/// changed result, a type that is gone.
fn is_outdated(error: &PostgresError) -> bool {
    error
        .sqlstate()
        .is_some_and(|code| matches!(code, "42703" | "42704" | "42804" | "42883" | "0A000"))
}

/// The key cannot be converted to the type of the column, or to the character set of the database: no such row.
fn is_impossible(error: &PostgresError) -> bool {
    error.sqlstate().is_some_and(|code| {
        matches!(
            code,
            "22001" | "22003" | "22007" | "22008" | "22021" | "22023" | "22P02" | "22P03" | "22P05"
        )
    })
}

/// Where the columns of the user begin in the rows of [`ByKey::user`], and in those of [`ByKey::session`].
const FIRST_OF_USER: usize = 1;
const FIRST_WITH_SESSION: usize = 8;
