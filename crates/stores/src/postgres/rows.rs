//! A small table of the gate's own that all nodes share.
//!
//! It holds the state that ordering certificates (ACME) needs. No request waits for it.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use thiserror::Error;
use tokio_postgres::Row;
use tokio_postgres::types::Type;

use super::super::pools::Pools;
use super::super::settings::DatabaseSettings;
use super::own::{OwnTableError, OwnTables, Parameter, text};

/// The rows of one scope in the shared table. Other scopes do not see them.
pub struct SharedRows {
    tables: OwnTables,
    scope: String,
    /// Identifies this process as the holder of locks.
    holder: String,
    /// Whether the table is known to exist.
    is_prepared: AtomicBool,
}

/// A row of the shared table, without its value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SharedRow {
    pub kind: String,
    pub name: String,
    /// Changes each time the row is written.
    pub version: String,
}

/// The privileges of our role on the shared table.
#[derive(Clone, Debug)]
pub struct SharedRowsSurvey {
    role: String,
    exists: bool,
    may_create: bool,
    missing: Vec<&'static str>,
}

impl SharedRowsSurvey {
    /// Whether the table exists and may be read.
    pub fn is_readable(&self) -> bool {
        self.exists && !self.missing.contains(&SELECT)
    }

    /// Describes the missing table or privileges, if anything is missing.
    pub fn missing(&self) -> Option<String> {
        let role = &self.role;
        if !self.exists && !self.may_create {
            return Some(format!(
                "it does not exist, and the role {role} may not create it"
            ));
        }
        let missing = self.missing.join(", ");
        (!missing.is_empty()).then(|| format!("the role {role} lacks {missing}"))
    }

    /// The statements that create the table and grant the role the privileges that it needs.
    pub fn advice(&self) -> String {
        let role = self.role.replace('"', "\"\"");
        let create = if self.exists { "" } else { CREATE };
        let end = if self.exists { "" } else { "; " };
        let privileges = PRIVILEGES.join(", ");
        format!(
            "`{create}{end}GRANT {privileges} ON sessiongate_acme TO \"{role}\";`, as a role that may do this."
        )
    }
}

/// The reason why shared rows cannot be read or written.
#[derive(Debug, Error)]
pub enum SharedRowsError {
    /// The statement failed.
    #[error(transparent)]
    Statement(#[from] OwnTableError),
    /// The table does not exist, and our role may not create it.
    #[error(
        "PostgreSQL: there is no table sessiongate_acme, and this role may not create it ({0}); as a role that may, run: \
         {CREATE}; GRANT SELECT, INSERT, UPDATE, DELETE ON sessiongate_acme TO this role"
    )]
    NoTable(String),
}

impl SharedRows {
    /// Opens the rows of `scope` in this database, over a shared pool of connections. `None` when the database is not
    /// PostgreSQL.
    pub fn open(
        settings: &DatabaseSettings,
        pools: &Pools,
        scope: &str,
        holder: String,
    ) -> Option<Self> {
        Some(Self {
            tables: OwnTables::open(settings, pools)?,
            scope: scope.to_owned(),
            holder,
            is_prepared: AtomicBool::new(false),
        })
    }

    /// Creates the table if it does not exist.
    ///
    /// # Errors
    /// When it cannot be created.
    pub async fn prepare(&self) -> Result<(), SharedRowsError> {
        if self.is_prepared.load(Ordering::Relaxed) {
            return Ok(());
        }
        // Look first: a role that may not create tables may have been granted access to this one.
        if !self.exists().await?
            && let Err(error) = self.query(CREATE, &[]).await
            // When two nodes create it at once, one fails in spite of IF NOT EXISTS.
            && !self.exists().await?
        {
            return Err(SharedRowsError::NoTable(error.to_string()));
        }
        self.is_prepared.store(true, Ordering::Relaxed);
        Ok(())
    }

    async fn exists(&self) -> Result<bool, SharedRowsError> {
        const EXISTS: &str = "SELECT to_regclass('sessiongate_acme') IS NOT NULL";
        let rows = self.query(EXISTS, &[]).await?;
        Ok(rows.first().and_then(|row| row.try_get(0).ok()) == Some(true))
    }

