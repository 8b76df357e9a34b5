//! The statement that looks a row up by its key.

use std::sync::{Arc, Mutex, PoisonError};

use super::super::columns::UserColumns;
use super::super::identifier::{Column, Table};
use super::super::settings::{SessionTables, UserTable};
use super::super::standing::StandingSelection;
use super::catalog::Layout;
use super::columns::{ColumnSelection, UnresolvedColumns};

/// The lookup of a row by its key, before the types of the columns are known.
pub(super) struct KeyLookup {
    /// The table with the key.
    pub(super) table: Table,
    /// The user table, if that is another table.
    pub(super) users: Option<Table>,
    /// The column of the key.
    pub(super) column: Column,
    /// The columns with times: the creation of a session, if a column holds it, and its expiry.
    pub(super) times: Vec<Column>,
    /// The selection of the columns about a user's standing, as far as they exist.
    pub(super) standing: Option<StandingSelection>,
    /// The columns that are selected for rules and headers.
    pub(super) columns: UnresolvedColumns,
    /// The parts of the statement before the condition on the key (`select`, `from`) and after it (`limit`). The
    /// selections of `standing` and `columns` come between the first two. The table with the key is called `k`.
    select: String,
    from: String,
    limit: &'static str,
    /// The statement, once the types of the columns are known.
    known: Mutex<Option<KeyStatement>>,
}

/// A complete statement that looks a row up by its key.
#[derive(Clone, Debug)]
pub(super) struct KeyStatement {
    pub(super) sql: Arc<str>,
    pub(super) keys: Keys,
    /// The columns with times without a zone.
    pub(super) zoneless: Arc<[String]>,
    pub(super) columns: ColumnSelection,
}

/// The form of the keys in a column.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Keys {
    Integer,
    Other,
    Uuid,
}

impl KeyLookup {
    pub(super) fn user(users: &UserTable, configured: UserColumns) -> Self {
        // If columns are read, a decision must not depend on which of several rows comes first.
        let limit = match configured.is_empty() {
            true => "LIMIT 1",
            false => "LIMIT 2",
        };
        Self {
            columns: UnresolvedColumns {
                configured,
                users: users.clone(),
                sessions: None,
                alias: "k",
            },
            select: "SELECT 1".to_owned(),
            from: format!(" FROM {} AS k", users.table.quoted()),
            standing: None,
            limit,
            table: users.table.clone(),
            users: None,
            column: users.id.clone(),
            times: Vec::new(),
            known: Mutex::default(),
        }
    }

