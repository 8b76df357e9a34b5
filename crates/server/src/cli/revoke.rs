//! `sessiongate revoke` and `sessiongate revocations`: end sessions before they expire, and list or remove revocations.

use anyhow::{Context, Result, bail};
use clap::{Args, Subcommand};
use gate::Revoked;
use serde_json::json;

use super::{columns, with_pools};
use crate::config::{Config, DEFAULT_REALM, Variables};
use crate::revocations::{RevocationFields, RevocationRequest, read_key, time_of};
use crate::{clock, output};
use stores::{
    OwnTableError, RevocationPlace, RevocationSettings, RevocationStore, RevocationStoreError,
};

/// Arguments of `sessiongate revoke`.
#[derive(Debug, Args)]
pub(super) struct RevokeArguments {
    #[command(flatten)]
    what: Selection,
    /// All users' sessions that were issued before TIME: `now`, an RFC 3339 time such as 2026-03-02T09:41:07Z, or seconds
    /// since 1970.
    #[arg(long, value_name = "TIME", group = "revoked")]
    all_before: Option<String>,
    /// The reason, for the audit log.
    #[arg(long, value_name = "TEXT", default_value = "")]
    reason: String,
    /// Who revokes, for the audit log. By default the account in SUDO_USER, USER or LOGNAME, or else `command line`.
    #[arg(long, value_name = "NAME")]
    by: Option<String>,
}

/// Selects what a revocation is about.
#[derive(Debug, Args)]
struct Selection {
    /// All sessions of the user with this id (`user_id` in the audit log) that were issued before now.
    #[arg(long, value_name = "ID", group = "revoked")]
    user: Option<String>,
    /// The session with this id (`session_id` in the audit log).
    #[arg(long, value_name = "ID", group = "revoked")]
    session: Option<String>,
    /// The realm of the user or the session.
    #[arg(long, value_name = "NAME", default_value = DEFAULT_REALM)]
    realm: String,
}

/// Arguments of `sessiongate revocations`.
#[derive(Debug, Args)]
pub(super) struct RevocationsArguments {
    /// Print the list as one line of JSON.
    #[arg(long)]
    json: bool,
    /// The command; by default lists revocations.
    #[command(subcommand)]
    command: Option<RevocationsCommand>,
}

#[derive(Debug, Subcommand)]
enum RevocationsCommand {
    /// Create the table that stores revocations, if it does not exist.
    Install {
        /// Only print the statements, for a PostgreSQL role that may create tables to run.
        #[arg(long)]
        print: bool,
    },
    /// Remove a revocation, so that its sessions are valid again.
    Remove {
        #[command(flatten)]
        what: Selection,
        /// The revocation of all users' sessions.
        #[arg(long, group = "revoked")]
        all: bool,
    },
}

/// Runs `sessiongate revoke`.
pub(super) fn revoke(
    arguments: RevokeArguments,
    config: &Config,
    environment: &Variables,
) -> Result<()> {
    let RevokeArguments {
        what,
        all_before,
        reason,
        by,
    } = arguments;
    let settings = settings(config)?;
    let now = clock::now();
    let before = all_before.as_deref().map(|text| time_of(text, now));
    let before = before.transpose().map_err(anyhow::Error::msg);
    let before = before.context("--all-before")?;
    let realm = known_realm(config, what.realm)?;
    let names = "--user, --session and --all-before";
    let revoked = read_key(what.user, what.session, before.is_some(), names);
    let request = RevocationRequest {
        realm,
        what: revoked.map_err(anyhow::Error::msg)?,
        before,
        by: by.unwrap_or_else(|| account(environment)),
        source: "cli",
        reason,
    };
    let entry = request.entry(now, settings.keep);
    let entry = entry.map_err(anyhow::Error::msg)?;
    let added = with_store(settings, async |store| store.add(&entry, now).await);
    added.map_err(with_rights_to_write)?;
    let shown = RevocationFields::of(&entry);
    let (what, realm) = (shown.what(), shown.realm);
    output::print(&format!(
        "revoked in the realm {realm}: {what}\n{}. The revocation is stored until {}.\n",
        enforcement(settings),
        shown.expires
    ))?;
    Ok(())
}

/// Which gates enforce a revocation, and when.
fn enforcement(settings: &RevocationSettings) -> String {
    let seconds = settings.interval.as_secs();
    let setting = match &settings.place {
        RevocationPlace::Postgres(_) => "LISTEN_DATABASE_URL",
        RevocationPlace::Redis(_) => "REDIS_TRACKING",
        RevocationPlace::Sqlite(path) => {
            let path = path.display();
            return format!(
                "The gates on this machine that use {path} enforce it within {seconds} s (REVOCATION_INTERVAL)"
            );
        }
    };
    format!(
        "Gates that are notified of changes ({setting}) enforce it at once, all others within {seconds} s \
         (REVOCATION_INTERVAL)"
    )
}

