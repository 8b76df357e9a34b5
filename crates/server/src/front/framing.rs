//! Strict HTTP/1.1 message framing (RFC 9112), checked on the bytes before the HTTP library reads them.
//!
//! Request smuggling lives where two parsers disagree about where a message ends. hyper is careful, but lenient in
//! places: it accepts bare LF line ends, Content-Length beside Transfer-Encoding, equal duplicates of
//! Content-Length, white space in chunk sizes, and it drops a `#fragment` before anyone can see it. [`Framing`] reads
//! along, accepts one spelling of everything, and names the first byte that is not part of it.

use memchr::{memchr, memchr3};

/// Follows the framing of the requests on one connection.
#[derive(Debug, Default)]
pub(crate) struct Framing {
    state: State,
    head: Head,
    /// The part of the current line that came with earlier reads.
    line: Vec<u8>,
}

/// What a connection carries next.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    /// A line of a request's head.
    #[default]
    Head,
    /// This many bytes of a body with a Content-Length.
    Body { left: u64 },
    /// The line that gives a chunk's size.
    ChunkSize,
    /// This many bytes of a chunk.
    Chunk { left: u64 },
    /// The line end after a chunk.
    ChunkEnd,
    /// A line of the trailer section.
    Trailer,
    /// Nothing any more: the bytes are not HTTP as we accept it.
    Refused,
}

/// What the lines of a head said so far.
#[derive(Debug, Default)]
struct Head {
    lines: usize,
    empty_lines: usize,
    is_http_10: bool,
    content_length: Option<u64>,
    chunked: bool,
}

/// Where a connection stands, as far as patience with the client goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    /// Between two requests.
    Between,
    /// Inside a head.
    Head,
    /// Inside a body.
    Body,
}

/// Why bytes were refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Violation {
    BadChunk,
    BadContentLength,
    BadLine,
    BadRequestLine,
    BadTransferEncoding,
    TwoLengths,
}

impl Framing {
    /// Follows the next bytes.
    ///
    /// # Errors
    ///
    /// A [`Violation`] and the offset before which everything is good; nothing after it may be believed.
    pub(crate) fn follow(&mut self, bytes: &[u8]) -> Result<(), (Violation, usize)> {
        let mut at = 0;
        while at < bytes.len() {
            let rest = &bytes[at..];
            at += match self.state {
                State::Body { left } => {
                    self.skip(left, rest, |left| State::Body { left }, State::Head)
                }
                State::Chunk { left } => {
                    self.skip(left, rest, |left| State::Chunk { left }, State::ChunkEnd)
                }
                State::ChunkEnd | State::ChunkSize | State::Head | State::Trailer => {
                    self.take_line(rest).map_err(|violation| (violation, at))?
                }
                State::Refused => return Err((Violation::BadLine, at)),
            };
        }
        Ok(())
    }

    /// Where the connection stands.
    pub(crate) fn phase(&self) -> Phase {
        match self.state {
            State::Head if self.head.lines == 0 && self.line.is_empty() => Phase::Between,
            State::Head => Phase::Head,
            State::Body { .. }
            | State::Chunk { .. }
            | State::ChunkEnd
            | State::ChunkSize
            | State::Trailer => Phase::Body,
            State::Refused => Phase::Between,
        }
    }

    fn skip(&mut self, left: u64, rest: &[u8], more: impl Fn(u64) -> State, done: State) -> usize {
        let taken = usize::try_from(left).unwrap_or(usize::MAX).min(rest.len());
        let left = left - taken as u64;
        self.state = if left == 0 { done } else { more(left) };
        taken
    }

    /// Reads a line, or keeps the beginning of one for later.
    fn take_line(&mut self, rest: &[u8]) -> Result<usize, Violation> {
        let result = self.read_line(rest);
        if result.is_err() {
            self.state = State::Refused;
        }
        result
    }

