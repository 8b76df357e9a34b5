//! Request heads, accepted in only one spelling (RFC 9112 §2.2, §3, §5, §6).

use bytes::{Buf, Bytes, BytesMut};
use http::header::{CONNECTION, CONTENT_LENGTH, EXPECT, TRANSFER_ENCODING};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Version};
use memchr::{memchr, memchr_iter};

use crate::head::{ConnectionOptions, LineEnds, decimal, is_field, line_ends, lines, read_field};
use crate::target::{self, is_target_byte};
use crate::{HeadLimits, Length, Violation};

/// Reads the request heads on one connection, as their bytes arrive.
#[derive(Debug, Default)]
pub struct RequestReader {
    limits: HeadLimits,
    /// How many bytes of the input have been searched for the end of the head. No byte is searched twice, however small the
    /// pieces in which the input arrives.
    scanned: usize,
    /// Whether the first line is complete.
    has_line: bool,
    /// Whether the first line was found to be a request line.
    checked: bool,
    /// Whether the one empty line that may precede a request was skipped.
    skipped: bool,
}

/// A request's head, and what it says about its connection.
#[derive(Debug)]
pub struct RequestHead {
    /// The head, and where the body ends. Boxed, because it is moved often.
    pub request: Box<Request<Length>>,
    /// Whether the client can send another request after this one.
    pub persistent: bool,
    /// Whether the client waits for `100 Continue` before it sends its body.
    pub expects_continue: bool,
}

impl RequestReader {
    /// A reader with these limits.
    pub fn new(limits: HeadLimits) -> Self {
        Self {
            limits,
            ..Self::default()
        }
    }

    /// Takes the next request's head from the front of `input`; `None` when the head is incomplete. The result consists of slices
    /// of `input`, not of copies.
    ///
    /// # Errors
    ///
    /// [`Violation`], as soon as the bytes show one, so that a client that uses another protocol is refused without waiting.
    pub fn read(&mut self, input: &mut BytesMut) -> Result<Option<RequestHead>, Violation> {
        // RFC 9112 §2.2: a server should ignore at least one empty line before a request.
        if !self.skipped && input.starts_with(b"\r\n") {
            input.advance(2);
            self.skipped = true;
        }
        let mut ends = LineEnds::new();
        let is_first_look = self.scanned == 0;
        match self.find_end(input, &mut ends)? {
            Some(end) if end <= self.limits.bytes => {
                *self = Self::new(self.limits);
                let head = input.split_to(end).freeze();
                if !is_first_look {
                    ends = line_ends(&head);
                }
                parse(&head, &ends, self.limits.fields).map(Some)
            }
            None if input.len() < self.limits.bytes => {
                self.check_beginning(input)?;
                Ok(None)
            }
            Some(_) | None if !is_line_in(&input[..self.limits.bytes]) => {
                Err(Violation::TargetTooLong)
            }
            Some(_) | None => Err(Violation::TooLarge),
        }
    }

    /// The end of the empty line that ends a head. Every line must end with CR LF; the ends of new lines are added to `ends`.
    fn find_end(&mut self, input: &[u8], ends: &mut LineEnds) -> Result<Option<usize>, Violation> {
        let from = self.scanned;
        for end in memchr_iter(b'\n', &input[from..]).map(|at| from + at) {
            ends.push(end);
            match input[..end] {
                [.., b'\n', b'\r'] => return Ok(Some(end + 1)),
                [_, .., b'\r'] => self.has_line = true,
                _ if self.has_line => return Err(Violation::FieldLine),
                _ => return Err(Violation::RequestLine),
            }
        }
        // A lone CR may belong to the empty line that is still to be skipped.
        self.scanned = if input == b"\r" { 0 } else { input.len() };
        Ok(None)
    }

    /// Checks that an incomplete head can be the beginning of a request.
    fn check_beginning(&mut self, input: &[u8]) -> Result<(), Violation> {
        match input {
            _ if self.checked => {}
            [] => {}
            _ if HTTP2_PREFACE.starts_with(input) => {}
            [b'\r'] if !self.skipped => {}
            [first, ..] if !first.is_ascii_graphic() => return Err(Violation::RequestLine),
            _ if self.has_line => {
                let end = memchr(b'\n', input).ok_or(Violation::RequestLine)?;
                request_line(&input[..end - 1])?;
                self.checked = true;
            }
            _ => {}
        }
        Ok(())
    }
}

fn parse(head: &Bytes, ends: &[usize], most_fields: usize) -> Result<RequestHead, Violation> {
    read_head(head, ends, most_fields).map_err(|violation| match **head == *HTTP2_PREFACE {
        true => Violation::Http2,
        false => violation,
    })
}

