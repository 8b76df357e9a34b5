//! Configurations from pages of the documentation: tests run exactly the text that is there.

use anyhow::{Context, Result, ensure};

/// Returns the `number`th block in this language, counted from 0, on a page that is named by its path from the root of the
/// repository: `docs/fronts/nginx.md`.
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

/// Returns the text with a literal replaced wherever it occurs, which must be at least once.
///
/// # Errors
/// When it does not occur: the page has changed and the test has not.
pub fn replace_literal(text: &str, literal: &str, value: &str) -> Result<String> {
    ensure!(
        text.contains(literal),
        "the documented configuration does not contain {literal:?}"
    );
    Ok(text.replace(literal, value))
}
