//! What the heads of requests and responses have in common.

use std::ops::Range;

use bytes::Bytes;
use http::{HeaderName, HeaderValue, StatusCode, Version};
use memchr::memchr_iter;
use smallvec::SmallVec;

/// The name and value of a field.
pub type Field<'m> = (&'m [u8], &'m [u8]);

/// The positions of the LF of each line of a head. They are found once for the whole head, because searching each short line
/// separately costs more than everything else that is done with it.
pub(crate) type LineEnds = SmallVec<[usize; USUAL_LINES]>;

/// The positions of all LF in a head.
pub(crate) fn line_ends(head: &[u8]) -> LineEnds {
    memchr_iter(b'\n', head).collect()
}

/// The ranges of the lines, without their line ends, up to the empty line.
pub(crate) fn lines<'h>(
    head: &'h [u8],
    ends: &'h [usize],
) -> impl Iterator<Item = Range<usize>> + 'h {
    let mut start = 0;
    let lines = ends.iter().map(move |end| {
        let line = start..*end;
        start = end + 1;
        match head[line.clone()] {
            [.., b'\r'] => line.start..line.end - 1,
            _ => line,
        }
    });
    lines.take_while(|line| !line.is_empty())
}

/// Reads the name and value of each field in lines as [`write_field`](crate::write_field) writes them.
pub fn read_fields(lines: &[u8]) -> impl Iterator<Item = Field<'_>> {
    let lines = lines.split(|byte| *byte == b'\n');
    lines.filter_map(|line| field_line(line.strip_suffix(b"\r").unwrap_or(line)))
}

/// The field in a line of `head`; its value is a slice of `head`.
pub(crate) fn read_field(head: &Bytes, line: &[u8]) -> Option<(HeaderName, HeaderValue)> {
    let (name, value) = field_line(line)?;
    let value = HeaderValue::from_maybe_shared(head.slice_ref(value)).ok()?;
    Some((field_name(name)?, value))
}

/// The positions of the name's end and of the trimmed value in a field line. Both consist of what RFC 9110 §5 allows: a token, and
/// visible characters, blanks between them and bytes beyond ASCII. So a name has no blank before its colon, and no line is
/// folded into the next.
pub(crate) fn field_places(line: &[u8]) -> Option<(usize, Range<usize>)> {
    let colon = line.iter().position(|byte| !TOKEN[usize::from(*byte)])?;
    let value = trimmed(line, colon + 1);
    let is_field = colon > 0 && line[colon] == b':' && is_text(&line[value.clone()]);
    is_field.then_some((colon, value))
}

/// The name and trimmed value of a field line. Their types, or [`is_field`], check the characters.
pub(crate) fn field_line(line: &[u8]) -> Option<Field<'_>> {
    // Names are so short that this takes half the time of memchr.
    let colon = line.iter().position(|byte| *byte == b':')?;
    Some((&line[..colon], &line[trimmed(line, colon + 1)]))
}

/// The range of a line from `start` on, without blanks at both ends.
fn trimmed(line: &[u8], start: usize) -> Range<usize> {
    let is_blank = |byte: &u8| matches!(byte, b' ' | b'\t');
    let (mut start, mut end) = (start, line.len());
    while start < end && is_blank(&line[start]) {
        start += 1;
    }
    while start < end && is_blank(&line[end - 1]) {
        end -= 1;
    }
    start..end
}

/// Whether name and value consist of what RFC 9110 §5 allows: a token, and visible characters, blanks between them and bytes
/// beyond ASCII. So a name has no blank before its colon, and no line is folded into the next.
pub(crate) fn is_field(name: &[u8], value: &[u8]) -> bool {
    // The loops have no early exit, so that they vectorize.
    let is_token = name
        .iter()
        .fold(true, |token, byte| token & TOKEN[usize::from(*byte)]);
    !name.is_empty() && is_token && is_text(value)
}

