//! The triggers that announce changes of users and sessions with `NOTIFY`.

mod sql;
mod state;
mod watch;

use std::time::Duration;

pub(super) use self::sql::CHANNEL;
use self::state::TriggerQuery;
pub(super) use self::state::TriggerState;
pub use self::state::{TriggerFlaw, WatchedTable};
use self::watch::Watch;
use super::super::pools::Pools;
use super::super::settings::{DatabaseSettings, Settings};
use super::error::PostgresError;
use super::own::{OwnTableError, OwnTables};
use super::server::Connection;

/// The triggers on the tables that some stores read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChangeTriggers(Vec<Watch>);

impl ChangeTriggers {
    /// Derives the triggers for stores with these settings, which all use one database.
    pub fn of<'a>(settings: impl IntoIterator<Item = &'a Settings>) -> Self {
        Self(watch::of(settings))
    }

    /// Whether no table is watched.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The SQL script that creates the triggers, to be run by the owner of the tables.
    pub fn sql(&self) -> String {
        format!("{}{};\n", sql::preface(&self.0), sql::install(&self.0))
    }

    /// The SQL script that removes all triggers of the gate from a database, including those of other versions.
    pub fn removal_sql() -> String {
        format!("{};\n", sql::uninstall())
    }

    /// Creates the triggers, or replaces outdated ones.
    ///
    /// # Errors
    /// When the database does not answer in time, or refuses: its role must own the tables.
    pub async fn install(
        &self,
        database: &DatabaseSettings,
        pools: &Pools,
    ) -> Result<(), OwnTableError> {
        with_tables(&with_longer_timeout(database), pools, async |tables| {
            tables.query(&sql::install(&self.0), &[]).await
        })
        .await
        .map(drop)
    }

    /// Removes all triggers of the gate from the database, including those of other versions.
    ///
    /// # Errors
    /// When the database does not answer in time, or refuses: its role must own the tables.
    pub async fn uninstall(
        database: &DatabaseSettings,
        pools: &Pools,
    ) -> Result<(), OwnTableError> {
        with_tables(&with_longer_timeout(database), pools, async |tables| {
            tables.query(&sql::uninstall(), &[]).await
        })
        .await
        .map(drop)
    }

    /// Lists every watched table, and the flaws because of which changes are not announced.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn inspect(
        &self,
        database: &DatabaseSettings,
        pools: &Pools,
    ) -> Result<Vec<WatchedTable>, OwnTableError> {
        with_tables(database, pools, async |tables| {
            let mut state = TriggerState::default();
            for query in self.0.iter().map(TriggerQuery::of) {
                let rows = tables.query(state::MEMBERS, &query.parameters()).await?;
                query.read(&rows, &mut state)?;
            }
            Ok(state.tables)
        })
        .await
    }

    /// Checks the triggers of every watched table over this connection.
    pub(super) async fn state(
        &self,
        connection: &Connection,
    ) -> Result<TriggerState, PostgresError> {
        let mut state = TriggerState::default();
        for query in self.0.iter().map(TriggerQuery::of) {
            let rows = connection
                .query(state::MEMBERS, &query.parameters())
                .await?;
            query.read(&rows, &mut state)?;
        }
        Ok(state)
    }
}

async fn with_tables<T>(
    database: &DatabaseSettings,
    pools: &Pools,
    run: impl AsyncFnOnce(&OwnTables) -> Result<T, OwnTableError>,
) -> Result<T, OwnTableError> {
    let tables = OwnTables::open(database, pools).ok_or(OwnTableError::NotPostgres)?;
    let done = run(&tables).await;
    tables.close().await;
    done
}

/// Returns settings with a longer timeout: creating triggers waits for current writers of the tables, and the statement
/// itself limits each wait.
fn with_longer_timeout(database: &DatabaseSettings) -> DatabaseSettings {
    let mut database = database.clone();
    database.timeout = database.timeout.max(INSTALL_TIMEOUT);
    database
}

const INSTALL_TIMEOUT: Duration = Duration::from_secs(60);
