//! The pages in `docs/apps` themselves: their files pass the check, and the index lists them.

use std::collections::BTreeSet;

use anyhow::{Context, Result};
use harness::Gate;

use crate::support::{text_of, write_file};

#[tokio::test]
async fn the_configuration_file_of_every_page_is_valid() -> Result<()> {
    for page in pages()? {
        passes_the_check(&page, &text_of(&page, "toml", 0)?).await?;
    }
    Ok(())
}

#[tokio::test]
async fn the_configurations_of_all_pages_fit_into_one_file() -> Result<()> {
    let mut file = String::new();
    for page in pages()? {
        let text = text_of(&page, "toml", 0)?;
        let (settings, tables) = text.split_once("\n[").context("a page has tables")?;
        if file.is_empty() {
            file += settings;
        }
        file += &format!("\n[{tables}");
    }
    passes_the_check("all of them", &file).await
}

async fn passes_the_check(what: &str, text: &str) -> Result<()> {
    let folder = tempfile::tempdir()?;
    let file = write_file(text, ([127, 0, 0, 1], 3000).into(), folder.path())?;
    let check = Gate::command(env!("CARGO_BIN_EXE_sessiongate"));
    let check = check
        .args(["check-config", "--config", &file])
        .run()
        .await?;
    assert!(
        check.status.success(),
        "{what}: {}{}",
        check.stdout,
        check.stderr
    );
    Ok(())
}

#[test]
fn the_index_names_every_page() -> Result<()> {
    let index = harness::repository().join("docs/apps/README.md");
    let index = std::fs::read_to_string(index)?;
    for page in pages()? {
        assert!(index.contains(&format!("]({page})")), "{page}");
    }
    Ok(())
}

/// The names of the pages in `docs/apps`, without the index.
fn pages() -> Result<BTreeSet<String>> {
    let mut pages = BTreeSet::new();
    for entry in std::fs::read_dir(harness::repository().join("docs/apps"))? {
        let name = entry?.file_name().to_string_lossy().into_owned();
        if name != "README.md" {
            pages.insert(name);
        }
    }
    Ok(pages)
}
