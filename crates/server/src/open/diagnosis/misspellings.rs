//! What else a secret may be that was copied carelessly.

use base64::Engine as _;
use base64::prelude::{
    BASE64_STANDARD, BASE64_STANDARD_NO_PAD, BASE64_URL_SAFE, BASE64_URL_SAFE_NO_PAD,
};
use session::Secret;

/// Each with words that go behind "with the secret".
pub(super) fn misspellings(secret: &Secret) -> Vec<(Secret, &'static str)> {
    let bytes = secret.expose();
    let trimmed = bytes.trim_ascii();
    let unquoted = match trimmed {
        [b'"', inner @ .., b'"'] | [b'\'', inner @ .., b'\''] => Some(inner),
        _ => None,
    };
    let with_newline = [bytes, b"\n"].concat();
    let mut others: Vec<(Vec<u8>, &'static str)> = vec![
        (trimmed.to_vec(), "without the white space at its ends"),
        (with_newline, "and a line break behind it"),
    ];
    others.extend(unquoted.map(|inner| (inner.to_vec(), "without the quotes around it")));
    others.extend(hex(trimmed).map(|bytes| (bytes, "decoded from hexadecimal")));
    for engine in [
        BASE64_STANDARD,
        BASE64_STANDARD_NO_PAD,
        BASE64_URL_SAFE,
        BASE64_URL_SAFE_NO_PAD,
    ] {
        let decoded = engine.decode(trimmed).ok();
        others.extend(decoded.map(|bytes| (bytes, "decoded from base64")));
    }
    others
        .into_iter()
        .filter(|(other, _)| !other.is_empty() && other != bytes)
        .map(|(other, how)| (Secret::new(other), how))
        .collect()
}

fn hex(text: &[u8]) -> Option<Vec<u8>> {
    let digit = |byte: u8| char::from(byte).to_digit(16);
    let byte = |pair: &[u8]| u8::try_from(digit(pair[0])? * 16 + digit(pair[1])?).ok();
    match text.len() % 2 {
        0 => text.chunks_exact(2).map(byte).collect(),
        _ => None,
    }
}
