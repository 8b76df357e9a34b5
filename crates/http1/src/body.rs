//! Bodies: where they end, and what of a connection's bytes is theirs (RFC 9112 §6, §7).

use bytes::{Buf, BytesMut};
use http::{HeaderMap, HeaderName, HeaderValue};
use memchr::memchr;

use crate::Violation;
use crate::head::field_line;

/// How the end of a body is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Length {
    /// After so many bytes.
    Exactly(u64),
    /// After the last chunk.
    Chunked,
    /// When the connection ends; only an answer can do that.
    UntilClose,
}

impl Length {
    /// There is no body.
    pub const NONE: Length = Length::Exactly(0);
}

/// Tells a body's bytes from the framing around them.
#[derive(Debug)]
pub struct Decoder {
    state: State,
    spelling: Spelling,
    /// Those that have come, for somebody who wants them.
    trailers: Option<Box<HeaderMap>>,
}

/// How chunks may be spelled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Spelling {
    /// As other clients read what a server sends. nginx (`ngx_http_parse_chunked`), Go (`net/http/internal/chunked.go`) and
    /// Chromium (`http_chunked_decoder.cc`) take blanks behind a size, and all but Go a line that ends with LF alone. What goes
    /// on is framed anew, so nobody else reads it.
    OfAnswer,
    /// One spelling alone, because strangers write it.
    OfRequest,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// This many bytes of the body.
    Bytes { left: u64 },
    /// The line that gives a chunk's size.
    ChunkSize,
    /// This many bytes of a chunk.
    Chunk { left: u64 },
    /// The line end after a chunk.
    ChunkEnd,
    /// A line of the trailer section; so many bytes of it have been read.
    Trailer { read: usize },
    /// Whatever comes.
    UntilClose,
}

/// What comes next in the input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Piece {
    /// So many bytes at its front belong to the body. Those that are taken have to be [noted](Decoder::consumed).
    Data(usize),
    /// Nothing more: the body is over.
    End,
    /// That cannot be told before there is more input.
    Unknown,
}

impl Decoder {
    /// Starts at the beginning of a request's body.
    pub fn of_request(length: Length) -> Self {
        let state = State::new(length);
        let spelling = Spelling::OfRequest;
        Self {
            state,
            spelling,
            trailers: None,
        }
    }

    /// Starts at the beginning of an answer's body.
    pub fn of_answer(length: Length) -> Self {
        let state = State::new(length);
        let spelling = Spelling::OfAnswer;
        Self {
            state,
            spelling,
            trailers: None,
        }
    }

    /// Keeps the trailers for [`take_trailers`](Self::take_trailers), which are dropped otherwise.
    pub fn keep_trailers(&mut self) {
        self.trailers = Some(Box::default());
    }

    /// The trailers that have come since they are [kept](Self::keep_trailers), once.
    pub fn take_trailers(&mut self) -> Option<HeaderMap> {
        let trailers = self.trailers.take()?;
        (!trailers.is_empty()).then_some(*trailers)
    }

    /// Takes framing from the front of `input`, and says what comes after it. Trailers are framing.
    ///
    /// # Errors
    ///
    /// [`Violation`] when the framing is not as it should be.
    pub fn next(&mut self, input: &mut BytesMut) -> Result<Piece, Violation> {
        loop {
            match self.state {
                State::Bytes { left: 0 } => return Ok(Piece::End),
                State::Chunk { left: 0 } => self.state = State::ChunkEnd,
                State::Bytes { left } | State::Chunk { left } => return Ok(data(left, input)),
                State::UntilClose => return Ok(data(u64::MAX, input)),
                State::ChunkSize | State::ChunkEnd | State::Trailer { .. } => {
                    let Some((line, length)) = line(input, self.spelling)? else {
                        return Ok(Piece::Unknown);
                    };
                    let before = self.state;
                    self.state = before.after(line, self.spelling)?;
                    if let (State::Trailer { .. }, Some(trailers)) = (before, &mut self.trailers) {
                        keep(trailers, line);
                    }
                    input.advance(length);
                }
            }
        }
    }

