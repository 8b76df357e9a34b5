//! Writes messages from what was parsed, never by copying the received bytes.

use std::io::Write;

use http::{HeaderMap, Method, StatusCode};

use crate::{Field, Length};

/// What a response says about its connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Persistence {
    /// Nothing, so that HTTP/1.1 keeps the connection.
    Implied,
    /// The connection ends after this response.
    Close,
    /// The connection stays open, which an HTTP/1.0 client does not assume.
    KeepAlive,
}

/// Writes a request's head in HTTP/1.1, for a persistent connection. `target` is a path. `fields` are lines as [`write_field`]
/// writes them, without fields about framing. With `expects_continue` the head expects `100 Continue` before the body is sent.
pub fn write_request(
    out: &mut Vec<u8>,
    method: &Method,
    target: &[u8],
    fields: &[u8],
    length: Length,
    expects_continue: bool,
) {
    out.extend_from_slice(method.as_str().as_bytes());
    out.push(b' ');
    out.extend_from_slice(target);
    out.extend_from_slice(b" HTTP/1.1\r\n");
    out.extend_from_slice(fields);
    // RFC 9110 §8.6: no `Content-Length: 0` for a method that does not use a body.
    if length != Length::NONE || !method.is_safe() {
        write_length(out, length);
    }
    if expects_continue {
        out.extend_from_slice(b"expect: 100-continue\r\n");
    }
    out.extend_from_slice(b"\r\n");
}

/// Writes a response's head in HTTP/1.1, our own version (RFC 9110 §6.2). `fields` must not contain fields about the connection.
/// It may contain fields about framing only if `length` is `None`: for `HEAD`, and for 1xx, 204 and 304.
pub fn write_response<'f>(
    out: &mut Vec<u8>,
    status: StatusCode,
    reason: &[u8],
    fields: impl IntoIterator<Item = Field<'f>>,
    length: Option<Length>,
    persistence: Persistence,
) {
    out.extend_from_slice(b"HTTP/1.1 ");
    out.extend_from_slice(status.as_str().as_bytes());
    out.push(b' ');
    out.extend_from_slice(reason);
    out.extend_from_slice(b"\r\n");
    for (name, value) in fields {
        write_field(out, name, value);
    }
    match persistence {
        Persistence::Implied => {}
        Persistence::Close => out.extend_from_slice(b"connection: close\r\n"),
        Persistence::KeepAlive => out.extend_from_slice(b"connection: keep-alive\r\n"),
    }
    if let Some(length) = length {
        write_length(out, length);
    }
    out.extend_from_slice(b"\r\n");
}

/// The name and value of each header.
pub fn fields(headers: &HeaderMap) -> impl Iterator<Item = Field<'_>> {
    let fields = headers.iter();
    fields.map(|(name, value)| (name.as_str().as_bytes(), value.as_bytes()))
}

/// Writes a field as a line.
pub fn write_field(out: &mut Vec<u8>, name: &[u8], value: &[u8]) {
    // Reserve once instead of four times.
    out.reserve(name.len() + value.len() + 4);
    out.extend_from_slice(name);
    out.extend_from_slice(b": ");
    out.extend_from_slice(value);
    out.extend_from_slice(b"\r\n");
}

fn write_length(out: &mut Vec<u8>, length: Length) {
    match length {
        Length::Exactly(length) => {
            out.extend_from_slice(b"content-length: ");
            write_decimal(out, length);
            out.extend_from_slice(b"\r\n");
        }
        Length::Chunked => out.extend_from_slice(b"transfer-encoding: chunked\r\n"),
        Length::UntilClose => {}
    }
}

/// Writes a number digit by digit, which takes a fifth of the time of the general formatter.
fn write_decimal(out: &mut Vec<u8>, number: u64) {
    let start = out.len();
    let mut rest = number;
    loop {
        out.push(b"0123456789"[(rest % 10) as usize]);
        rest /= 10;
        if rest == 0 {
            break;
        }
    }
    out[start..].reverse();
}

