//! HTTP/1.1 as bytes: one strict reader for both ends.
//!
//! It accepts only canonical messages and treats everything else as an error, so that a test sees what a lax parser would hide.

use anyhow::{Context, Result, bail, ensure};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// A connection with the bytes that were read from it but not used yet.
#[derive(Debug)]
pub(crate) struct Wire {
    stream: TcpStream,
    unread: Vec<u8>,
}

/// A request line or status line, and the fields that follow it.
#[derive(Debug)]
pub(crate) struct Head {
    pub(crate) start: String,
    pub(crate) headers: Headers,
}

/// Header fields in the order they arrived, names as they were spelled. Bytes beyond ASCII read as Latin-1.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Headers(Vec<(String, String)>);

/// How the body of a message ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Framing {
    Chunked,
    Length(usize),
    /// The message says nothing: no body in a request, everything until the end of the connection in an answer.
    UntilClose,
}

impl Wire {
    pub(crate) fn new(stream: TcpStream) -> Self {
        Self {
            stream,
            unread: Vec::new(),
        }
    }

    /// Reads the head of the next message; `None` when the peer closed the connection instead of starting one.
    pub(crate) async fn head(&mut self) -> Result<Option<Head>> {
        // A reset between two messages closes the connection too.
        if self.unread.is_empty() && !self.more().await.or_else(reset_is_end)? {
            return Ok(None);
        }
        let start = self.line().await?;
        let mut headers = Vec::new();
        loop {
            let line = self.line().await?;
            if line.is_empty() {
                return Ok(Some(Head {
                    start,
                    headers: Headers(headers),
                }));
            }
            let (name, value) = line
                .split_once(':')
                .with_context(|| format!("a field without a colon: {line:?}"))?;
            ensure!(is_token(name), "not a field name: {name:?}");
            headers.push((name.to_owned(), value.trim_matches([' ', '\t']).to_owned()));
        }
    }

    /// Reads one line, without its CRLF.
    pub(crate) async fn line(&mut self) -> Result<String> {
        let end = loop {
            match self.unread.iter().position(|&byte| byte == b'\n') {
                Some(end) => break end,
                None => ensure!(
                    self.more().await?,
                    "the connection ended inside a line: {:?}",
                    latin1(&self.unread)
                ),
            }
        };
        let line: Vec<u8> = self.unread.drain(..=end).collect();
        let line = line
            .strip_suffix(b"\r\n")
            .with_context(|| format!("a bare line feed: {:?}", latin1(&line)))?;
        ensure!(
            !line.contains(&b'\r') && !line.contains(&0),
            "a bare CR or NUL: {:?}",
            latin1(line)
        );
        Ok(latin1(line))
    }

    /// Reads exactly `length` bytes.
    pub(crate) async fn exactly(&mut self, length: usize) -> Result<Vec<u8>> {
        while self.unread.len() < length {
            ensure!(
                self.more().await?,
                "the connection ended {} bytes early",
                length - self.unread.len()
            );
        }
        Ok(self.unread.drain(..length).collect())
    }

    /// Reads the data of the next chunk; `None` for the last one, whose trailer fields are read and checked.
    pub(crate) async fn chunk(&mut self) -> Result<Option<Vec<u8>>> {
        let size = self.line().await?;
        ensure!(
            !size.is_empty() && size.bytes().all(|byte| byte.is_ascii_hexdigit()),
            "a bad chunk size: {size:?}"
        );
        let size = usize::from_str_radix(&size, 16)?;
        if size == 0 {
            while !self.line().await?.is_empty() {}
            return Ok(None);
        }
        let data = self.exactly(size).await?;
        ensure!(
            self.line().await?.is_empty(),
            "a chunk longer than its size"
        );
        Ok(Some(data))
    }

    /// Reads whatever arrives next; empty at the end of the connection.
    pub(crate) async fn read_some(&mut self) -> Result<Vec<u8>> {
        self.read_at_most(usize::MAX).await
    }

    /// Reads whatever arrives next, but not more than `length` bytes; empty at the end of the connection.
    pub(crate) async fn read_at_most(&mut self, length: usize) -> Result<Vec<u8>> {
        if self.unread.is_empty() {
            self.more().await?;
        }
        Ok(self.unread.drain(..length.min(self.unread.len())).collect())
    }

    pub(crate) async fn send(&mut self, bytes: &[u8]) -> Result<()> {
        Ok(self.stream.write_all(bytes).await?)
    }

    /// Half-closes the connection: nothing more will be sent.
    pub(crate) async fn finish(&mut self) -> Result<()> {
        Ok(self.stream.shutdown().await?)
    }

    async fn more(&mut self) -> Result<bool> {
        self.unread.reserve(16_384);
        let length = self.stream.read_buf(&mut self.unread).await?;
        Ok(length > 0)
    }
}

impl Headers {
    /// Returns the value of the only field called `name`, in any spelling of case; `None` when there is none.
    ///
    /// # Panics
    /// When there are several: a test that reads the value expects only one.
    pub fn get(&self, name: &str) -> Option<&str> {
        let all = self.all(name);
        assert!(all.len() < 2, "{name} occurs {} times: {all:?}", all.len());
        all.first().copied()
    }

    /// Returns the values of all fields called `name`, in any spelling of case.
    pub fn all(&self, name: &str) -> Vec<&str> {
        self.iter()
            .filter(|(key, _)| key.eq_ignore_ascii_case(name))
            .map(|(_, value)| value)
            .collect()
    }

    /// Returns all fields in order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// Returns how the body of the message ends, according to its fields.
    pub(crate) fn framing(&self) -> Result<Framing> {
        let (lengths, codings) = (self.all("content-length"), self.all("transfer-encoding"));
        match (lengths.as_slice(), codings.as_slice()) {
            ([], []) => Ok(Framing::UntilClose),
            ([], [coding]) if coding.eq_ignore_ascii_case("chunked") => Ok(Framing::Chunked),
            ([length], [])
                if !length.is_empty() && length.bytes().all(|byte| byte.is_ascii_digit()) =>
            {
                Ok(Framing::Length(length.parse()?))
            }
            _ => bail!(
                "ambiguous framing: Content-Length {lengths:?}, Transfer-Encoding {codings:?}"
            ),
        }
    }
}

/// Decodes bytes as Latin-1, one character per byte, so that nothing is lost.
pub(crate) fn latin1(bytes: &[u8]) -> String {
    bytes.iter().map(|&byte| char::from(byte)).collect()
}

fn reset_is_end(error: anyhow::Error) -> Result<bool> {
    let kind = error.downcast_ref().map(std::io::Error::kind);
    match kind {
        Some(std::io::ErrorKind::ConnectionReset) => Ok(false),
        _ => Err(error),
    }
}

fn is_token(name: &str) -> bool {
    !name.is_empty()
        && name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte))
}
