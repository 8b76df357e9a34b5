//! What is kept of a JSON value.

use std::borrow::Cow;

/// What is kept of a value. Of an object, or an array that holds more than texts, only the fact that it was there.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Kept<'de> {
    /// `true` or `false`.
    Bool(bool),
    /// A number that is written as an integer, without a fraction or an exponent, and fits in 64 bits. Not `-0`.
    Integer(i64),
    /// `null`.
    Null,
    /// Any other finite number.
    Number(f64),
    /// Anything else: an object, or an array of more than texts.
    Other,
    /// A string, borrowed unless it was written with escapes.
    Text(Cow<'de, str>),
    /// An array of strings; may be empty.
    Texts(Vec<Cow<'de, str>>),
}

impl<'de> Kept<'de> {
    /// The string, if it is one.
    pub(crate) fn as_text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            Self::Bool(_)
            | Self::Integer(_)
            | Self::Null
            | Self::Number(_)
            | Self::Other
            | Self::Texts(_) => None,
        }
    }

    /// The number, if it is one. An integer beyond 2^53 is rounded; no time in a claim is that large.
    pub(crate) fn as_number(&self) -> Option<f64> {
        match self {
            Self::Integer(number) => Some(*number as f64),
            Self::Number(number) => Some(*number),
            Self::Bool(_) | Self::Null | Self::Other | Self::Text(_) | Self::Texts(_) => None,
        }
    }

    /// The string, if it is one.
    pub(crate) fn into_text(self) -> Option<Cow<'de, str>> {
        match self {
            Self::Text(text) => Some(text),
            Self::Bool(_)
            | Self::Integer(_)
            | Self::Null
            | Self::Number(_)
            | Self::Other
            | Self::Texts(_) => None,
        }
    }

    /// Whether this is the string `text`.
    pub(crate) fn is_text(&self, text: &str) -> bool {
        matches!(self, Self::Text(own) if own == text)
    }
}
