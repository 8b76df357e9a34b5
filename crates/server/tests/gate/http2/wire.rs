//! A client that sends arbitrary frames, and reads the frames that come back.

use std::net::SocketAddr;

use anyhow::{Context, Result, bail, ensure};
use harness::{Gate, TIMEOUT};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

pub(crate) const DATA: u8 = 0;
pub(crate) const HEADERS: u8 = 1;
pub(crate) const PRIORITY: u8 = 2;
pub(crate) const RST_STREAM: u8 = 3;
pub(crate) const SETTINGS: u8 = 4;
pub(crate) const PUSH_PROMISE: u8 = 5;
pub(crate) const PING: u8 = 6;
pub(crate) const GOAWAY: u8 = 7;
pub(crate) const WINDOW_UPDATE: u8 = 8;
pub(crate) const CONTINUATION: u8 = 9;

pub(crate) const ACK: u8 = 1;
pub(crate) const END_STREAM: u8 = 1;
pub(crate) const END_HEADERS: u8 = 4;
pub(crate) const PADDED: u8 = 8;
pub(crate) const WITH_PRIORITY: u8 = 0x20;

pub(crate) const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// A connection on which the test writes the frames.
pub(crate) struct Raw {
    stream: TcpStream,
    received: Vec<u8>,
}

/// A received frame.
#[derive(Debug)]
pub(crate) struct Frame {
    pub(crate) kind: u8,
    pub(crate) flags: u8,
    pub(crate) stream: u32,
    pub(crate) payload: Vec<u8>,
}

impl Raw {
    /// Opens a connection without sending a byte.
    pub(crate) async fn connect(to: SocketAddr) -> Result<Self> {
        let stream = TcpStream::connect(to).await?;
        stream.set_nodelay(true)?;
        Ok(Self {
            stream,
            received: Vec::new(),
        })
    }

    /// Opens a connection and exchanges prefaces and SETTINGS.
    pub(crate) async fn open(gate: &Gate) -> Result<Self> {
        Self::open_with(gate, &[]).await
    }

    /// Opens a connection and exchanges prefaces and SETTINGS, with these settings of the client.
    pub(crate) async fn open_with(gate: &Gate, settings: &[(u16, u32)]) -> Result<Self> {
        let mut raw = Self::connect(gate.proxy).await?;
        let mut payload = Vec::new();
        for (id, value) in settings {
            payload.extend(id.to_be_bytes());
            payload.extend(value.to_be_bytes());
        }
        let ours = frame(SETTINGS, 0, 0, &payload);
        let ack = frame(SETTINGS, ACK, 0, &[]);
        raw.write(&[PREFACE, &ours, &ack].concat()).await?;
        raw.until(|frame| frame.kind == SETTINGS && frame.flags & ACK != 0)
            .await?;
        Ok(raw)
    }

    /// Writes these bytes and ignores errors: the gate's frames show whether it still reads.
    pub(crate) async fn write(&mut self, bytes: &[u8]) -> Result<()> {
        let written = timeout(TIMEOUT, self.stream.write_all(bytes)).await;
        let _ = written.context("the gate does not read")?;
        Ok(())
    }

    /// Whether the gate sends these bytes first, instead of a frame.
    pub(crate) async fn starts_with(&mut self, bytes: &[u8]) -> Result<bool> {
        while self.received.len() < bytes.len() {
            let read = self.stream.read_buf(&mut self.received);
            if timeout(TIMEOUT, read).await.context("no bytes arrived")?? == 0 {
                break;
            }
        }
        Ok(self.received.starts_with(bytes))
    }

    /// Returns the next frame, or `None` at the end of the connection. It answers pings.
    pub(crate) async fn next(&mut self) -> Result<Option<Frame>> {
        loop {
            if let Some(next) = Frame::take(&mut self.received) {
                if next.kind == PING && next.flags & ACK == 0 {
                    self.write(&frame(PING, ACK, 0, &next.payload)).await?;
                }
                return Ok(Some(next));
            }
            let read = self.stream.read_buf(&mut self.received);
            match timeout(TIMEOUT, read).await.context("no frame arrived")? {
                Ok(0) | Err(_) => return Ok(None),
                Ok(_) => {}
            }
        }
    }

    /// Returns the next frame for which `wanted` is true.
    pub(crate) async fn until(&mut self, wanted: impl Fn(&Frame) -> bool) -> Result<Frame> {
        while let Some(frame) = self.next().await? {
            if wanted(&frame) {
                return Ok(frame);
            }
        }
        bail!("the connection ended before that")
    }

    /// Returns the code with which this stream or the connection ended, or the status of the answer.
    pub(crate) async fn outcome(&mut self, stream: u32) -> Result<Outcome> {
        while let Some(frame) = self.next().await? {
            match frame.kind {
                HEADERS if frame.stream == stream => return Ok(Outcome::Status(frame.status())),
                RST_STREAM if frame.stream == stream => {
                    return Ok(Outcome::Reset(frame.number(0)));
                }
                GOAWAY if frame.number(4) != 0 => return Ok(Outcome::Away(frame.number(4))),
                _ => {}
            }
        }
        Ok(Outcome::Closed)
    }

    /// Waits for the end of the connection; returns the code of the last GOAWAY before it.
    pub(crate) async fn end(&mut self) -> Result<Option<u32>> {
        let mut code = None;
        while let Some(frame) = self.next().await? {
            if frame.kind == GOAWAY {
                code = Some(frame.number(4));
            }
        }
        Ok(code)
    }

