//! Surveys our role in PostgreSQL, the tables and their indexes.

use std::time::Duration;

use session::UnixTime;
use tokio::time::timeout;
use tokio_postgres::Row;
use tokio_postgres::types::Type;

use super::super::connections::Opener as _;
use super::super::identifier::{Column, Table};
use super::super::process::Clock;
use super::super::survey::{
    ClockReading, ColumnState, DatabaseSurvey, LookupSurvey, Plan, RoleSurvey, Rows, Visibility,
    Wanted,
};
use super::catalog::{Layout, Visible};
use super::error::{INSUFFICIENT_PRIVILEGE, PostgresError};
use super::server::{Connection, PostgresOpener, PostgresServer};
use super::statement::{Keys, keys_of_type};

/// Surveys the role and each column, each within `limit`.
pub(in super::super) async fn survey(
    server: &PostgresServer,
    limit: Duration,
    wanted: &[Wanted<'_>],
    ours: &Clock,
) -> Result<DatabaseSurvey, String> {
    let opener = PostgresOpener {
        server: server.clone(),
        limit,
    };
    let connection = within(limit, opener.open()).await?;
    let (role, clock) = within(limit, role(&connection, ours)).await?;
    let mut columns = Vec::new();
    for wanted in wanted {
        let Wanted {
            table,
            column,
            is_key,
        } = *wanted;
        let state = within(limit, state(&connection, table, column, is_key)).await;
        columns.push(wanted.with_state(state));
    }
    PostgresOpener::close(connection).await;
    Ok(DatabaseSurvey {
        role,
        clock: Some(clock),
        columns,
    })
}

async fn within<T>(
    limit: Duration,
    answer: impl Future<Output = Result<T, PostgresError>>,
) -> Result<T, String> {
    match timeout(limit, answer).await {
        Ok(answer) => answer.map_err(|error| error.described()),
        Err(_) => Err(format!("no answer within {} ms", limit.as_millis())),
    }
}

async fn role(
    connection: &Connection,
    ours: &Clock,
) -> Result<(Option<RoleSurvey>, ClockReading), PostgresError> {
    let before = ours.now();
    let rows = connection.query(ROLE, &[]).await?;
    let after = ours.now();
    let Some(row) = rows.first() else {
        let clock = ClockReading {
            before,
            theirs: before,
            after,
        };
        return Ok((None, clock));
    };
    let millis: f64 = row.try_get(4)?;
    let role = RoleSurvey {
        name: row.try_get(0)?,
        is_superuser: row.try_get(1)?,
        rights: granted(row, 2, &["CREATEROLE", "CREATEDB"])?,
    };
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "no clock is so far off"
    )]
    let theirs = UnixTime::from_millis(millis as u64);
    let clock = ClockReading {
        before,
        theirs,
        after,
    };
    Ok((Some(role), clock))
}

/// The privileges that our role has according to the row, from the column `first` on.
fn granted(
    row: &Row,
    first: usize,
    rights: &[&'static str],
) -> Result<Vec<&'static str>, PostgresError> {
    let mut granted = Vec::new();
    for (index, right) in rights.iter().enumerate() {
        if row.try_get::<_, Option<bool>>(first + index)? == Some(true) {
            granted.push(*right);
        }
    }
    Ok(granted)
}

async fn state(
    connection: &Connection,
    table: &Table,
    column: &Column,
    is_key: bool,
) -> Result<ColumnState, PostgresError> {
    const UNDEFINED_TABLE: &str = "42P01";
    const INVALID_SCHEMA_NAME: &str = "3F000";
    let answer = connection
        .query(
            LOOKUP,
            &[(&table.quoted(), Type::TEXT), (&column.name(), Type::TEXT)],
        )
        .await;
    let rows = match answer {
        Err(error) => {
            return match error.sqlstate() {
                Some(UNDEFINED_TABLE | INVALID_SCHEMA_NAME) => Ok(ColumnState::NoTable),
                // Our role may not use the schema.
                Some(INSUFFICIENT_PRIVILEGE) => Ok(ColumnState::NotReadable),
                Some(_) | None => Err(error),
            };
        }
        Ok(rows) => rows,
    };
    let Some(row) = rows.first() else {
        return Ok(ColumnState::NoTable);
    };
    match row.try_get::<_, Option<bool>>(2)? {
        None => return Ok(ColumnState::NoColumn),
        Some(false) => return Ok(ColumnState::NotReadable),
        Some(true) if !is_key => return Ok(ColumnState::Readable),
        Some(true) => {}
    }
    lookup(connection, table, column, row)
        .await
        .map(ColumnState::Key)
}

