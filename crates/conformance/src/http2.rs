//! A minimal HTTP/2 client that sends one request, well-formed or not.

use std::io::Write;
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use crate::answer::Response;
use crate::client::{Exchange, read};
use crate::clock::now;
use crate::latin;

/// The fields of a request, including pseudo-headers, in order.
pub(crate) type Fields = Vec<(String, String)>;

/// Sends one request over a new connection. A stream or connection that is reset is reported as closed.
pub(crate) fn send(to: SocketAddr, fields: &Fields, body: &str, timeout: Duration) -> Exchange {
    let mut exchange = Exchange::default();
    let Ok(stream) = TcpStream::connect_timeout(&to, timeout) else {
        exchange.closed = true;
        return exchange;
    };
    let mut bytes = preface();
    let ends = if body.is_empty() { END_STREAM } else { 0 };
    bytes.extend(frame(HEADERS, END_HEADERS | ends, 1, &block(fields)));
    if !body.is_empty() {
        bytes.extend(frame(DATA, END_STREAM, 1, &latin::bytes(body)));
    }
    if (&stream).write_all(&bytes).is_err() {
        exchange.closed = true;
        return exchange;
    }
    let deadline = now() + timeout;
    let mut received = Vec::new();
    while !exchange.closed {
        let left = deadline.saturating_duration_since(now());
        if left.is_zero() {
            exchange.timed_out = true;
            break;
        }
        let Some(data) = read(&mut &stream, left) else {
            continue;
        };
        exchange.closed = data.is_empty();
        received.extend(data);
        while let Some(frame) = Frame::take(&mut received) {
            frame.reply(&stream);
            frame.add_to(&mut exchange);
        }
    }
    exchange
}

/// Whether a server accepts HTTP/2 without TLS.
pub(crate) fn accepts_http2(at: SocketAddr, timeout: Duration) -> bool {
    let Ok(stream) = TcpStream::connect_timeout(&at, timeout) else {
        return false;
    };
    if (&stream).write_all(&preface()).is_err() {
        return false;
    }
    let mut received = Vec::new();
    while let Some(data) = read(&mut &stream, timeout).filter(|data| !data.is_empty()) {
        received.extend(data);
        if received.starts_with(b"HTTP") {
            return false;
        }
        if let Some(frame) = Frame::take(&mut received) {
            return frame.kind == SETTINGS;
        }
    }
    false
}

struct Frame {
    kind: u8,
    flags: u8,
    stream: u32,
    payload: Vec<u8>,
}

impl Frame {
    fn take(received: &mut Vec<u8>) -> Option<Self> {
        let &[a, b, c, kind, flags, w, x, y, z] = received.first_chunk()?;
        let length = usize::try_from(u32::from_be_bytes([0, a, b, c])).ok()?;
        if received.len() < 9 + length {
            return None;
        }
        let rest = received.split_off(9 + length);
        let payload = std::mem::replace(received, rest).split_off(9);
        Some(Self {
            kind,
            flags,
            stream: u32::from_be_bytes([w, x, y, z]) & (u32::MAX >> 1),
            payload,
        })
    }

    /// Acknowledges settings, as HTTP/2 requires.
    fn reply(&self, mut stream: &TcpStream) {
        if self.kind == SETTINGS && self.flags & ACK == 0 {
            // The next read shows whether the connection has ended.
            let _ = stream.write_all(&frame(SETTINGS, ACK, 0, &[]));
        }
    }

    fn add_to(&self, exchange: &mut Exchange) {
        let ours = self.stream == 1;
        let ends = self.flags & END_STREAM != 0;
        if self.kind == HEADERS && ours {
            let skipped =
                usize::from(self.flags & PADDED != 0) + 5 * usize::from(self.flags & PRIORITY != 0);
            exchange.answers.push(Response {
                status: status(self.payload.get(skipped..).unwrap_or_default()),
                fields: Vec::new(),
                body: String::new(),
                complete: ends,
            });
        }
        let ended = ours && ends && (self.kind == HEADERS || self.kind == DATA);
        exchange.closed |= ended || (ours && self.kind == RST_STREAM) || self.kind == GOAWAY;
    }
}

