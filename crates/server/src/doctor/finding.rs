//! What was found.

use super::check::Check;
use crate::invisible::is_invisible;

/// One thing that was found.
#[derive(Clone, Debug)]
pub(crate) struct Finding {
    /// What kind of thing it is.
    pub(crate) check: &'static Check,
    /// What it is about: a cookie, a setting, a table.
    pub(crate) subject: String,
    /// What was seen. Never a secret, a token, or the value of a cookie.
    pub(crate) seen: String,
    /// What to do, where that can be said more exactly than the check does.
    advice: Option<String>,
}

impl Finding {
    /// A finding, in what was seen of a subject.
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

    /// The same finding, with what to do about this one.
    #[must_use]
    pub(crate) fn with_advice(mut self, advice: impl Into<String>) -> Self {
        self.advice = Some(advice.into());
        self
    }

    /// What to do.
    pub(crate) fn advice(&self) -> &str {
        self.advice.as_deref().unwrap_or(self.check.advice)
    }
}

/// What a stranger sent, as it may be shown: short, and without characters that a terminal obeys.
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
