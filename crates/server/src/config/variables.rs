//! What the environment and the file said, by the names of variables.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use super::place::Place;

/// Variables by name, each with the place where it stands. Reading them from a value lets tests and the demo pass a map.
#[derive(Clone, Debug, Default)]
pub(crate) struct Variables {
    values: BTreeMap<String, Variable>,
    /// The names of those whose values are not UTF-8. No setting of ours can hold such a value.
    unreadable: BTreeSet<String>,
    /// The names of those that a file gives in a way that cannot be read.
    spoiled: BTreeSet<String>,
    /// Whether a part of the file could not be read at all, so that anything may be missing.
    is_partial: bool,
    /// Where to point when something is missing.
    home: Option<Place>,
}

/// What a variable says, and where.
#[derive(Clone)]
pub(super) struct Variable {
    pub(super) text: String,
    pub(super) place: Place,
    /// What stands in a list, each with its place.
    pub(super) entries: Vec<(String, Place)>,
}

/// Without the texts, which may be secrets.
impl fmt::Debug for Variable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.place, f)
    }
}

impl Variables {
    /// The variables of this process.
    #[expect(
        clippy::disallowed_methods,
        reason = "this is the home of the environment"
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

    /// A variable that is set to something.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.values
            .get(name)
            .map(|value| value.text.as_str())
            .filter(|value| !value.is_empty())
    }

    /// Where a setting stands: its variable or key, or those of its `_FILE`.
    pub(crate) fn place(&self, name: &str) -> Option<&Place> {
        let stands = |name: &str| {
            let value = self.values.get(name)?;
            (!value.text.is_empty()).then_some(&value.place)
        };
        stands(name).or_else(|| stands(&format!("{name}_FILE")))
    }

    /// Where an entry of a list stands, as far as that is known.
    pub(super) fn place_of_entry(&self, name: &str, entry: &str) -> Option<&Place> {
        let entries = &self.values.get(name)?.entries;
        let (_, place) = entries.iter().find(|(text, _)| text == entry)?;
        Some(place)
    }

    /// Where to point when something is missing: the file that has no such key.
    pub(crate) fn home(&self) -> Option<&Place> {
        self.home.as_ref()
    }

    /// The same variables with these in place of, or beside, those of the same name.
    pub(crate) fn with<'a>(mut self, more: impl IntoIterator<Item = (&'a str, String)>) -> Self {
        for (name, value) in more {
            self.set_variable(name, value);
        }
        self
    }

    /// Notes where to point when something is missing.
    pub(super) fn at_home(mut self, home: Place) -> Self {
        self.home = Some(home);
        self
    }

    /// Sets what a file says.
    pub(super) fn set(&mut self, name: String, value: Variable) {
        self.values.insert(name, value);
    }

    /// Notes that a file gives a setting in a way that cannot be read, and has been told so.
    pub(super) fn spoil(&mut self, name: String) {
        self.spoiled.insert(name);
    }

    /// Notes that a part of the file could not be read at all, and it has been told so.
    pub(super) fn set_partial(&mut self) {
        self.is_partial = true;
    }

    /// Whether this is missing only because of something else that is wrong.
    pub(super) fn lacks_for_a_reason(&self, name: &str) -> bool {
        self.place(name).is_none()
            && (self.is_partial
                || self.spoiled.contains(name)
                || self.spoiled.contains(&format!("{name}_FILE")))
    }

    /// Whether a text tells people to give a setting that the file does give, in a way that cannot be read, and has been told so.
    pub(super) fn asks_for_spoiled(&self, text: &str) -> bool {
        let is_part = |letter: char| letter.is_ascii_alphanumeric() || letter == '_';
        let mut words = text.split(|letter| !is_part(letter));
        words.any(|word| {
            let is_given =
                self.spoiled.contains(word) || self.spoiled.contains(&format!("{word}_FILE"));
            is_given && self.place(word).is_none()
        })
    }

    /// Takes from `others` what is set there, with its `_FILE`, and not here. With `counts`, only settings for which it says
    /// so.
    pub(super) fn take_missing(&mut self, others: &Self, counts: impl Fn(&str) -> bool) {
        let lacking: Vec<_> = others
            .values
            .iter()
            .filter(|(name, _)| counts(name) && !self.says(name))
            .map(|(name, value)| (name.clone(), value.clone()))
            .collect();
        self.values.extend(lacking);
        let spoiled = others.spoiled.iter().filter(|name| counts(name));
        self.spoiled.extend(spoiled.cloned());
        let unreadable = others.unreadable.iter().filter(|name| counts(name));
        self.unreadable.extend(unreadable.cloned());
        self.is_partial |= others.is_partial;
    }

    /// Whether a setting is given, directly or by a file of its own. `name` may be that of either.
    fn says(&self, name: &str) -> bool {
        let stem = name
            .strip_suffix("_FILE")
            .filter(|stem| super::catalogue::is_from_files(stem))
            .unwrap_or(name);
        self.get(stem).is_some()
            || self.get(&format!("{stem}_FILE")).is_some()
            || self.spoiled.contains(stem)
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