fn preface() -> Vec<u8> {
    let mut bytes = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
    bytes.extend(frame(SETTINGS, 0, 0, &[]));
    bytes
}

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap_or(0).to_be_bytes();
    let mut bytes = length[1..].to_vec();
    bytes.extend([kind, flags]);
    bytes.extend(stream.to_be_bytes());
    bytes.extend(payload);
    bytes
}

/// Encodes literal fields without indexing (RFC 7541 6.2.2).
fn block(fields: &Fields) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (name, value) in fields {
        bytes.push(0);
        for text in [name, value] {
            let text = latin::bytes(text);
            bytes.extend(integer(text.len()));
            bytes.extend(text);
        }
    }
    bytes
}

/// Encodes an integer with a prefix of seven bits (RFC 7541 5.1).
fn integer(number: usize) -> Vec<u8> {
    let low = |number: usize| u8::try_from(number & 127).unwrap_or(127);
    let Some(mut rest) = number.checked_sub(127) else {
        return vec![low(number)];
    };
    let mut bytes = vec![127];
    while rest > 127 {
        bytes.push(low(rest) | 128);
        rest >>= 7;
    }
    bytes.push(low(rest));
    bytes
}

/// Returns the status, which is the first field: indexed, or a literal whose name is in the static table (RFC 7541 appendix A).
fn status(block: &[u8]) -> u16 {
    let is_size_update = |byte: &u8| byte & 0xe0 == 0x20;
    let start = block.iter().take_while(|byte| is_size_update(byte)).count();
    match block.get(start..) {
        Some([index, ..]) if index & 0x80 != 0 => match index & 0x7f {
            8 => 200,
            9 => 204,
            10 => 206,
            11 => 304,
            12 => 400,
            13 => 404,
            14 => 500,
            _ => 0,
        },
        Some([_, length, text @ ..]) => {
            let text = text.get(..usize::from(length & 0x7f)).unwrap_or_default();
            let digits = match length & 0x80 {
                0 => latin::text(text),
                _ => digits(text),
            };
            digits.parse().unwrap_or(0)
        }
        _ => 0,
    }
}

/// Decodes three digits in Huffman code (RFC 7541 appendix B).
fn digits(code: &[u8]) -> String {
    const LONG: [(&str, char); 7] = [
        ("011001", '3'),
        ("011010", '4'),
        ("011011", '5'),
        ("011100", '6'),
        ("011101", '7'),
        ("011110", '8'),
        ("011111", '9'),
    ];
    const SHORT: [(&str, char); 3] = [("00000", '0'), ("00001", '1'), ("00010", '2')];
    let bits: String = code.iter().map(|byte| format!("{byte:08b}")).collect();
    let (mut rest, mut digits) = (bits.as_str(), String::new());
    while digits.len() < 3 {
        let mut known = SHORT.iter().chain(&LONG);
        let Some((code, digit)) = known.find(|(code, _)| rest.starts_with(code)) else {
            break;
        };
        digits.push(*digit);
        rest = &rest[code.len()..];
    }
    digits
}

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const GOAWAY: u8 = 7;

const ACK: u8 = 1;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;
const PADDED: u8 = 8;
const PRIORITY: u8 = 0x20;

#[cfg(test)]
mod tests {
    use super::{integer, status};

    #[test]
    fn integers_are_encoded_as_in_the_rfc() {
        assert_eq!(integer(10), [10]);
        assert_eq!(integer(127), [127, 0]);
        assert_eq!(integer(1337), [127, 186, 9]);
    }

    #[test]
    fn a_status_is_read_in_every_form() {
        assert_eq!(status(&[0x88]), 200);
        assert_eq!(status(&[0x20, 0x8c]), 400);
        assert_eq!(status(&[0x08, 3, b'4', b'0', b'1']), 401);
        // RFC 7541 C.6.1.
        assert_eq!(status(&[0x48, 0x82, 0x64, 0x02]), 302);
    }
}