    /// Creates the lookup of a session by its token. It selects the session and its user at once, so that a row proves
    /// both. The id of the user is compared as text as well: a collation may treat two users as equal.
    pub(super) fn session(tables: &SessionTables, configured: UserColumns) -> Self {
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
            standing,
        } = tables;
        let text = |column: &Option<Column>| match column {
            Some(column) => format!("u.{}::text", column.quoted()),
            None => "NULL::text".to_owned(),
        };
        let millis = |column: Option<&Column>| match column {
            Some(column) => format!(
                "floor(extract(epoch FROM k.{}) * 1000)::float8",
                column.quoted()
            ),
            None => "NULL::float8".to_owned(),
        };
        let (id, user) = (users.id.quoted(), user.quoted());
        let select = format!(
            "SELECT u.{id}::text, {}, {}, {}, {}",
            text(email),
            text(name),
            millis(created.as_ref()),
            millis(Some(expires)),
        );
        let from = format!(
            " FROM {} AS k JOIN {} AS u \
             ON u.{id} = k.{user} AND u.{id}::text = k.{user}::text COLLATE \"C\"",
            table.quoted(),
            users.table.quoted(),
        );
        Self {
            select,
            from,
            columns: UnresolvedColumns {
                configured,
                users: users.clone(),
                sessions: Some(table.clone()),
                alias: "u",
            },
            standing: Some(StandingSelection::new(standing, &users.table, table)),
            // Two rows are an error, so one more than the first is enough.
            limit: "LIMIT 2",
            table: table.clone(),
            users: Some(users.table.clone()),
            column: token.clone(),
            times: created.iter().chain([expires]).cloned().collect(),
            known: Mutex::default(),
        }
    }

    /// Completes and remembers the statement, now that the types of the columns are known. `None` when the column of
    /// the key does not exist. `standing` and `columns` hold the other selected expressions, each with a comma before it.
    pub(super) fn complete(
        &self,
        layout: &Layout,
        standing: &str,
        columns: ColumnSelection,
    ) -> Option<KeyStatement> {
        let statement = self.statement(layout, standing, columns)?;
        *self.known.lock().unwrap_or_else(PoisonError::into_inner) = Some(statement.clone());
        Some(statement)
    }

    fn statement(
        &self,
        layout: &Layout,
        standing: &str,
        columns: ColumnSelection,
    ) -> Option<KeyStatement> {
        let (keys, cast) = keys_of_type(layout.type_of(&self.column)?);
        let (select, from) = (&self.select, &self.from);
        let (limit, column, values) = (self.limit, self.column.quoted(), &columns.select);
        let sql = format!(
            "{select}{standing}{values}{from} WHERE k.{column} = $1::{cast} AND k.{column}::text = $1 COLLATE \"C\" {limit}"
        );
        let has_no_zone = |column: &&Column| {
            layout
                .type_of(column)
                .is_some_and(|name| ["timestamp without time zone", "date"].contains(&name))
        };
        let zoneless = self.times.iter().filter(has_no_zone);
        Some(KeyStatement {
            sql: sql.into(),
            keys,
            zoneless: zoneless.map(|column| column.name().to_owned()).collect(),
            columns,
        })
    }

    /// Discards the statement, so that the types of the columns are read again before the next lookup.
    pub(super) fn discard(&self) {
        *self.known.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// The complete statement, if the types are known.
    pub(super) fn known(&self) -> Option<KeyStatement> {
        self.known
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

/// The form of the keys in a column of this type, and the type that a key is cast to so that the index can be used.
pub(super) fn keys_of_type(name: &str) -> (Keys, &str) {
    match name {
        // One cast serves all widths: their indexes accept each other's types.
        "smallint" | "integer" | "bigint" => (Keys::Integer, "bigint"),
        "uuid" => (Keys::Uuid, "uuid"),
        "character varying" | "name" | "text" => (Keys::Other, "text"),
        // A cast to `character` would truncate the key to one character.
        "character" => (Keys::Other, "bpchar"),
        other => (Keys::Other, other),
    }
}

impl Keys {
    /// Whether `key` can be the canonical text of such a key: what PostgreSQL prints, not everything that it accepts.
    pub(super) fn can_hold(self, key: &str) -> bool {
        match self {
            Self::Integer => key
                .parse::<i64>()
                .is_ok_and(|number| number.to_string() == key),
            Self::Other => true,
            Self::Uuid => {
                let dash = |at| matches!(at, 8 | 13 | 18 | 23);
                key.len() == 36
                    && key.bytes().enumerate().all(|(at, byte)| match dash(at) {
                        true => byte == b'-',
                        false => matches!(byte, b'0'..=b'9' | b'a'..=b'f'),
                    })
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn statement(column_type: &str) -> KeyStatement {
        let users = UserTable {
            table: Table::parse("auth.users").unwrap(),
            id: Column::parse("id").unwrap(),
        };
        let layout = Layout::new([("id".to_owned(), column_type.to_owned())]);
        let by = KeyLookup::user(&users, UserColumns::default());
        by.statement(&layout, "", ColumnSelection::default())
            .unwrap()
    }

    #[test]
    fn the_statement_compares_by_type_and_by_spelling() {
        assert_eq!(
            &*statement("integer").sql,
            r#"SELECT 1 FROM "auth"."users" AS k WHERE k."id" = $1::bigint AND k."id"::text = $1 COLLATE "C" LIMIT 1"#
        );
        for (column_type, cast) in [
            ("bigint", "$1::bigint"),
            ("uuid", "$1::uuid"),
            ("character varying", "$1::text"),
            ("character", "$1::bpchar"),
            (r#"auth."Id""#, r#"$1::auth."Id""#),
        ] {
            assert!(statement(column_type).sql.contains(cast), "{column_type}");
        }
    }

    #[test]
    fn only_the_canonical_spelling_of_an_integer_is_an_id() {
        for id in [
            "0",
            "7",
            "-7",
            "2147483648",
            "9223372036854775807",
            "-9223372036854775808",
        ] {
            assert!(Keys::Integer.can_hold(id), "{id}");
        }
        for id in [
            "",
            "007",
            " 7",
            "7 ",
            "+7",
            "-0",
            "7.0",
            "7e0",
            "0x7",
            "1_000",
            "٧",
            "abc",
            "9223372036854775808",
        ] {
            assert!(!Keys::Integer.can_hold(id), "{id}");
        }
    }

    #[test]
    fn only_the_canonical_spelling_of_a_uuid_is_an_id() {
        assert!(Keys::Uuid.can_hold("0b8a6c2e-1f3d-4e5f-8a9b-0c1d2e3f4a5b"));
        for id in [
            "",
            "0B8A6C2E-1F3D-4E5F-8A9B-0C1D2E3F4A5B",
            "0b8a6c2e1f3d4e5f8a9b0c1d2e3f4a5b",
            "{0b8a6c2e-1f3d-4e5f-8a9b-0c1d2e3f4a5b}",
            "0b8a-6c2e1f3d-4e5f-8a9b-0c1d2e3f4a5b",
            "0b8a6c2e-1f3d-4e5f-8a9b-0c1d2e3f4a5",
            "0b8a6c2e-1f3d-4e5f-8a9b-0c1d2e3f4a5g",
            "0b8a6c2e-1f3d-4e5f-8a9b-0c1d2e3f4a5é",
        ] {
            assert!(!Keys::Uuid.can_hold(id), "{id}");
        }
    }
}
