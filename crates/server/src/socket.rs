//! A connection: TCP, with or without TLS, or a Unix socket for calling proxies on the same machine.

use std::io::{self, IoSlice};
use std::mem::MaybeUninit;
use std::net::TcpStream as StdTcpStream;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream as StdUnixStream;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use socket2::{SockRef, TcpKeepalive};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, Interest, ReadBuf};
use tokio::net::{TcpStream, UnixStream};

use crate::limits::LimitGuard;
use crate::tls::socket::{Sealed, TlsSocket};

/// Turns on TCP keep-alive, so that the kernel notices a peer that vanished. This matters for connections that may be silent for
/// hours, such as WebSockets.
pub(crate) fn keep_alive(stream: &TcpStream) -> io::Result<()> {
    let probes = TcpKeepalive::new()
        .with_time(Duration::from_secs(60))
        .with_interval(Duration::from_secs(15));
    SockRef::from(stream).set_tcp_keepalive(&probes)
}

/// A connection.
#[derive(Debug)]
pub(crate) struct Stream {
    socket: StreamSocket,
    /// Bytes that were read to detect the protocol, and are read again.
    ahead: Bytes,
    /// Counts an accepted connection among those of its runtime.
    _connection_guard: Option<ConnectionGuard>,
    /// Counts it among those of its listener and its address, if they are limited.
    _limit_guard: Option<Box<LimitGuard>>,
}

#[derive(Debug)]
enum StreamSocket {
    Tcp(TcpStream),
    /// Boxed, because it is large and most connections are plain.
    Tls(Box<TlsSocket>),
    Unix(UnixStream),
}

/// A connection that belongs to no runtime.
#[derive(Debug)]
pub(crate) enum StdStream {
    Tcp(StdTcpStream),
    Unix(StdUnixStream),
}

/// A guard that a connection holds until it ends. The reference count, less the runtime's own copy, is the number of its
/// connections.
pub(crate) type ConnectionGuard = Arc<()>;

impl Stream {
    fn new(socket: StreamSocket) -> Self {
        Self {
            socket,
            ahead: Bytes::new(),
            _connection_guard: None,
            _limit_guard: None,
        }
    }

    /// Registers the connection with the current runtime.
    pub(crate) fn from_std(stream: StdStream) -> io::Result<Self> {
        Ok(match stream {
            StdStream::Tcp(stream) => TcpStream::from_std(stream)?.into(),
            StdStream::Unix(stream) => UnixStream::from_std(stream)?.into(),
        })
    }

    /// Takes the connection out of its runtime. Nothing may have been read from it.
    pub(crate) fn into_std(self) -> io::Result<StdStream> {
        Ok(match self.socket {
            StreamSocket::Tcp(stream) => StdStream::Tcp(stream.into_std()?),
            // The state of a TLS session cannot be moved.
            StreamSocket::Tls(_) => return Err(io::ErrorKind::Unsupported.into()),
            StreamSocket::Unix(stream) => StdStream::Unix(stream.into_std()?),
        })
    }

    /// Counts the connection among those of its runtime.
    pub(crate) fn with_connection_guard(self, guard: ConnectionGuard) -> Self {
        let _connection_guard = Some(guard);
        Self {
            _connection_guard,
            ..self
        }
    }

    /// Counts the connection among those of its listener and its address.
    pub(crate) fn with_limit_guard(self, guard: Option<Box<LimitGuard>>) -> Self {
        Self {
            _limit_guard: guard,
            ..self
        }
    }

    /// Adds TLS to a TCP connection: `secure` does the handshake. A connection over a Unix socket is left as it is.
    ///
    /// # Errors
    /// The errors of `secure`.
    pub(crate) async fn secured<E>(
        self,
        secure: impl AsyncFnOnce(TcpStream) -> Result<TlsSocket, E>,
    ) -> Result<Self, E> {
        let socket = match self.socket {
            StreamSocket::Tcp(tcp) => StreamSocket::Tls(Box::new(secure(tcp).await?)),
            socket @ (StreamSocket::Tls(_) | StreamSocket::Unix(_)) => socket,
        };
        Ok(Self { socket, ..self })
    }

    /// Puts these bytes back, to be read first.
    pub(crate) fn with_ahead(self, ahead: Bytes) -> Self {
        Self { ahead, ..self }
    }

