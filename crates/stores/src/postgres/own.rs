//! Access to the gate's own tables, beside the application's. No request waits for it.

use std::time::Duration;

use thiserror::Error;
use tokio::time::timeout;
use tokio_postgres::Row;
use tokio_postgres::types::{ToSql, Type};

use super::super::connections::Connections;
use super::super::pools::{self, DatabaseTarget, Lease, Pools};
use super::super::settings::{DatabaseSettings, DatabaseUrl};
use super::super::single_flight::Trust;
use super::error::{INSUFFICIENT_PRIVILEGE, PostgresError};
use super::server::PostgresOpener;

/// Access to the gate's own tables, over a shared pool of connections.
pub(crate) struct OwnTables {
    lease: Lease<DatabaseTarget, Connections<PostgresOpener>>,
    limit: Duration,
}

/// The reason why a statement about one of the gate's own tables failed.
#[derive(Debug, Error)]
pub enum OwnTableError {
    /// The role lacks a privilege that the statement needs.
    #[error("PostgreSQL: {0}")]
    Forbidden(String),
    /// The settings name another database than PostgreSQL.
    #[error("the database is not PostgreSQL")]
    NotPostgres,
    /// The database, or the connection to it, failed.
    #[error("PostgreSQL: {0}")]
    Postgres(String),
    /// The database did not answer in time.
    #[error("PostgreSQL: no answer within {} ms (DATABASE_TIMEOUT)", .0.as_millis())]
    TimedOut(Duration),
}

impl From<PostgresError> for OwnTableError {
    fn from(error: PostgresError) -> Self {
        match error.sqlstate() {
            Some(INSUFFICIENT_PRIVILEGE) => Self::Forbidden(error.described()),
            Some(_) | None => Self::Postgres(error.described()),
        }
    }
}

/// A parameter of a statement, with its type.
pub(crate) type Parameter<'p> = (&'p (dyn ToSql + Sync), Type);

impl OwnTables {
    /// Opens access to the tables in this database. `None` when it is not PostgreSQL.
    pub(crate) fn open(settings: &DatabaseSettings, pools: &Pools) -> Option<Self> {
        let DatabaseUrl::Postgres(server) = &settings.url else {
            return None;
        };
        Some(Self {
            lease: pools.postgres(server, settings),
            limit: settings.timeout,
        })
    }

    /// Runs one statement and returns its rows. It may run twice, because an idle connection may have died.
    ///
    /// # Errors
    /// When the database does not answer in time, cannot be reached, or refuses the statement.
    pub(crate) async fn query(
        &self,
        statement: &str,
        parameters: &[Parameter<'_>],
    ) -> Result<Vec<Row>, OwnTableError> {
        let attempts = async {
            match self.query_once(statement, parameters).await {
                Err(error) if error.is_broken_connection() => {
                    self.lease.resource.close_idle();
                    self.query_once(statement, parameters).await
                }
                answer => answer,
            }
        };
        let answer = timeout(self.limit, attempts).await;
        let answer = answer.map_err(|_| OwnTableError::TimedOut(self.limit))?;
        Ok(answer?)
    }

    async fn query_once(
        &self,
        statement: &str,
        parameters: &[Parameter<'_>],
    ) -> Result<Vec<Row>, PostgresError> {
        let taken = self.lease.resource.take(Trust::Genuine).await?;
        let rows = taken.connection.query(statement, parameters).await;
        taken.give_back(rows)
    }

    /// Returns the lease of the connections, and closes them when no other stores use them.
    pub(crate) async fn close(self) {
        pools::give_back(self.lease).await;
    }
}

/// Makes a text parameter of a statement.
pub(crate) fn text(value: &(dyn ToSql + Sync)) -> Parameter<'_> {
    (value, Type::TEXT)
}
