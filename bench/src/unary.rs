//! A gRPC service that answers each call with one message.
//!
//! It uses as little CPU as possible, because it shares the machine with the proxy under measurement: it reads frames, ignores
//! header fields, and has its answer ready. Libraries take several times as much CPU for a call.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};

use anyhow::{Context, Result, ensure};

/// The path of the method.
pub(crate) const PATH: &str = "/bench.Echo/Say";

/// Returns the message that is sent in each direction, with its prefix
/// (<https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md>): field 1 with a hundred characters.
pub(crate) fn message() -> Vec<u8> {
    let text = [b'.'; 100];
    let message = [&[1 << 3 | 2, 100], &text[..]].concat();
    // The prefix: a flag (0: not compressed) and the length.
    let length = u32::try_from(message.len()).expect("a short message");
    [&[0], &length.to_be_bytes()[..], &message].concat()
}

/// Starts the service in this process and returns its port.
///
/// # Errors
/// When no port is free.
pub(crate) fn start() -> Result<u16> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let port = listener.local_addr()?.port();
    // A thread for each connection: proxies use few. All end with this program.
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            std::thread::spawn(move || {
                // The client notices when a connection breaks.
                let _ = Http2Connection::new(stream).serve();
            });
        }
    });
    Ok(port)
}

/// An HTTP/2 connection (RFC 9113).
struct Http2Connection {
    stream: TcpStream,
    /// Frames to be sent.
    out: Vec<u8>,
    /// The client's window for the connection: the bytes of data that may still be sent.
    window: i64,
    /// Bytes of data received since the last WINDOW_UPDATE to the client.
    taken: u32,
    /// Streams whose answers wait for the client's window.
    waiting: Vec<u32>,
    message: Vec<u8>,
}

impl Http2Connection {
    fn new(stream: TcpStream) -> Self {
        Self {
            stream,
            out: Vec::new(),
            window: FIRST_WINDOW,
            taken: 0,
            waiting: Vec::new(),
            message: message(),
        }
    }

    fn serve(mut self) -> Result<()> {
        self.stream.set_nodelay(true)?;
        let mut preface = [0; PREFACE.len()];
        self.stream.read_exact(&mut preface)?;
        ensure!(preface == *PREFACE, "the client sent no HTTP/2 preface");
        self.frame(SETTINGS, 0, 0, &[]);
        self.frame(WINDOW_UPDATE, 0, 0, &OUR_WINDOW.to_be_bytes());
        let (mut buffer, mut filled) = (vec![0; 256 * 1024], 0);
        loop {
            self.stream.write_all(&self.out)?;
            self.out.clear();
            let read = self.stream.read(&mut buffer[filled..])?;
            if read == 0 {
                return Ok(());
            }
            filled += read;
            let mut rest = &buffer[..filled];
            while let Some((frame, next)) = Frame::split_from(rest) {
                self.take(&frame)?;
                rest = next;
            }
            let left = rest.len();
            buffer.copy_within(filled - left..filled, 0);
            filled = left;
        }
    }

    fn take(&mut self, frame: &Frame<'_>) -> Result<()> {
        match frame.kind {
            DATA => {
                self.taken += u32::try_from(frame.payload.len())?;
                if self.taken > OUR_WINDOW / 2 {
                    let taken = std::mem::take(&mut self.taken);
                    self.frame(WINDOW_UPDATE, 0, 0, &taken.to_be_bytes());
                }
            }
            SETTINGS if frame.flags & ACK == 0 => self.frame(SETTINGS, ACK, 0, &[]),
            PING if frame.flags & ACK == 0 => self.frame(PING, ACK, 0, frame.payload),
            WINDOW_UPDATE if frame.stream == 0 => {
                let more = frame.payload.try_into().context("four bytes")?;
                self.window += i64::from(u32::from_be_bytes(more));
            }
            _ => {}
        }
        if matches!(frame.kind, DATA | HEADERS) && frame.flags & END_STREAM != 0 {
            self.waiting.push(frame.stream);
        }
        let length = i64::try_from(self.message.len())?;
        while self.window >= length
            && let Some(stream) = self.waiting.pop()
        {
            self.window -= length;
            self.answer(stream);
        }
        Ok(())
    }

