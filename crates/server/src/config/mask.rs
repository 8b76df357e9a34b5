//! Masks a configuration file for display: hides everything that is or may be a secret.
//!
//! It works on the raw text, so that it also protects a file that does not parse. The value of a key is shown only if the
//! key is known to hold no secret.

use std::iter;
use std::ops::Range;

use super::byte_order_mark::BYTE_ORDER_MARK;
use super::catalogue::{
    self, CONDITION, HEADER, Key, LISTENER, PROFILE, ROUTE, SERVICE, TOP_LEVEL,
};

/// Returns the text with secrets replaced by asterisks, with the same length in bytes.
pub(super) fn masked(text: &str) -> String {
    let mut masker = Masker {
        text,
        at: 0,
        open: Vec::new(),
        context: Context::AtLineStart,
        is_header: false,
        follows_value: false,
        is_broken: false,
        in_secret: false,
        hidden: Vec::new(),
    };
    masker.walk();
    let mut bytes = vec![false; text.len()];
    for range in masker.hidden.into_iter().chain(credentials(text)) {
        bytes[range].fill(true);
    }
    let shown = text.char_indices().flat_map(|(at, char)| {
        let is_hidden = bytes[at] && char != '\n';
        let (stars, char) = match is_hidden {
            true => (char.len_utf8(), None),
            false => (0, Some(char)),
        };
        iter::repeat_n('*', stars).chain(char)
    });
    shown.collect()
}

struct Masker<'t> {
    text: &'t str,
    at: usize,
    /// The open brackets.
    open: Vec<u8>,
    context: Context,
    /// Whether the position is in the line of a table header.
    is_header: bool,
    /// Whether the position follows a value that has not been terminated.
    follows_value: bool,
    /// Whether the position is in a line that is not TOML, in which quotes may be mismatched.
    is_broken: bool,
    in_secret: bool,
    hidden: Vec<Range<usize>>,
}

/// What precedes the next word.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Context {
    /// A newline.
    AtLineStart,
    /// The brace or a comma of an inline table.
    InBraces,
    /// Anything else.
    InValue,
}

impl Masker<'_> {
    fn walk(&mut self) {
        while let Some(byte) = self.peek() {
            match byte {
                b'\n' => {
                    self.context = Context::AtLineStart;
                    self.is_header = false;
                    self.is_broken = false;
                }
                b' ' | b'\t' | b'\r' => {}
                _ if self.at == 0 && self.text.starts_with(BYTE_ORDER_MARK) => {
                    self.at += BYTE_ORDER_MARK.len_utf8() - 1;
                }
                b'=' => self.context = Context::InValue,
                b',' => self.context = self.in_brackets(),
                b'[' | b'{' => {
                    if self.context == Context::AtLineStart && self.open.is_empty() {
                        self.is_header = byte == b'[';
                        self.in_secret = false;
                    }
                    self.open.push(byte);
                    self.context = self.in_brackets();
                }
                b']' | b'}' => {
                    self.open.pop();
                    self.context = Context::InValue;
                }
                b'#' => {
                    self.take_comment();
                    continue;
                }
                _ => {
                    self.take_word();
                    self.context = Context::InValue;
                    continue;
                }
            }
            self.follows_value &= matches!(byte, b' ' | b'\t');
            self.at += 1;
        }
    }

    fn in_brackets(&self) -> Context {
        match self.open.last() {
            Some(b'{') => Context::InBraces,
            Some(_) | None => Context::InValue,
        }
    }

    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn take_comment(&mut self) {
        let rest = &self.text[self.at..];
        let end = self.at + rest.find('\n').unwrap_or(rest.len());
        // A comment may contain a secret too.
        self.hidden.push(self.at + 1..end);
        self.at = end;
    }

    /// Handles a word: a key, or part of a value.
    fn take_word(&mut self) {
        let begins_line = self.context == Context::AtLineStart;
        if let Some((end, key)) = self.key().filter(|(end, key)| self.is_key(*end, key)) {
            self.in_secret = may_hold_secret(&key);
            if begins_line && self.open.last() == Some(&b'[') {
                // The closing bracket is missing.
                self.open.clear();
            }
            self.follows_value = false;
            self.at = end;
            return;
        }
        self.is_broken |= self.follows_value;
        self.follows_value = true;
        let (end, inner) = word(self.text, self.at);
        if begins_line && self.open.is_empty() {
            // A key without `=`, or a stray word.
            let word = &self.text[inner.clone()];
            self.in_secret = may_hold_secret(word);
            self.follows_value = self.in_secret;
        }
        let is_quoted = self.text[self.at..].starts_with(['"', '\'']);
        // A list on a line of its own looks like a table header.
        let is_odd_name = self.is_header && is_quoted;
        // An unterminated string may extend into a secret.
        let is_open = is_quoted && end == inner.end;
        if self.in_secret || self.is_broken || is_odd_name || is_open {
            self.hidden.extend(without_references(self.text, inner));
        }
        self.at = end;
    }

    /// Whether a word followed by `=` is a key, and not part of a secret.
    fn is_key(&self, equals: usize, key: &str) -> bool {
        let is_bare = !self.text[self.at..].starts_with(['"', '\'']);
        let may_be = match self.context {
            Context::AtLineStart => is_bare || self.open.last() != Some(&b'['),
            Context::InBraces => true,
            Context::InValue => is_bare && (!self.in_secret || is_known(key)),
        };
        let after = self.text[equals + 1..].trim_start_matches([' ', '\t']);
        let has_value = !after.is_empty() && !after.starts_with(['\n', '\r', '=', '#']);
        may_be && (has_value || is_known(key))
    }

    /// Finds the `=` after a key, and the last part of the key.
    fn key(&self) -> Option<(usize, String)> {
        let mut at = self.at;
        loop {
            let (end, inner) = key_part(self.text, at)?;
            at = blank_end(self.text, end);
            match self.text.as_bytes().get(at) {
                Some(b'=') => return Some((at, self.text[inner].to_owned())),
                Some(b'.') => at = blank_end(self.text, at + 1),
                Some(_) | None => return None,
            }
        }
    }
}