    /// Notes that so many of the bytes that belong to the body have been taken from the front of the input.
    pub fn consumed(&mut self, bytes: usize) {
        match &mut self.state {
            State::Bytes { left } | State::Chunk { left } => {
                *left = left.saturating_sub(bytes as u64);
            }
            State::ChunkEnd | State::ChunkSize | State::Trailer { .. } | State::UntilClose => {}
        }
    }

    /// Notes that nothing more will come. Says whether that is the end of the body, as it is where nothing else is.
    pub fn close(&mut self) -> bool {
        if self.state == State::UntilClose {
            self.state = State::Bytes { left: 0 };
        }
        self.is_over()
    }

    /// Whether all of the body has been taken.
    pub fn is_over(&self) -> bool {
        self.state == State::Bytes { left: 0 }
    }

    /// How many bytes of the body are still to come, where its length is known.
    pub fn left(&self) -> Option<u64> {
        match self.state {
            State::Bytes { left } => Some(left),
            State::Chunk { .. }
            | State::ChunkEnd
            | State::ChunkSize
            | State::Trailer { .. }
            | State::UntilClose => None,
        }
    }
}

/// Keeps a trailer. The line after the last one is empty.
fn keep(trailers: &mut HeaderMap, line: &[u8]) {
    let Some((name, value)) = field_line(line) else {
        return;
    };
    if let (Ok(name), Ok(value)) = (HeaderName::from_bytes(name), HeaderValue::from_bytes(value)) {
        trailers.append(name, value);
    }
}

/// What is there of so many bytes.
fn data(left: u64, input: &BytesMut) -> Piece {
    match usize::try_from(left).unwrap_or(usize::MAX).min(input.len()) {
        0 => Piece::Unknown,
        there => Piece::Data(there),
    }
}

impl State {
    fn new(length: Length) -> Self {
        match length {
            Length::Exactly(left) => State::Bytes { left },
            Length::Chunked => State::ChunkSize,
            Length::UntilClose => State::UntilClose,
        }
    }

    /// What follows a line of framing.
    fn after(self, line: &[u8], spelling: Spelling) -> Result<Self, Violation> {
        match self {
            State::ChunkSize => match chunk_size(line, spelling).ok_or(Violation::Chunk)? {
                0 => Ok(State::Trailer { read: 0 }),
                left => Ok(State::Chunk { left }),
            },
            State::ChunkEnd if line.is_empty() => Ok(State::ChunkSize),
            State::Trailer { .. } if line.is_empty() => Ok(State::Bytes { left: 0 }),
            State::Trailer { read } => {
                let is_field = field_line(line).is_some_and(|(name, value)| {
                    HeaderName::from_bytes(name).is_ok() && HeaderValue::from_bytes(value).is_ok()
                });
                let read = read + line.len() + 2;
                if !is_field {
                    Err(Violation::FieldLine)
                } else if read > LONGEST_TRAILER {
                    Err(Violation::TooLarge)
                } else {
                    Ok(State::Trailer { read })
                }
            }
            State::Bytes { .. } | State::Chunk { .. } | State::ChunkEnd | State::UntilClose => {
                Err(Violation::Chunk)
            }
        }
    }
}

/// The first line of the input without its end, and how long it is with it; `None` when it is not all there yet.
fn line(input: &BytesMut, spelling: Spelling) -> Result<Option<(&[u8], usize)>, Violation> {
    let Some(end) = memchr(b'\n', input) else {
        if input.len() > LONGEST_TRAILER {
            return Err(Violation::TooLarge);
        }
        return Ok(None);
    };
    match &input[..end] {
        [line @ .., b'\r'] => Ok(Some((line, end + 1))),
        line if spelling == Spelling::OfAnswer => Ok(Some((line, end + 1))),
        _ => Err(Violation::Chunk),
    }
}

