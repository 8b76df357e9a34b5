//! Builds the documentation as a site: the pages are copied below `target/site`, where mdBook builds them.
//!
//! The copy has the folders of the repository, so a relative link leads to the same page on a git forge and on the site.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::docs::diagrams;
use crate::step::{command, root, step};
use crate::wheels;

/// The folder of the copy and the site, relative to the root.
const FOLDER: &str = "target/site";

/// Files outside `docs` to which pages link.
const BESIDE_DOCS: &[&str] = &[
    "ARCHITECTURE.md",
    "CHANGELOG.md",
    "CONTRIBUTING.md",
    "LICENSE-APACHE",
    "LICENSE-MIT",
    "README.md",
    "SECURITY.md",
    "compose.yaml",
    "crates/gate/examples/axum_service.rs",
    "crates/session/examples/open.rs",
    "deploy/postgres/users.sql",
    "deploy/systemd/sessiongate.service",
    "deploy/systemd/sessiongate.socket",
    "examples/README.md",
    "examples/compose/README.md",
    "examples/mint/README.md",
    "examples/mint/test_service.py",
    "examples/nginx/README.md",
    "examples/nginx/nginx.conf",
    "sessiongate.example.toml",
    "sessiongate.schema.json",
];

/// The table of contents. Its links are relative to `docs`, so that they work on a git forge; mdBook needs them relative to the
/// root of its sources.
const CONTENTS: &str = "docs/SUMMARY.md";

/// Builds the site, and returns its folder.
///
/// # Errors
/// When mdBook cannot be installed, or does not accept the pages.
pub(super) fn build() -> Result<PathBuf> {
    wheels::MDBOOK.install()?;
    let folder = root().join(FOLDER);
    if folder.exists() {
        fs::remove_dir_all(&folder)?;
    }
    let source = folder.join("src");
    for file in ["book.toml", "site.css"] {
        copy(&root().join("docs/site").join(file), &folder.join(file))?;
    }
    for file in BESIDE_DOCS {
        copy_file(&root().join(file), &source.join(file))?;
    }
    copy_folder(&root().join("docs"), &source.join("docs"))?;
    let contents = fs::read_to_string(source.join(CONTENTS))?;
    fs::write(source.join("SUMMARY.md"), from_source(&contents))?;
    step(&mut command(&format!(
        "target/tools/mdbook/scripts/mdbook build {FOLDER}"
    )))?;
    Ok(folder.join("book"))
}

/// The table of contents with links that are relative to the root.
fn from_source(contents: &str) -> String {
    contents
        .replace("](", "](docs/")
        .replace("](docs/../", "](")
        .replace("](docs/)", "]()")
}

fn copy_folder(from: &Path, to: &Path) -> Result<()> {
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let to = to.join(entry.file_name());
        if !entry.file_type()?.is_dir() {
            copy_file(&entry.path(), &to)?;
        } else if entry.file_name() != "site" {
            copy_folder(&entry.path(), &to)?;
        }
    }
    Ok(())
}

/// Copies a file. A page gets images in place of the texts of its diagrams. A `README.md` becomes `index.md`, mdBook's name for
/// the page of a folder, also in links, which mdBook would not change.
fn copy_file(from: &Path, to: &Path) -> Result<()> {
    if to.extension().is_none_or(|extension| extension != "md") {
        return copy(from, to);
    }
    let text = diagrams::as_images(from, &fs::read_to_string(from)?)?;
    let text = text.replace("README.md)", "index.md)");
    let to = match to.ends_with("README.md") {
        true => to.with_file_name("index.md"),
        false => to.to_owned(),
    };
    fs::create_dir_all(to.parent().context("a folder")?)?;
    fs::write(to, text)?;
    Ok(())
}

fn copy(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir_all(to.parent().context("a folder")?)?;
    fs::copy(from, to).with_context(|| format!("cannot copy {}", from.display()))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::from_source;

    #[test]
    fn the_table_of_contents_is_relative_to_the_root() {
        let contents = "[Start](../index.md)\n- [Guide](guides/a.md)\n- [Draft]()\n";
        let expected = "[Start](index.md)\n- [Guide](docs/guides/a.md)\n- [Draft]()\n";
        assert_eq!(from_source(contents), expected);
    }
}
