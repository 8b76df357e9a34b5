//! Listening sockets: TCP, or Unix for calling proxies on the same machine. Each runtime has its share.

mod address;
mod balance;

use std::fs::{self, Permissions};
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener as StdTcpListener};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::os::unix::net::{UnixListener as StdUnixListener, UnixStream as StdUnixStream};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::{TcpListener, UnixListener};
use tokio::time::timeout;

pub(crate) use self::address::Address;
use self::balance::ConnectionBalancer;
use crate::socket::{Stream, keep_alive};

/// A listener with its sockets.
#[derive(Debug)]
pub(crate) struct Listening {
    /// Its address, with the port that the kernel chose if the configured one is 0.
    pub(crate) address: Address,
    /// The shares, one for each runtime, or more if more sockets were inherited.
    pub(crate) shares: Vec<Share>,
    /// How many shares, from the first on, have their own accept queue.
    queues: usize,
    other_acceptor: OtherAcceptor,
}

/// Whether another process goes on accepting on the same sockets when this one stops. This process then leaves the connections in
/// the accept queues to that process, because new ones may arrive without end.
#[derive(Clone, Debug, Default)]
pub(crate) struct OtherAcceptor(Arc<AtomicBool>);

impl OtherAcceptor {
    pub(crate) fn new(other_acceptor: bool) -> Self {
        Self(Arc::new(AtomicBool::new(other_acceptor)))
    }

