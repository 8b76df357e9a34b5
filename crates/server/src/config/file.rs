//! Reads the configuration file and the files it includes: settings become variables, tables become a [`RawTables`]. At this
//! stage only keys and the types of values are checked.

mod conditions;
mod duplicate;
mod include;
mod listeners;
mod profiles;
mod routes;
mod settings;
mod table;
mod value;
mod variable;

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use toml::de::DeTable;

pub(super) use self::conditions::TESTS;
use self::include::Included;
use self::settings::{OwnSettings, RealmTable};
use self::table::{FileTable, TOP, TableContext};
use super::catalogue::{self, TABLES, TOP_LEVEL};
use super::place::{Place, SourceFile};
use super::problem::Problem;
use super::raw_tables::{RawRealm, RawTables, Spanned};
use super::variables::Variables;
use client_tls::named_file;

/// The merged content of the environment and the configuration file.
#[derive(Debug, Default)]
pub(crate) struct Loaded {
    /// The variables of the environment, completed by the settings of the file's top level.
    pub(crate) variables: Variables,
    /// The tables of the files.
    pub(crate) raw_tables: RawTables,
    /// The configuration file, as named by the user.
    pub(crate) main: Option<PathBuf>,
    /// The patterns of included files, absolute or relative to the working directory.
    pub(crate) patterns: Vec<String>,
    /// Every file that was read, the configuration file first.
    pub(crate) files: Vec<Arc<SourceFile>>,
    /// The problems of the files: those of syntax, keys and types.
    pub(crate) problems: Vec<Problem>,
    /// Whether part of a file could not be read, so that what seems to be missing may be there.
    pub(crate) is_partial: bool,
}

impl Loaded {
    /// The settings of the environment, without a file.
    pub(crate) fn without_file(environment: Variables) -> Self {
        Self {
            variables: environment,
            ..Self::default()
        }
    }
}

/// Reads a file and the files it includes. Problems are collected; the valid parts are returned anyway, so that they can be
/// checked too.
pub(crate) fn load(path: &Path, environment: &Variables) -> Loaded {
    let mut loading = Loading::new(environment);
    loading.loaded.main = Some(path.to_owned());
    if let Some(file) = loading.read(path) {
        loading.main(&file);
    } else {
        loading.own.variables.set_partial();
        loading.loaded.is_partial = true;
    }
    loading.finish()
}

/// Reads a text that is part of the program as if it were in a file with this name. There is no file to watch.
pub(crate) fn load_text(name: &str, text: &str, environment: &Variables) -> Loaded {
    let mut loading = Loading::new(environment);
    let file = Arc::new(SourceFile::new(name, text));
    loading.main(&file);
    loading.finish()
}

/// The state of loading a file.
struct Loading<'e> {
    environment: &'e Variables,
    loaded: Loaded,
    /// The settings of the top level.
    own: OwnSettings,
    realms: Vec<RealmTable>,
    /// Where each named table, such as `service.api`, is defined.
    names: BTreeMap<String, Place>,
}

impl<'e> Loading<'e> {
    fn new(environment: &'e Variables) -> Self {
        Self {
            environment,
            loaded: Loaded::default(),
            own: OwnSettings::default(),
            realms: Vec::new(),
            names: BTreeMap::new(),
        }
    }

    /// Reads the configuration file itself.
    fn main(&mut self, file: &Arc<SourceFile>) {
        self.own.variables = Variables::default().with_default_place(Place::File {
            file: Arc::clone(file),
            span: 0..0,
        });
        self.top_level(file);
    }

    /// Reads a text file, and records that it was read.
    fn read(&mut self, path: &Path) -> Option<Arc<SourceFile>> {
        let problem = |what: String| Problem::new(path.display().to_string(), what);
        let text = match named_file::read(path, LONGEST) {
            Ok(bytes) => String::from_utf8(bytes).map_err(|error| {
                let valid = error.utf8_error().valid_up_to();
                let line = 1 + error.as_bytes()[..valid]
                    .iter()
                    .filter(|byte| **byte == b'\n')
                    .count();
                problem(format!("it is not UTF-8 text: see line {line}"))
            }),
            Err(error) => Err(problem(format!(
                "cannot read this configuration file: {error}"
            ))),
        };
        let text = text
            .map_err(|problem| {
                self.loaded.problems.push(problem);
                self.loaded.is_partial = true;
            })
            .ok()?;
        let file = Arc::new(SourceFile::new(path, text));
        self.loaded.files.push(Arc::clone(&file));
        Some(file)
    }

