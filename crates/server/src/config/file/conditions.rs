//! Parses conditions: `require` and `active`.

use std::sync::Arc;

use toml::de::DeValue;

use super::super::catalogue::CONDITION;
use super::super::problem::Problem;
use super::super::raw_tables::{
    RawActive, RawCondition, RawKind, RawScalar, RawTest, RawTestKind, Spanned,
};
use super::super::words::listed;
use super::table::{FileTable, Item};

impl<'t> FileTable<'t> {
    /// Reads `active`: the name of a preset, or conditions.
    pub(super) fn active(&mut self, name: &'static str) -> Option<RawActive> {
        let item = self.item(name)?;
        if item.value.get_ref().is_str() {
            return self.text_of(&item).map(RawActive::Preset);
        }
        Some(RawActive::Conditions(self.conditions_of(&item)))
    }

    /// Reads one condition, or a list of them.
    pub(super) fn conditions(&mut self, name: &'static str) -> Vec<RawCondition> {
        let item = self.item(name);
        item.map_or_else(Vec::new, |item| self.conditions_of(&item))
    }

    fn conditions_of(&mut self, item: &Item<'t>) -> Vec<RawCondition> {
        let DeValue::Array(entries) = item.value.get_ref() else {
            return self.condition(item).into_iter().collect();
        };
        if entries.is_empty() {
            let what = format!("`{}` is an empty list", item.name);
            let problem = Problem::at(self.place_of(item.value), what);
            let help = "give at least one condition, or remove the key";
            self.problems.push(problem.with_help(help));
        }
        let mut conditions = Vec::new();
        for value in entries.iter() {
            conditions.extend(self.condition(&Item { value, ..*item }));
        }
        conditions
    }

    fn condition(&mut self, item: &Item<'t>) -> Option<RawCondition> {
        let Some(mut table) = self.inner(item.value, "a condition", CONDITION) else {
            self.report_wrong_type(item);
            return None;
        };
        let kind = kind(&mut table);
        self.problems.append(&mut table.problems);
        Some(RawCondition {
            place: table.place,
            kind: kind?,
        })
    }

    /// Returns the only one of these keys that the table has. Reports it if there are several, or none: `lacking` says what is
    /// missing then.
    pub(super) fn one_of(
        &mut self,
        names: &'static [&'static str],
        lacking: &str,
    ) -> Option<&'static str> {
        let present: Vec<_> = names
            .iter()
            .filter(|name| self.item(name).is_some())
            .copied()
            .collect();
        let all: Vec<_> = names.iter().map(|name| (*name).to_owned()).collect();
        let what = match present.as_slice() {
            [one] => return Some(one),
            [] if !self.problems.is_empty() => return None,
            [] => lacking.to_owned(),
            several => {
                let several: Vec<_> = several.iter().map(|name| (*name).to_owned()).collect();
                format!("{} exclude each other", listed(&several))
            }
        };
        let problem = Problem::at(self.place.clone(), what);
        self.problems
            .push(problem.with_help(format!("give exactly one of {}", listed(&all))));
        None
    }

    fn scalar(&mut self, item: &Item<'t>) -> Option<Spanned<RawScalar>> {
        let scalar = match item.value.get_ref() {
            DeValue::Boolean(value) => Some(RawScalar::Bool(*value)),
            DeValue::Float(number) => number.as_str().parse().ok().map(RawScalar::Number),
            DeValue::Integer(_) => return self.number(item),
            DeValue::String(text) => Some(RawScalar::Text(Arc::from(text.as_ref()))),
            DeValue::Array(_) | DeValue::Datetime(_) | DeValue::Table(_) => None,
        };
        if scalar.is_none() {
            self.report_wrong_type(item);
        }
        Some(self.spanned(item.value, scalar?))
    }

    /// Reads a whole number that a floating-point number can represent exactly. Larger ones would equal their neighbors.
    fn number(&mut self, item: &Item<'t>) -> Option<Spanned<RawScalar>> {
        let number = super::value::integer(item.value.get_ref());
        let number = number.filter(|number| number.unsigned_abs() <= 1 << f64::MANTISSA_DIGITS);
        if number.is_none() {
            let what = format!(
                "`{}` is larger than 2^53 and cannot be compared exactly",
                item.name
            );
            self.problems
                .push(Problem::at(self.place_of(item.value), what));
        }
        let number = number?.to_string().parse().ok()?;
        Some(self.spanned(item.value, RawScalar::Number(number)))
    }

    /// Reads one scalar, or a list of them.
    fn scalars(&mut self, name: &'static str) -> Option<Vec<Spanned<RawScalar>>> {
        let item = self.item(name)?;
        let DeValue::Array(entries) = item.value.get_ref() else {
            return self.scalar(&item).map(|scalar| vec![scalar]);
        };
        if entries.is_empty() {
            let what = format!("`{name}` is an empty list, so the condition would never be met");
            self.problems
                .push(Problem::at(self.place_of(item.value), what));
            return None;
        }
        let mut scalars = Vec::new();
        for value in entries.iter() {
            scalars.extend(self.scalar(&Item { value, ..item }));
        }
        Some(scalars)
    }
}

