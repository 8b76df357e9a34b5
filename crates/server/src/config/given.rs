//! Secrets as given: read from a variable or a file, and checked for characters that are probably not meant to be part of
//! them.
//!
//! A secret is used byte for byte, because the frameworks neither trim nor decode it. So a space, a byte-order mark or a
//! quote that an editor, a shell or `docker run --env-file` left at its ends makes it another secret, and every session is
//! refused. The warnings reveal nothing of the secret.

use std::io;
use std::path::Path;

use session::Secret;

use super::mark::MARK;
use super::problem::Problem;
use crate::invisible::is_invisible;
use client_tls::named_file;

/// The form of a secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum SecretForm {
    /// A key of any bytes.
    Bytes,
    /// Several secrets in one text, which are checked one by one.
    List,
    /// Text.
    Text,
    /// A URL, where white space at the ends does not matter.
    Url,
}

/// A secret as given, with its source.
#[derive(Clone, Debug)]
pub(super) struct Given {
    /// The variable or option, such as `AUTH_SECRET_FILE`.
    source: String,
    /// The effective secret: a file without its final newline.
    pub(super) secret: Secret,
    /// Whether a newline at the end of the file was removed.
    cut: bool,
    oddities: Vec<Oddity>,
}

/// Something about a secret that is probably not intended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Oddity {
    Assignment,
    BlankAtEnd(Blank),
    BlankAtStart(Blank),
    ByteOrderMark,
    Comma,
    Escape,
    Expression,
    Invisible(char),
    Lines,
    LoneQuote,
    NotText,
    Nul,
    Quoted(&'static str),
    Semicolon,
    Utf16,
}

/// White space at one end of a secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Blank {
    One(char),
    SecondNewline,
    Several,
}

impl Given {
    /// Checks a secret from `source`; `cut` says that the final newline of its file was removed.
    pub(super) fn new(
        source: impl Into<String>,
        secret: Secret,
        cut: bool,
        content: SecretForm,
    ) -> Self {
        let oddities = oddities(secret.expose(), cut, content);
        Self {
            source: source.into(),
            secret,
            cut,
            oddities,
        }
    }

    /// Reads a secret from a file, without a final newline.
    pub(super) fn read(source: &str, path: &Path, content: SecretForm) -> io::Result<Self> {
        let bytes = Secret::new(named_file::read(path, LONGEST_FILE)?);
        let secret = Secret::new(without_final_newline(bytes.expose()));
        let cut = secret.len() < bytes.len();
        Ok(Self::new(source, secret, cut, content))
    }

    /// The oddity that makes this secret unusable, if there is one.
    pub(super) fn flaw(&self) -> Option<String> {
        let flaw = self.oddities.iter().find(|oddity| oddity.is_fatal())?;
        Some(format!("the secret {}", flaw.words()))
    }

    /// Describes all oddities of the secret.
    fn oddity(&self) -> Option<String> {
        let words: Vec<_> = self.oddities.iter().map(|oddity| oddity.words()).collect();
        (!words.is_empty()).then(|| format!("the secret {}", words.join(", and ")))
    }

    /// Whether this is the whole value of the variable, or of its `_FILE`; not an entry of a list.
    pub(super) fn is_all_of(&self, variable: &str) -> bool {
        let rest = self.source.strip_prefix(variable);
        rest.is_some_and(|rest| matches!(rest, "" | "_FILE"))
    }

    fn is_of(&self, variable: &str) -> bool {
        let rest = self.source.strip_prefix(variable);
        rest.is_some_and(|rest| matches!(rest, "" | "_FILE") || rest.starts_with(','))
    }

    /// The secret without the odd characters at its ends.
    fn core(&self) -> &[u8] {
        core(self.secret.expose())
    }
}

/// Warnings about odd secrets, and about secrets that differ only at their ends. Secrets with fatal oddities are included
/// only with `and_flaws`.
pub(super) fn doubts(given: &[Given], and_flaws: bool) -> Vec<String> {
    let odd = given
        .iter()
        .filter(|given| and_flaws || given.flaw().is_none())
        .filter_map(|given| {
            let oddity = given.oddity()?;
            let source = &given.source;
            Some(format!(
                "{source}: {oddity}; every byte is part of the secret, so remove this if it is not intended"
            ))
        });
    let pairs = given
        .iter()
        .enumerate()
        .flat_map(|(index, one)| given[index + 1..].iter().map(move |other| (one, other)));
    odd.chain(pairs.filter_map(|(one, other)| difference(one, other)))
        .collect()
}

/// Adds to each problem of a variable what is odd about its secret, which is often the cause.
pub(super) fn explain(problems: &mut [Problem], given: &[Given]) {
    for problem in problems {
        let odd = given
            .iter()
            .filter(|given| given.is_of(&problem.name) && given.flaw().is_none());
        for oddity in odd.filter_map(Given::oddity) {
            problem.what += &format!("; note that {oddity}");
        }
    }
}

