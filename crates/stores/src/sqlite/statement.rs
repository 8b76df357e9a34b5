//! The statements that look rows up by their keys in SQLite, and how rows are read.

use std::sync::{Arc, Mutex, PoisonError};

use gate::User;
use serde_json::{Map, Value};
use sqlx::Row;
use sqlx::sqlite::SqliteRow;

use super::super::columns::UserColumns;
use super::super::identifier::{Column, Table};
use super::super::session_state::{MalformedRecord, StoredRow};
use super::super::settings::{SessionTables, UserTable};
use super::super::standing::{Dialect, Presence, StandingRow, StandingSelection};
use super::super::time::{self, Zone};
use super::columns;

/// The statement that looks a user up by id.
pub(super) struct UserStatement {
    pub(super) table: Table,
    pub(super) configured: UserColumns,
    pub(super) statement: Arc<str>,
}

impl UserStatement {
    pub(super) fn new(users: &UserTable, configured: UserColumns) -> Self {
        let values = columns::select(&configured, users, "k");
        let (table, key) = (users.table.quoted(), is_key(users.id.quoted()));
        // If columns are read, a decision must not depend on which of several rows comes first.
        let limit = if configured.is_empty() { 1 } else { 2 };
        let statement = format!("SELECT 1{values} FROM {table} AS k WHERE {key} LIMIT {limit}");
        Self {
            table: users.table.clone(),
            configured,
            statement: statement.into(),
        }
    }

    /// Reads the user from a row.
    pub(super) fn read(&self, row: &SqliteRow) -> Result<User, MalformedRecord> {
        const FIRST: usize = 1;
        columns::user(row, FIRST, &self.configured).map(|(user, _)| user)
    }
}

/// The statement that looks a session up by its token.
pub(super) struct SessionStatement {
    pub(super) tables: SessionTables,
    pub(super) standing: StandingSelection,
    /// The columns and claims that are read for rules and headers.
    pub(super) configured: UserColumns,
    /// The statement, once it is known which columns exist.
    known: Mutex<Option<Arc<str>>>,
}

impl SessionStatement {
    pub(super) fn new(tables: &SessionTables, configured: UserColumns) -> Self {
        Self {
            configured,
            standing: StandingSelection::new(&tables.standing, &tables.users.table, &tables.table),
            tables: tables.clone(),
            known: Mutex::default(),
        }
    }

    pub(super) fn known(&self) -> Option<Arc<str>> {
        self.known
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    pub(super) fn complete(&self, seen: [Presence; 3]) -> Arc<str> {
        let standing = self.standing.select(seen, DIALECT);
        let values = columns::select(&self.configured, &self.tables.users, "u");
        let statement = session_by_token(&self.tables, &format!("{standing}{values}"));
        *self.known.lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::clone(&statement));
        statement
    }

    /// Reads the session and its user from a row. `zone` is the time zone for times without a zone.
    pub(super) fn read(
        &self,
        row: &SqliteRow,
        zone: Option<&Zone>,
    ) -> Result<StoredRow, MalformedRecord> {
        const FIRST: usize = 10;
        let (user, claims) = columns::user(row, FIRST, &self.configured)?;
        stored_row(row, zone, user, claims)
    }
}

const DIALECT: Dialect = Dialect {
    text: |column| format!("CAST({column} AS TEXT)"),
    nothing: "NULL",
};

/// Writes the statement that finds the session and its user at once, so that a row proves both. The id of the user is
/// compared as text as well: a collation may treat two users as equal. `besides` holds the other selected expressions,
/// each with a comma before it.
fn session_by_token(tables: &SessionTables, besides: &str) -> Arc<str> {
    let SessionTables {
        table,
        token,
        user,
        expires,
        created,
        users,
        email,
        name,
        time_zone: _,
        standing: _,
    } = tables;
    let text = |column: &Option<Column>| match column {
        Some(column) => format!("CAST(u.{} AS TEXT)", column.quoted()),
        None => "NULL".to_owned(),
    };
    let time = |column: Option<&Column>| match column {
        Some(column) => format!("typeof(k.{0}), CAST(k.{0} AS TEXT)", column.quoted()),
        None => "'null', NULL".to_owned(),
    };
    let (id, user) = (users.id.quoted(), user.quoted());
    // Two rows are an error, so one more than the first is enough.
    format!(
        "SELECT CAST(u.{id} AS TEXT), {}, {}, {}, {}{besides} FROM {} AS k JOIN {} AS u \
         ON u.{id} = k.{user} AND CAST(u.{id} AS TEXT) = CAST(k.{user} AS TEXT) COLLATE BINARY \
         WHERE {} LIMIT 2",
        text(email),
        text(name),
        time(created.as_ref()),
        time(Some(expires)),
        table.quoted(),
        users.table.quoted(),
        is_key(token.quoted()),
    )
    .into()
}

fn is_key(column: &str) -> String {
    format!("k.{column} = ?1 AND CAST(k.{column} AS TEXT) = ?1 COLLATE BINARY")
}

/// Reads the columns that [`session_by_token`] selects.
fn stored_row(
    row: &SqliteRow,
    zone: Option<&Zone>,
    user: User,
    claims: Map<String, Value>,
) -> Result<StoredRow, MalformedRecord> {
    let text = |index: usize| {
        row.try_get::<Option<String>, _>(index)
            .map_err(|_| MalformedRecord::Text)
    };
    let time = |index: usize, fault: MalformedRecord| {
        let kind: String = row.try_get(index).map_err(|_| fault)?;
        let Some(value) = text(index + 1)? else {
            return Ok(None);
        };
        let time = match &*kind {
            "integer" => value.parse().ok().map(time::of_number),
            "text" => time::of_text(&value, zone),
            _ => None,
        };
        time.map(Some).ok_or(fault)
    };
    Ok(StoredRow {
        subject: text(0)?.ok_or(MalformedRecord::Text)?,
        email: text(1)?,
        name: text(2)?,
        standing: StandingRow::of_texts([text(7)?, text(8)?, text(9)?]),
        issued_at: time(3, MalformedRecord::Creation)?,
        expires_at: time(5, MalformedRecord::Expiry)?.ok_or(MalformedRecord::Expiry)?,
        user,
        claims,
    })
}
