//! The listening sockets of the process, inherited or bound.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::os::fd::OwnedFd;

use anyhow::{Error, Result, anyhow};

use crate::config::ListenerSettings;
use crate::handover::{HandedSocket, Inherited, InheritedSockets};
use crate::listener::Address;
use crate::listener::{self, Listening, OtherAcceptor, StdSocket};

/// The addresses of the listeners.
#[derive(Clone, Debug)]
pub(crate) struct Bound {
    /// The listeners of the proxy, if there are services.
    pub(crate) listeners: Vec<BoundListener>,
    /// The decision listener, if there is one.
    pub(crate) decisions: Option<Address>,
    /// The admin listener.
    pub(crate) admin: SocketAddr,
}

/// The address of a listener of the proxy.
#[derive(Clone, Debug)]
pub(crate) struct BoundListener {
    pub(crate) address: Address,
    speaks_tls: bool,
    redirects: bool,
}

/// The part of a listener's settings that does not change until the process ends.
#[derive(Clone)]
pub(super) struct FixedListener {
    name: &'static str,
    address: SocketAddr,
    pub(super) redirects: bool,
    /// Whether the listener had TLS at start-up.
    speaks_tls: bool,
}

impl FixedListener {
    /// Whether both have the same setting and address, as two listeners with port 0 may.
    fn is_configured_as(&self, other: &Self) -> bool {
        (self.name, self.address) == (other.name, other.address)
    }
}

impl From<&ListenerSettings> for FixedListener {
    fn from(settings: &ListenerSettings) -> Self {
        Self {
            name: settings.name,
            address: settings.address,
            redirects: settings.redirects,
            speaks_tls: settings.tls.is_some(),
        }
    }
}

/// The listeners to bind.
pub(super) struct RequestedListeners<'f> {
    pub(super) listeners: &'f [FixedListener],
    pub(super) decisions: Option<&'f Address>,
    pub(super) admin: SocketAddr,
    pub(super) workers: usize,
}

/// All bound listeners.
pub(super) struct Listeners {
    /// The proxy's listeners, in the order of the live ones.
    pub(super) all: Vec<(FixedListener, Listening)>,
    /// The decision listener, with its configured address.
    pub(super) decisions: Option<(Address, Listening)>,
    pub(super) admin: (TcpListener, OtherAcceptor),
    configured_admin: SocketAddr,
}

impl Listeners {
    /// Takes the inherited sockets, and binds the others.
    ///
    /// # Errors
    /// When an address is not available.
    pub(super) fn bind(wanted: RequestedListeners<'_>, inherited: &mut Inherited) -> Result<Self> {
        let RequestedListeners {
            listeners,
            decisions,
            admin,
            workers,
        } = wanted;
        let mut listen = |address: &Address, name, number| {
            let listening = match inherited.take(name, address, number) {
                Some(InheritedSockets {
                    address,
                    sockets,
                    other_acceptor,
                }) => listener::listen_on(address, sockets, other_acceptor, workers),
                None => listener::listen(address, workers),
            };
            listening.map_err(|error| cannot_listen(address, name, &error))
        };
        let all = listeners.iter().enumerate().map(|(index, one)| {
            let address = Address::Tcp(one.address);
            let listening = listen(&address, one.name, number(listeners, index))?;
            anyhow::Ok((one.clone(), listening))
        });
        let all = all.collect::<Result<_>>()?;
        let decisions = match decisions {
            Some(address) => Some((address.clone(), listen(address, "AUTH_LISTEN", 0)?)),
            None => None,
        };
        let address = Address::Tcp(admin);
        let bound = match inherited.take("ADMIN_LISTEN", &address, 0) {
            Some(taken) => admin_socket(taken),
            None => bind_admin(admin).map(|socket| (socket, OtherAcceptor::default())),
        };
        Ok(Self {
            all,
            decisions,
            admin: bound.map_err(|error| cannot_listen(&address, "ADMIN_LISTEN", &error))?,
            configured_admin: admin,
        })
    }

