//! Tests that the committed documentation matches the catalogue, and that the catalogue matches the program.

use std::collections::BTreeMap;
use std::fs;

use serde_json::Value;
use toml::de::DeTable;

use super::super::catalogue::{self, ExampleValue};
use super::super::file::load;
use super::super::{Config, Loaded, Variables};
use super::schema::json_of_table;
use super::*;

#[test]
fn committed_reference_matches_the_catalogue() {
    for (file, committed, generated) in [
        ("docs/settings.md", TABLE, settings()),
        ("docs/configuration.md", CONFIGURATION, keys()),
        ("sessiongate.example.toml", EXAMPLE, example()),
    ] {
        assert!(
            committed.contains(&generated),
            "{file}: run `cargo xtask docs`"
        );
    }
    let committed: Value = serde_json::from_str(SCHEMA).unwrap();
    assert_eq!(committed, schema(), "run `cargo xtask docs`");
}

#[test]
fn example_file_equals_no_file() {
    let with = read(EXAMPLE);
    assert!(with.problems.is_empty(), "{:?}", with.problems);
    let with = Config::from_loaded(&with).unwrap();
    let without = Config::from_variables(&environment()).unwrap();
    let shown = |config: &Config| {
        let shown = config.settings.iter();
        shown
            .map(|setting| (setting.name.clone(), setting.shown.clone()))
            .collect::<Vec<_>>()
    };
    // The example writes these defaults in another form than the program shows them.
    let shown_with = shown(&with)
        .into_iter()
        .map(|(name, shown)| match name.as_str() {
            "BYPASS_HEADER" => (name, shown.to_ascii_lowercase()),
            "RUST_LOG" => (name, "(unset)".to_owned()),
            _ => (name, shown),
        });
    assert_eq!(shown_with.collect::<Vec<_>>(), shown(&without));
    assert_eq!(with.warnings, without.warnings);
}

#[test]
fn every_key_of_the_example_is_valid() {
    let everything = uncommented(EXAMPLE);
    let loaded = read_with(&everything, &environment_of_samples());
    let problems: Vec<_> = loaded.problems.iter().map(ToString::to_string).collect();
    assert!(problems.is_empty(), "{}", problems.join("\n\n"));
    for key in catalogue::file_keys(|_| true) {
        let lines = everything
            .lines()
            .filter(|line| line.starts_with(&format!("{key} = ")));
        assert!(lines.count() >= 1, "{key}");
    }
    for key in TOP_LEVEL
        .iter()
        .chain(DESCRIBED.iter().flat_map(|described| described.keys))
    {
        let word = |char: char| !char.is_alphanumeric() && char != '_';
        assert!(
            everything.split(word).any(|word| word == key.name),
            "{}",
            key.name
        );
    }
}

#[test]
fn defaults_are_those_of_the_program() {
    let mut defaults = BTreeMap::new();
    for more in USES {
        let more = more
            .iter()
            .map(|(name, value)| (*name, (*value).to_owned()));
        let config = Config::from_variables(&environment().with(more)).unwrap();
        let settings = config
            .settings
            .into_iter()
            .filter(|setting| setting.is_default);
        defaults.extend(settings.map(|setting| (setting.name, setting.shown)));
    }
    let mut missing = Vec::new();
    for entry in catalogue::entries() {
        let (ExampleValue::Dependent(value) | ExampleValue::Default(value)) = entry.written else {
            continue;
        };
        let loaded = read(&format!("{} = {value}", entry.key()));
        assert!(loaded.problems.is_empty(), "{}", entry.name);
        let ours = loaded
            .variables
            .get(entry.name)
            .unwrap()
            .to_ascii_lowercase();
        let default = defaults
            .get(entry.name)
            .map(|default| default.to_ascii_lowercase());
        match default.as_deref() {
            None | Some("(unset)") => missing.push(entry.name),
            Some(default) => assert_eq!(default, ours, "{}", entry.name),
        }
    }
    assert_eq!(missing, NOT_SHOWN);
    for name in NOT_SHOWN {
        let written = catalogue::entry(name)
            .unwrap()
            .written
            .text()
            .trim_matches('"');
        let is_accepted = USES.iter().any(|more| {
            let more = more
                .iter()
                .map(|(name, value)| (*name, (*value).to_owned()));
            let more = more.chain([(name, written.to_owned())]);
            let config = Config::from_variables(&environment().with(more));
            config.is_ok_and(|config| !config.warnings.iter().any(|line| line.starts_with(name)))
        });
        assert!(is_accepted, "{name}");
    }
}

