//! Selects the columns of a user's row in PostgreSQL, and reads their values.

use std::sync::Arc;

use serde_json::Value;
use session::UnixTime;
use tokio_postgres::Row;

use super::super::claims::{ClaimOf, StoredClaim};
use super::super::columns::{self, ColumnError, Memberships, UserColumn, UserColumns};
use super::super::identifier::{Column, Table};
use super::super::session_state::MalformedRecord;
use super::super::settings::UserTable;
use super::super::time::{self, Zone};
use super::catalog::{self, Layout};
use super::error::PostgresError;
use super::server::Connection;

/// The columns to select with a user, before their types are known.
#[derive(Debug)]
pub(super) struct UnresolvedColumns {
    pub(super) configured: UserColumns,
    pub(super) users: UserTable,
    /// The session table, if users are found with sessions. The statement calls it `k`.
    pub(super) sessions: Option<Table>,
    /// The alias of the user table in the statement.
    pub(super) alias: &'static str,
}

/// The SQL that selects the columns, and how their values are read, once their types are known.
#[derive(Clone, Debug, Default)]
pub(super) struct ColumnSelection {
    /// The selected expressions, with a comma before each.
    pub(super) select: String,
    readings: Arc<[Reading]>,
    /// The columns with times without a zone.
    pub(super) zoneless: Arc<[String]>,
}

/// How one selected value is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reading {
    /// The text of decimal numbers, or arrays of them, as JSON.
    Decimals,
    /// Milliseconds since 1970, as a number of PostgreSQL.
    Epoch { has_zone: bool },
    /// The text of a binary floating-point number, as JSON.
    Float,
    /// JSON.
    Json,
    /// A number of seconds or milliseconds since 1970, as JSON.
    TimeNumber,
    /// The text of a point in time, as JSON.
    TimeText,
}

impl UnresolvedColumns {
    /// Checks that every column exists and may be read, and builds the selection from their types.
    pub(super) async fn build_selection(
        &self,
        connection: &Connection,
    ) -> Result<ColumnSelection, PostgresError> {
        if self.configured.is_empty() {
            return Ok(ColumnSelection::default());
        }
        let users = &self.users.table;
        let tables = self.configured.tables(users, self.sessions.as_ref());
        for (table, wanted) in &tables {
            let existing = catalog::columns(connection, table).await?;
            columns::check_readable(table, wanted, &existing)?;
        }
        let layout_of = async |wanted: &Table| {
            let columns = tables.iter().find(|(table, _)| *table == wanted);
            let columns = columns.into_iter().flat_map(|(_, columns)| columns);
            let names: Vec<_> = columns.map(|column| column.name()).collect();
            match names.as_slice() {
                [] => Ok(Layout::default()),
                names => Layout::read(connection, wanted, names).await,
            }
        };
        let layout = layout_of(users).await?;
        let sessions = match &self.sessions {
            Some(sessions) => layout_of(sessions).await?,
            None => Layout::default(),
        };
        Ok(self.statement(&layout, &sessions)?)
    }

    fn statement(
        &self,
        layout: &Layout,
        sessions: &Layout,
    ) -> Result<ColumnSelection, ColumnError> {
        let mut zoneless = Vec::new();
        let selected = self
            .configured
            .columns
            .iter()
            .map(|configured| match configured {
                UserColumn::OrganizationRoles(memberships) => {
                    Ok((self.roles(memberships), Reading::Json))
                }
                UserColumn::Time(column) => {
                    let (select, reading) = self.time(column, layout)?;
                    if reading == (Reading::Epoch { has_zone: false }) {
                        zoneless.push(column.name().to_owned());
                    }
                    Ok((select, reading))
                }
                UserColumn::Value(column) => Ok(value(&self.qualified(column), column, layout)),
            });
        let claims = self.configured.claims.iter().map(|claim| match claim.of {
            ClaimOf::Session => Ok(self.claim(claim, "k", sessions)),
            ClaimOf::User => Ok(self.claim(claim, self.alias, layout)),
        });
        let selected = selected.chain(claims);
        let selected = selected.collect::<Result<Vec<_>, ColumnError>>()?;
        Ok(ColumnSelection {
            select: selected
                .iter()
                .map(|(select, _)| format!(", {select}"))
                .collect(),
            readings: selected.into_iter().map(|(_, reading)| reading).collect(),
            zoneless: zoneless.into(),
        })
    }

    /// Selects a claim. Times become numbers: PostgreSQL does not print them in the form that cookie caches and rules
    /// use.
    fn claim(&self, claim: &StoredClaim, alias: &str, layout: &Layout) -> (String, Reading) {
        let name = format!("{alias}.{}", claim.column.quoted());
        match layout.type_of(&claim.column).unwrap_or_default() {
            "timestamp with time zone" => epoch(&name, true),
            "timestamp without time zone" | "date" => epoch(&name, false),
            _ => value(&name, &claim.column, layout),
        }
    }

