//! Tests of files with damage at any position: reading them does not panic, and reports do not show their secrets.

use crate::config::{Config, ConfigErrors};

use super::{Loaded, load_text};

#[test]
fn damaged_file_is_reported_without_its_secrets() {
    let (mut reported, mut leaks) = (0, Vec::new());
    for at in (0..=FILE.len()).filter(|at| FILE.is_char_boundary(*at)) {
        for inserted in ["", "\"", "'", "{", "]", "=", "#", "\n", "é"] {
            let rest = &FILE[at..];
            // Without the `@`, a password cannot be distinguished from a host.
            if inserted.is_empty() && rest.starts_with('@') {
                continue;
            }
            // If nothing is inserted, one character is removed.
            let skipped = rest.chars().next().filter(|_| inserted.is_empty());
            let rest = &rest[skipped.map_or(0, char::len_utf8)..];
            let text = format!("{}{inserted}{rest}", &FILE[..at]);
            let printed = report(&load_text(&text), inserted.is_empty());
            reported += usize::from(printed.contains("error: "));
            let shows = SECRETS.iter().find(|secret| shows(&printed, secret));
            if shows.is_some() {
                leaks.push(format!("{inserted:?} at {at}: {printed}"));
            }
        }
    }
    assert!(
        leaks.is_empty(),
        "{} leaks:\n{}",
        leaks.len(),
        leaks.join("\n")
    );
    assert!(reported > FILE.len(), "{reported}");
}

/// The report on a file. With `checks`, its settings are checked too.
fn report(loaded: &Loaded, checks: bool) -> String {
    let errors = match checks.then(|| Config::from_loaded(loaded)) {
        Some(Ok(_)) => return String::new(),
        Some(Err(errors)) => errors,
        None => ConfigErrors::new(loaded.problems.clone()),
    };
    errors.to_string()
}

/// Whether a report contains a part of the secret that is too long to be there by chance.
fn shows(printed: &str, secret: &str) -> bool {
    let parts = (0..=secret.len() - LONG).map(|at| &secret[at..at + LONG]);
    parts.into_iter().any(|part| printed.contains(part))
}

/// The length of such a part in characters.
const LONG: usize = 6;

const SECRETS: [&str; 6] = [
    "qzxjkvwypqzxjkvwyp",
    "wqkzjxvpywqkzjxvpy",
    "zkqxwvjpyzkqxwvjpy",
    "xvkqzwjypxvkqzwjyp",
    "vjxzkqwpyvjxzkqwpy",
    "kwzqxjvypkwzqxjvyp",
];

const FILE: &str = r#"listen = "127.0.0.1:0"
auth_secret = "qzxjkvwypqzxjkvwyp"
database_url = "postgres://gate:wqkzjxvpywqkzjxvpy@db/app"
better_auth_secrets = ["2:zkqxwvjpyzkqxwvjpy"]
public_paths = ["/a"]
upstream = "http://u:xvkqzwjypxvkqzwjyp@h/"
[profile.p.headers]
"X-A" = { value = "vjxzkqwpyvjxzkqwpy" }
[realm.s]
jwt_secret = 'kwzqxjvypkwzqxjvyp'
[[route]]
path = "/é"
timeout = "x"
"#;
