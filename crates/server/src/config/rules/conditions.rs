//! Builds the conditions of `require` and `active`, resolving every name in them.

use std::time::Duration;

use gate::{ClaimPath, Condition, Scalar, Test, TestKind};
use http::Method;
use ipnet::IpNet;

use super::columns::RuleColumns;
use crate::config::network;
use crate::config::place::Place;
use crate::config::problem::Problem;
use crate::config::raw_tables::{
    RawActive, RawCondition, RawKind, RawScalar, RawTest, RawTestKind, Spanned,
};
use crate::tls::client_certificate;
use stores::Column;

/// Combines these conditions into one. The columns that they name are added to those that are read with every user.
pub(super) fn all(
    raw: &[RawCondition],
    columns: &mut RuleColumns,
    problems: &mut Vec<Problem>,
) -> Condition {
    let conditions = raw
        .iter()
        .filter_map(|raw| condition(raw, columns, problems));
    Condition::All(conditions.collect())
}

/// Builds `active`, the condition on a realm's users.
pub(in crate::config) fn active(
    raw: Option<&RawActive>,
    columns: &mut RuleColumns,
    problems: &mut Vec<Problem>,
) -> Condition {
    match raw {
        None => Condition::ALWAYS,
        Some(RawActive::Conditions(raw)) => all(raw, columns, problems),
        Some(RawActive::Preset(preset)) if preset.value == BETTER_AUTH => {
            not_banned(columns, &preset.place)
        }
        Some(RawActive::Preset(preset)) => {
            let what = format!("`{}` is not a known preset", preset.value);
            let help = format!(
                "use `active = \"{BETTER_AUTH}\"`, which refuses banned users, or write conditions: `active = [{{ not = \
                 {{ column = \"banned\", equals = true }} }}]`"
            );
            problems.push(Problem::with(preset, what).with_help(help));
            Condition::ALWAYS
        }
    }
}

/// The preset for Better Auth. It decides as the `admin` plugin does before it creates a session (1.7,
/// `plugins/admin/admin.mjs`): a banned user may enter again after `banExpires`, or never if that is empty.
fn not_banned(columns: &mut RuleColumns, place: &Place) -> Condition {
    let (banned, expires) = (columns.column_of("banned"), columns.column_of("banExpires"));
    for column in [&banned, &expires] {
        columns.record_place(column.name(), place);
    }
    let (banned, expires) = (columns.value(banned), columns.time(expires));
    let test = |kind| Test {
        kind,
        separator: None,
    };
    let is_banned = Condition::Column(banned, test(TestKind::Equals(Scalar::Bool(true))));
    Condition::Any(vec![
        Condition::Not(Box::new(is_banned)),
        Condition::Column(expires, test(TestKind::Past)),
    ])
}

fn condition(
    raw: &RawCondition,
    columns: &mut RuleColumns,
    problems: &mut Vec<Problem>,
) -> Option<Condition> {
    let mut each = |raws: &[RawCondition], problems: &mut Vec<Problem>| {
        let conditions = raws
            .iter()
            .filter_map(|raw| condition(raw, columns, problems));
        conditions.collect::<Vec<_>>()
    };
    Some(match &raw.kind {
        RawKind::All(raws) => Condition::All(each(raws, problems)),
        RawKind::Any(raws) => Condition::Any(each(raws, problems)),
        RawKind::Not(raw) => Condition::Not(Box::new(condition(raw, columns, problems)?)),
        RawKind::Certificate(names) => {
            let names = names
                .iter()
                .filter_map(|text| parsed(text, problems, client_certificate::parse));
            Condition::Certificate(names.map(String::into_boxed_str).collect())
        }
        RawKind::Claim(path, raw) => {
            let test = test(raw, problems);
            Condition::Claim(claim_path(path, columns, problems)?, test)
        }
        RawKind::Column(name, raw) => {
            let test = test(raw, problems);
            let column = parsed(name, problems, Column::parse)?;
            columns.record_place(column.name(), &name.place);
            let column_ref = match raw.kind {
                RawTestKind::Future | RawTestKind::Past => columns.time(column),
                RawTestKind::Contains(_)
                | RawTestKind::Empty(_)
                | RawTestKind::Equals(_)
                | RawTestKind::OneOf(_)
                | RawTestKind::Present(_) => columns.value(column),
            };
            Condition::Column(column_ref, test)
        }
        RawKind::OrganizationRole(roles) => {
            columns.check_organizations(&raw.place, problems);
            Condition::OrganizationRole {
                active: columns.active_organization(&raw.place),
                roles: columns.organization_roles(&raw.place),
                one_of: roles.iter().map(|role| role.value.clone()).collect(),
            }
        }
        RawKind::Network(networks) => {
            let networks = networks
                .iter()
                .filter_map(|text| parsed(text, problems, network::parse));
            Condition::Network(networks.collect::<Vec<IpNet>>())
        }
        RawKind::MaxAge(age) => Condition::MaxAge(parsed(age, problems, duration)?),
        RawKind::Methods(methods) => {
            let methods = methods
                .iter()
                .filter_map(|text| parsed(text, problems, method));
            Condition::Methods(methods.collect())
        }
    })
}

/// Reads a dotted path to a claim that sessions of the realm can have.
pub(super) fn claim_path(
    text: &Spanned<String>,
    columns: &mut RuleColumns,
    problems: &mut Vec<Problem>,
) -> Option<ClaimPath> {
    let path = parsed(text, problems, |text| {
        ClaimPath::new(text).ok_or("write the path of the claim with dots, such as `user.role`")
    })?;
    columns.claim(&path, text, problems);
    Some(path)
}