    /// Waits until the gate has read everything written so far: it answers a ping in order.
    pub(crate) async fn is_read(&mut self) -> Result<()> {
        self.write(&frame(PING, 0, 0, b"read all")).await?;
        let pong = self
            .until(|frame| frame.kind == PING && frame.flags & ACK != 0)
            .await?;
        ensure!(pong.payload == b"read all");
        Ok(())
    }
}

/// The outcome of a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// The connection ended with this code.
    Away(u32),
    /// The connection ended without a GOAWAY.
    Closed,
    /// The stream was reset with this code.
    Reset(u32),
    /// The stream got an answer with this status.
    Status(u16),
}

impl Frame {
    fn take(received: &mut Vec<u8>) -> Option<Self> {
        let &[a, b, c, kind, flags, w, x, y, z] = received.first_chunk()?;
        let length = u32::from_be_bytes([0, a, b, c]) as usize;
        if received.len() < 9 + length {
            return None;
        }
        let rest = received.split_off(9 + length);
        let payload = std::mem::replace(received, rest).split_off(9);
        Some(Self {
            kind,
            flags,
            stream: u32::from_be_bytes([w, x, y, z]),
            payload,
        })
    }

    /// Returns four bytes of the payload as a number.
    fn number(&self, at: usize) -> u32 {
        let bytes = self.payload.get(at..at + 4);
        let bytes = bytes.and_then(|bytes| bytes.try_into().ok());
        u32::from_be_bytes(bytes.unwrap_or_default())
    }

    /// Returns the status, which the gate writes first: indexed, or a literal with an indexed name (RFC 7541 appendix A).
    fn status(&self) -> u16 {
        let is_size_update = |byte: &&u8| **byte & 0xe0 == 0x20;
        let skipped = self.payload.iter().take_while(is_size_update).count();
        match self.payload[skipped..] {
            [index, ..] if index & 0x80 != 0 => match index & 0x7f {
                8 => 200,
                9 => 204,
                10 => 206,
                11 => 304,
                12 => 400,
                13 => 404,
                14 => 500,
                _ => 0,
            },
            [_, length, ref text @ ..] if length & 0x80 != 0 => {
                digits(&text[..usize::from(length & 0x7f)])
            }
            [_, 3, a, b, c, ..] => [a, b, c]
                .iter()
                .fold(0, |number, digit| number * 10 + u16::from(digit - b'0')),
            _ => 0,
        }
    }
}

/// Decodes three digits in Huffman code (RFC 7541 appendix B).
fn digits(code: &[u8]) -> u16 {
    const CODES: [&str; 10] = [
        "00000", "00001", "00010", "011001", "011010", "011011", "011100", "011101", "011110",
        "011111",
    ];
    let bits: String = code.iter().map(|byte| format!("{byte:08b}")).collect();
    let (mut rest, mut number) = (bits.as_str(), 0);
    for _ in 0..3 {
        let starts = |code: &&str| rest.starts_with(*code);
        let digit = CODES.iter().position(starts).unwrap_or(0);
        number = number * 10 + u16::try_from(digit).unwrap_or(0);
        rest = &rest[CODES[digit].len()..];
    }
    number
}

/// Encodes a frame.
pub(crate) fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len())
        .unwrap_or(u32::MAX)
        .to_be_bytes();
    let mut bytes = length[1..].to_vec();
    bytes.extend([kind, flags]);
    bytes.extend(stream.to_be_bytes());
    bytes.extend(payload);
    bytes
}

/// Encodes the head of a request: literal fields without indexing (RFC 7541 §6.2.2).
pub(crate) fn block(fields: &[(&str, &str)]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (name, value) in fields {
        bytes.push(0);
        for text in [name, value] {
            length(&mut bytes, text.len());
            bytes.extend(text.as_bytes());
        }
    }
    bytes
}

/// Encodes an integer with a prefix of seven bits (RFC 7541 §5.1).
fn length(bytes: &mut Vec<u8>, number: usize) {
    let low = |number: usize| u8::try_from(number & 127).expect("seven bits");
    let Some(mut rest) = number.checked_sub(127) else {
        return bytes.push(low(number));
    };
    bytes.push(127);
    while rest > 127 {
        bytes.push(low(rest) | 128);
        rest >>= 7;
    }
    bytes.push(low(rest));
}

/// Returns the pseudo-header fields of a request to a public path.
pub(crate) fn public(path: &str) -> Vec<(&str, &str)> {
    vec![
        (":method", "GET"),
        (":scheme", "http"),
        (":authority", "gate.example"),
        (":path", path),
    ]
}

/// Returns the frame of a complete request for this path.
pub(crate) fn get(stream: u32, path: &str) -> Vec<u8> {
    let head = block(&public(path));
    frame(HEADERS, END_HEADERS | END_STREAM, stream, &head)
}

/// Returns the frame of a request head that a body follows.
pub(crate) fn post(stream: u32, path: &str, more: &[(&str, &str)]) -> Vec<u8> {
    let mut fields = public(path);
    fields[0].1 = "POST";
    fields.extend(more);
    frame(HEADERS, END_HEADERS, stream, &block(&fields))
}

/// Returns a service's accept value for the key in this head (RFC 6455 §4.2.2).
pub(crate) fn accept_of(head: &str) -> Result<String> {
    let mut lines = head.lines();
    let key = lines.find_map(|line| line.strip_prefix("sec-websocket-key: "));
    let python = "import base64, hashlib, sys; \
        print(base64.b64encode(hashlib.sha1(sys.argv[1].encode()).digest()).decode(), end='')";
    let text = format!(
        "{}258EAFA5-E914-47DA-95CA-C5AB0DC85B11",
        key.context("a key")?
    );
    let mut command = std::process::Command::new("python3");
    let output = command.args(["-c", python, &text]).output()?;
    Ok(String::from_utf8(output.stdout)?)
}