/// `1*HEXDIG [ *blank ";" extension ]`; the size fits 64 bits and the extension is short. RFC 9112 §7.1.1 allows the blanks
/// for the sake of old senders.
fn chunk_size(line: &[u8], spelling: Spelling) -> Option<u64> {
    let (size, extension) = match memchr(b';', line) {
        Some(semicolon) => (without_blanks(&line[..semicolon]), &line[semicolon + 1..]),
        None if spelling == Spelling::OfAnswer => (without_blanks(line), &[][..]),
        None => (line, &[][..]),
    };
    let all_hex = matches!(size.len(), 1..=16) && size.iter().all(u8::is_ascii_hexdigit);
    if !all_hex
        || extension.len() > LONGEST_CHUNK_EXTENSION
        || extension.iter().any(u8::is_ascii_control)
    {
        return None;
    }
    u64::from_str_radix(std::str::from_utf8(size).ok()?, 16).ok()
}

/// The text without blanks at its end.
fn without_blanks(text: &[u8]) -> &[u8] {
    let end = text.iter().rposition(|byte| !matches!(byte, b' ' | b'\t'));
    end.map_or(&[], |end| &text[..=end])
}

/// Nothing uses chunk extensions; a long one is an attempt to make somebody buffer it.
const LONGEST_CHUNK_EXTENSION: usize = 256;

