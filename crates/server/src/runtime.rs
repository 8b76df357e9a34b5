//! One single-threaded runtime per core, each with its own listener, and no lock on the request path.
//!
//! Measured before this design was chosen: one multi-threaded runtime serves about half as many requests per core,
//! because tasks and their wake-ups move between cores.

use std::io;
use std::net::{SocketAddr, TcpListener as StdListener};
use std::rc::Rc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::TcpListener;
use tokio::task::LocalSet;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::front::proxy::Proxy;

/// Opens so many sockets on one address; the kernel spreads connections among them.
///
/// # Errors
///
/// When the address cannot be had, also because another process holds it: sharing it silently with a second gate
/// would send it half of the traffic.
pub(crate) fn listeners(address: SocketAddr, count: usize) -> io::Result<Vec<StdListener>> {
    // Sockets that may share an address never say that it is taken. One that may not does.
    let exclusive = socket(address, false)?;
    let address = exclusive.local_addr()?.as_socket().unwrap_or(address);
    drop(exclusive);
    let shared = || {
        let socket = socket(address, true)?;
        socket.listen(BACKLOG)?;
        Ok(socket.into())
    };
    (0..count).map(|_| shared()).collect()
}

fn socket(address: SocketAddr, shared: bool) -> io::Result<Socket> {
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

/// Starts a thread that serves a listener until `stop`, and then finishes what is in flight for at most `drain`.
///
/// `proxy` makes what the thread serves with. It is made on the thread, because nothing of it leaves the thread.
pub(crate) fn start(
    name: String,
    listener: StdListener,
    stop: CancellationToken,
    drain: Duration,
    proxy: impl FnOnce(TaskTracker) -> Proxy + Send + 'static,
) -> io::Result<JoinHandle<io::Result<()>>> {
    thread::Builder::new().name(name).spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let tasks = LocalSet::new();
        tasks.block_on(&runtime, serve(listener, stop, drain, proxy))
    })
}

async fn serve(
    listener: StdListener,
    stop: CancellationToken,
    drain: Duration,
    proxy: impl FnOnce(TaskTracker) -> Proxy,
) -> io::Result<()> {
    let listener = TcpListener::from_std(listener)?;
    let connections = TaskTracker::new();
    let exchanges = TaskTracker::new();
    let proxy = Rc::new(proxy(exchanges.clone()));
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = stop.cancelled() => break,
        };
        match accepted {
            Ok((stream, peer)) => {
                connections.spawn_local(Rc::clone(&proxy).serve(stream, peer, stop.clone()))
            }
            Err(error) => {
                // Out of file descriptors, most likely: others must close before we can go on.
                tracing::warn!(%error, "cannot accept a connection");
                tokio::time::sleep(Duration::from_millis(50)).await;
                continue;
            }
        };
    }
    // Connections that the kernel has already completed would be reset; they get their answer.
    while let Ok(Ok((stream, peer))) = timeout(Duration::ZERO, listener.accept()).await {
        connections.spawn_local(Rc::clone(&proxy).serve(stream, peer, stop.clone()));
    }
    drop(listener);
    connections.close();
    exchanges.close();
    let finished = timeout(drain, async {
        connections.wait().await;
        // With the proxy go the idle connections to the upstream; what then remains are tunnels.
        drop(proxy);
        exchanges.wait().await;
    });
    if finished.await.is_err() {
        let (connections, exchanges) = (connections.len(), exchanges.len());
        tracing::warn!(
            connections,
            exchanges,
            "connections were cut: DRAIN_TIMEOUT is over"
        );
    }
    Ok(())
}

/// How many completed connections may wait for us. The kernel caps it at `net.core.somaxconn`.
const BACKLOG: i32 = 4096;