/// Frames a body that is sent.
#[derive(Clone, Copy, Debug)]
pub struct Encoder {
    length: Length,
    is_finished: bool,
}

impl Encoder {
    /// An encoder for a body of this length.
    pub fn new(length: Length) -> Self {
        Self {
            length,
            is_finished: length == Length::NONE,
        }
    }

    /// How the end of the body is determined.
    pub fn length(&self) -> Length {
        self.length
    }

    /// Whether pieces are framed as chunks.
    pub fn is_chunked(&self) -> bool {
        self.length == Length::Chunked
    }

    /// Whether the end of the body has been written.
    pub fn is_finished(&self) -> bool {
        self.is_finished
    }

    /// Writes a piece of the body, which must not be empty.
    pub fn write(&self, out: &mut Vec<u8>, piece: &[u8]) {
        if self.is_chunked() {
            // Writing to memory cannot fail.
            let _ = write!(out, "{:x}\r\n", piece.len());
            out.extend_from_slice(piece);
            out.extend_from_slice(b"\r\n");
        } else {
            out.extend_from_slice(piece);
        }
    }

    /// Writes the end of the body.
    pub fn finish(&mut self, out: &mut Vec<u8>) {
        if self.is_chunked() {
            out.extend_from_slice(b"0\r\n\r\n");
        }
        self.is_finished = true;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_written_in_decimal() {
        for number in [0, 7, 10, 72, 100, 65_536, u64::MAX] {
            let mut out = Vec::new();
            write_decimal(&mut out, number);
            assert_eq!(out, number.to_string().as_bytes());
        }
    }

    fn request(method: Method, length: Length) -> String {
        let (mut fields, mut out) = (Vec::new(), Vec::new());
        write_field(&mut fields, b"host", b"a");
        write_request(&mut out, &method, b"/a%20b?c", &fields, length, false);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn a_request_declares_a_body_where_one_is_expected() {
        let head = "/a%20b?c HTTP/1.1\r\nhost: a\r\n";
        let written = request(Method::GET, Length::NONE);
        assert_eq!(written, format!("GET {head}\r\n"));
        let written = request(Method::GET, Length::Exactly(5));
        assert_eq!(written, format!("GET {head}content-length: 5\r\n\r\n"));
        let written = request(Method::POST, Length::NONE);
        assert_eq!(written, format!("POST {head}content-length: 0\r\n\r\n"));
        let written = request(Method::PUT, Length::Chunked);
        let chunked = "transfer-encoding: chunked";
        assert_eq!(written, format!("PUT {head}{chunked}\r\n\r\n"));
    }

    #[test]
    fn a_response_announces_whether_its_connection_persists() {
        let write = |status: StatusCode, length, persistence| {
            let mut out = Vec::new();
            let reason = status.canonical_reason().unwrap_or_default();
            write_response(&mut out, status, reason.as_bytes(), [], length, persistence);
            String::from_utf8(out).unwrap()
        };
        assert_eq!(
            write(StatusCode::OK, Some(Length::NONE), Persistence::Close),
            "HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"
        );
        assert_eq!(
            write(StatusCode::NOT_MODIFIED, None, Persistence::Implied),
            "HTTP/1.1 304 Not Modified\r\n\r\n"
        );
        let unknown = StatusCode::from_u16(299).unwrap();
        assert_eq!(
            write(unknown, Some(Length::UntilClose), Persistence::KeepAlive),
            "HTTP/1.1 299 \r\nconnection: keep-alive\r\n\r\n"
        );
    }

    #[test]
    fn only_a_chunked_body_is_framed() {
        let mut out = Vec::new();
        let mut chunked = Encoder::new(Length::Chunked);
        chunked.write(&mut out, &[b'a'; 17]);
        chunked.finish(&mut out);
        assert_eq!(out, b"11\r\naaaaaaaaaaaaaaaaa\r\n0\r\n\r\n");
        out.clear();
        let mut sized = Encoder::new(Length::Exactly(2));
        sized.write(&mut out, b"ab");
        sized.finish(&mut out);
        assert_eq!(out, b"ab");
    }
}
