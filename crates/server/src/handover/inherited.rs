//! The sockets that a process has inherited, and the previous process that waits for it.

use std::collections::VecDeque;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use listenfd::ListenFd;

use super::channel::{self, Message, SocketPurpose};
use crate::config::Variables;
use crate::listener::Address;
use crate::listener::{OtherAcceptor, StdSocket};
use crate::live::{HandedTickets, ListenerTickets};
use crate::output;

/// What a process has inherited from its parent.
#[derive(Debug, Default)]
pub(crate) struct Inherited {
    sockets: VecDeque<Socket>,
    predecessor: Option<Predecessor>,
    tickets: Vec<ListenerTickets>,
}

/// An inherited listening socket.
#[derive(Debug)]
struct Socket {
    socket: StdSocket,
    address: Address,
    origin: SocketOrigin,
}

#[derive(Debug)]
enum SocketOrigin {
    /// From the service manager, with this name.
    Manager(String),
    /// From the previous process, for this listener.
    Predecessor(SocketPurpose),
}

/// The previous process, which serves until this one is ready.
#[derive(Debug)]
struct Predecessor {
    channel: UnixStream,
    all_answer: bool,
}

/// The inherited sockets of a listener.
#[derive(Debug)]
pub(crate) struct InheritedSockets {
    pub(crate) address: Address,
    /// The sockets, at least one.
    pub(crate) sockets: Vec<StdSocket>,
    pub(crate) other_acceptor: OtherAcceptor,
}

impl Inherited {
    /// Takes what this process has inherited. Call it before there are other threads, because it removes variables from the
    /// environment.
    ///
    /// # Errors
    /// When something other than listening sockets was passed, or the previous process has ended or does not send its sockets.
    pub(crate) fn of_process(environment: &Variables) -> Result<Self> {
        if environment.get(HANDOVER).is_some() {
            return Self::from_predecessor();
        }
        let names = environment.get("LISTEN_FDNAMES").unwrap_or_default();
        let mut names = names.split(':').filter(|name| !name.is_empty());
        let mut passed = ListenFd::from_env();
        let mut sockets = VecDeque::new();
        for index in 0..passed.len() {
            let name = names.next().unwrap_or("unknown").to_owned();
            let socket = passed_socket(&mut passed, index).with_context(|| {
                let number = index + 3;
                format!("the service manager passed a file descriptor that is not a listening socket: {number}, \
                    named `{name}`")
            })?;
            sockets.push_back(Socket::new(socket, SocketOrigin::Manager(name))?);
        }
        Ok(Self {
            sockets,
            ..Self::default()
        })
    }

    /// Receives the sockets and ticket keys that the previous process hands over.
    fn from_predecessor() -> Result<Self> {
        let gone = "the previous process ended before it had handed over its sockets";
        let channel = io::stdin().as_fd().try_clone_to_owned()?;
        let channel = UnixStream::from(channel);
        channel.set_read_timeout(Some(LONGEST_BETWEEN_MESSAGES))?;
        output::share();
        let mut sockets = VecDeque::new();
        loop {
            let received = channel::receive(&channel)
                .context("cannot receive the listening sockets from the previous process")?;
            match received.context(gone)? {
                (Message::Socket(purpose), Some(socket)) => {
                    let origin = SocketOrigin::Predecessor(purpose);
                    sockets.push_back(Socket::new(socket, origin)?);
                }
                (
                    Message::All {
                        all_answer,
                        tickets,
                    },
                    _,
                ) => {
                    let predecessor = Predecessor {
                        channel,
                        all_answer,
                    };
                    return Ok(Self {
                        sockets,
                        predecessor: Some(predecessor),
                        tickets,
                    });
                }
                (message, _) => {
                    bail!("the previous process sent an unexpected message: {message:?}")
                }
            }
        }
    }

