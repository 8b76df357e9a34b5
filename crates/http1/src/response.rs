//! Response heads of an upstream, read as other clients read them.

use std::ops::Range;

use bytes::{Bytes, BytesMut};
use http::{StatusCode, Version};
use memchr::memchr_iter;

use crate::caching::Caching;
use crate::head::{
    ConnectionOptions, Field, HopByHop, LineEnds, decimal, field_places, has_body, is_text, lines,
    options,
};
use crate::{LARGEST_HEAD, Length, MOST_FIELDS, Violation, binds_connection};

/// A response's head. Its fields stay bytes, because most are forwarded unchanged: a map of them would take a tenth of the
/// instructions that forwarding a request takes.
#[derive(Debug)]
pub struct ResponseHead {
    /// The status code.
    pub status: StatusCode,
    /// Where the body ends.
    pub length: Length,
    /// Whether the connection can carry another request after this one.
    pub persistent: bool,
    /// Whether it has a `Date` field.
    pub has_date: bool,
    /// Whether its fields let a shared cache keep it: they call it public, or give it a lifetime and do not call it private.
    pub is_for_shared_caches: bool,
    /// For how many seconds the server keeps an idle connection, if it says so (`Keep-Alive: timeout=5`).
    pub keep_alive: Option<u32>,
    /// Whether its `Connection` field names other fields.
    nominates: bool,
    head: Bytes,
    /// The end of the status line in `head`.
    status_end: usize,
    fields: Vec<FieldPlace>,
}

/// The position of a field in a head.
#[derive(Debug)]
struct FieldPlace {
    name: Range<usize>,
    value: Range<usize>,
}

impl FieldPlace {
    fn of(head: &[u8], line: Range<usize>) -> Option<Self> {
        let start = line.start;
        let (name_end, value) = field_places(&head[line])?;
        Some(Self {
            name: start..start + name_end,
            value: start + value.start..start + value.end,
        })
    }
}

impl ResponseHead {
    /// Name and value of each field, in the order received, with the name in its original spelling and case.
    pub fn fields(&self) -> impl Iterator<Item = Field<'_>> {
        let of = |place: &Range<usize>| &self.head[place.clone()];
        let fields = self.fields.iter();
        fields.map(move |field| (of(&field.name), of(&field.value)))
    }

    /// The reason phrase of the status line, as received; the canonical phrase where the received one cannot be written again.
    pub fn reason(&self) -> &[u8] {
        let line = &self.head[..self.status_end];
        let reason = line.get(STATUS_END + 1..).unwrap_or_default();
        match is_text(reason) {
            true => reason,
            false => self
                .status
                .canonical_reason()
                .unwrap_or_default()
                .as_bytes(),
        }
    }

    /// The fields that must not be forwarded.
    pub fn hop_by_hop(&self) -> HopByHop<'_> {
        if self.nominates {
            HopByHop::of(self.values("connection"))
        } else {
            HopByHop::by_definition()
        }
    }

    /// Whether the response asks for credentials of a scheme that authenticates the connection (see [`binds_connection`]).
    pub fn binds_connection(&self) -> bool {
        let mut challenges = self.values("www-authenticate");
        self.status == StatusCode::UNAUTHORIZED && challenges.any(binds_connection)
    }

    /// The values of the fields with this name.
    pub fn values(&self, name: &str) -> impl Iterator<Item = &[u8]> {
        let fields = self.fields();
        let named = fields.filter(move |(other, _)| other.eq_ignore_ascii_case(name.as_bytes()));
        named.map(|(_, value)| value)
    }
}

/// Takes the head of a response from the front of `input`; `None` when the head is incomplete. `is_head` says whether the request
/// was `HEAD`. Lines may end with LF alone (RFC 9112 §2.2).
///
/// # Errors
///
/// [`Violation`] when the bytes are not the head of a response, or when it is unclear where the body ends.
pub fn read_response(
    input: &mut BytesMut,
    is_head: bool,
) -> Result<Option<ResponseHead>, Violation> {
    let mut ends = LineEnds::new();
    let Some(end) = find_end(input, &mut ends) else {
        if input.len() >= LARGEST_HEAD {
            return Err(Violation::TooLarge);
        }
        // A server that uses another protocol may wait for our reply, and never send the rest.
        let begins = input
            .iter()
            .zip(b"HTTP/1.")
            .all(|(byte, wanted)| byte == wanted);
        return match begins {
            true => Ok(None),
            false => Err(Violation::ResponseHead),
        };
    };
    if end > LARGEST_HEAD {
        return Err(Violation::TooLarge);
    }
    let head = input.split_to(end).freeze();
    let mut lines = lines(&head, &ends);
    let status_line = lines.next().unwrap_or_default();
    let status_end = status_line.end;
    let (version, status) = parse_status_line(&head[status_line]).ok_or(Violation::ResponseHead)?;
    let mut framing = ResponseFraming::default();
    let mut fields = Vec::with_capacity(ends.len());
    for line in lines {
        let field = FieldPlace::of(&head, line).ok_or(Violation::ResponseHead)?;
        if fields.len() == MOST_FIELDS {
            return Err(Violation::TooLarge);
        }
        framing.note(&head[field.name.clone()], &head[field.value.clone()]);
        fields.push(field);
    }
    let length = match has_body(is_head, status) {
        true => framing.length?.unwrap_or(Length::UntilClose),
        false => Length::NONE,
    };
    // RFC 9112 §6.1: HTTP/1.0 has no codings, so a sender that uses one there may mean another end of the body.
    let is_faulty = version == Version::HTTP_10 && framing.has_coding;
    let persistent =
        framing.options.keeps_open(version) && length != Length::UntilClose && !is_faulty;
    Ok(Some(ResponseHead {
        status,
        length,
        persistent,
        has_date: framing.has_date,
        is_for_shared_caches: framing.caching.is_for_shared_caches(),
        keep_alive: framing.keep_alive,
        nominates: framing.options.nominate,
        fields,
        status_end,
        head,
    }))
}