    fn read_line(&mut self, rest: &[u8]) -> Result<usize, Violation> {
        let Some(end) = memchr(b'\n', rest) else {
            if self.line.len() + rest.len() > LONGEST_LINE {
                return Err(Violation::BadLine);
            }
            self.line.extend_from_slice(rest);
            return Ok(rest.len());
        };
        if self.line.is_empty() {
            self.read(&rest[..end])?;
        } else {
            let mut line = std::mem::take(&mut self.line);
            line.extend_from_slice(&rest[..end]);
            self.read(&line)?;
        }
        Ok(end + 1)
    }

    /// Reads a whole line, without its LF.
    fn read(&mut self, line: &[u8]) -> Result<(), Violation> {
        let [line @ .., b'\r'] = line else {
            return Err(Violation::BadLine);
        };
        if memchr3(b'\r', 0, 0x0b, line).is_some() {
            return Err(Violation::BadLine);
        }
        self.state = match self.state {
            State::Head => self.head_line(line)?,
            State::ChunkSize => match chunk_size(line).ok_or(Violation::BadChunk)? {
                0 => State::Trailer,
                left => State::Chunk { left },
            },
            State::ChunkEnd if line.is_empty() => State::ChunkSize,
            State::Trailer if line.is_empty() => State::Head,
            State::Trailer if field_value(line).is_some() => State::Trailer,
            State::Trailer => return Err(Violation::BadLine),
            State::Body { .. } | State::Chunk { .. } | State::ChunkEnd | State::Refused => {
                return Err(Violation::BadChunk);
            }
        };
        Ok(())
    }

    fn head_line(&mut self, line: &[u8]) -> Result<State, Violation> {
        let head = &mut self.head;
        if line.is_empty() {
            if head.lines > 0 {
                return std::mem::take(head).body();
            }
            // RFC 9112 §2.2: a server should ignore at least one empty line before a request.
            head.empty_lines += 1;
            return if head.empty_lines > 1 {
                Err(Violation::BadLine)
            } else {
                Ok(State::Head)
            };
        }
        if head.lines == 0 {
            head.is_http_10 = request_line(line)?;
        } else {
            head.field_line(line)?;
        }
        head.lines += 1;
        Ok(State::Head)
    }
}

impl Head {
    fn field_line(&mut self, line: &[u8]) -> Result<(), Violation> {
        // The name's other bytes are the library's to check: it agrees with us on where the line ends.
        let (name, value) = field_value(line).ok_or(Violation::BadLine)?;
        if name.eq_ignore_ascii_case(b"content-length") {
            if self.content_length.is_some() || self.chunked {
                return Err(Violation::TwoLengths);
            }
            self.content_length = Some(decimal(value).ok_or(Violation::BadContentLength)?);
        } else if name.eq_ignore_ascii_case(b"transfer-encoding") {
            if self.content_length.is_some() || self.chunked {
                return Err(Violation::TwoLengths);
            }
            if !value.eq_ignore_ascii_case(b"chunked") || self.is_http_10 {
                return Err(Violation::BadTransferEncoding);
            }
            self.chunked = true;
        }
        Ok(())
    }

    /// What follows the head.
    fn body(self) -> Result<State, Violation> {
        Ok(match self.content_length {
            _ if self.chunked => State::ChunkSize,
            None | Some(0) => State::Head,
            Some(left) => State::Body { left },
        })
    }
}

/// `method SP request-target SP HTTP/1.x`, exactly; the target is visible ASCII without a fragment. Says whether the
/// version is 1.0.
fn request_line(line: &[u8]) -> Result<bool, Violation> {
    let mut parts = line.split(|byte| *byte == b' ');
    let (Some(method), Some(target), Some(version), None) =
        (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return Err(Violation::BadRequestLine);
    };
    let plain = target
        .iter()
        .all(|byte| byte.is_ascii_graphic() && *byte != b'#');
    if method.is_empty() || target.is_empty() || !plain {
        return Err(Violation::BadRequestLine);
    }
    match version {
        b"HTTP/1.1" => Ok(false),
        b"HTTP/1.0" => Ok(true),
        _ => Err(Violation::BadRequestLine),
    }
}

