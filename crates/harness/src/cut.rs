//! A TCP proxy in front of a server, whose connections can be cut, stalled and delayed.

use std::net::{IpAddr, Ipv4Addr, Shutdown, SocketAddr};
use std::time::Duration;

use anyhow::{Context, Result};
use socket2::SockRef;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinSet;

use crate::port::free_port;

/// Forwards a loopback port to `target` until a test cuts or stalls it. Dropping it ends its connections and frees the port.
#[derive(Debug)]
pub struct CutProxy {
    address: SocketAddr,
    orders: mpsc::Sender<Order>,
    link: watch::Sender<LinkState>,
    target: watch::Sender<SocketAddr>,
    _tasks: JoinSet<()>,
}

/// What happens to bytes that are forwarded.
#[derive(Clone, Copy, Debug, Default)]
struct LinkState {
    stalled: bool,
    delay: Duration,
}

/// A command to accept connections from now on, or to refuse them.
#[derive(Debug)]
struct Order {
    open: bool,
    done: oneshot::Sender<()>,
}

impl CutProxy {
    /// Starts a proxy in front of `target` (`127.0.0.1:port`).
    ///
    /// # Errors
    /// When no port can be bound.
    pub async fn start(target: &str) -> Result<Self> {
        Self::start_on(Ipv4Addr::LOCALHOST.into(), target).await
    }

    /// Starts a proxy on this address of the machine: `::1` makes a server that listens on 127.0.0.1 reachable by IPv6.
    ///
    /// # Errors
    /// When no port can be bound.
    pub async fn start_on(address: IpAddr, target: &str) -> Result<Self> {
        let target: SocketAddr = target.parse()?;
        let mut attempts = 0;
        let listener = loop {
            match TcpListener::bind((address, free_port())).await {
                Ok(listener) => break listener,
                Err(_) if attempts < 5 => attempts += 1,
                Err(error) => return Err(error.into()),
            }
        };
        let address = listener.local_addr()?;
        let (orders, incoming) = mpsc::channel(1);
        let link = watch::Sender::new(LinkState::default());
        let target = watch::Sender::new(target);
        let mut tasks = JoinSet::new();
        let receivers = (target.subscribe(), link.subscribe());
        tasks.spawn(forward(listener, receivers.0, incoming, receivers.1));
        Ok(Self {
            address,
            orders,
            link,
            target,
            _tasks: tasks,
        })
    }

    /// Returns `127.0.0.1:port`, or `[::1]:port`, for use in place of the target's address.
    pub fn address(&self) -> String {
        self.address.to_string()
    }

    /// The port, for use in place of the target's.
    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// Drops every connection and refuses new ones. Returns when that has happened.
    ///
    /// # Errors
    /// Never in practice: the forwarding task lives as long as this value.
    pub async fn cut(&self) -> Result<()> {
        self.order(false).await
    }

    /// Keeps connections, and accepts new ones, but forwards no bytes.
    pub fn stall(&self) {
        self.link.send_modify(|link| link.stalled = true);
    }

    /// Forwards all bytes only after `delay`.
    pub fn delay(&self, delay: Duration) {
        self.link.send_modify(|link| link.delay = delay);
    }

    /// Forwards connections that are opened from now on to `target` (`127.0.0.1:port`), and leaves the others as they are.
    ///
    /// # Errors
    /// When `target` is not an address.
    pub fn set_target(&self, target: &str) -> Result<()> {
        self.target.send_replace(target.parse()?);
        Ok(())
    }

    /// Undoes [`cut`](Self::cut), [`stall`](Self::stall) and [`delay`](Self::delay). Connections that were dropped stay so.
    ///
    /// # Errors
    /// When the system refuses to listen again.
    pub async fn restore(&self) -> Result<()> {
        self.link.send_replace(LinkState::default());
        self.order(true).await
    }

    async fn order(&self, open: bool) -> Result<()> {
        let (done, finished) = oneshot::channel();
        self.orders
            .send(Order { open, done })
            .await
            .ok()
            .context("the proxy's thread has ended")?;
        finished
            .await
            .context("the proxy did not carry out the order")
    }
}

/// The port of the proxy, which stays bound while the proxy lives.
///
/// A listener that is only closed can live on for a moment in a child process that another test is starting, and would still
/// accept connections: until the child executes another program, it has a copy of each of our descriptors. `shutdown` ends the
/// listening for all copies.
#[derive(Debug)]
enum Port {
    Open(TcpListener),
    Shut(std::net::TcpListener),
}

impl Port {
    async fn accept(&self) -> std::io::Result<TcpStream> {
        match self {
            Self::Open(listener) => Ok(listener.accept().await?.0),
            Self::Shut(_) => std::future::pending().await,
        }
    }

    fn set_open(self, open: bool) -> std::io::Result<Self> {
        Ok(match (self, open) {
            (Self::Open(listener), false) => {
                SockRef::from(&listener).shutdown(Shutdown::Both)?;
                Self::Shut(listener.into_std()?)
            }
            (Self::Shut(listener), true) => {
                SockRef::from(&listener).listen(128)?;
                Self::Open(TcpListener::from_std(listener)?)
            }
            (unchanged, _) => unchanged,
        })
    }
}

async fn forward(
    listener: TcpListener,
    target: watch::Receiver<SocketAddr>,
    mut orders: mpsc::Receiver<Order>,
    link: watch::Receiver<LinkState>,
) {
    let mut port = Port::Open(listener);
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            order = orders.recv() => {
                let Some(order) = order else { return };
                let Ok(changed) = port.set_open(order.open) else { return };
                port = changed;
                if !order.open {
                    connections.shutdown().await;
                }
                // The caller may have stopped waiting.
                let _ = order.done.send(());
            }
            accepted = port.accept() => {
                let Ok(client) = accepted else { return };
                let target = *target.borrow();
                connections.spawn(connect(client, target, link.clone()));
            }
        }
    }
}

async fn connect(client: TcpStream, target: SocketAddr, link: watch::Receiver<LinkState>) {
    let Ok(server) = TcpStream::connect(target).await else {
        return;
    };
    let (from_client, to_client) = client.into_split();
    let (from_server, to_server) = server.into_split();
    // Either side may close its half first; the other half continues.
    tokio::join!(
        pipe(from_client, to_server, link.clone()),
        pipe(from_server, to_client, link)
    );
}

async fn pipe(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    mut link: watch::Receiver<LinkState>,
) {
    let mut block = vec![0; 16_384];
    while let Ok(length @ 1..) = from.read(&mut block).await {
        let Ok(delay) = link
            .wait_for(|link| !link.stalled)
            .await
            .map(|link| link.delay)
        else {
            return;
        };
        if !delay.is_zero() {
            tokio::time::sleep(delay).await;
        }
        if to.write_all(&block[..length]).await.is_err() {
            return;
        }
    }
}
