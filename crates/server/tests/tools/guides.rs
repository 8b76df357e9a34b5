//! The README and the guides: `check-config` accepts every configuration in them, and the files that pages name exist.

use super::{SECRET, Tool};

/// Returns the paths of the README, `docs/start.md` and the guides in `docs/guides`, relative to the root.
fn pages() -> Vec<String> {
    let mut pages = vec!["README.md".to_owned(), "docs/start.md".to_owned()];
    let guides = std::fs::read_dir(harness::repository().join("docs/guides")).expect("guides");
    for guide in guides {
        let name = guide.expect("a guide").file_name();
        pages.push(format!("docs/guides/{}", name.to_string_lossy()));
    }
    assert!(pages.len() >= 8, "{pages:?}");
    pages
}

/// The blocks in this language on a page.
fn blocks(page: &str, language: &str) -> Vec<String> {
    let text = std::fs::read_to_string(harness::repository().join(page)).expect("a page");
    let count = text.matches(&format!("\n```{language}\n")).count();
    let blocks = (0..count).map(|number| harness::page::block(page, language, number));
    blocks.collect::<Result<_, _>>().expect("blocks")
}

/// Creates a folder with secret files, to replace the one that the pages name.
fn secrets() -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("auth"), SECRET).expect("a secret");
    folder
}

/// Runs `check-config`, and verifies that its only warning is that users are not looked up, which not every guide needs.
fn accepts(tool: Tool, page: &str, block: &str) {
    let checked = tool.run();
    let printed = format!("{}{}", checked.stdout, checked.stderr);
    assert_eq!(checked.code, Some(0), "{page}\n{block}\n{printed}");
    let mut warnings = printed.lines().filter(|line| line.starts_with("warning: "));
    let is_expected = |warning: &str| warning.starts_with("warning: ENABLE_DB_CHECK is off");
    assert!(warnings.all(is_expected), "{page}\n{block}\n{printed}");
}

#[test]
fn every_configuration_file_in_the_guides_is_accepted() {
    let secrets = secrets();
    let folder = secrets.path().to_str().expect("a path");
    let mut found = 0;
    for page in pages() {
        for block in blocks(&page, "toml") {
            let file = secrets.path().join("gate.toml");
            std::fs::write(&file, block.replace("/run/secrets", folder)).expect("a file");
            let tool = Tool::new(["check-config", "--config", file.to_str().expect("a path")]);
            accepts(tool.env("DATABASE_PASSWORD", "password"), &page, &block);
            found += 1;
        }
    }
    assert!(found >= 7, "{found}");
}

#[test]
fn repository_files_named_in_the_docs_exist() {
    let root = harness::repository();
    let mut pages = vec![root.join("CONTRIBUTING.md"), root.join("README.md")];
    let docs = std::fs::read_dir(root.join("docs")).expect("pages");
    let docs = docs.map(|entry| entry.expect("a page").path());
    pages.extend(docs.filter(|path| path.extension().is_some_and(|extension| extension == "md")));
    let folders = ["bench/", "crates/", "deploy/", "findings/", "xtask/"];
    let mut found = 0;
    for page in pages {
        let text = std::fs::read_to_string(&page).expect("a page");
        let code = text
            .lines()
            .flat_map(|line| line.split('`').skip(1).step_by(2));
        for name in code.filter(|name| folders.iter().any(|folder| name.starts_with(folder))) {
            assert!(root.join(name).exists(), "{}: {name}", page.display());
            found += 1;
        }
    }
    assert!(found > 20, "{found}");
}

#[test]
fn every_environment_in_the_guides_is_accepted() {
    let secrets = secrets();
    let folder = secrets.path().to_str().expect("a path");
    let mut found = 0;
    for page in pages() {
        for block in blocks(&page, "env") {
            let mut tool = Tool::new(["check-config"]);
            for line in block.lines() {
                let (name, value) = line.split_once('=').expect("a variable");
                let value = match value.starts_with('…') {
                    true => SECRET.to_owned(),
                    false => value.replace("/run/secrets", folder),
                };
                tool = tool.env(name, value);
            }
            accepts(tool, &page, &block);
            found += 1;
        }
    }
    assert!(found >= 7, "{found}");
}
