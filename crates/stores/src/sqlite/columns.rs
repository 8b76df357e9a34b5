//! Selects the columns of a user's row in SQLite, and reads their values.
//!
//! SQLite has no booleans and no lists. The numbers 0 and 1 in a column declared as `BOOLEAN` are read as a boolean. Any
//! other value is read as it is stored: a number, a text, or a blob as the text that PostgreSQL prints for its bytes.

use gate::User;
use serde_json::{Map, Value};
use sqlx::sqlite::SqliteRow;
use sqlx::{Column as _, Row, TypeInfo, ValueRef};

use super::super::claims::ClaimOf;
use super::super::columns::{self, Memberships, UserColumn, UserColumns};
use super::super::hex;
use super::super::identifier::Column;
use super::super::session_state::MalformedRecord;
use super::super::settings::UserTable;
use super::super::time::{self, Zone};

/// Writes the SQL that selects the values of the user and the session, with a comma before each. In the statement, `k` is
/// the alias of the session table, and `alias` that of the user table.
pub(super) fn select(configured: &UserColumns, users: &UserTable, alias: &str) -> String {
    let values = configured
        .columns
        .iter()
        .map(|configured| match configured {
            UserColumn::OrganizationRoles(memberships) => roles(memberships, users, alias),
            UserColumn::Time(column) | UserColumn::Value(column) => {
                format!(", {alias}.{}", column.quoted())
            }
        });
    let claims = configured.claims.iter().map(|claim| {
        let alias = match claim.of {
            ClaimOf::Session => "k",
            ClaimOf::User => alias,
        };
        format!(", {alias}.{}", claim.column.quoted())
    });
    values.chain(claims).collect()
}

/// Selects roles in organizations. If the user is a member twice with two roles, the role is null.
fn roles(memberships: &Memberships, users: &UserTable, alias: &str) -> String {
    let Memberships {
        table,
        user,
        organization,
        role,
    } = memberships;
    let [user, organization, role] = [user, organization, role].map(Column::quoted);
    let (table, id) = (table.quoted(), format!("{alias}.{}", users.id.quoted()));
    let role = format!("CAST(m.{role} AS TEXT) COLLATE BINARY");
    format!(
        ", (SELECT json_group_object(o.id, o.role) FROM (\
         SELECT CAST(m.{organization} AS TEXT) AS id, \
         CASE WHEN min({role}) = max({role}) AND count(*) = count({role}) THEN min({role}) END AS role \
         FROM {table} AS m \
         WHERE m.{user} = {id} AND CAST(m.{user} AS TEXT) = CAST({id} AS TEXT) COLLATE BINARY \
         AND m.{organization} IS NOT NULL GROUP BY 1) AS o)"
    )
}

/// Reads the user, whose columns begin at `first`, and the claims of the session that was found with it.
pub(super) fn user(
    row: &SqliteRow,
    first: usize,
    configured: &UserColumns,
) -> Result<(User, Map<String, Value>), MalformedRecord> {
    if configured.is_empty() {
        return Ok((User::default(), Map::new()));
    }
    let zone = configured.zone.as_ref();
    let columns = configured
        .columns
        .iter()
        .zip(first..)
        .map(|(configured, index)| {
            let value = value(row, index).ok_or(MalformedRecord::Column)?;
            Ok(match (configured, value) {
                (UserColumn::OrganizationRoles(_), Value::String(text)) => {
                    serde_json::from_str(&text).map_err(|_| MalformedRecord::Column)?
                }
                (UserColumn::Time(_), value) => moment(value, zone),
                (UserColumn::OrganizationRoles(_) | UserColumn::Value(_), value) => value,
            })
        });
    let claims = configured
        .claims
        .iter()
        .zip(first + configured.columns.len()..);
    let claims = claims.map(|(_, index)| value(row, index).ok_or(MalformedRecord::Column));
    Ok(configured.split(
        columns
            .chain(claims)
            .collect::<Result<_, MalformedRecord>>()?,
    ))
}

fn value(row: &SqliteRow, index: usize) -> Option<Value> {
    let raw = row.try_get_raw(index).ok()?;
    if raw.is_null() {
        return Some(Value::Null);
    }
    // The type of the stored value, whatever the column is declared to hold.
    let stored = raw.type_info();
    match stored.name() {
        "INTEGER" => {
            let number: i64 = row.try_get_unchecked(index).ok()?;
            let is_boolean = row.column(index).type_info().name() == "BOOLEAN";
            Some(match number {
                0 | 1 if is_boolean => Value::Bool(number == 1),
                _ => Value::from(number),
            })
        }
        "REAL" => row.try_get_unchecked(index).ok().map(columns::float),
        "TEXT" => row.try_get_unchecked(index).ok().map(Value::String),
        "BLOB" => {
            let bytes: Vec<u8> = row.try_get_unchecked(index).ok()?;
            Some(Value::String(format!("\\x{}", hex(&bytes))))
        }
        _ => None,
    }
}

/// Reads a point in time from seconds, milliseconds or a text. Any other value stays as it is, and no rule takes it for a
/// time.
fn moment(value: Value, zone: Option<&Zone>) -> Value {
    match value {
        Value::String(text) => columns::time_of_text(text, zone),
        Value::Number(number) => match number.as_i64() {
            Some(number) => columns::millis(time::of_number(number)),
            None => Value::Number(number),
        },
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => value,
    }
}