/// Name and trimmed value of a field line that is neither folded nor indented and has a name right before its colon.
fn field_value(line: &[u8]) -> Option<(&[u8], &[u8])> {
    let colon = memchr(b':', line)?;
    let (name, value) = (&line[..colon], &line[colon + 1..]);
    let blank = |byte: &u8| matches!(byte, b' ' | b'\t');
    if name.is_empty() || name.iter().any(blank) {
        return None;
    }
    let start = value
        .iter()
        .position(|byte| !blank(byte))
        .unwrap_or(value.len());
    let end = value
        .iter()
        .rposition(|byte| !blank(byte))
        .map_or(start, |last| last + 1);
    Some((name, &value[start..end]))
}

/// `1*DIGIT` that fits 64 bits.
fn decimal(text: &[u8]) -> Option<u64> {
    let all_digits = !text.is_empty() && text.iter().all(u8::is_ascii_digit);
    all_digits
        .then(|| std::str::from_utf8(text).ok()?.parse().ok())
        .flatten()
}

/// `1*HEXDIG [ ";" extension ]`; the size fits 64 bits and the extension is short.
fn chunk_size(line: &[u8]) -> Option<u64> {
    let (size, extension) = match memchr(b';', line) {
        Some(semicolon) => (&line[..semicolon], &line[semicolon + 1..]),
        None => (line, &[][..]),
    };
    let all_hex = matches!(size.len(), 1..=16) && size.iter().all(u8::is_ascii_hexdigit);
    if !all_hex
        || extension.len() > LONGEST_CHUNK_EXTENSION
        || extension.iter().any(|byte| byte.is_ascii_control())
    {
        return None;
    }
    u64::from_str_radix(std::str::from_utf8(size).ok()?, 16).ok()
}

/// No longer than the largest head that the HTTP library buffers.
const LONGEST_LINE: usize = 64 * 1024;

/// Nothing uses chunk extensions; a long one is an attempt to make somebody buffer it.
const LONGEST_CHUNK_EXTENSION: usize = 256;

#[cfg(test)]
mod tests {
    use super::*;

    /// Follows the bytes whole and byte by byte; both must agree.
    fn follow(bytes: &[u8]) -> Result<State, Violation> {
        let mut whole = Framing::default();
        let result = whole
            .follow(bytes)
            .map(|()| whole.state)
            .map_err(|(violation, _)| violation);
        let mut pieces = Framing::default();
        let piecewise = bytes
            .iter()
            .try_for_each(|byte| pieces.follow(&[*byte]))
            .map(|()| pieces.state);
        assert_eq!(
            result,
            piecewise.map_err(|(violation, _)| violation),
            "the same in one read and in many"
        );
        result
    }

    fn request(lines: &str, body: &str) -> Vec<u8> {
        format!("POST / HTTP/1.1\r\nHost: a\r\n{lines}\r\n{body}").into_bytes()
    }

    #[test]
    fn one_spelling_of_each_framing_is_followed_to_its_end() {
        for bytes in [
            &b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"[..],
            b"\r\nGET / HTTP/1.0\r\n\r\n",
            b"OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n",
            &request("Content-Length: 5\r\n", "hello"),
            &request("Content-Length: \t5 \r\n", "hello"),
            &request("Content-Length: 0\r\n", ""),
            &request("Transfer-Encoding: Chunked\r\n", "5\r\nhello\r\n0\r\n\r\n"),
            &request(
                "Transfer-Encoding: chunked\r\n",
                "005;a=b\r\nhello\r\n0\r\nX-T: v\r\n\r\nGET / HTTP/1.1\r\n\r\n",
            ),
        ] {
            assert_eq!(follow(bytes), Ok(State::Head), "{}", bytes.escape_ascii());
        }
    }

