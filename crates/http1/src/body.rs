//! Bodies: where they end, and which bytes of a connection belong to them (RFC 9112 §6, §7).

use bytes::{Buf, BytesMut};
use http::{HeaderMap, HeaderName, HeaderValue};
use memchr::memchr;

use crate::Violation;
use crate::head::field_line;

/// How the end of a body is determined.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Length {
    /// After this many bytes.
    Exactly(u64),
    /// After the last chunk.
    Chunked,
    /// When the connection ends; only for responses.
    UntilClose,
}

impl Length {
    /// No body.
    pub const NONE: Length = Length::Exactly(0);
}

/// Separates a body's bytes from the framing around them.
#[derive(Debug)]
pub struct Decoder {
    state: DecoderState,
    spelling: ChunkSpelling,
    /// The trailers received so far; `None` when they are not kept.
    trailers: Option<Box<HeaderMap>>,
}

/// Which spellings of chunks are accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ChunkSpelling {
    /// What other clients read in responses. nginx (`ngx_http_parse_chunked`), Go (`net/http/internal/chunked.go`) and Chromium
    /// (`http_chunked_decoder.cc`) accept blanks after a size, and all but Go lines that end with LF alone. A forwarded body is
    /// framed again, so no other parser reads this spelling.
    OfAnswer,
    /// Lines that end with CR LF, and blanks only before a `;`, because untrusted clients write requests.
    OfRequest,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum DecoderState {
    /// Bytes of the body; this many are left.
    Bytes { left: u64 },
    /// The line that gives a chunk's size.
    ChunkSize,
    /// Bytes of a chunk; this many are left.
    Chunk { left: u64 },
    /// The line end after a chunk.
    ChunkEnd,
    /// A line of the trailer section, of which this many bytes have been read.
    Trailer { read: usize },
    /// Bytes of the body until the connection ends.
    UntilClose,
}

/// What a decoder finds next in the input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Piece {
    /// This many bytes at the front of the input belong to the body. Report those that you take to [`Decoder::consumed`].
    Data(usize),
    /// The end of the body.
    End,
    /// More input is needed.
    Unknown,
}

impl Decoder {
    /// A decoder for a request's body.
    pub fn of_request(length: Length) -> Self {
        let state = DecoderState::new(length);
        let spelling = ChunkSpelling::OfRequest;
        Self {
            state,
            spelling,
            trailers: None,
        }
    }

    /// A decoder for a response's body.
    pub(crate) fn of_answer(length: Length) -> Self {
        let state = DecoderState::new(length);
        let spelling = ChunkSpelling::OfAnswer;
        Self {
            state,
            spelling,
            trailers: None,
        }
    }

    /// Keeps the trailers for [`take_trailers`](Self::take_trailers); otherwise they are dropped.
    pub fn keep_trailers(&mut self) {
        self.trailers = Some(Box::default());
    }

    /// Takes the trailers received since [`keep_trailers`](Self::keep_trailers).
    pub fn take_trailers(&mut self) -> Option<HeaderMap> {
        let trailers = self.trailers.take()?;
        (!trailers.is_empty()).then_some(*trailers)
    }

    /// Takes framing, including trailers, from the front of `input`, and returns what follows it.
    ///
    /// # Errors
    ///
    /// [`Violation`] when the framing is malformed.
    pub fn next(&mut self, input: &mut BytesMut) -> Result<Piece, Violation> {
        loop {
            match self.state {
                DecoderState::Bytes { left: 0 } => return Ok(Piece::End),
                DecoderState::Chunk { left: 0 } => self.state = DecoderState::ChunkEnd,
                DecoderState::Bytes { left } | DecoderState::Chunk { left } => {
                    return Ok(data(left, input));
                }
                DecoderState::UntilClose => return Ok(data(u64::MAX, input)),
                DecoderState::ChunkSize | DecoderState::ChunkEnd | DecoderState::Trailer { .. } => {
                    let Some((line, length)) = line(input, self.spelling)? else {
                        return Ok(Piece::Unknown);
                    };
                    let before = self.state;
                    self.state = before.after(line, self.spelling)?;
                    if let (DecoderState::Trailer { .. }, Some(trailers)) =
                        (before, &mut self.trailers)
                    {
                        keep(trailers, line);
                    }
                    input.advance(length);
                }
            }
        }
    }

    /// Notes that this many bytes of the body have been taken from the front of the input.
    pub fn consumed(&mut self, bytes: usize) {
        match &mut self.state {
            DecoderState::Bytes { left } | DecoderState::Chunk { left } => {
                *left = left.saturating_sub(bytes as u64);
            }
            DecoderState::ChunkEnd
            | DecoderState::ChunkSize
            | DecoderState::Trailer { .. }
            | DecoderState::UntilClose => {}
        }
    }

