//! Surveys the tables of a SQLite file and their indexes.

use std::time::Duration;

use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sqlx::{AssertSqlSafe, Row as _};
use tokio::time::timeout;

use super::super::connections::Opener as _;
use super::super::identifier::{Column, Table};
use super::super::survey::{
    ColumnState, DatabaseSurvey, LookupSurvey, Plan, Rows, Visibility, Wanted,
};
use super::failure::describe;
use super::opener::SqliteOpener;

/// Surveys each column, each within `limit`.
pub(in super::super) async fn survey(
    options: &SqliteConnectOptions,
    limit: Duration,
    wanted: &[Wanted<'_>],
) -> Result<DatabaseSurvey, String> {
    let opener = SqliteOpener::new(options.clone(), limit);
    let mut connection = within(limit, opener.open()).await?;
    let mut columns = Vec::new();
    for wanted in wanted {
        let Wanted {
            table,
            column,
            is_key,
        } = *wanted;
        let state = within(limit, state(&mut connection, table, column, is_key)).await;
        columns.push(wanted.with_state(state));
    }
    SqliteOpener::close(connection).await;
    Ok(DatabaseSurvey {
        columns,
        ..DatabaseSurvey::default()
    })
}

async fn within<T>(
    limit: Duration,
    answer: impl Future<Output = Result<T, sqlx::Error>>,
) -> Result<T, String> {
    match timeout(limit, answer).await {
        Ok(answer) => answer.map_err(|error| describe(&error)),
        Err(_) => Err(format!("no answer within {} ms", limit.as_millis())),
    }
}

async fn state(
    connection: &mut SqliteConnection,
    table: &Table,
    column: &Column,
    is_key: bool,
) -> Result<ColumnState, sqlx::Error> {
    let (name, key) = (table.quoted(), column.quoted());
    let statement = format!(
        "EXPLAIN QUERY PLAN SELECT 1 FROM {name} AS k WHERE k.{key} = ?1 AND CAST(k.{key} AS TEXT) = ?1 COLLATE BINARY"
    );
    let query = sqlx::query(AssertSqlSafe(statement)).bind("sessiongate-doctor");
    let steps = match query.fetch_all(&mut *connection).await {
        Ok(steps) => steps,
        Err(error) => return missing(error),
    };
    if !is_key {
        return Ok(ColumnState::Readable);
    }
    let steps = steps
        .iter()
        .filter_map(|step| step.try_get::<String, _>("detail").ok());
    let steps: Vec<_> = steps.collect();
    let searches = steps.iter().find_map(|step| step.strip_prefix("SEARCH k "));
    let scans = steps.iter().any(|step| step.starts_with("SCAN"));
    let is_view = kind(connection, table).await?.as_deref() == Some("view");
    let rows = match is_view {
        true => Rows::NotCounted,
        false => rows(connection, table).await?,
    };
    let plan = match (searches, scans) {
        (Some(_), _) => Some(Plan::Index),
        (None, true) => Some(Plan::Scan),
        (None, false) => None,
    };
    Ok(ColumnState::Key(LookupSurvey {
        is_view,
        rows,
        // SQLite uses an index whenever there is one.
        index: searches.map(str::to_owned),
        plan,
        rights: Vec::new(),
        visible: Visibility::All,
        create_index: format!(
            "CREATE INDEX \"{}\" ON {name} ({key});",
            index_name(table, column)
        ),
    }))
}

fn missing(error: sqlx::Error) -> Result<ColumnState, sqlx::Error> {
    let message = error
        .as_database_error()
        .map(|error| error.message().to_owned());
    match message {
        Some(message) if message.starts_with("no such table") => Ok(ColumnState::NoTable),
        Some(message) if message.starts_with("no such column") => Ok(ColumnState::NoColumn),
        Some(_) | None => Err(error),
    }
}

async fn kind(
    connection: &mut SqliteConnection,
    table: &Table,
) -> Result<Option<String>, sqlx::Error> {
    let query = sqlx::query("SELECT type FROM sqlite_master WHERE lower(name) = lower(?1)");
    let row = query.bind(plain(table.quoted())).fetch_optional(connection);
    row.await?.map(|row| row.try_get(0)).transpose()
}

async fn rows(connection: &mut SqliteConnection, table: &Table) -> Result<Rows, sqlx::Error> {
    let statement = format!(
        "SELECT count(*) FROM (SELECT 1 FROM {} LIMIT {})",
        table.quoted(),
        MAX_COUNTED + 1
    );
    let row = sqlx::query(AssertSqlSafe(statement)).fetch_one(connection);
    let count: i64 = row.await?.try_get(0)?;
    let count = count.unsigned_abs();
    Ok(match count > MAX_COUNTED {
        true => Rows::AtLeast(MAX_COUNTED),
        false => Rows::Exactly(count),
    })
}

/// Strips schema and quotes from the name of a table.
fn plain(quoted: &str) -> String {
    let last = quoted.rsplit("\".\"").next().unwrap_or(quoted);
    last.trim_matches('"').replace("\"\"", "\"")
}

/// Suggests a name for an index.
fn index_name(table: &Table, column: &Column) -> String {
    let name = format!("{}_{}_idx", plain(table.quoted()), column.name());
    name.replace('"', "_")
}

/// The most rows that are counted: enough to tell a small table from one where an index matters.
const MAX_COUNTED: u64 = 10_000;
