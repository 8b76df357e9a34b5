//! One table of a file, read key by key. Each getter reports problems of the value it finds.

use std::ops::Range;
use std::sync::Arc;

use toml::Spanned as Parsed;
use toml::de::{DeString, DeTable, DeValue};

use super::super::catalogue::{self, Key, Kind};
use super::super::place::{Place, SourceFile};
use super::super::problem::Problem;
use super::super::raw_tables::Spanned;
use super::super::variables::Variables;
use super::super::words::{listed, nearest};

/// The file that contains tables, and the environment for `${VARIABLE}` in values.
pub(super) struct TableContext<'t> {
    pub(super) file: &'t Arc<SourceFile>,
    pub(super) environment: &'t Variables,
    /// Spans that are not TOML, which are reported already. Values parsed from them are only guesses.
    pub(super) broken: Vec<Range<usize>>,
}

/// A table, the keys it may have, and its problems.
pub(super) struct FileTable<'t> {
    entries: &'t DeTable<'t>,
    pub(super) source: &'t TableContext<'t>,
    /// Its name in messages, such as `[[route]]`.
    title: String,
    keys: &'static [Key],
    /// Further known keys, which other code reads.
    also_known: Vec<&'t str>,
    /// The keys that were probably meant by unknown keys, or by known keys with values of the wrong type.
    meant: Vec<String>,
    /// The beginning of the table.
    pub(super) place: Place,
    pub(super) problems: Vec<Problem>,
}

/// The value of a key, and its expected type.
pub(super) struct Item<'t> {
    pub(super) value: &'t Parsed<DeValue<'t>>,
    pub(super) name: &'t str,
    pub(super) kind: Kind,
    pub(super) sample: &'static str,
}

impl<'t> FileTable<'t> {
    /// Makes the table of a whole file.
    pub(super) fn new(
        entries: &'t DeTable<'t>,
        source: &'t TableContext<'t>,
        title: impl Into<String>,
        keys: &'static [Key],
    ) -> Self {
        let file_start = Place::File {
            file: Arc::clone(source.file),
            span: 0..0,
        };
        Self {
            entries,
            source,
            title: title.into(),
            keys,
            also_known: Vec::new(),
            meant: Vec::new(),
            place: file_start,
            problems: Vec::new(),
        }
    }

    /// Makes a table inside this one.
    fn within(
        &self,
        entries: &'t DeTable<'t>,
        place: Place,
        title: String,
        keys: &'static [Key],
    ) -> Self {
        Self {
            place,
            ..Self::new(entries, self.source, title, keys)
        }
    }

    /// Its entries, in the order of the file.
    pub(super) fn entries(&self) -> Vec<(&'t Parsed<DeString<'t>>, &'t Parsed<DeValue<'t>>)> {
        let mut entries: Vec<_> = self.entries.iter().collect();
        entries.sort_by_key(|(key, value)| (key.span().start, value.span().start));
        entries
    }

    /// Whether other code reads this key.
    pub(super) fn is_also_known(&self, key: &str) -> bool {
        self.also_known.contains(&key)
    }

    /// Records that other code reads this key.
    pub(super) fn add_known(&mut self, key: &'t str) {
        self.also_known.push(key);
    }

    pub(super) fn spanned<T, P>(&self, parsed: &Parsed<P>, value: T) -> Spanned<T> {
        Spanned {
            value,
            place: self.place_of(parsed),
        }
    }

    pub(super) fn place_of<T>(&self, parsed: &Parsed<T>) -> Place {
        self.at(parsed.span())
    }

    /// Whether a value overlaps a span that is not TOML.
    pub(super) fn overlaps_broken_span<T>(&self, parsed: &Parsed<T>) -> bool {
        let span = parsed.span();
        let mut broken = self.source.broken.iter();
        broken.any(|broken| broken.start < span.end && span.start < broken.end)
    }

    fn at(&self, span: Range<usize>) -> Place {
        Place::File {
            file: Arc::clone(self.source.file),
            span,
        }
    }

    /// Reports each unknown key, with the most similar known one.
    pub(super) fn report_unknown(&mut self) {
        for (key, _) in self.entries() {
            let name: &str = key.get_ref();
            let is_known = self.keys.iter().any(|known| known.name == name);
            if !is_known && !self.also_known.contains(&name) {
                // Part of a secret can look like a quoted key, if a bracket or a newline is misplaced.
                let is_quoted = !self.source.file.text[key.span()].starts_with(name);
                let problem = Problem::at(
                    self.place_of(key),
                    match self.title.as_str() {
                        _ if is_quoted => "unknown key".to_owned(),
                        TOP => format!("unknown key `{name}`"),
                        title => format!("unknown key `{name}` in {title}"),
                    },
                );
                let help = self.suggestion(name);
                self.problems.push(match help {
                    Some(help) => problem.with_help(help),
                    None => problem,
                });
            }
        }
    }

    /// Whether the table has this key, or another one that was probably meant to be it.
    pub(super) fn seems_to_have(&self, name: &'static str) -> bool {
        self.item(name).is_some() || self.meant.iter().any(|meant| meant == name)
    }

    /// The keys that were probably meant by unknown keys, or by known keys with values of the wrong type.
    pub(super) fn meant(&self) -> &[String] {
        &self.meant
    }