/// A part of a key, bare or quoted: where it ends, and its content.
fn key_part(text: &str, at: usize) -> Option<(usize, Range<usize>)> {
    match text.as_bytes().get(at)? {
        b'"' | b'\'' => Some(word(text, at)),
        _ => {
            let is_bare = |char: char| char.is_alphanumeric() || char == '-' || char == '_';
            let length = text[at..]
                .find(|char| !is_bare(char))
                .unwrap_or(text.len() - at);
            (length > 0).then(|| (at + length, at..at + length))
        }
    }
}

/// A string or a bare word: where it ends, and its content.
fn word(text: &str, at: usize) -> (usize, Range<usize>) {
    let rest = &text[at..];
    for quotes in ["\"\"\"", "'''", "\"", "'"] {
        if rest.starts_with(quotes) {
            let start = at + quotes.len();
            let inner = string_end(&text[start..], quotes);
            let end = start + inner;
            let closing = if text[end..].starts_with(quotes) {
                quotes.len()
            } else {
                0
            };
            return (end + closing, start..end);
        }
    }
    let length = rest.find(|char: char| char.is_whitespace() || ",]}#".contains(char));
    let end = at + length.unwrap_or(rest.len()).max(1);
    let end = (end..=text.len())
        .find(|end| text.is_char_boundary(*end))
        .unwrap_or(text.len());
    (end, at..end)
}

/// The length of a string whose opening quotes precede `rest`. A single-line string ends with the line at the latest.
fn string_end(rest: &str, quotes: &str) -> usize {
    let (has_escapes, is_of_one_line) = (quotes.starts_with('"'), quotes.len() == 1);
    let mut chars = rest.char_indices();
    while let Some((at, char)) = chars.next() {
        match char {
            '\\' if has_escapes => drop(chars.next()),
            '\n' if is_of_one_line => return at,
            _ if rest[at..].starts_with(quotes) => return at,
            _ => {}
        }
    }
    rest.len()
}

fn blank_end(text: &str, at: usize) -> usize {
    let rest = &text[at..];
    at + rest
        .find(|char| char != ' ' && char != '\t')
        .unwrap_or(rest.len())
}

/// The parts of this span that are not `${VARIABLE}`.
fn without_references(text: &str, within: Range<usize>) -> Vec<Range<usize>> {
    let mut parts = Vec::new();
    let mut start = within.start;
    for (at, _) in text[within.clone()].match_indices("${") {
        let at = within.start + at;
        let is_name = |char: char| char.is_ascii_alphanumeric() || char == '_';
        let after = &text[at + 2..within.end];
        let length = after.find(|char| !is_name(char)).unwrap_or(after.len());
        if length > 0 && after[length..].starts_with('}') && at >= start {
            parts.push(start..at);
            start = at + length + 3;
        }
    }
    parts.push(start..within.end);
    parts
}

/// The part between the scheme and the host of each URL, or of what looks like one, line by line.
fn credentials(text: &str) -> Vec<Range<usize>> {
    let mut found = Vec::new();
    let mut line_start = 0;
    for line in text.split_inclusive('\n') {
        let value = line.find('=').map_or(0, |at| at + 1);
        let part = &line[value..];
        for text in urls(part).unwrap_or_else(|| iter::once(0..part.len()).collect()) {
            let url = &part[text.clone()];
            if let Some(end) = url.rfind('@') {
                let after = |mark: &str| url[..end].find(mark).map(|at| at + mark.len());
                let start = after("//").or_else(|| after(":")).or_else(|| after("/"));
                let within = |at| line_start + value + text.start + at;
                found.extend(start.map(|start| within(start)..within(end)));
            }
        }
        line_start += line.len();
    }
    found
}

/// The spans of the strings in a list, if the line contains nothing but strings and separators. Otherwise a quote may be
/// part of a password.
fn urls(part: &str) -> Option<Vec<Range<usize>>> {
    let mut texts = Vec::new();
    let mut at = 0;
    while at < part.len() {
        match part.as_bytes()[at] {
            b' ' | b'\t' | b'\r' | b'\n' | b',' | b'[' | b']' => at += 1,
            quote @ (b'"' | b'\'') => {
                let (end, inner) = word(part, at);
                let is_closed = end > at + 1 && part.as_bytes()[end - 1] == quote;
                let is_url = |text: &str| text.contains("//") || !text.contains('@');
                if !is_closed || !is_url(&part[inner.clone()]) {
                    return None;
                }
                texts.push(inner);
                at = end;
            }
            _ => return None,
        }
    }
    Some(texts)
}

/// Whether the value of this key may be a secret. An unknown key may be a header of a profile, whose value may be a secret.
fn may_hold_secret(key: &str) -> bool {
    match catalogue::of_key(key) {
        Some((entry, name)) => entry.kind.is_secret() && entry.name == name,
        None => of_tables(key).is_none_or(|key| key.kind.is_secret()),
    }
}

fn is_known(key: &str) -> bool {
    catalogue::of_key(key).is_some() || of_tables(key).is_some()
}

fn of_tables(name: &str) -> Option<&'static Key> {
    let tables = [
        TOP_LEVEL, LISTENER, ROUTE, SERVICE, PROFILE, HEADER, CONDITION,
    ];
    tables.into_iter().flatten().find(|key| key.name == name)
}

#[cfg(test)]
mod tests;
