//! `sessiongate check-config`: shows the configuration in effect.

use anyhow::Result;
use clap::Args;
use serde_json::{Value, json};

use super::columns;
use crate::config::{Config, DEFAULT_REALM, Place, RealmSettings, Setting};
use crate::explain::{RouteLine, RouteTable};
use crate::output;

#[derive(Debug, Args)]
pub(super) struct CheckArguments {
    /// Also print settings that have their default value or no effect.
    #[arg(long, conflicts_with = "json")]
    all: bool,
    /// Print every setting as one line of JSON.
    #[arg(long)]
    json: bool,
}

/// Prints the settings in effect and the routes. For a secret, it prints only the length and a fingerprint.
pub(super) fn run(arguments: &CheckArguments, config: &Config) -> Result<()> {
    let text = match arguments.json {
        true => format!("{}\n", json(config)),
        false => text(config, arguments.all),
    };
    output::print(&text)?;
    Ok(())
}

fn text(config: &Config, with_defaults: bool) -> String {
    let is_shown = |setting: &&Setting| with_defaults || !setting.is_default;
    let of_realms = config.realms.iter().flat_map(|realm| &realm.settings);
    let all = config.settings.iter().chain(of_realms).filter(is_shown);
    let unread = config.unread.iter().filter(|_| with_defaults);
    let widths = all.chain(unread).map(|setting| setting.name.len());
    let width = widths.fold(COOKIE.len(), usize::max);
    let is_of_file = |setting: &Setting| matches!(setting.place, Some(Place::File { .. }));
    let has_file = config.settings.iter().any(is_of_file);
    let written = |setting: &Setting, origin: Option<String>| {
        let origin = origin.map(|origin| format!("  ({origin})"));
        let origin = origin.unwrap_or_default();
        format!("{:width$}  {}{origin}\n", setting.name, setting.shown)
    };
    let line = |setting: &Setting| written(setting, origin(setting, has_file));
    let mut text: String = config.settings.iter().filter(is_shown).map(line).collect();
    if with_defaults {
        let unread = config.unread.iter();
        text.extend(unread.map(|setting| written(setting, Some(unread_origin(setting)))));
    }
    for realm in &config.realms {
        if &*realm.name != DEFAULT_REALM {
            text += &format!(
                "\nrealm {}, where it differs from the top level:\n",
                realm.name
            );
            text.extend(own_settings(config, realm).filter(is_shown).map(line));
        }
        for cookie in realm.keys.cookies() {
            let (name, expects) = (cookie.name(), cookie.expects());
            text += &format!("{:width$}  {name} ({expects})\n", COOKIE);
        }
    }
    let all = config.settings.iter().chain(&config.unread);
    let hidden = all.filter(|setting| setting.is_default && !with_defaults);
    match hidden.count() {
        0 => {}
        1 => text += "\nOne more setting has its default value; --all shows it.\n",
        count => {
            text +=
                &format!("\n{count} more settings have their default value; --all shows them.\n");
        }
    }
    text += &format!("\n{}\n", routes(&RouteTable::of_config(config)));
    for warning in &config.warnings {
        text += &format!("warning: {warning}\n");
    }
    let has_stores = config.realms.iter().any(|realm| realm.stores.is_some());
    text + match has_stores {
        true => {
            "The configuration is valid. The stores were not contacted; the gate checks tables and columns when it starts.\n"
        }
        false => "The configuration is valid.\n",
    }
}

/// The settings of a realm that differ from those of the top level.
fn own_settings<'c>(
    config: &'c Config,
    realm: &'c RealmSettings,
) -> impl Iterator<Item = &'c Setting> {
    let is_own = |setting: &&Setting| {
        let same = |top: &Setting| {
            (&top.name, &top.shown, &top.place) == (&setting.name, &setting.shown, &setting.place)
        };
        !config.settings.iter().any(same)
    };
    realm.settings.iter().filter(is_own)
}

/// The origin of a value; `None` for a variable if there is no file, because then there is no other origin.
fn origin(setting: &Setting, has_file: bool) -> Option<String> {
    match &setting.place {
        Some(Place::Variable(_)) if !has_file => None,
        Some(place) => Some(place.to_string()),
        None => setting.is_default.then(|| "default".to_owned()),
    }
}

/// The origin of the value of a setting that has no effect.
fn unread_origin(setting: &Setting) -> String {
    match &setting.place {
        Some(place) => format!("{place}; no effect"),
        None => "default; no effect".to_owned(),
    }
}

/// The table of routes, the most specific first.
fn routes(table: &RouteTable<'_>) -> String {
    let head = [
        "host",
        "path",
        "methods",
        "who may enter",
        "headers",
        "goes to",
    ];
    let mut rows = vec![head.map(str::to_owned)];
    rows.extend(table.lines().into_iter().flat_map(cells));
    let mut text = columns::aligned(&rows);
    if !table.is_complete() {
        text += "Requests that match no route are refused: with 404 if they have a session, otherwise as if a session \
             were required.\n";
    }
    text
}

/// The row of a route, followed by continuation rows if its access text is long.
fn cells(line: RouteLine) -> Vec<[String; 6]> {
    let mut access = wrapped(&line.access).into_iter();
    let first = [
        line.host,
        line.path,
        line.methods,
        access.next().unwrap_or_default(),
        line.headers,
        line.goes_to,
    ];
    let more = access.map(|access| {
        let mut row = <[String; 6]>::default();
        row[3] = access;
        row
    });
    [first].into_iter().chain(more).collect()
}

/// Breaks the text between words into lines of at most [`WIDEST`] columns.
fn wrapped(text: &str) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split(' ') {
        match lines.last_mut() {
            Some(line) if line.is_empty() => line.push_str(word),
            Some(line) if line.chars().count() + word.chars().count() < WIDEST => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}

fn json(config: &Config) -> Value {
    let all = config.settings.iter().chain(&config.unread);
    let settings = all.map(|setting| {
        let place = setting.place.as_ref().map(ToString::to_string);
        json!({
            "name": setting.name, "value": setting.shown, "default": setting.is_default, "place": place,
        })
    });
    let cookies = config.realms.iter().flat_map(|realm| {
        let cookie = |name: String| json!({ "realm": &*realm.name, "name": name });
        realm
            .keys
            .cookies()
            .map(move |known| cookie(known.name().to_string()))
    });
    json!({
        "settings": settings.collect::<Vec<_>>(),
        "session_cookies": cookies.collect::<Vec<_>>(),
        "routes": RouteTable::of_config(config).lines(),
        "warnings": config.warnings,
    })
}

/// The label of a session cookie, in the column of setting names.
const COOKIE: &str = "session cookie";

/// The maximum width of the column "who may enter", in characters.
const WIDEST: usize = 44;
