//! Formatting of texts for logs, messages and keys.

/// Formats a server's message as one short line without control characters, so that a log can hold it.
pub(super) fn one_line(text: &str) -> String {
    text.chars()
        .map(|char| if char.is_control() { ' ' } else { char })
        .take(MAX_DETAIL)
        .collect()
}

/// Formats bytes as lowercase hexadecimal, two digits each.
pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// How many characters of a driver's message are kept.
const MAX_DETAIL: usize = 600;
