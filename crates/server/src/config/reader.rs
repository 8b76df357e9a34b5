//! Reads the values of variables and file settings, and reports problems on the way.

mod secrets;
mod setting;
mod unknown;

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

pub(crate) use self::setting::Setting;
pub(super) use self::setting::unread;
use super::catalogue::is_from_files;
use super::credentials;
use super::given::Given;
use super::place::Place;
pub(crate) use super::problem::Problem;
pub(crate) use super::variables::Variables;

/// Converts variables to values, and collects problems, warnings and effective settings on the way.
#[derive(Debug)]
pub(crate) struct Reader<'v> {
    variables: &'v Variables,
    pub(crate) problems: Vec<Problem>,
    pub(crate) warnings: Vec<String>,
    pub(crate) settings: Vec<Setting>,
    /// The secrets that were read.
    given: Vec<Given>,
    /// Whether an unusable secret is only a warning.
    is_tolerant: bool,
}

impl<'v> Reader<'v> {
    pub(crate) fn new(variables: &'v Variables) -> Self {
        Self {
            variables,
            problems: Vec::new(),
            warnings: Vec::new(),
            settings: Vec::new(),
            given: Vec::new(),
            is_tolerant: false,
        }
    }

    /// A reader for commands that only warn about secrets that start-up refuses.
    pub(crate) fn tolerant(variables: &'v Variables) -> Self {
        Self {
            is_tolerant: true,
            ..Self::new(variables)
        }
    }

    /// Reports a problem of a variable. Does nothing if a value is missing only because its part of the file is invalid, which is
    /// reported already. `what` may repeat the value; a password in it is hidden.
    pub(crate) fn problem(&mut self, name: &str, what: impl Into<String>) {
        let what = what.into();
        let is_reported =
            self.variables.is_missing_after_error(name) || self.variables.names_invalid(&what);
        if is_reported {
            return;
        }
        let what = match self.variables.get(name) {
            Some(value) => credentials::without(&what, value).into_owned(),
            None => what,
        };
        let place = self
            .variables
            .place(name)
            .or(self.variables.default_place());
        self.problems.push(Problem {
            place: place.cloned(),
            ..Problem::new(name, what)
        });
    }

    /// Whether the variables come from a table of the file.
    pub(crate) fn is_of_table(&self) -> bool {
        let place = self.variables.default_place();
        matches!(place, Some(Place::File { span, .. }) if !span.is_empty())
    }

