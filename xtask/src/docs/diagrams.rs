//! The Mermaid diagrams of pages. A git forge draws them itself. mdBook does not, so each has an SVG file in `docs/diagrams`,
//! which the site shows in its place.
//!
//! The file contains the text that it was drawn from. If the text of the page differs, Chromium draws the diagram again with the
//! pinned version of Mermaid, which also checks the text.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use crate::packages;
use crate::step::{command, install_pinned, output, root, step};

/// The npm package, and the digest of this version from npm.
const MERMAID: &str = "mermaid@12.3.0";
const INTEGRITY: &str = "sha512-4113TdXeLAsMruJ79OpFL5O8+LTFXhQqZ260rF3tgUmiNAtRm4Uume04I+65PRN6yZ69J4f8rVYWW8zRk65UYw==";

/// The folder into which the package is unpacked, relative to the root.
const FOLDER: &str = "target/tools/mermaid";

/// The folder of the drawings, relative to the root.
const DRAWINGS: &str = "docs/diagrams";

const OPENING: &str = "```mermaid\n";
const CLOSING: &str = "\n```\n";

/// Draws the diagrams whose text has changed, removes drawings whose diagram is gone, and returns the names of the files that
/// changed.
///
/// # Errors
/// When a text is not a valid diagram, or Chromium or Mermaid is missing and cannot be installed.
pub(super) fn draw_changed() -> Result<Vec<String>> {
    let mut changed = Vec::new();
    let mut current = Vec::new();
    for page in pages()? {
        let text = fs::read_to_string(root().join(&page))?;
        for (number, diagram) in texts(&text).enumerate() {
            let file = format!("{DRAWINGS}/{}", drawing(&page, number));
            current.push(root().join(&file));
            let drawn = fs::read_to_string(root().join(&file)).unwrap_or_default();
            if !drawn.ends_with(&source_note(diagram)) {
                let svg =
                    draw(diagram).with_context(|| format!("{}: {diagram}", page.display()))?;
                fs::create_dir_all(root().join(DRAWINGS))?;
                fs::write(root().join(&file), svg + &source_note(diagram))?;
                changed.push(file);
            }
        }
    }
    if let Ok(drawings) = fs::read_dir(root().join(DRAWINGS)) {
        for drawing in drawings {
            let path = drawing?.path();
            if !current.contains(&path) {
                fs::remove_file(&path)?;
                changed.push(format!("{} (removed)", path.display()));
            }
        }
    }
    Ok(changed)
}

/// The page with an image in place of the text of each diagram.
///
/// # Errors
/// When a diagram has no end.
pub(super) fn as_images(page: &Path, text: &str) -> Result<String> {
    let page = page.strip_prefix(root()).unwrap_or(page);
    let up = "../".repeat(page.components().count() - 1);
    let mut parts = text.split(OPENING);
    let mut images = parts.next().unwrap_or_default().to_owned();
    for (number, part) in parts.enumerate() {
        let (diagram, after) = part.split_once(CLOSING).context("a diagram has no end")?;
        let title = diagram
            .lines()
            .find_map(|line| line.trim().strip_prefix("accTitle: "))
            .context("a diagram needs an `accTitle`, for readers who cannot see it")?;
        let drawing = drawing(page, number);
        images.push_str(&format!("![{title}]({up}{DRAWINGS}/{drawing})\n{after}"));
    }
    Ok(images)
}

/// The pages that may have diagrams, relative to the root.
fn pages() -> Result<Vec<PathBuf>> {
    let listed = output(&mut command(
        "git ls-files --cached --others --exclude-standard *.md",
    ))?;
    let pages = listed.lines().map(PathBuf::from);
    let pages = pages.filter(|page| {
        let folder = page.parent().is_none_or(|folder| folder == Path::new(""));
        folder || page.starts_with("docs")
    });
    Ok(pages.collect())
}

/// The texts of the diagrams in a page.
fn texts(page: &str) -> impl Iterator<Item = &str> {
    let parts = page.split(OPENING).skip(1);
    parts.filter_map(|part| Some(part.split_once(CLOSING)?.0))
}

