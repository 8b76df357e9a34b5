//! What is odd about a secret: characters that are probably not meant to be part of it.

use super::super::byte_order_mark::BYTE_ORDER_MARK;
use super::{SecretForm, unquoted, without_assignment};
use crate::invisible::is_invisible;

/// Something about a secret that is probably not intended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Oddity {
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
pub(super) enum Blank {
    One(char),
    SecondNewline,
    Several,
}

impl Oddity {
    /// Whether it cannot be intended, so that start-up refuses the secret.
    pub(super) fn is_fatal(self) -> bool {
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
    pub(super) fn description(self) -> String {
        match self {
            Self::Assignment => {
                "begins with the name of a variable and `=`, like a line of an env file".to_owned()
            }
            Self::BlankAtEnd(blank) => format!("ends in {}", blank.description()),
            Self::BlankAtStart(blank) => format!("begins with {}", blank.description()),
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

    fn description(self) -> String {
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

pub(super) fn oddities(bytes: &[u8], newline_removed: bool, content: SecretForm) -> Vec<Oddity> {
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
    let found = of_text(text, newline_removed);
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
fn of_text(text: &str, newline_removed: bool) -> Vec<Oddity> {
    let mut found = Vec::new();
    let unmarked = text.strip_prefix(BYTE_ORDER_MARK);
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
        Blank::One('\n') | Blank::One('\r') if newline_removed => {
            Oddity::BlankAtEnd(Blank::SecondNewline)
        }
        Blank::Several if newline_removed && end == "\r\n" => {
            Oddity::BlankAtEnd(Blank::SecondNewline)
        }
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
    // Such characters are often copied along from a web page or a chat.
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

/// Whether the bytes are ASCII text in UTF-16, with or without a byte-order mark.
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
