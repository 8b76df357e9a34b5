//! A finding of `doctor`.

use super::check::Check;
use crate::invisible::is_invisible;

/// One finding.
#[derive(Clone, Debug)]
pub(crate) struct Finding {
    /// The kind of finding.
    pub(crate) check: &'static Check,
    /// What it is about: a cookie, a setting, a table.
    pub(crate) subject: String,
    /// What was seen. Never a secret, a token, or the value of a cookie.
    pub(crate) seen: String,
    /// Advice that is more specific than that of the check.
    advice: Option<String>,
}

impl Finding {
    /// Makes a finding about a subject.
    pub(crate) fn new(
        check: &'static Check,
        subject: impl Into<String>,
        seen: impl Into<String>,
    ) -> Self {
        Self {
            check,
            subject: subject.into(),
            seen: seen.into(),
            advice: None,
        }
    }

    /// Adds more specific advice.
    #[must_use]
    pub(crate) fn with_advice(mut self, advice: impl Into<String>) -> Self {
        self.advice = Some(advice.into());
        self
    }

    /// What to do about the finding.
    pub(crate) fn advice(&self) -> &str {
        self.advice.as_deref().unwrap_or(self.check.advice)
    }
}

/// Untrusted text in displayable form: shortened, and without control characters.
pub(crate) fn shown(text: &str) -> String {
    const LONGEST: usize = 120;
    let plain = text
        .chars()
        .map(|char| match char.is_control() || is_invisible(char) {
            true => '\u{fffd}',
            false => char,
        });
    plain.take(LONGEST).collect()
}
