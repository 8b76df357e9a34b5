//! The paths of a route, as a configuration names them.

use std::cmp::Reverse;
use std::fmt;
use std::str;

use percent_encoding::percent_decode_str;
use thiserror::Error;

use crate::readings;

/// The paths of a route: one path, or a folder and everything below it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PathPattern {
    text: Box<str>,
    pub(super) segments: Vec<PatternSegment>,
    /// Whether everything below is matched too.
    pub(super) is_folder: bool,
}

/// What a segment of a path must match.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum PatternSegment {
    /// Any segment that is not empty.
    Any,
    /// These bytes, with escapes decoded.
    Literal(Box<[u8]>),
}

/// Why a path was not accepted.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum InvalidPath {
    /// It contains something that two parsers read differently.
    #[error(r"it must not contain `//`, `\`, `;`, `#`, `.` or `..` segments or encoded delimiters")]
    Ambiguous,
    /// It contains a percent sign that does not begin an escape.
    #[error(
        "`%` must be followed by two hexadecimal digits, as in `%20`; write `%25` for a percent sign"
    )]
    Escape,
    /// It does not begin with a slash.
    #[error("it must begin with `/`")]
    NotAbsolute,
    /// It contains white space or a character outside ASCII.
    #[error("it must be visible ASCII; percent-encode anything else")]
    NotAscii,
    /// A brace is not around a whole segment.
    #[error(
        "`{{name}}` stands for one whole segment, and `{{$}}` at the end for the folder itself; write `%7B` for a brace"
    )]
    Placeholder,
    /// It contains a query.
    #[error("it must not contain a query: rules match the path only")]
    Query,
    /// It contains a star.
    #[error("it must not contain `*`: a trailing slash already means everything below")]
    Wildcard,
}

impl PathPattern {
    /// Reads a pattern: `/healthz` (only that path), `/assets/` (the folder and everything below) or `/users/{id}` (any one
    /// segment for the name in braces). `/users/{$}` is the folder itself and nothing below it.
    ///
    /// # Errors
    /// [`InvalidPath`] when the text is not a pattern.
    pub fn new(text: &str) -> Result<Self, InvalidPath> {
        check(text)?;
        let whole_folder = text.strip_suffix("{$}").filter(|rest| rest.ends_with('/'));
        let mut segments = Vec::new();
        for segment in whole_folder.unwrap_or(text).split('/').skip(1) {
            segments.push(match segment.strip_prefix('{') {
                None if segment.contains(['{', '}']) => return Err(InvalidPath::Placeholder),
                None => literal(segment),
                Some(rest) => match rest.strip_suffix('}') {
                    Some(name) if is_name(name) => PatternSegment::Any,
                    Some(_) | None => return Err(InvalidPath::Placeholder),
                },
            });
        }
        Ok(Self::of(text, segments, whole_folder.is_none()))
    }

    /// Reads a path in which braces have no special meaning: an entry of `PUBLIC_PATHS`.
    ///
    /// # Errors
    /// The errors of [`PathPattern::new`].
    pub fn literal(text: &str) -> Result<Self, InvalidPath> {
        check(text)?;
        let segments = text.split('/').skip(1).map(literal).collect();
        Ok(Self::of(text, segments, true))
    }

    /// Makes a pattern of its segments. A final slash is an empty last segment, which is not kept for a folder.
    fn of(text: &str, mut segments: Vec<PatternSegment>, may_be_folder: bool) -> Self {
        let is_folder = may_be_folder && text.ends_with('/');
        if is_folder {
            segments.pop();
        }
        Self {
            text: text.into(),
            segments,
            is_folder,
        }
    }

    /// The pattern as configured.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether everything that it matches is in the folder of `folder`, or is that folder.
    pub fn begins_with(&self, folder: &Self) -> bool {
        self.segments.starts_with(&folder.segments)
    }

    /// Returns a key that sorts the most specific pattern first: a path before a folder, a longer folder before a shorter one, a
    /// literal segment before any. It orders patterns that match the same path as the tree does, and is only for display.
    pub(super) fn rank(&self) -> (bool, Reverse<usize>, Vec<bool>) {
        let is_any = |segment: &PatternSegment| *segment == PatternSegment::Any;
        let wildcards = self.segments.iter().map(is_any).collect();
        (self.is_folder, Reverse(self.segments.len()), wildcards)
    }

    /// The number of segments; a final slash does not begin another one.
    pub fn depth(&self) -> usize {
        self.segments.len()
    }
}

impl fmt::Display for PathPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

fn literal(segment: &str) -> PatternSegment {
    PatternSegment::Literal(percent_decode_str(segment).collect())
}

fn is_name(name: &str) -> bool {
    let in_name = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    !name.is_empty() && name.bytes().all(in_name)
}

fn check(path: &str) -> Result<(), InvalidPath> {
    if !path.starts_with('/') {
        return Err(InvalidPath::NotAbsolute);
    }
    if path.contains('?') {
        return Err(InvalidPath::Query);
    }
    if path.contains('*') {
        return Err(InvalidPath::Wildcard);
    }
    if !path.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(InvalidPath::NotAscii);
    }
    if !has_whole_escapes(path) {
        return Err(InvalidPath::Escape);
    }
    if is_ambiguous(path) {
        return Err(InvalidPath::Ambiguous);
    }
    Ok(())
}

fn has_whole_escapes(path: &str) -> bool {
    let is_hex = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_hexdigit);
    path.split('%').skip(1).all(|rest| {
        let rest = rest.as_bytes();
        is_hex(rest.first()) && is_hex(rest.get(1))
    })
}

/// Whether an upstream could read this pattern as another path: by removing dot segments, merging slashes, cutting path
/// parameters, or decoding once more.
fn is_ambiguous(path: &str) -> bool {
    if path.bytes().any(|byte| matches!(byte, b'\\' | b';' | b'#')) || path.contains("//") {
        return true;
    }
    if path.split('/').any(|segment| matches!(segment, "." | "..")) {
        return true;
    }
    path.contains('%') && has_ambiguous_escape(path)
}

/// Whether an escape hides a delimiter, is not UTF-8, or decodes to a character that normalization (NFKC) turns into a
/// delimiter.
fn has_ambiguous_escape(path: &str) -> bool {
    let hidden = path.split('%').skip(1).any(|rest| {
        rest.get(..2)
            .and_then(|hex| u8::from_str_radix(hex, 16).ok())
            .is_none_or(|byte| matches!(byte, b'/' | b'\\' | b'.' | b'%' | b'?' | b'#' | b';'))
    });
    let decoded: Vec<u8> = percent_decode_str(path).collect();
    hidden
        || str::from_utf8(&decoded).map_or(true, |text| {
            // A blank between slashes is an ordinary name.
            let mut characters = text.chars().filter_map(readings::look_alike);
            characters.any(|delimiter| delimiter != " ")
        })
}

#[cfg(test)]
mod tests;
