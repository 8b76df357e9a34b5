//! The columns that describe the standing of a session's user: whether the e-mail address is verified, whether the user
//! is a guest, whether another user acts as this user (impersonation).
//!
//! Not every application has these columns: two come with plugins of Better Auth. And a role that was granted only the
//! columns that an earlier release needed cannot read them. So a column that only the built-in schema names is read if
//! it exists, which is checked together with the type of the key; a column that the operator names is always read.

use std::sync::{Mutex, PoisonError};

use serde_json::Value;
use session::{Standing, means_guest, means_verified};

use super::identifier::{Column, Table};

/// The columns about a user's standing that an application may have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StandingColumns {
    /// The column of the user table that says whether, or when, the e-mail address was verified.
    pub verified: Option<StandingColumn>,
    /// Whether `NULL` in the column [`verified`](Self::verified) means "not verified". Adapters of Auth.js write `NULL` for
    /// every user who signs in with an OAuth provider, so there `NULL` says nothing.
    pub null_is_unverified: bool,
    /// The column of the user table that says whether the user is a guest.
    pub anonymous: Option<StandingColumn>,
    /// The column of the session table with the id of the user who acts as the session's user.
    pub impersonated_by: Option<StandingColumn>,
}

/// A column about a user's standing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StandingColumn {
    /// The name of the column.
    pub column: Column,
    /// When the column is read.
    pub need: Need,
}

/// When a column is read. If the column cannot be read then, no session can be looked up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Need {
    /// Always: the operator has named it.
    Always,
    /// If it exists and our role may read it.
    IfReadable,
    /// If it exists: users may be refused because of its value.
    IfPresent,
}

/// Whether a column exists and can be read, according to the catalog.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Presence {
    Absent,
    Readable,
    Unreadable,
}

/// How a column and `NULL` are written as texts in the SQL of a database.
#[derive(Clone, Copy, Debug)]
pub(super) struct Dialect {
    /// Writes a column, cast to text.
    pub(super) text: fn(&str) -> String,
    /// `NULL`, as text.
    pub(super) nothing: &'static str,
}

/// The part of a statement that selects a user's standing. The aliases are `k` for the session table and `u` for the user
/// table.
#[derive(Debug)]
pub(super) struct StandingSelection {
    columns: StandingColumns,
    tables: [Table; 3],
    /// The presence of the columns when last checked, so that a change is logged once.
    seen: Mutex<Option<[Presence; 3]>>,
}

impl StandingSelection {
    pub(super) fn new(columns: &StandingColumns, users: &Table, sessions: &Table) -> Self {
        Self {
            columns: columns.clone(),
            tables: [users, users, sessions].map(Table::clone),
            seen: Mutex::default(),
        }
    }

    /// The table and name of each column that may be missing.
    pub(super) fn candidates(&self) -> [Option<(&Table, &Column)>; 3] {
        let [verified, anonymous, impersonated_by] = self.columns.each();
        let [users, _, sessions] = &self.tables;
        [
            (users, verified),
            (users, anonymous),
            (sessions, impersonated_by),
        ]
        .map(|(table, column)| {
            let column = column.filter(|column| column.need != Need::Always)?;
            Some((table, &column.column))
        })
    }

    /// Writes the selection: three texts, each with a comma before it.
    pub(super) fn select(&self, seen: [Presence; 3], dialect: Dialect) -> String {
        self.log_presence(seen);
        let columns = self.columns.each();
        let texts =
            columns
                .into_iter()
                .zip(["u", "u", "k"])
                .zip(seen)
                .map(|((column, alias), seen)| {
                    match column.filter(|column| column.is_selected(seen)) {
                        Some(column) => {
                            (dialect.text)(&format!("{alias}.{}", column.column.quoted()))
                        }
                        None => dialect.nothing.to_owned(),
                    }
                });
        let mut texts: Vec<String> = texts.collect();
        if self.columns.null_is_unverified
            && let Some(verified) = texts.first_mut()
            && *verified != dialect.nothing
        {
            *verified = format!("coalesce({verified}, 'false')");
        }
        texts.iter().map(|text| format!(", {text}")).collect()
    }

    /// Logs which columns are missing or unreadable, when that has changed.
    fn log_presence(&self, seen: [Presence; 3]) {
        let last = self
            .seen
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .replace(seen);
        if last == Some(seen) {
            return;
        }
        for ((column, table), seen) in self.columns.each().iter().zip(&self.tables).zip(seen) {
            let Some(StandingColumn { column, need }) = column else {
                continue;
            };
            let (column, table) = (column.quoted(), table.quoted());
            match (need, seen) {
                (Need::IfReadable, Presence::Unreadable) => tracing::warn!(
                    "column {column} about users is not read, because the database does not allow it: \
                     GRANT SELECT ({column}) ON {table}"
                ),
                (Need::IfPresent, Presence::Absent) => tracing::warn!(
                    "ALLOW_ANONYMOUS is off, and {table} has no column {column}: no session that is looked up is recognized \
                     as a guest's; name the column in USER_ANONYMOUS_FIELD"
                ),
                (Need::Always | Need::IfReadable | Need::IfPresent, _) => {}
            }
        }
    }
}

