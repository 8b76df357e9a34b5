//! Builds header profiles, each for one realm, because realms have different columns.

use std::collections::HashMap;
use std::path::Path;

use gate::{BuiltInProfile, Encoding, HeaderProfile, HeaderSource, IdentityHeader};
use session::Secret;

use super::columns::RuleColumns;
use super::conditions::{claim_path, parsed, separator};
use super::header_names::header_name;
use crate::config::given::{Given, SecretForm};
use crate::config::problem::Problem;
use crate::config::raw_tables::{RawHeader, RawProfile, RawSource, Spanned};
use crate::config::words::known_words;
use stores::Column;

/// The header profiles that routes use.
#[derive(Debug)]
pub(super) struct Profiles<'s> {
    raw: &'s [RawProfile],
    /// Whether there may be further profiles, because part of a file could not be read.
    is_partial: bool,
    /// The profiles built so far; the first is the default.
    built: Vec<HeaderProfile>,
    /// The index of each built profile, by name and realm.
    places: HashMap<(String, usize), usize>,
}

impl<'s> Profiles<'s> {
    pub(super) fn new(
        raw: &'s [RawProfile],
        is_partial: bool,
        problems: &mut Vec<Problem>,
    ) -> Self {
        for profile in raw {
            if built_in(&profile.name.value).is_some() {
                let what = format!("the profile `{}` is built in", profile.name.value);
                let help =
                    "use another name; `base` lets it start with the headers of a built-in profile";
                problems.push(Problem::at(profile.name.place.clone(), what).with_help(help));
            }
        }
        Self {
            raw,
            is_partial,
            built: vec![BuiltInProfile::Sessiongate.profile().clone()],
            places: HashMap::new(),
        }
    }

    /// The index of the profile that a route of this realm names.
    pub(super) fn place(
        &mut self,
        name: Option<&Spanned<String>>,
        realm: usize,
        columns: &mut RuleColumns,
        problems: &mut Vec<Problem>,
    ) -> usize {
        let Some(name) = name.filter(|name| name.value != DEFAULT) else {
            return 0;
        };
        let key = (name.value.clone(), realm);
        if let Some(place) = self.places.get(&key) {
            return *place;
        }
        let mut found = Vec::new();
        let profile = self.build(name, columns, &mut found);
        // Most problems of a profile are the same in each realm that uses it.
        let is_new = |problem: &Problem| !problems.contains(problem);
        let new: Vec<_> = found.into_iter().filter(is_new).collect();
        problems.extend(new);
        let Some(profile) = profile else {
            return 0;
        };
        self.built.push(profile);
        self.places.insert(key, self.built.len() - 1);
        self.built.len() - 1
    }

    fn build(
        &self,
        name: &Spanned<String>,
        columns: &mut RuleColumns,
        problems: &mut Vec<Problem>,
    ) -> Option<HeaderProfile> {
        if let Some(built_in) = built_in(&name.value) {
            return Some(built_in.profile().clone());
        }
        let raw = self.raw.iter().find(|raw| raw.name.value == name.value);
        if raw.is_none() {
            let known = BuiltInProfile::BY_NAME.map(|(word, _)| word);
            let own = self.raw.iter().map(|raw| raw.name.value.as_str());
            let what = format!("there is no profile `{}`", name.value);
            let help = known_words(&name.value, own.chain(known));
            if !self.is_partial {
                problems.push(Problem::with(name, what).with_help(help));
            }
        }
        Some(build(raw?, columns, problems))
    }

    /// Returns the profiles. Also builds those that no route names, so that clients cannot forge their headers either, and
    /// reports their problems. The columns and files that these refer to need not exist.
    pub(super) fn finish(mut self, problems: &mut Vec<Problem>) -> Vec<HeaderProfile> {
        for raw in self.raw {
            let is_built = self.places.keys().any(|(name, _)| *name == raw.name.value);
            if is_built || built_in(&raw.name.value).is_some() {
                continue;
            }
            let mut raw = raw.clone();
            for (_, header) in &mut raw.headers {
                if let RawSource::SecretFile(_) = header.source {
                    header.source = RawSource::Route;
                }
            }
            let profile = build(&raw, &mut RuleColumns::accepting_any(), problems);
            self.built.push(profile);
        }
        self.built
    }
}

fn build(
    raw: &RawProfile,
    columns: &mut RuleColumns,
    problems: &mut Vec<Problem>,
) -> HeaderProfile {
    let base = match &raw.base {
        None => Vec::new(),
        Some(base) => match built_in(&base.value) {
            Some(base) => base.profile().headers.clone(),
            None => {
                let what = format!("`{}` is not a built-in profile", base.value);
                let known = BuiltInProfile::BY_NAME.map(|(word, _)| word);
                let help = known_words(&base.value, known);
                problems.push(Problem::with(base, what).with_help(help));
                Vec::new()
            }
        },
    };
    let encoding = encoding(raw.encoding.as_ref(), problems);
    let separator = separator(raw.separator.as_ref(), problems);
    let mut headers: Vec<IdentityHeader> = base
        .into_iter()
        .map(|header| IdentityHeader {
            encoding: encoding.unwrap_or(header.encoding),
            separator: separator.map_or(header.separator, Into::into),
            ..header
        })
        .collect();
    report_duplicate_headers(&raw.headers, problems);
    for (name, value) in &raw.headers {
        let defaults = (encoding.unwrap_or_default(), separator.unwrap_or(","));
        if let Some(header) = header(name, value, defaults, columns, problems) {
            headers.retain(|other| other.name != header.name);
            headers.push(header);
        }
    }
    HeaderProfile {
        name: raw.name.value.as_str().into(),
        headers,
    }
}

