//! A text among the claims of a session.

use std::borrow::Cow;
use std::sync::Arc;

/// A string claim, not copied if JSON wrote it without escapes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum TextClaim {
    /// A copy of the text.
    Own(Arc<str>),
    /// A range of the claims' text.
    Within { start: usize, end: usize },
}

impl TextClaim {
    /// Takes a text, which must be a part of `claims` if it is borrowed.
    pub(crate) fn of(claims: &str, text: Cow<'_, str>) -> Self {
        match text {
            Cow::Borrowed(text) => {
                let start = text.as_ptr().addr() - claims.as_ptr().addr();
                Self::Within {
                    start,
                    end: start + text.len(),
                }
            }
            Cow::Owned(text) => Self::Own(text.into()),
        }
    }

    pub(crate) fn text<'s>(&'s self, claims: &'s str) -> &'s str {
        match self {
            Self::Own(text) => text,
            Self::Within { start, end } => &claims[*start..*end],
        }
    }
}
