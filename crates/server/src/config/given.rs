//! Secrets as given: read from a variable or a file, and checked for characters that are probably not meant to be part of
//! them.
//!
//! A secret is used byte for byte, because the frameworks neither trim nor decode it. So a space, a byte-order mark or a
//! quote that an editor, a shell or `docker run --env-file` left at its ends makes it another secret, and every session is
//! refused. The warnings reveal nothing of the secret.

mod oddity;

use std::io;
use std::path::Path;

use session::Secret;

use self::oddity::{Oddity, oddities};
use super::byte_order_mark::BYTE_ORDER_MARK;
use super::problem::Problem;
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
    /// The effective secret: for a file, its content without the final newline.
    pub(super) secret: Secret,
    /// Whether a newline at the end of the file was removed.
    newline_removed: bool,
    oddities: Vec<Oddity>,
}

impl Given {
    /// Checks a secret from `source`; `newline_removed` says that the final newline of its file was removed.
    pub(super) fn new(
        source: impl Into<String>,
        secret: Secret,
        newline_removed: bool,
        content: SecretForm,
    ) -> Self {
        let oddities = oddities(secret.expose(), newline_removed, content);
        Self {
            source: source.into(),
            secret,
            newline_removed,
            oddities,
        }
    }

    /// Reads a secret from a file, without a final newline.
    pub(super) fn read(source: &str, path: &Path, content: SecretForm) -> io::Result<Self> {
        let bytes = Secret::new(named_file::read(path, LONGEST_FILE)?);
        let secret = Secret::new(without_final_newline(bytes.expose()));
        let newline_removed = secret.len() < bytes.len();
        Ok(Self::new(source, secret, newline_removed, content))
    }

    /// The oddity that makes this secret unusable, if there is one.
    pub(super) fn flaw(&self) -> Option<String> {
        let flaw = self.oddities.iter().find(|oddity| oddity.is_fatal())?;
        Some(format!("the secret {}", flaw.description()))
    }

    /// Describes all oddities of the secret.
    fn oddity(&self) -> Option<String> {
        let words: Vec<_> = self
            .oddities
            .iter()
            .map(|oddity| oddity.description())
            .collect();
        (!words.is_empty()).then(|| format!("the secret {}", words.join(", and ")))
    }

    /// Whether this is the whole value of the variable or of its `_FILE`, not an entry of a list.
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
/// only with `with_fatal`.
pub(super) fn warnings(given: &[Given], with_fatal: bool) -> Vec<String> {
    let odd = given
        .iter()
        .filter(|given| with_fatal || given.flaw().is_none())
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

/// Adds the oddities of a secret to each problem of its variable, because they are often the cause.
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
    let (file, whole) = match (one.newline_removed, other.newline_removed) {
        (true, false) => (&one.source, &other.source),
        (false, true) => (&other.source, &one.source),
        (true, true) | (false, false) => return None,
    };
    Some(format!(
        "{file} ends in a newline, which the gate does not treat as part of the secret, and {whole} contains the same \
         secret without one; if your app reads the file including the newline, it uses another secret"
    ))
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

/// The bytes without white space and pairs of quotes around them, and without byte-order marks before them.
pub(crate) fn core(bytes: &[u8]) -> &[u8] {
    let Ok(mut text) = str::from_utf8(bytes) else {
        return bytes.trim_ascii();
    };
    loop {
        let rest = text.trim();
        let rest = rest.strip_prefix(BYTE_ORDER_MARK).unwrap_or(rest);
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