    /// Whether ALPN has selected HTTP/2 (RFC 9113 §3.2).
    pub(crate) fn has_agreed_on_http2(&self) -> bool {
        self.tls().is_some_and(|tls| tls.protocol() == Some(b"h2"))
    }

    /// The TLS session, if the connection has one.
    pub(crate) fn tls(&self) -> Option<&TlsSocket> {
        match &self.socket {
            StreamSocket::Tls(tls) => Some(tls),
            StreamSocket::Tcp(_) | StreamSocket::Unix(_) => None,
        }
    }

    fn tls_mut(&mut self) -> Option<&mut TlsSocket> {
        match &mut self.socket {
            StreamSocket::Tls(tls) => Some(tls),
            StreamSocket::Tcp(_) | StreamSocket::Unix(_) => None,
        }
    }

    /// Over TLS, encrypts these bytes for a caller that sends them and [puts back](Self::put_back) the rest. `None` without
    /// TLS.
    pub(crate) fn seal(&mut self, bytes: &[u8]) -> Option<Sealed> {
        Some(self.tls_mut()?.seal(bytes))
    }

    /// Takes back what was [sealed](Self::seal).
    pub(crate) fn put_back(&mut self, sealed: Sealed) {
        if let Some(tls) = self.tls_mut() {
            tls.put_back(sealed);
        }
    }

    /// Whether encrypted bytes wait to be sent.
    pub(crate) fn is_holding(&self) -> bool {
        self.tls().is_some_and(TlsSocket::is_holding)
    }

    /// Sends some of the encrypted bytes that [wait](Self::is_holding).
    pub(crate) fn poll_drain(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.tls_mut() {
            Some(tls) => tls.poll_drain(context),
            None => Poll::Ready(Ok(())),
        }
    }

    /// Releases memory before a wait that may be long.
    pub(crate) fn release_memory(&mut self) {
        if let Some(tls) = self.tls_mut() {
            tls.release_memory();
        }
    }

    /// Ready with true when there is something to read, and with false when the other side has closed. Replaces the waker of
    /// an earlier call.
    pub(crate) fn poll_readable(&self, context: &mut Context<'_>) -> Poll<bool> {
        loop {
            let peeked = match &self.socket {
                StreamSocket::Tcp(stream) => ready!(poll_peek(stream, context)),
                StreamSocket::Tls(stream) => ready!(poll_peek(stream.tcp_stream(), context)),
                StreamSocket::Unix(stream) => {
                    let _ = ready!(stream.poll_read_ready(context));
                    stream.try_io(Interest::READABLE, || peek(stream))
                }
            };
            match peeked {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                peeked => return Poll::Ready(peeked.is_ok_and(|count| count > 0)),
            }
        }
    }

    /// Whether the other side has neither sent anything nor closed, as the kernel knows it now.
    pub(crate) fn is_quiet(&self) -> bool {
        let peeked = match &self.socket {
            StreamSocket::Tcp(stream) => peek(stream),
            StreamSocket::Tls(stream) if stream.has_unread() => return false,
            StreamSocket::Tls(stream) => peek(stream.tcp_stream()),
            StreamSocket::Unix(stream) => peek(stream),
        };
        peeked.is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock)
    }

    /// Whether a file can be [sent](Self::poll_send_file) straight from the page cache.
    pub(crate) fn takes_files(&self) -> bool {
        self.tls().is_none()
    }

    /// Sends at most `count` bytes of a file from this offset, straight from the page cache. Ready with the number of bytes
    /// sent.
    #[cfg(target_os = "linux")]
    pub(crate) fn poll_send_file(
        &self,
        context: &mut Context<'_>,
        file: BorrowedFd<'_>,
        offset: u64,
        count: usize,
    ) -> Poll<io::Result<usize>> {
        let send = || {
            let mut offset = offset;
            Ok(rustix::fs::sendfile(self, file, Some(&mut offset), count)?)
        };
        loop {
            let sent = match &self.socket {
                StreamSocket::Tcp(stream) => {
                    ready!(stream.poll_write_ready(context))?;
                    stream.try_io(Interest::WRITABLE, send)
                }
                // The bytes would be sent unencrypted.
                StreamSocket::Tls(_) => return Poll::Ready(Err(io::ErrorKind::Unsupported.into())),
                StreamSocket::Unix(stream) => {
                    ready!(stream.poll_write_ready(context))?;
                    stream.try_io(Interest::WRITABLE, send)
                }
            };
            match sent {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                sent => return Poll::Ready(sent),
            }
        }
    }

    /// `sendfile` differs on other systems.
    #[cfg(not(target_os = "linux"))]
    pub(crate) fn poll_send_file(
        &self,
        _: &mut Context<'_>,
        _: BorrowedFd<'_>,
        _: u64,
        _: usize,
    ) -> Poll<io::Result<usize>> {
        Poll::Ready(Err(io::ErrorKind::Unsupported.into()))
    }

    /// Waits for the first bytes and returns whether they are the preface of HTTP/2, from a client with prior knowledge (RFC
    /// 9113 §3.3). The bytes are left to be read.
    pub(crate) async fn begins_with_http2(&mut self) -> io::Result<bool> {
        let mut first = Vec::with_capacity(HTTP2_PREFACE.len());
        while first.len() < HTTP2_PREFACE.len() && HTTP2_PREFACE.starts_with(&first) {
            let left = HTTP2_PREFACE.len() - first.len();
            if (&mut self.socket)
                .take(left as u64)
                .read_buf(&mut first)
                .await?
                == 0
            {
                break;
            }
        }
        let begins_with_http2 = first == HTTP2_PREFACE;
        self.ahead = first.into();
        Ok(begins_with_http2)
    }
}