/// The warning about two secrets that differ only at their ends.
fn difference(one: &Given, other: &Given) -> Option<String> {
    if one.core().is_empty() || one.core() != other.core() {
        return None;
    }
    if one.secret.expose() != other.secret.expose() {
        return Some(format!(
            "{} and {} contain secrets that differ only at their ends (white space, quotes or a byte-order mark), so \
             they are two different secrets; use the exact secret of your app in both",
            one.source, other.source
        ));
    }
    let (file, whole) = match (one.cut, other.cut) {
        (true, false) => (&one.source, &other.source),
        (false, true) => (&other.source, &one.source),
        (true, true) | (false, false) => return None,
    };
    Some(format!(
        "{file} ends in a newline, which the gate does not treat as part of the secret, and {whole} contains the same \
         secret without one; if your app reads the file including the newline, it uses another secret"
    ))
}

impl Oddity {
    /// Whether it cannot be intended, so that start-up refuses the secret.
    fn is_fatal(self) -> bool {
        match self {
            Self::Expression | Self::Nul | Self::Utf16 => true,
            Self::Assignment
            | Self::BlankAtEnd(_)
            | Self::BlankAtStart(_)
            | Self::ByteOrderMark
            | Self::Comma
            | Self::Escape
            | Self::Invisible(_)
            | Self::Lines
            | Self::LoneQuote
            | Self::NotText
            | Self::Quoted(_)
            | Self::Semicolon => false,
        }
    }

    /// A description that follows "the secret".
    fn words(self) -> String {
        match self {
            Self::Assignment => {
                "begins with the name of a variable and `=`, like a line of an env file".to_owned()
            }
            Self::BlankAtEnd(blank) => format!("ends in {}", blank.words()),
            Self::BlankAtStart(blank) => format!("begins with {}", blank.words()),
            Self::ByteOrderMark => "begins with a byte-order mark (EF BB BF)".to_owned(),
            Self::Comma => "ends in a comma".to_owned(),
            Self::Escape => {
                "ends in a backslash and a letter, which is not a newline here".to_owned()
            }
            Self::Expression => {
                "is an expression such as `${NAME}` or `$(command)` that was not replaced by its value".to_owned()
            }
            Self::Invisible(char) => {
                format!("contains an invisible character, U+{:04X}", u32::from(char))
            }
            Self::Lines => "has several lines".to_owned(),
            Self::LoneQuote => "has a quote at one end and none at the other".to_owned(),
            Self::NotText => "is not UTF-8 text, as the secret of an app always is".to_owned(),
            Self::Nul => "contains a NUL byte, so it is not text; save it as UTF-8".to_owned(),
            Self::Quoted(kind) => format!(
                "is in {kind} quotes, which dotenv and a shell remove, and `docker run --env-file` and a secret's file keep"
            ),
            Self::Semicolon => "ends in a semicolon".to_owned(),
            Self::Utf16 => {
                "is UTF-16 text, as PowerShell's `>` writes it; save it as UTF-8 without a byte-order mark".to_owned()
            }
        }
    }
}

impl Blank {
    fn of(run: &str) -> Option<Self> {
        let mut chars = run.chars();
        let first = chars.next()?;
        Some(match chars.next() {
            None => Self::One(first),
            Some(_) => Self::Several,
        })
    }

    fn words(self) -> String {
        match self {
            Self::One(' ') => "a space".to_owned(),
            Self::One('\t') => "a tab".to_owned(),
            Self::One('\n') => "a newline".to_owned(),
            Self::One('\r') => "a carriage return".to_owned(),
            Self::One(char) => format!("white space, U+{:04X}", u32::from(char)),
            Self::SecondNewline => "a second newline".to_owned(),
            Self::Several => "several characters of white space".to_owned(),
        }
    }
}

fn oddities(bytes: &[u8], cut: bool, content: SecretForm) -> Vec<Oddity> {
    if is_utf16(bytes) {
        return vec![Oddity::Utf16];
    }
    if content == SecretForm::Bytes && (str::from_utf8(bytes).is_err() || bytes.contains(&0)) {
        return Vec::new();
    }
    if bytes.contains(&0) {
        return vec![Oddity::Nul];
    }
    let Ok(text) = str::from_utf8(bytes) else {
        return vec![Oddity::NotText];
    };
    let found = of_text(text, cut);
    match content {
        SecretForm::Bytes | SecretForm::Text => found,
        // Spaces around a list and at the ends of its entries are checked elsewhere.
        SecretForm::List => {
            let counts = |oddity: &Oddity| {
                matches!(oddity, Oddity::ByteOrderMark | Oddity::Quoted(_)) || oddity.is_fatal()
            };
            found.into_iter().filter(counts).collect()
        }
        SecretForm::Url => found
            .into_iter()
            .filter(|oddity| oddity.is_fatal())
            .collect(),
    }
}

