//! Reads the values of variables and file settings, and reports problems on the way.

use std::collections::BTreeSet;
use std::fmt;
use std::path::Path;
use std::str::FromStr;
use std::time::Duration;

use session::Secret;

use super::catalogue::{self, Entry, ExampleValue, is_from_files};
use super::connection_url::ConnectionUrl;
use super::credentials;
use super::given::{self, Given, LONGEST_FILE, SecretForm};
use super::mark::MARK;
use super::place::Place;
pub(crate) use super::problem::Problem;
pub(crate) use super::variables::Variables;
use client_tls::named_file;

/// One setting with its effective value, for `check-config`. Of a secret it has only length and fingerprint.
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

    /// Reports a problem of a variable. Ignores it if something is only missing because that part of the file is invalid,
    /// which is reported already. `what` may repeat the value; a password in it is hidden.
    pub(crate) fn problem(&mut self, name: &str, what: impl Into<String>) {
        let what = what.into();
        let is_told =
            self.variables.lacks_for_a_reason(name) || self.variables.asks_for_spoiled(&what);
        if is_told {
            return;
        }
        let what = match self.variables.get(name) {
            Some(value) => credentials::without(&what, value).into_owned(),
            None => what,
        };
        let place = self.variables.place(name).or(self.variables.home());
        self.problems.push(Problem {
            place: place.cloned(),
            ..Problem::new(name, what)
        });
    }

    /// Whether the variables come from a table of the file.
    pub(crate) fn is_of_table(&self) -> bool {
        let home = self.variables.home();
        matches!(home, Some(Place::File { span, .. }) if !span.is_empty())
    }

    /// Where a variable is set, if it is.
    pub(crate) fn place(&self, name: &str) -> Option<&'v Place> {
        self.variables.place(name)
    }

    /// Whether the variable is set, or its `_FILE`.
    pub(crate) fn is_set(&self, name: &str) -> bool {
        sources(name).any(|name| self.variables.get(&name).is_some())
    }

    /// Whether the variable is set, even if its value is invalid.
    pub(crate) fn is_given(&self, name: &str) -> bool {
        self.is_set(name) || self.variables.lacks_for_a_reason(name)
    }

    /// Whether the variable is set to something other than `false`, even if its value is invalid.
    pub(crate) fn may_be_on(&self, name: &str) -> bool {
        let value = self.variables.get(name);
        self.is_given(name) && value.and_then(switched) != Some(false)
    }

    /// Warns that a variable has no effect, if it or its `_FILE` is set.
    pub(crate) fn idle(&mut self, name: &str, why: &str) {
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
    pub(crate) fn remarks(&mut self, name: &str, parts: &[(String, &'static str)]) {
        for (part, why) in parts {
            self.note(
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
        self.note(name, shown.as_deref().unwrap_or("(unset)"), value.is_none());
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
            self.note(name, &default.to_string(), true);
            return default;
        };
        match text.trim().parse() {
            Ok(value) => {
                self.note(name, &credentials::shown(text), false);
                value
            }
            Err(_) => {
                self.problem(name, format!("`{text}` is not {expected}"));
                default
            }
        }
    }

    /// Reads an optional value with a function.
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

    /// Reads a name, or a default name, with a function.
    pub(crate) fn named<T, E: fmt::Display>(
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
            self.note(name, &default.to_string(), true);
            return default;
        };
        let Some(value) = switched(text) else {
            self.problem(name, format!("`{text}` is neither `true` nor `false`"));
            return default;
        };
        self.note(name, &value.to_string(), false);
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
            self.note(name, default_word, true);
            return default;
        };
        let Some((word, value)) = words.iter().find(|(word, _)| *word == text.trim()) else {
            let words: Vec<_> = words.iter().map(|(word, _)| format!("`{word}`")).collect();
            self.problem(name, format!("`{text}` is not one of {}", words.join(", ")));
            return default;
        };
        self.note(name, word, false);
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

    /// Reads a secret from `NAME` or from the file that `NAME_FILE` names. A final newline of the file is not part of the
    /// secret, because editors and `echo` add it.
    pub(crate) fn secret(&mut self, name: &str) -> Option<Secret> {
        self.secret_of(name, SecretForm::Text)
    }

    /// Reads several secrets in one text. The caller splits them, and must report [each](Self::saw).
    pub(crate) fn secret_list(&mut self, name: &str) -> Option<Secret> {
        self.secret_of(name, SecretForm::List)
    }

    /// Reads a secret of arbitrary bytes: a key that JavaScript never reads as text.
    pub(crate) fn key(&mut self, name: &str) -> Option<Secret> {
        self.secret_of(name, SecretForm::Bytes)
    }

    fn secret_of(&mut self, name: &str, content: SecretForm) -> Option<Secret> {
        let file_name = format!("{name}_FILE");
        let (direct, file) = (self.variables.get(name), self.variables.get(&file_name));
        let given = match (direct, file) {
            (None, None) => return None,
            (Some(_), Some(_)) => {
                self.problem(
                    name,
                    format!("both {name} and {file_name} are set; keep one"),
                );
                return None;
            }
            (Some(value), None) => Given::new(name, Secret::new(value), false, content),
            (None, Some(path)) => match Given::read(&file_name, Path::new(path), content) {
                Ok(given) => given,
                Err(error) => {
                    let hint = match given::core(path.as_bytes()) == path.as_bytes() {
                        true => "",
                        false => "; quotes and spaces around a path are part of it",
                    };
                    self.problem(&file_name, format!("cannot read `{path}`: {error}{hint}"));
                    return None;
                }
            },
        };
        let (secret, flaw) = (given.secret.clone(), given.flaw());
        self.given.push(given);
        self.note(name, &secret.to_string(), false);
        match flaw {
            Some(flaw) if !self.is_tolerant => {
                self.problem(name, flaw);
                None
            }
            Some(_) | None => Some(secret),
        }
    }

    /// Records a secret that was taken from a list, for [`Reader::doubts`].
    pub(crate) fn saw(&mut self, source: String, secret: &Secret) {
        self.given
            .push(Given::new(source, secret.clone(), false, SecretForm::Text));
    }

    /// Warnings about odd secrets, and about secrets that differ only at their ends.
    pub(crate) fn doubts(&self) -> Vec<String> {
        given::doubts(&self.given, self.is_tolerant)
    }

    /// The value of a variable, without recording it as a setting.
    pub(crate) fn peek(&self, name: &str) -> Option<&str> {
        self.variables.get(name)
    }

    /// Adds to problems of secrets what is odd about the secret.
    pub(crate) fn explain_problems(&mut self) {
        given::explain(&mut self.problems, &self.given);
    }

    /// A secret to derive another key from; `None` if it cannot be read. A secret that was read before is not read again,
    /// because a pipe can be read only once. White space at its end is removed, so that nodes that get it in different ways
    /// derive the same key.
    pub(crate) fn secret_again(&self, name: &str) -> Option<Secret> {
        let known = self.given.iter().find(|given| given.is_all_of(name));
        let secret = match (known, self.variables.get(name)) {
            (Some(given), _) => given.secret.clone(),
            (None, Some(value)) => Secret::new(value),
            (None, None) => {
                let path = self.variables.get(&format!("{name}_FILE"))?;
                let bytes = named_file::read(Path::new(path), LONGEST_FILE);
                Secret::new(bytes.ok()?)
            }
        };
        Some(Secret::new(secret.expose().trim_ascii_end()))
    }

    /// A reader of other variables that shares the secrets read so far.
    pub(crate) fn of_others<'o>(&self, variables: &'o Variables) -> Reader<'o> {
        Reader {
            given: self.given.clone(),
            ..Reader::new(variables)
        }
    }

    /// The variables that are read.
    pub(crate) fn variables(&self) -> &'v Variables {
        self.variables
    }

    /// Reads a secret that must be text, such as a password in a connection string.
    pub(crate) fn password(&mut self, name: &str) -> Option<String> {
        let secret = self.secret(name)?;
        let text = std::str::from_utf8(secret.expose()).map(str::to_owned);
        text.map_err(|_| self.problem(name, "it is not UTF-8 text"))
            .ok()
    }

    /// Reads a connection string, which is shown without its password.
    pub(crate) fn url(&mut self, name: &str) -> Option<String> {
        let file_name = format!("{name}_FILE");
        if self.variables.get(&file_name).is_some() {
            let url = self.secret_of(name, SecretForm::Url)?;
            let text = str::from_utf8(url.expose()).map(str::to_owned);
            let text = text.map_err(|_| self.problem(name, "it is not UTF-8 text"));
            return text.ok().map(|url| self.bare_url(&file_name, &url));
        }
        let url = self.variables.get(name).map(str::to_owned);
        let url = url.map(|url| self.bare_url(name, &url));
        let shown = url
            .as_deref()
            .map(str::trim)
            .map_or_else(|| "(unset)".to_owned(), shown);
        self.note(name, &shown, url.is_none());
        url.map(|url| url.trim().to_owned())
    }

    /// Removes white space around a URL. Quotes, a byte-order mark and the name of a variable are reported and removed, so
    /// that they do not cause a second problem.
    fn bare_url(&mut self, source: &str, url: &str) -> String {
        let mut bare = url.trim();
        if let Some(rest) = bare.strip_prefix(MARK) {
            let what = "the URL begins with a byte-order mark (EF BB BF); save it without one";
            self.problem(source, what);
            bare = rest.trim();
        }
        if let Some(rest) = given::without_assignment(bare) {
            let what = "it begins with the name of a variable and `=`; give only the URL";
            self.problem(source, what);
            bare = rest;
        }
        if let Some((rest, kind)) = given::unquoted(bare) {
            let what = format!(
                "the URL is in {kind} quotes, which dotenv and shells remove but `docker run --env-file` keeps; remove \
                 them"
            );
            self.problem(source, what);
            bare = rest;
        }
        bare.to_owned()
    }

    /// A warning for each unknown variable whose name differs from that of a setting by one typo. `others` are settings that
    /// may not have been read.
    pub(crate) fn slips(&self, others: &[&str]) -> Vec<String> {
        let known = self.known(others);
        let is_known = |name: &str| known.contains(name.strip_suffix("_FILE").unwrap_or(name));
        let unknown = self
            .variables
            .names()
            .filter(|name| name.len() >= 6 && !known.contains(name) && !is_known(name));
        let nearest = |name: &str| {
            known
                .iter()
                .find(|known| is_one_slip_away(name, known))
                .copied()
        };
        unknown
            .filter_map(|name| {
                let nearest = nearest(name)?;
                Some(format!(
                    "{name} is set but is not a setting of sessiongate; did you mean {nearest}?"
                ))
            })
            .collect()
    }

    /// Reports settings that cannot be read: values that are not UTF-8, and `_FILE` variables of settings that cannot come
    /// from a file.
    pub(crate) fn unreadable(&mut self, others: &[&str]) {
        let known = self.known(others);
        let known: BTreeSet<_> = known.into_iter().map(str::to_owned).collect();
        for name in self.variables.unreadable() {
            if known.contains(name.strip_suffix("_FILE").unwrap_or(name)) || known.contains(name) {
                self.problem(name, "its value is not UTF-8 text");
            }
        }
        let files: Vec<_> = self.variables.names().map(str::to_owned).collect();
        for name in files {
            let Some(stem) = name.strip_suffix("_FILE") else {
                continue;
            };
            if known.contains(stem) && !known.contains(&name) && !is_from_files(stem) {
                self.warnings.push(format!(
                    "{name} has no effect: only secrets and URLs with credentials can be read from files"
                ));
            }
        }
    }

    fn known<'a>(&'a self, others: &[&'a str]) -> BTreeSet<&'a str> {
        let read = self.settings.iter().map(|setting| setting.name.as_str());
        read.chain(others.iter().copied()).collect()
    }

    fn note(&mut self, name: &str, shown: &str, is_default: bool) {
        // A remark about part of a setting has the name of the part after the setting's.
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

/// The settings that were not read, because they have no effect: each with its value or its default.
pub(super) fn unread(read: &[Setting], variables: &Variables) -> Vec<Setting> {
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

/// A connection string in displayable form. An invalid one is hidden, because any part may be a password.
fn shown(url: &str) -> String {
    if url.starts_with("sqlite:") {
        return url.to_owned();
    }
    ConnectionUrl::parse(url).map_or_else(|_| "(set)".to_owned(), |url| url.to_string())
}

/// Whether one letter was added, removed, changed or swapped with its neighbor.
fn is_one_slip_away(a: &str, b: &str) -> bool {
    let (a, b) = (a.as_bytes(), b.as_bytes());
    let same_start = a.iter().zip(b).take_while(|(a, b)| a == b).count();
    let (a, b) = (&a[same_start..], &b[same_start..]);
    let same_end = a
        .iter()
        .rev()
        .zip(b.iter().rev())
        .take_while(|(a, b)| a == b)
        .count();
    match (&a[..a.len() - same_end], &b[..b.len() - same_end]) {
        ([_], []) | ([], [_]) | ([_], [_]) => true,
        ([a0, a1], [b0, b1]) => a0 == b1 && a1 == b0,
        _ => false,
    }
}

#[cfg(test)]
mod tests;
