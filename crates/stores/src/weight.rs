//! Estimates how much memory a JSON value takes.

use serde_json::Value;

/// Estimates how many bytes a value takes in memory: no less than a sixth of what it takes as JSON.
pub(super) fn weight(value: &Value) -> usize {
    let inside: usize = match value {
        Value::Null | Value::Bool(_) | Value::Number(_) => 0,
        Value::String(text) => text.len(),
        Value::Array(values) => values.iter().map(weight).sum(),
        Value::Object(members) => members
            .iter()
            .map(|(name, value)| size_of::<String>() + name.len() + weight(value))
            .sum(),
    };
    size_of::<Value>() + inside
}
