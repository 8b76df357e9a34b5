//! The sockets that we listen on: TCP, or for hosts on the same machine a Unix socket.

use std::fmt;
use std::fs::{self, Permissions};
use std::io::{self, IoSlice};
use std::mem::MaybeUninit;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener as StdTcpListener};
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::os::unix::net::{UnixListener as StdUnixListener, UnixStream as StdUnixStream};
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use socket2::{Domain, Protocol, SockRef, Socket, TcpKeepalive, Type};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};

/// Where a listener is, or is to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Address {
    /// A TCP port.
    Tcp(SocketAddr),
    /// A file, with the permissions that it gets: whoever may write to it may connect.
    Unix { path: PathBuf, mode: u32 },
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => address.fmt(f),
            Self::Unix { path, .. } => write!(f, "unix:{}", path.display()),
        }
    }
}

/// Sockets that listen, one for each runtime, and where.
#[derive(Debug)]
pub(crate) struct Listening {
    /// With the port that the kernel chose where none was asked for.
    pub(crate) address: Address,
    /// For one runtime each.
    pub(crate) sockets: Vec<StdListener>,
}

/// A socket that listens, not yet part of a runtime.
#[derive(Debug)]
pub(crate) enum StdListener {
    Tcp(StdTcpListener),
    Unix(StdUnixListener),
}

/// Opens so many sockets on one address; the kernel spreads connections among them.
///
/// # Errors
///
/// When the address cannot be had, also because another process holds it: sharing it silently with a second gate
/// would send it half of the traffic.
pub(crate) fn listen(address: &Address, count: usize) -> io::Result<Listening> {
    match address {
        Address::Tcp(address) => {
            let (address, sockets) = listen_tcp(*address, count)?;
            Ok(Listening {
                address: Address::Tcp(address),
                sockets,
            })
        }
        Address::Unix { path, mode } => {
            let socket = listen_unix(path, *mode)?;
            let sockets = (0..count)
                .map(|_| socket.try_clone().map(StdListener::Unix))
                .collect::<io::Result<_>>()?;
            Ok(Listening {
                address: address.clone(),
                sockets,
            })
        }
    }
}

fn listen_tcp(address: SocketAddr, count: usize) -> io::Result<(SocketAddr, Vec<StdListener>)> {
    // Sockets that may share an address never say that it is taken. One that may not does.
    let exclusive = tcp_socket(address, false)?;
    let address = exclusive.local_addr()?.as_socket().unwrap_or(address);
    drop(exclusive);
    let shared = || {
        let socket = tcp_socket(address, true)?;
        socket.listen(BACKLOG)?;
        Ok(StdListener::Tcp(socket.into()))
    };
    let sockets = (0..count).map(|_| shared()).collect::<io::Result<_>>()?;
    Ok((address, sockets))
}

fn tcp_socket(address: SocketAddr, shared: bool) -> io::Result<Socket> {
    let socket = Socket::new(
        Domain::for_address(address),
        Type::STREAM,
        Some(Protocol::TCP),
    )?;
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(shared)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    if !shared {
        socket.listen(1)?;
    }
    Ok(socket)
}

/// A process that ends leaves its socket file behind. One that nobody listens on any more is replaced; anything else that
/// is in the way is not ours to remove.
fn listen_unix(path: &Path, mode: u32) -> io::Result<StdUnixListener> {
    let is_socket = fs::symlink_metadata(path).is_ok_and(|file| file.file_type().is_socket());
    if is_socket {
        match StdUnixStream::connect(path) {
            Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
                fs::remove_file(path)?;
            }
            _ => return Err(io::ErrorKind::AddrInUse.into()),
        }
    }
    let listener = StdUnixListener::bind(path)?;
    fs::set_permissions(path, Permissions::from_mode(mode))?;
    listener.set_nonblocking(true)?;
    Ok(listener)
}

/// A socket that takes connections.
#[derive(Debug)]
pub(crate) enum Listener {
    Tcp(TcpListener),
    Unix(UnixListener),
}

impl Listener {
    /// Makes the socket part of the current runtime.
    pub(crate) fn from_std(listener: StdListener) -> io::Result<Self> {
        Ok(match listener {
            StdListener::Tcp(listener) => Self::Tcp(TcpListener::from_std(listener)?),
            StdListener::Unix(listener) => Self::Unix(UnixListener::from_std(listener)?),
        })
    }

    /// The next connection, and the address at its other end. Whoever connects to a Unix socket is on this machine.
    pub(crate) async fn accept(&self) -> io::Result<(Stream, IpAddr)> {
        match self {
            Self::Tcp(listener) => {
                let (stream, peer) = listener.accept().await?;
                // Without these options a connection is slower, or the notice of a vanished peer comes later; it still
                // works.
                let _ = stream.set_nodelay(true).and_then(|()| keep_alive(&stream));
                Ok((Stream::from(stream), peer.ip()))
            }
            Self::Unix(listener) => {
                let (stream, _) = listener.accept().await?;
                let stream = Stream::new(StreamSocket::Unix(stream));
                Ok((stream, Ipv4Addr::LOCALHOST.into()))
            }
        }
    }
}

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
}

#[derive(Debug)]
enum StreamSocket {
    Tcp(TcpStream),
    Unix(UnixStream),
}

impl Stream {
    fn new(socket: StreamSocket) -> Self {
        let ahead = Bytes::new();
        Self { socket, ahead }
    }

    /// Whether the other side has neither sent nor closed anything, asked of the kernel.
    pub(crate) fn is_quiet(&self) -> bool {
        let mut byte = [MaybeUninit::uninit()];
        let peeked = match &self.socket {
            StreamSocket::Tcp(stream) => SockRef::from(stream).peek(&mut byte),
            StreamSocket::Unix(stream) => SockRef::from(stream).peek(&mut byte),
        };
        peeked.is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock)
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

impl From<TcpStream> for Stream {
    fn from(stream: TcpStream) -> Self {
        Self::new(StreamSocket::Tcp(stream))
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
            StreamSocket::Unix(stream) => Pin::new(stream).poll_write_vectored(context, slices),
        }
    }

    fn is_write_vectored(&self) -> bool {
        // Both kinds of socket do.
        true
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        // Sockets hold nothing back.
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.socket {
            StreamSocket::Tcp(stream) => Pin::new(stream).poll_shutdown(context),
            StreamSocket::Unix(stream) => Pin::new(stream).poll_shutdown(context),
        }
    }
}

/// RFC 9113 §3.4.
const HTTP2_PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// How many completed connections may wait for us. The kernel caps it at `net.core.somaxconn`.
const BACKLOG: i32 = 4096;