#[test]
fn schema_accepts_exactly_what_the_program_accepts() {
    let schema = schema();
    let everything = uncommented(EXAMPLE);
    for text in [EXAMPLE, everything.as_str(), SAMPLE] {
        assert_eq!(faults(&schema, &schema, &json(text), ""), [""; 0]);
    }
    for (text, fault) in [
        ("listne = ':1'", ": listne is not known"),
        ("listen = 5", "/listen: type"),
        ("workers = -1", "/workers: minimum"),
        (
            "enable_db_check = true\npostgres_host = 'h'\npostgres_port = 70000",
            "/postgres_port: maximum",
        ),
        ("log_format = 'xml'", "/log_format: enum"),
        ("[[route]]\npath = []", "/route/0/path: anyOf"),
        ("[[route]]\nname = 'a'", "/route/0: path is missing"),
        ("[service.a]", "/service/a: upstream is missing"),
        ("[realm.a]\nlisten = ':1'", "/realm/a: listen is not known"),
        (
            "[profile.p.headers]\n'X-A' = 'emial'",
            "/profile/p/headers/X-A: anyOf",
        ),
        (
            "[[route]]\npath = '/'\nrequire = { role = 1 }",
            "/route/0/require: anyOf",
        ),
    ] {
        assert!(Config::from_loaded(&read(text)).is_err(), "{text}");
        assert_eq!(faults(&schema, &schema, &json(text), ""), [fault], "{text}");
    }
}

fn environment() -> Variables {
    let names = ["NEW_SECRET", "OLD_SECRET", "DATABASE_PASSWORD"];
    let given = names.map(|name| (name, "x".to_owned()));
    Variables::default().with(given).with([
        ("UPSTREAM", "http://127.0.0.1:3000".to_owned()),
        (
            "AUTH_SECRET",
            "0123456789abcdef0123456789abcdef0123".to_owned(),
        ),
    ])
}

fn read(text: &str) -> Loaded {
    read_with(text, &environment())
}

fn read_with(text: &str, environment: &Variables) -> Loaded {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("gate.toml");
    fs::create_dir(folder.path().join("routes")).unwrap();
    fs::write(folder.path().join("routes/empty.toml"), "").unwrap();
    fs::write(&path, text).unwrap();
    load(&path, environment)
}

/// An environment with every variable that samples refer to.
fn environment_of_samples() -> Variables {
    let secrets = catalogue::entries().filter(|entry| entry.kind.is_secret());
    environment().with(secrets.map(|entry| (entry.name, "x".to_owned())))
}

/// The example with every key that is commented out.
fn uncommented(example: &str) -> String {
    let lines = example.lines().map(|line| match line.strip_prefix('#') {
        Some(key)
            if !key.is_empty() && !key.starts_with([' ', ':']) || line.starts_with("#  {") =>
        {
            &line[1..]
        }
        Some(_) | None => line,
    });
    lines.collect::<Vec<_>>().join("\n")
}

fn json(text: &str) -> Value {
    json_of_table(DeTable::parse(text).unwrap().get_ref())
}

