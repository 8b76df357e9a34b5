//! Every setting, in one list: its variable, its key in the file, its type, its default, and what it means.
//!
//! The reader of the file, the tables in the documentation, the example file and the JSON Schema all derive from it.

mod form;
mod settings;
mod tables;

pub(super) use self::form::{Entry, ExampleValue, Key, Kind, Row, Scope};
pub(super) use self::settings::SECTIONS;
pub(super) use self::tables::{
    CONDITION, HEADER, HEADER_WORDS, LISTENER, PROFILE, REALM, ROUTE, SERVICE, TABLES, TOP_LEVEL,
};

/// Every setting.
pub(super) fn entries() -> impl Iterator<Item = &'static Entry> {
    let rows = SECTIONS.iter().flat_map(|section| section.rows);
    rows.flat_map(|row| row.settings)
}

/// The setting with this variable.
pub(super) fn entry(name: &str) -> Option<&'static Entry> {
    entries().find(|entry| entry.name == name)
}

/// Whether a setting can also come from a file, with `NAME_FILE`: it is a secret, or a value that may contain one.
pub(super) fn is_from_files(name: &str) -> bool {
    entry(name).is_some_and(|entry| entry.kind.is_secret())
}

/// The setting of a key of the file, and the name of the variable that the key sets. Also finds the `_file` key of a secret.
pub(super) fn of_key(key: &str) -> Option<(&'static Entry, String)> {
    let is_lower = !key.bytes().any(|byte| byte.is_ascii_uppercase());
    let name = key.to_ascii_uppercase();
    let found = is_lower.then(|| match entry(&name) {
        Some(entry) => Some(entry),
        None => entry(name.strip_suffix("_FILE")?).filter(|entry| entry.kind.is_secret()),
    });
    Some((found.flatten()?, name))
}

/// The keys of the settings for which `counts` returns true, including the `_file` keys of secrets.
pub(super) fn file_keys(counts: impl Fn(&Entry) -> bool) -> impl Iterator<Item = String> {
    entries()
        .filter(move |entry| counts(entry))
        .flat_map(|entry| {
            let file = entry
                .kind
                .is_secret()
                .then(|| format!("{}_file", entry.key()));
            [entry.key()].into_iter().chain(file)
        })
}
