//! Checks the links of the built site: each must lead to a file of the site, and if it names a heading, to a heading of that
//! file.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Component, Path, PathBuf};

use anyhow::{Context, Result, ensure};

/// The anchors and links of a page.
struct Page {
    anchors: BTreeSet<String>,
    links: BTreeSet<String>,
}

/// Checks every link between pages of the site, and returns a sentence with their number.
///
/// Links to other sites are not followed, because an outage there is no mistake in this repository.
///
/// # Errors
/// When links lead nowhere. The error lists all of them.
pub(super) fn check(site: &Path) -> Result<String> {
    let mut pages = BTreeMap::new();
    read_pages(site, Path::new(""), &mut pages)?;
    let mut broken = Vec::new();
    let mut count = 0;
    for (path, page) in &pages {
        let folder = path.parent().context("a page is in a folder")?;
        for link in page.links.iter().filter(|link| is_internal(link)) {
            count += 1;
            let (file, anchor) = link.split_once('#').unwrap_or((link, ""));
            let target = match file {
                "" => path.clone(),
                file => without_dots(&folder.join(file)),
            };
            let leads = match anchor {
                "" => site.join(&target).is_file(),
                anchor => pages
                    .get(&target)
                    .is_some_and(|page| page.anchors.contains(anchor)),
            };
            if !leads {
                broken.push(format!("{}: {link}", path.display()));
            }
        }
    }
    ensure!(
        broken.is_empty(),
        "links of the site lead nowhere:\n{}",
        broken.join("\n")
    );
    Ok(format!(
        "{count} links between {} pages lead to a file and a heading",
        pages.len()
    ))
}

fn read_pages(site: &Path, folder: &Path, pages: &mut BTreeMap<PathBuf, Page>) -> Result<()> {
    for entry in fs::read_dir(site.join(folder))? {
        let entry = entry?;
        let path = folder.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            read_pages(site, &path, pages)?;
        } else if path.extension().is_some_and(|extension| extension == "html")
            // The error page is shown at any address, so its relative links cannot be checked.
            && path != Path::new("404.html")
        {
            let html = fs::read_to_string(site.join(&path))?;
            let mut links = attributes(&html, "href");
            links.extend(attributes(&html, "src"));
            let anchors = attributes(&html, "id");
            pages.insert(path, Page { anchors, links });
        }
    }
    Ok(())
}

/// The values of an attribute, as mdBook writes attributes: after a space, in double quotes.
fn attributes(html: &str, name: &str) -> BTreeSet<String> {
    let opening = format!(" {name}=\"");
    let parts = html.split(&opening).skip(1);
    let values = parts.filter_map(|part| part.split_once('"'));
    values
        .map(|(value, _)| value.replace("&amp;", "&"))
        .collect()
}

fn is_internal(link: &str) -> bool {
    !link.is_empty()
        && !link.contains("://")
        && !link.starts_with("mailto:")
        && !link.starts_with("data:")
}

/// The path without `.` and `..`.
fn without_dots(path: &Path) -> PathBuf {
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

#[cfg(test)]
mod tests {
    use super::check;

    #[test]
    fn a_link_needs_its_file_and_its_heading() {
        let site = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| {
            let path = site.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        };
        write("docs/b.html", "<h1 id=\"head\">");
        write(
            "a.html",
            "<a href=\"docs/b.html\"><a href=\"docs/b.html#head\"><a href=\"https://c/\">",
        );
        assert!(check(site.path()).unwrap().starts_with("2 links"));
        write(
            "docs/c.html",
            "<a href=\"../a.html\"><a href=\"b.html#no\"><a href=\"d.html\">",
        );
        let error = check(site.path()).unwrap_err().to_string();
        let expected = "docs/c.html: b.html#no\ndocs/c.html: d.html";
        assert!(error.ends_with(expected), "{error}");
    }
}
