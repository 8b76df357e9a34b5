//! `sessiongate db`: triggers in the app's database that notify gates when users and sessions change.

use std::process::ExitCode;

use anyhow::{Context, Error, Result, bail};
use clap::{Args, Subcommand};

use super::with_pools;
use crate::config::Config;
use crate::output;
use stores::{ChangeTriggers, DatabaseSettings, DatabaseUrl, OwnTableError, Pools, Settings};

/// Arguments of `sessiongate db`.
#[derive(Debug, Args)]
pub(super) struct DbArguments {
    #[command(subcommand)]
    command: DbCommand,
}

#[derive(Debug, Subcommand)]
enum DbCommand {
    /// Create the triggers, or replace outdated ones. The role in DATABASE_URL must own the tables and have the right to
    /// create functions in their schema.
    Install {
        /// Only print the statements, for the owner of the tables to run; does not connect to the database.
        #[arg(long)]
        print: bool,
    },
    /// Show for each table whether its triggers are complete. Exit code 0: all are. 1: some are not.
    Status,
    /// Remove the gate's triggers and functions from the database.
    Uninstall {
        /// Only print the statements, for the owner of the tables to run; does not connect to the database.
        #[arg(long)]
        print: bool,
    },
}

/// A database, and the tables in it that need triggers.
struct WatchedTables<'c> {
    database: &'c DatabaseSettings,
    triggers: ChangeTriggers,
}

/// Runs the command in each database of the configuration.
pub(super) fn run(arguments: &DbArguments, config: &Config) -> Result<ExitCode> {
    let all = watched(config)?;
    match arguments.command {
        DbCommand::Install { print: true } => {
            print(&all, ChangeTriggers::sql)?;
            Ok(ExitCode::SUCCESS)
        }
        DbCommand::Install { print: false } => with_pools(async |pools| {
            for WatchedTables { database, triggers } in &all {
                let installed = triggers.install(database, pools).await;
                installed.map_err(|error| failed(error, database, "install"))?;
            }
            status(&all, pools).await
        }),
        DbCommand::Status => with_pools(async |pools| status(&all, pools).await),
        DbCommand::Uninstall { print: true } => {
            print(&all, |_| ChangeTriggers::removal_sql())?;
            Ok(ExitCode::SUCCESS)
        }
        DbCommand::Uninstall { print: false } => with_pools(async |pools| {
            for WatchedTables { database, .. } in &all {
                let removed = ChangeTriggers::uninstall(database, pools).await;
                removed.map_err(|error| failed(error, database, "uninstall"))?;
                output::print(&format!(
                    "{}: the gate's triggers and functions are removed\n",
                    database.url
                ))?;
            }
            Ok(ExitCode::SUCCESS)
        }),
    }
}

/// Each PostgreSQL database in which realms look up users or sessions, once.
fn watched(config: &Config) -> Result<Vec<WatchedTables<'_>>> {
    let stores = config
        .realms
        .iter()
        .filter_map(|realm| realm.stores.as_ref());
    let mut groups: Vec<(&DatabaseSettings, Vec<&Settings>)> = Vec::new();
    for settings in stores {
        let Some(database) = &settings.database else {
            continue;
        };
        if let DatabaseUrl::Sqlite(_) = database.url {
            continue;
        }
        match groups
            .iter_mut()
            .find(|(known, _)| known.url == database.url)
        {
            Some((_, settings_of_database)) => settings_of_database.push(settings),
            None => groups.push((database, vec![settings])),
        }
    }
    if groups.is_empty() {
        if let Some(file) = sqlite_of(config) {
            bail!(
                "the database is a SQLite file, {file}, which cannot notify gates of changes: `sessiongate db` manages \
                 triggers in PostgreSQL only. With SQLite, MEMORY_CACHE_TTL bounds how long an outdated user or session \
                 is trusted"
            );
        }
        bail!(
            "no users or sessions are looked up in PostgreSQL: set DATABASE_URL, and either ENABLE_DB_CHECK=true or a \
             session store in the database"
        );
    }
    let groups = groups.into_iter();
    let groups = groups.map(|(database, settings)| WatchedTables {
        database,
        triggers: ChangeTriggers::of(settings),
    });
    Ok(groups.collect())
}

/// The SQLite file in which a realm looks up users or sessions.
fn sqlite_of(config: &Config) -> Option<String> {
    let mut stores = config
        .realms
        .iter()
        .filter_map(|realm| realm.stores.as_ref());
    stores.find_map(|stores| match &stores.database.as_ref()?.url {
        DatabaseUrl::Sqlite(options) => Some(options.get_filename().display().to_string()),
        DatabaseUrl::Postgres(_) => None,
    })
}

fn print(all: &[WatchedTables<'_>], script: impl Fn(&ChangeTriggers) -> String) -> Result<()> {
    for WatchedTables { database, triggers } in all {
        if all.len() > 1 {
            output::print(&format!("-- {}\n", database.url))?;
        }
        output::print(&script(triggers))?;
    }
    Ok(())
}

/// Prints the state of each table's triggers. Returns a failure unless all are complete.
async fn status(all: &[WatchedTables<'_>], pools: &Pools) -> Result<ExitCode> {
    let mut are_complete = true;
    for WatchedTables { database, triggers } in all {
        let tables = triggers.inspect(database, pools).await;
        for table in tables.context("DATABASE_URL")? {
            let (name, key, subject) = (&table.table, &table.key, table.subject);
            if table.flaws.is_empty() {
                output::print(&format!(
                    "{name}: complete; notifies of changes to a {subject}, by {key}\n"
                ))?;
            }
            for flaw in &table.flaws {
                are_complete = false;
                output::print(&format!("{name}: not complete: {flaw}\n"))?;
            }
        }
    }
    if are_complete {
        return Ok(ExitCode::SUCCESS);
    }
    output::print(
        "`sessiongate db install` creates missing triggers and replaces outdated ones. Views and foreign tables cannot \
         notify of changes: if you use one, unset LISTEN_DATABASE_URL\n",
    )?;
    Ok(ExitCode::FAILURE)
}

/// Adds the database to an error, and advice if the role lacks a right.
fn failed(error: OwnTableError, database: &DatabaseSettings, command: &str) -> Error {
    let is_about_rights = matches!(error, OwnTableError::Forbidden(_));
    let error = Error::new(error).context(format!("`sessiongate db {command}`: {}", database.url));
    match is_about_rights {
        true => error.context(format!(
            "the role in DATABASE_URL lacks a right: it must own the tables and be allowed to create functions in their \
             schema (`GRANT CREATE ON SCHEMA … TO …`). Run `sessiongate db {command}` as such a role, or have its owner \
             run the statements of `sessiongate db {command} --print`"
        )),
        false => error,
    }
}