fn read_head(head: &Bytes, ends: &[usize], most_fields: usize) -> Result<RequestHead, Violation> {
    // Every line is known to end with CR LF.
    let mut lines = lines(head, ends);
    let (method, target, version) = request_line(&head[lines.next().unwrap_or_default()])?;
    let mut request = Box::new(Request::new(Length::NONE));
    *request.method_mut() = Method::from_bytes(method).map_err(|_| Violation::RequestLine)?;
    let (uri, raw_target) = target::read(head, target).ok_or(Violation::RequestLine)?;
    *request.uri_mut() = uri;
    if let Some(raw_target) = raw_target {
        request.extensions_mut().insert(raw_target);
    }
    *request.version_mut() = version;
    let mut headers = HeaderMap::with_capacity(TYPICAL_FIELDS);
    let mut framing = RequestFraming::default();
    for line in lines {
        let (name, value) = read_field(head, &head[line]).ok_or(Violation::FieldLine)?;
        if headers.len() == most_fields {
            return Err(Violation::TooLarge);
        }
        framing.note(&name, &value, version)?;
        headers.append(name, value);
    }
    *request.headers_mut() = headers;
    *request.body_mut() = framing.length.unwrap_or(Length::NONE);
    Ok(RequestHead {
        request,
        persistent: framing.options.keeps_open(version),
        expects_continue: framing.expects && version == Version::HTTP_11,
    })
}

/// What the fields of a head say about the message and its connection.
#[derive(Debug, Default)]
struct RequestFraming {
    length: Option<Length>,
    options: ConnectionOptions,
    expects: bool,
}

impl RequestFraming {
    /// Notes what a field says about where the body ends (RFC 9112 §6.3). Only one field may say so, and only once.
    fn note(
        &mut self,
        name: &HeaderName,
        value: &HeaderValue,
        version: Version,
    ) -> Result<(), Violation> {
        let length = if *name == CONTENT_LENGTH {
            decimal(value.as_bytes())
                .map(Length::Exactly)
                .ok_or(Violation::ContentLength)
        } else if *name == TRANSFER_ENCODING {
            match value.as_bytes() {
                _ if version != Version::HTTP_11 => Err(Violation::TransferEncoding),
                value if value.eq_ignore_ascii_case(b"chunked") => Ok(Length::Chunked),
                value if has_unknown_coding(value) => Err(Violation::UnknownCoding),
                _ => Err(Violation::TransferEncoding),
            }
        } else {
            if *name == CONNECTION {
                self.options.note(value.as_bytes());
            }
            self.expects |= *name == EXPECT;
            return Ok(());
        };
        if self.length.is_some() {
            return Err(Violation::TwoLengths);
        }
        self.length = Some(length?);
        Ok(())
    }
}

/// Method, target and version of `method SP request-target SP HTTP/1.x`, in exactly this form; the target has no control byte, no
/// blank and no fragment.
fn request_line(line: &[u8]) -> Result<(&[u8], &[u8], Version), Violation> {
    let (method, rest) = split(line).ok_or(Violation::RequestLine)?;
    let (target, version) = split(rest).ok_or(Violation::RequestLine)?;
    if method.is_empty() || target.is_empty() || !target.iter().all(is_target_byte) {
        return Err(Violation::RequestLine);
    }
    match version {
        b"HTTP/1.0" => Ok((method, target, Version::HTTP_10)),
        // A higher minor version is read as the highest that is known (RFC 9110 §2.5).
        [b'H', b'T', b'T', b'P', b'/', b'1', b'.', b'1'..=b'9'] => {
            Ok((method, target, Version::HTTP_11))
        }
        _ => Err(Violation::RequestLine),
    }
}

/// Whether a line ends in the input.
fn is_line_in(input: &[u8]) -> bool {
    memchr(b'\n', input).is_some()
}

/// Whether a value of `Transfer-Encoding` is a list of codings (RFC 9112 §7) with one other than `chunked`, where `chunked` may
/// only be the last.
fn has_unknown_coding(value: &[u8]) -> bool {
    let mut codings = value.split(|byte| *byte == b',').map(<[u8]>::trim_ascii);
    let is_chunked = |coding: &[u8]| coding.eq_ignore_ascii_case(b"chunked");
    let last = codings.next_back().unwrap_or_default();
    let first = codings.clone().next();
    let is_known = first.is_none() && is_chunked(last);
    let mut others = codings.clone();
    is_field(last, b"")
        && !is_known
        && others.all(|coding| is_field(coding, b"") && !is_chunked(coding))
}

/// The parts before and after the first space.
fn split(line: &[u8]) -> Option<(&[u8], &[u8])> {
    let space = memchr(b' ', line)?;
    Some((&line[..space], &line[space + 1..]))
}

/// The part of HTTP/2's connection preface that looks like a request (RFC 9113 §3.4).
pub const HTTP2_PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\n";

/// Capacity for the fields that a browser sends and those that the gate adds, so that a head takes one allocation for names and
/// one for their index.
const TYPICAL_FIELDS: usize = 24;

#[cfg(test)]
mod tests;
