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
mod question;
mod server;

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use gate::{Source, StoreError};
use session::UnixTime;
use tokio::time::timeout;
use tokio_postgres::Row;
use tokio_postgres::types::{FromSql, Type};

use self::catalog::{Layout, Visible};
use self::question::{ByKey, Question};
use self::server::{Connection, PostgresError, PostgresOpener};
pub(crate) use self::server::{PostgresHost, PostgresServer, Verify};
use super::connections::Connections;
use super::health::Health;
use super::identifier::Column;
use super::settings::DatabaseSettings;
use super::standing::StandingRow;
use super::time::Zone;
use super::told::{Flaw, StoredRow, Told};
use super::{StoreHealth, one_line};
use crate::tls;

/// The application's database in PostgreSQL.
pub(super) struct Postgres {
    connections: Connections<PostgresOpener>,
    timeout: Duration,
    users: Option<ByKey>,
    sessions: Option<ByKey>,
    /// Where the times of sessions are read that have no zone; `None` when nothing was configured.
    zone: Option<Zone>,
    health: Health,
    /// What was said about the tables, so that it is said once.
    said: Mutex<BTreeSet<String>>,
}

impl Postgres {
    pub(super) fn new(server: PostgresServer, settings: &DatabaseSettings) -> Self {
        let opener = PostgresOpener {
            server,
            limit: settings.timeout,
        };
        let sessions = settings.sessions.as_ref();
        Self {
            connections: Connections::new(opener, settings.max_connections, LIFETIME),
            timeout: settings.timeout,
            users: settings.users.as_ref().map(ByKey::user),
            sessions: sessions.map(ByKey::session),
            zone: sessions.and_then(|tables| tables.time_zone.clone()),
            health: Health::new(Source::Postgres),
            said: Mutex::default(),
        }
    }

    /// Whether `subject` is a user.
    pub(super) async fn find_user(&self, subject: &str) -> Result<bool, StoreError> {
        let users = self.users.as_ref();
        let (rows, _) = self.answer(|| self.rows(users, subject)).await?;
        Ok(!rows.is_empty())
    }

    /// What is known about the session of this token and its user.
    pub(super) async fn find_session(&self, token: &str) -> Result<Told, StoreError> {
        let Some(sessions) = &self.sessions else {
            return Ok(Told::Nothing);
        };
        let (rows, question) = self.answer(|| self.rows(Some(sessions), token)).await?;
        Ok(match (&rows[..], question) {
            ([], _) | (_, None) => Told::Nothing,
            ([row], Some(question)) => {
                let row = StoredColumns {
                    row,
                    zoneless: &question.zoneless,
                    zone: self.zone.as_ref(),
                };
                row.read(sessions).map_or_else(Told::Malformed, Told::row)
            }
            ([_, _, ..], _) => Told::Malformed(Flaw::Duplicate),
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
                    self.ask(&question, None).await?;
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

    /// The rows under `key`, and the question that found them.
    async fn rows(
        &self,
        by: Option<&ByKey>,
        key: &str,
    ) -> Result<(Vec<Row>, Option<Question>), PostgresError> {
        let by = by.ok_or(PostgresError::NoTable)?;
        if key.contains('\0') {
            // No text in PostgreSQL holds this character.
            return Ok((Vec::new(), None));
        }
        let question = match by.known() {
            Some(question) if question.keys.can_hold(key) => question,
            // Before a key is called impossible, we make sure that the column still has the type that says so.
            Some(_) | None => self.learn(by).await?,
        };
        if !question.keys.can_hold(key) {
            return Ok((Vec::new(), None));
        }
        match self.ask(&question, Some(key)).await {
            Err(error) if is_outdated(&error) => {
                let question = self.learn(by).await?;
                if !question.keys.can_hold(key) {
                    return Ok((Vec::new(), None));
                }
                let rows = self.ask(&question, Some(key)).await?;
                Ok((rows, Some(question)))
            }
            answer => answer.map(|rows| (rows, Some(question))),
        }
    }

    async fn ask(&self, question: &Question, key: Option<&str>) -> Result<Vec<Row>, PostgresError> {
        let taken = self.connections.take().await?;
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
    async fn learn(&self, by: &ByKey) -> Result<Question, PostgresError> {
        let taken = self.connections.take().await?;
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
        let layout = Layout::read(connection, &by.table, &columns).await?;
        for table in [&by.table].into_iter().chain(&by.users) {
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
        let question = by
            .learn(&layout, &standing)
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
        let columns = question.zoneless.join("` and `");
        match (&self.zone, question.zoneless.is_empty()) {
            (None, false) => self.say(format!(
                "the times in `{columns}` of {table} have no time zone and are read as UTC; if the application writes them \
                 in another zone, sessions live too long or too short: set SESSION_TIME_ZONE, to UTC if that is right"
            )),
            (Some(zone), true) if !by.times.is_empty() => self.say(format!(
                "SESSION_TIME_ZONE={zone} has no effect: the times in {table} have a time zone of their own"
            )),
            (None | Some(_), _) => {}
        }
    }

    fn say(&self, text: String) {
        let mut said = self.said.lock().unwrap_or_else(PoisonError::into_inner);
        if !said.contains(&text) {
            tracing::warn!(store = Source::Postgres.as_str(), "{text}");
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
    fn read(&self, by: &ByKey) -> Result<StoredRow, Flaw> {
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

/// What went wrong, down to the cause: the driver's errors say only what it was doing. A server's detail and hint are left
/// out, because they can quote data.
fn describe(error: &PostgresError) -> String {
    let mut text = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        text = format!(
            "{text}: {}",
            cause.to_string().trim_start_matches("ERROR: ")
        );
        source = cause.source();
    }
    if let Some(advice) = tls::advice(error) {
        text = format!("{text} ({advice})");
    }
    one_line(&text)
}

/// After a failover, or a change of its name's address, a server that should not be asked any more may still answer.
const LIFETIME: Duration = Duration::from_secs(30 * 60);