/// In bytes, of all trailer fields together.
const LONGEST_TRAILER: usize = 16 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    /// Reads a body out of pieces of this size, and gives it with what is behind it.
    fn decode(length: Length, bytes: &[u8], size: usize) -> Result<(Vec<u8>, Vec<u8>), Violation> {
        decode_with(Decoder::of_request(length), bytes, size)
    }

    fn decode_with(
        mut decoder: Decoder,
        bytes: &[u8],
        size: usize,
    ) -> Result<(Vec<u8>, Vec<u8>), Violation> {
        let (mut input, mut body) = (BytesMut::new(), Vec::new());
        let mut pieces = bytes.chunks(size);
        loop {
            match decoder.next(&mut input)? {
                Piece::Data(length) => {
                    body.extend_from_slice(&input.split_to(length));
                    decoder.consumed(length);
                }
                Piece::End => break,
                Piece::Unknown => match pieces.next() {
                    Some(piece) => input.extend_from_slice(piece),
                    None => return Err(Violation::TooLarge),
                },
            }
        }
        pieces.for_each(|piece| input.extend_from_slice(piece));
        Ok((body, input.to_vec()))
    }

    #[test]
    fn a_body_is_the_same_in_one_read_and_in_many() {
        for (length, bytes, body) in [
            (Length::Exactly(5), &b"hello, GET"[..], &b"hello"[..]),
            (Length::NONE, b"GET", b""),
            (Length::Chunked, b"5\r\nhello\r\n0\r\n\r\nGET", b"hello"),
            (
                Length::Chunked,
                b"3\r\nhel\r\n002;a=b\r\nlo\r\n0\r\nX-T: v\r\n\r\n",
                b"hello",
            ),
            (
                Length::Chunked,
                b"5 \t;a = b \r\nhello\r\n0 ; c\r\n\r\n",
                b"hello",
            ),
        ] {
            let whole = decode(length, bytes, bytes.len()).unwrap();
            assert_eq!(whole.0, body, "{}", bytes.escape_ascii());
            for size in 1..bytes.len() {
                assert_eq!(decode(length, bytes, size).as_ref(), Ok(&whole));
            }
        }
    }

    #[test]
    fn every_other_spelling_of_a_chunk_is_refused() {
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
            let bytes = format!("{size}\r\nhello\r\n0\r\n\r\n");
            let refused = decode(Length::Chunked, bytes.as_bytes(), 100);
            assert_eq!(refused, Err(Violation::Chunk), "{size:?}");
        }
        for bytes in [
            &b"5\nhello\r\n0\r\n\r\n"[..],
            b"5\r\nhello\n0\r\n\r\n",
            b"5\r\nhello0\r\n\r\n",
            b"5\r\nhello\r\n0\r\n\n",
        ] {
            let refused = decode(Length::Chunked, bytes, 100);
            assert_eq!(refused, Err(Violation::Chunk), "{}", bytes.escape_ascii());
        }
        for trailer in ["no colon", " folded: a", "a : b", ": b", "a: \0", "a: \rb"] {
            let bytes = format!("0\r\n{trailer}\r\n\r\n");
            let refused = decode(Length::Chunked, bytes.as_bytes(), 100);
            assert_eq!(refused, Err(Violation::FieldLine), "{trailer:?}");
        }
    }

    #[test]
    fn what_other_clients_read_of_an_answer_is_read() {
        for bytes in [
            "5 \r\nhello\r\n0\r\n\r\n",
            "00000005\t \r\nhello\r\n0 \r\n\r\n",
            "5 ; a=b\r\nhello\r\n0;\r\n\r\n",
            "5\nhello\n0\n\n",
            "5\r\nhello\r\n0\r\nX-T: v\n\n",
        ] {
            for size in 1..bytes.len() {
                let decoder = Decoder::of_answer(Length::Chunked);
                let read = decode_with(decoder, bytes.as_bytes(), size);
                assert_eq!(read, Ok((b"hello".to_vec(), Vec::new())), "{bytes:?}");
            }
        }
        for size in [
            "",
            " ",
            " 5",
            "5 5",
            "5x",
            "0x5",
            "-5",
            ";a",
            "11111111111111111",
        ] {
            let bytes = format!("{size}\r\nhello\r\n0\r\n\r\n");
            let decoder = Decoder::of_answer(Length::Chunked);
            let refused = decode_with(decoder, bytes.as_bytes(), 100);
            assert_eq!(refused, Err(Violation::Chunk), "{size:?}");
        }
        let decoder = Decoder::of_answer(Length::Chunked);
        let refused = decode_with(decoder, b"5\r\nhello world\r\n0\r\n\r\n", 100);
        assert_eq!(refused, Err(Violation::Chunk));
    }

    #[test]
    fn trailers_are_kept_for_those_who_want_them() {
        let bytes = "1\r\na\r\n0\r\nGrpc-Status: 0\r\nx-a: b\r\nX-A: c\r\n\r\n";
        for keeps in [true, false] {
            let mut decoder = Decoder::of_answer(Length::Chunked);
            if keeps {
                decoder.keep_trailers();
            }
            let mut input = BytesMut::from(bytes);
            while let Piece::Data(length) = decoder.next(&mut input).unwrap() {
                input.advance(length);
                decoder.consumed(length);
            }
            assert!(decoder.is_over());
            let trailers = decoder.take_trailers();
            assert_eq!(trailers.is_some(), keeps);
            if let Some(trailers) = trailers {
                assert_eq!(trailers["grpc-status"], "0");
                assert_eq!(trailers.get_all("x-a").iter().count(), 2);
            }
            assert!(decoder.take_trailers().is_none());
        }
    }

    #[test]
    fn framing_without_an_end_is_given_up() {
        let long = "a: b\r\n".repeat(LONGEST_TRAILER / 6 + 1);
        let bytes = format!("0\r\n{long}\r\n");
        let refused = decode(Length::Chunked, bytes.as_bytes(), bytes.len());
        assert_eq!(refused, Err(Violation::TooLarge));
        let line = "1".repeat(LONGEST_TRAILER + 1);
        let refused = decode(Length::Chunked, line.as_bytes(), line.len());
        assert_eq!(refused, Err(Violation::TooLarge));
    }
}
