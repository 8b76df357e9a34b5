//! The columns of a user's row that rules are about, or that headers are written from.
//!
//! They are read in the statement that finds the user, so they cost no look-up of their own, and are kept with the user
//! in every cache. A column that is not there, or that our role may not read, is an error and never an empty value: a
//! rule about it would otherwise let in the users that it is there to keep out.

use gate::User;
use serde_json::{Map, Number, Value};
use session::UnixTime;
use thiserror::Error;

use super::claims::{self, ClaimOf, StoredClaim};
use super::identifier::{Column, Table};
use super::time::{self, Zone};
use super::weight::weight;

/// Something that is read of a user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum UserColumn {
    /// The user's roles in organizations: an object with the id of each organization and the text of the role in it.
    OrganizationRoles(Memberships),
    /// A point in time, as a number of milliseconds since 1970. `null` stays `null`.
    Time(Column),
    /// A value as JSON: `null`, a boolean, a number, a text, an array, or whatever a column of JSON holds. A number that
    /// JSON's readers would round is a text.
    Value(Column),
}

/// The table, or view, that tells which users are members of which organizations. Better Auth's organization plugin calls
/// it `member`, with `userId`, `organizationId` and `role` (`better-auth` 1.7.25
/// `dist/plugins/organization/organization.mjs`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Memberships {
    /// Its name.
    pub table: Table,
    /// The id of the user.
    pub user: Column,
    /// The id of the organization.
    pub organization: Column,
    /// The role that the user has in it; several are separated by commas.
    pub role: Column,
}

/// Why a column of a user's row cannot be read. Names are quoted as in a statement.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ColumnError {
    /// The table has no such column.
    #[error("there is no column {column} in {table}{}", suggestion(nearest.as_ref()))]
    Missing {
        /// The table.
        table: String,
        /// The column.
        column: String,
        /// A column of the table whose name is much like this one.
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
    /// The database does not let us read the column.
    #[error(
        "column {column} of {table} cannot be read, because the database does not let us: GRANT SELECT ({column}) ON {table}"
    )]
    Unreadable {
        /// The table.
        table: String,
        /// The column.
        column: String,
    },
}

impl ColumnError {
    /// There is no such column in `table`, which has the columns `there`.
    pub(super) fn missing(table: &Table, column: &Column, there: &[TableColumn]) -> Self {
        Self::Missing {
            table: table.quoted().to_owned(),
            column: column.quoted().to_owned(),
            nearest: nearest(column.name(), there),
        }
    }

    /// The table that was looked at, and the column unless the table itself is missing, by their bare names.
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

/// What is asked for with a user.
#[derive(Clone, Debug, Default)]
pub(super) struct UserColumns {
    pub(super) columns: Vec<UserColumn>,
    /// What is selected behind them, for the claims of the session that is found with the user.
    pub(super) claims: Vec<StoredClaim>,
    /// Where times are read that have no zone. `None` when nobody has said it: then in UTC.
    pub(super) zone: Option<Zone>,
}

/// A column that a table has.
#[derive(Debug)]
pub(super) struct TableColumn {
    pub(super) name: String,
    /// Whether we may read it.
    pub(super) readable: bool,
}

impl UserColumns {
    pub(super) fn is_nothing(&self) -> bool {
        self.columns.is_empty() && self.claims.is_empty()
    }

    /// The user, and the claims beside, that these values make, which were selected in this order.
    pub(super) fn sort(&self, mut values: Vec<Value>) -> (User, Map<String, Value>) {
        let of_claims = values.split_off(values.len().min(self.columns.len()));
        let claims = claims::of_values(&self.claims, of_claims);
        (User::with_columns(values), claims)
    }

    fn claimed(&self, of: ClaimOf) -> impl Iterator<Item = &Column> {
        let claims = self.claims.iter().filter(move |claim| claim.of == of);
        claims.map(|claim| &claim.column)
    }

    /// The columns of the table of users that are read.
    pub(super) fn of_users(&self) -> impl Iterator<Item = &Column> {
        let of_user = self.columns.iter().filter_map(|asked| match asked {
            UserColumn::Time(column) | UserColumn::Value(column) => Some(column),
            UserColumn::OrganizationRoles(_) => None,
        });
        of_user.chain(self.claimed(ClaimOf::User))
    }

