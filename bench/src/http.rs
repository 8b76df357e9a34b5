//! HTTP/1.1 as far as a benchmark needs it: one request at a time, and answers with a `Content-Length`.

use std::fmt;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use memchr::{memchr, memmem};

use super::tls::TlsClient;

/// Where a server listens on this machine.
#[derive(Clone, Debug)]
pub(crate) enum Address {
    Tcp(u16),
    Unix(PathBuf),
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(port) => write!(f, "127.0.0.1:{port}"),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

/// A connection that is kept alive.
pub(crate) struct Connection<'s> {
    stream: Box<dyn Stream + 's>,
    buffer: Vec<u8>,
}

/// A stream of bytes in both directions.
pub(crate) trait Stream: Read + Write + Send {}
impl<T: Read + Write + Send> Stream for T {}

/// The answer to a request.
#[derive(Debug)]
pub(crate) struct Answer<'a> {
    pub(crate) status: u16,
    head: &'a [u8],
    pub(crate) body: &'a [u8],
}

impl Connection<'static> {
    /// Connects without TLS.
    ///
    /// # Errors
    /// When no server listens there.
    pub(crate) fn open(address: &Address) -> Result<Self> {
        let stream: Box<dyn Stream> = match address {
            Address::Tcp(port) => {
                let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, *port))?;
                stream.set_nodelay(true)?;
                stream.set_read_timeout(Some(TIMEOUT))?;
                Box::new(stream)
            }
            Address::Unix(path) => {
                let stream = UnixStream::connect(path)?;
                stream.set_read_timeout(Some(TIMEOUT))?;
                Box::new(stream)
            }
        };
        Ok(Self::of(stream))
    }

    /// Connects with TLS.
    ///
    /// # Errors
    /// When no server listens there.
    pub(crate) fn open_tls(address: &Address) -> Result<Self> {
        let Address::Tcp(port) = *address else {
            bail!("TLS needs a TCP address, not a Unix socket");
        };
        Ok(Self::of(TlsClient::new(false)?.connect(port, TIMEOUT)?))
    }
}

impl<'s> Connection<'s> {
    /// Wraps a stream that is already connected.
    pub(crate) fn of(stream: impl Stream + 's) -> Self {
        Self {
            stream: Box::new(stream),
            buffer: vec![0; 128 * 1024],
        }
    }

    /// Sends `request` and waits for the whole answer. After an answer without a length, the connection cannot be used again.
    ///
    /// # Errors
    /// When the connection breaks, or the answer is not HTTP.
    pub(crate) fn exchange(&mut self, request: &[u8]) -> Result<Answer<'_>> {
        self.stream.write_all(request)?;
        let mut filled = 0;
        let extent = loop {
            if filled == self.buffer.len() {
                self.buffer.resize(2 * filled, 0);
            }
            let read = self.stream.read(&mut self.buffer[filled..])?;
            ensure!(read > 0, "the connection was closed");
            filled += read;
            if let Some(extent) = Extent::of(&self.buffer[..filled])? {
                break extent;
            }
        };
        let (head, body) = self.buffer[..extent.end].split_at(extent.head);
        Ok(Answer {
            status: extent.status,
            head,
            body,
        })
    }
}

/// The status and the length of an answer that has arrived completely.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Extent {
    pub(crate) status: u16,
    /// Where its head ends.
    head: usize,
    end: usize,
}

impl Extent {
    /// Reads the answer at the start of `bytes`; `None` while it is incomplete.
    ///
    /// # Errors
    /// When the bytes are not HTTP.
    pub(crate) fn of(bytes: &[u8]) -> Result<Option<Self>> {
        let Some(head) = memmem::find(bytes, b"\r\n\r\n").map(|at| at + 4) else {
            return Ok(None);
        };
        let length = header(&bytes[..head], "content-length");
        let end = head + length.map_or(Ok(0), str::parse::<usize>)?;
        let status = str::from_utf8(bytes.get(9..12).context("no status")?)?;
        let status = status.parse()?;
        Ok((bytes.len() >= end).then_some(Self { status, head, end }))
    }
}

impl Answer<'_> {
    /// The value of a header.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        header(self.head, name)
    }
}

/// Returns the bytes of a GET request.
pub(crate) fn get(path: &str, headers: &[(String, String)]) -> Vec<u8> {
    let headers = headers
        .iter()
        .map(|(name, value)| format!("{name}: {value}\r\n"));
    let mut headers: String = headers.collect();
    if !headers.starts_with("Host: ") {
        headers.insert_str(0, "Host: 127.0.0.1\r\n");
    }
    format!("GET {path} HTTP/1.1\r\n{headers}\r\n").into_bytes()
}

/// Finds a header with `memchr`, which is compiled with optimization while this crate is not: a load that reads answers slowly
/// would measure itself.
fn header<'a>(head: &'a [u8], wanted: &str) -> Option<&'a str> {
    let mut rest = head;
    while let Some(end) = memchr(b'\n', rest) {
        let (line, next) = rest.split_at(end + 1);
        rest = next;
        let value = line.get(wanted.len() + 1..);
        if line.get(wanted.len()) == Some(&b':')
            && line[..wanted.len()].eq_ignore_ascii_case(wanted.as_bytes())
        {
            return str::from_utf8(value?).ok().map(str::trim);
        }
    }
    None
}

/// Longer than any answer takes, so that a server which hangs becomes an error.
const TIMEOUT: Duration = Duration::from_secs(10);

#[cfg(test)]
mod tests {
    use super::header;

    #[test]
    fn headers_are_found_by_their_whole_name_in_any_case() {
        let head = b"HTTP/1.1 200 OK\r\nX-Content-Length: 1\r\nContent-LENGTH:  72 \r\n\r\n";
        assert_eq!(header(head, "content-length"), Some("72"));
        assert_eq!(header(head, "length"), None);
    }
}
