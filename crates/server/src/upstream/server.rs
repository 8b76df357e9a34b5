//! One server of a service, and the connections to it that wait for their next request.

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::rc::{Rc, Weak};
use std::task::{Context, Poll};
use std::time::Duration;

use http::HeaderValue;
use tokio::net::{TcpStream, UnixStream};
use tokio::time::{Instant, sleep, timeout};

use super::error::UpstreamError;
use crate::client::Client;
use crate::config::{ServerAddress, UpstreamSettings};
use crate::connection::{Allowance, Connection};
use crate::socket::{Stream, keep_alive};

/// The connections of one runtime to one server.
#[derive(Debug)]
pub(super) struct Server {
    address: ServerAddress,
    connect_timeout: Duration,
    /// How long an answer may take to begin, and pause.
    pub(super) patience: Duration,
    /// What it is called in a request that names no host.
    pub(super) host: HeaderValue,
    /// Tells it from every other server, also from those of another configuration.
    pub(super) identity: Rc<()>,
    /// The last one was used last.
    idle: RefCell<Vec<Idle>>,
    /// Whether somebody closes those that grow old.
    sweeping: Cell<bool>,
}

/// A connection that waits for its next request.
#[derive(Debug)]
struct Idle {
    connection: Box<Connection>,
    /// It has to be quiet up to then, where it is not certain that its last answer is over.
    quiet_until: Option<Instant>,
    /// How many sweeps have found it waiting.
    sweeps: u32,
}

/// What a server is called in a request that names no host.
pub(crate) fn own_host(address: &ServerAddress) -> HeaderValue {
    let host = match address {
        ServerAddress::Tcp { host, port } if host.contains(':') => format!("[{host}]:{port}"),
        ServerAddress::Tcp { host, port } => format!("{host}:{port}"),
        ServerAddress::Unix(_) => "localhost".to_owned(),
    };
    HeaderValue::from_str(&host).expect("the host of a parsed URL is visible ASCII")
}

impl Server {
    /// Without connections yet.
    pub(super) fn new(address: ServerAddress, settings: &UpstreamSettings) -> Self {
        Self {
            host: own_host(&address),
            identity: Rc::default(),
            address,
            connect_timeout: settings.connect_timeout,
            patience: settings.timeout,
            idle: RefCell::default(),
            sweeping: Cell::default(),
        }
    }

    /// The connection that was used last, if one is still good; the others are left to grow old. A request that cannot be
    /// repeated gets one only if it is certain to be good, and so does every request after an answer whose end is not certain.
    pub(super) async fn take_idle(&self, repeatable: bool) -> Option<Box<Connection>> {
        poll_fn(|context| Poll::Ready(self.poll_idle(context, repeatable))).await
    }

    fn poll_idle(&self, context: &mut Context<'_>, repeatable: bool) -> Option<Box<Connection>> {
        let mut idle = self.idle.borrow_mut();
        loop {
            let is_due = |idle: &Idle| idle.quiet_until.is_none_or(|time| time <= Instant::now());
            let usable = idle.iter().rposition(is_due)?;
            let Idle {
                mut connection,
                quiet_until,
                ..
            } = idle.remove(usable);
            let is_looked_at = !repeatable || quiet_until.is_some();
            if connection.poll_is_idle(context) && (!is_looked_at || connection.is_idle_now()) {
                return Some(connection);
            }
        }
    }

    /// Keeps a connection for the next request, with the room that its answers have needed. It may have to be quiet for a while
    /// first.
    pub(super) fn keep(self: &Rc<Self>, connection: Box<Connection>, has_to_be_quiet: bool) {
        let mut idle = self.idle.borrow_mut();
        if connection.input.is_empty() && idle.len() < MOST_IDLE {
            idle.push(Idle {
                connection,
                quiet_until: has_to_be_quiet.then(|| Instant::now() + QUIET),
                sweeps: 0,
            });
            if !self.sweeping.replace(true) {
                // Nobody waits for it when we stop: it ends with the runtime.
                tokio::task::spawn_local(sweep(Rc::downgrade(self)));
            }
        }
    }

    /// Closes the connections that were idle when the last few sweeps came by, and says whether there are others.
    fn sweep(&self) -> bool {
        let mut idle = self.idle.borrow_mut();
        idle.retain_mut(|idle| {
            idle.sweeps += 1;
            idle.sweeps < MOST_SWEEPS
        });
        !idle.is_empty()
    }

    pub(super) async fn connect(
        &self,
        client: &mut Client,
    ) -> Result<Box<Connection>, UpstreamError> {
        let limit = self.connect_timeout;
        let connecting = Box::pin(timeout(limit, self.stream()));
        let connected = client.unless_gone(connecting).await;
        let stream = connected
            .ok_or(UpstreamError::ClientGone)?
            .map_err(|_| UpstreamError::NotConnected(limit))?
            .map_err(UpstreamError::Connect)?;
        let allowance = Allowance::at_once(self.patience);
        let connection = Connection::new(stream, allowance, self.patience);
        Ok(Box::new(connection))
    }

    async fn stream(&self) -> std::io::Result<Stream> {
        Ok(match &self.address {
            ServerAddress::Tcp { host, port } => {
                let stream = TcpStream::connect((host.as_str(), *port)).await?;
                stream.set_nodelay(true)?;
                keep_alive(&stream)?;
                Stream::from(stream)
            }
            ServerAddress::Unix(path) => Stream::from(UnixStream::connect(path).await?),
        })
    }
}

/// Closes connections as they grow old, for as long as there are any. So nobody looks at the clock when a connection is put
/// away or taken, twice a request.
async fn sweep(server: Weak<Server>) {
    loop {
        sleep(BETWEEN_SWEEPS).await;
        let Some(server) = server.upgrade() else {
            return;
        };
        if !server.sweep() {
            server.sweeping.set(false);
            return;
        }
    }
}

/// Node closes idle connections after five seconds; we must be the first to give one up, or a request meets the close
/// half-way. The fourth sweep finds a connection that has waited for three to four seconds.
const BETWEEN_SWEEPS: Duration = Duration::from_secs(1);
const MOST_SWEEPS: u32 = 4;

/// A server that sends a body where there is none sends it right behind the head. This is longer than that takes within a data
/// center, and short enough that a few connections more carry what only asks whether pages have changed.
const QUIET: Duration = Duration::from_millis(20);

/// A burst may open more; beyond this they are closed when they are done.
const MOST_IDLE: usize = 256;
