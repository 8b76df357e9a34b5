//! The catalogue of all checks, in chapters.

pub(super) mod acme;
pub(super) mod app;
pub(super) mod cookies;
pub(super) mod settings;
pub(super) mod stores;

use super::check::Check;

/// A chapter of checks about one subject.
pub(super) struct Chapter {
    /// Its heading in the documentation.
    pub(super) title: &'static str,
    /// Its checks.
    pub(super) checks: &'static [&'static Check],
}

/// All chapters, in the order of the documentation.
pub(super) fn chapters() -> [Chapter; 5] {
    [
        Chapter {
            title: "How the app is reached",
            checks: app::ALL,
        },
        Chapter {
            title: "Cookies and sessions",
            checks: cookies::ALL,
        },
        Chapter {
            title: "Settings, secrets and services",
            checks: settings::ALL,
        },
        Chapter {
            title: "Database and Redis",
            checks: stores::ALL,
        },
        Chapter {
            title: "Certificates by ACME",
            checks: acme::ALL,
        },
    ]
}

/// Returns the check with this id.
pub(crate) fn of_id(id: &str) -> Option<&'static Check> {
    all().find(|check| check.id == id)
}

/// Every check.
pub(super) fn all() -> impl Iterator<Item = &'static Check> {
    chapters()
        .into_iter()
        .flat_map(|chapter| chapter.checks.iter().copied())
}

/// The tables of `docs/doctor.md`, as Markdown.
pub(crate) fn markdown() -> String {
    let mut text = String::new();
    for chapter in chapters() {
        if !text.is_empty() {
            text.push('\n');
        }
        text += &format!(
            "### {}\n\n| id | | what it means | what to do |\n|---|---|---|---|\n",
            chapter.title
        );
        for check in chapter.checks {
            let Check {
                id,
                severity,
                why,
                advice,
            } = check;
            let severity = severity.as_str();
            let cell = |text: &str| text.replace('|', "\\|");
            text += &format!(
                "| `{id}` | {severity} | {} | {} |\n",
                cell(why),
                cell(advice)
            );
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_id_is_unique_and_plain() {
        let mut seen = BTreeSet::new();
        for check in all() {
            let is_plain = |byte: u8| byte.is_ascii_lowercase() || byte == b'-';
            assert!(check.id.bytes().all(is_plain), "{}", check.id);
            assert!(seen.insert(check.id), "{} occurs twice", check.id);
            for text in [check.why, check.advice] {
                assert!(text.ends_with('.'), "{}: {text}", check.id);
            }
        }
    }

    #[test]
    fn the_documentation_has_the_same_table() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/doctor.md");
        let documented = std::fs::read_to_string(path).unwrap();
        assert!(
            documented.contains(&markdown()),
            "run `cargo xtask docs` to update the tables of docs/doctor.md"
        );
    }
}