    /// Notes that the connection has ended. Returns whether the body is complete.
    pub fn close(&mut self) -> bool {
        if self.state == DecoderState::UntilClose {
            self.state = DecoderState::Bytes { left: 0 };
        }
        self.is_over()
    }

    /// Whether the whole body has been taken.
    pub fn is_over(&self) -> bool {
        self.state == DecoderState::Bytes { left: 0 }
    }

    /// How many bytes of the body are left, if its length is known.
    pub fn left(&self) -> Option<u64> {
        match self.state {
            DecoderState::Bytes { left } => Some(left),
            DecoderState::Chunk { .. }
            | DecoderState::ChunkEnd
            | DecoderState::ChunkSize
            | DecoderState::Trailer { .. }
            | DecoderState::UntilClose => None,
        }
    }
}

/// Keeps a trailer. Ignores the empty line after the last one.
fn keep(trailers: &mut HeaderMap, line: &[u8]) {
    let Some((name, value)) = field_line(line) else {
        return;
    };
    if let (Ok(name), Ok(value)) = (HeaderName::from_bytes(name), HeaderValue::from_bytes(value)) {
        trailers.append(name, value);
    }
}

/// The piece at the front of `input`, when `left` bytes of the body are left.
fn data(left: u64, input: &BytesMut) -> Piece {
    match usize::try_from(left).unwrap_or(usize::MAX).min(input.len()) {
        0 => Piece::Unknown,
        there => Piece::Data(there),
    }
}

impl DecoderState {
    fn new(length: Length) -> Self {
        match length {
            Length::Exactly(left) => DecoderState::Bytes { left },
            Length::Chunked => DecoderState::ChunkSize,
            Length::UntilClose => DecoderState::UntilClose,
        }
    }

    /// The state after a line of framing.
    fn after(self, line: &[u8], spelling: ChunkSpelling) -> Result<Self, Violation> {
        match self {
            DecoderState::ChunkSize => match chunk_size(line, spelling).ok_or(Violation::Chunk)? {
                0 => Ok(DecoderState::Trailer { read: 0 }),
                left => Ok(DecoderState::Chunk { left }),
            },
            DecoderState::ChunkEnd if line.is_empty() => Ok(DecoderState::ChunkSize),
            DecoderState::Trailer { .. } if line.is_empty() => Ok(DecoderState::Bytes { left: 0 }),
            DecoderState::Trailer { read } => {
                let is_field = field_line(line).is_some_and(|(name, value)| {
                    HeaderName::from_bytes(name).is_ok() && HeaderValue::from_bytes(value).is_ok()
                });
                let read = read + line.len() + 2;
                if !is_field {
                    Err(Violation::FieldLine)
                } else if read > LONGEST_TRAILER {
                    Err(Violation::TooLarge)
                } else {
                    Ok(DecoderState::Trailer { read })
                }
            }
            DecoderState::Bytes { .. }
            | DecoderState::Chunk { .. }
            | DecoderState::ChunkEnd
            | DecoderState::UntilClose => Err(Violation::Chunk),
        }
    }
}

/// The first line of the input without its line end, and its length with it; `None` when the line is incomplete.
fn line(input: &BytesMut, spelling: ChunkSpelling) -> Result<Option<(&[u8], usize)>, Violation> {
    let Some(end) = memchr(b'\n', input) else {
        if input.len() > LONGEST_TRAILER {
            return Err(Violation::TooLarge);
        }
        return Ok(None);
    };
    match &input[..end] {
        [line @ .., b'\r'] => Ok(Some((line, end + 1))),
        line if spelling == ChunkSpelling::OfAnswer => Ok(Some((line, end + 1))),
        _ => Err(Violation::Chunk),
    }
}

/// The size in `1*HEXDIG [ *blank ";" extension ]`; it must fit into 64 bits, and the extension must be short. RFC 9112 §7.1.1
/// allows the blanks for the sake of old senders.
fn chunk_size(line: &[u8], spelling: ChunkSpelling) -> Option<u64> {
    let (size, extension) = match memchr(b';', line) {
        Some(semicolon) => (without_blanks(&line[..semicolon]), &line[semicolon + 1..]),
        None if spelling == ChunkSpelling::OfAnswer => (without_blanks(line), &[][..]),
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

/// Removes blanks from the end of a text.
fn without_blanks(text: &[u8]) -> &[u8] {
    let end = text.iter().rposition(|byte| !matches!(byte, b' ' | b'\t'));
    end.map_or(&[], |end| &text[..=end])
}

/// The longest chunk extension, in bytes. Nothing uses them; a long one is an attempt to make the reader buffer it.
const LONGEST_CHUNK_EXTENSION: usize = 256;

/// The largest trailer section, in bytes.
const LONGEST_TRAILER: usize = 16 * 1024;

#[cfg(test)]
mod tests;