/// The ways in which a value violates the schema. Knows only the keywords that the schema uses.
fn faults(root: &Value, schema: &Value, value: &Value, path: &str) -> Vec<String> {
    let mut found = Vec::new();
    for (keyword, wanted) in schema.as_object().unwrap() {
        let all = || wanted.as_array().unwrap().iter();
        let holds = match keyword.as_str() {
            "$ref" => {
                let name = wanted.as_str().unwrap().strip_prefix('#').unwrap();
                found.extend(faults(root, root.pointer(name).unwrap(), value, path));
                true
            }
            "additionalProperties" if wanted == false => {
                for name in value
                    .as_object()
                    .into_iter()
                    .flat_map(|object| object.keys())
                {
                    if schema["properties"].get(name).is_none() {
                        found.push(format!("{path}: {name} is not known"));
                    }
                }
                true
            }
            "additionalProperties" => {
                for (name, value) in value.as_object().into_iter().flatten() {
                    found.extend(faults(root, wanted, value, &format!("{path}/{name}")));
                }
                true
            }
            "allOf" => all().all(|one| faults(root, one, value, path).is_empty()),
            "anyOf" => all().any(|one| faults(root, one, value, path).is_empty()),
            "enum" => all().any(|one| one == value),
            "items" => {
                for (index, value) in value.as_array().into_iter().flatten().enumerate() {
                    found.extend(faults(root, wanted, value, &format!("{path}/{index}")));
                }
                true
            }
            "maximum" => value.as_i64() <= wanted.as_i64(),
            "minimum" => value.as_i64() >= wanted.as_i64() || !value.is_i64(),
            "minItems" => value.as_array().is_none_or(|list| !list.is_empty()),
            "properties" => {
                for (name, wanted) in wanted.as_object().unwrap() {
                    if let Some(value) = value.get(name) {
                        found.extend(faults(root, wanted, value, &format!("{path}/{name}")));
                    }
                }
                true
            }
            "required" => {
                for name in all().map(|name| name.as_str().unwrap()) {
                    if value.is_object() && value.get(name).is_none() {
                        found.push(format!("{path}: {name} is missing"));
                    }
                }
                true
            }
            "type" => match wanted.as_array() {
                Some(types) => types.iter().any(|name| is_of(name, value)),
                None => is_of(wanted, value),
            },
            "$schema" | "default" | "definitions" | "description" | "examples" | "title" => true,
            other => panic!("the schema uses {other}"),
        };
        if !holds {
            found.push(format!("{path}: {keyword}"));
        }
    }
    found
}

fn is_of(name: &Value, value: &Value) -> bool {
    match name.as_str().unwrap() {
        "array" => value.is_array(),
        "boolean" => value.is_boolean(),
        "integer" => value.is_i64(),
        "number" => value.is_number(),
        "object" => value.is_object(),
        "string" => value.is_string(),
        other => panic!("the schema uses {other}"),
    }
}

/// Configurations that together show every default.
const USES: [&[(&str, &str)]; 5] = [
    &[
        ("TLS", "acme"),
        ("ACME_DOMAINS", "app.example.com"),
        ("ACME_STORE", "acme"),
    ],
    &[
        ("UPSTREAM", "dir:/"),
        ("REVOCATION_STORE", "./revocations.db"),
    ],
    &[
        ("ENABLE_DB_CHECK", "true"),
        ("POSTGRES_HOST", "db"),
        ("REDIS_HOST", "cache"),
        ("BEARER_SECRET", "0123456789abcdef0123456789abcdef0123"),
        ("BEARER_ISSUER", "i"),
        ("BEARER_AUDIENCE", "a"),
        ("AUTH_LISTEN", "unix:/run/x.sock"),
        ("SIGN_IN_URL", "https://a.example"),
    ],
    &[
        ("SESSION_FORMAT", "better-auth"),
        ("SESSION_STORE", "redis"),
        ("REDIS_HOST", "cache"),
    ],
    &[
        ("SESSION_FORMAT", "authjs-database"),
        ("POSTGRES_HOST", "db"),
        ("AUTH_SECRET", ""),
    ],
];

/// Settings whose default is not shown, because they are unset by default.
const NOT_SHOWN: [&str; 8] = [
    "SUBJECT_CLAIM",
    "SESSION_TIME_ZONE",
    "POSTGRES_PORT",
    "POSTGRES_DB",
    "POSTGRES_USER",
    "POSTGRES_SSLMODE",
    "REDIS_PORT",
    "RUST_LOG",
];

const TABLE: &str = include_str!("../../../../../docs/settings.md");
const CONFIGURATION: &str = include_str!("../../../../../docs/configuration.md");
const EXAMPLE: &str = include_str!("../../../../../sessiongate.example.toml");
const SCHEMA: &str = include_str!("../../../../../sessiongate.schema.json");
const SAMPLE: &str = include_str!("tests/sample.toml");
