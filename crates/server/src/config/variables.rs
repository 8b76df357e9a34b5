//! The settings of the environment and the file, as variables.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use super::place::Place;

/// Variables by name, each with its place. Because they are a value, tests and the demo can pass their own.
#[derive(Clone, Debug, Default)]
pub(crate) struct Variables {
    values: BTreeMap<String, Variable>,
    /// Names of variables whose values are not UTF-8, which no setting allows.
    unreadable: BTreeSet<String>,
    /// Names of variables whose value in the file is invalid.
    invalid: BTreeSet<String>,
    /// Whether part of the file could not be read, so that anything may be missing.
    is_partial: bool,
    /// The place to show if something is missing.
    default_place: Option<Place>,
}

/// The value of a variable, with its place.
#[derive(Clone)]
pub(super) struct Variable {
    pub(super) text: String,
    pub(super) place: Place,
    /// The entries of a list, each with its place.
    pub(super) entries: Vec<(String, Place)>,
}

/// Shows only the place, because the text may be a secret.
impl fmt::Debug for Variable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.place, f)
    }
}

impl Variables {
    /// The variables of this process.
    #[expect(
        clippy::disallowed_methods,
        reason = "this is the only place that reads the environment"
    )]
    pub(crate) fn of_process() -> Self {
        let mut variables = Self::default();
        for (name, value) in std::env::vars_os() {
            let Ok(name) = name.into_string() else {
                continue;
            };
            match value.into_string() {
                Ok(value) => variables.set_variable(&name, value),
                Err(_) => drop(variables.unreadable.insert(name)),
            }
        }
        variables
    }

    /// The value of a variable, unless it is unset or empty.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.values
            .get(name)
            .map(|value| value.text.as_str())
            .filter(|value| !value.is_empty())
    }

    /// The place of a setting: its variable or key, or those of its `_FILE`.
    pub(crate) fn place(&self, name: &str) -> Option<&Place> {
        let place_if_set = |name: &str| {
            let value = self.values.get(name)?;
            (!value.text.is_empty()).then_some(&value.place)
        };
        place_if_set(name).or_else(|| place_if_set(&format!("{name}_FILE")))
    }

    /// The place of an entry of a list, if it is known.
    pub(super) fn place_of_entry(&self, name: &str, entry: &str) -> Option<&Place> {
        let entries = &self.values.get(name)?.entries;
        let (_, place) = entries.iter().find(|(text, _)| text == entry)?;
        Some(place)
    }

    /// The place to show if something is missing: the file or table that lacks the key.
    pub(crate) fn default_place(&self) -> Option<&Place> {
        self.default_place.as_ref()
    }

    /// These variables with others added or replaced.
    pub(crate) fn with<'a>(mut self, more: impl IntoIterator<Item = (&'a str, String)>) -> Self {
        for (name, value) in more {
            self.set_variable(name, value);
        }
        self
    }

    /// Sets the place to show if something is missing.
    pub(super) fn with_default_place(mut self, default_place: Place) -> Self {
        self.default_place = Some(default_place);
        self
    }

    /// Sets a variable from a file.
    pub(super) fn set(&mut self, name: String, value: Variable) {
        self.values.insert(name, value);
    }

    /// Records that the value of a setting in the file is invalid, which is reported already.
    pub(super) fn mark_invalid(&mut self, name: String) {
        self.invalid.insert(name);
    }

    /// Records that part of the file could not be read, which is reported already.
    pub(super) fn set_partial(&mut self) {
        self.is_partial = true;
    }

    /// Whether a setting is missing, perhaps only because of another problem of the file.
    pub(super) fn is_missing_after_error(&self, name: &str) -> bool {
        self.place(name).is_none()
            && (self.is_partial
                || self.invalid.contains(name)
                || self.invalid.contains(&format!("{name}_FILE")))
    }

    /// Whether a message names a setting that is missing because its value in the file is invalid, which is reported already.
    pub(super) fn names_invalid(&self, text: &str) -> bool {
        let is_part = |letter: char| letter.is_ascii_alphanumeric() || letter == '_';
        let mut words = text.split(|letter| !is_part(letter));
        words.any(|word| {
            let is_given =
                self.invalid.contains(word) || self.invalid.contains(&format!("{word}_FILE"));
            is_given && self.place(word).is_none()
        })
    }

    /// Adds the variables of `others` that are not set here, directly or by `_FILE`. Only settings for which `counts`
    /// returns true are added.
    pub(super) fn take_missing(&mut self, others: &Self, counts: impl Fn(&str) -> bool) {
        let missing: Vec<_> = others
            .values
            .iter()
            .filter(|(name, _)| counts(name) && !self.is_set(name))
            .map(|(name, value)| (name.clone(), value.clone()))
            .collect();
        self.values.extend(missing);
        let invalid = others.invalid.iter().filter(|name| counts(name));
        self.invalid.extend(invalid.cloned());
        let unreadable = others.unreadable.iter().filter(|name| counts(name));
        self.unreadable.extend(unreadable.cloned());
        self.is_partial |= others.is_partial;
    }

    /// Whether a setting is set, directly or by `_FILE`. `name` may be either name.
    fn is_set(&self, name: &str) -> bool {
        let stem = name
            .strip_suffix("_FILE")
            .filter(|stem| super::catalogue::is_from_files(stem))
            .unwrap_or(name);
        self.get(stem).is_some()
            || self.get(&format!("{stem}_FILE")).is_some()
            || self.invalid.contains(stem)
            || self.unreadable.contains(name)
    }

    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.values.keys().map(String::as_str)
    }

    pub(super) fn unreadable(&self) -> impl Iterator<Item = &str> {
        self.unreadable.iter().map(String::as_str)
    }

    fn set_variable(&mut self, name: &str, text: String) {
        let place = Place::Variable(name.to_owned());
        let value = Variable {
            text,
            place,
            entries: Vec::new(),
        };
        self.values.insert(name.to_owned(), value);
    }
}
