//! Which rule governs a path, and which paths no rule can govern because two parsers could read them differently.

use std::str;

use percent_encoding::percent_decode_str;
use thiserror::Error;

use crate::{Facts, Refusal};

/// What a path demands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rule {
    /// Anyone may enter; no identity is stamped.
    Public,
    /// Only a session may enter.
    Session,
}

impl Rule {
    /// The rule's name in logs.
    pub fn as_str(self) -> &'static str {
        match self {
            Rule::Public => "public",
            Rule::Session => "session",
        }
    }
}

/// The rules of the host. What no rule names demands a session.
#[derive(Clone, Debug, Default)]
pub struct Policy {
    public: Vec<PublicPath>,
}

impl Policy {
    /// A policy with these public paths; everything else demands a session.
    pub fn new(public: Vec<PublicPath>) -> Self {
        Self { public }
    }

    /// The rule that governs this request.
    ///
    /// # Errors
    ///
    /// [`Refusal::AmbiguousPath`] for a path with an encoded control character, and, where the host has both public
    /// and protected paths, for one that an upstream could normalise into another: there the reading would change
    /// who may enter. Where one rule governs everything such paths are forwarded untouched, because some upstreams
    /// need them.
    pub fn rule_for(&self, facts: &Facts<'_>) -> Result<Rule, Refusal> {
        let Some(path) = facts.path else {
            return Ok(Rule::Session);
        };
        if has_encoded_control(path) || (!self.public.is_empty() && is_ambiguous(path)) {
            return Err(Refusal::AmbiguousPath);
        }
        let public = self.public.iter().any(|public| public.covers(path));
        Ok(if public { Rule::Public } else { Rule::Session })
    }

    /// The public paths.
    pub fn public_paths(&self) -> &[PublicPath] {
        &self.public
    }
}

/// A path that needs no session: one path, or everything below a folder when it ends in a slash.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublicPath(String);

impl PublicPath {
    /// Reads an entry such as `/healthz` (that path alone) or `/assets/` (everything below).
    ///
    /// # Errors
    ///
    /// [`InvalidPath`] says what is wrong with the entry.
    pub fn new(path: &str) -> Result<Self, InvalidPath> {
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
        if is_ambiguous(path) {
            return Err(InvalidPath::Ambiguous);
        }
        Ok(Self(path.to_owned()))
    }

    /// The entry as configured.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whole segments, case-sensitively: `/assets/` covers `/assets/x`, neither `/assets` nor `/assetsx`.
    fn covers(&self, path: &str) -> bool {
        if self.0.ends_with('/') {
            path.starts_with(&self.0)
        } else {
            path == self.0
        }
    }
}

/// Why a public path was not accepted.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum InvalidPath {
    /// It holds something that two parsers read differently.
    #[error(r"it must not hold `//`, `\`, `;`, `#`, `.` or `..` segments or encoded delimiters")]
    Ambiguous,
    /// It does not begin with a slash.
    #[error("it must begin with `/`")]
    NotAbsolute,
    /// It holds white space or a character outside ASCII.
    #[error("it must be visible ASCII; percent-encode anything else")]
    NotAscii,
    /// It holds a query.
    #[error("it must not hold a query: rules look at the path alone")]
    Query,
    /// It holds a star.
    #[error("it must not hold `*`: a trailing slash already means everything below")]
    Wildcard,
}

/// `%00`–`%1f` and `%7f`: no path needs them, and decoded they break logs, headers and files.
fn has_encoded_control(path: &str) -> bool {
    path.as_bytes().windows(3).any(|triple| match triple {
        [b'%', b'0' | b'1', low] => low.is_ascii_hexdigit(),
        [b'%', b'7', low] => low.eq_ignore_ascii_case(&b'f'),
        _ => false,
    })
}

/// Whether an upstream could take this path for another one, by removing dot segments, folding slashes, cutting path
/// parameters, or decoding once more than we did.
fn is_ambiguous(path: &str) -> bool {
    if path.bytes().any(|byte| matches!(byte, b'\\' | b';' | b'#')) || path.contains("//") {
        return true;
    }
    if path.split('/').any(|segment| matches!(segment, "." | "..")) {
        return true;
    }
    path.contains('%') && has_ambiguous_escape(path)
}

