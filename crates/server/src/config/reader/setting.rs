//! Settings with their effective values, for `check-config`.

use super::super::catalogue::{self, Entry, ExampleValue};
use super::super::credentials;
use super::super::place::Place;
use super::super::variables::Variables;
use super::sources;

/// One setting with its effective value, for `check-config`. For a secret, the value is only its length and fingerprint.
#[derive(Clone, Debug)]
pub(crate) struct Setting {
    /// The variable's name.
    pub(crate) name: String,
    /// Its value in displayable form.
    pub(crate) shown: String,
    /// Whether the value is the default.
    pub(crate) is_default: bool,
    /// Where it is set, unless it is a default.
    pub(crate) place: Option<Place>,
}

/// The settings that were not read, because they have no effect: each with its value or its default.
pub(in crate::config) fn unread(read: &[Setting], variables: &Variables) -> Vec<Setting> {
    let is_read = |entry: &&Entry| read.iter().any(|setting| setting.name == entry.name);
    let others = catalogue::entries().filter(|entry| !is_read(entry));
    let settings = others.map(|entry| {
        let mut given = sources(entry.name).filter_map(|name| variables.get(&name));
        let shown = given.next().map(|value| match entry.kind.is_secret() {
            true => "(set)".to_owned(),
            false => credentials::shown(value).into_owned(),
        });
        Setting {
            name: entry.name.to_owned(),
            is_default: shown.is_none(),
            shown: shown.unwrap_or_else(|| default_of(entry)),
            place: variables.place(entry.name).cloned(),
        }
    });
    settings.collect()
}

/// The default of a setting, in the form in which settings are shown.
fn default_of(entry: &Entry) -> String {
    let text = match entry.written {
        ExampleValue::Dependent(text) | ExampleValue::Default(text) => text.trim_matches('"'),
        ExampleValue::Sample(_) => "",
    };
    match text {
        "" | "[]" => "(unset)".to_owned(),
        text => text.to_owned(),
    }
}
