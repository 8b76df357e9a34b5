//! A configuration file as it may be shown: without anything that is a secret, or may be one.
//!
//! It works on the bare text, so that it holds in a file that does not parse too. What stands behind a key is shown only if the
//! key is known to hold no secret.

use std::ops::Range;

use super::catalogue::{self, CONDITION, HEADER, PROFILE, ROUTE, SERVICE, TOP_LEVEL};
use super::given::MARK;

/// The same text, byte for byte as long, with stars in place of what nobody may see.
pub(super) fn masked(text: &str) -> String {
    let mut masker = Masker {
        text,
        at: 0,
        depth: 0,
        is_hiding: false,
        hidden: Vec::new(),
    };
    masker.walk();
    let mut hidden = masker.hidden.into_iter().peekable();
    let mut shown = String::with_capacity(text.len());
    for (at, char) in text.char_indices() {
        while hidden
            .next_if(|range: &Range<usize>| range.end <= at)
            .is_some()
        {}
        match hidden.peek().is_some_and(|range| range.start <= at) && char != '\n' {
            true => shown.extend(std::iter::repeat_n('*', char.len_utf8())),
            false => shown.push(char),
        }
    }
    shown
}

struct Masker<'t> {
    text: &'t str,
    at: usize,
    /// How many brackets are open.
    depth: usize,
    is_hiding: bool,
    hidden: Vec<Range<usize>>,
}

impl Masker<'_> {
    fn walk(&mut self) {
        let mut begins_line = true;
        while let Some(byte) = self.peek() {
            match byte {
                b'\n' => begins_line = true,
                b' ' | b'\t' | b'\r' | b',' | b'=' => {}
                _ if self.at == 0 && self.text.starts_with(MARK) => self.at += MARK.len_utf8() - 1,
                b'[' | b'{' => {
                    self.is_hiding &= !(begins_line && self.depth == 0);
                    self.depth += 1;
                    begins_line = false;
                }
                b']' | b'}' => {
                    self.depth = self.depth.saturating_sub(1);
                    begins_line = false;
                }
                b'#' => {
                    self.take_comment();
                    continue;
                }
                _ => {
                    self.take_word(begins_line);
                    begins_line = false;
                    continue;
                }
            }
            self.at += 1;
        }
    }

    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn take_comment(&mut self) {
        let rest = &self.text[self.at..];
        let end = self.at + rest.find('\n').unwrap_or(rest.len());
        if self.is_hiding {
            self.hidden.push(self.at..end);
        }
        self.at = end;
    }

    /// A key, or a part of a value.
    fn take_word(&mut self, begins_line: bool) {
        if let Some((end, key)) = self.key() {
            self.is_hiding = hides(&key);
            if begins_line {
                self.depth = 0;
            }
            self.at = end;
            return;
        }
        let (end, inner) = word(self.text, self.at);
        if begins_line && self.depth == 0 {
            // A key without `=`, or something that is there by mistake.
            let is_key = !hides(&self.text[inner.clone()]);
            self.is_hiding = !is_key;
        }
        match self.is_hiding {
            true => self.hidden.extend(beside_variables(self.text, inner)),
            false => self.hidden.extend(credentials(self.text, inner)),
        }
        self.at = end;
    }

    /// The end of a key with the `=` behind it, and its last part.
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

/// A part of a key, bare or in quotes: where it ends, and what is in it.
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

/// Where a string or a bare word ends, and what is in it.
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

/// How long a string is whose first quotes stand before `rest`; one of a single line ends with it.
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

/// What of this part of the text is no `${VARIABLE}`.
fn beside_variables(text: &str, within: Range<usize>) -> Vec<Range<usize>> {
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

/// What stands between the scheme and the host of a URL in this part of the text.
fn credentials(text: &str, within: Range<usize>) -> Option<Range<usize>> {
    let part = &text[within.clone()];
    let start = part.find("://")? + "://".len();
    let length = part[start..].rfind('@')?;
    let start = within.start + start;
    Some(start..start + length)
}

/// Whether what stands behind this key may be a secret.
fn hides(key: &str) -> bool {
    if let Some((entry, name)) = catalogue::of_key(key) {
        return entry.kind.is_secret() && entry.name == name;
    }
    let tables = [TOP_LEVEL, ROUTE, SERVICE, PROFILE, HEADER, CONDITION];
    if let Some(key) = tables.into_iter().flatten().find(|known| known.name == key) {
        return key.kind.is_secret();
    }
    // The name of a header that a profile makes.
    let key = key.to_ascii_lowercase();
    !key.contains('-') || SECRETIVE.iter().any(|word| key.contains(word))
}

/// What the names of secrets have in them.
const SECRETIVE: [&str; 9] = [
    "auth", "cred", "key", "pass", "pwd", "secret", "session", "token", "url",
];

#[cfg(test)]
mod tests {
    use super::masked;

    #[test]
    fn what_may_be_a_secret_is_not_shown() {
        for (text, shown) in [
            ("auth_secret = \"abc\" # abc", "auth_secret = \"***\" *****"),
            ("auth_secret = 'abc", "auth_secret = '***"),
            ("auth_secret = abc", "auth_secret = ***"),
            ("auth_secret \"abc\"", "*********** \"***\""),
            ("auth_secret =\n  \"abc\"", "auth_secret =\n  \"***\""),
            (
                "auth_secret = \"\"\"ab\nc\"\"\"",
                "auth_secret = \"\"\"**\n*\"\"\"",
            ),
            (
                "auth_secret = \"\"\"ab\nlisten = 1",
                "auth_secret = \"\"\"**\n**********",
            ),
            ("auth_secrt = \"ä\"", "auth_secrt = \"**\""),
            (
                "realm.a.auth_secret = \"abc\"",
                "realm.a.auth_secret = \"***\"",
            ),
            ("AUTH_SECRET = \"abc\"", "AUTH_SECRET = \"***\""),
            (
                "better_auth_secrets = [\n\"2:abc\",\n]",
                "better_auth_secrets = [\n\"*****\",\n]",
            ),
            ("listen = \":1\"\nabc", "listen = \":1\"\n***"),
            (
                "\"X-A\" = { value = \"abc\" }",
                "\"X-A\" = { value = \"***\" }",
            ),
            ("\"X-Secret\" = \"abc\"", "\"X-Secret\" = \"***\""),
            (
                "database_url = \"postgres://u:p@h\"",
                "database_url = \"****************\"",
            ),
            ("auth_secret = \"a${B}c${D\"", "auth_secret = \"*${B}****\""),
            (
                "upstream = \"http://u:p/@h/\"",
                "upstream = \"http://****@h/\"",
            ),
            (
                "upstream = [\"http://u:p@h\"]",
                "upstream = [\"http://***@h\"]",
            ),
        ] {
            assert_eq!(masked(text), shown, "{text}");
        }
    }

    #[test]
    fn what_is_no_secret_is_shown() {
        for text in [
            "listen = \"0.0.0.0:8080\"\nauth_secret_file = \"/run/x\"\n",
            "[realm.shop]\nsession_format = 'authjs'",
            "[[route]]\npath = [\n  \"/a\", # b\n]\nmethods = [\"GET\"]",
            "require = [{ column = \"role\", equals = 1.5 }]",
            "\"X-Team\" = { column = \"team\" }\n\"Remote-User\" = \"email\"",
            "listen \":1\"",
            "\u{feff}listen = \":1\"\r\n",
            "session_token_field = \"t\"",
        ] {
            assert_eq!(masked(text), text);
        }
    }
}
