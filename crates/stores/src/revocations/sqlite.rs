//! Revocations in a SQLite file of the gate's own, for one machine. The gate only ever reads the application's own file.
//!
//! The file is opened for each operation, which takes a fraction of a millisecond, so that a replaced file is noticed.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use gate::{LookupSource, Revoked};
use session::UnixTime;
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection, SqliteRow};
use sqlx::{ConnectOptions, Connection, Row};

use super::entry::{self, EntryColumns, RevocationEntry, RevocationKey, key};
use super::{MAX_REVOCATIONS, RevocationStoreError};

pub(super) struct InSqlite(PathBuf);

impl InSqlite {
    pub(super) fn at(path: &Path) -> Self {
        Self(path.to_owned())
    }

    /// Opens the file. Creates it, and the table, if they do not exist.
    async fn open(&self) -> Result<SqliteConnection, RevocationStoreError> {
        let options = SqliteConnectOptions::new()
            .filename(&self.0)
            .create_if_missing(true)
            .busy_timeout(BUSY_TIMEOUT)
            // The statements carry users' ids.
            .disable_statement_logging();
        let mut connection = options
            .connect()
            .await
            .map_err(|error| self.error(&error))?;
        let made = sqlx::query(CREATE).execute(&mut connection).await;
        made.map_err(|error| self.error(&error))?;
        Ok(connection)
    }

    pub(super) async fn install(&self) -> Result<(), RevocationStoreError> {
        let connection = self.open().await?;
        connection.close().await.map_err(|error| self.error(&error))
    }

    pub(super) async fn load(
        &self,
        now: UnixTime,
    ) -> Result<Vec<RevocationEntry>, RevocationStoreError> {
        let mut connection = self.open().await?;
        let limit = i64::try_from(MAX_REVOCATIONS + 1).unwrap_or(i64::MAX);
        let rows = sqlx::query(LOAD).bind(int(now.millis())).bind(limit);
        let rows = rows.fetch_all(&mut connection).await;
        let rows = rows.map_err(|error| self.error(&error))?;
        let entries = rows.iter().map(read).collect();
        let _ = connection.close().await;
        entries
    }

    /// Reads the revocations with these keys, unless they have expired.
    pub(super) async fn read_keys(
        &self,
        keys: &BTreeSet<RevocationKey>,
        now: UnixTime,
    ) -> Result<Vec<RevocationEntry>, RevocationStoreError> {
        let mut connection = self.open().await?;
        let mut entries = Vec::new();
        for of in keys {
            let (kind, id) = key(&of.what);
            let row = sqlx::query(LOAD_KEY).bind(int(now.millis()));
            let row = row.bind(&of.realm).bind(kind).bind(id);
            let row = row.fetch_optional(&mut connection).await;
            let row = row.map_err(|error| self.error(&error))?;
            entries.extend(row.as_ref().map(read).transpose()?);
        }
        let _ = connection.close().await;
        Ok(entries)
    }

    pub(super) async fn add(
        &self,
        entry: &RevocationEntry,
        now: UnixTime,
    ) -> Result<(), RevocationStoreError> {
        let columns = EntryColumns::from(entry);
        let mut connection = self.open().await?;
        let gone = sqlx::query("DELETE FROM revocations WHERE until <= ?1").bind(int(now.millis()));
        let gone = gone.execute(&mut connection).await;
        gone.map_err(|error| self.error(&error))?;
        let added = sqlx::query(ADD)
            .bind(columns.realm)
            .bind(columns.kind)
            .bind(columns.id)
            .bind(int(columns.before))
            .bind(int(columns.until))
            .bind(int(columns.made))
            .bind(columns.by)
            .bind(columns.source)
            .bind(columns.reason)
            .bind(i64::try_from(MAX_REVOCATIONS).unwrap_or(i64::MAX))
            .execute(&mut connection)
            .await;
        let added = added.map_err(|error| self.error(&error))?;
        let closed = connection.close().await;
        closed.map_err(|error| self.error(&error))?;
        match added.rows_affected() {
            0 => Err(RevocationStoreError::Full(LookupSource::Sqlite)),
            _ => Ok(()),
        }
    }

    pub(super) async fn remove(
        &self,
        realm: &str,
        what: &Revoked,
    ) -> Result<bool, RevocationStoreError> {
        let (kind, id) = key(what);
        let mut connection = self.open().await?;
        let removed =
            sqlx::query("DELETE FROM revocations WHERE realm = ?1 AND kind = ?2 AND id = ?3")
                .bind(realm)
                .bind(kind)
                .bind(id)
                .execute(&mut connection)
                .await;
        let removed = removed.map_err(|error| self.error(&error))?;
        let closed = connection.close().await;
        closed.map_err(|error| self.error(&error))?;
        Ok(removed.rows_affected() > 0)
    }

    fn error(&self, error: &sqlx::Error) -> RevocationStoreError {
        let path = self.0.display().to_string();
        RevocationStoreError::Sqlite(path, super::super::one_line(&error.to_string()))
    }
}

fn read(row: &SqliteRow) -> Result<RevocationEntry, RevocationStoreError> {
    let text = |at: usize| row.try_get::<String, _>(at).ok();
    let millis = |at: usize| row.try_get::<i64, _>(at).ok();
    entry::read(EntryColumns::of_row(text, millis), LookupSource::Sqlite)
}

fn int(millis: u64) -> i64 {
    i64::try_from(millis).unwrap_or(i64::MAX)
}

const CREATE: &str = "CREATE TABLE IF NOT EXISTS revocations (realm TEXT NOT NULL, kind TEXT NOT NULL, id TEXT NOT NULL, \
     before INTEGER NOT NULL, until INTEGER NOT NULL, made INTEGER NOT NULL, made_by TEXT NOT NULL, source TEXT NOT NULL, \
     reason TEXT NOT NULL, PRIMARY KEY (realm, kind, id)) STRICT, WITHOUT ROWID";

/// Selects all revocations that have not expired, up to a limit.
const LOAD: &str = "SELECT realm, kind, id, before, until, made, made_by, source, reason FROM revocations \
     WHERE until > ?1 LIMIT ?2";

const LOAD_KEY: &str = "SELECT realm, kind, id, before, until, made, made_by, source, reason FROM revocations \
     WHERE until > ?1 AND realm = ?2 AND kind = ?3 AND id = ?4";

const ADD: &str = "INSERT INTO revocations (realm, kind, id, before, until, made, made_by, source, reason) \
     SELECT ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9 WHERE (SELECT count(*) FROM revocations) < ?10 \
     OR EXISTS (SELECT 1 FROM revocations WHERE realm = ?1 AND kind = ?2 AND id = ?3) \
     ON CONFLICT (realm, kind, id) DO UPDATE SET before = max(before, excluded.before), until = max(until, excluded.until), \
     made = excluded.made, made_by = excluded.made_by, source = excluded.source, reason = excluded.reason";

/// How long to wait for another writer. A busy disk may take seconds for a commit, and a revocation that fails would have
/// to be repeated.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);