    /// Notes that another process accepts from now on.
    pub(crate) fn set(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    pub(crate) fn get(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// A runtime's share of a listener, before it is registered with the runtime.
#[derive(Debug)]
pub(crate) struct Share {
    socket: StdSocket,
    balancer: ConnectionBalancer,
    other_acceptor: OtherAcceptor,
}

/// A listening socket that belongs to no runtime.
#[derive(Debug)]
pub(crate) enum StdSocket {
    Tcp(StdTcpListener),
    Unix(StdUnixListener),
}

impl StdSocket {
    /// Takes over an inherited socket, and returns its address.
    ///
    /// # Errors
    /// When it is not a listening socket.
    pub(crate) fn inherited(socket: OwnedFd) -> io::Result<(Self, Address)> {
        let socket = Socket::from(socket);
        let refused = |what| io::Error::new(io::ErrorKind::InvalidInput, what);
        if !socket.is_listener()? {
            return Err(refused("a socket that does not listen"));
        }
        socket.set_nonblocking(true)?;
        let address = socket.local_addr()?;
        if let Some(address) = address.as_socket() {
            return Ok((Self::Tcp(socket.into()), Address::Tcp(address)));
        }
        let path = address
            .as_pathname()
            .ok_or_else(|| refused("a socket that is neither a TCP port nor a file"))?;
        let address = Address::Unix {
            path: path.to_owned(),
            // The creator of the socket has set its permissions.
            mode: 0,
        };
        Ok((Self::Unix(socket.into()), address))
    }

    fn try_clone(&self) -> io::Result<Self> {
        match self {
            Self::Tcp(socket) => socket.try_clone().map(Self::Tcp),
            Self::Unix(socket) => socket.try_clone().map(Self::Unix),
        }
    }

    fn descriptor(&self) -> io::Result<OwnedFd> {
        match self {
            Self::Tcp(socket) => socket.as_fd().try_clone_to_owned(),
            Self::Unix(socket) => socket.as_fd().try_clone_to_owned(),
        }
    }
}

/// Listens on an address, for this many runtimes. The kernel spreads connections among their sockets, and the runtimes
/// balance the rest.
///
/// # Errors
///
/// When the address is not available, for example because another process listens on it: sharing it with a second gate would
/// silently split the traffic.
pub(crate) fn listen(address: &Address, count: usize) -> io::Result<Listening> {
    let (address, sockets) = match address {
        Address::Tcp(address) => listen_tcp(*address, count)?,
        Address::Unix { path, mode } => {
            let socket = StdSocket::Unix(listen_unix(path, *mode)?);
            (address.clone(), vec![socket])
        }
    };
    listen_on(address, sockets, OtherAcceptor::default(), count)
}

/// Listens on existing sockets, for this many runtimes. If there are more runtimes than sockets, some share one: an
/// additional socket would have its own queue, whose connections would be lost with this process.
///
/// # Errors
/// When there are not enough file descriptors.
pub(crate) fn listen_on(
    address: Address,
    mut sockets: Vec<StdSocket>,
    other_acceptor: OtherAcceptor,
    count: usize,
) -> io::Result<Listening> {
    let queues = sockets.len();
    for index in queues..count {
        sockets.push(sockets[index % queues].try_clone()?);
    }
    let group = ConnectionBalancer::group(sockets.len());
    let share = |(socket, balancer)| Share {
        socket,
        balancer,
        other_acceptor: other_acceptor.clone(),
    };
    Ok(Listening {
        address,
        shares: sockets.into_iter().zip(group).map(share).collect(),
        queues,
        other_acceptor,
    })
}

impl Listening {
    /// Returns its sockets, one for each queue, to be handed to another process, and the flag to set once that is done.
    ///
    /// # Errors
    /// When there are not enough file descriptors.
    pub(crate) fn sockets(&self) -> io::Result<(Vec<OwnedFd>, &OtherAcceptor)> {
        let queues = self.shares.iter().take(self.queues);
        let sockets = queues.map(|share| share.socket.descriptor());
        Ok((sockets.collect::<io::Result<_>>()?, &self.other_acceptor))
    }
}

fn listen_tcp(address: SocketAddr, count: usize) -> io::Result<(Address, Vec<StdSocket>)> {
    // Only a socket without `SO_REUSEPORT` reports that an address is taken.
    let exclusive = tcp_socket(address, false)?;
    let address = exclusive.local_addr()?.as_socket().unwrap_or(address);
    drop(exclusive);
    let shared = || {
        let socket = tcp_socket(address, true)?;
        socket.listen(BACKLOG)?;
        Ok(StdSocket::Tcp(socket.into()))
    };
    let sockets = (0..count).map(|_| shared()).collect::<io::Result<_>>()?;
    Ok((Address::Tcp(address), sockets))
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

/// Listens on a Unix socket. A process leaves its socket file behind when it ends, so a file on which no process listens is
/// replaced; anything else is an error.
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

/// A runtime's share of a listener.
#[derive(Debug)]
pub(crate) struct Listener {
    socket: ListenerSocket,
    balancer: ConnectionBalancer,
    other_acceptor: OtherAcceptor,
}

#[derive(Debug)]
enum ListenerSocket {
    Tcp(TcpListener),
    Unix(UnixListener),
}

impl Listener {
    /// Registers the share with the current runtime.
    pub(crate) fn new(share: Share) -> io::Result<Self> {
        let socket = match share.socket {
            StdSocket::Tcp(socket) => ListenerSocket::Tcp(TcpListener::from_std(socket)?),
            StdSocket::Unix(socket) => ListenerSocket::Unix(UnixListener::from_std(socket)?),
        };
        Ok(Self {
            socket,
            balancer: share.balancer,
            other_acceptor: share.other_acceptor,
        })
    }

    /// The next connection for this runtime, and the peer's address.
    pub(crate) async fn accept(&mut self) -> io::Result<(Stream, IpAddr)> {
        loop {
            let (stream, peer) = tokio::select! {
                handed = self.balancer.handed() => return handed,
                accepted = self.socket.accept() => accepted?,
            };
            if let Some(stream) = self.balancer.keep_or_hand_on(stream, peer)? {
                return Ok((stream, peer));
            }
        }
    }

    /// The next connection that arrived before the end: handed to this runtime, or waiting in the accept queue. The kernel would
    /// reset it, unless another process takes it.
    pub(crate) async fn accept_last(&mut self) -> Option<(Stream, IpAddr)> {
        while let Some(handed) = self.balancer.last_handed().await {
            if let Ok(connection) = handed {
                return Some(connection);
            }
        }
        if self.other_acceptor.get() {
            return None;
        }
        let accepted = timeout(Duration::ZERO, self.socket.accept()).await;
        accepted.ok()?.ok()
    }
}

impl ListenerSocket {
    /// The next connection. The peer's address of a Unix socket is the loopback address.
    async fn accept(&self) -> io::Result<(Stream, IpAddr)> {
        match self {
            Self::Tcp(socket) => {
                let (stream, peer) = socket.accept().await?;
                // An error only makes the connection slower, or the detection of a vanished peer later.
                let _ = stream.set_nodelay(true).and_then(|()| keep_alive(&stream));
                Ok((Stream::from(stream), peer.ip()))
            }
            Self::Unix(socket) => {
                let (stream, _) = socket.accept().await?;
                Ok((Stream::from(stream), Ipv4Addr::LOCALHOST.into()))
            }
        }
    }
}

/// The length of the accept queue. The kernel caps it at `net.core.somaxconn`.
const BACKLOG: i32 = 4096;
