//! The Markdown tables of settings and keys.

use super::super::catalogue::{Entry, Key, SECTIONS};
use super::{DESCRIBED, of_top_level};

/// The table of settings in Markdown, for a page in `docs/`.
pub(crate) fn settings() -> String {
    let mut table = "| variable | default | meaning |\n|---|---|---|\n".to_owned();
    for section in SECTIONS {
        let meaning = match section.meaning {
            "" => String::new(),
            meaning => format!(" {meaning}"),
        };
        table += &format!("| **{}** | |{meaning} |\n", section.title);
        for row in section.rows {
            let names: Vec<_> = row.settings.iter().map(name).collect();
            table += &format!(
                "| {} | {} | {} |\n",
                names.join(", "),
                row.default,
                row.meaning
            );
        }
    }
    // Links in the texts are relative to the repository's root.
    table.replace("[docs/", "[").replace("](docs/", "](")
}

fn name(entry: &Entry) -> String {
    let mark = if entry.kind.is_secret() { " †" } else { "" };
    format!("`{}`{mark}", entry.name)
}

/// The keys of the file that are not settings, as one table in Markdown for each table of the file.
pub(crate) fn keys() -> String {
    let mut text = "The top level, in addition to the settings:\n\n".to_owned();
    text += &table(of_top_level());
    for described in DESCRIBED {
        let title = match described.title.starts_with('[') {
            true => format!("`{}`", described.title),
            false => described.title.to_owned(),
        };
        let title = title.replacen("a ", "A ", usize::from(title.starts_with("a ")));
        text += &format!("\n### {title}\n\n{}\n\n", described.about);
        text += &table(described.keys.iter());
    }
    text
}

fn table(keys: impl Iterator<Item = &'static Key>) -> String {
    let rows = keys.map(|key| format!("| `{}` | `{}` | {} |\n", key.name, key.sample, key.doc));
    let rows: String = rows.collect();
    format!("| key | such as | meaning |\n|---|---|---|\n{rows}")
}
