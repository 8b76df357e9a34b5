//! Queries of PostgreSQL's catalog about the tables.

use tokio_postgres::Row;
use tokio_postgres::types::Type;

use super::super::columns::{ColumnError, TableColumn};
use super::super::identifier::{Column, Table};
use super::super::standing::{Dialect, Presence, StandingSelection};
use super::error::PostgresError;
use super::server::Connection;

/// The types of some columns of a table. Each is a name that PostgreSQL itself printed, qualified and quoted if
/// needed.
#[derive(Debug, Default)]
pub(super) struct Layout(Vec<(String, String)>);

impl Layout {
    /// Creates a layout for a test.
    #[cfg(test)]
    pub(super) fn new(columns: impl Into<Vec<(String, String)>>) -> Self {
        Self(columns.into())
    }

    /// Reads the types of these columns. A domain is read as its base type; a column that does not exist is left out.
    pub(super) async fn read(
        connection: &Connection,
        table: &Table,
        columns: &[&str],
    ) -> Result<Self, PostgresError> {
        let rows = connection
            .query(
                TYPES_OF_COLUMNS,
                &[(&table.quoted(), Type::TEXT), (&columns, Type::TEXT_ARRAY)],
            )
            .await?;
        let pair = |row: &Row| Ok((row.try_get(0)?, row.try_get(1)?));
        let columns: Result<Vec<_>, tokio_postgres::Error> = rows.iter().map(pair).collect();
        Ok(Self(columns?))
    }

    pub(super) fn type_of(&self, column: &Column) -> Option<&str> {
        let mut columns = self.0.iter();
        let (_, name) = columns.find(|(name, _)| name == column.name())?;
        Some(name)
    }
}

/// Lists the columns of a table.
///
/// # Errors
/// [`ColumnError::NoTable`] when there is no such table; otherwise an error of the connection or the server.
pub(super) async fn columns(
    connection: &Connection,
    table: &Table,
) -> Result<Vec<TableColumn>, PostgresError> {
    const UNDEFINED_TABLE: &str = "42P01";
    const INVALID_SCHEMA_NAME: &str = "3F000";
    let parameters: [(&(dyn tokio_postgres::types::ToSql + Sync), Type); 1] =
        [(&table.quoted(), Type::TEXT)];
    let rows = match connection.query(COLUMNS, &parameters).await {
        Err(error)
            if matches!(
                error.sqlstate(),
                Some(UNDEFINED_TABLE | INVALID_SCHEMA_NAME)
            ) =>
        {
            let table = table.quoted().to_owned();
            return Err(ColumnError::NoTable { table }.into());
        }
        rows => rows?,
    };
    let read = |row: &Row| {
        Ok(TableColumn {
            name: row.try_get(0)?,
            readable: row.try_get(1)?,
        })
    };
    rows.iter().map(read).collect()
}

/// Writes the SQL that selects the columns about a user's standing, after checking which exist and may be read.
pub(super) async fn standing(
    connection: &Connection,
    statement: &StandingSelection,
) -> Result<String, PostgresError> {
    let mut seen = [Presence::Absent; 3];
    for (seen, candidate) in seen.iter_mut().zip(statement.candidates()) {
        let Some((table, column)) = candidate else {
            continue;
        };
        let rows = connection
            .query(
                READABLE_COLUMN,
                &[(&table.quoted(), Type::TEXT), (&column.name(), Type::TEXT)],
            )
            .await?;
        *seen = match rows.first().map(|row| row.try_get(0)).transpose()? {
            None => Presence::Absent,
            Some(true) => Presence::Readable,
            Some(false) => Presence::Unreadable,
        };
    }
    Ok(statement.select(seen, DIALECT))
}

/// The rows of a table that our role may see.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Visible {
    /// All rows.
    All,
    /// No row: row-level security is on, and no policy applies to our role.
    None,
    /// The rows that policies of row-level security show.
    SomeByPolicy,
}

impl Visible {
    /// Reads from the catalog which rows of this table our role may see. The tables behind a view are not examined.
    pub(super) async fn read(
        connection: &Connection,
        table: &Table,
    ) -> Result<Self, PostgresError> {
        let parameters: [(&(dyn tokio_postgres::types::ToSql + Sync), Type); 1] =
            [(&table.quoted(), Type::TEXT)];
        let rows = connection.query(ROW_SECURITY, &parameters).await?;
        let Some(row) = rows.first() else {
            return Ok(Self::All);
        };
        Ok(match (row.try_get(0)?, row.try_get(1)?) {
            (false, _) => Self::All,
            (true, true) => Self::SomeByPolicy,
            (true, false) => Self::None,
        })
    }
}

/// Selects the type of each column, or the base type of its domain. `regclass` resolves the table as `FROM` does.
const TYPES_OF_COLUMNS: &str = "\
    WITH RECURSIVE layer AS (
        SELECT a.attname, t.oid, t.typtype, t.typbasetype
        FROM pg_catalog.pg_attribute a JOIN pg_catalog.pg_type t ON t.oid = a.atttypid
        WHERE a.attrelid = $1::regclass AND a.attname = ANY ($2) AND a.attnum > 0 AND NOT a.attisdropped
        UNION ALL
        SELECT layer.attname, t.oid, t.typtype, t.typbasetype
        FROM layer JOIN pg_catalog.pg_type t ON t.oid = layer.typbasetype
        WHERE layer.typtype = 'd')
    SELECT attname::text, pg_catalog.format_type(oid, NULL) FROM layer WHERE typtype <> 'd'";

/// Selects the columns of a table, and whether each may be read.
const COLUMNS: &str = "\
    SELECT a.attname::text, pg_catalog.has_column_privilege(a.attrelid, a.attnum, 'SELECT')
    FROM pg_catalog.pg_attribute a
    WHERE a.attrelid = $1::regclass AND a.attnum > 0 AND NOT a.attisdropped";

/// Selects whether a column may be read, if it exists.
const READABLE_COLUMN: &str = "\
    SELECT pg_catalog.has_column_privilege(a.attrelid, a.attnum, 'SELECT')
    FROM pg_catalog.pg_attribute a
    WHERE a.attrelid = $1::regclass AND a.attname = $2 AND a.attnum > 0 AND NOT a.attisdropped";

const DIALECT: Dialect = Dialect {
    text: |column| format!("{column}::text"),
    nothing: "NULL::text",
};

/// Selects whether row-level security applies to our role, and whether any permissive policy then applies: policies are
/// combined, and without a permissive one no rows are visible (PostgreSQL's manual, §5.9).
const ROW_SECURITY: &str = "\
    SELECT pg_catalog.row_security_active($1::regclass), EXISTS (
        SELECT FROM pg_catalog.pg_policy p
        WHERE p.polrelid = $1::regclass AND p.polpermissive AND p.polcmd IN ('r', '*')
        AND EXISTS (
            SELECT FROM pg_catalog.unnest(p.polroles) AS role
            WHERE CASE role WHEN 0 THEN true ELSE pg_catalog.pg_has_role(role, 'USAGE') END))";
