//! The pages themselves.

use std::collections::BTreeSet;

use anyhow::Result;
use harness::Gate;

use crate::support::write_file;

#[tokio::test]
async fn the_file_of_every_page_passes_the_check() -> Result<()> {
    for page in pages()? {
        let folder = tempfile::tempdir()?;
        let file = write_file(&page, ([127, 0, 0, 1], 3000).into(), folder.path())?;
        let check = Gate::command(env!("CARGO_BIN_EXE_sessiongate"));
        let check = check
            .args(["check-config", "--config", &file])
            .run()
            .await?;
        assert!(
            check.status.success(),
            "{page}: {}{}",
            check.stdout,
            check.stderr
        );
    }
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
