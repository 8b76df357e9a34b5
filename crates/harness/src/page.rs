//! Pages of the documentation: the configurations in them are the very text that the tests run.

use anyhow::{Context, Result, ensure};

/// The `number`th block in this language, counted from 0, on a page that is named from the root of the repository:
/// `docs/fronts/nginx.md`.
///
/// # Errors
/// When there is no such page, or no such block on it.
pub fn block(page: &str, language: &str, number: usize) -> Result<String> {
    let text = std::fs::read_to_string(crate::repository().join(page))?;
    let opening = format!("\n```{language}\n");
    let rest = text.split(&opening).nth(number + 1);
    let (block, _) = rest
        .and_then(|rest| rest.split_once("\n```"))
        .with_context(|| format!("{page} has no block {number} in {language}"))?;
    Ok(format!("{block}\n"))
}

/// The text with a literal replaced wherever it stands, which must be somewhere.
///
/// # Errors
/// When it is nowhere: the page has changed and the test has not.
pub fn put(text: &str, literal: &str, value: &str) -> Result<String> {
    ensure!(
        text.contains(literal),
        "the documented configuration does not say {literal:?}"
    );
    Ok(text.replace(literal, value))
}
