//! Reads single values of a file, and reports those of the wrong type.

use toml::de::DeValue;

use super::super::catalogue::{self, Kind};
use super::super::place::Place;
use super::super::problem::Problem;
use super::super::raw_tables::Spanned;
use super::table::{FileTable, Item};
use super::variable;

impl<'t> FileTable<'t> {
    pub(super) fn text(&mut self, name: &'static str) -> Option<Spanned<String>> {
        let item = self.item(name)?;
        self.text_of(&item)
    }

    /// Reads one text, or a list of texts.
    pub(super) fn texts(&mut self, name: &'static str) -> Vec<Spanned<String>> {
        let Some(item) = self.item(name) else {
            return Vec::new();
        };
        self.texts_of(&item)
    }

    /// Reads one text, or a list of texts. An empty list is a problem, because it would mean the same as no key.
    pub(super) fn non_empty_texts(&mut self, name: &'static str) -> Vec<Spanned<String>> {
        self.non_empty_texts_or(name, "give at least one, or remove the key")
    }

    /// Reads one text or a list for a key of a route. An empty list is a problem, because the route would match any value.
    pub(super) fn non_empty_route_texts(
        &mut self,
        name: &'static str,
        one: &str,
    ) -> Vec<Spanned<String>> {
        let help = format!(
            "give at least one {one}, or remove `{name}`: a route without it matches every {one}"
        );
        self.non_empty_texts_or(name, &help)
    }

    fn non_empty_texts_or(&mut self, name: &'static str, help: &str) -> Vec<Spanned<String>> {
        let Some(item) = self.item(name) else {
            return Vec::new();
        };
        if item
            .value
            .get_ref()
            .as_array()
            .is_some_and(|list| list.is_empty())
        {
            let what = format!("`{name}` is an empty list");
            let problem = Problem::at(self.place_of(item.value), what);
            self.problems.push(problem.with_help(help));
        }
        self.texts_of(&item)
    }

    pub(super) fn switch(&mut self, name: &'static str) -> Option<Spanned<bool>> {
        let item = self.item(name)?;
        self.switch_of(&item)
    }

    /// Reads a key whose only valid value is `true`.
    pub(super) fn mark(&mut self, name: &'static str) -> Option<Place> {
        let mark = self.switch(name)?;
        if !mark.value {
            let what = format!("`{name} = false` has no meaning");
            let problem = Problem::at(mark.place.clone(), what);
            let help = format!("write `{name} = true`, or remove it");
            self.problems.push(problem.with_help(help));
        }
        Some(mark.place)
    }

    pub(super) fn integer(&mut self, name: &'static str) -> Option<Spanned<i64>> {
        let item = self.item(name)?;
        self.integer_of(&item)
    }

    pub(super) fn text_of(&mut self, item: &Item<'t>) -> Option<Spanned<String>> {
        let DeValue::String(text) = item.value.get_ref() else {
            self.report_wrong_type(item);
            return None;
        };
        let text = self.replaced(item, text)?;
        Some(self.spanned(item.value, text))
    }

    pub(super) fn texts_of(&mut self, item: &Item<'t>) -> Vec<Spanned<String>> {
        let DeValue::Array(entries) = item.value.get_ref() else {
            return self.text_of(item).into_iter().collect();
        };
        let mut texts = Vec::new();
        for entry in entries.iter() {
            let item = Item {
                value: entry,
                ..*item
            };
            texts.extend(self.text_of(&item));
        }
        texts
    }

    /// Reads a text, and replaces `${VARIABLE}` if values of this type allow it.
    fn replaced(&mut self, item: &Item<'t>, text: &str) -> Option<String> {
        if !item.kind.takes_variables() {
            if variable::contains_reference(text) {
                self.report_unreplaced(item);
                return None;
            }
            return Some(text.to_owned());
        }
        let replaced = variable::replaced(text, self.source.environment);
        replaced
            .map_err(|(what, help)| {
                let problem = Problem::at(self.place_of(item.value), what);
                self.problems.push(problem.with_help(help));
            })
            .ok()
    }

    /// Reports `${VARIABLE}` in a value in which it is not replaced.
    fn report_unreplaced(&mut self, item: &Item<'t>) {
        let what = format!("`${{…}}` is not replaced in `{}`", item.name);
        let problem = Problem::at(self.place_of(item.value), what);
        let help = match catalogue::of_key(item.name) {
            Some((_, variable)) if self.is_also_known(item.name) => format!(
                "it is replaced only in secrets, addresses, hosts, networks, URLs and file paths; remove the key, \
                and set the variable {variable} instead"
            ),
            Some(_) | None => {
                "it is replaced only in secrets, addresses, hosts, networks, URLs and file paths"
                    .to_owned()
            }
        };
        self.problems.push(problem.with_help(help));
    }

    pub(super) fn switch_of(&mut self, item: &Item<'t>) -> Option<Spanned<bool>> {
        let value = item.value.get_ref().as_bool();
        if value.is_none() {
            self.report_wrong_type(item);
        }
        Some(self.spanned(item.value, value?))
    }

    pub(super) fn integer_of(&mut self, item: &Item<'t>) -> Option<Spanned<i64>> {
        let value = integer(item.value.get_ref()).filter(|value| *value >= 0);
        if value.is_none() {
            self.report_wrong_type(item);
        }
        Some(self.spanned(item.value, value?))
    }

    /// Reports that a value has the wrong type.
    pub(super) fn report_wrong_type(&mut self, item: &Item<'t>) {
        let what = format!(
            "`{}` must be {}, not {}",
            item.name,
            item.kind.words(),
            type_name(item.value.get_ref())
        );
        let problem = Problem::at(self.place_of(item.value), what);
        let text = item.value.get_ref().as_str();
        let help = match text.and_then(|text| without_quotes(item.kind, text)) {
            Some(bare) => format!("write `{} = {bare}`, without quotes", item.name),
            None => format!("such as `{} = {}`", item.name, item.sample),
        };
        self.problems.push(problem.with_help(help));
    }
}

/// The value to write without quotes, if the key takes a number or a boolean and the text contains one.
fn without_quotes(kind: Kind, text: &str) -> Option<&str> {
    let text = text.trim();
    let is_number = matches!(
        kind,
        Kind::Count | Kind::Millis | Kind::Port | Kind::Seconds
    );
    match text.to_ascii_lowercase().as_str() {
        "true" | "yes" | "on" | "1" if kind == Kind::Switch => Some("true"),
        "false" | "no" | "off" | "0" if kind == Kind::Switch => Some("false"),
        _ if is_number && text.parse::<i64>().is_ok() => Some(text),
        _ => None,
    }
}

/// A whole number in TOML's notation, which allows `_` and the bases 2, 8 and 16.
pub(super) fn integer(value: &DeValue<'_>) -> Option<i64> {
    let integer = value.as_integer()?;
    i64::from_str_radix(integer.as_str(), integer.radix()).ok()
}

fn type_name(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::Array(_) => "a list",
        DeValue::Boolean(_) => "a boolean",
        DeValue::Datetime(_) => "a time",
        DeValue::Float(_) => "a number with a fraction",
        DeValue::Integer(_) if integer(value).is_none() => "a number out of range",
        DeValue::Integer(_) if integer(value) < Some(0) => "a negative number",
        DeValue::Integer(_) => "a number",
        DeValue::String(_) => "text",
        DeValue::Table(_) => "a table",
    }
}