    /// Sends the head, the message and the trailers with the status.
    fn answer(&mut self, stream: u32) {
        self.frame(HEADERS, END_HEADERS, stream, HEAD);
        let message = std::mem::take(&mut self.message);
        self.frame(DATA, 0, stream, &message);
        self.message = message;
        self.frame(HEADERS, END_HEADERS | END_STREAM, stream, TRAILERS);
    }

    fn frame(&mut self, kind: u8, flags: u8, stream: u32, payload: &[u8]) {
        let length = u32::try_from(payload.len()).expect("a short frame");
        self.out.extend_from_slice(&length.to_be_bytes()[1..]);
        self.out.extend_from_slice(&[kind, flags]);
        self.out.extend_from_slice(&stream.to_be_bytes());
        self.out.extend_from_slice(payload);
    }
}

/// A frame (RFC 9113 §4.1).
struct Frame<'a> {
    kind: u8,
    flags: u8,
    stream: u32,
    payload: &'a [u8],
}

impl<'a> Frame<'a> {
    /// Returns the first frame and the bytes behind it; `None` while the frame is incomplete.
    fn split_from(bytes: &'a [u8]) -> Option<(Self, &'a [u8])> {
        let (head, rest) = bytes.split_first_chunk::<9>()?;
        let [long, middle, short, kind, flags, stream @ ..] = *head;
        let length = u32::from_be_bytes([0, long, middle, short]);
        let (payload, rest) = rest.split_at_checked(length as usize)?;
        let stream = u32::from_be_bytes(stream);
        let frame = Self {
            kind,
            flags,
            stream,
            payload,
        };
        Some((frame, rest))
    }
}

const PREFACE: &[u8; 24] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

// RFC 9113 §6
const DATA: u8 = 0;
const HEADERS: u8 = 1;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const WINDOW_UPDATE: u8 = 8;
const ACK: u8 = 1;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;

/// The initial window of either side (RFC 9113 §6.9.2).
const FIRST_WINDOW: i64 = 65_535;

/// The bytes by which the service enlarges the client's window.
const OUR_WINDOW: u32 = 16 * 1024 * 1024;

/// `:status: 200`, indexed, and `content-type: application/grpc` with an indexed name (RFC 7541, appendix A: 8 and 31).
const HEAD: &[u8] = b"\x88\x0f\x10\x10application/grpc";

/// `grpc-status: 0`, not indexed, with a literal name.
const TRAILERS: &[u8] = b"\x00\x0bgrpc-status\x010";

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};
    use std::net::TcpStream;

    use super::{FIRST_WINDOW, Frame, PREFACE, message, start};

    #[test]
    fn each_call_is_answered_with_one_message_and_a_status() {
        let mut client = TcpStream::connect(("127.0.0.1", start().unwrap())).unwrap();
        client.write_all(PREFACE).unwrap();
        // Empty HEADERS, then DATA that ends the stream.
        client.write_all(b"\0\0\0\x01\x04\0\0\0\x01").unwrap();
        client.write_all(b"\0\0\x01\0\x01\0\0\0\x01x").unwrap();
        client.shutdown(std::net::Shutdown::Write).unwrap();
        let mut answer = Vec::new();
        client.read_to_end(&mut answer).unwrap();
        let (mut rest, mut seen) = (&answer[..], Vec::new());
        while let Some((frame, next)) = Frame::split_from(rest) {
            seen.push((frame.kind, frame.flags, frame.stream));
            rest = next;
        }
        let ours = [(4, 0, 0), (8, 0, 0)];
        assert_eq!(
            seen,
            [&ours[..], &[(1, 4, 1), (0, 0, 1), (1, 5, 1)]].concat()
        );
        assert!((message().len() as i64) < FIRST_WINDOW);
    }
}