    /// Reads the privileges of our role on the table.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn survey(&self) -> Result<SharedRowsSurvey, SharedRowsError> {
        const SURVEY: &str = "SELECT current_user::text, to_regclass('sessiongate_acme') IS NOT NULL, \
             coalesce(has_schema_privilege(current_schema(), 'CREATE'), false)";
        let rows = self.query(SURVEY, &[]).await?;
        let first = rows.first();
        let is_true = |at| first.and_then(|row| row.try_get(at).ok()) == Some(true);
        let mut survey = SharedRowsSurvey {
            role: first
                .and_then(|row| row.try_get(0).ok())
                .unwrap_or_default(),
            exists: is_true(1),
            may_create: is_true(2),
            missing: Vec::new(),
        };
        if survey.exists {
            for privilege in PRIVILEGES {
                const HAS_PRIVILEGE: &str = "SELECT has_table_privilege('sessiongate_acme', $1)";
                let rows = self.query(HAS_PRIVILEGE, &[text(&privilege)]).await?;
                if rows.first().and_then(|row| row.try_get(0).ok()) != Some(true) {
                    survey.missing.push(privilege);
                }
            }
        }
        Ok(survey)
    }

    /// Lists all rows of the scope.
    pub async fn list(&self) -> Result<Vec<SharedRow>, SharedRowsError> {
        const LIST: &str =
            "SELECT kind, name, changed::text FROM sessiongate_acme WHERE scope = $1";
        let rows = self.query(LIST, &[text(&self.scope)]).await?;
        let read = |row: &Row| {
            Some(SharedRow {
                kind: row.try_get(0).ok()?,
                name: row.try_get(1).ok()?,
                version: row.try_get(2).ok()?,
            })
        };
        Ok(rows.iter().filter_map(read).collect())
    }

    /// Reads the value of a row, if the row exists.
    pub async fn get(&self, kind: &str, name: &str) -> Result<Option<String>, SharedRowsError> {
        const GET: &str =
            "SELECT value FROM sessiongate_acme WHERE scope = $1 AND kind = $2 AND name = $3";
        let rows = self.query(GET, &self.key(&kind, &name)).await?;
        Ok(rows.first().and_then(|row| row.try_get(0).ok()))
    }

    /// Writes a row, replacing its value.
    pub async fn put(&self, kind: &str, name: &str, value: &str) -> Result<(), SharedRowsError> {
        const PUT: &str = "INSERT INTO sessiongate_acme (scope, kind, name, value) VALUES ($1, $2, $3, $4) \
             ON CONFLICT (scope, kind, name) DO UPDATE SET value = excluded.value, changed = clock_timestamp()";
        let [scope, kind, name] = self.key(&kind, &name);
        self.query(PUT, &[scope, kind, name, text(&value)])
            .await
            .map(drop)
    }

    /// Removes a row.
    pub async fn remove(&self, kind: &str, name: &str) -> Result<(), SharedRowsError> {
        const REMOVE: &str =
            "DELETE FROM sessiongate_acme WHERE scope = $1 AND kind = $2 AND name = $3";
        self.query(REMOVE, &self.key(&kind, &name)).await.map(drop)
    }

    /// Tries to take the lock of this name for at most `term`, and returns whether this process holds it. The lock is a
    /// row, because an advisory lock belongs to a connection, which a pooler gives to another client between two
    /// statements. It expires by the clock of the database.
    pub async fn lock(&self, name: &str, term: Duration) -> Result<bool, SharedRowsError> {
        const LOCK: &str = "INSERT INTO sessiongate_acme AS held (scope, kind, name, value) \
             VALUES ($1, 'lock', $2, $3) ON CONFLICT (scope, kind, name) DO UPDATE \
             SET value = excluded.value, changed = clock_timestamp() WHERE held.value = excluded.value \
             OR held.changed < clock_timestamp() - $4::float8 * interval '1 second' RETURNING 1";
        let seconds = term.as_secs_f64();
        let parameters = [
            text(&self.scope),
            text(&name),
            text(&self.holder),
            (&seconds as _, Type::FLOAT8),
        ];
        Ok(!self.query(LOCK, &parameters).await?.is_empty())
    }

    /// Releases the lock of this name, if this process holds it.
    pub async fn unlock(&self, name: &str) -> Result<(), SharedRowsError> {
        const UNLOCK: &str = "DELETE FROM sessiongate_acme WHERE scope = $1 AND kind = 'lock' AND name = $2 AND value = $3";
        let parameters = [text(&self.scope), text(&name), text(&self.holder)];
        self.query(UNLOCK, &parameters).await.map(drop)
    }

    fn key<'k>(&'k self, kind: &'k &'k str, name: &'k &'k str) -> [Parameter<'k>; 3] {
        [text(&self.scope), text(kind), text(name)]
    }

    async fn query(
        &self,
        statement: &str,
        parameters: &[Parameter<'_>],
    ) -> Result<Vec<Row>, SharedRowsError> {
        Ok(self.tables.query(statement, parameters).await?)
    }
}

const SELECT: &str = "SELECT";

/// The privileges that reading and writing rows requires.
const PRIVILEGES: [&str; 4] = [SELECT, "INSERT", "UPDATE", "DELETE"];

/// Creates the table. Its few rows hold private keys, so no other role should read it.
const CREATE: &str = "CREATE TABLE IF NOT EXISTS sessiongate_acme (scope text NOT NULL, kind text NOT NULL, name text NOT NULL, \
     value text NOT NULL, changed timestamptz NOT NULL DEFAULT clock_timestamp(), PRIMARY KEY (scope, kind, name))";