/// Reads a text with a function, and reports its error as a problem.
pub(super) fn parsed<T, E: ToString>(
    text: &Spanned<String>,
    problems: &mut Vec<Problem>,
    read: impl Fn(&str) -> Result<T, E>,
) -> Option<T> {
    let problem = |error: E| {
        let (shown, message) = (format!("`{}`", text.value), error.to_string());
        let what = match message.starts_with(&shown) {
            true => message,
            false => format!("{shown}: {message}"),
        };
        problems.push(Problem::with(text, what));
    };
    read(&text.value).map_err(problem).ok()
}

/// Reads a method, in upper case.
pub(super) fn method(text: &str) -> Result<Method, &'static str> {
    if text.is_empty() {
        return Err("it is empty; give a method such as `GET`, or remove `methods` to match all");
    }
    let is_upper = |byte: u8| byte.is_ascii_uppercase() || byte == b'-';
    match Method::from_bytes(text.as_bytes()) {
        Ok(method) if text.bytes().all(is_upper) => Ok(method),
        Ok(_) | Err(_) => Err("write methods in upper case, such as `GET`"),
    }
}

/// Reads a duration in seconds, minutes, hours or days: `90s`, `15m`, `12h`, `7d`.
fn duration(text: &str) -> Result<Duration, &'static str> {
    const HELP: &str = "give a whole number with its unit: `90s`, `15m`, `12h` or `7d`";
    let (number, unit) = text
        .split_at_checked(text.len().saturating_sub(1))
        .ok_or(HELP)?;
    let seconds = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 60 * 60,
        "d" => 24 * 60 * 60,
        _ => return Err(HELP),
    };
    if number.is_empty() || !number.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(HELP);
    }
    let too_long = "no session is that old; use a smaller value, or remove `max_age`";
    let number: u32 = number.parse().map_err(|_| too_long)?;
    match number {
        0 => Err("no session is that young; use at least `1s`"),
        number => Ok(Duration::from_secs(u64::from(number) * seconds)),
    }
}

fn test(raw: &RawTest, problems: &mut Vec<Problem>) -> Test {
    if let (RawTestKind::Contains(values), Some(_)) = (&raw.kind, &raw.separator) {
        let is_text = |raw: &&Spanned<RawScalar>| matches!(raw.value, RawScalar::Text(_));
        for value in values.iter().filter(|value| !is_text(value)) {
            let what = "with `separator` a text is split into texts: put this value in quotes, or remove `separator` for \
                 a list of numbers";
            problems.push(Problem::at(value.place.clone(), what));
        }
    }
    let scalars = |raw: &[Spanned<RawScalar>]| raw.iter().map(|raw| scalar(&raw.value)).collect();
    Test {
        kind: match &raw.kind {
            RawTestKind::Contains(values) => TestKind::Contains(scalars(values)),
            RawTestKind::Empty(wanted) => TestKind::Empty(*wanted),
            RawTestKind::Equals(value) => TestKind::Equals(scalar(&value.value)),
            RawTestKind::Future => TestKind::Future,
            RawTestKind::OneOf(values) => TestKind::OneOf(scalars(values)),
            RawTestKind::Past => TestKind::Past,
            RawTestKind::Present(wanted) => TestKind::Present(*wanted),
        },
        separator: separator(raw.separator.as_ref(), problems).map(Into::into),
    }
}

/// Reads the separator of a list. It must not be empty, because then each character would be an entry.
pub(super) fn separator<'r>(
    raw: Option<&'r Spanned<String>>,
    problems: &mut Vec<Problem>,
) -> Option<&'r str> {
    let raw = raw?;
    let is_visible = |byte: u8| matches!(byte, b' '..=b'~');
    if raw.value.is_empty() || !raw.value.bytes().all(is_visible) {
        let what = "give the characters between the entries, such as `,` or a space: ASCII without control characters";
        problems.push(Problem::at(raw.place.clone(), what));
    }
    Some(&raw.value)
}

fn scalar(raw: &RawScalar) -> Scalar {
    match raw {
        RawScalar::Bool(value) => Scalar::Bool(*value),
        RawScalar::Number(value) => Scalar::Number(*value),
        RawScalar::Text(text) => Scalar::Text((**text).into()),
    }
}

const BETTER_AUTH: &str = "better-auth";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::place::Place;

    #[test]
    fn age_needs_a_unit() {
        let seconds = |text| duration(text).map(|age| age.as_secs());
        assert_eq!(seconds("90s"), Ok(90));
        assert_eq!(seconds("7d"), Ok(7 * 24 * 60 * 60));
        for (text, part) in [
            ("12", "with its unit"),
            ("d", "with its unit"),
            ("+1d", "with its unit"),
            ("1.5h", "with its unit"),
            ("0s", "at least"),
            ("99999999999999d", "use a smaller value"),
        ] {
            assert!(seconds(text).unwrap_err().contains(part), "{text}");
        }
    }

    #[test]
    fn separator_must_be_visible() {
        for (text, is_good) in [
            (",", true),
            (" ", true),
            (", ", true),
            ("||", true),
            ("", false),
            ("\n", false),
            ("ä", false),
        ] {
            let raw = Spanned {
                value: text.to_owned(),
                place: Place::Variable("separator".to_owned()),
            };
            let mut problems = Vec::new();
            separator(Some(&raw), &mut problems);
            assert_eq!(problems.is_empty(), is_good, "{text:?}");
        }
    }
}