    fn time(&self, column: &Column, layout: &Layout) -> Result<(String, Reading), ColumnError> {
        let name = self.qualified(column);
        let found = layout.type_of(column).unwrap_or_default();
        Ok(match found {
            "timestamp with time zone" => epoch(&name, true),
            "timestamp without time zone" | "date" => epoch(&name, false),
            "smallint" | "integer" | "bigint" => {
                (format!("to_jsonb({name})::text"), Reading::TimeNumber)
            }
            "character varying" | "text" => (format!("to_jsonb({name})::text"), Reading::TimeText),
            _ => {
                return Err(ColumnError::NotATime {
                    table: self.users.table.quoted().to_owned(),
                    column: column.quoted().to_owned(),
                    found: found.to_owned(),
                });
            }
        })
    }

    /// Selects roles in organizations. If the user is a member twice with two roles, the role is null. The id of the
    /// user is compared as text as well: a collation may treat two users as equal.
    fn roles(&self, memberships: &Memberships) -> String {
        let Memberships {
            table,
            user,
            organization,
            role,
        } = memberships;
        let [user, organization, role] = [user, organization, role].map(Column::quoted);
        let (table, id) = (table.quoted(), self.qualified(&self.users.id));
        let role = format!("m.{role}::text COLLATE \"C\"");
        format!(
            "(SELECT coalesce(jsonb_object_agg(o.id, o.role), '{{}}') FROM (\
             SELECT m.{organization}::text AS id, \
             CASE WHEN min({role}) = max({role}) AND count(*) = count({role}) THEN min({role}) END AS role \
             FROM {table} AS m WHERE m.{user} = {id} AND m.{user}::text = {id}::text COLLATE \"C\" \
             AND m.{organization} IS NOT NULL GROUP BY 1) AS o)::text"
        )
    }

    fn qualified(&self, column: &Column) -> String {
        format!("{}.{}", self.alias, column.quoted())
    }

    /// The tables that are read beside the user table.
    pub(super) fn other_tables(&self) -> impl Iterator<Item = &Table> {
        self.configured
            .memberships()
            .map(|memberships| &memberships.table)
    }
}

fn value(name: &str, column: &Column, layout: &Layout) -> (String, Reading) {
    let (json, reading) = match layout.type_of(column).unwrap_or_default() {
        // Not converted: some values of `json` cannot become `jsonb`.
        "json" | "jsonb" => return (format!("{name}::text"), Reading::Json),
        // JSON parsers round numbers, so these come as texts.
        "numeric" => (format!("{name}::text"), Reading::Decimals),
        "numeric[]" => (format!("{name}::text[]"), Reading::Decimals),
        "real" | "double precision" => (format!("{name}::text"), Reading::Float),
        // Without the padding blanks.
        "character" => (format!("{name}::text"), Reading::Json),
        _ => (name.to_owned(), Reading::Json),
    };
    (format!("to_jsonb({json})::text"), reading)
}

fn epoch(name: &str, has_zone: bool) -> (String, Reading) {
    let select = format!("floor(extract(epoch FROM {name}) * 1000)::float8");
    (select, Reading::Epoch { has_zone })
}

impl ColumnSelection {
    /// Reads the values of a row, which begin at `first`.
    pub(super) fn read(
        &self,
        row: &Row,
        first: usize,
        zone: Option<&Zone>,
    ) -> Result<Vec<Value>, MalformedRecord> {
        let values = self.readings.iter().zip(first..);
        values
            .map(|(reading, index)| {
                reading
                    .read(row, index, zone)
                    .ok_or(MalformedRecord::Column)
            })
            .collect()
    }

    /// Whether the configured time zone affects any value.
    pub(super) fn uses_zone(&self) -> bool {
        self.readings.iter().any(|reading| match reading {
            Reading::Epoch { has_zone } => !has_zone,
            Reading::TimeText => true,
            Reading::Decimals | Reading::Float | Reading::Json | Reading::TimeNumber => false,
        })
    }

    pub(super) fn is_empty(&self) -> bool {
        self.readings.is_empty()
    }
}

impl Reading {
    fn read(self, row: &Row, index: usize, zone: Option<&Zone>) -> Option<Value> {
        if let Self::Epoch { has_zone } = self {
            let Some(millis) = row.try_get::<_, Option<f64>>(index).ok()? else {
                return Some(Value::Null);
            };
            // Infinity becomes the latest time, and a time before 1970 becomes 1970.
            let time = UnixTime::from_millis(millis as u64);
            let zone = zone.filter(|_| !has_zone);
            return Some(columns::millis(
                zone.map_or(time, |zone| zone.absolute(time)),
            ));
        }
        let Some(text) = row.try_get::<_, Option<&str>>(index).ok()? else {
            return Some(Value::Null);
        };
        let value: Value = serde_json::from_str(text).ok()?;
        Some(match (self, value) {
            (Self::Decimals, value) => decimals(value),
            (Self::Float, Value::String(text)) => text
                .parse()
                .map_or_else(|_| Value::String(text), columns::float),
            (Self::TimeNumber, Value::Number(number)) => {
                columns::millis(time::of_number(number.as_i64()?))
            }
            (Self::TimeText, Value::String(text)) => columns::time_of_text(text, zone),
            (
                Self::Epoch { .. } | Self::Float | Self::Json | Self::TimeNumber | Self::TimeText,
                value,
            ) => value,
        })
    }
}

fn decimals(value: Value) -> Value {
    match value {
        Value::String(text) => columns::decimal(text),
        Value::Array(values) => values.into_iter().map(decimals).collect(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_) => value,
    }
}
