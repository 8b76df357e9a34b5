//! Links between pages of the documentation lead to existing files and headings.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Component, Path, PathBuf};

use anyhow::{Context, Result};

/// Every page: those at the root, and those below `docs`.
fn pages() -> Result<Vec<PathBuf>> {
    let root = harness::repository();
    let at_root = [
        "ARCHITECTURE.md",
        "CHANGELOG.md",
        "README.md",
        "SECURITY.md",
    ];
    let mut pages: Vec<_> = at_root.iter().map(PathBuf::from).collect();
    let mut folders = vec![PathBuf::from("docs")];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(root.join(&folder))? {
            let entry = entry?;
            let path = folder.join(entry.file_name());
            if entry.file_type()?.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "md") {
                pages.push(path);
            }
        }
    }
    Ok(pages)
}

/// The lines outside of code.
fn prose(text: &str) -> impl Iterator<Item = &str> {
    let mut is_code = false;
    text.lines().filter(move |line| {
        let is_fence = line.trim_start().starts_with("```");
        is_code ^= is_fence;
        !is_code && !is_fence && !line.starts_with("    ")
    })
}

/// Returns the targets of the links in a line, without text between backticks.
fn links(line: &str) -> Vec<String> {
    let line: String = line.split('`').step_by(2).collect();
    let inline = line.split("](").skip(1);
    let inline = inline.filter_map(|rest| rest.split_once(')'));
    let mut links: Vec<_> = inline.map(|(target, _)| target.to_owned()).collect();
    // `[name]: target`
    let named = line
        .strip_prefix('[')
        .and_then(|rest| rest.split_once("]: "));
    links.extend(named.map(|(_, target)| target.trim().to_owned()));
    links
}

/// Returns the anchors of a page as GitHub derives them from headings: in lower case, with `-` for blanks, without punctuation,
/// and with a number appended to duplicates.
fn anchors(text: &str) -> BTreeSet<String> {
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    let heading = |line: &str| {
        let text = line.trim_start_matches('#');
        let level = line.len() - text.len();
        let text = text
            .strip_prefix(' ')
            .filter(|_| (1..=6).contains(&level))?;
        // A link is replaced by its text.
        let parts = text.split("](").enumerate();
        let parts = parts.map(|(index, part)| match index {
            0 => part,
            _ => part.split_once(')').map_or(part, |(_, rest)| rest),
        });
        let text = parts.collect::<String>().trim().to_lowercase();
        let kept = |letter: &char| letter.is_alphanumeric() || matches!(letter, '-' | '_' | ' ');
        Some(
            text.chars()
                .filter(kept)
                .collect::<String>()
                .replace(' ', "-"),
        )
    };
    let slugs = prose(text).filter_map(heading);
    slugs
        .map(|slug| {
            let count = counts.entry(slug.clone()).or_default();
            *count += 1;
            match *count {
                1 => slug,
                count => format!("{slug}-{}", count - 1),
            }
        })
        .collect()
}

/// Returns the path without `.` and `..`.
fn plain(path: &Path) -> PathBuf {
    let mut plain = PathBuf::new();
    for part in path.components() {
        match part {
            Component::ParentDir => drop(plain.pop()),
            Component::CurDir | Component::Prefix(_) | Component::RootDir => {}
            Component::Normal(name) => plain.push(name),
        }
    }
    plain
}

#[test]
fn every_link_between_pages_leads_to_a_file_and_a_heading() -> Result<()> {
    let root = harness::repository();
    let mut broken = Vec::new();
    let mut found = 0;
    for page in pages()? {
        let text = std::fs::read_to_string(root.join(&page))?;
        let folder = page.parent().context("a folder")?;
        let links = prose(&text).flat_map(links);
        for link in links.filter(|link| !link.contains("://") && !link.starts_with("mailto:")) {
            found += 1;
            let (path, anchor) = link.split_once('#').unwrap_or((&link, ""));
            let target = match path {
                "" => page.clone(),
                path => plain(&folder.join(path)),
            };
            let leads = match anchor {
                "" => root.join(&target).exists(),
                anchor => std::fs::read_to_string(root.join(&target))
                    .is_ok_and(|text| anchors(&text).contains(anchor)),
            };
            if !leads {
                broken.push(format!("{}: {link}", page.display()));
            }
        }
    }
    assert!(broken.is_empty(), "{}", broken.join("\n"));
    assert!(found > 200, "{found}");
    Ok(())
}

#[test]
fn anchors_match_those_of_github() {
    let text = "# A *b* & `c_d`\n## Of [x](y.md#z), and\n### a b  c\n# Twice\n```\n# code\n```\n# Twice\n#none\n";
    let expected = ["a-b--c_d", "of-x-and", "a-b--c", "twice", "twice-1"];
    assert_eq!(anchors(text), expected.map(str::to_owned).into());
}