/// Whether a text consists of visible characters, blanks, and bytes beyond ASCII.
pub(crate) fn is_text(text: &[u8]) -> bool {
    text.iter().fold(true, |is_text, byte| {
        is_text & (*byte >= b' ' && *byte != 0x7f || *byte == b'\t')
    })
}

/// Which bytes may be in a token (RFC 9110 §5.6.2).
static TOKEN: [bool; 256] = {
    let mut is_token = [false; 256];
    let mut byte = 0_u8;
    while byte < 128 {
        is_token[byte as usize] = byte.is_ascii_alphanumeric();
        byte += 1;
    }
    let others = b"!#$%&'*+-.^_`|~";
    let mut index = 0;
    while index < others.len() {
        is_token[others[index] as usize] = true;
        index += 1;
    }
    is_token
};

/// The name of a field. Names that `http` does not know take an allocation each, so [`USUAL_NAMES`] has those that browsers and
/// proxies always send.
fn field_name(name: &[u8]) -> Option<HeaderName> {
    if let Some(b's' | b'S' | b'x' | b'X') = name.first()
        && let Some(usual) = usual_name(name)
    {
        return Some(usual.clone());
    }
    HeaderName::from_bytes(name).ok()
}

fn usual_name(name: &[u8]) -> Option<&'static HeaderName> {
    let mut usual = USUAL_NAMES.iter();
    usual.find(|usual| usual.as_str().as_bytes().eq_ignore_ascii_case(name))
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

/// The elements of a comma-separated list, such as a value of `Connection` (RFC 9110 §5.6.1). Elements may be empty.
pub fn options(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    let elements = value.split(|byte| *byte == b',');
    elements.map(<[u8]>::trim_ascii)
}

/// What the `Connection` fields of a head say about how long the connection lasts (RFC 9112 §9.3).
#[derive(Debug, Default)]
pub(crate) struct ConnectionOptions {
    close: bool,
    keep_alive: bool,
    /// Whether there are other options, which are names of fields.
    pub(crate) nominate: bool,
}

impl ConnectionOptions {
    /// Notes the options in a value of `Connection`.
    pub(crate) fn note(&mut self, value: &[u8]) {
        for option in options(value) {
            if option.eq_ignore_ascii_case(b"keep-alive") {
                self.keep_alive = true;
            } else if option.eq_ignore_ascii_case(b"close") {
                self.close = true;
            } else {
                self.nominate |= !option.is_empty();
            }
        }
    }

    /// Whether the connection stays open after a message of this version.
    pub(crate) fn keeps_open(&self, version: Version) -> bool {
        !self.close && (version == Version::HTTP_11 || self.keep_alive)
    }
}

/// The fields that belong to a message's connection and must not be forwarded (RFC 9110 §7.6.1): those that its `Connection`
/// names, and those that are hop-by-hop by definition. That includes framing, because a forwarded body is framed again, and
/// `Expect`, which is written again if the client still waits.
#[derive(Debug)]
pub struct HopByHop<'m> {
    nominated: SmallVec<[&'m [u8]; USUALLY_NOMINATED]>,
}

impl<'m> HopByHop<'m> {
    /// The hop-by-hop fields of a message with these values of `Connection`.
    pub fn of(connection: impl IntoIterator<Item = &'m [u8]>) -> Self {
        let values = connection.into_iter();
        let nominated = values.flat_map(options).filter(|name| {
            // A client that names `Host` here would change what the upstream answers, not how the connection is used. The
            // usual options are not names of fields that could be present.
            let others: [&[u8]; 4] = [b"", b"close", b"host", b"keep-alive"];
            !others.iter().any(|other| other.eq_ignore_ascii_case(name))
        });
        Self {
            nominated: nominated.collect(),
        }
    }

    /// The fields that are hop-by-hop in every message.
    pub(crate) fn by_definition() -> Self {
        Self {
            nominated: SmallVec::new(),
        }
    }

