//! Converts settings in a file to variables.

use toml::Spanned as Parsed;
use toml::de::DeValue;

use super::super::catalogue::{self, Entry, Kind, Scope};
use super::super::place::Place;
use super::super::problem::Problem;
use super::super::raw_tables::{DEFAULT_REALM, RawActive, Spanned};
use super::super::variables::{Variable, Variables};
use super::table::{FileTable, Item};

/// The settings that the top level or a realm has itself.
#[derive(Debug, Default)]
pub(super) struct OwnSettings {
    pub(super) variables: Variables,
    pub(super) active: Option<RawActive>,
}

impl OwnSettings {
    /// Reads every setting of a table. `check_allowed` returns why a setting is not allowed there, and what to do.
    pub(super) fn read(
        &mut self,
        table: &mut FileTable<'_>,
        check_allowed: impl Fn(&Entry) -> Result<(), (&'static str, &'static str)>,
    ) {
        for (key, value) in table.entries() {
            let name: &str = key.get_ref();
            let Some((entry, variable)) = catalogue::of_key(name) else {
                continue;
            };
            table.add_known(name);
            if let Err((what, help)) = check_allowed(entry) {
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
            match read(table, &item).filter(|_| !table.overlaps_broken_span(value)) {
                Some(value) => self.variables.set(variable, value),
                None => self.variables.mark_invalid(variable),
            }
        }
    }

    /// Reports unknown keys. The settings that they probably mean are then not reported as missing.
    pub(super) fn report_unknown(&mut self, table: &mut FileTable<'_>) {
        table.report_unknown();
        for key in table.meant() {
            self.variables.mark_invalid(key.to_ascii_uppercase());
        }
    }
}

/// `[realm.NAME]`, without the settings it shares with the top level.
pub(super) struct RealmTable {
    pub(super) name: Spanned<String>,
    pub(super) place: Place,
    pub(super) own: OwnSettings,
}

/// Reads the settings of a realm.
pub(super) fn realm(name: Spanned<String>, table: &mut FileTable<'_>) -> RealmTable {
    if name.value == DEFAULT_REALM {
        let what = "the realm `default` is that of the top level";
        let help = "write its settings above the first `[table]` of the file, or give this realm another name";
        let problem = Problem::at(name.place.clone(), what);
        table.problems.push(problem.with_help(help));
    }
    let mut own = OwnSettings::default();
    own.read(table, check_realm_scope);
    own.report_unknown(table);
    own.active = table.active("active");
    let place = table.place.clone();
    RealmTable { name, place, own }
}

/// Why a setting is not allowed in `[realm.NAME]`, and what to do.
fn check_realm_scope(entry: &Entry) -> Result<(), (&'static str, &'static str)> {
    match entry.scope.is_of_realms() {
        true => Ok(()),
        false => Err((
            "is the same for all realms",
            "move it to the top level, above the first `[table]` of the file",
        )),
    }
}

/// Completes a realm with the settings that it shares with the top level: those of the process except secrets, and those of
/// stores unless it has its own. The settings of a server are shared as a whole or not at all, so that no password is sent to the
/// wrong server.
pub(super) fn inherit(realm: &mut Variables, top: &Variables) {
    let has_own = |scope: Scope| {
        let mut entries = catalogue::entries().filter(|entry| entry.scope == scope);
        entries.any(|entry| realm.place(entry.name).is_some())
    };
    let (has_database, has_redis) = (has_own(Scope::Database), has_own(Scope::Redis));
    realm.take_missing(top, |name| {
        let Some((entry, _)) = catalogue::of_key(&name.to_ascii_lowercase()) else {
            // Not a setting, but a variable such as NODE_ENV may mark this as production.
            return true;
        };
        match entry.scope {
            Scope::Database => !has_database,
            Scope::Service | Scope::Realm => false,
            Scope::Process => !entry.kind.is_secret(),
            Scope::Redis => !has_redis,
            Scope::Stores => true,
        }
    });
}

/// Reads a value, and converts it to the form that it has in a variable.
fn read<'t>(table: &mut FileTable<'t>, item: &Item<'t>) -> Option<Variable> {
    let text = match item.kind {
        Kind::Count | Kind::Millis | Kind::Port | Kind::Seconds => {
            table.integer_of(item)?.value.to_string()
        }
        Kind::Switch => table.switch_of(item)?.value.to_string(),
        Kind::Files | Kind::Hosts | Kind::List | Kind::Networks | Kind::SecretList | Kind::Urls => {
            return list(table, item);
        }
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
        | Kind::Url => table.text_of(item)?.value,
    };
    Some(Variable {
        text,
        place: table.place_of(item.value),
        entries: Vec::new(),
    })
}

/// Reads a list, and converts it to the form that it has in a variable: with commas between its entries.
fn list<'t>(table: &mut FileTable<'t>, item: &Item<'t>) -> Option<Variable> {
    let count = table.problems.len();
    if let Some(entries) = item.value.get_ref().as_array() {
        for entry in entries.iter() {
            report_comma(table, item, entry);
        }
    }
    let texts = table.texts_of(item);
    let parts = texts.iter().flat_map(|text| {
        let parts = text.value.split(',').map(str::trim);
        parts.map(|part| (part.to_owned(), text.place.clone()))
    });
    (table.problems.len() == count).then(|| Variable {
        text: texts
            .iter()
            .map(|text| text.value.as_str())
            .collect::<Vec<_>>()
            .join(","),
        place: table.place_of(item.value),
        entries: parts.collect(),
    })
}

fn report_comma<'t>(table: &mut FileTable<'t>, item: &Item<'t>, entry: &Parsed<DeValue<'t>>) {
    let text = entry.get_ref().as_str();
    if !text.is_some_and(|text| text.contains(',')) {
        return;
    }
    let what = format!("an entry of `{}` must not contain a comma", item.name);
    let problem = Problem::at(table.place_of(entry), what);
    let help = "put each entry in its own quotes";
    table.problems.push(problem.with_help(help));
}
