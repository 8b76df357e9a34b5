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
mod tests;