/// An escape that is malformed, hides a delimiter, is not UTF-8, or decodes to a character that normalisation (NFKC)
/// turns into a delimiter.
fn has_ambiguous_escape(path: &str) -> bool {
    let malformed = path.split('%').skip(1).any(|rest| {
        !matches!(rest.as_bytes(), [high, low, ..] if high.is_ascii_hexdigit() && low.is_ascii_hexdigit())
    });
    if malformed {
        return true;
    }
    let hidden = path.split('%').skip(1).any(|rest| {
        rest.get(..2)
            .and_then(|hex| u8::from_str_radix(hex, 16).ok())
            .is_none_or(|byte| matches!(byte, b'/' | b'\\' | b'.' | b'%' | b'?' | b'#' | b';'))
    });
    let decoded: Vec<u8> = percent_decode_str(path).collect();
    hidden
        || str::from_utf8(&decoded).map_or(true, |text| text.chars().any(is_delimiter_look_alike))
}

/// Characters that compatibility normalisation maps to `.`, `/`, `\`, `%`, `;`, `?` or `#`.
fn is_delimiter_look_alike(character: char) -> bool {
    matches!(
        character,
        '\u{2024}'
            ..='\u{2026}'
                | '\u{fe52}'
                | '\u{fe54}'
                | '\u{fe56}'
                | '\u{fe5f}'
                | '\u{fe68}'
                | '\u{fe6a}'
                | '\u{ff03}'
                | '\u{ff05}'
                | '\u{ff0e}'
                | '\u{ff0f}'
                | '\u{ff1b}'
                | '\u{ff1f}'
                | '\u{ff3c}'
                | '\u{2044}'
                | '\u{2048}'
                | '\u{2049}'
                | '\u{2215}'
                | '\u{3002}'
                | '\u{ff61}'
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn covers(entry: &str, path: &str) -> bool {
        PublicPath::new(entry).unwrap().covers(path)
    }

    #[test]
    fn a_folder_covers_what_is_below_it() {
        assert!(covers("/assets/", "/assets/"));
        assert!(covers("/assets/", "/assets/site.css"));
        assert!(!covers("/assets/", "/assets"));
        assert!(!covers("/assets/", "/assetsx"));
        assert!(!covers("/assets/", "/Assets/site.css"));
    }

    #[test]
    fn anything_else_covers_itself_alone() {
        assert!(covers("/healthz", "/healthz"));
        assert!(!covers("/healthz", "/healthz/"));
        assert!(!covers("/healthz", "/healthz2"));
        assert!(!covers("/healthz", "/HEALTHZ"));
    }

    #[test]
    fn entries_that_cannot_mean_one_thing_are_refused() {
        for (entry, why) in [
            ("assets/", InvalidPath::NotAbsolute),
            ("", InvalidPath::NotAbsolute),
            ("/a?b=1", InvalidPath::Query),
            ("/a/*", InvalidPath::Wildcard),
            ("/a b", InvalidPath::NotAscii),
            ("/ä", InvalidPath::NotAscii),
            ("/a/../b", InvalidPath::Ambiguous),
            ("//a", InvalidPath::Ambiguous),
            ("/a%2fb", InvalidPath::Ambiguous),
        ] {
            assert_eq!(PublicPath::new(entry), Err(why), "{entry}");
        }
    }

    #[test]
    fn paths_that_parsers_read_differently_are_ambiguous() {
        for path in [
            "/public/../private",
            "/./a",
            "/a/..",
            "//a",
            "/a//b",
            "/a\\b",
            "/a;v=1",
            "/a#b",
            "/%2e%2e/private",
            "/a%2Fb",
            "/a%5cb",
            "/%252e",
            "/a%3fb",
            "/a%23b",
            "/a%3bb",
            "/a%",
            "/a%2",
            "/%u002e",
            "/%c0%ae%c0%ae/b",
            "/%ef%bc%8e%ef%bc%8e/b",
            "/a%zz",
        ] {
            assert!(is_ambiguous(path), "{path}");
        }
    }

    #[test]
    fn ordinary_paths_are_not() {
        for path in [
            "/",
            "/a",
            "/a/b.css",
            "/a/.well-known/x",
            "/..a/b",
            "/a%20b",
            "/%C3%A4",
            "/a:b@c,d+e=f&g!h~i",
        ] {
            assert!(!is_ambiguous(path), "{path}");
        }
    }

    #[test]
    fn encoded_controls_are_seen_in_any_spelling() {
        for path in ["/a%00", "/%0d%0aX", "/%1F", "/%7f", "/%7F"] {
            assert!(has_encoded_control(path), "{path}");
        }
        assert!(!has_encoded_control("/%20%70%0"));
    }
}
