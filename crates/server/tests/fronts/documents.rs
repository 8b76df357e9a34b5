//! The configurations in `docs/fronts`: the tests run this very text.

use anyhow::Result;

pub(crate) use harness::page::replace_literal;

/// The `number`th block in this language on a page of `docs/fronts`, counted from 0.
pub(crate) fn block(page: &str, language: &str, number: usize) -> Result<String> {
    harness::page::block(&format!("docs/fronts/{page}"), language, number)
}
