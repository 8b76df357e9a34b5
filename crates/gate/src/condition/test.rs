//! Tests of a value: what it must be, and whether a JSON value meets that.

use serde_json::Value;
use session::UnixTime;

use super::Verdict;

/// A test of a claim or a column.
#[derive(Clone, Debug, PartialEq)]
pub struct Test {
    /// What the test demands.
    pub kind: TestKind,
    /// The separator that splits a text into a list, for [`TestKind::Contains`].
    pub separator: Option<Box<str>>,
}

/// What a test demands of a value.
#[derive(Clone, Debug, PartialEq)]
pub enum TestKind {
    /// It is a list that contains one of these, or a text that [`Test::separator`] splits into such a list.
    Contains(Vec<Scalar>),
    /// With `true`, it is absent, null, an empty text, an empty list or an empty object; with `false`, it is not.
    Empty(bool),
    /// It equals this.
    Equals(Scalar),
    /// It is a point in time in the future.
    Future,
    /// It is one of these.
    OneOf(Vec<Scalar>),
    /// It is a point in time in the past.
    Past,
    /// With `true`, it is present and not null; with `false`, it is not.
    Present(bool),
}

/// A value to compare with.
#[derive(Clone, Debug, PartialEq)]
pub enum Scalar {
    /// `true` or `false`. Databases without booleans store 1 and 0.
    Bool(bool),
    /// A number. Whole numbers beyond 2⁵³ cannot be compared: they are ids, and several would be one.
    Number(f64),
    /// A text, byte for byte.
    Text(Box<str>),
}

impl Test {
    pub(super) fn verdict(&self, value: Option<&Value>, now: UnixTime) -> Verdict {
        let value = value.filter(|value| !value.is_null());
        match (&self.kind, value) {
            (TestKind::Present(wanted), value) => Verdict::of(value.is_some() == *wanted),
            (TestKind::Empty(wanted), value) => Verdict::of(is_empty(value) == *wanted),
            // An absent value equals nothing.
            (_, None) => Verdict::Unmet,
            (TestKind::Contains(wanted), Some(value)) => self.contains(wanted, value),
            (TestKind::Equals(wanted), Some(value)) => wanted.verdict(value),
            (TestKind::OneOf(wanted), Some(value)) => one_of(wanted, value),
            (TestKind::Future, Some(value)) => match time(value) {
                Some(time) => Verdict::of(time > now),
                None => Verdict::Incomparable,
            },
            (TestKind::Past, Some(value)) => match time(value) {
                Some(time) => Verdict::of(time <= now),
                None => Verdict::Incomparable,
            },
        }
    }

    fn contains(&self, wanted: &[Scalar], value: &Value) -> Verdict {
        match (value, self.separator.as_deref()) {
            (Value::Array(values), _) => {
                let mut verdict = Verdict::Unmet;
                for value in values.iter().filter(|value| !value.is_null()) {
                    match one_of(wanted, value) {
                        Verdict::Met => return Verdict::Met,
                        Verdict::Incomparable => verdict = Verdict::Incomparable,
                        Verdict::Unmet => {}
                    }
                }
                verdict
            }
            (Value::String(text), Some(separator)) => {
                let mut parts = text.split(separator).map(str::trim);
                let is = |part: &str, scalar: &Scalar| matches!(scalar, Scalar::Text(text) if **text == *part);
                let is_wanted = |part: &str| wanted.iter().any(|scalar| is(part, scalar));
                let is_text = |scalar: &Scalar| matches!(scalar, Scalar::Text(_));
                match parts.any(is_wanted) {
                    true => Verdict::Met,
                    false if wanted.iter().all(is_text) => Verdict::Unmet,
                    // A part of a text is not a number, even if it looks like one.
                    false => Verdict::Incomparable,
                }
            }
            (
                Value::Bool(_)
                | Value::Null
                | Value::Number(_)
                | Value::Object(_)
                | Value::String(_),
                _,
            ) => Verdict::Incomparable,
        }
    }
}

fn one_of(wanted: &[Scalar], value: &Value) -> Verdict {
    let mut verdict = Verdict::Incomparable;
    for wanted in wanted {
        match wanted.verdict(value) {
            Verdict::Met => return Verdict::Met,
            Verdict::Incomparable => {}
            Verdict::Unmet => verdict = Verdict::Unmet,
        }
    }
    verdict
}

impl Scalar {
    fn verdict(&self, value: &Value) -> Verdict {
        match (self, value) {
            (Self::Bool(wanted), Value::Bool(value)) => Verdict::of(wanted == value),
            (Self::Bool(wanted), Value::Number(number)) => match number.as_u64() {
                Some(number @ (0 | 1)) => Verdict::of(*wanted == (number == 1)),
                Some(_) | None => Verdict::Incomparable,
            },
            (Self::Number(wanted), Value::Number(number)) => match number.as_f64() {
                Some(number) if number.abs() <= LARGEST_EXACT => Verdict::of(number == *wanted),
                Some(_) | None => Verdict::Incomparable,
            },
            (Self::Text(wanted), Value::String(text)) => Verdict::of(**wanted == **text),
            (Self::Bool(_) | Self::Number(_) | Self::Text(_), _) => Verdict::Incomparable,
        }
    }
}

fn is_empty(value: Option<&Value>) -> bool {
    match value {
        None | Some(Value::Null) => true,
        Some(Value::Array(values)) => values.is_empty(),
        Some(Value::Object(members)) => members.is_empty(),
        Some(Value::String(text)) => text.is_empty(),
        Some(Value::Bool(_) | Value::Number(_)) => false,
    }
}

/// Reads a point in time: seconds since 1970 as in JSON Web Tokens (RFC 7519 section 2), milliseconds as in JavaScript, or the
/// text that `JSON.stringify` makes of a `Date`.
fn time(value: &Value) -> Option<UnixTime> {
    match value {
        Value::Number(number) => {
            let number = number.as_f64()?;
            // In seconds this is the year 5138, in milliseconds 1973.
            let millis = match number < 1e11 {
                true => number * 1000.0,
                false => number,
            };
            Some(UnixTime::from_millis(millis as u64))
        }
        Value::String(text) => UnixTime::from_iso(text),
        Value::Array(_) | Value::Bool(_) | Value::Null | Value::Object(_) => None,
    }
}

/// The largest number up to which integers are exact: 2⁵³ and 2⁵³ + 1 are the same floating-point number.
const LARGEST_EXACT: f64 = 9_007_199_254_740_992.0 - 1.0;
