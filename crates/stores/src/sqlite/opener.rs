//! Opens SQLite files, for reading and without creating them.

use std::time::Duration;

use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sqlx::{ConnectOptions, Connection};

use super::super::connections::Opener;

/// Opens connections to a SQLite file.
pub(in super::super) struct SqliteOpener(SqliteConnectOptions);

impl SqliteOpener {
    /// The lifetime of a connection, after which a replaced file is noticed. Opening one is cheap.
    pub(in super::super) const LIFETIME: Duration = Duration::from_secs(10);

    /// Creates an opener. `limit` is the time for a whole lookup.
    pub(in super::super) fn new(options: SqliteConnectOptions, limit: Duration) -> Self {
        let options = options
            .create_if_missing(false)
            // Not `read_only`: then SQLite could not recover a file whose last writer has crashed.
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
        // An error on closing changes nothing.
        let _ = connection.close().await;
    }

    fn closed() -> sqlx::Error {
        sqlx::Error::PoolClosed
    }

    fn is_answer(error: &sqlx::Error) -> bool {
        matches!(error, sqlx::Error::Database(_) | sqlx::Error::RowNotFound)
    }
}
