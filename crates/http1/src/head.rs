//! What the heads of requests and answers have in common.

use bytes::Bytes;
use http::header::CONNECTION;
use http::{HeaderName, HeaderValue, StatusCode, Version};
use memchr::memchr;

/// The lines of a head, without their ends, up to the empty one.
pub(crate) struct Lines<'h>(&'h [u8]);

impl<'h> Lines<'h> {
    pub(crate) fn of(head: &'h [u8]) -> Self {
        Self(head)
    }
}

impl<'h> Iterator for Lines<'h> {
    type Item = &'h [u8];

    fn next(&mut self) -> Option<Self::Item> {
        let end = memchr(b'\n', self.0)?;
        let line = &self.0[..end];
        self.0 = &self.0[end + 1..];
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        (!line.is_empty()).then_some(line)
    }
}

/// The field of a line of `head`, its value a slice of that.
pub(crate) fn read_field(head: &Bytes, line: &[u8]) -> Option<(HeaderName, HeaderValue)> {
    let (name, value) = field_line(line)?;
    let value = HeaderValue::from_maybe_shared(head.slice_ref(value)).ok()?;
    Some((field_name(name)?, value))
}

/// Name and trimmed value of a field line that is neither folded nor indented and has a name right before its colon. What
/// a name and a value may be made of is for their types to say.
pub(crate) fn field_line(line: &[u8]) -> Option<(&[u8], &[u8])> {
    let colon = memchr(b':', line)?;
    let blank = |byte: &u8| matches!(byte, b' ' | b'\t');
    let (name, mut value) = (&line[..colon], &line[colon + 1..]);
    while let [first, rest @ ..] = value
        && blank(first)
    {
        value = rest;
    }
    while let [rest @ .., last] = value
        && blank(last)
    {
        value = rest;
    }
    Some((name, value))
}

/// The name of a field. Those that `http` does not know are each an allocation of their own; browsers and proxies send many
/// of them, and always the same.
fn field_name(name: &[u8]) -> Option<HeaderName> {
    let may_be_usual = matches!(name.first(), Some(b's' | b'S' | b'x' | b'X'));
    let mut usual = USUAL_NAMES.iter().filter(|_| may_be_usual);
    usual
        .find(|usual| usual.as_str().as_bytes().eq_ignore_ascii_case(name))
        .cloned()
        .or_else(|| HeaderName::from_bytes(name).ok())
}

static USUAL_NAMES: [HeaderName; 18] = [
    HeaderName::from_static("sec-ch-ua"),
    HeaderName::from_static("sec-ch-ua-mobile"),
    HeaderName::from_static("sec-ch-ua-platform"),
    HeaderName::from_static("sec-fetch-dest"),
    HeaderName::from_static("sec-fetch-mode"),
    HeaderName::from_static("sec-fetch-site"),
    HeaderName::from_static("sec-fetch-user"),
    HeaderName::from_static("x-forwarded-for"),
    HeaderName::from_static("x-forwarded-host"),
    HeaderName::from_static("x-forwarded-method"),
    HeaderName::from_static("x-forwarded-proto"),
    HeaderName::from_static("x-forwarded-uri"),
    HeaderName::from_static("x-original-method"),
    HeaderName::from_static("x-original-uri"),
    HeaderName::from_static("x-original-url"),
    HeaderName::from_static("x-real-ip"),
    HeaderName::from_static("x-request-id"),
    HeaderName::from_static("x-requested-with"),
];

/// What the `Connection` fields of a head say about how long the connection lasts (RFC 9112 §9.3).
#[derive(Debug, Default)]
pub(crate) struct ConnectionOptions {
    close: bool,
    keep_alive: bool,
}

impl ConnectionOptions {
    pub(crate) fn note(&mut self, name: &HeaderName, value: &HeaderValue) {
        if *name == CONNECTION {
            for option in value.as_bytes().split(|byte| *byte == b',') {
                let option = option.trim_ascii();
                self.close |= option.eq_ignore_ascii_case(b"close");
                self.keep_alive |= option.eq_ignore_ascii_case(b"keep-alive");
            }
        }
    }

    /// Whether the connection outlives a message of this version.
    pub(crate) fn outlives(&self, version: Version) -> bool {
        !self.close && (version == Version::HTTP_11 || self.keep_alive)
    }
}

/// Whether an answer has a body at all: it has none to `HEAD`, and with 1xx, 204 and 304 (RFC 9112 §6.3).
pub fn has_body(to_head: bool, status: StatusCode) -> bool {
    let has_none = to_head
        || status.is_informational()
        || matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED);
    !has_none
}

/// `1*DIGIT` that fits 64 bits.
pub(crate) fn decimal(text: &[u8]) -> Option<u64> {
    let all_digits = !text.is_empty() && text.iter().all(u8::is_ascii_digit);
    all_digits
        .then(|| std::str::from_utf8(text).ok()?.parse().ok())
        .flatten()
}
