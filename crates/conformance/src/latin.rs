//! Bytes as text, one character for one byte (Latin-1).
//!
//! Requests may contain bytes that are not UTF-8, but are easiest to write and search as text.

/// Returns the bytes of a text. Characters outside Latin-1 become question marks.
pub(crate) fn bytes(text: &str) -> Vec<u8> {
    text.chars()
        .map(|char| u8::try_from(char).unwrap_or(b'?'))
        .collect()
}

/// Returns the text of bytes.
pub(crate) fn text(bytes: &[u8]) -> String {
    bytes.iter().copied().map(char::from).collect()
}

/// Returns an excerpt of a text for a message: control characters escaped, and cut after `longest` characters.
pub(crate) fn excerpt(text: &str, longest: usize) -> String {
    let shown: String = text.chars().take(longest).collect();
    let more = if text.chars().nth(longest).is_some() {
        "…"
    } else {
        ""
    };
    format!("\"{}\"{more}", shown.escape_default())
}

/// Whether a text is a token (RFC 9110 5.6.2).
pub(crate) fn is_token(text: &str) -> bool {
    let allowed = |char: char| char.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(char);
    !text.is_empty() && text.chars().all(allowed)
}

/// Returns a header name as CGI, WSGI and PHP fold it: lower case, with `-` for everything except letters and digits.
pub(crate) fn folded(name: &str) -> String {
    let fold = |char: char| match char.is_ascii_alphanumeric() {
        true => char.to_ascii_lowercase(),
        false => '-',
    };
    name.trim().chars().map(fold).collect()
}

/// Returns the values of every field with this name, in any case.
pub(crate) fn values<'a>(fields: &'a [(String, String)], name: &str) -> Vec<&'a str> {
    let named = fields
        .iter()
        .filter(|(field, _)| field.eq_ignore_ascii_case(name));
    named.map(|(_, value)| value.as_str()).collect()
}