/// Reports headers whose names differ only in case, so that one of them would be lost: names are case-insensitive (RFC 9110
/// section 5.1).
fn report_duplicate_headers(headers: &[(Spanned<String>, RawHeader)], problems: &mut Vec<Problem>) {
    for (index, (name, _)) in headers.iter().enumerate() {
        let is_same = |other: &&Spanned<String>| other.value.eq_ignore_ascii_case(&name.value);
        let mut before = headers[..index].iter().map(|(other, _)| other);
        if let Some(first) = before.find(is_same) {
            let what = format!(
                "the header `{}` is defined twice; header names are case-insensitive",
                name.value
            );
            let problem = Problem::with(name, what)
                .with_related(first.place.clone(), "it is defined here already");
            problems.push(problem.with_help("keep one of them"));
        }
    }
}

fn built_in(name: &str) -> Option<BuiltInProfile> {
    let mut words = BuiltInProfile::BY_NAME.into_iter();
    words.find_map(|(word, profile)| (word == name).then_some(profile))
}

fn encoding(word: Option<&Spanned<String>>, problems: &mut Vec<Problem>) -> Option<Encoding> {
    parsed(word?, problems, |word| {
        let known = Encoding::WORDS
            .into_iter()
            .find(|(known, _)| *known == word);
        known.map(|(_, encoding)| encoding).ok_or_else(|| {
            let words = Encoding::WORDS.map(|(word, _)| format!("`{word}`"));
            format!("it is not one of {}", words.join(", "))
        })
    })
}

fn header(
    name: &Spanned<String>,
    raw: &RawHeader,
    defaults: (Encoding, &str),
    columns: &mut RuleColumns,
    problems: &mut Vec<Problem>,
) -> Option<IdentityHeader> {
    let header_name = parsed(name, problems, header_name);
    let source = source(&raw.source, columns, problems);
    let encoding = encoding(raw.encoding.as_ref(), problems);
    let separator = separator(raw.separator.as_ref(), problems);
    Some(IdentityHeader {
        name: header_name?,
        source: source?,
        encoding: encoding.unwrap_or(defaults.0),
        separator: separator.unwrap_or(defaults.1).into(),
    })
}

fn source(
    raw: &RawSource,
    columns: &mut RuleColumns,
    problems: &mut Vec<Problem>,
) -> Option<HeaderSource> {
    Some(match raw {
        RawSource::Claim(path) => HeaderSource::Claim(claim_path(path, columns, problems)?),
        RawSource::Column(name) => {
            let column = parsed(name, problems, Column::parse)?;
            columns.record_place(column.name(), &name.place);
            HeaderSource::Column(columns.value(column))
        }
        RawSource::Route => HeaderSource::Route,
        RawSource::SecretFile(path) => HeaderSource::Constant(secret(path, problems)?),
        RawSource::Value(text) => HeaderSource::Constant(constant(text, problems)?),
        RawSource::Word(word) => parsed(word, problems, |word| {
            Ok(match word {
                "subject" => HeaderSource::Subject,
                "email" => HeaderSource::Email,
                "name" => HeaderSource::Name,
                "groups" => HeaderSource::Groups,
                _ => {
                    return Err(
                        "it is not one of `subject`, `email`, `name`, `groups`; for other values use a table, such as { \
                         claim = \"user.role\" } or { column = \"team\" }",
                    );
                }
            })
        })?,
    })
}

fn secret(path: &Spanned<String>, problems: &mut Vec<Problem>) -> Option<Secret> {
    let given = parsed(path, problems, |path| {
        Given::read("secret_file", Path::new(path), SecretForm::Text)
            .map_err(|error| format!("cannot read this file: {error}"))
    })?;
    let text = Spanned {
        value: String::from_utf8_lossy(given.secret.expose()).into_owned(),
        place: path.place.clone(),
    };
    let is_writable = is_writable(&text.value);
    if !is_writable {
        let what =
            "the content of this file cannot be a header value: use visible ASCII characters only";
        problems.push(Problem::at(path.place.clone(), what));
    }
    is_writable.then_some(given.secret)
}

fn constant(text: &Spanned<String>, problems: &mut Vec<Problem>) -> Option<Secret> {
    if is_writable(&text.value) {
        return Some(Secret::new(text.value.as_str()));
    }
    let what =
        "it cannot be a header value: use visible ASCII characters, without spaces at the ends";
    problems.push(Problem::at(text.place.clone(), what));
    None
}

fn is_writable(text: &str) -> bool {
    let is_visible = |byte: u8| matches!(byte, b' '..=b'~');
    text.bytes().all(is_visible) && text.trim() == text
}

const DEFAULT: &str = "default";
