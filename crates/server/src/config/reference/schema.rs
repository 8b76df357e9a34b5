//! The JSON Schema of the file, with which editors complete and check it.

use serde_json::{Map, Value, json};
use toml::de::{DeTable, DeValue};

use super::super::catalogue::{
    CONDITION, Entry, ExampleValue, HEADER, HEADER_WORDS, Key, Kind, LISTENER, PROFILE, REALM,
    ROUTE, Row, SECTIONS, SERVICE, TOP_LEVEL,
};
use super::meaning;
use super::plain::sentence;

/// The schema, in the draft that TOML editors support.
pub(crate) fn schema() -> Value {
    let mut top = settings(|_| true);
    top.extend(keys(TOP_LEVEL));
    for name in ["listener", "route"] {
        let tables = json!({ "type": "array", "items": reference(name) });
        top.insert(name.to_owned(), tables);
    }
    for name in ["service", "profile", "realm"] {
        let tables = json!({ "type": "object", "additionalProperties": reference(name) });
        top.insert(name.to_owned(), tables);
    }
    let mut realm = settings(|entry| entry.scope.is_of_realms());
    realm.extend(keys(REALM));
    let mut root = table(top, &[]);
    let more = json!({
        "$schema": "http://json-schema.org/draft-07/schema#",
        "title": "The configuration file of sessiongate",
        "definitions": {
            "condition": table(keys(CONDITION), &[]),
            "header": {
                "anyOf": [{ "enum": HEADER_WORDS }, table(keys(HEADER), &[])],
            },
            "listener": table(keys(LISTENER), &["address"]),
            "profile": table(keys(PROFILE), &[]),
            "realm": table(realm, &[]),
            "route": table(keys(ROUTE), &["path"]),
            "service": table(keys(SERVICE), &["upstream"]),
        },
    });
    if let (Some(root), Value::Object(more)) = (root.as_object_mut(), more) {
        root.extend(more);
    }
    root
}

/// Converts a value of TOML to JSON.
pub(super) fn json_of(value: &DeValue<'_>) -> Value {
    match value {
        DeValue::Array(entries) => entries
            .iter()
            .map(|entry| json_of(entry.get_ref()))
            .collect(),
        DeValue::Boolean(value) => json!(value),
        DeValue::Datetime(time) => json!(time.to_string()),
        DeValue::Float(number) => json!(number.as_str().parse::<f64>().unwrap_or(f64::NAN)),
        DeValue::Integer(number) => {
            json!(i64::from_str_radix(number.as_str(), number.radix()).unwrap_or_default())
        }
        DeValue::String(text) => json!(text),
        DeValue::Table(entries) => json_of_table(entries),
    }
}

pub(super) fn json_of_table(entries: &DeTable<'_>) -> Value {
    let entries = entries
        .iter()
        .map(|(key, value)| (key.get_ref().to_string(), json_of(value.get_ref())));
    Value::Object(entries.collect())
}

fn table(properties: Map<String, Value>, required: &[&str]) -> Value {
    let mut table = json!({
        "type": "object",
        "properties": properties,
        "additionalProperties": false,
    });
    if !required.is_empty() {
        table["required"] = json!(required);
    }
    table
}

fn settings(counts: impl Fn(&Entry) -> bool) -> Map<String, Value> {
    let mut properties = Map::new();
    let rows = SECTIONS.iter().flat_map(|section| section.rows);
    for (row, entry) in rows.flat_map(|row| row.settings.iter().map(move |entry| (row, entry))) {
        if counts(entry) {
            properties.insert(entry.key(), setting(row, entry));
            if entry.kind.is_secret() {
                let about = format!(
                    "A file with `{}`; a final newline is not part of it.",
                    entry.key()
                );
                let file = described(Kind::File, &about);
                properties.insert(format!("{}_file", entry.key()), file);
            }
        }
    }
    properties
}

fn setting(row: &Row, entry: &Entry) -> Value {
    let about = meaning(row, entry);
    let mut schema = described(entry.kind, &format!("{about} Variable {}.", entry.name));
    allow_empty(&mut schema);
    match entry.written {
        ExampleValue::Dependent(value) | ExampleValue::Default(value) => {
            schema["default"] = literal(value);
        }
        ExampleValue::Sample(value) => schema["examples"] = json!([literal(value)]),
    }
    schema
}

fn keys(keys: &[Key]) -> Map<String, Value> {
    let described = keys.iter().map(|key| {
        let mut schema = described(key.kind, &sentence(key.doc));
        if ["cors_origins", "include"].contains(&key.name) {
            allow_empty(&mut schema);
        }
        if !key.sample.is_empty() {
            schema["examples"] = json!([literal(key.sample)]);
        }
        (key.name.to_owned(), schema)
    });
    described.collect()
}

fn described(kind: Kind, about: &str) -> Value {
    let mut schema = of_kind(kind);
    schema["description"] = json!(about);
    schema
}

fn of_kind(kind: Kind) -> Value {
    let text = || json!({ "type": "string" });
    let scalar = || json!({ "type": ["string", "number", "boolean"] });
    match kind {
        Kind::Active => {
            json!({ "anyOf": [text(), reference("condition"), list_of(reference("condition"))] })
        }
        Kind::Address | Kind::File | Kind::Secret | Kind::SecretUrl | Kind::Text | Kind::Url => {
            text()
        }
        Kind::Choice(words) => json!({ "enum": words }),
        Kind::Condition => json!({ "allOf": [reference("condition")] }),
        Kind::Conditions => one_or_several(reference("condition")),
        Kind::Count | Kind::Millis | Kind::Seconds => json!({ "type": "integer", "minimum": 0 }),
        Kind::Headers => json!({ "type": "object", "additionalProperties": reference("header") }),
        Kind::Files | Kind::Hosts | Kind::List | Kind::Networks | Kind::SecretList | Kind::Urls => {
            one_or_several(text())
        }
        Kind::Port => json!({ "type": "integer", "minimum": 1, "maximum": 65535 }),
        Kind::Scalar => scalar(),
        Kind::Scalars => one_or_several(scalar()),
        Kind::Switch => json!({ "type": "boolean" }),
        Kind::Tables => json!({ "type": ["array", "object"] }),
    }
}

fn one_or_several(schema: Value) -> Value {
    json!({ "anyOf": [schema.clone(), list_of(schema)] })
}

fn list_of(schema: Value) -> Value {
    json!({ "type": "array", "items": schema, "minItems": 1 })
}

/// Allows a list to be empty, which means "none".
fn allow_empty(schema: &mut Value) {
    if let Some(list) = schema
        .pointer_mut("/anyOf/1")
        .and_then(Value::as_object_mut)
    {
        list.remove("minItems");
    }
}

fn reference(name: &str) -> Value {
    json!({ "$ref": format!("#/definitions/{name}") })
}

/// Converts a value of the catalogue from TOML to JSON.
fn literal(toml: &str) -> Value {
    DeValue::parse(toml).map_or(Value::Null, |value| json_of(value.get_ref()))
}