    fn suggestion(&mut self, name: &str) -> Option<String> {
        let of_table = self.keys.iter().map(|key| key.name.to_owned());
        let known: Vec<_> = match self.title.as_str() {
            TOP => of_table.chain(catalogue::file_keys(|_| true)).collect(),
            title if title.starts_with("[realm.") => {
                let of_realms = catalogue::file_keys(|entry| entry.scope.is_of_realms());
                of_table.chain(of_realms).collect()
            }
            _ => of_table.collect(),
        };
        if let Some(nearest) = nearest(name, &known) {
            self.meant.push(nearest.to_owned());
            return Some(format!("did you mean `{nearest}`?"));
        }
        if self.title != TOP && catalogue::of_key(name).is_some() {
            return Some(format!(
                "`{name}` belongs at the top level, above the first `[table]` of the file"
            ));
        }
        if let Some(profile) = self.title.strip_prefix("[profile.")
            && name.contains(['-', '_'])
        {
            let profile = profile.trim_end_matches(']');
            return Some(format!(
                "headers belong in a table of their own: `[profile.{profile}.headers]`"
            ));
        }
        // In a route, `headers` names a profile.
        if name == "headers" && known.iter().any(|known| known == "profile") {
            self.meant.push("profile".to_owned());
            let help = "define the headers in `[profile.NAME.headers]`, and name the profile in the route: `headers = \
                 \"NAME\"`";
            return Some(help.to_owned());
        }
        let tables = [
            ("[[route]]", catalogue::ROUTE),
            ("[[listener]]", catalogue::LISTENER),
            ("[service.NAME]", catalogue::SERVICE),
            ("[profile.NAME]", catalogue::PROFILE),
        ];
        let has_key = |(_, keys): &&(&str, &[Key])| keys.iter().any(|key| key.name == name);
        let title = tables.iter().find(has_key);
        if let Some((title, _)) = title {
            return Some(format!("`{name}` is a key of {title}"));
        }
        let stem = name.strip_suffix("_file");
        if stem.is_some_and(|stem| known.iter().any(|known| known == stem)) {
            return Some("only secrets can be read from files of their own".to_owned());
        }
        (known.len() <= MOST_LISTED).then(|| format!("the keys are {}", listed(&known)))
    }

    /// Reports a key, if the table has it, that has no effect together with the key `other`.
    pub(super) fn report_unused(&mut self, name: &'static str, other: &str, help: &str) {
        if let Some(item) = self.item(name) {
            let what = format!("`{name}` has no effect together with `{other}`");
            let problem = Problem::at(self.place_of(item.value), what);
            self.problems.push(problem.with_help(help));
        }
    }

    /// The value of a key, if the table has it.
    pub(super) fn item(&self, name: &'static str) -> Option<Item<'t>> {
        let (_, value) = self
            .entries
            .iter()
            .find(|(key, _)| key.get_ref().as_ref() == name)?;
        let key = self.keys.iter().find(|key| key.name == name);
        let key = key.expect("a key of the catalogue");
        Some(Item {
            value,
            name,
            kind: key.kind,
            sample: key.sample,
        })
    }

    /// Reads the tables of `[[NAME]]`.
    pub(super) fn tables_in_list(&mut self, name: &'static str, keys: &'static [Key]) -> Vec<Self> {
        let Some(item) = self.item(name) else {
            return Vec::new();
        };
        let DeValue::Array(tables) = item.value.get_ref() else {
            let what = format!("`{name}` must be a list of tables");
            let problem = Problem::at(self.place_of(item.value), what);
            self.problems
                .push(problem.with_help(format!("begin each table with a line `[[{name}]]`")));
            self.meant.push(name.to_owned());
            return Vec::new();
        };
        let mut found = Vec::new();
        for table in tables.iter() {
            match self.inner(table, &format!("[[{name}]]"), keys) {
                Some(inner) => found.push(inner),
                None => {
                    let what = format!("`{name}` must be a list of tables");
                    self.problems.push(Problem::at(self.place_of(table), what));
                }
            }
        }
        found
    }

    /// Reads the tables of `[NAME.…]`, each with its name.
    pub(super) fn named_tables(
        &mut self,
        name: &'static str,
        keys: &'static [Key],
    ) -> Vec<(Spanned<String>, Self)> {
        let Some(item) = self.item(name) else {
            return Vec::new();
        };
        let DeValue::Table(tables) = item.value.get_ref() else {
            let problem = Problem::at(
                self.place_of(item.value),
                format!("`{name}` is not a table"),
            );
            let help =
                format!("begin each table with a line `[{name}.NAME]`, with a name of your choice");
            self.problems.push(problem.with_help(help));
            self.meant.push(name.to_owned());
            return Vec::new();
        };
        let mut found = Vec::new();
        let mut tables: Vec<_> = tables.iter().collect();
        tables.sort_by_key(|(key, _)| key.span().start);
        for (key, table) in tables {
            let title = format!("[{name}.{}]", key.get_ref());
            let DeValue::Table(entries) = table.get_ref() else {
                let what = format!("unknown key `{}` in [{name}]", key.get_ref());
                let help = format!(
                    "each {name} is a table of its own that begins with a line `[{name}.NAME]`"
                );
                self.problems
                    .push(Problem::at(self.place_of(key), what).with_help(help));
                continue;
            };
            let place = self.place_of(key);
            let name = self.spanned(key, key.get_ref().to_string());
            found.push((name, self.within(entries, place, title, keys)));
        }
        found
    }

    /// Makes a table of a value, such as an inline condition; `None` if the value is not a table.
    pub(super) fn inner(
        &self,
        value: &'t Parsed<DeValue<'t>>,
        title: &str,
        keys: &'static [Key],
    ) -> Option<Self> {
        let DeValue::Table(entries) = value.get_ref() else {
            return None;
        };
        let place = self.place_of(value);
        Some(self.within(entries, place, title.to_owned(), keys))
    }
}

/// The name of the top level in messages.
pub(super) const TOP: &str = "the top level";

/// The most keys that are listed in one report.
const MOST_LISTED: usize = 20;
