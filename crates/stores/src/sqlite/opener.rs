//! How a SQLite file is opened: for reading, and never created.

use std::time::Duration;

use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sqlx::{ConnectOptions, Connection};

use super::super::connections::Opener;

/// Opens connections to a file.
pub(in super::super) struct SqliteOpener(SqliteConnectOptions);

impl SqliteOpener {
    /// A file that was replaced is noticed after this time; opening one is cheap.
    pub(in super::super) const LIFETIME: Duration = Duration::from_secs(10);

    /// `limit` is the time for a whole question.
    pub(in super::super) fn new(options: SqliteConnectOptions, limit: Duration) -> Self {
        let options = options
            .create_if_missing(false)
            // Not `read_only`: SQLite could not repair a file then whose last writer has crashed.
            .pragma("query_only", "ON")
            .busy_timeout(limit)
            // The statements carry users' ids and sessions' tokens.
            .disable_statement_logging();
        Self(options)
    }
}

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
