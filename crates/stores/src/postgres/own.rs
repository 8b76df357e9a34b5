//! How the gate asks about tables of its own, beside the application's. No request waits for the answers.

use std::time::Duration;

use thiserror::Error;
use tokio::time::timeout;
use tokio_postgres::Row;
use tokio_postgres::types::{ToSql, Type};

use super::super::connections::Connections;
use super::super::pools::{self, DatabaseTarget, Lease, Pools};
use super::super::settings::{DatabaseSettings, DatabaseUrl};
use super::super::single_flight::Rank;
use super::server::{INSUFFICIENT_PRIVILEGE, PostgresError, PostgresOpener};

/// The way to tables of the gate's own, over connections that others may use too.
pub(crate) struct OwnTables {
    lease: Lease<DatabaseTarget, Connections<PostgresOpener>>,
    limit: Duration,
}

/// Why a statement about such a table failed.
#[derive(Debug, Error)]
pub enum OwnTableError {
    /// The role lacks a right that this takes.
    #[error("PostgreSQL: {0}")]
    Forbidden(String),
    /// There is no PostgreSQL among the settings.
    #[error("the database is no PostgreSQL")]
    NoPostgres,
    /// The database or the way to it.
    #[error("PostgreSQL: {0}")]
    Postgres(String),
    /// There was no answer in time.
    #[error("PostgreSQL: no answer within {} ms (DATABASE_TIMEOUT)", .0.as_millis())]
    Slow(Duration),
}

impl From<PostgresError> for OwnTableError {
    fn from(error: PostgresError) -> Self {
        match error.sqlstate() {
            Some(INSUFFICIENT_PRIVILEGE) => Self::Forbidden(error.described()),
            Some(_) | None => Self::Postgres(error.described()),
        }
    }
}

/// A value in a statement, with its type.
pub(crate) type Parameter<'p> = (&'p (dyn ToSql + Sync), Type);

impl OwnTables {
    /// Those in this database. `None` when it is no PostgreSQL.
    pub(crate) fn open(settings: &DatabaseSettings, pools: &Pools) -> Option<Self> {
        let DatabaseUrl::Postgres(server) = &settings.url else {
            return None;
        };
        Some(Self {
            lease: pools.postgres(server, settings),
            limit: settings.timeout,
        })
    }

    /// The rows of one statement, which may run twice: a connection that has rested may have died.
    ///
    /// # Errors
    /// When the database does not answer in time, or refuses.
    pub(crate) async fn ask(
        &self,
        statement: &str,
        parameters: &[Parameter<'_>],
    ) -> Result<Vec<Row>, OwnTableError> {
        let asking = async {
            match self.ask_once(statement, parameters).await {
                Err(error) if error.is_broken_connection() => {
                    self.lease.resource.forget_idle();
                    self.ask_once(statement, parameters).await
                }
                answer => answer,
            }
        };
        let answer = timeout(self.limit, asking).await;
        let answer = answer.map_err(|_| OwnTableError::Slow(self.limit))?;
        Ok(answer?)
    }

    async fn ask_once(
        &self,
        statement: &str,
        parameters: &[Parameter<'_>],
    ) -> Result<Vec<Row>, PostgresError> {
        let taken = self.lease.resource.take(Rank::Known).await?;
        let rows = taken.connection.query(statement, parameters).await;
        taken.settle(rows)
    }

    /// Gives the right to the connections back, and closes them when nobody else uses them.
    pub(crate) async fn close(self) {
        pools::give_back(self.lease).await;
    }
}

/// A text in a statement.
pub(crate) fn text(value: &(dyn ToSql + Sync)) -> Parameter<'_> {
    (value, Type::TEXT)
}
