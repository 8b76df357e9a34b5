//! The application's database.

use gate::{Source, StoreError};
use tokio::time::sleep;

use super::postgres::Postgres;
use super::settings::{DatabaseSettings, DatabaseUrl};
use super::sqlite::Sqlite;
use super::told::Told;
use super::{PROBE_EVERY, StoreHealth};

/// The application's database. One set of connections serves every question.
#[expect(clippy::large_enum_variant, reason = "there is one of them")]
pub(super) enum Database {
    Postgres(Postgres),
    Sqlite(Sqlite),
}

impl Database {
    pub(super) fn new(settings: &DatabaseSettings) -> Self {
        match &settings.url {
            DatabaseUrl::Postgres(server) => {
                Self::Postgres(Postgres::new((**server).clone(), settings))
            }
            DatabaseUrl::Sqlite(options) => {
                Self::Sqlite(Sqlite::new((**options).clone(), settings))
            }
        }
    }

    /// Whether `subject` is a user.
    pub(super) async fn find_user(&self, subject: &str) -> Result<bool, StoreError> {
        match self {
            Self::Postgres(postgres) => postgres.find_user(subject).await,
            Self::Sqlite(sqlite) => sqlite.find_user(subject).await,
        }
    }

    /// What is known about the session of this token and its user.
    pub(super) async fn find_session(&self, token: &str) -> Result<Told, StoreError> {
        match self {
            Self::Postgres(postgres) => postgres.find_session(token).await,
            Self::Sqlite(sqlite) => sqlite.find_session(token).await,
        }
    }

    pub(super) fn source(&self) -> Source {
        match self {
            Self::Postgres(_) => Source::Postgres,
            Self::Sqlite(_) => Source::Sqlite,
        }
    }

    pub(super) fn health(&self) -> StoreHealth {
        match self {
            Self::Postgres(postgres) => postgres.health(),
            Self::Sqlite(sqlite) => sqlite.health(),
        }
    }

    /// Keeps its health current, for ever.
    pub(super) async fn watch(&self) {
        loop {
            match self {
                Self::Postgres(postgres) => postgres.probe().await,
                Self::Sqlite(sqlite) => sqlite.probe().await,
            }
            sleep(PROBE_EVERY).await;
        }
    }

    pub(super) async fn close(&self) {
        match self {
            Self::Postgres(postgres) => postgres.close().await,
            Self::Sqlite(sqlite) => sqlite.close().await,
        }
    }
}
