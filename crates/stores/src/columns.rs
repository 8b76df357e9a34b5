//! The columns of a user's row that rules test, or that headers are written from.
//!
//! They are read in the statement that finds the user, so they cost no extra lookup, and every cache keeps them with
//! the user. A column that does not exist, or that our role may not read, is an error and never an empty value:
//! otherwise a rule about it would let in the users that it is meant to keep out.

mod missing;
mod values;

use gate::User;
use serde_json::{Map, Value};

pub use self::missing::ColumnError;
pub(super) use self::missing::{TableColumn, check_readable};
pub(super) use self::values::{decimal, float, millis, time_of_text};

use super::claims::{self, ClaimOf, StoredClaim};
use super::identifier::{Column, Table};
use super::time::Zone;
use super::weight::weight;

/// A value that is read from a user's row, or about a user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum UserColumn {
    /// The user's roles in organizations: an object that maps the id of each organization to the role in it.
    OrganizationRoles(Memberships),
    /// A point in time, as a number of milliseconds since 1970. `null` stays `null`.
    Time(Column),
    /// A value as JSON: `null`, a boolean, a number, a string, an array, or whatever a JSON column holds. A number that
    /// JSON parsers would round is a string.
    Value(Column),
}

/// The table, or view, of memberships in organizations. Better Auth's organization plugin calls it `member`, with
/// `userId`, `organizationId` and `role` (`better-auth` 1.7.25 `dist/plugins/organization/organization.mjs`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Memberships {
    /// The name of the table.
    pub table: Table,
    /// The column with the id of the user.
    pub user: Column,
    /// The column with the id of the organization.
    pub organization: Column,
    /// The column with the user's role in the organization; several roles are separated by commas.
    pub role: Column,
}

/// Everything that is read with a user.
#[derive(Clone, Debug, Default)]
pub(super) struct UserColumns {
    pub(super) columns: Vec<UserColumn>,
    /// The claims of the session that is found with the user. They are selected after the columns.
    pub(super) claims: Vec<StoredClaim>,
    /// The time zone for times without a zone. `None` when it is not configured, which means UTC.
    pub(super) zone: Option<Zone>,
}

impl UserColumns {
    pub(super) fn is_empty(&self) -> bool {
        self.columns.is_empty() && self.claims.is_empty()
    }

    /// Builds the user and the claims from the selected values.
    pub(super) fn split(&self, mut values: Vec<Value>) -> (User, Map<String, Value>) {
        let of_claims = values.split_off(values.len().min(self.columns.len()));
        let claims = claims::of_values(&self.claims, of_claims);
        (User::with_columns(values), claims)
    }

    fn claimed(&self, of: ClaimOf) -> impl Iterator<Item = &Column> {
        let claims = self.claims.iter().filter(move |claim| claim.of == of);
        claims.map(|claim| &claim.column)
    }

    /// The columns of the user table that are read.
    pub(super) fn of_users(&self) -> impl Iterator<Item = &Column> {
        let of_user = self
            .columns
            .iter()
            .filter_map(|configured| match configured {
                UserColumn::Time(column) | UserColumn::Value(column) => Some(column),
                UserColumn::OrganizationRoles(_) => None,
            });
        of_user.chain(self.claimed(ClaimOf::User))
    }

    /// The columns of the session table that are read for claims.
    pub(super) fn of_sessions(&self) -> impl Iterator<Item = &Column> {
        self.claimed(ClaimOf::Session)
    }

