//! The truth in SQLite: for one machine, and for the demo.
//!
//! The database is opened for reading, and never created: a file that is missing is a failure that says so. The
//! statement spells the column `u."id"` and not `"id"`, because SQLite reads a name in double quotes that is no column
//! as a string, and then every user would be called `id`.
//!
//! As in PostgreSQL, the subject has to be the spelling of the id: `007` equals 7 in an integer column, but is no name
//! of user 7.

use std::sync::Arc;
use std::time::Duration;

use gate::{Lookup, Source, StoreError, User};
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sqlx::{AssertSqlSafe, ConnectOptions};
use tokio::time::{sleep, timeout};

use super::connections::Connections;
use super::health::Health;
use super::settings::TruthSettings;
use super::{StoreHealth, describe};

/// A user table in SQLite.
pub(super) struct Sqlite {
    connections: Connections<SqliteConnection>,
    timeout: Duration,
    statement: Arc<str>,
    health: Health,
}

impl Sqlite {
    pub(super) fn new(options: SqliteConnectOptions, settings: &TruthSettings) -> Self {
        let options = options
            .create_if_missing(false)
            // Not `read_only`: SQLite could not repair a file then whose last writer has crashed.
            .pragma("query_only", "ON")
            .busy_timeout(settings.timeout)
            // The statements carry users' ids.
            .disable_statement_logging();
        let (table, column) = (settings.table.quoted(), settings.id_field.quoted());
        let statement = format!(
            "SELECT EXISTS(SELECT 1 FROM {table} AS u \
             WHERE u.{column} = ?1 AND CAST(u.{column} AS TEXT) = ?1 COLLATE BINARY)"
        );
        Self {
            connections: Connections::new(options, settings.max_connections, LIFETIME),
            timeout: settings.timeout,
            statement: statement.into(),
            health: Health::new(Source::Sqlite),
        }
    }

    /// Whether `subject` is a user, within the timeout.
    pub(super) async fn find(&self, subject: &str) -> Result<Lookup<User>, StoreError> {
        let error = match timeout(self.timeout, self.exists(subject)).await {
            Ok(Ok(exists)) => {
                self.health.answered();
                return Ok(Lookup {
                    found: exists.then_some(User),
                    source: Source::Sqlite,
                });
            }
            Ok(Err(error)) => StoreError::Failed {
                store: Source::Sqlite,
                detail: describe(&error),
            },
            Err(_) => StoreError::TimedOut {
                store: Source::Sqlite,
                limit: self.timeout,
            },
        };
        self.health.failed(&error.to_string());
        Err(error)
    }

    /// Finds out whether the file can be read and has the table.
    pub(super) async fn probe(&self) {
        // The outcome is in `self.health`.
        let _ = self.find("").await;
    }

    pub(super) fn health(&self) -> StoreHealth {
        self.health.report()
    }

    pub(super) async fn close(&self) {
        self.connections.close().await;
    }

    async fn exists(&self, subject: &str) -> Result<bool, sqlx::Error> {
        loop {
            let mut taken = self.connections.take().await?;
            let query =
                sqlx::query_scalar(AssertSqlSafe(Arc::clone(&self.statement))).bind(subject);
            let answer = query.fetch_one(&mut taken.connection).await;
            match taken.settle(answer) {
                Err(error) if locked(&error) => sleep(PAUSE).await,
                answer => return answer,
            }
        }
    }
}

/// A writer in this process holds the table of a shared in-memory database. SQLite's own patience (`busy_timeout`)
/// covers files only.
fn locked(error: &sqlx::Error) -> bool {
    const SQLITE_LOCKED: i32 = 6;
    let code = error
        .as_database_error()
        .and_then(|error| error.code()?.parse::<i32>().ok());
    // The upper bits say more exactly what is locked.
    code.is_some_and(|code| code & 0xff == SQLITE_LOCKED)
}

/// How long to wait for such a writer before asking again.
const PAUSE: Duration = Duration::from_millis(2);

/// A file that was replaced is noticed after this time; opening one is cheap.
const LIFETIME: Duration = Duration::from_secs(10);