    /// Whether a field with this name, in any case, must not be forwarded.
    pub fn contains(&self, name: &[u8]) -> bool {
        let mut nominated = self.nominated.iter();
        is_hop_by_hop(name) || nominated.any(|other| other.eq_ignore_ascii_case(name))
    }
}

/// Whether a field is hop-by-hop by definition. The length and the first letter rule out nearly every other name.
fn is_hop_by_hop(name: &[u8]) -> bool {
    let first = name.first().copied().unwrap_or_default();
    let letters = FIRST_LETTERS.get(name.len()).copied().unwrap_or_default();
    letters & letter(first) != 0
        && HOP_BY_HOP
            .iter()
            .any(|hop_by_hop| hop_by_hop.as_bytes().eq_ignore_ascii_case(name))
}

/// The fields that are hop-by-hop whatever `Connection` says.
const HOP_BY_HOP: [&str; 12] = [
    "connection",
    "content-length",
    "expect",
    "http2-settings",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// The first [letters](letter) of the names in [`HOP_BY_HOP`], by length.
static FIRST_LETTERS: [u32; 20] = {
    let mut letters = [0; 20];
    let mut index = 0;
    while index < HOP_BY_HOP.len() {
        let name = HOP_BY_HOP[index].as_bytes();
        letters[name.len()] |= letter(name[0]);
        index += 1;
    }
    letters
};

/// A bit for a letter in any case. Other bytes share the bits of letters.
const fn letter(byte: u8) -> u32 {
    1 << (byte & 31)
}

/// The number of lines for which no memory is allocated.
const USUAL_LINES: usize = 32;

/// The number of named fields for which no memory is allocated.
const USUALLY_NOMINATED: usize = 4;

/// Whether a response can have a body: a response to `HEAD` has none, nor has one with status 1xx, 204 or 304 (RFC 9112 §6.3).
pub fn has_body(to_head: bool, status: StatusCode) -> bool {
    let has_none = to_head
        || status.is_informational()
        || matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED);
    !has_none
}

/// The number in `1*DIGIT`, if it fits into 63 bits: many programs read a length as a signed number.
pub(crate) fn decimal(text: &[u8]) -> Option<u64> {
    let all_digits = !text.is_empty() && text.iter().all(u8::is_ascii_digit);
    let number = all_digits.then(|| std::str::from_utf8(text).ok()?.parse().ok());
    number
        .flatten()
        .filter(|number| *number <= i64::MAX.unsigned_abs())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_have_the_characters_that_other_libraries_accept() {
        for byte in 0..=u8::MAX {
            let name = [b'a', byte];
            let is_name = HeaderName::from_bytes(&name).is_ok();
            assert_eq!(is_field(&name, b""), is_name, "{byte} in a name");
            let value = [b'a', byte, b'b'];
            let is_value = HeaderValue::from_bytes(&value).is_ok();
            assert_eq!(is_field(b"a", &value), is_value, "{byte} in a value");
        }
        assert!(!is_field(b"", b"a"));
    }

    #[test]
    fn nominated_fields_are_hop_by_hop_except_host() {
        let hop_by_hop = HopByHop::of([&b"close, X-Hop , Host"[..], b"x-other,"]);
        for name in [
            "x-hop",
            "X-Other",
            "connection",
            "content-length",
            "Expect",
            "HTTP2-Settings",
            "Keep-Alive",
            "proxy-authenticate",
            "Proxy-Authorization",
            "proxy-connection",
            "TE",
            "Trailer",
            "Transfer-Encoding",
            "upgrade",
        ] {
            assert!(hop_by_hop.contains(name.as_bytes()), "{name}");
        }
        for name in [
            "host",
            "close",
            "x-hop2",
            "keep",
            "",
            "proxy-authorization-2",
        ] {
            assert!(!hop_by_hop.contains(name.as_bytes()), "{name}");
        }
    }
}