    /// Takes the sockets for the `number`th listener with this setting and address. `None` if there are none, so that a
    /// socket has to be bound.
    pub(crate) fn take(
        &mut self,
        setting: &str,
        configured: &Address,
        number: usize,
    ) -> Option<InheritedSockets> {
        let text = configured.to_string();
        let is_for_this = |socket: &Socket| match &socket.origin {
            SocketOrigin::Predecessor(purpose) => {
                (&*purpose.setting, &*purpose.configured, purpose.number)
                    == (setting, &*text, number)
            }
            SocketOrigin::Manager(_) => false,
        };
        let found = self.extract(is_for_this);
        // The service manager knows only addresses. An address of the previous process may now be in another setting.
        let found = match found.is_empty() {
            true => self.extract(|socket| is_same_place(&socket.address, configured)),
            false => found,
        };
        let address = found.first()?.address.clone();
        let is_managed = found.iter().any(|socket| match &socket.origin {
            SocketOrigin::Manager(_) => true,
            SocketOrigin::Predecessor(purpose) => purpose.is_managed,
        });
        Some(InheritedSockets {
            address,
            sockets: found.into_iter().map(|socket| socket.socket).collect(),
            other_acceptor: OtherAcceptor::new(is_managed),
        })
    }

    fn extract(&mut self, is_wanted: impl Fn(&Socket) -> bool) -> Vec<Socket> {
        let all = std::mem::take(&mut self.sockets);
        let (wanted, rest): (Vec<_>, Vec<_>) = all.into_iter().partition(is_wanted);
        self.sockets = rest.into();
        wanted
    }

    /// Checks that every inherited socket is used.
    ///
    /// # Errors
    /// Names an unused socket of the service manager. Unused sockets of the previous process are closed.
    pub(crate) fn check_all_taken(&mut self) -> Result<()> {
        for Socket {
            address, origin, ..
        } in self.sockets.drain(..)
        {
            match origin {
                SocketOrigin::Manager(name) => bail!(
                    "the service manager passed a socket at {address}, named `{name}`, but no setting listens there: \
                     set LISTEN, REDIRECT_LISTEN, AUTH_LISTEN, ADMIN_LISTEN or a [[listener]] to that address, or \
                     remove it from the socket unit"
                ),
                SocketOrigin::Predecessor(_) => {
                    tracing::info!(%address, "the previous process listened at this address, and this process does not");
                }
            }
        }
        Ok(())
    }

    /// The session ticket keys of the previous process.
    pub(crate) fn tickets(&mut self) -> HandedTickets {
        HandedTickets::new(std::mem::take(&mut self.tickets))
    }

    /// Whether all stores and issuers answer the previous process, so that they should answer this one too.
    pub(crate) fn expects_answers(&self) -> bool {
        let mut predecessor = self.predecessor.iter();
        predecessor.any(|predecessor| predecessor.all_answer)
    }

    /// Tells the previous process that this one serves. Returns false if there is none.
    ///
    /// # Errors
    /// When the previous process has ended, so that this one is not wanted either.
    pub(crate) fn send_ready(&self) -> Result<bool> {
        let Some(predecessor) = &self.predecessor else {
            return Ok(false);
        };
        let sent = channel::send(&predecessor.channel, &Message::Ready, None);
        sent.map(|()| true)
            .context("the previous process ended before this one could take over")
    }
}

impl Socket {
    fn new(socket: OwnedFd, origin: SocketOrigin) -> Result<Self> {
        let (socket, address) = StdSocket::inherited(socket)?;
        Ok(Self {
            socket,
            address,
            origin,
        })
    }
}

fn passed_socket(passed: &mut ListenFd, index: usize) -> Result<OwnedFd> {
    let socket = match passed.take_tcp_listener(index) {
        Ok(tcp) => tcp.map(OwnedFd::from),
        Err(_) => passed.take_unix_listener(index)?.map(OwnedFd::from),
    };
    ensure!(socket.is_some(), "it was taken already");
    socket.context("it is missing")
}