impl StandingColumns {
    fn each(&self) -> [Option<&StandingColumn>; 3] {
        [&self.verified, &self.anonymous, &self.impersonated_by].map(Option::as_ref)
    }

    /// The name of each column, so that cached records can be bound to it.
    pub(super) fn names(&self) -> [Option<&Column>; 3] {
        self.each().map(|column| Some(&column?.column))
    }
}

impl StandingColumn {
    fn is_selected(&self, seen: Presence) -> bool {
        match (self.need, seen) {
            (Need::Always, _) | (Need::IfReadable | Need::IfPresent, Presence::Readable) => true,
            (Need::IfPresent, Presence::Unreadable) => true,
            (Need::IfReadable, Presence::Absent | Presence::Unreadable)
            | (Need::IfPresent, Presence::Absent) => false,
        }
    }
}

/// The standing of a session's user, as read from a store.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct StandingRow {
    email_verified: Option<bool>,
    is_anonymous: bool,
    impersonated_by: Option<String>,
}

impl StandingRow {
    /// Reads the texts of the columns that [`StandingSelection::select`] selects.
    pub(super) fn of_texts([verified, anonymous, impersonated_by]: [Option<String>; 3]) -> Self {
        Self {
            email_verified: verified.as_deref().map(means_verified),
            is_anonymous: anonymous.as_deref().is_some_and(means_guest),
            impersonated_by: impersonated_by.filter(|id| !id.is_empty()),
        }
    }

    /// Reads the JSON members of Better Auth's sessions, as far as they exist.
    pub(super) fn of_json([verified, anonymous, impersonated_by]: [Option<&Value>; 3]) -> Self {
        // The library treats an address as verified only if this is `true`, so `null` means "no".
        let verified = verified.map(|value| text(value).unwrap_or_else(|| "false".to_owned()));
        Self::of_texts([
            verified,
            anonymous.and_then(text),
            impersonated_by.and_then(text),
        ])
    }

    pub(super) fn standing(&self) -> Standing<'_> {
        Standing {
            email_verified: self.email_verified,
            is_anonymous: self.is_anonymous,
            impersonated_by: self.impersonated_by.as_deref(),
        }
    }
}

/// Formats a JSON value as a database would; `null` becomes `None`.
fn text(value: &Value) -> Option<String> {
    match value {
        Value::Null => None,
        Value::String(text) => Some(text.clone()),
        Value::Array(_) | Value::Bool(_) | Value::Number(_) | Value::Object(_) => {
            Some(value.to_string())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DIALECT: Dialect = Dialect {
        text: |column| format!("{column}::text"),
        nothing: "NULL",
    };

    fn statement(need: Need, null_is_unverified: bool) -> StandingSelection {
        let column = |name: &str| {
            let column = Column::parse(name).unwrap();
            Some(StandingColumn { column, need })
        };
        let columns = StandingColumns {
            verified: column("emailVerified"),
            null_is_unverified,
            anonymous: column("isAnonymous"),
            impersonated_by: column("impersonatedBy"),
        };
        let table = |name: &str| Table::parse(name).unwrap();
        StandingSelection::new(&columns, &table("user"), &table("session"))
    }

    #[test]
    fn a_column_is_selected_if_it_is_required_or_readable() {
        use Presence::{Absent, Readable, Unreadable};
        let seen = [Readable, Absent, Unreadable];
        let select = |need| statement(need, false).select(seen, DIALECT);
        assert_eq!(
            select(Need::IfReadable),
            r#", u."emailVerified"::text, NULL, NULL"#
        );
        assert_eq!(
            select(Need::IfPresent),
            r#", u."emailVerified"::text, NULL, k."impersonatedBy"::text"#
        );
        assert_eq!(
            select(Need::Always),
            r#", u."emailVerified"::text, u."isAnonymous"::text, k."impersonatedBy"::text"#
        );
    }

    #[test]
    fn null_means_unverified_where_the_application_means_that() {
        let select = |seen| statement(Need::IfReadable, true).select([seen; 3], DIALECT);
        let asked = select(Presence::Readable);
        assert!(asked.starts_with(r#", coalesce(u."emailVerified"::text, 'false'), u."#));
        assert_eq!(select(Presence::Absent), ", NULL, NULL, NULL");
    }

    #[test]
    fn json_of_better_auth_is_read_like_its_rows() {
        let row = |verified: &str, anonymous: &str, by: &str| {
            let value = |text: &str| serde_json::from_str::<Value>(text).ok();
            let values = [value(verified), value(anonymous), value(by)];
            StandingRow::of_json([&values[0], &values[1], &values[2]].map(Option::as_ref))
        };
        let of = |email_verified, is_anonymous, by: Option<&str>| StandingRow {
            email_verified,
            is_anonymous,
            impersonated_by: by.map(str::to_owned),
        };
        assert_eq!(
            row("true", "false", "\"a1\""),
            of(Some(true), false, Some("a1"))
        );
        assert_eq!(row("false", "true", "7"), of(Some(false), true, Some("7")));
        assert_eq!(row("null", "null", "null"), of(Some(false), false, None));
        assert_eq!(row("", "", ""), of(None, false, None));
        assert_eq!(row("1", "1", "\"\""), of(Some(true), true, None));
        assert_eq!(row("0", "0", "\"\""), of(Some(false), false, None));
    }
}