    /// Parses a file as far as possible. Also returns the spans that are not TOML.
    fn parse<'t>(&mut self, file: &'t Arc<SourceFile>) -> (DeTable<'t>, Vec<Range<usize>>) {
        let (table, errors) = DeTable::parse_recoverable(&file.text);
        let mut broken = Vec::new();
        for error in errors {
            let span = visible_span(&file.text, error.span().unwrap_or(0..0));
            // The parser reports keys below a duplicate name as duplicates too.
            let is_below = |broken: &Range<usize>| {
                broken.contains(&span.start) && file.text[broken.clone()].starts_with('[')
            };
            if error.message() == duplicate::MESSAGE && broken.iter().any(is_below) {
                continue;
            }
            broken.push(broken_span(&file.text, &span));
            let other = duplicate::first_place(&file.text, &span, error.message());
            let at = |span| Place::File {
                file: Arc::clone(file),
                span,
            };
            let problem = Problem::at(at(span), error.message());
            self.loaded.problems.push(match other {
                Some(other) => problem.with_related(at(other), "it is defined here already"),
                None => problem,
            });
        }
        self.loaded.is_partial |= !broken.is_empty();
        (table.into_inner(), broken)
    }

    fn top_level(&mut self, file: &Arc<SourceFile>) {
        let (parsed, broken) = self.parse(file);
        if !broken.is_empty() {
            self.own.variables.set_partial();
        }
        let environment = self.environment;
        let source = TableContext {
            file,
            environment,
            broken,
        };
        let mut table = FileTable::new(&parsed, &source, TOP, TOP_LEVEL);
        self.own.read(&mut table, |_| Ok(()));
        self.own.report_unknown(&mut table);
        self.loaded.raw_tables.active = table.active("active");
        let folds = table.switch("case_insensitive");
        self.loaded.raw_tables.case_insensitive = folds.is_some_and(|folds| folds.value);
        for mut listener in table.tables_in_list("listener", catalogue::LISTENER) {
            let read = listeners::listener(&mut listener);
            table.problems.append(&mut listener.problems);
            self.loaded.raw_tables.listeners.extend(read);
        }
        let patterns = table.texts("include");
        self.tables(&mut table);
        self.add_problems(table.problems, &source.broken);
        let mut included = Included::find(file, &patterns);
        self.loaded.problems.append(&mut included.problems);
        self.loaded.patterns = included.patterns;
        for path in included.paths {
            self.include(&path, file);
        }
    }

    /// Reads a file that `main` includes.
    fn include(&mut self, path: &Path, main: &SourceFile) {
        let Some(file) = self.read(path) else {
            return;
        };
        let (parsed, broken) = self.parse(&file);
        let environment = self.environment;
        let source = TableContext {
            file: &file,
            environment,
            broken,
        };
        let mut table = FileTable::new(&parsed, &source, "an included file", TABLES);
        include::report_misplaced(&mut table, main);
        table.report_unknown();
        self.tables(&mut table);
        self.add_problems(table.problems, &source.broken);
    }

    /// Adds problems, except those in spans that are not TOML, which are reported already.
    fn add_problems(&mut self, problems: Vec<Problem>, broken: &[Range<usize>]) {
        let is_new = |problem: &Problem| match &problem.place {
            Some(Place::File { span, .. }) => {
                let is_apart =
                    |broken: &Range<usize>| broken.end <= span.start || span.end <= broken.start;
                broken.iter().all(is_apart)
            }
            Some(Place::Variable(_)) | None => true,
        };
        self.loaded
            .problems
            .extend(problems.into_iter().filter(is_new));
    }

    /// Reads the tables of a file. Sets `is_partial` if a value was probably meant to be a table, because a route may name it.
    fn tables(&mut self, table: &mut FileTable<'_>) {
        self.known_tables(table);
        let is_table = |meant: &String| TABLES.iter().any(|key| key.name == meant);
        self.loaded.is_partial |= table.meant().iter().any(is_table);
    }

    fn known_tables(&mut self, table: &mut FileTable<'_>) {
        for mut route in table.tables_in_list("route", catalogue::ROUTE) {
            let route_read = routes::route(&mut route);
            table.problems.append(&mut route.problems);
            self.loaded.raw_tables.routes.push(route_read);
        }
        for (name, mut service) in table.named_tables("service", catalogue::SERVICE) {
            let is_new = self.is_new("service", &name, &mut service);
            let read = routes::service(name, &mut service);
            self.loaded
                .raw_tables
                .services
                .extend(is_new.then_some(read));
            table.problems.append(&mut service.problems);
        }
        for (name, mut profile) in table.named_tables("profile", catalogue::PROFILE) {
            let is_new = self.is_new("profile", &name, &mut profile);
            let read = profiles::profile(name, &mut profile);
            self.loaded
                .raw_tables
                .profiles
                .extend(is_new.then_some(read));
            table.problems.append(&mut profile.problems);
        }
        for (name, mut realm) in table.named_tables("realm", catalogue::REALM) {
            let is_new = self.is_new("realm", &name, &mut realm);
            let read = settings::realm(name, &mut realm);
            self.realms.extend(is_new.then_some(read));
            table.problems.append(&mut realm.problems);
        }
    }

    /// Whether this is the first table with this name in all files. Reports it if it is not.
    fn is_new(&mut self, kind: &str, name: &Spanned<String>, table: &mut FileTable<'_>) -> bool {
        let full = format!("{kind}.{}", name.value);
        if let Some(first) = self.names.get(&full) {
            let problem = Problem::at(name.place.clone(), format!("[{full}] is defined twice"))
                .with_related(first.clone(), "it is defined here already")
                .with_help("keep one, or give one of them another name");
            table.problems.push(problem);
            return false;
        }
        self.names.insert(full, name.place.clone());
        true
    }

    fn finish(mut self) -> Loaded {
        let mut top = self.environment.clone();
        if let Some(place) = self.own.variables.default_place() {
            top = top.with_default_place(place.clone());
        }
        top.take_missing(&self.own.variables, |_| true);
        for RealmTable { name, place, own } in self.realms {
            let mut settings = own.variables.with_default_place(place);
            settings::inherit(&mut settings, &top);
            self.loaded.raw_tables.realms.push(RawRealm {
                name,
                settings,
                active: own.active,
            });
        }
        self.loaded.variables = top;
        self.loaded
    }
}