/// The name of the file of a diagram, numbered because a page may have several.
fn drawing(page: &Path, number: usize) -> String {
    let stem = page.with_extension("").to_string_lossy().to_lowercase();
    let stem = stem.trim_start_matches("docs/").replace('/', "-");
    format!("{stem}-{}.svg", number + 1)
}

/// The text of a diagram as a comment for its SVG file. `--` is not allowed in comments.
fn source_note(diagram: &str) -> String {
    format!("\n<!--\n{}\n-->\n", diagram.replace('-', "- "))
}

/// Draws a diagram in Chromium.
fn draw(diagram: &str) -> Result<String> {
    install()?;
    let folder = root().join(FOLDER);
    let page = folder.join("page.html");
    let text = Value::from(diagram).to_string().replace('<', "\\u003c");
    fs::write(&page, PAGE.replace("TEXT", &text))?;
    let document = output(
        command(
            "chromium --headless --no-sandbox --disable-gpu --virtual-time-budget=20000 --dump-dom",
        )
        .arg(format!("file://{}", page.display())),
    )?;
    let svg = document
        .split_once("<main>")
        .and_then(|(_, rest)| rest.split_once("</main>"));
    let (svg, _) = svg.context("Chromium shows no page")?;
    ensure!(svg.starts_with("<svg"), "not a diagram: {svg}");
    Ok(svg.to_owned())
}

/// A page whose `main` gets the drawing or an error message. Labels are SVG texts, which every image viewer shows, and the size
/// is that of the drawing, not that of the page.
const PAGE: &str = r#"<!doctype html><meta charset="utf-8"><main></main><script src="package/dist/mermaid.min.js"></script><script>
mermaid.initialize({ startOnLoad: false, theme: "neutral", htmlLabels: false, flowchart: { htmlLabels: false, wrappingWidth: 280 },
  deterministicIds: true, fontFamily: "system-ui, sans-serif" });
const main = document.querySelector("main");
mermaid.render("diagram", TEXT).then(
  ({ svg }) => {
    main.innerHTML = svg;
    const drawing = main.firstChild, { width, height } = drawing.viewBox.baseVal;
    drawing.setAttribute("width", width);
    drawing.setAttribute("height", height);
    main.innerHTML = new XMLSerializer().serializeToString(drawing);
  },
  (error) => { main.textContent = error; });
</script>"#;

/// Downloads and unpacks Mermaid, a single file without dependencies, unless it is there.
fn install() -> Result<()> {
    packages::install("chromium", "chromium")?;
    packages::install("npm", "npm")?;
    install_pinned(FOLDER, INTEGRITY, unpack)
}

fn unpack(folder: &Path) -> Result<()> {
    let packed = output(&mut command(&format!(
        "npm pack {MERMAID} --json --pack-destination {FOLDER}"
    )))?;
    let packed: Value = serde_json::from_str(&packed)?;
    let field = |name: &str| {
        packed
            .pointer(&format!("/0/{name}"))
            .and_then(Value::as_str)
    };
    ensure!(
        field("integrity") == Some(INTEGRITY),
        "{MERMAID} does not have the pinned digest"
    );
    let archive = field("filename").context("npm names no file")?;
    step(&mut command(&format!(
        "tar --extract --file {FOLDER}/{archive} --directory {FOLDER} package/dist/mermaid.min.js"
    )))?;
    fs::remove_file(folder.join(archive))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::as_images;

    #[test]
    fn a_diagram_becomes_an_image_of_its_title() {
        let text = "a\n```mermaid\nflowchart LR\n    accTitle: Two parts\n    x --> y\n```\nb\n";
        let image = as_images(Path::new("docs/guides/Page.md"), text).unwrap();
        assert_eq!(
            image,
            "a\n![Two parts](../../docs/diagrams/guides-page-1.svg)\nb\n"
        );
        assert!(as_images(Path::new("a.md"), "```mermaid\nflowchart LR\n```\n").is_err());
    }
}
