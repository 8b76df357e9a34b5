//! A connection: TCP, with TLS or without, or for calling proxies on the same machine a Unix socket.

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

/// Lets the kernel notice a peer that vanished without a word, which matters for connections that may be silent for
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
    /// What was read to see which protocol the client speaks, and is still to be served.
    ahead: Bytes,
    /// Counts it among the connections of its runtime, if it was accepted.
    _connection_guard: Option<ConnectionGuard>,
    /// Counts it among those of its listener and its address, if these are limited.
    _limit_guard: Option<Box<LimitGuard>>,
}

#[derive(Debug)]
enum StreamSocket {
    Tcp(TcpStream),
    /// In a box, because it is large and few other connections should be.
    Tls(Box<TlsSocket>),
    Unix(UnixStream),
}

/// A connection that is part of no runtime.
#[derive(Debug)]
pub(crate) enum StdStream {
    Tcp(StdTcpStream),
    Unix(StdUnixStream),
}

/// What a connection holds for as long as it lasts: whoever has another copy knows how many connections there are.
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

    /// Makes it part of the current runtime.
    pub(crate) fn from_std(stream: StdStream) -> io::Result<Self> {
        Ok(match stream {
            StdStream::Tcp(stream) => TcpStream::from_std(stream)?.into(),
            StdStream::Unix(stream) => UnixStream::from_std(stream)?.into(),
        })
    }

    /// Takes it, of which nothing has been read, out of its runtime.
    pub(crate) fn into_std(self) -> io::Result<StdStream> {
        Ok(match self.socket {
            StreamSocket::Tcp(stream) => StdStream::Tcp(stream.into_std()?),
            // What has been agreed upon cannot be taken along.
            StreamSocket::Tls(_) => return Err(io::ErrorKind::Unsupported.into()),
            StreamSocket::Unix(stream) => StdStream::Unix(stream.into_std()?),
        })
    }

    /// The same, counted.
    pub(crate) fn with_connection_guard(self, guard: ConnectionGuard) -> Self {
        let _connection_guard = Some(guard);
        Self {
            _connection_guard,
            ..self
        }
    }

    /// The same, counted where connections are limited.
    pub(crate) fn with_limit_guard(self, guard: Option<Box<LimitGuard>>) -> Self {
        Self {
            _limit_guard: guard,
            ..self
        }
    }

    /// The same connection with TLS, which `secure` begins. A connection that has no port stays as it is.
    ///
    /// # Errors
    /// As `secure` has it.
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

    /// The same, of which these bytes are read first.
    pub(crate) fn with_ahead(self, ahead: Bytes) -> Self {
        Self { ahead, ..self }
    }

    /// Whether it was agreed that HTTP/2 is spoken (RFC 9113 §3.2).
    pub(crate) fn has_agreed_on_http2(&self) -> bool {
        self.tls().is_some_and(|tls| tls.protocol() == Some(b"h2"))
    }

    /// What is beneath, where that is TLS.
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

    /// Encrypts these bytes, where that is to be, for somebody who sends them and [gives back](Self::put_back) what is left.
    pub(crate) fn seal(&mut self, bytes: &[u8]) -> Option<Sealed> {
        Some(self.tls_mut()?.seal(bytes))
    }

    /// Takes back what was [sealed](Self::seal).
    pub(crate) fn put_back(&mut self, sealed: Sealed) {
        if let Some(tls) = self.tls_mut() {
            tls.put_back(sealed);
        }
    }

    /// Whether bytes that were written are still to go out, as encrypted ones may be.
    pub(crate) fn is_holding(&self) -> bool {
        self.tls().is_some_and(TlsSocket::is_holding)
    }

    /// Sends some of what it [holds](Self::is_holding).
    pub(crate) fn poll_drain(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.tls_mut() {
            Some(tls) => tls.poll_drain(context),
            None => Poll::Ready(Ok(())),
        }
    }

    /// Gives back memory before a wait that may be long.
    pub(crate) fn release_memory(&mut self) {
        if let Some(tls) = self.tls_mut() {
            tls.release_memory();
        }
    }

    /// Ready with whether something has come that nobody has read, or else the other side has closed. Whoever waited for that before
    /// does not any more.
    pub(crate) fn poll_readable(&self, context: &mut Context<'_>) -> Poll<bool> {
        loop {
            let peeked = match &self.socket {
                StreamSocket::Tcp(stream) => ready!(poll_peek(stream, context)),
                StreamSocket::Tls(stream) => ready!(poll_peek(stream.beneath(), context)),
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

    /// Whether the other side has neither sent nor closed anything, asked of the kernel.
    pub(crate) fn is_quiet(&self) -> bool {
        let peeked = match &self.socket {
            StreamSocket::Tcp(stream) => peek(stream),
            StreamSocket::Tls(stream) if stream.has_unread() => return false,
            StreamSocket::Tls(stream) => peek(stream.beneath()),
            StreamSocket::Unix(stream) => peek(stream),
        };
        peeked.is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock)
    }

    /// Whether a file can be [sent](Self::poll_send_file) as it is.
    pub(crate) fn takes_files(&self) -> bool {
        self.tls().is_none()
    }

    /// Sends bytes of a file from this offset on, straight out of the page cache: at most so many. Ready with how many went.
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
                // It would leave unencrypted.
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

    /// Other systems have other calls for that.
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

    /// Whether the client begins with HTTP/2, as one does that knows beforehand that we speak it (RFC 9113 §3.3). Waits for
    /// its first bytes, and leaves them to be read.
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

/// Whether there is a byte to be read, and none when the other side has closed. Leaves it there.
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
        // Bare sockets hold nothing back.
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

/// RFC 9113 §3.4.
const HTTP2_PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
