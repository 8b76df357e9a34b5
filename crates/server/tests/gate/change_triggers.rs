//! `sessiongate db`: triggers that report which users and sessions have changed, in the databases of a configuration.

use anyhow::Result;
use harness::{GateCommand, Postgres};

use crate::support::gate;

/// Returns the command of a gate that looks users up, and sessions of another realm in other tables of the same database.
fn gate_command(url: &str, folder: &std::path::Path) -> Result<GateCommand> {
    let file = folder.join("sessiongate.toml");
    let text = format!(
        "upstream = \"http://127.0.0.1:1\"\n\
         database_url = \"{url}\"\n\
         enable_db_check = true\n\
         active = [{{ not = {{ column = \"banned\", equals = true }} }}]\n\
         [realm.shop]\n\
         session_format = \"authjs-database\"\n\
         user_table = \"shop.users\"\n\
         session_table = \"shop.sessions\"\n\
         [[route]]\n\
         path = \"/\"\n\
         [[route]]\n\
         path = \"/shop\"\n\
         realm = \"shop\"\n"
    );
    std::fs::write(&file, text)?;
    Ok(gate("http://127.0.0.1:1").env("SESSIONGATE_CONFIG", file.display().to_string()))
}

#[tokio::test]
async fn triggers_are_installed_checked_and_removed_for_every_realm() -> Result<()> {
    let postgres = Postgres::start().await?;
    postgres
        .execute(
            "CREATE TABLE users (id text PRIMARY KEY, banned boolean);
             CREATE SCHEMA shop; CREATE TABLE shop.users (id int, email text, name text);
             CREATE TABLE shop.sessions (\"sessionToken\" text, \"userId\" int, expires timestamptz);
             CREATE ROLE stranger LOGIN PASSWORD 'stranger'; GRANT SELECT ON users TO stranger",
        )
        .await?;
    let folder = tempfile::tempdir()?;
    let command = gate_command(&postgres.url(Postgres::DATABASE), folder.path())?;
    let run = async |words: &[&str]| command.clone().args(words.iter().copied()).run().await;

    let status = run(&["db", "status"]).await?;
    assert_eq!(status.status.code(), Some(1), "{}", status.stderr);
    let printed_status = &status.stdout;
    assert!(
        printed_status.contains("\"users\": not complete: a trigger on public.users is missing"),
        "{printed_status}"
    );
    assert!(
        printed_status.contains("`sessiongate db install`"),
        "{printed_status}"
    );

    let installed = run(&["db", "install"]).await?;
    assert!(installed.status.success(), "{}", installed.stderr);
    let status = run(&["db", "status"]).await?;
    assert!(status.status.success(), "{}", status.stderr);
    assert_eq!(
        status.stdout,
        "\"users\": complete; notifies of changes to a user, by \"id\"\n\"shop\".\"sessions\": complete; notifies of \
         changes to a session, by \"sessionToken\"\n\"shop\".\"users\": complete; notifies of changes to a user, by \
         \"id\""
    );
    assert_eq!(status.stdout, installed.stdout);

    let uninstalled = run(&["db", "uninstall"]).await?;
    assert!(uninstalled.status.success(), "{}", uninstalled.stderr);
    assert_eq!(run(&["db", "status"]).await?.status.code(), Some(1));

    // The printed SQL does the same when another client executes it.
    let printed = run(&["db", "install", "--print"]).await?;
    assert_eq!(run(&["db", "status"]).await?.status.code(), Some(1));
    postgres.execute(&printed.stdout).await?;
    assert!(run(&["db", "status"]).await?.status.success());
    let printed = run(&["db", "uninstall", "--print"]).await?;
    postgres.execute(&printed.stdout).await?;
    assert_eq!(run(&["db", "status"]).await?.status.code(), Some(1));

    let url = format!(
        "postgres://stranger:stranger@{}/{}",
        postgres.address(),
        Postgres::DATABASE
    );
    let refused = gate_command(&url, folder.path())?
        .args(["db", "install"])
        .run()
        .await?;
    assert!(!refused.status.success());
    assert!(
        refused.stderr.contains("db install --print"),
        "{}",
        refused.stderr
    );
    assert!(!refused.stderr.contains("stranger:stranger"));
    Ok(())
}

#[tokio::test]
async fn without_postgresql_there_are_no_triggers_to_install() -> Result<()> {
    let done = gate("http://127.0.0.1:1")
        .args(["db", "install", "--print"])
        .run()
        .await?;
    assert!(!done.status.success());
    assert!(done.stderr.contains("set DATABASE_URL"), "{}", done.stderr);
    Ok(())
}
