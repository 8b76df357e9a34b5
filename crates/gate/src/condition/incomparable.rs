//! Which part of a condition could not be compared with what it looked at, for the log.

use serde_json::Value;

use super::{Condition, Evidence, Test, TestKind, Verdict};

impl Condition {
    /// Returns the name and type of the value that cannot be compared, without the value itself, which is personal data.
    pub(crate) fn incomparable(&self, evidence: &Evidence<'_>) -> String {
        match self {
            Self::All(parts) | Self::Any(parts) => {
                let mut parts = parts.iter();
                let part = parts.find(|part| part.verdict(evidence) == Verdict::Incomparable);
                part.map_or_else(String::new, |part| part.incomparable(evidence))
            }
            Self::Not(part) => part.incomparable(evidence),
            Self::Certificate(_) => {
                "the client's certificate is not known, because the calling proxy does not pass it on".to_owned()
            }
            Self::Claim(path, test) => {
                let value = path.find(evidence.claims());
                format!("the claim `{}` {}", path.as_str(), test.mismatch(value))
            }
            Self::Column(column, test) => {
                let name = &column.name;
                match evidence.column(column) {
                    None => format!("the column `{name}` was not looked up, because users are not looked up"),
                    value => format!("the column `{name}` {}", test.mismatch(value)),
                }
            }
            Self::OrganizationRole { active, roles, .. } => {
                let organization = type_name(active.find(evidence.claims()));
                let roles = type_name(evidence.column(roles));
                format!(
                    "the claim `{}` is {organization} and the organization roles are {roles}, but an id and an object of \
                     strings are expected",
                    active.as_str()
                )
            }
            Self::MaxAge(_) | Self::Methods(_) | Self::Network(_) => String::new(),
        }
    }
}

impl Test {
    fn mismatch(&self, value: Option<&Value>) -> String {
        let wanted = match (&self.kind, &self.separator) {
            (TestKind::Contains(_), None) => {
                "`contains` needs a list, or a string and a `separator`"
            }
            (TestKind::Contains(_), Some(_)) => "`contains` needs a list or a string",
            (TestKind::Equals(_), _) => "`equals` demands another type",
            (TestKind::OneOf(_), _) => "`one_of` demands another type",
            (TestKind::Future, _) => "`future` needs a point in time",
            (TestKind::Past, _) => "`past` needs a point in time",
            (TestKind::Empty(_) | TestKind::Present(_), _) => "any type is accepted",
        };
        format!("is {}, and {wanted}", type_name(value))
    }
}

fn type_name(value: Option<&Value>) -> &'static str {
    match value {
        None => "absent",
        Some(Value::Array(_)) => "a list",
        Some(Value::Bool(_)) => "true or false",
        Some(Value::Null) => "null",
        Some(Value::Number(_)) => "a number",
        Some(Value::Object(_)) => "an object",
        Some(Value::String(_)) => "a string",
    }
}