    /// The columns of the table of sessions that are read for claims.
    pub(super) fn of_sessions(&self) -> impl Iterator<Item = &Column> {
        self.claimed(ClaimOf::Session)
    }

    /// Every table that is read, with the columns that are read of it; `users` is the table of users, which is the first,
    /// and `sessions` that of the sessions with which they are found.
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

    /// The tables of memberships that are read.
    pub(super) fn memberships(&self) -> impl Iterator<Item = &Memberships> {
        self.columns.iter().filter_map(|asked| match asked {
            UserColumn::OrganizationRoles(memberships) => Some(memberships),
            UserColumn::Time(_) | UserColumn::Value(_) => None,
        })
    }

    /// What is asked for, for the realm of caches: the same on every node that asks for the same, and empty where nothing
    /// is asked for.
    pub(super) fn realm(&self) -> String {
        let columns = self.columns.iter().map(|asked| match asked {
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

/// Makes sure that `table`, which has the columns `there`, has the `wanted` ones too and lets us read them.
pub(super) fn look_for(
    table: &Table,
    wanted: &[&Column],
    there: &[TableColumn],
) -> Result<(), ColumnError> {
    for column in wanted {
        match there.iter().find(|there| there.name == column.name()) {
            Some(TableColumn { readable: true, .. }) => {}
            Some(TableColumn {
                readable: false, ..
            }) => {
                return Err(ColumnError::Unreadable {
                    table: table.quoted().to_owned(),
                    column: column.quoted().to_owned(),
                });
            }
            None => return Err(ColumnError::missing(table, column, there)),
        }
    }
    Ok(())
}

/// The name, in quotes, that is most like this one, if one is.
fn nearest(name: &str, there: &[TableColumn]) -> Option<String> {
    // `deletedAt` and `deleted_at` are one name to people.
    let plain = |name: &str| name.to_lowercase().replace('_', "");
    let wanted = plain(name);
    let others = there.iter().filter(|there| there.name != name);
    let distances = others.map(|there| {
        let distance = strsim::osa_distance(&wanted, &plain(&there.name));
        (distance, &there.name)
    });
    let (distance, nearest) = distances.min()?;
    (distance <= wanted.chars().count().div_ceil(4)).then(|| format!("{nearest:?}"))
}

/// A point in time as it is given to rules. What lies beyond all numbers is the last of them, so that both of JSON's kinds
/// of integers hold it.
pub(super) fn millis(time: UnixTime) -> Value {
    Value::from(i64::try_from(time.millis()).unwrap_or(i64::MAX))
}

/// The point in time that a text names. A text that names none stays a text, which no rule takes for a time.
pub(super) fn time_of_text(text: String, zone: Option<&Zone>) -> Value {
    const DATE: usize = "2030-03-17".len();
    let time = match text.len() {
        DATE => time::of_text(&format!("{text}T00:00:00"), zone),
        _ => time::of_text(&text, zone),
    };
    time.map_or(Value::String(text), millis)
}

/// A binary floating-point number. What JSON has no number for is a text.
pub(super) fn float(value: f64) -> Value {
    // Every integer up to here is exactly one such number.
    const EXACT: f64 = 9_007_199_254_740_992.0;
    if value.fract() == 0.0 && value.abs() <= EXACT {
        return Value::from(value as i64);
    }
    Number::from_f64(value).map_or_else(
        || {
            let name = match value {
                value if value.is_nan() => "NaN",
                value if value > 0.0 => "Infinity",
                _ => "-Infinity",
            };
            Value::from(name)
        },
        Value::Number,
    )
}

/// A decimal number as a database prints it. One that would have to be rounded stays a text.
pub(super) fn decimal(text: String) -> Value {
    let shortest = match text.split_once('.') {
        Some((whole, fraction)) => {
            let fraction = fraction.trim_end_matches('0');
            match fraction {
                "" => whole.to_owned(),
                _ => format!("{whole}.{fraction}"),
            }
        }
        None => text.clone(),
    };
    if let Ok(number) = shortest.parse::<i64>() {
        return Value::from(number);
    }
    if let Ok(number) = shortest.parse::<u64>() {
        return Value::from(number);
    }
    let exact = shortest
        .parse::<f64>()
        .ok()
        .filter(|number| number.to_string() == shortest)
        .and_then(Number::from_f64);
    exact.map_or(Value::String(text), Value::Number)
}

/// Whether the values of a user, and `more` bytes beside them, are so few and small that caches keep them.
pub(super) fn fit(user: &User, more: usize) -> bool {
    weight_of(user) + more <= MAX_WEIGHT
}

/// About how many bytes a user's columns take.
pub(super) fn weight_of(user: &User) -> usize {
    user.columns().iter().map(weight).sum()
}

/// In bytes, as [`weight`] counts them: a hundred memberships. What each user may take has a bound, so that
/// one does not take the place of thousands; a user with more is asked for each time.
pub(super) const MAX_WEIGHT: usize = 16 * 1024;

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_number_is_a_number_unless_it_would_be_rounded() {
        for (text, value) in [
            ("0", json!(0)),
            ("-7", json!(-7)),
            ("9007199254740993", json!(9_007_199_254_740_993_i64)),
            (
                "18446744073709551615",
                json!(18_446_744_073_709_551_615_u64),
            ),
            ("18446744073709551616", json!("18446744073709551616")),
            ("8.50", json!(8.5)),
            ("100000.00", json!(100_000)),
            ("0.1", json!(0.1)),
            ("0.10000000000000000001", json!("0.10000000000000000001")),
            ("NaN", json!("NaN")),
            ("Infinity", json!("Infinity")),
        ] {
            assert_eq!(decimal(text.to_owned()), value, "{text}");
        }
        assert_eq!(float(5.0), json!(5));
        assert_eq!(float(0.5), json!(0.5));
        assert_eq!(float(1e300), json!(1e300));
        assert_eq!(float(f64::INFINITY), json!("Infinity"));
    }

    #[test]
    fn the_nearest_column_is_named_and_no_far_one() {
        let there: Vec<_> = ["id", "banned", "ban_expires", "role"]
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
            assert_eq!(nearest(name, &there).as_deref(), found, "{name}");
        }
        assert_eq!(nearest("id", &[]), None);
    }

    #[test]
    fn what_is_asked_for_is_part_of_the_realm_and_nothing_is_not() {
        let column = |name| Column::parse(name).unwrap();
        let asked = |columns, zone: Option<&str>| {
            let zone = zone.map(|zone| Zone::parse(zone).unwrap());
            let claims = Vec::new();
            UserColumns {
                columns,
                claims,
                zone,
            }
            .realm()
        };
        assert_eq!(asked(Vec::new(), Some("UTC")), "");
        let all = [
            asked(vec![UserColumn::Value(column("a"))], None),
            asked(vec![UserColumn::Time(column("a"))], None),
            asked(vec![UserColumn::Time(column("a"))], Some("UTC")),
            asked(vec![UserColumn::Value(column("b"))], None),
            asked(
                vec![
                    UserColumn::Value(column("a")),
                    UserColumn::Value(column("b")),
                ],
                None,
            ),
            asked(
                vec![
                    UserColumn::Value(column("b")),
                    UserColumn::Value(column("a")),
                ],
                None,
            ),
        ];
        for (index, realm) in all.iter().enumerate() {
            assert!(!all[index + 1..].contains(realm), "{realm}");
        }
    }

    #[test]
    fn a_user_with_many_values_is_too_heavy_for_caches() {
        let user = |len| User::with_columns(vec![json!(["x".repeat(len)])]);
        assert!(fit(&User::default(), MAX_WEIGHT));
        assert!(fit(&user(MAX_WEIGHT - 100), 0));
        assert!(!fit(&user(MAX_WEIGHT - 100), 100));
        assert!(!fit(&user(MAX_WEIGHT), 0));
        assert!(!fit(&User::with_columns(vec![json!(vec![1; 1000])]), 0));
    }
}
