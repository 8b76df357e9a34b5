//! WebSockets: a service that holds them open, and a client that measures when they end.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::time::{Duration, Instant};

use anyhow::{Result, bail, ensure};
use xtask::step::clock;

use crate::http::{Address, Extent, get};

/// The path of the gates' route to the service.
pub(super) const PATH: &str = "/socket";

/// Starts the service in this process and returns its port. It accepts every WebSocket and sends nothing on it.
///
/// # Errors
/// When no port is free.
pub(super) fn start() -> Result<u16> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let port = listener.local_addr()?.port();
    // One thread per connection: there are as many as gates, for each change under way. All end with this program.
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            // The client notices when a connection breaks.
            std::thread::spawn(move || hold(stream).is_ok());
        }
    });
    Ok(port)
}

fn hold(mut stream: TcpStream) -> Result<()> {
    head(&mut stream)?;
    stream.write_all(SWITCHED)?;
    let mut block = [0; 1024];
    while stream.read(&mut block)? > 0 {}
    Ok(())
}

/// A WebSocket through a gate.
pub(super) struct WebSocket(TcpStream);

impl WebSocket {
    /// Opens a WebSocket with this cookie.
    ///
    /// # Errors
    /// When the gate does not answer with 101.
    pub(super) fn open(address: &Address, cookie: &str) -> Result<Self> {
        let Address::Tcp(port) = *address else {
            bail!("gates listen on TCP here");
        };
        let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
        stream.set_read_timeout(Some(LIMIT))?;
        let fields = HANDSHAKE.map(|(name, value)| (name.to_owned(), value.to_owned()));
        let cookie = [("Cookie".to_owned(), cookie.to_owned())];
        stream.write_all(&get(PATH, &[&fields[..], &cookie].concat()))?;
        let status = head(&mut stream)?;
        ensure!(status == 101, "a WebSocket is answered with {status}");
        Ok(Self(stream))
    }

    /// Waits until the gate ends the WebSocket; returns when that was.
    ///
    /// # Errors
    /// When the gate does not end it in time, or sends something other than a Close frame.
    pub(super) fn ended(mut self) -> Result<Instant> {
        let mut first = [0];
        let read = self.0.read(&mut first)?;
        let ended = clock();
        ensure!(
            read == 0 || first[0] == CLOSE,
            "{first:?} arrived on a WebSocket"
        );
        Ok(ended)
    }
}

/// Reads a request or response head and no further; returns the status, or 0 for a request.
fn head(stream: &mut TcpStream) -> Result<u16> {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") {
        ensure!(head.len() < MAX_HEAD, "a head does not end");
        ensure!(stream.read(&mut byte)? > 0, "the connection was closed");
        head.push(byte[0]);
    }
    match head.starts_with(b"GET") {
        true => Ok(0),
        false => Ok(Extent::of(&head)?.map_or(0, |extent| extent.status)),
    }
}

/// The header fields of the handshake (RFC 6455), with the example key of that RFC.
const HANDSHAKE: [(&str, &str); 4] = [
    ("Connection", "Upgrade"),
    ("Upgrade", "websocket"),
    ("Sec-WebSocket-Version", "13"),
    ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="),
];
const SWITCHED: &[u8] =
    b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
    Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";

/// The first byte of a Close frame (RFC 6455 §5.2).
const CLOSE: u8 = 0x88;

const MAX_HEAD: usize = 16 << 10;

/// After this long, the gate is considered not to end the WebSocket.
const LIMIT: Duration = Duration::from_secs(30);