/// The end of the first empty line that is not the first line. Adds the ends of all lines up to there to `ends`.
fn find_end(input: &[u8], ends: &mut LineEnds) -> Option<usize> {
    memchr_iter(b'\n', input)
        .inspect(|end| ends.push(*end))
        .find(|end| matches!(input[..*end], [.., b'\n'] | [.., b'\n', b'\r']))
        .map(|end| end + 1)
}

/// `HTTP/1.x SP 3DIGIT [ SP reason ]` (RFC 9112 §4).
fn parse_status_line(line: &[u8]) -> Option<(Version, StatusCode)> {
    let (version, rest) = line.split_at_checked(9)?;
    let version = match version {
        b"HTTP/1.0 " => Version::HTTP_10,
        // A higher minor version is read as the highest that is known (RFC 9110 §2.5).
        [b'H', b'T', b'T', b'P', b'/', b'1', b'.', b'1'..=b'9', b' '] => Version::HTTP_11,
        _ => return None,
    };
    let (code, reason) = rest.split_at_checked(3)?;
    let has_end = matches!(reason.first(), None | Some(b' '));
    let status = StatusCode::from_bytes(code).ok().filter(|_| has_end)?;
    Some((version, status))
}

/// What the fields of a head say about the end of the body and about the connection.
#[derive(Debug)]
struct ResponseFraming {
    length: Result<Option<Length>, Violation>,
    has_coding: bool,
    has_date: bool,
    caching: Caching,
    keep_alive: Option<u32>,
    options: ConnectionOptions,
}

impl Default for ResponseFraming {
    fn default() -> Self {
        Self {
            length: Ok(None),
            has_coding: false,
            has_date: false,
            caching: Caching::default(),
            keep_alive: None,
            options: ConnectionOptions::default(),
        }
    }
}

impl ResponseFraming {
    fn note(&mut self, name: &[u8], value: &[u8]) {
        if name.eq_ignore_ascii_case(b"connection") {
            self.options.note(value);
        } else if name.eq_ignore_ascii_case(b"date") {
            self.has_date = true;
        } else if self.caching.note(name, value) {
        } else if name.eq_ignore_ascii_case(b"keep-alive") {
            let timeout = options(value).find_map(keep_alive_timeout);
            self.keep_alive = timeout.or(self.keep_alive);
        } else if let Ok(known) = self.length {
            if name.eq_ignore_ascii_case(b"content-length") {
                self.length = with_length(known, value);
            } else if name.eq_ignore_ascii_case(b"transfer-encoding") {
                self.has_coding = true;
                self.length = with_coding(known, value);
            }
        }
    }
}

/// The seconds in a parameter of `Keep-Alive`, if it is `timeout` (RFC 2068 §19.7.1.1; Node and Apache send it).
fn keep_alive_timeout(parameter: &[u8]) -> Option<u32> {
    let (name, value) = parameter.split_at_checked(b"timeout=".len())?;
    let seconds = name
        .eq_ignore_ascii_case(b"timeout=")
        .then(|| decimal(value))?;
    seconds.map(|seconds| u32::try_from(seconds).unwrap_or(u32::MAX))
}

/// Adds a `Content-Length`. The same length may occur twice, and a coding takes precedence.
fn with_length(known: Option<Length>, value: &[u8]) -> Result<Option<Length>, Violation> {
    let length = decimal(value).ok_or(Violation::ContentLength)?;
    match known {
        Some(Length::Exactly(other)) if other != length => Err(Violation::TwoLengths),
        Some(Length::Chunked) => Ok(known),
        Some(Length::Exactly(_) | Length::UntilClose) | None => Ok(Some(Length::Exactly(length))),
    }
}

/// Adds a `Transfer-Encoding`, which must be `chunked`: any other coding would have to be decoded before forwarding.
fn with_coding(known: Option<Length>, value: &[u8]) -> Result<Option<Length>, Violation> {
    let is_chunked = value.eq_ignore_ascii_case(b"chunked");
    if is_chunked && known != Some(Length::Chunked) {
        Ok(Some(Length::Chunked))
    } else {
        Err(Violation::TransferEncoding)
    }
}

/// The end of the status code in the status line.
const STATUS_END: usize = "HTTP/1.1 200".len();

#[cfg(test)]
mod tests;