    #[test]
    fn every_other_spelling_is_refused() {
        use Violation::{
            BadChunk, BadContentLength, BadLine, BadRequestLine, BadTransferEncoding, TwoLengths,
        };
        for (bytes, violation) in [
            (&b"GET / HTTP/1.1\nHost: a\r\n\r\n"[..], BadLine),
            (b"GET / HTTP/1.1\r\nHost: a\n\r\n", BadLine),
            (b"GET / HTTP/1.1\r\nHost: a\rb\r\n\r\n", BadLine),
            (b"GET / HTTP/1.1\r\nHost: a\0\r\n\r\n", BadLine),
            (b"GET / HTTP/1.1\r\nHost: a\r\n folded\r\n\r\n", BadLine),
            (b"GET / HTTP/1.1\r\nHost : a\r\n\r\n", BadLine),
            (b"GET / HTTP/1.1\r\nno colon\r\n\r\n", BadLine),
            (b"GET / HTTP/1.1\r\n: empty\r\n\r\n", BadLine),
            (b"\r\n\r\nGET / HTTP/1.1\r\n\r\n", BadLine),
            (b"GET /\r\n\r\n", BadRequestLine),
            (b"GET  / HTTP/1.1\r\n\r\n", BadRequestLine),
            (b"GET /\t HTTP/1.1\r\n\r\n", BadRequestLine),
            (b"GET /#a HTTP/1.1\r\n\r\n", BadRequestLine),
            (b"GET /\xc3\xa4 HTTP/1.1\r\n\r\n", BadRequestLine),
            (b"GET / HTTP/2.0\r\n\r\n", BadRequestLine),
            (b"GET / HTTP/1.1 \r\n\r\n", BadRequestLine),
            (
                &request("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n", ""),
                TwoLengths,
            ),
            (
                &request("Transfer-Encoding: chunked\r\nContent-Length: 5\r\n", ""),
                TwoLengths,
            ),
            (
                &request("Content-Length: 5\r\nContent-Length: 5\r\n", ""),
                TwoLengths,
            ),
            (&request("Content-Length: 5, 5\r\n", ""), BadContentLength),
            (&request("Content-Length: +5\r\n", ""), BadContentLength),
            (&request("Content-Length: 0x5\r\n", ""), BadContentLength),
            (&request("Content-Length:\r\n", ""), BadContentLength),
            (
                &request("Content-Length: 18446744073709551616\r\n", ""),
                BadContentLength,
            ),
            (
                &request("Transfer-Encoding: gzip, chunked\r\n", ""),
                BadTransferEncoding,
            ),
            (
                &request("Transfer-Encoding: chunked;q=1\r\n", ""),
                BadTransferEncoding,
            ),
            (
                &request(
                    "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
                    "",
                ),
                TwoLengths,
            ),
            (
                b"POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n",
                BadTransferEncoding,
            ),
        ] {
            assert_eq!(follow(bytes), Err(violation), "{}", bytes.escape_ascii());
        }
        for size in [
            "",
            "g",
            "+5",
            "-5",
            " 5",
            "5 ",
            "0x5",
            "5_0",
            "11111111111111111",
            ";a",
            "5;a\x01",
        ] {
            let bytes = request(
                "Transfer-Encoding: chunked\r\n",
                &format!("{size}\r\nhello"),
            );
            assert_eq!(follow(&bytes), Err(BadChunk), "{size:?}");
        }
        let unterminated = request("Transfer-Encoding: chunked\r\n", "5\r\nhellox\r\n0\r\n\r\n");
        assert_eq!(follow(&unterminated), Err(BadChunk));
    }

    #[test]
    fn the_offset_names_the_first_line_that_is_not_good() {
        let mut framing = Framing::default();
        assert_eq!(
            framing.follow(b"GET / HTTP/1.1\r\nHost: a\nX: y\r\n"),
            Err((Violation::BadLine, 16))
        );
        assert_eq!(framing.follow(b"more"), Err((Violation::BadLine, 0)));
    }

    #[test]
    fn a_line_without_end_is_not_buffered_without_bound() {
        let mut framing = Framing::default();
        let piece = [b'a'; 8192];
        let refused = (0..20).find_map(|_| framing.follow(&piece).err());
        assert_eq!(refused, Some((Violation::BadLine, 0)));
        assert!(framing.line.capacity() <= 2 * LONGEST_LINE);
    }
}