async fn lookup(
    connection: &Connection,
    table: &Table,
    column: &Column,
    row: &Row,
) -> Result<LookupSurvey, PostgresError> {
    let kind: String = row.try_get(0)?;
    let visible = match Visible::read(connection, table).await? {
        Visible::All => Visibility::All,
        Visible::None => Visibility::Nothing,
        Visible::SomeByPolicy => Visibility::ByPolicy,
    };
    let is_view = kind == "v";
    // On a partitioned table, PostgreSQL cannot create an index without a lock (its manual, CREATE INDEX).
    let concurrently = if kind == "p" { "" } else { "CONCURRENTLY " };
    let rows = match is_view {
        true => Rows::NotCounted,
        false => rows(connection, table, row.try_get(1)?).await?,
    };
    Ok(LookupSurvey {
        is_view,
        rows,
        index: row.try_get(3)?,
        plan: plan(connection, table, column).await?,
        rights: granted(row, 4, &["INSERT", "UPDATE", "DELETE", "TRUNCATE", "OWNER"])?,
        visible,
        create_index: format!(
            "CREATE INDEX {concurrently}ON {} ({});",
            table.quoted(),
            column.quoted()
        ),
    })
}

/// The number of rows, as ANALYZE has estimated it; before the first ANALYZE, counted up to a bound.
async fn rows(
    connection: &Connection,
    table: &Table,
    estimate: f64,
) -> Result<Rows, PostgresError> {
    if estimate > 0.0 {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a nonnegative integer"
        )]
        return Ok(Rows::About(estimate as u64));
    }
    let statement = format!(
        "SELECT count(*) FROM (SELECT FROM {} LIMIT {}) AS counted",
        table.quoted(),
        MAX_COUNTED + 1
    );
    let rows = connection.query(&statement, &[]).await?;
    let count: i64 = rows.first().map_or(Ok(0), |row| row.try_get(0))?;
    let count = count.unsigned_abs();
    Ok(match count > MAX_COUNTED {
        true => Rows::AtLeast(MAX_COUNTED),
        false => Rows::Exactly(count),
    })
}

/// The plan of a lookup. The lookup is not executed.
async fn plan(
    connection: &Connection,
    table: &Table,
    column: &Column,
) -> Result<Option<Plan>, PostgresError> {
    let layout = Layout::read(connection, table, &[column.name()]).await?;
    let Some(name) = layout.type_of(column) else {
        return Ok(None);
    };
    let (keys, cast) = keys_of_type(name);
    let key = match keys {
        Keys::Integer => "0",
        Keys::Other => "sessiongate-doctor",
        Keys::Uuid => "00000000-0000-0000-0000-000000000000",
    };
    let column = column.quoted();
    let statement = format!(
        "EXPLAIN SELECT 1 FROM {} AS k WHERE k.{column} = $1::{cast} AND k.{column}::text = $1 COLLATE \"C\"",
        table.quoted()
    );
    // A type that cannot hold this key has no plan.
    let Ok(rows) = connection.query(&statement, &[(&key, Type::TEXT)]).await else {
        return Ok(None);
    };
    let lines = rows
        .iter()
        .filter_map(|row| row.try_get::<_, String>(0).ok());
    let lines: Vec<_> = lines.collect();
    let has = |words: &str| lines.iter().any(|line| line.contains(words));
    Ok(match () {
        () if has("Seq Scan on") => Some(Plan::Scan),
        () if has("Index") => Some(Plan::Index),
        () => None,
    })
}

/// Selects our role, its privileges in the server as a whole, and the time.
const ROLE: &str = "\
    SELECT current_user::text, rolsuper, rolcreaterole, rolcreatedb,
        (extract(epoch FROM pg_catalog.clock_timestamp()) * 1000)::float8
    FROM pg_catalog.pg_roles WHERE rolname = current_user";

/// Selects the kind of table, the number of rows, whether the column may be read, an index that finds a row by it, and
/// our privileges on the table. A usable index is not partial, has the column first, and uses the column's collation.
const LOOKUP: &str = "\
    SELECT c.relkind::text, c.reltuples::float8,
        pg_catalog.has_column_privilege(c.oid, a.attnum, 'SELECT'),
        (SELECT o.relname::text
            FROM pg_catalog.pg_index i
            JOIN pg_catalog.pg_class o ON o.oid = i.indexrelid
            JOIN pg_catalog.pg_am m ON m.oid = o.relam
            WHERE i.indrelid = c.oid AND i.indisvalid AND i.indisready AND i.indpred IS NULL
            AND i.indkey[0] = a.attnum AND m.amname IN ('btree', 'hash')
            AND i.indcollation[0] IN (0, a.attcollation)
            ORDER BY i.indisunique DESC, o.relname LIMIT 1),
        pg_catalog.has_any_column_privilege(c.oid, 'INSERT'), pg_catalog.has_any_column_privilege(c.oid, 'UPDATE'),
        pg_catalog.has_table_privilege(c.oid, 'DELETE'), pg_catalog.has_table_privilege(c.oid, 'TRUNCATE'),
        pg_catalog.pg_has_role(c.relowner, 'USAGE')
    FROM pg_catalog.pg_class c
    LEFT JOIN pg_catalog.pg_attribute a
        ON a.attrelid = c.oid AND a.attname = $2 AND a.attnum > 0 AND NOT a.attisdropped
    WHERE c.oid = $1::regclass";

/// The most rows that are counted: enough to tell a small table from one where an index matters.
const MAX_COUNTED: u64 = 10_000;
