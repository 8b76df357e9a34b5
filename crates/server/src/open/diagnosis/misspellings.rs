//! Common ways in which a copied secret differs from the original.

use base64::Engine as _;
use base64::prelude::{
    BASE64_STANDARD, BASE64_STANDARD_NO_PAD, BASE64_URL_SAFE, BASE64_URL_SAFE_NO_PAD,
};
use session::Secret;

use crate::config::{BYTE_ORDER_MARK, core, unquoted, without_assignment};

/// A variant of a secret.
pub(in super::super) struct Misspelling {
    pub(in super::super) secret: Secret,
    /// A phrase that follows "with the secret".
    pub(in super::super) how: &'static str,
    /// What to do if this variant opens the session.
    pub(in super::super) advice: &'static str,
}

/// The variants of a secret that an app and a gate may get from the same file or line, the most likely first.
pub(in super::super) fn misspellings(secret: &Secret) -> Vec<Misspelling> {
    let bytes = secret.expose();
    let trimmed = bytes.trim_ascii();
    let mut others: Vec<(Vec<u8>, &'static str, &'static str)> = Vec::new();
    if let [rest @ .., b'\r', b'\n'] | [rest @ .., b'\n'] = bytes {
        others.push((
            rest.to_vec(),
            "without its final newline (the white space at its end)",
            TRIMMED,
        ));
    }
    others.push((
        trimmed.to_vec(),
        "without the white space at its ends",
        TRIMMED,
    ));
    others.push(([bytes, b"\n"].concat(), "followed by a newline", WHOLE_FILE));
    others.push((
        [bytes, b"\r\n"].concat(),
        "followed by a Windows line break (CR LF)",
        WHOLE_FILE,
    ));
    if let Ok(text) = str::from_utf8(bytes) {
        others.extend(of_text(text));
    }
    let utf16 = utf16(bytes).map(String::into_bytes);
    others.extend(utf16.map(|text| {
        (
            text,
            "read as UTF-16",
            "your app decodes the file: save it as UTF-8",
        )
    }));
    others.push((
        core(bytes).to_vec(),
        "without everything around it (white space, quotes, a byte-order mark)",
        BARE,
    ));
    others.extend(hex(trimmed).map(|bytes| (bytes, "decoded from hexadecimal", DECODED)));
    for engine in [
        BASE64_STANDARD,
        BASE64_STANDARD_NO_PAD,
        BASE64_URL_SAFE,
        BASE64_URL_SAFE_NO_PAD,
    ] {
        let decoded = engine.decode(trimmed).ok();
        others.extend(decoded.map(|bytes| (bytes, "decoded from base64", DECODED)));
    }
    others
        .into_iter()
        .map(|(other, how, advice)| Misspelling {
            secret: Secret::new(other),
            how,
            advice,
        })
        .filter(|other| !other.secret.is_empty() && other.secret.expose() != bytes)
        .collect()
}

/// The variants of a text: with and without what editors, shells and env files add.
fn of_text(text: &str) -> Vec<(Vec<u8>, &'static str, &'static str)> {
    let mut others = Vec::new();
    let mut other = |text: Option<String>, how, advice| {
        others.extend(text.map(|text| (text.into_bytes(), how, advice)));
    };
    let trimmed = text.trim();
    let owned = |text: &str| Some(text.to_owned());
    other(
        unquoted(trimmed).map(|(inner, _)| inner.to_owned()),
        "without the quotes around it",
        "your app reads it without them, as dotenv and shells do: remove them here",
    );
    other(
        text.strip_prefix(BYTE_ORDER_MARK).map(str::to_owned),
        "without its byte-order mark",
        "your app uses it that way: save the file without one",
    );
    // `String.prototype.trim` removes a byte-order mark too, because it treats it as white space.
    other(
        owned(text.trim_matches(|char: char| char.is_whitespace() || char == BYTE_ORDER_MARK)),
        "without the white space at its ends",
        TRIMMED,
    );
    let bare = unquoted(trimmed).map_or(trimmed, |(inner, _)| inner);
    let value = without_assignment(bare);
    other(
        value.map(|value| unquoted(value).map_or(value, |(inner, _)| inner).to_owned()),
        "without the variable name before it",
        "your app reads the line as an env file: give only the value",
    );
    for escape in ["\\r\\n", "\\n"] {
        other(
            bare.strip_suffix(escape).map(str::to_owned),
            "without the backslash and `n` at its end",
            "your app uses it that way: remove them here",
        );
    }
    other(
        text.contains("\\n").then(|| text.replace("\\n", "\n")),
        "with real newlines instead of backslash and `n`",
        "your app reads it that way, as dotenv does inside double quotes: give it in a file",
    );
    other(
        trimmed.strip_suffix([',', ';']).map(str::to_owned),
        "without the comma or semicolon at its end",
        "your app uses it that way: remove it here",
    );
    let decoded = percent_encoding::percent_decode_str(text).decode_utf8();
    other(
        decoded.ok().map(|text| text.into_owned()),
        "without its percent-encoding",
        "your app uses it that way: give it decoded",
    );
    for (around, how) in [('"', "in double quotes"), ('\'', "in single quotes")] {
        other(
            Some(format!("{around}{text}{around}")),
            how,
            "your app has the quotes in its secret, as `docker run --env-file` leaves them: remove them there, or add \
             them here",
        );
    }
    other(
        Some(format!("{BYTE_ORDER_MARK}{text}")),
        "preceded by a byte-order mark",
        "your app reads a file that begins with one: save that file without it",
    );
    others
}

/// Text in UTF-16 that begins with a byte-order mark.
fn utf16(bytes: &[u8]) -> Option<String> {
    let (rest, unit): (_, fn([u8; 2]) -> u16) = match bytes {
        [0xFF, 0xFE, rest @ ..] => (rest, u16::from_le_bytes),
        [0xFE, 0xFF, rest @ ..] => (rest, u16::from_be_bytes),
        _ => return None,
    };
    let units = rest.chunks_exact(2).map(|pair| unit([pair[0], pair[1]]));
    let text = String::from_utf16(&units.collect::<Vec<_>>()).ok()?;
    Some(text.trim().to_owned())
}

fn hex(text: &[u8]) -> Option<Vec<u8>> {
    let digit = |byte: u8| char::from(byte).to_digit(16);
    let byte = |pair: &[u8]| u8::try_from(digit(pair[0])? * 16 + digit(pair[1])?).ok();
    match text.len() % 2 {
        0 => text.chunks_exact(2).map(byte).collect(),
        _ => None,
    }
}

const BARE: &str = "your app uses it exactly that way: give it the same way here";
const DECODED: &str =
    "your app decodes it: write the decoded bytes to a file, and give that with _FILE";
const TRIMMED: &str = "your app reads it trimmed: remove the white space here";
const WHOLE_FILE: &str = "your app reads the whole file, with the line break at its end, which the gate leaves \
                          out: write the file without one (`printf %s`), or let the app trim what it reads";
