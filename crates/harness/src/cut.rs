//! A wire that can be cut: a TCP proxy in front of a server.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Context, Result};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinSet;

use crate::port::free_port;
use crate::process::poll;

/// Forwards a loopback port to `target` until told otherwise. Dropping it cuts the wire for good.
#[derive(Debug)]
pub struct CutProxy {
    address: SocketAddr,
    orders: mpsc::Sender<Order>,
    is_cut: AtomicBool,
    weather: watch::Sender<Weather>,
    _tasks: JoinSet<()>,
}

/// What happens to bytes on their way.
#[derive(Clone, Copy, Debug, Default)]
struct Weather {
    stalled: bool,
    delay: Duration,
}

/// The listener to go on with: `None` cuts the wire.
#[derive(Debug)]
struct Order {
    listener: Option<TcpListener>,
    done: oneshot::Sender<()>,
}

impl CutProxy {
    /// Starts one in front of `target` (`127.0.0.1:port`).
    ///
    /// # Errors
    /// When no port can be bound.
    pub async fn start(target: &str) -> Result<Self> {
        let target: SocketAddr = target.parse()?;
        let mut attempts = 0;
        let listener = loop {
            match TcpListener::bind((Ipv4Addr::LOCALHOST, free_port())).await {
                Ok(listener) => break listener,
                Err(_) if attempts < 5 => attempts += 1,
                Err(error) => return Err(error.into()),
            }
        };
        let address = listener.local_addr()?;
        let (orders, incoming) = mpsc::channel(1);
        let weather = watch::Sender::new(Weather::default());
        let mut tasks = JoinSet::new();
        tasks.spawn(forward(listener, target, incoming, weather.subscribe()));
        Ok(Self {
            address,
            orders,
            is_cut: AtomicBool::new(false),
            weather,
            _tasks: tasks,
        })
    }

    /// `127.0.0.1:port`, to be used in place of the target's address.
    pub fn address(&self) -> String {
        self.address.to_string()
    }

    /// The port, to be used in place of the target's.
    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// Drops every connection and refuses new ones. When this returns, it has happened.
    ///
    /// # Errors
    /// Never in practice: the forwarding task lives as long as this value.
    pub async fn cut(&self) -> Result<()> {
        self.is_cut.store(true, Ordering::Relaxed);
        self.go_on_with(None).await
    }

    /// Keeps connections, and accepts new ones, but lets no byte pass.
    pub fn stall(&self) {
        self.weather.send_modify(|weather| weather.stalled = true);
    }

    /// Lets every byte pass only after `delay`.
    pub fn delay(&self, delay: Duration) {
        self.weather.send_modify(|weather| weather.delay = delay);
    }

    /// Undoes every one of the others.
    ///
    /// # Errors
    /// When another process has taken the port in the meantime.
    pub async fn restore(&self) -> Result<()> {
        self.weather.send_replace(Weather::default());
        if !self.is_cut.swap(false, Ordering::Relaxed) {
            return Ok(());
        }
        let rebind = poll("the port of the wire", async || {
            TcpListener::bind(self.address).await.ok()
        });
        let listener = rebind.await?;
        self.go_on_with(Some(listener)).await
    }

    async fn go_on_with(&self, listener: Option<TcpListener>) -> Result<()> {
        let (done, finished) = oneshot::channel();
        let order = Order { listener, done };
        self.orders
            .send(order)
            .await
            .ok()
            .context("the wire is gone")?;
        finished.await.context("the wire is gone")
    }
}

async fn forward(
    listener: TcpListener,
    target: SocketAddr,
    mut orders: mpsc::Receiver<Order>,
    weather: watch::Receiver<Weather>,
) {
    let mut listener = Some(listener);
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            order = orders.recv() => {
                let Some(order) = order else { return };
                listener = order.listener;
                if listener.is_none() {
                    connections.shutdown().await;
                }
                // The one who ordered may have given up waiting.
                let _ = order.done.send(());
            }
            accepted = accept(listener.as_ref()) => {
                let Ok((client, _)) = accepted else { return };
                connections.spawn(connect(client, target, weather.clone()));
            }
        }
    }
}

async fn accept(listener: Option<&TcpListener>) -> std::io::Result<(TcpStream, SocketAddr)> {
    match listener {
        Some(listener) => listener.accept().await,
        None => std::future::pending().await,
    }
}

async fn connect(client: TcpStream, target: SocketAddr, weather: watch::Receiver<Weather>) {
    let Ok(server) = TcpStream::connect(target).await else {
        return;
    };
    let (from_client, to_client) = client.into_split();
    let (from_server, to_server) = server.into_split();
    // Either side may close its half first; the other half goes on.
    tokio::join!(
        pipe(from_client, to_server, weather.clone()),
        pipe(from_server, to_client, weather)
    );
}

async fn pipe(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    mut weather: watch::Receiver<Weather>,
) {
    let mut block = vec![0; 16_384];
    while let Ok(length @ 1..) = from.read(&mut block).await {
        let Ok(delay) = weather
            .wait_for(|weather| !weather.stalled)
            .await
            .map(|weather| weather.delay)
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
