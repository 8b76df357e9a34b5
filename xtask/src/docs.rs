//! `cargo xtask docs`: what the documentation says of settings, written anew from the program.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};

use crate::step::{build, command, output, root};

/// Writes the example file and the JSON Schema, and the tables between the marks in Markdown files.
///
/// # Errors
/// When the program cannot be built, a file cannot be written, or has no marks.
pub(crate) fn run() -> Result<()> {
    let program = build(&mut command("cargo build -p sessiongate"))?;
    for (part, file) in [
        ("example", "sessiongate.example.toml"),
        ("schema", "sessiongate.schema.json"),
    ] {
        fs::write(root().join(file), reference(&program, part)?)?;
    }
    for (part, file) in [
        ("settings", "docs/settings.md"),
        ("keys", "docs/configuration.md"),
        ("findings", "docs/doctor.md"),
    ] {
        let path = root().join(file);
        let text = fs::read_to_string(&path)?;
        let table = reference(&program, part)?;
        let text = replaced(&text, part, &table)
            .with_context(|| format!("{file} has no marks for {part}"))?;
        fs::write(path, text)?;
    }
    Ok(())
}

fn reference(program: &Path, part: &str) -> Result<String> {
    output(Command::new(program).args(["reference", part]))
}

/// The text with something else between the two marks.
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
