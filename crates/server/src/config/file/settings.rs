//! Settings in a file, which become variables.

use toml::Spanned as Parsed;
use toml::de::DeValue;

use super::super::catalogue::{self, Entry, Kind, Scope};
use super::super::problem::Problem;
use super::super::stack::RawActive;
use super::super::variables::{Value, Variables};
use super::table::{Item, Table, integer};
use super::variable;

/// The settings of the top level, or of a realm.
#[derive(Debug, Default)]
pub(super) struct OwnSettings {
    pub(super) variables: Variables,
    pub(super) active: Option<RawActive>,
}

impl OwnSettings {
    /// Takes every setting of a table. `may_stand` says why one may not stand there, and what to do.
    pub(super) fn read(
        &mut self,
        table: &mut Table<'_>,
        may_stand: impl Fn(&Entry) -> Result<(), (&'static str, &'static str)>,
    ) {
        for (key, value) in table.entries() {
            let name: &str = key.get_ref();
            let Some((entry, variable)) = catalogue::of_key(name) else {
                continue;
            };
            table.knows(name);
            if let Err((what, help)) = may_stand(entry) {
                let problem = Problem::at(table.place_of(key), format!("`{name}` {what}"));
                table.problems.push(problem.with_help(help));
                continue;
            }
            let item = Item {
                value,
                name,
                kind: match entry.name == variable {
                    true => entry.kind,
                    false => Kind::File,
                },
                sample: match entry.name == variable {
                    true => entry.written.text(),
                    false => "\"/run/secrets/name\"",
                },
            };
            match text(table, &item) {
                Some(text) => {
                    let place = table.place_of(value);
                    self.variables.set(variable, Value { text, place });
                }
                None => self.variables.spoil(variable),
            }
        }
    }
}

/// Why a setting may not stand in `[realm.NAME]`.
pub(super) fn may_be_of_realm(entry: &Entry) -> Result<(), (&'static str, &'static str)> {
    match entry.scope.is_of_realms() {
        true => Ok(()),
        false => Err((
            "is the same for all realms",
            "move it to the top level, above the first `[table]` of the file",
        )),
    }
}

/// Gives a realm what it shares with the top level: what is the process's, and how stores are reached and used, as far as it
/// has nothing of its own. A server is shared whole or not at all, so that no password reaches another server than its own.
pub(super) fn inherit(realm: &mut Variables, top: &Variables) {
    let has_own = |scope: Scope| {
        let mut entries = catalogue::entries().filter(|entry| entry.scope == scope);
        entries.any(|entry| realm.place(entry.name).is_some())
    };
    let (has_database, has_redis) = (has_own(Scope::Database), has_own(Scope::Redis));
    realm.take_missing(top, |name| {
        let Some((entry, _)) = catalogue::of_key(&name.to_ascii_lowercase()) else {
            // Not ours, but it may say that this is production.
            return true;
        };
        match entry.scope {
            Scope::Database => !has_database,
            Scope::Front | Scope::Realm => false,
            Scope::Process => !entry.kind.is_secret(),
            Scope::Redis => !has_redis,
            Scope::Stores => true,
        }
    });
}

/// The value as the variable would say it.
fn text<'t>(table: &mut Table<'t>, item: &Item<'t>) -> Option<String> {
    match item.kind {
        Kind::Count | Kind::Millis | Kind::Port | Kind::Seconds => {
            let number = integer(item.value.get_ref());
            if number.is_none() {
                table.is_wrong(item);
            }
            number.map(|number| number.to_string())
        }
        Kind::Switch => {
            let value = item.value.get_ref().as_bool();
            if value.is_none() {
                table.is_wrong(item);
            }
            value.map(|value| value.to_string())
        }
        Kind::List | Kind::Networks | Kind::SecretList | Kind::Urls => list(table, item),
        Kind::Active
        | Kind::Address
        | Kind::Choice(_)
        | Kind::Condition
        | Kind::Conditions
        | Kind::File
        | Kind::Headers
        | Kind::Scalar
        | Kind::Scalars
        | Kind::Secret
        | Kind::SecretUrl
        | Kind::Tables
        | Kind::Text
        | Kind::Url => {
            let text = table.text_of(item)?.value;
            let is_replaced = item.kind.takes_variables();
            if !is_replaced && variable::is_asked_for(&text) {
                not_replaced(table, item);
                return None;
            }
            Some(text)
        }
    }
}

/// A list, with commas between its entries.
fn list<'t>(table: &mut Table<'t>, item: &Item<'t>) -> Option<String> {
    if let DeValue::Array(entries) = item.value.get_ref() {
        for entry in entries.iter() {
            name_commas(table, item, entry);
        }
    }
    let count = table.problems.len();
    let texts = table.texts_of(item);
    let texts: Vec<_> = texts.into_iter().map(|text| text.value).collect();
    if !item.kind.takes_variables() && texts.iter().any(|text| variable::is_asked_for(text)) {
        not_replaced(table, item);
    }
    (table.problems.len() == count).then(|| texts.join(","))
}

fn name_commas<'t>(table: &mut Table<'t>, item: &Item<'t>, entry: &Parsed<DeValue<'t>>) {
    if entry
        .get_ref()
        .as_str()
        .is_some_and(|text| text.contains(','))
    {
        let what = format!("an entry of `{}` cannot have a comma in it", item.name);
        let problem = Problem::at(table.place_of(entry), what);
        let help = "write each entry in quotes of its own";
        table.problems.push(problem.with_help(help));
    }
}

fn not_replaced<'t>(table: &mut Table<'t>, item: &Item<'t>) {
    let what = format!("`${{…}}` is not replaced in `{}`", item.name);
    let problem = Problem::at(table.place_of(item.value), what);
    let help = format!(
        "it is in secrets and addresses only; leave the key out, and set the variable {}, which counts too",
        item.name.to_ascii_uppercase()
    );
    table.problems.push(problem.with_help(help));
}
