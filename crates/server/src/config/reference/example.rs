//! An example file with every key, equivalent to an empty file.

use super::super::catalogue::{Entry, ExampleValue, Key, Row, SECTIONS};
use super::plain::{plain, sentence, wrapped};
use super::{DESCRIBED, meaning, of_top_level};

/// The example file. A line without a space after `#` is a key that is commented out.
pub(crate) fn example() -> String {
    let mut text = HEAD.to_owned();
    for section in SECTIONS {
        text += &format!("\n# ---- {} ----\n", section.title);
        for row in section.rows {
            for entry in row.settings {
                text += &setting(row, entry);
            }
        }
    }
    text += "\n# ---- Only in a file ----\n";
    for key in of_top_level() {
        text += &commented(&sentence(key.doc));
        text += &format!("#{} = {}\n", key.name, key.sample);
    }
    for described in DESCRIBED {
        text += &format!("\n# ---- {} ----\n", described.title);
        text += &commented(described.about);
        text += &match described.title {
            "[[route]]" => table("[[route]]", described.keys, |key| key.name != "service"),
            "[[listener]]" => table("[[listener]]", described.keys, |_| true),
            "[service.NAME]" => table("[service.api]", described.keys, |_| true),
            "[profile.NAME]" => table("[profile.wiki]", described.keys, |key| {
                key.name != "headers"
            }),
            "a header" => headers(described.keys),
            _ => conditions(described.keys),
        };
    }
    text + REALM
}

fn setting(row: &Row, entry: &Entry) -> String {
    let mut about = meaning(row, entry);
    let has_default = !row.default.contains("required")
        && !["none", "off"].contains(&row.default)
        && !row.default.contains(", ");
    if matches!(entry.written, ExampleValue::Sample(_)) && has_default {
        about += &format!(" Default: {}.", plain(row.default));
    }
    let mut text = commented(&about);
    let key = entry.key();
    if entry.kind.is_secret() {
        text += &format!("#{key}_file = \"/run/secrets/{key}\"\n");
    }
    text += &match entry.written {
        ExampleValue::Dependent(value) => format!("#{key} = {value}  # the default\n"),
        ExampleValue::Default(value) => format!("{key} = {value}\n"),
        ExampleValue::Sample(value) => format!("#{key} = {value}\n"),
    };
    text
}

fn table(header: &str, keys: &[Key], counts: impl Fn(&Key) -> bool) -> String {
    let mut text = format!("#{header}\n");
    for key in keys.iter().filter(|key| counts(key)) {
        text += &commented(&sentence(key.doc));
        text += &format!("#{} = {}\n", key.name, key.sample);
    }
    text
}

/// A sample header for each key.
fn headers(keys: &[Key]) -> String {
    let mut text = "#[profile.wiki.headers]\n#\"X-Login\" = \"email\"\n".to_owned();
    let (sources, others): (Vec<&Key>, Vec<&Key>) = keys
        .iter()
        .partition(|key| !["encoding", "separator"].contains(&key.name));
    for (index, key) in sources.into_iter().enumerate() {
        text += &commented(&sentence(key.doc));
        text += &format!(
            "#\"X-Sample-{}\" = {{ {} = {} }}\n",
            index + 1,
            key.name,
            key.sample
        );
    }
    for key in others {
        text += &commented(&sentence(key.doc));
        text += &format!(
            "#\"X-{}\" = {{ column = \"team\", {} = {} }}\n",
            key.name, key.name, key.sample
        );
    }
    text
}

/// A sample condition for each key, all in one route.
fn conditions(keys: &[Key]) -> String {
    let mut text = "#[[route]]\n#path = \"/sample/\"\n#require = [\n".to_owned();
    for key in keys {
        text += &commented(&sentence(key.doc));
        let condition = match key.name {
            "claim" | "column" => format!("{} = {}, present = true", key.name, key.sample),
            "separator" => format!(
                "column = \"role\", contains = \"admin\", separator = {}",
                key.sample
            ),
            name if super::super::file::TESTS.contains(&name) => {
                format!("column = \"role\", {name} = {}", key.sample)
            }
            name => format!("{name} = {}", key.sample),
        };
        text += &format!("#  {{ {condition} }},\n");
    }
    text + "#]\n"
}

fn commented(text: &str) -> String {
    let lines = wrapped(text, WIDTH - 2);
    let lines = lines.into_iter().map(|line| format!("# {line}\n"));
    format!("\n{}", lines.collect::<String>())
}

/// The width of the file in characters.
const WIDTH: usize = 118;

const HEAD: &str = "\
#:schema ./sessiongate.schema.json
# Every key of sessiongate's configuration file, written by `sessiongate reference example`.
#
# As it stands, this file configures the same as an empty one: every line that is not commented out is a default. Copy the
# keys that you need; docs/configuration.md explains them. An environment variable of the same name in upper case takes
# precedence. `${VARIABLE}` is replaced in secrets, addresses, hosts, networks, URLs and file paths; write `$$`
# for a `$`.
";

const REALM: &str = "
# ---- [realm.NAME] ----

# Another app that issues sessions; the top level is the realm \"default\". A realm may have the keys `sign_in_url`,
# `sign_in_callback_parameter` and `active`, and all keys of the sections \"Sessions\", \"Bearer tokens of machines and APIs\",
# \"Sessions in a database or Redis\" and \"Users and stores\". It uses the database and Redis settings of the top level unless it
# has its own; it never uses the top level's secrets, cookies, claims or tables.
#[realm.shop]
#session_format = \"better-auth\"
#better_auth_secret_file = \"/run/secrets/shop\"
#sign_in_url = \"https://shop.example.com/login\"
#active = \"better-auth\"
";
