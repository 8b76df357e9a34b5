//! The reasons why columns cannot be read.

use thiserror::Error;

use super::super::identifier::{Column, Table};

/// The reason why a column of a user's row cannot be read. Names are quoted as in SQL.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ColumnError {
    /// The table has no such column.
    #[error("there is no column {column} in {table}{}", suggestion(nearest.as_ref()))]
    Missing {
        /// The table.
        table: String,
        /// The column.
        column: String,
        /// A column of the table with a similar name.
        nearest: Option<String>,
    },
    /// There is no such table.
    #[error("there is no table or view {table}")]
    NoTable {
        /// The table.
        table: String,
    },
    /// The column is of a type that holds no point in time.
    #[error(
        "column {column} of {table} is of type {found}, which holds no point in time; `past` and `future` need a date, a \
         timestamp, a number of seconds or milliseconds, or an ISO 8601 text"
    )]
    NotATime {
        /// The table.
        table: String,
        /// The column.
        column: String,
        /// The type.
        found: String,
    },
    /// The role of the gate may not read the column.
    #[error(
        "column {column} of {table} cannot be read, because the database does not allow it: GRANT SELECT ({column}) ON {table}"
    )]
    Unreadable {
        /// The table.
        table: String,
        /// The column.
        column: String,
    },
}

impl ColumnError {
    /// Creates the error for a column that `table` lacks. The table has the columns `existing`.
    pub(in super::super) fn missing(
        table: &Table,
        column: &Column,
        existing: &[TableColumn],
    ) -> Self {
        Self::Missing {
            table: table.quoted().to_owned(),
            column: column.quoted().to_owned(),
            nearest: nearest(column.name(), existing),
        }
    }

    /// The table, and the column unless the table itself is missing, by their unquoted names.
    pub fn names(&self) -> (String, Option<String>) {
        let bare = |quoted: &str| {
            // No part of a name holds a dot.
            let last = quoted.rsplit('.').next().unwrap_or_default();
            let inner = last
                .strip_prefix('"')
                .and_then(|name| name.strip_suffix('"'));
            inner.unwrap_or(last).replace("\"\"", "\"")
        };
        match self {
            Self::NoTable { table } => (bare(table), None),
            Self::Missing { table, column, .. }
            | Self::NotATime { table, column, .. }
            | Self::Unreadable { table, column } => (bare(table), Some(bare(column))),
        }
    }
}

fn suggestion(nearest: Option<&String>) -> String {
    nearest.map_or_else(String::new, |name| format!("; did you mean {name}?"))
}

/// A column that exists in a table.
#[derive(Debug)]
pub(in super::super) struct TableColumn {
    pub(in super::super) name: String,
    /// Whether our role may read the column.
    pub(in super::super) readable: bool,
}

/// Checks that the `wanted` columns are among those `existing` in `table`, and may be read.
pub(in super::super) fn check_readable(
    table: &Table,
    wanted: &[&Column],
    existing: &[TableColumn],
) -> Result<(), ColumnError> {
    for column in wanted {
        match existing.iter().find(|one| one.name == column.name()) {
            Some(TableColumn { readable: true, .. }) => {}
            Some(TableColumn {
                readable: false, ..
            }) => {
                return Err(ColumnError::Unreadable {
                    table: table.quoted().to_owned(),
                    column: column.quoted().to_owned(),
                });
            }
            None => return Err(ColumnError::missing(table, column, existing)),
        }
    }
    Ok(())
}

/// The most similar column name, in quotes, if any is similar enough.
fn nearest(name: &str, existing: &[TableColumn]) -> Option<String> {
    // People confuse `deletedAt` and `deleted_at`.
    let plain = |name: &str| name.to_lowercase().replace('_', "");
    let wanted = plain(name);
    let others = existing.iter().filter(|one| one.name != name);
    let distances = others.map(|one| {
        let distance = strsim::osa_distance(&wanted, &plain(&one.name));
        (distance, &one.name)
    });
    let (distance, nearest) = distances.min()?;
    (distance <= wanted.chars().count().div_ceil(4)).then(|| format!("{nearest:?}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_similar_column_is_suggested_and_a_different_one_is_not() {
        let existing: Vec<_> = ["id", "banned", "ban_expires", "role"]
            .map(|name| TableColumn {
                name: name.to_owned(),
                readable: true,
            })
            .into();
        for (name, found) in [
            ("bannd", Some(r#""banned""#)),
            ("banExpires", Some(r#""ban_expires""#)),
            ("Banned", Some(r#""banned""#)),
            ("roles", Some(r#""role""#)),
            ("plan", None),
        ] {
            assert_eq!(nearest(name, &existing).as_deref(), found, "{name}");
        }
        assert_eq!(nearest("id", &[]), None);
    }
}