    /// Every table that is read, with the columns that are read from it. `users` is the user table, which comes first,
    /// and `sessions` the table of the sessions with which users are found.
    pub(super) fn tables<'a>(
        &'a self,
        users: &'a Table,
        sessions: Option<&'a Table>,
    ) -> Vec<(&'a Table, Vec<&'a Column>)> {
        let of_members = self.memberships().map(|memberships| {
            let Memberships {
                table,
                user,
                organization,
                role,
            } = memberships;
            (table, vec![user, organization, role])
        });
        let of_session: Vec<_> = self.of_sessions().collect();
        let mut tables = vec![(users, self.of_users().collect())];
        tables.extend(of_members);
        tables.extend(
            sessions
                .filter(|_| !of_session.is_empty())
                .map(|table| (table, of_session)),
        );
        tables
    }

    /// The membership tables that are read.
    pub(super) fn memberships(&self) -> impl Iterator<Item = &Memberships> {
        self.columns
            .iter()
            .filter_map(|configured| match configured {
                UserColumn::OrganizationRoles(memberships) => Some(memberships),
                UserColumn::Time(_) | UserColumn::Value(_) => None,
            })
    }

    /// Describes everything that is read, so that a cached record is bound to it. The description is the same on every
    /// node that reads the same columns and claims, and empty if nothing is read.
    pub(super) fn description(&self) -> String {
        let columns = self.columns.iter().map(|configured| match configured {
            UserColumn::OrganizationRoles(memberships) => {
                let Memberships {
                    table,
                    user,
                    organization,
                    role,
                } = memberships;
                let names = [user, organization, role].map(Column::quoted);
                format!(" roles {} {}", table.quoted(), names.join(" "))
            }
            UserColumn::Time(column) => {
                let zone = self.zone.as_ref().map_or("-".to_owned(), Zone::to_string);
                format!(" time {} {zone}", column.quoted())
            }
            UserColumn::Value(column) => format!(" value {}", column.quoted()),
        });
        let claims = self.claims.iter().map(|claim| {
            let StoredClaim { of, name, column } = claim;
            format!(" claim {} {name:?} {}", of.as_str(), column.quoted())
        });
        columns.chain(claims).collect()
    }
}

/// Whether the values of a user, and `more` bytes beside them, are small enough for caches to keep.
pub(super) fn fits(user: &User, more: usize) -> bool {
    weight_of(user) + more <= MAX_WEIGHT
}

/// Estimates how many bytes a user's columns take in memory.
pub(super) fn weight_of(user: &User) -> usize {
    user.columns().iter().map(weight).sum()
}

/// The most bytes that caches keep of one user, as [`weight`] counts them: about a hundred memberships. The bound keeps
/// one user from taking the space of thousands. A user with more is looked up each time.
pub(super) const MAX_WEIGHT: usize = 16 * 1024;

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_description_differs_for_different_columns_and_is_empty_without_any() {
        let column = |name| Column::parse(name).unwrap();
        let description = |columns, zone: Option<&str>| {
            let zone = zone.map(|zone| Zone::parse(zone).unwrap());
            let claims = Vec::new();
            UserColumns {
                columns,
                claims,
                zone,
            }
            .description()
        };
        assert_eq!(description(Vec::new(), Some("UTC")), "");
        let all = [
            description(vec![UserColumn::Value(column("a"))], None),
            description(vec![UserColumn::Time(column("a"))], None),
            description(vec![UserColumn::Time(column("a"))], Some("UTC")),
            description(vec![UserColumn::Value(column("b"))], None),
            description(
                vec![
                    UserColumn::Value(column("a")),
                    UserColumn::Value(column("b")),
                ],
                None,
            ),
            description(
                vec![
                    UserColumn::Value(column("b")),
                    UserColumn::Value(column("a")),
                ],
                None,
            ),
        ];
        for (index, one) in all.iter().enumerate() {
            assert!(!all[index + 1..].contains(one), "{one}");
        }
    }

    #[test]
    fn a_user_with_many_values_is_too_large_for_caches() {
        let user = |len| User::with_columns(vec![json!(["x".repeat(len)])]);
        assert!(fits(&User::default(), MAX_WEIGHT));
        assert!(fits(&user(MAX_WEIGHT - 100), 0));
        assert!(!fits(&user(MAX_WEIGHT - 100), 100));
        assert!(!fits(&user(MAX_WEIGHT), 0));
        assert!(!fits(&User::with_columns(vec![json!(vec![1; 1000])]), 0));
    }
}