/// The span, extended to at least one byte that is not a newline if possible.
fn visible_span(text: &str, span: Range<usize>) -> Range<usize> {
    let mut start = text.floor_char_boundary(span.start);
    let before = &text[..start];
    let is_at_end = text[start..]
        .chars()
        .next()
        .is_none_or(|char| char == '\n' || char == '\r');
    if is_at_end {
        start = before
            .char_indices()
            .next_back()
            .map_or(start, |(at, _)| at);
    }
    let length = text[start..].chars().next().map_or(0, char::len_utf8);
    start..text.ceil_char_boundary(span.end).max(start + length)
}

/// The span that is unreliable because of a syntax error: its lines, or, if it is in a table's name, the whole table.
fn broken_span(text: &str, span: &Range<usize>) -> Range<usize> {
    let lines = whole_lines(text, span.clone());
    if !text[lines.clone()].trim_start().starts_with('[') {
        return lines;
    }
    let next = text[lines.end..].find("\n[");
    lines.start..next.map_or(text.len(), |length| lines.end + length)
}

/// The span extended to whole lines.
fn whole_lines(text: &str, span: Range<usize>) -> Range<usize> {
    let start = text[..span.start]
        .rfind('\n')
        .map_or(0, |newline| newline + 1);
    let end = text[span.end..].find('\n');
    start..end.map_or(text.len(), |length| span.end + length)
}

/// The longest file in bytes: enough for far more than ten thousand routes, and a limit in case a log file is named by mistake.
pub(super) const LONGEST: u64 = 64 << 20;

#[cfg(test)]
mod tests;