/// Peeks at the input. Returns 1 if there is a byte to read, 0 if the other side has closed.
fn peek(socket: &impl AsFd) -> io::Result<usize> {
    SockRef::from(socket).peek(&mut [MaybeUninit::uninit()])
}

fn poll_peek(stream: &TcpStream, context: &mut Context<'_>) -> Poll<io::Result<usize>> {
    let _ = ready!(stream.poll_read_ready(context));
    Poll::Ready(stream.try_io(Interest::READABLE, || peek(stream)))
}

impl From<TcpStream> for Stream {
    fn from(stream: TcpStream) -> Self {
        Self::new(StreamSocket::Tcp(stream))
    }
}

impl From<UnixStream> for Stream {
    fn from(stream: UnixStream) -> Self {
        Self::new(StreamSocket::Unix(stream))
    }
}

impl AsFd for Stream {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match &self.socket {
            StreamSocket::Tcp(stream) => stream.as_fd(),
            StreamSocket::Tls(stream) => stream.as_fd(),
            StreamSocket::Unix(stream) => stream.as_fd(),
        }
    }
}

impl AsyncRead for Stream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.ahead.is_empty() {
            return Pin::new(&mut self.socket).poll_read(context, buffer);
        }
        let length = self.ahead.len().min(buffer.remaining());
        buffer.put_slice(&self.ahead.split_to(length));
        Poll::Ready(Ok(()))
    }
}

impl AsyncRead for StreamSocket {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_read(context, buffer),
            Self::Tls(stream) => Pin::new(&mut **stream).poll_read(context, buffer),
            Self::Unix(stream) => Pin::new(stream).poll_read(context, buffer),
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match &mut self.socket {
            StreamSocket::Tcp(stream) => Pin::new(stream).poll_write(context, bytes),
            StreamSocket::Tls(stream) => Pin::new(&mut **stream).poll_write(context, bytes),
            StreamSocket::Unix(stream) => Pin::new(stream).poll_write(context, bytes),
        }
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match &mut self.socket {
            StreamSocket::Tcp(stream) => Pin::new(stream).poll_write_vectored(context, slices),
            StreamSocket::Tls(stream) => {
                Pin::new(&mut **stream).poll_write_vectored(context, slices)
            }
            StreamSocket::Unix(stream) => Pin::new(stream).poll_write_vectored(context, slices),
        }
    }

    fn is_write_vectored(&self) -> bool {
        // All kinds of socket do.
        true
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        // Sockets without TLS buffer nothing.
        match self.tls_mut() {
            Some(tls) => Pin::new(tls).poll_flush(context),
            None => Poll::Ready(Ok(())),
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.socket {
            StreamSocket::Tcp(stream) => Pin::new(stream).poll_shutdown(context),
            StreamSocket::Tls(stream) => Pin::new(&mut **stream).poll_shutdown(context),
            StreamSocket::Unix(stream) => Pin::new(stream).poll_shutdown(context),
        }
    }
}

/// The connection preface of HTTP/2 (RFC 9113 §3.4).
const HTTP2_PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
