//! Opens connections to a server: address, PROXY header and TLS.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpStream, UnixStream};

use crate::config::{PoolSettings, ServerAddress};
use crate::socket::{Stream, keep_alive};
use crate::tls::{advice, handshake};
use wire::proxy_protocol::{self, ProxyVersion};

/// Opens connections to a server.
#[derive(Clone, Debug)]
pub(super) struct Dialer {
    pub(super) address: ServerAddress,
    tls: Option<Tls>,
    pub(super) proxy_protocol: Option<ProxyVersion>,
}

/// The TLS configuration for a server.
#[derive(Clone, Debug)]
struct Tls {
    /// Offers only HTTP/1.1.
    http1: Arc<ClientConfig>,
    /// Lets the server choose the version of HTTP (ALPN).
    both: Arc<ClientConfig>,
    name: ServerName<'static>,
}

/// The versions of HTTP that are offered to a server that can choose.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum OfferedVersions {
    /// HTTP/2, or HTTP/1.1.
    Both,
    /// HTTP/1.1 alone.
    Http1,
}

/// The client of a connection, for the PROXY header.
#[derive(Clone, Copy, Debug)]
pub(super) struct AnnouncedClient {
    pub(super) client: IpAddr,
    /// The local address that the client has connected to, if it is known.
    pub(super) reached: Option<SocketAddr>,
}

impl Dialer {
    pub(super) fn new(address: &ServerAddress, pool: &PoolSettings) -> Self {
        let tls = match address {
            ServerAddress::Tcp {
                host, secure: true, ..
            } => {
                let of_url = || ServerName::try_from(host.clone()).ok();
                let name = pool.tls.name.clone().or_else(of_url);
                pool.tls.config.clone().zip(name).map(Tls::new)
            }
            ServerAddress::Http2 { .. }
            | ServerAddress::Tcp { secure: false, .. }
            | ServerAddress::Unix(_) => None,
        };
        Self {
            address: address.clone(),
            tls,
            proxy_protocol: pool.proxy_protocol,
        }
    }

    /// Whether the other dialer opens connections in the same way.
    pub(super) fn is_like(&self, other: &Self) -> bool {
        let tls = |dialer: &Self| {
            let tls = dialer.tls.as_ref();
            tls.map(|tls| (Arc::as_ptr(&tls.http1), tls.name.clone()))
        };
        let way = |dialer: &Self| (dialer.address.clone(), dialer.proxy_protocol);
        way(self) == way(other) && tls(self) == tls(other)
    }

    /// Whether the server chooses the version of HTTP. With the PROXY protocol it does not, because each connection has to
    /// belong to one client.
    pub(super) fn negotiates(&self) -> bool {
        self.tls.is_some() && self.proxy_protocol.is_none()
    }

    /// Opens a connection. The server's name is resolved each time, and its addresses are tried in turn.
    ///
    /// # Errors
    /// When no address accepts the connection, or the TLS handshake fails.
    pub(super) async fn open(
        &self,
        caller: Option<AnnouncedClient>,
        offers: OfferedVersions,
    ) -> io::Result<Stream> {
        let proxy_header = self.proxy_protocol.map(|version| {
            let caller = caller.map(|caller| (caller.client, caller.reached));
            proxy_protocol::header(version, caller)
        });
        let proxy_header = proxy_header.unwrap_or_default();
        let (host, port) = match &self.address {
            ServerAddress::Http2 { host, port } | ServerAddress::Tcp { host, port, .. } => {
                (host.as_str(), *port)
            }
            ServerAddress::Unix(path) => {
                let mut stream = UnixStream::connect(path).await?;
                stream.write_all(&proxy_header).await?;
                return Ok(Stream::from(stream));
            }
        };
        let mut stream = TcpStream::connect((host, port)).await?;
        stream.set_nodelay(true)?;
        keep_alive(&stream)?;
        stream.write_all(&proxy_header).await?;
        let stream = Stream::from(stream);
        match (&self.tls, self.address.speaks_tls()) {
            (Some(tls), _) => {
                let config = match offers {
                    OfferedVersions::Both if self.negotiates() => &tls.both,
                    OfferedVersions::Both | OfferedVersions::Http1 => &tls.http1,
                };
                let secure = async |tcp| handshake::connect(tcp, config, &tls.name).await;
                stream.secured(secure).await.map_err(with_advice)
            }
            // The configuration ensures that there is one.
            (None, true) => Err(io::ErrorKind::Unsupported.into()),
            (None, false) => Ok(stream),
        }
    }
}

impl Tls {
    fn new((http1, name): (Arc<ClientConfig>, ServerName<'static>)) -> Self {
        let mut both = ClientConfig::clone(&http1);
        both.alpn_protocols.insert(0, b"h2".to_vec());
        Self {
            http1,
            both: Arc::new(both),
            name,
        }
    }
}

/// Adds "TLS" to the message of an error of TLS, and what to do about it.
fn with_advice(error: io::Error) -> io::Error {
    let what = match advice(&error) {
        Some(advice) => format!("TLS: {error}; {advice}"),
        None => format!("TLS: {error}"),
    };
    io::Error::new(error.kind(), what)
}