    /// Where a variable is set, if it is.
    pub(crate) fn place(&self, name: &str) -> Option<&'v Place> {
        self.variables.place(name)
    }

    /// Whether the variable or its `_FILE` is set.
    pub(crate) fn is_set(&self, name: &str) -> bool {
        sources(name).any(|name| self.variables.get(&name).is_some())
    }

    /// Whether the variable is set, even if its value is invalid.
    pub(crate) fn is_given(&self, name: &str) -> bool {
        self.is_set(name) || self.variables.is_missing_after_error(name)
    }

    /// Whether the variable is set to something other than `false`, even if its value is invalid.
    pub(crate) fn may_be_on(&self, name: &str) -> bool {
        let value = self.variables.get(name);
        self.is_given(name) && value.and_then(switched) != Some(false)
    }

    /// Warns that a variable has no effect, if it or its `_FILE` is set.
    pub(crate) fn warn_about_unused(&mut self, name: &str, why: &str) {
        for name in sources(name) {
            match self.variables.get(&name) {
                Some(value) if is_service_link(value) => {
                    let warning = service_link(&name, value);
                    self.warnings.push(warning);
                }
                Some(_) => {
                    let place = self.variables.place(&name);
                    let place = place.filter(|place| matches!(place, Place::File { .. }));
                    let place = place.map(|place| format!(" ({place})")).unwrap_or_default();
                    self.warnings
                        .push(format!("{name} has no effect: {why}{place}"));
                }
                None => {}
            }
        }
    }

    /// Records parts of a variable that need no effect, with the reason.
    pub(crate) fn record_harmless_parts(&mut self, name: &str, parts: &[(String, &'static str)]) {
        for (part, why) in parts {
            self.record_setting(
                &format!("{name} {part}"),
                &format!("needs no effect: {why}"),
                false,
            );
        }
    }

    /// Reads a port. Kubernetes sets variables with such names for its services too, with values such as
    /// `tcp://10.96.0.10:6379` (its documentation, "Environment variables" of services); those are ignored with a warning.
    pub(crate) fn port(&mut self, name: &str) -> Option<u16> {
        let text = self.text(name)?;
        if is_service_link(&text) {
            self.warnings.push(service_link(name, &text));
            return None;
        }
        match text.trim().parse() {
            Ok(port) if port > 0 => Some(port),
            _ => {
                self.problem(name, format!("`{text}` is not a port"));
                None
            }
        }
    }

    /// Reads a text; `None` if the variable is not set.
    pub(crate) fn text(&mut self, name: &str) -> Option<String> {
        let value = self.variables.get(name).map(str::to_owned);
        let shown = value.as_deref().map(credentials::shown);
        self.record_setting(name, shown.as_deref().unwrap_or("(unset)"), value.is_none());
        value
    }

    /// Reads a value with `FromStr`; the default if the variable is not set.
    pub(crate) fn parsed<T: FromStr + fmt::Display>(
        &mut self,
        name: &str,
        default: T,
        expected: &str,
    ) -> T {
        let Some(text) = self.variables.get(name) else {
            self.record_setting(name, &default.to_string(), true);
            return default;
        };
        match text.trim().parse() {
            Ok(value) => {
                self.record_setting(name, &credentials::shown(text), false);
                value
            }
            Err(_) => {
                self.problem(name, format!("`{text}` is not {expected}"));
                default
            }
        }
    }

    /// Reads a value with a function; `None` if the variable is not set.
    pub(crate) fn read<T, E: fmt::Display>(
        &mut self,
        name: &str,
        read: impl FnOnce(&str) -> Result<T, E>,
    ) -> Option<T> {
        let text = self.text(name)?;
        read(&text)
            .map_err(|error| self.problem(name, format!("`{text}`: {error}")))
            .ok()
    }

    /// Reads a value with a function, which gets `default` if the variable is not set.
    pub(crate) fn read_or<T, E: fmt::Display>(
        &mut self,
        name: &str,
        default: &str,
        read: impl FnOnce(&str) -> Result<T, E>,
    ) -> Option<T> {
        let text = self.parsed(name, default.to_owned(), "a name");
        read(&text)
            .map_err(|error| self.problem(name, format!("`{text}`: {error}")))
            .ok()
    }

    /// Reads a comma-separated list, each entry with a function. Empty entries are skipped.
    pub(crate) fn list<T, E: fmt::Display>(
        &mut self,
        name: &str,
        read: impl Fn(&str) -> Result<T, E>,
    ) -> Vec<T> {
        let text = self.text(name).unwrap_or_default();
        let mut values = Vec::new();
        for entry in text
            .split(',')
            .map(str::trim)
            .filter(|entry| !entry.is_empty())
        {
            match read(entry) {
                Ok(value) => values.push(value),
                Err(error) => {
                    let place = self.variables.place_of_entry(name, entry);
                    let place = place.or(self.variables.place(name));
                    let what = format!("`{entry}`: {error}");
                    self.problems.push(Problem {
                        place: place.cloned(),
                        ..Problem::new(name, credentials::without(&what, &text))
                    });
                }
            }
        }
        let is_blank = |entry: &str| entry.trim().is_empty();
        if !text.is_empty() && text.split(',').all(is_blank) {
            self.warnings
                .push(format!("{name} has no effect: it is empty"));
        }
        values
    }

    /// Reads `true` or `false` (or `1`, `0`, `yes`, `no`, `on`, `off`). Anything else is a problem, never a guess.
    pub(crate) fn switch(&mut self, name: &str, default: bool) -> bool {
        let Some(text) = self.variables.get(name) else {
            self.record_setting(name, &default.to_string(), true);
            return default;
        };
        let Some(value) = switched(text) else {
            self.problem(name, format!("`{text}` is neither `true` nor `false`"));
            return default;
        };
        self.record_setting(name, &value.to_string(), false);
        value
    }

    /// Reads one of a few words; the default if the variable is not set. Messages list the words in this order.
    pub(crate) fn choice<T: Copy + PartialEq>(
        &mut self,
        name: &str,
        default: T,
        words: &[(&str, T)],
    ) -> T {
        let default_word = words
            .iter()
            .find(|(_, value)| *value == default)
            .map_or("", |(word, _)| word);
        let Some(text) = self.variables.get(name) else {
            self.record_setting(name, default_word, true);
            return default;
        };
        let Some((word, value)) = words.iter().find(|(word, _)| *word == text.trim()) else {
            let words: Vec<_> = words.iter().map(|(word, _)| format!("`{word}`")).collect();
            self.problem(name, format!("`{text}` is not one of {}", words.join(", ")));
            return default;
        };
        self.record_setting(name, word, false);
        *value
    }

    /// Reads a whole number of seconds.
    pub(crate) fn seconds(&mut self, name: &str, default: u32) -> Duration {
        Duration::from_secs(u64::from(self.parsed(
            name,
            default,
            "a whole number of seconds",
        )))
    }

    /// Reads a whole number of seconds, at least one.
    pub(crate) fn limit(&mut self, name: &str, default: u32) -> Duration {
        let limit = self.seconds(name, default);
        self.at_least_one(name, limit)
    }

    /// Reads a whole number of milliseconds, at least one.
    pub(crate) fn millis(&mut self, name: &str, default: u32) -> Duration {
        let limit = Duration::from_millis(u64::from(self.parsed(
            name,
            default,
            "a whole number of milliseconds",
        )));
        self.at_least_one(name, limit)
    }

    fn at_least_one(&mut self, name: &str, limit: Duration) -> Duration {
        if limit.is_zero() {
            self.problem(
                name,
                "a timeout of 0 would refuse everything; use at least 1",
            );
        }
        limit
    }

    /// The value of a variable, without recording it as a setting.
    pub(crate) fn peek(&self, name: &str) -> Option<&str> {
        self.variables.get(name)
    }

    /// A reader of other variables that shares the secrets read so far.
    pub(crate) fn with_variables<'o>(&self, variables: &'o Variables) -> Reader<'o> {
        Reader {
            given: self.given.clone(),
            ..Reader::new(variables)
        }
    }

    /// The variables that are read.
    pub(crate) fn variables(&self) -> &'v Variables {
        self.variables
    }

    fn record_setting(&mut self, name: &str, shown: &str, is_default: bool) {
        // In a remark about part of a setting, the name of the part follows that of the setting.
        let variable = name.split(' ').next().unwrap_or(name);
        let place = match is_default {
            true => None,
            false => self.variables.place(variable).cloned(),
        };
        self.settings.push(Setting {
            place,
            name: name.to_owned(),
            shown: shown.to_owned(),
            is_default,
        });
    }
}

/// The value of a switch, if the text is valid.
fn switched(text: &str) -> Option<bool> {
    match text.trim().to_ascii_lowercase().as_str() {
        "true" | "1" | "yes" | "on" => Some(true),
        "false" | "0" | "no" | "off" => Some(false),
        _ => None,
    }
}

/// The variables that can set a setting: its own, and `_FILE` for secrets.
fn sources(name: &str) -> impl Iterator<Item = String> {
    let file = is_from_files(name).then(|| format!("{name}_FILE"));
    [name.to_owned()].into_iter().chain(file)
}

/// Whether this is a value that Kubernetes puts into a variable `NAME_PORT` for one of its services.
fn is_service_link(value: &str) -> bool {
    ["tcp://", "udp://", "sctp://"]
        .iter()
        .any(|scheme| value.starts_with(scheme))
}

fn service_link(name: &str, value: &str) -> String {
    format!(
        "{name} is ignored: Kubernetes sets it to `{value}` for a service with this name; set enableServiceLinks: false \
         in the pod to avoid such variables, or set {name} to a number",
        value = credentials::shown(value)
    )
}

#[cfg(test)]
mod tests;
