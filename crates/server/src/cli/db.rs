//! `sessiongate db`: triggers in the application's database that say which users and sessions have changed.

use std::process::ExitCode;

use anyhow::{Context, Error, Result, bail};
use clap::{Args, Subcommand};

use super::with_pools;
use crate::config::Config;
use crate::output;
use stores::{ChangeTriggers, DatabaseSettings, DatabaseUrl, OwnTableError, Pools, Settings};

/// What to do with the triggers.
#[derive(Debug, Args)]
pub(super) struct DbArguments {
    #[command(subcommand)]
    command: DbCommand,
}

#[derive(Debug, Subcommand)]
enum DbCommand {
    /// Make the triggers, or replace those that are outdated. The role of DATABASE_URL must own the tables, and may make functions
    /// in their schema.
    Install {
        /// Only print the statements, for somebody who owns the tables; asks no database.
        #[arg(long)]
        print: bool,
    },
    /// Say of each table whether its triggers are complete. Exit code 0: all are. 1: not all.
    Status,
    /// Remove all triggers and functions of the gate from the database.
    Uninstall {
        /// Only print the statements, for somebody who owns the tables; asks no database.
        #[arg(long)]
        print: bool,
    },
}

/// A database, and what is watched there.
struct WatchedTables<'c> {
    database: &'c DatabaseSettings,
    triggers: ChangeTriggers,
}

/// Does it, in each database of the configuration.
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
                    "{}: nothing of the gate's triggers and functions is there any more\n",
                    database.url
                ))?;
            }
            Ok(ExitCode::SUCCESS)
        }),
    }
}

/// Every PostgreSQL that realms look users or sessions up in, once.
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
            Some((_, settings_there)) => settings_there.push(settings),
            None => groups.push((database, vec![settings])),
        }
    }
    if groups.is_empty() {
        if let Some(file) = sqlite_of(config) {
            bail!(
                "the database is SQLite, in {file}, which says no changes, so there is nothing here to install, to look at or to \
                 remove: `sessiongate db` is for triggers in PostgreSQL. How long an answer of this database counts, \
                 MEMORY_CACHE_TTL says"
            );
        }
        bail!(
            "no PostgreSQL is asked for users or sessions: set DATABASE_URL, and ENABLE_DB_CHECK=true or a session store in the \
             database"
        );
    }
    let groups = groups.into_iter();
    let groups = groups.map(|(database, settings)| WatchedTables {
        database,
        triggers: ChangeTriggers::of(settings),
    });
    Ok(groups.collect())
}

/// The file in which a realm looks users or sessions up.
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

/// Says how each table is, and whether all are as they should be.
async fn status(all: &[WatchedTables<'_>], pools: &Pools) -> Result<ExitCode> {
    let mut are_complete = true;
    for WatchedTables { database, triggers } in all {
        let tables = triggers.look(database, pools).await;
        for table in tables.context("DATABASE_URL")? {
            let (name, key, subject) = (&table.table, &table.key, table.subject);
            if table.flaws.is_empty() {
                output::print(&format!(
                    "{name}: complete; changes of a {subject} are said, by {key}\n"
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
        "`sessiongate db install` makes what is missing, and replaces what is outdated. Of what is no table nothing can be said: \
         leave LISTEN_DATABASE_URL out then\n",
    )?;
    Ok(ExitCode::FAILURE)
}

/// The error with what it is about, and where a right is missing with what to do.
fn failed(error: OwnTableError, database: &DatabaseSettings, command: &str) -> Error {
    let is_about_rights = matches!(error, OwnTableError::Forbidden(_));
    let error = Error::new(error).context(format!("`sessiongate db {command}`: {}", database.url));
    match is_about_rights {
        true => error.context(format!(
            "it takes the owner of the tables, who may make functions in their schema (`GRANT CREATE ON SCHEMA … TO …`); the role of \
             DATABASE_URL lacks a right for that: let somebody who has it run `sessiongate db {command}`, or what it prints with \
             --print (`sessiongate db {command} --print`)"
        )),
        false => error,
    }
}
