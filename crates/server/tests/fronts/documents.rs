//! The configurations in `docs/fronts`, which are the very text that the tests run.

use anyhow::{Context, Result, ensure};

/// The `number`th block in this language on a page of `docs/fronts`, counted from 0.
pub(crate) fn block(page: &str, language: &str, number: usize) -> Result<String> {
    let path = harness::repository().join("docs/fronts").join(page);
    let text = std::fs::read_to_string(path)?;
    let opening = format!("\n```{language}\n");
    let rest = text.split(&opening).nth(number + 1);
    let (block, _) = rest
        .and_then(|rest| rest.split_once("\n```"))
        .with_context(|| format!("{page} has no block {number} in {language}"))?;
    Ok(format!("{block}\n"))
}

/// The text with a literal replaced wherever it stands, which must be somewhere.
pub(crate) fn put(text: &str, literal: &str, value: &str) -> Result<String> {
    ensure!(
        text.contains(literal),
        "the documented configuration does not say {literal:?}"
    );
    Ok(text.replace(literal, value))
}
