//! Conditions in words, phrased to follow "a session with".

use std::fmt::{self, Write as _};
use std::time::Duration;

use super::{Condition, Scalar, Test, TestKind};

impl fmt::Display for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::All(all) => joined(f, all, " and "),
            Self::Any(any) => joined(f, any, " or "),
            Self::Certificate(names) => write!(f, "a certificate of {}", names.join(" or ")),
            Self::Claim(path, test) => test.words(f, path.as_str()),
            Self::Column(column, test) => test.words(f, &column.name),
            Self::MaxAge(age) => write!(f, "an age of at most {}", span(*age)),
            Self::Methods(methods) => {
                let methods: Vec<_> = methods.iter().map(http::Method::as_str).collect();
                write!(f, "method {}", methods.join(" or "))
            }
            Self::Network(networks) => {
                let networks: Vec<_> = networks.iter().map(ToString::to_string).collect();
                write!(f, "a client in {}", networks.join(" or "))
            }
            Self::Not(condition) => write!(f, "not ({condition})"),
            Self::OrganizationRole { one_of, .. } => {
                let roles = one_of.join(" or ");
                write!(f, "role {roles} in the active organization")
            }
        }
    }
}

fn joined(f: &mut fmt::Formatter<'_>, all: &[Condition], between: &str) -> fmt::Result {
    for (at, condition) in all.iter().enumerate() {
        if at > 0 {
            f.write_str(between)?;
        }
        let has_several =
            matches!(condition, Condition::All(inner) | Condition::Any(inner) if inner.len() > 1);
        match has_several {
            true => write!(f, "({condition})")?,
            false => write!(f, "{condition}")?,
        }
    }
    Ok(())
}

impl Test {
    fn words(&self, f: &mut fmt::Formatter<'_>, name: &str) -> fmt::Result {
        match &self.kind {
            TestKind::Contains(values) => write!(f, "{name} containing {}", any_of(values)),
            TestKind::Empty(true) => write!(f, "{name} empty"),
            TestKind::Empty(false) => write!(f, "{name} not empty"),
            TestKind::Equals(value) => write!(f, "{name} {value}"),
            TestKind::Future => write!(f, "{name} in the future"),
            TestKind::OneOf(values) => write!(f, "{name} {}", any_of(values)),
            TestKind::Past => write!(f, "{name} in the past"),
            TestKind::Present(true) => write!(f, "any {name}"),
            TestKind::Present(false) => write!(f, "no {name}"),
        }
    }
}

fn any_of(values: &[Scalar]) -> String {
    let values: Vec<_> = values.iter().map(ToString::to_string).collect();
    values.join(" or ")
}

impl fmt::Display for Scalar {
    /// Writes a text of one word as it is; other texts are in quotes.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bool(value) => write!(f, "{value}"),
            Self::Number(value) => write!(f, "{value}"),
            Self::Text(text) => {
                let in_word = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.:/@".contains(&byte);
                match !text.is_empty() && text.bytes().all(in_word) {
                    true => f.write_str(text),
                    false => write!(f, "{text:?}"),
                }
            }
        }
    }
}

/// A duration in its largest whole units: `12 h`, `1 d 6 h`.
pub(super) fn span(span: Duration) -> String {
    let mut left = span.as_secs();
    let mut text = String::new();
    for (unit, name) in [(86_400, "d"), (3_600, "h"), (60, "min"), (1, "s")] {
        let (count, rest) = (left / unit, left % unit);
        left = rest;
        if count > 0 {
            let blank = if text.is_empty() { "" } else { " " };
            let _ = write!(text, "{blank}{count} {name}");
        }
    }
    match text.is_empty() {
        true => "0 s".to_owned(),
        false => text,
    }
}