/// Whether a socket at `address` serves the address `configured`. For a bare port, systemd creates a socket for IPv6 and IPv4.
fn is_same_place(address: &Address, configured: &Address) -> bool {
    match (address, configured) {
        (Address::Tcp(address), Address::Tcp(configured)) => {
            let is_anywhere = address.ip().is_unspecified() && configured.ip().is_unspecified();
            address.port() == configured.port() && (is_anywhere || address.ip() == configured.ip())
        }
        (
            Address::Unix { path, .. },
            Address::Unix {
                path: configured, ..
            },
        ) => path == configured,
        (Address::Tcp(_) | Address::Unix { .. }, _) => false,
    }
}

/// The variable that says that standard input is a channel to the previous process.
pub(super) const HANDOVER: &str = "SESSIONGATE_HANDOVER";

/// How long the previous process may take between two messages.
const LONGEST_BETWEEN_MESSAGES: Duration = Duration::from_secs(10);

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    fn inherited(listeners: impl IntoIterator<Item = (TcpListener, SocketOrigin)>) -> Inherited {
        let sockets = listeners.into_iter();
        let sockets = sockets.map(|(socket, origin)| Socket::new(socket.into(), origin).unwrap());
        Inherited {
            sockets: sockets.collect(),
            ..Inherited::default()
        }
    }

    fn tcp(text: &str) -> Address {
        Address::Tcp(text.parse().unwrap())
    }

    fn listener(at: &str) -> (TcpListener, Address) {
        let listener = TcpListener::bind(at).unwrap();
        let address = listener.local_addr().unwrap();
        (listener, Address::Tcp(address))
    }

    #[test]
    fn inherited_socket_is_found_by_setting_and_otherwise_by_address() {
        let configured = tcp("127.0.0.1:0");
        let origin = |setting: &str, number| {
            SocketOrigin::Predecessor(SocketPurpose {
                setting: setting.to_owned(),
                configured: configured.to_string(),
                number,
                is_managed: false,
            })
        };
        let [first, second, third, other] = [(); 4].map(|()| listener("127.0.0.1:0"));
        let addresses = [&first, &second, &third, &other].map(|(_, address)| address.clone());
        let mut inherited = inherited([
            (first.0, origin("[[listener]]", 0)),
            (second.0, origin("[[listener]]", 1)),
            (third.0, origin("LISTEN", 0)),
            (other.0, SocketOrigin::Manager("web".to_owned())),
        ]);
        assert!(inherited.take("ADMIN_LISTEN", &configured, 0).is_none());
        let taken = inherited.take("[[listener]]", &configured, 1).unwrap();
        assert_eq!(
            (taken.address, taken.sockets.len()),
            (addresses[1].clone(), 1)
        );
        assert!(!taken.other_acceptor.get());
        let taken = inherited.take("REDIRECT_LISTEN", &addresses[0], 0).unwrap();
        assert_eq!(taken.address, addresses[0], "it has moved to another line");
        let taken = inherited.take("LISTEN", &addresses[3], 0).unwrap();
        assert!(taken.other_acceptor.get(), "the service manager keeps it");
        inherited.check_all_taken().unwrap();
    }

    #[test]
    fn unused_socket_of_the_service_manager_is_named() {
        let (socket, address) = listener("[::1]:0");
        let mut inherited = inherited([(socket, SocketOrigin::Manager("web".to_owned()))]);
        let error = inherited.check_all_taken().unwrap_err().to_string();
        assert!(
            error.contains(&address.to_string()) && error.contains("`web`"),
            "{error}"
        );
    }

    #[test]
    fn unspecified_address_is_the_same_in_both_families() {
        for (address, configured, is_same) in [
            ("[::]:80", "0.0.0.0:80", true),
            ("0.0.0.0:80", "0.0.0.0:80", true),
            ("[::]:80", "0.0.0.0:81", false),
            ("[::1]:80", "127.0.0.1:80", false),
            ("0.0.0.0:80", "127.0.0.1:80", false),
        ] {
            let same = is_same_place(&tcp(address), &tcp(configured));
            assert_eq!(same, is_same, "{address} {configured}");
        }
    }
}