/// Runs `sessiongate revocations`.
pub(super) fn revocations(arguments: RevocationsArguments, config: &Config) -> Result<()> {
    let settings = settings(config)?;
    match arguments.command {
        None => list(settings, arguments.json),
        Some(RevocationsCommand::Install { print: true }) => {
            let place = settings.place.source();
            if !matches!(settings.place, RevocationPlace::Postgres(_)) {
                bail!(
                    "revocations are stored in {place} (REVOCATION_STORE), which needs no table; the statements are for \
                     PostgreSQL"
                );
            }
            output::print(&RevocationStore::sql())?;
            Ok(())
        }
        Some(RevocationsCommand::Install { print: false }) => {
            let installed = with_store(settings, async |store| store.install().await);
            installed.map_err(|error| match is_about_rights(&error) {
                true => error.context(
                    "the role in DATABASE_URL cannot create tables: let a role that can run the statements of \
                     `sessiongate revocations install --print`",
                ),
                false => error,
            })?;
            let place = settings.place.source();
            output::print(&format!("revocations can be stored: {place}\n"))?;
            Ok(())
        }
        Some(RevocationsCommand::Remove { what, all }) => {
            let realm = known_realm(config, what.realm)?;
            let meant = read_key(what.user, what.session, all, "--user, --session and --all");
            remove(settings, &realm, &meant.map_err(anyhow::Error::msg)?)
        }
    }
}

/// Adds advice to an error if the role lacks a right.
fn with_rights_to_write(error: anyhow::Error) -> anyhow::Error {
    match is_about_rights(&error) {
        true => error.context(
            "the role in DATABASE_URL lacks a right: adding and removing revocations needs SELECT, INSERT, UPDATE and \
             DELETE on sessiongate_revocations. A gate needs only SELECT, so give this command a role of its own",
        ),
        false => error,
    }
}

fn is_about_rights(error: &anyhow::Error) -> bool {
    let error = error.downcast_ref::<RevocationStoreError>();
    matches!(
        error,
        Some(RevocationStoreError::Postgres(OwnTableError::Forbidden(_)))
    )
}

fn list(settings: &RevocationSettings, as_json: bool) -> Result<()> {
    let entries = with_store(settings, async |store| store.load(clock::now()).await)?;
    let shown: Vec<_> = entries.iter().map(RevocationFields::of).collect();
    if as_json {
        let json = json!({ "revocations": shown });
        output::print(&format!("{json}\n"))?;
        return Ok(());
    }
    if shown.is_empty() {
        output::print("nothing is revoked\n")?;
        return Ok(());
    }
    let head = ["realm", "what", "created", "by", "kept until", "reason"];
    let mut rows = vec![head.map(str::to_owned)];
    rows.extend(shown.iter().map(|one| {
        let by = one.by.escape_debug().to_string();
        let why = one.why.escape_debug().to_string();
        let (realm, made, expires) = (&one.realm, &one.made, &one.expires);
        [
            realm.to_string(),
            one.what(),
            made.to_string(),
            by,
            expires.to_string(),
            why,
        ]
    }));
    output::print(&columns::aligned(&rows))?;
    Ok(())
}

fn remove(settings: &RevocationSettings, realm: &str, what: &Revoked) -> Result<()> {
    let removed = with_store(settings, async |store| store.remove(realm, what).await);
    let existed = removed.map_err(with_rights_to_write)?;
    if !existed {
        bail!(
            "there is no such revocation in the realm {realm}; `sessiongate revocations` lists all"
        );
    }
    let seconds = settings.interval.as_secs();
    output::print(&format!(
        "removed; every gate stops enforcing it within {seconds} s (REVOCATION_INTERVAL)\n"
    ))?;
    Ok(())
}

fn settings(config: &Config) -> Result<&RevocationSettings> {
    config.revocations.as_ref().context(
        "you cannot revoke sessions because REVOCATION_STORE is not set; set it for every gate, and for this command, to \
         `postgres`, `redis` or the path of a file",
    )
}

fn known_realm(config: &Config, name: String) -> Result<String> {
    let names: Vec<_> = config.realms.iter().map(|realm| &*realm.name).collect();
    if !names.contains(&name.as_str()) {
        let (name, known) = (name.escape_debug(), names.join(", "));
        bail!("there is no realm `{name}` (--realm); the realms are: {known}");
    }
    Ok(name)
}

/// The name of the user's account, from the environment.
fn account(environment: &Variables) -> String {
    let names = ["SUDO_USER", "USER", "LOGNAME"].iter();
    let mut names = names.filter_map(|name| environment.get(name));
    names.next().unwrap_or("command line").to_owned()
}

/// Opens the store, runs `act` with it, and closes it.
fn with_store<T>(
    settings: &RevocationSettings,
    act: impl AsyncFnOnce(&RevocationStore) -> Result<T, RevocationStoreError>,
) -> Result<T> {
    with_pools(async |pools| {
        let store = RevocationStore::open(&settings.place, pools);
        let done = act(&store).await;
        store.close().await;
        done.context("REVOCATION_STORE")
    })
}