    /// Copies of all sockets, for the next process.
    pub(super) fn kept(&self) -> io::Result<Vec<HandedSocket>> {
        let mut kept = Vec::new();
        let mut keep = |name, configured: String, number, listening: &Listening| {
            let (sockets, other_acceptor) = listening.sockets()?;
            let new = |socket| {
                HandedSocket::new(name, configured.clone(), number, socket, other_acceptor)
            };
            kept.extend(sockets.into_iter().map(new));
            io::Result::Ok(())
        };
        for (index, (one, listening)) in self.all.iter().enumerate() {
            let before = self.all[..index].iter().map(|(other, _)| other);
            let number = before.filter(|other| other.is_configured_as(one)).count();
            keep(
                one.name,
                Address::Tcp(one.address).to_string(),
                number,
                listening,
            )?;
        }
        if let Some((configured, listening)) = &self.decisions {
            keep("AUTH_LISTEN", configured.to_string(), 0, listening)?;
        }
        let (socket, other_acceptor) = &self.admin;
        let configured = Address::Tcp(self.configured_admin).to_string();
        let socket = OwnedFd::from(socket.try_clone()?);
        kept.push(HandedSocket::new(
            "ADMIN_LISTEN",
            configured,
            0,
            socket,
            other_acceptor,
        ));
        Ok(kept)
    }

    pub(super) fn bound(&self, admin: SocketAddr) -> Bound {
        let bound = |(fixed, listening): &(FixedListener, Listening)| BoundListener {
            address: listening.address.clone(),
            speaks_tls: fixed.speaks_tls,
            redirects: fixed.redirects,
        };
        let decisions = self.decisions.as_ref();
        Bound {
            listeners: self.all.iter().map(bound).collect(),
            decisions: decisions.map(|(_, listening)| listening.address.clone()),
            admin,
        }
    }

    /// The port of each listener.
    pub(super) fn ports(&self) -> Vec<Option<u16>> {
        let ports = self
            .all
            .iter()
            .map(|(_, listening)| match listening.address {
                Address::Tcp(address) => Some(address.port()),
                Address::Unix { .. } => None,
            });
        ports.collect()
    }
}

impl Bound {
    /// Logs the addresses of the listeners.
    pub(crate) fn announce(&self) {
        for one in &self.listeners {
            let listener = if one.redirects { "redirect" } else { "proxy" };
            let (address, tls) = (&one.address, one.speaks_tls);
            tracing::info!(listener, %address, tls, "listening");
        }
        if let Some(address) = &self.decisions {
            tracing::info!(listener = "decisions", %address, "listening");
        }
        tracing::info!(listener = "admin", address = %self.admin, "listening");
    }
}

/// How many listeners before this one have the same setting and address.
fn number(listeners: &[FixedListener], index: usize) -> usize {
    let before = listeners[..index].iter();
    before
        .filter(|other| other.is_configured_as(&listeners[index]))
        .count()
}

fn bind_admin(address: SocketAddr) -> io::Result<TcpListener> {
    let listener = TcpListener::bind(address)?;
    listener.set_nonblocking(true)?;
    Ok(listener)
}

/// Returns the socket of the admin listener, which needs only one.
fn admin_socket(taken: InheritedSockets) -> io::Result<(TcpListener, OtherAcceptor)> {
    match taken.sockets.into_iter().next() {
        Some(StdSocket::Tcp(socket)) => Ok((socket, taken.other_acceptor)),
        Some(StdSocket::Unix(_)) | None => Err(io::ErrorKind::InvalidInput.into()),
    }
}

/// The message about an address that is not available, with advice.
fn cannot_listen(address: &Address, name: &str, error: &io::Error) -> Error {
    let advice = match (error.kind(), address) {
        (io::ErrorKind::AddrInUse, Address::Tcp(address)) => {
            let port = address.port().checked_add(1).unwrap_or(8080);
            let other = SocketAddr::new(address.ip(), port);
            format!(
                "; another program listens there: stop it, or set another address, such as {name}={other}"
            )
        }
        (io::ErrorKind::AddrInUse, Address::Unix { .. }) => {
            format!("; another program listens there: stop it, or set another path in {name}")
        }
        (_, _) => String::new(),
    };
    anyhow!("cannot listen on {address} ({name}): {error}{advice}")
}
