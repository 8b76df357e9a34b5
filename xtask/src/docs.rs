//! `cargo xtask docs`: writes the generated tables and the diagrams, and builds the site.

mod diagrams;
mod links;
mod site;

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};

use crate::step::{build_gate, command, output, root};

/// Builds the gate, and writes the documentation with it.
///
/// # Errors
/// When the program does not build, and as [`write`].
pub(crate) fn run() -> Result<()> {
    write(&build_gate(&mut command("cargo build -p sessiongate"))?)
}

/// Writes the generated parts of the documentation, builds the site from all pages, and checks the links of the site.
///
/// The tables are printed by `program`, a build of the gate. If the generated parts are current, no file of the repository
/// changes: the site is built below `target`. A diagram is drawn only when its text has changed.
///
/// # Errors
/// When the site cannot be built, a page lacks the marks of its table, or a link leads nowhere.
pub(crate) fn write(program: &Path) -> Result<()> {
    let mut changed = write_reference(program)?;
    changed.extend(diagrams::draw_changed()?);
    for file in &changed {
        eprintln!("xtask: written: {file}");
    }
    if changed.is_empty() {
        eprintln!("xtask: the tables, the example file, the schema and the diagrams are current");
    }
    let site = site::build()?;
    let checked = links::check(&site)?;
    eprintln!("xtask: {checked}");
    eprintln!("xtask: the site is {}", site.join("index.html").display());
    Ok(())
}

/// Writes the example file, the JSON Schema and the tables, and returns the names of the files that changed.
fn write_reference(program: &Path) -> Result<Vec<String>> {
    let mut changed = Vec::new();
    for (part, file) in [
        ("example", "sessiongate.example.toml"),
        ("schema", "sessiongate.schema.json"),
    ] {
        write_if_changed(file, &reference(program, part)?, &mut changed)?;
    }
    for (part, file) in [
        ("settings", "docs/settings.md"),
        ("keys", "docs/configuration.md"),
        ("findings", "docs/doctor.md"),
    ] {
        let text = fs::read_to_string(root().join(file))?;
        let table = reference(program, part)?;
        let text = replaced(&text, part, &table)
            .with_context(|| format!("{file} lacks the marks of {part}"))?;
        write_if_changed(file, &text, &mut changed)?;
    }
    Ok(changed)
}

/// Writes a file, with its path relative to the root, unless it already has this text.
fn write_if_changed(file: &str, text: &str, changed: &mut Vec<String>) -> Result<()> {
    let path = root().join(file);
    if fs::read_to_string(&path).is_ok_and(|current| current == text) {
        return Ok(());
    }
    fs::write(&path, text).with_context(|| format!("cannot write {file}"))?;
    changed.push(file.to_owned());
    Ok(())
}

fn reference(program: &Path, part: &str) -> Result<String> {
    output(Command::new(program).args(["reference", part]))
}

/// The text with a new table between the two marks.
fn replaced(text: &str, part: &str, table: &str) -> Option<String> {
    let (begin, end) = (
        format!("<!-- {part}: written by `cargo xtask docs` -->\n"),
        format!("<!-- end of {part} -->"),
    );
    let (before, rest) = text.split_once(&begin)?;
    let (_, after) = rest.split_once(&end)?;
    Some(format!("{before}{begin}\n{table}\n{end}{after}"))
}

#[cfg(test)]
mod tests {
    use super::replaced;

    #[test]
    fn only_what_is_between_the_marks_changes() {
        let text = "a\n<!-- t: written by `cargo xtask docs` -->\nold\n<!-- end of t -->\nb\n";
        let new = replaced(text, "t", "new\n").unwrap();
        assert_eq!(new, text.replace("old\n", "\nnew\n\n"));
        assert_eq!(replaced(&new, "t", "new\n").unwrap(), new);
        assert_eq!(replaced(text, "u", ""), None);
    }
}
