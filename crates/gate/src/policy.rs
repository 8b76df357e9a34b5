//! Which rule governs a path, and which paths no rule can govern because an upstream could read one in them that another
//! rule governs.

use std::str;

use percent_encoding::percent_decode_str;
use thiserror::Error;

use crate::{Facts, Refusal, readings};

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
    /// [`Refusal::AmbiguousPath`] for a path with an encoded control character, and for one that an upstream could read as
    /// a path of another rule: there the reading would change who may enter. Every other path goes on untouched, however
    /// many readings it has, because some upstreams need such paths (`/@scope%2fname`).
    ///
    /// A path that differs from a public one in the case of letters alone demands a session, whatever the upstream makes of
    /// it.
    pub fn rule_for(&self, facts: &Facts<'_>) -> Result<Rule, Refusal> {
        let Some(path) = facts.path else {
            return Ok(Rule::Session);
        };
        if has_encoded_control(path) {
            return Err(Refusal::AmbiguousPath);
        }
        let public = self.public.iter().any(|public| public.covers(path));
        let rule = if public { Rule::Public } else { Rule::Session };
        if !self.public.is_empty() && !readings::is_plain(path) && self.may_change(rule, path) {
            return Err(Refusal::AmbiguousPath);
        }
        Ok(rule)
    }

    /// Whether another rule governs a reading of the path than this one, its own. A path that no honest client sends counts
    /// as such: one with a fragment (RFC 9112 section 3.2), or a public one that climbs with a parameter (`/..;/`).
    fn may_change(&self, rule: Rule, path: &str) -> bool {
        let plainest = readings::plainest(path);
        if path.contains('#') || rule == Rule::Public && climbs_with_parameter(&plainest) {
            return true;
        }
        let readings = || readings::all(path, budget(path));
        match rule {
            // Only by climbing does a reading leave a folder.
            Rule::Public if plainest.windows(2).any(|pair| pair == b"..") => {
                readings().is_none_or(|readings| {
                    let mut readings = readings.iter();
                    !readings.all(|reading| {
                        self.public
                            .iter()
                            .any(|public| public.covers_reading(reading))
                    })
                })
            }
            Rule::Public => false,
            Rule::Session => {
                let named = self
                    .public
                    .iter()
                    .filter(|public| public.is_named_in(&plainest));
                let named: Vec<_> = named.collect();
                !named.is_empty()
                    && readings().is_none_or(|readings| {
                        let mut readings = readings.iter();
                        readings.any(|reading| named.iter().any(|public| public.resembles(reading)))
                    })
            }
        }
    }

    /// The public paths.
    pub fn public_paths(&self) -> &[PublicPath] {
        &self.public
    }
}

/// A path that needs no session: one path, or everything below a folder when it ends in a slash.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublicPath {
    text: String,
    /// Without escapes.
    decoded: Vec<u8>,
}

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
        Ok(Self {
            text: path.to_owned(),
            decoded: percent_decode_str(path).collect(),
        })
    }

    /// The entry as configured.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Whole segments, case-sensitively: `/assets/` covers `/assets/x`, neither `/assets` nor `/assetsx`.
    fn covers(&self, path: &str) -> bool {
        covers(self.text.as_bytes(), path.as_bytes(), <[u8]>::eq)
    }

    /// Whether it covers what a reading made of a path, in which escapes are undone or not.
    fn covers_reading(&self, reading: &[u8]) -> bool {
        let entries = [self.text.as_bytes(), &self.decoded];
        entries
            .iter()
            .any(|entry| covers(entry, reading, <[u8]>::eq))
    }

    /// Whether it covers a reading to an upstream that makes no difference between small letters and capitals.
    fn resembles(&self, reading: &[u8]) -> bool {
        let entries = [self.text.as_bytes(), &self.decoded];
        entries
            .iter()
            .any(|entry| covers(entry, reading, <[u8]>::eq_ignore_ascii_case))
    }

    /// Whether its longest segment is somewhere in the text. Where it is not, no reading is covered.
    fn is_named_in(&self, text: &[u8]) -> bool {
        let segments = self.decoded.split(|byte| *byte == b'/');
        let longest = segments
            .max_by_key(|segment| segment.len())
            .unwrap_or_default();
        longest.is_empty()
            || text
                .windows(longest.len())
                .any(|window| window.eq_ignore_ascii_case(longest))
    }
}

/// Whether the path is the entry, or below it when that ends in a slash.
fn covers(entry: &[u8], path: &[u8], same: fn(&[u8], &[u8]) -> bool) -> bool {
    if entry.ends_with(b"/") {
        path.get(..entry.len())
            .is_some_and(|start| same(start, entry))
    } else {
        same(path, entry)
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

fn climbs_with_parameter(text: &[u8]) -> bool {
    let climbs = |part: &[u8]| matches!(part, [b'/' | b'\\', b'.', b'.', b';']);
    text.windows(4).any(climbs)
}

/// `%00`–`%1f` and `%7f`: no path needs them, and decoded they break logs, headers and files.
fn has_encoded_control(path: &str) -> bool {
    path.as_bytes().windows(3).any(|triple| match triple {
        [b'%', b'0' | b'1', low] => low.is_ascii_hexdigit(),
        [b'%', b'7', low] => low.eq_ignore_ascii_case(&b'f'),
        _ => false,
    })
}

/// Whether an upstream could take this entry for another path, by removing dot segments, folding slashes, cutting path
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
        || str::from_utf8(&decoded).map_or(true, |text| {
            text.chars().any(|c| readings::look_alike(c).is_some())
        })
}

/// In bytes: how much all readings of a path may have together. Honest paths have a handful; what has more is refused, so
/// that no request is dear.
fn budget(path: &str) -> usize {
    (16 * path.len()).clamp(768, 8 * 1024)
}

#[cfg(test)]
mod tests;