fn kind(table: &mut FileTable<'_>) -> Option<RawKind> {
    table.report_unknown();
    let subject = table.one_of(SUBJECTS, "this condition does not say what it tests")?;
    if !matches!(subject, "claim" | "column") {
        report_unused_tests(table, subject);
    }
    Some(match subject {
        "all" => RawKind::All(table.conditions(subject)),
        "any" => RawKind::Any(table.conditions(subject)),
        "certificate" => RawKind::Certificate(unless_empty(table.non_empty_texts(subject))?),
        "claim" | "column" => {
            let (name, test) = (table.text(subject), test(table));
            match subject {
                "claim" => RawKind::Claim(name?, test?),
                _ => RawKind::Column(name?, test?),
            }
        }
        "max_age" => RawKind::MaxAge(table.text(subject)?),
        "methods" => RawKind::Methods(unless_empty(table.non_empty_texts(subject))?),
        "network" => RawKind::Network(unless_empty(table.non_empty_texts(subject))?),
        "not" => {
            let item = table.item(subject)?;
            RawKind::Not(Box::new(table.condition(&item)?))
        }
        _ => RawKind::OrganizationRole(unless_empty(table.non_empty_texts(subject))?),
    })
}

fn test(table: &mut FileTable<'_>) -> Option<RawTest> {
    let separator = table.text("separator");
    let name = table.one_of(TESTS, "this condition has no test")?;
    if name != "contains" && separator.is_some() {
        let help = "it splits a text into a list: use `contains`, or remove it";
        table.report_unused("separator", name, help);
    }
    let kind = match name {
        "contains" => RawTestKind::Contains(table.scalars(name)?),
        "empty" => RawTestKind::Empty(table.switch(name)?.value),
        "equals" => {
            let item = table.item(name)?;
            RawTestKind::Equals(table.scalar(&item)?)
        }
        "future" => table.mark(name).map(|_| RawTestKind::Future)?,
        "one_of" => RawTestKind::OneOf(table.scalars(name)?),
        "past" => table.mark(name).map(|_| RawTestKind::Past)?,
        _ => RawTestKind::Present(table.switch(name)?.value),
    };
    Some(RawTest { kind, separator })
}

/// Reports tests in a condition that takes none, because it tests neither a claim nor a column.
fn report_unused_tests(table: &mut FileTable<'_>, subject: &str) {
    for name in TESTS.iter().chain(&["separator"]) {
        let help = "it tests a `claim` or a `column`; remove it, or write two conditions";
        table.report_unused(name, subject, help);
    }
}

/// The list, unless it is empty.
fn unless_empty<T>(values: Vec<T>) -> Option<Vec<T>> {
    (!values.is_empty()).then_some(values)
}

/// The keys that say what a condition tests. A condition has exactly one.
const SUBJECTS: &[&str] = &[
    "claim",
    "column",
    "all",
    "any",
    "not",
    "certificate",
    "network",
    "max_age",
    "methods",
    "organization_role",
];

/// The keys that say how a claim or a column is tested. A condition about one has exactly one.
pub(in crate::config) const TESTS: &[&str] = &[
    "equals", "one_of", "contains", "present", "empty", "past", "future",
];
