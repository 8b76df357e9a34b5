//! The verdict of each part of a condition, for `explain`. The verdicts are those of the decision itself.

use serde_json::Value;

use super::{ClaimPath, ColumnRef, Condition, Evidence, Test, TestKind, Verdict, words};

/// A condition, and its verdict.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Demand {
    /// The condition in words.
    pub words: String,
    /// Whether it holds; `None` without a user.
    pub verdict: Option<Verdict>,
    /// What it looked at, in words, and without secrets; `None` for a combination of conditions, and without a user.
    pub seen: Option<String>,
    /// Whether it looks at the user's row, and users are not looked up.
    pub has_no_row: bool,
    /// The conditions that it combines.
    pub parts: Vec<Demand>,
}

impl Condition {
    /// Returns the condition in words, with its parts. With evidence, each part has its verdict.
    pub(crate) fn explain(&self, evidence: Option<&Evidence<'_>>) -> Demand {
        let parts: &[Self] = match self {
            Self::All(all) => all,
            Self::Any(any) => any,
            Self::Not(condition) => std::slice::from_ref(condition),
            Self::Certificate(_)
            | Self::Claim(..)
            | Self::Column(..)
            | Self::MaxAge(_)
            | Self::Methods(_)
            | Self::Network(_)
            | Self::OrganizationRole { .. } => &[],
        };
        Demand {
            words: self.to_string(),
            verdict: evidence.map(|evidence| self.verdict(evidence)),
            seen: evidence.and_then(|evidence| self.observed(evidence)),
            has_no_row: evidence.is_some_and(|evidence| self.has_no_row(evidence)),
            parts: parts.iter().map(|part| part.explain(evidence)).collect(),
        }
    }

    fn has_no_row(&self, evidence: &Evidence<'_>) -> bool {
        let looks_at_row = matches!(self, Self::Column(..) | Self::OrganizationRole { .. });
        looks_at_row && evidence.user.columns().is_empty()
    }

    /// Returns what it looks at, in words.
    fn observed(&self, evidence: &Evidence<'_>) -> Option<String> {
        Some(match self {
            Self::All(_) | Self::Any(_) | Self::Not(_) => return None,
            Self::Certificate(_) => match &evidence.facts.arrival.certificate {
                Some(shown) => format!("the certificate has the names {}", shown.words()),
                None => "the client showed no certificate".to_owned(),
            },
            Self::Claim(path, test) => evidence.describe_claim(path, Some(test)),
            Self::Column(column, test) => evidence.describe_column(column, Some(test)),
            Self::MaxAge(_) => match evidence.session.issued_at() {
                Some(at) => {
                    let age = evidence.now.saturating_since(at);
                    format!("it was issued {} ago", words::span(age))
                }
                None => "the session has no time of issue".to_owned(),
            },
            Self::Methods(_) => format!("the method is {}", evidence.facts.method),
            Self::Network(_) => {
                let client = evidence.facts.arrival.client.to_canonical();
                format!("the client is {client}")
            }
            Self::OrganizationRole { active, roles, .. } => {
                let organization = evidence.describe_claim(active, None);
                format!("{organization}; {}", evidence.describe_column(roles, None))
            }
        })
    }
}

impl Evidence<'_> {
    fn describe_claim(&self, path: &ClaimPath, test: Option<&Test>) -> String {
        let name = path.as_str();
        let value = path.find(self.claims());
        format!("claim {name} {}", describe_value(name, value, test))
    }

    fn describe_column(&self, column: &ColumnRef, test: Option<&Test>) -> String {
        let name = &column.name;
        match self.user.columns().is_empty() {
            true => format!("column {name} was not looked up"),
            false => format!(
                "column {name} {}",
                describe_value(name, self.column(column), test)
            ),
        }
    }
}

impl Demand {
    /// Returns the smallest conditions that do not hold, in words.
    pub fn unmet(&self) -> Vec<&str> {
        match self.verdict {
            None | Some(Verdict::Met) => Vec::new(),
            Some(Verdict::Incomparable | Verdict::Unmet) => {
                let parts: Vec<_> = self.parts.iter().flat_map(Self::unmet).collect();
                match parts.is_empty() {
                    true => vec![&self.words],
                    false => parts,
                }
            }
        }
    }
}

/// Returns a value for display. If the test is only about its presence, or its name suggests a secret, only its type is shown.
fn describe_value(name: &str, value: Option<&Value>, test: Option<&Test>) -> String {
    let Some(value) = value.filter(|value| !value.is_null()) else {
        return "is absent".to_owned();
    };
    let is_about_presence = test.is_some_and(|test| match test.kind {
        TestKind::Empty(_) | TestKind::Present(_) => true,
        TestKind::Contains(_)
        | TestKind::Equals(_)
        | TestKind::Future
        | TestKind::OneOf(_)
        | TestKind::Past => false,
    });
    let name = name.to_ascii_lowercase();
    if is_about_presence || SECRET_NAMES.iter().any(|secret| name.contains(secret)) {
        return match value {
            Value::Array(values) => format!("is a list of {}", values.len()),
            Value::Bool(_) => "is true or false".to_owned(),
            Value::Null => "is absent".to_owned(),
            Value::Number(_) => "is a number".to_owned(),
            Value::Object(_) => "is an object".to_owned(),
            Value::String(text) if text.is_empty() => "is an empty string".to_owned(),
            Value::String(_) => "is a string".to_owned(),
        };
    }
    // JSON escapes the control characters of ASCII; terminals interpret others too.
    let text = value.to_string().replace(char::is_control, "\u{fffd}");
    match text.char_indices().nth(LONGEST_SHOWN) {
        Some((end, _)) => format!("is {}…", &text[..end]),
        None => format!("is {text}"),
    }
}

/// Words in the names of claims and columns whose values must not be shown.
const SECRET_NAMES: [&str; 4] = ["hash", "password", "secret", "token"];

/// How many characters of a value are shown.
const LONGEST_SHOWN: usize = 120;
