//! The application's database.

use std::sync::Arc;

use gate::{LookupSource, StoreError, User};
use tokio::time::sleep;

use super::breaker::Backoff;
use super::columns::ColumnError;
use super::connections::Connections;
use super::pools::{self, DatabaseTarget, Lease, Pools};
use super::postgres::{Postgres, PostgresOpener};
use super::process::Jitter;
use super::session_state::{MalformedRecord, SessionState};
use super::settings::{DatabaseSettings, DatabaseUrl, Settings};
use super::single_flight::Trust;
use super::sqlite::{Sqlite, SqliteOpener};
use super::{PROBE_EVERY, StoreHealth};

/// The application's database. One pool of connections serves all lookups.
#[expect(clippy::large_enum_variant, reason = "there is one of them")]
pub(super) enum Database {
    Postgres(Postgres),
    Sqlite(Sqlite),
}

/// The lease of a database's connection pool.
pub(super) enum DatabaseLease {
    Postgres(Lease<DatabaseTarget, Connections<PostgresOpener>>),
    Sqlite(Lease<DatabaseTarget, Connections<SqliteOpener>>),
}

impl DatabaseLease {
    /// Returns the lease, and closes the connections when no other stores use them.
    pub(super) async fn give_back(self) {
        match self {
            Self::Postgres(lease) => pools::give_back(lease).await,
            Self::Sqlite(lease) => pools::give_back(lease).await,
        }
    }
}

impl Database {
    /// Opens `database`, a part of `settings`, on connections of `pools`.
    pub(super) fn open(
        settings: &Settings,
        database: &DatabaseSettings,
        pools: &Pools,
    ) -> (Self, DatabaseLease) {
        let trial = pools.trial().clone();
        match &database.url {
            DatabaseUrl::Postgres(server) => {
                let lease = pools.postgres(server, database);
                let postgres =
                    Postgres::new(Arc::clone(&lease.resource), settings, database, trial);
                (Self::Postgres(postgres), DatabaseLease::Postgres(lease))
            }
            DatabaseUrl::Sqlite(options) => {
                let lease = pools.sqlite(options, database);
                let sqlite = Sqlite::new(Arc::clone(&lease.resource), settings, database, trial);
                (Self::Sqlite(sqlite), DatabaseLease::Sqlite(lease))
            }
        }
    }

    /// Looks up the user of this id.
    pub(super) async fn find_user(
        &self,
        subject: &str,
    ) -> Result<Result<Option<User>, MalformedRecord>, StoreError> {
        match self {
            Self::Postgres(postgres) => postgres.find_user(subject).await,
            Self::Sqlite(sqlite) => sqlite.find_user(subject).await,
        }
    }

    /// Looks up the session of this token and its user.
    pub(super) async fn find_session(
        &self,
        token: &str,
        trust: Trust,
    ) -> Result<SessionState, StoreError> {
        match self {
            Self::Postgres(postgres) => postgres.find_session(token, trust).await,
            Self::Sqlite(sqlite) => sqlite.find_session(token, trust).await,
        }
    }

    pub(super) fn source(&self) -> LookupSource {
        match self {
            Self::Postgres(_) => LookupSource::Postgres,
            Self::Sqlite(_) => LookupSource::Sqlite,
        }
    }

    pub(super) fn health(&self) -> StoreHealth {
        match self {
            Self::Postgres(postgres) => postgres.health(),
            Self::Sqlite(sqlite) => sqlite.health(),
        }
    }

    /// Probes the database until canceled, so that its health stays current.
    pub(super) async fn watch(&self, jitter: Jitter) {
        let mut backoff = Backoff::new(jitter);
        loop {
            let is_hanging = match self {
                Self::Postgres(postgres) => {
                    postgres.probe().await;
                    postgres.is_hanging()
                }
                Self::Sqlite(sqlite) => {
                    sqlite.probe().await;
                    false
                }
            };
            let pause = if is_hanging {
                backoff.pause(PROBE_EVERY)
            } else {
                backoff.reset();
                PROBE_EVERY
            };
            sleep(pause).await;
        }
    }

    /// Checks that the configured columns can be read, if the database answers.
    pub(super) async fn check_columns(&self) -> Result<(), ColumnError> {
        match self {
            Self::Postgres(postgres) => postgres.check_columns().await,
            Self::Sqlite(sqlite) => sqlite.check_columns().await,
        }
    }
}