/// The oddities of a text, from its beginning to its end.
fn of_text(text: &str, cut: bool) -> Vec<Oddity> {
    let mut found = Vec::new();
    let unmarked = text.strip_prefix(MARK);
    found.extend(unmarked.map(|_| Oddity::ByteOrderMark));
    let text = unmarked.unwrap_or(text);
    let inner = text.trim();
    if inner.is_empty() {
        return found;
    }
    let start = &text[..text.len() - text.trim_start().len()];
    let end = &text[text.trim_end().len()..];
    found.extend(Blank::of(start).map(Oddity::BlankAtStart));
    found.extend(Blank::of(end).map(|blank| match blank {
        Blank::One('\n') | Blank::One('\r') if cut => Oddity::BlankAtEnd(Blank::SecondNewline),
        Blank::Several if cut && end == "\r\n" => Oddity::BlankAtEnd(Blank::SecondNewline),
        Blank::One(_) | Blank::SecondNewline | Blank::Several => Oddity::BlankAtEnd(blank),
    }));
    let bare = match unquoted(inner) {
        Some((bare, kind)) => {
            found.push(Oddity::Quoted(kind));
            bare
        }
        None => {
            let has_one = inner.starts_with(['"', '\'']) != inner.ends_with(['"', '\'']);
            found.extend(has_one.then_some(Oddity::LoneQuote));
            inner
        }
    };
    if without_assignment(bare).is_some() {
        found.push(Oddity::Assignment);
    }
    let enclosed = [("${", '}'), ("$(", ')'), ("{{", '}')];
    if enclosed
        .iter()
        .any(|(start, end)| bare.starts_with(start) && bare.ends_with(*end))
    {
        found.push(Oddity::Expression);
    }
    if bare.contains('\n') {
        found.push(Oddity::Lines);
    }
    // They are often copied along from a web page or a chat.
    let is_odd =
        |char: &char| (char.is_control() && !matches!(char, '\n' | '\r')) || is_invisible(*char);
    found.extend(bare.chars().find(is_odd).map(Oddity::Invisible));
    if bare.ends_with("\\n") || bare.ends_with("\\r") {
        found.push(Oddity::Escape);
    }
    match inner.chars().next_back() {
        Some(',') => found.push(Oddity::Comma),
        Some(';') => found.push(Oddity::Semicolon),
        Some(_) | None => {}
    }
    found
}

/// Whether it is ASCII text in UTF-16, with or without a byte-order mark.
fn is_utf16(bytes: &[u8]) -> bool {
    let is_of = |pairs: &[u8], high: usize| {
        pairs.len() >= 4
            && pairs.len().is_multiple_of(2)
            && pairs
                .chunks_exact(2)
                .all(|pair| pair[high] == 0 && pair[1 - high].is_ascii() && pair[1 - high] != 0)
    };
    match bytes {
        [0xFF, 0xFE, rest @ ..] => is_of(with_whole_pairs(rest), 1),
        [0xFE, 0xFF, rest @ ..] => is_of(with_whole_pairs(rest), 0),
        bytes => {
            let whole = with_whole_pairs(bytes);
            is_of(whole, 0) || is_of(whole, 1)
        }
    }
}

/// The bytes without half a pair at the end, which remains if a final newline was removed.
fn with_whole_pairs(bytes: &[u8]) -> &[u8] {
    &bytes[..bytes.len() - bytes.len() % 2]
}

/// The bytes without one `\n`, or `\r\n`, at their end, which editors and `echo` add.
fn without_final_newline(bytes: &[u8]) -> &[u8] {
    match bytes {
        [rest @ .., b'\r', b'\n'] | [rest @ .., b'\n'] => rest,
        bytes => bytes,
    }
}

/// The text between matching quotes, and the name of the quotes.
pub(crate) fn unquoted(text: &str) -> Option<(&str, &'static str)> {
    let quotes = [
        ('"', '"', "double"),
        ('\'', '\'', "single"),
        ('`', '`', "back"),
        ('\u{201c}', '\u{201d}', "typographic"),
        ('\u{2018}', '\u{2019}', "typographic"),
    ];
    quotes.iter().find_map(|(open, close, kind)| {
        let inner = text.strip_prefix(*open)?.strip_suffix(*close)?;
        Some((inner, *kind))
    })
}

/// The text after `NAME=` or `export NAME=`. Base64 has `=` only at its end, so it does not match.
pub(crate) fn without_assignment(text: &str) -> Option<&str> {
    let line = text.strip_prefix("export ").unwrap_or(text).trim_start();
    let (name, value) = line.split_once('=')?;
    let is_name = name.len() > 2
        && name.starts_with(|char: char| char.is_ascii_uppercase())
        && name.contains('_')
        && name
            .bytes()
            .all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'_');
    (is_name && !value.is_empty() && !value.starts_with('=')).then_some(value)
}

/// The bytes without every byte-order mark, white space and pair of quotes at their ends.
pub(crate) fn core(bytes: &[u8]) -> &[u8] {
    let Ok(mut text) = str::from_utf8(bytes) else {
        return bytes.trim_ascii();
    };
    loop {
        let rest = text.trim();
        let rest = rest.strip_prefix(MARK).unwrap_or(rest);
        let rest = unquoted(rest).map_or(rest, |(inner, _)| inner);
        if rest.len() == text.len() {
            return text.as_bytes();
        }
        text = rest;
    }
}

/// The longest file in bytes: far more than any secret.
pub(super) const LONGEST_FILE: u64 = 64 * 1024;

#[cfg(test)]
mod tests;
